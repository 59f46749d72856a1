use std::io::Write;

use arrow_array::{ArrayRef, Int64Array, StringArray};
use lakeport_core::stage::format::{FileFormat, FormatType};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use orc_rust::ArrowWriterBuilder;
use orc_rust::compression::CompressionType;
use orc_rust::proto::{CompressionKind, Footer, PostScript, StripeFooter};
use prost::Message;

use super::chunks::Codec;
use super::lengths::{Runs, most_values};
use super::*;

fn batch() -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..5000));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..5000).map(|n| format!("text {n}"))));
    RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap()
}

fn written(compression: Option<CompressionType>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = ArrowWriterBuilder::new(&mut file, batch().schema());
    if let Some(compression) = compression {
        writer = writer.with_compression(compression);
    }
    let mut writer = writer.try_build().unwrap();
    writer.write(&batch()).unwrap();
    writer.close().unwrap();
    file
}

/// The parts of the end of a file that is not compressed.
struct End {
    stripe: StripeFooter,
    footer: Footer,
    postscript: PostScript,
}

/// The file with another end.
fn with_end(mut file: Vec<u8>, change: impl FnOnce(&mut End)) -> Vec<u8> {
    let postscript_end = file.len() - 1;
    let footer_end = postscript_end - usize::from(file[postscript_end]);
    let postscript = PostScript::decode(&file[footer_end..postscript_end]).unwrap();
    let footer = Footer::decode(&file[footer_end - postscript.footer_length() as usize..footer_end]).unwrap();
    let info = &footer.stripes[0];
    let start = (info.offset() + info.index_length() + info.data_length()) as usize;
    let stripe = StripeFooter::decode(&file[start..start + info.footer_length() as usize]).unwrap();
    let mut end = End { stripe, footer, postscript };
    change(&mut end);
    file.truncate(start);
    file.extend(end.stripe.encode_to_vec());
    end.footer.stripes[0].footer_length = Some((file.len() - start) as u64);
    let footer = end.footer.encode_to_vec();
    end.postscript.footer_length = Some(footer.len() as u64);
    end.postscript.metadata_length = Some(0);
    let postscript = end.postscript.encode_to_vec();
    file.extend([footer, postscript.clone(), vec![postscript.len() as u8]].concat());
    file
}

/// The file with another last part, which is never compressed.
fn with_postscript(mut file: Vec<u8>, change: impl FnOnce(&mut PostScript)) -> Vec<u8> {
    let end = file.len() - 1;
    let start = end - usize::from(file[end]);
    let mut postscript = PostScript::decode(&file[start..end]).unwrap();
    change(&mut postscript);
    file.truncate(start);
    let postscript = postscript.encode_to_vec();
    file.extend([postscript.as_slice(), &[postscript.len() as u8]].concat());
    file
}

async fn rows_of(content: Vec<u8>) -> Result<usize> {
    let (store, path) = (Arc::new(InMemory::new()), Path::from("a.orc"));
    store.put(&path, content.into()).await.unwrap();
    let meta = store.head(&path).await.unwrap();
    let file = PlacedFile { meta, name: "a.orc".into(), uri: "@s/a.orc".into() };
    let format = FileFormat::of_type(FormatType::Orc);
    let files = Arc::new(FileSet {
        store,
        identity: "s".into(),
        location: "s".into(),
        has_empty: false,
        files: vec![file],
        format,
        positions: Vec::new(),
    });
    let schema = schema(&files).await?;
    let columns: Vec<usize> = (0..schema.fields().len()).collect();
    let batches: Vec<RecordBatch> = rows(&files, 0, &schema, &columns).try_collect().await?;
    Ok(batches.iter().map(RecordBatch::num_rows).sum())
}

async fn refusal(content: Vec<u8>) -> String {
    let error = rows_of(content).await.unwrap_err();
    assert_eq!(error.code(), Sqlstate::BAD_COPY_FILE_FORMAT);
    assert_eq!(error.message(), "@s/a.orc: not an ORC file, or a broken one");
    std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
}

const CODECS: [CompressionType; 4] =
    [CompressionType::Zlib, CompressionType::Snappy, CompressionType::Lz4, CompressionType::Zstd];

#[tokio::test]
async fn files_of_each_codec_are_read() {
    assert_eq!(rows_of(written(None)).await.unwrap(), 5000);
    assert_eq!(rows_of(with_end(written(None), |_| {})).await.unwrap(), 5000);
    for codec in CODECS {
        assert_eq!(rows_of(written(Some(codec))).await.unwrap(), 5000, "{codec}");
    }
}

#[tokio::test]
async fn blocks_are_bounded() {
    for codec in CODECS {
        let huge =
            with_postscript(written(Some(codec)), |postscript| postscript.compression_block_size = Some(1 << 45));
        assert_eq!(refusal(huge).await, "blocks of 35184372088832 bytes, more than 16777216");
        let small =
            with_postscript(written(Some(codec)), |postscript| postscript.compression_block_size = Some(1 << 10));
        refusal(small).await;
    }
}

#[tokio::test]
async fn what_would_kill_the_decoder_is_refused() {
    let circle = with_end(written(None), |end| end.footer.types[0].subtypes[1] = 0);
    assert_eq!(refusal(circle).await, "type 0 cannot be part of type 0");
    let far = with_end(written(None), |end| end.footer.stripes[0].offset = Some(u64::MAX));
    assert_eq!(refusal(far).await, "a stripe outside of the file");
    let dictionary = with_end(written(None), |end| end.stripe.columns[1].dictionary_size = Some(u32::MAX));
    assert!(refusal(dictionary).await.contains("a dictionary of 4294967295 texts"));
    let zone = with_end(written(None), |end| end.stripe.writer_timezone = Some("Nowhere/None".into()));
    assert_eq!(refusal(zone).await, DECODER_DIED);
    for bytes in [0, 1, 17, 255] {
        refusal(vec![255; bytes + 1]).await;
    }
    let long = with_postscript(written(None), |postscript| postscript.footer_length = Some(u64::MAX));
    assert_eq!(refusal(long).await, "a footer of 18446744073709551615 bytes");
}

#[test]
fn lengths_of_all_chunks_are_added_up() {
    // 512 numbers of 64 bits, each of them 1.
    let run = [&[0x7F, 0xFF][..], &[0, 0, 0, 0, 0, 0, 0, 1].repeat(512)].concat();
    let (runs, chunks) = (10, 20);
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&run.repeat(runs)).unwrap();
    let chunk = encoder.finish().unwrap();
    let stream = [&((chunk.len() as u32) << 1).to_le_bytes()[..3], &chunk].concat().repeat(chunks);
    let postscript = PostScript {
        compression: Some(CompressionKind::Zlib.into()),
        compression_block_size: Some(8 << 20),
        ..PostScript::default()
    };
    let codec = Codec::of(&postscript).unwrap();
    assert_eq!(most_values(codec.reader(&stream), Runs::V2, None).unwrap(), (512 * runs * chunks) as u64);
}

#[tokio::test]
async fn cut_chunks_are_refused() {
    let whole = written(Some(CompressionType::Zlib));
    let mut cut = whole.clone();
    cut.drain(whole.len() / 2..whole.len() / 2 + 10);
    refusal(cut).await;
}
