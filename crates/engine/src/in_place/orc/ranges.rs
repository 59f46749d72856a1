//! What the decoder of ORC files gets to see of a file: a footer with what is needed of it, and streams whose sizes were
//! looked at.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use lakeport_base::Sqlstate;
use lakeport_core::Error;
use lakeport_core::in_place::{FileSet, PlacedFile};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use orc_rust::proto::column_encoding::Kind as Encoding;
use orc_rust::proto::stream::Kind;
use orc_rust::proto::r#type::Kind as TypeKind;
use orc_rust::proto::{ColumnEncoding, Footer, PostScript, StripeFooter, StripeInformation, Type};
use orc_rust::reader::AsyncChunkReader;
use prost::Message;

use super::LISTS_ROWS;
use super::chunks::{Codec, invalid};
use super::lengths::{Runs, most_values};

/// Bytes read from the end of a file, in the hope that all of its footer is among them.
const TAIL_BYTES: u64 = 16 << 10;
/// Largest footer of a file or of a stripe, in bytes.
const FOOTER_BYTES_MAX: usize = 8 << 20;
/// Types of columns and of what they consist of.
const TYPES_MAX: usize = 10_000;
/// Types within types.
const DEPTH_MAX: usize = 64;
/// Texts of a dictionary, whose lengths are held at once.
const DICTIONARY_MAX: u32 = 16 << 20;
/// Values that are held at once of lists and maps, of each column that is read its share.
const VALUES_MAX: u64 = 16 << 20;

/// What is read of a footer: not the statistics.
#[derive(prost::Message)]
struct Layout {
    #[prost(message, repeated, tag = "3")]
    stripes: Vec<StripeInformation>,
    #[prost(message, repeated, tag = "4")]
    types: Vec<Type>,
}

/// The end of a file.
struct Tail {
    postscript: PostScript,
    /// With the chunks it is compressed in.
    footer: Bytes,
}

/// Ranges of one file.
pub(super) struct Ranges {
    uri: String,
    file: Source,
    codec: Codec,
    /// What the decoder reads first.
    tail: Option<Bytes>,
    /// Where the footers of stripes start, and the stripes.
    stripe_footers: HashMap<u64, u64>,
    /// Columns of lists and maps; of those inside of others, all of a stripe's may be asked for at once.
    lists: HashMap<u32, Rows>,
    /// Where lengths start that have been told of, and what they are.
    lengths: HashMap<u64, Vec<(Runs, Rows)>>,
    /// Most values of a column.
    values_max: u64,
    /// All columns and what they consist of.
    columns: usize,
}

/// So many rows, or all.
type Rows = Option<usize>;

impl Ranges {
    /// For reading columns of these names, or all.
    ///
    /// # Errors
    /// The storage's, those of a file that is broken or asks for too much.
    pub async fn open(
        files: &FileSet,
        PlacedFile { meta, uri, .. }: &PlacedFile,
        names: Option<&[String]>,
    ) -> io::Result<Ranges> {
        let store = Arc::clone(&files.store);
        let file = Source { store, path: meta.location.clone(), bytes: meta.size };
        let Tail { postscript, footer } = file.tail().await?;
        let codec = Codec::of(&postscript)?;
        let layout = Layout::decode(codec.content(&footer, FOOTER_BYTES_MAX)?.as_slice())?;
        check_types(&layout.types)?;
        let (lists, columns) = (lists_of(&layout.types), layout.types.len());
        let values_max = VALUES_MAX / read_types(&layout.types, names).max(1) as u64;
        let footer_of = |stripe: &StripeInformation| {
            let footer = stripe.offset().checked_add(stripe.index_length())?.checked_add(stripe.data_length())?;
            Some((footer, stripe.offset()))
        };
        let stripe_footers = layout.stripes.iter().map(footer_of).collect::<Option<_>>();
        let stripe_footers = stripe_footers.ok_or_else(|| invalid("a stripe outside of the file"))?;
        let tail = Some(shortened(&postscript, layout, codec));
        let (uri, lengths) = (uri.clone(), HashMap::new());
        Ok(Ranges { uri, file, codec, tail, stripe_footers, lists, lengths, values_max, columns })
    }

    /// # Errors
    /// A stream that becomes more than it may.
    fn check(&mut self, offset: u64, stream: &[u8]) -> io::Result<()> {
        // A broken file may use a range in several ways.
        self.check_lengths(offset, stream)?;
        let Some(stripe) = self.stripe_footers.get(&offset).copied() else {
            return self.codec.check(stream);
        };
        let footer = StripeFooter::decode(self.codec.content(stream, FOOTER_BYTES_MAX)?.as_slice())?;
        if let Some(column) = footer.columns.iter().find(|column| column.dictionary_size() > DICTIONARY_MAX) {
            return Err(invalid(format!("a dictionary of {} texts", column.dictionary_size())));
        }
        if footer.columns.len() < self.columns {
            return Err(invalid(format!("a stripe of {} columns, not {}", footer.columns.len(), self.columns)));
        }
        self.find_lengths(&footer, stripe)
    }

    /// Notes where the lengths of lists are in a stripe.
    fn find_lengths(&mut self, footer: &StripeFooter, stripe: u64) -> io::Result<()> {
        let mut offset = stripe;
        for stream in &footer.streams {
            if stream.kind() == Kind::Length
                && stream.length() > 0
                && let Some(rows) = self.lists.get(&stream.column())
            {
                let runs = match footer.columns.get(stream.column() as usize).map(ColumnEncoding::kind) {
                    Some(Encoding::DirectV2 | Encoding::DictionaryV2) => Runs::V2,
                    _ => Runs::V1,
                };
                self.lengths.entry(offset).or_default().push((runs, *rows));
            }
            let next = offset.checked_add(stream.length());
            offset = next.ok_or_else(|| invalid("a stream outside of the file"))?;
        }
        Ok(())
    }

    /// # Errors
    /// 54000 for lists of more values than are held at once.
    fn check_lengths(&self, offset: u64, stream: &[u8]) -> io::Result<()> {
        for (runs, rows) in self.lengths.get(&offset).into_iter().flatten() {
            let values = most_values(self.codec.reader(stream), *runs, *rows)?;
            if values > self.values_max {
                let rows = rows.map_or_else(|| "the rows of a stripe".to_string(), |rows| format!("{rows} rows"));
                let message = format!("{}: a column has lists of {values} values in {rows}", self.uri);
                let hint = format!("of these columns {} are held at once; name fewer of them", self.values_max);
                return Err(io::Error::other(Error::new(Sqlstate::PROGRAM_LIMIT_EXCEEDED, message).with_hint(hint)));
            }
        }
        Ok(())
    }
}

/// The end of a file that has the same stripes and columns, and nothing else.
fn shortened(postscript: &PostScript, layout: Layout, codec: Codec) -> Bytes {
    let footer = Footer { stripes: layout.stripes, types: layout.types, ..Footer::default() };
    let mut tail = codec.stream(&footer.encode_to_vec());
    let postscript = PostScript {
        footer_length: Some(tail.len() as u64),
        metadata_length: Some(0),
        compression: postscript.compression,
        compression_block_size: postscript.compression_block_size,
        ..PostScript::default()
    }
    .encode_to_vec();
    tail.extend_from_slice(&postscript);
    tail.push(postscript.len() as u8);
    tail.into()
}

/// Types form a tree in which each comes after the one it is part of; the decoder would go round in circles.
fn check_types(types: &[Type]) -> io::Result<()> {
    if types.len() > TYPES_MAX {
        return Err(invalid(format!("{} types, more than {TYPES_MAX}", types.len())));
    }
    let mut depths = vec![0; types.len()];
    for (index, ty) in types.iter().enumerate() {
        for part in ty.subtypes.iter().map(|part| *part as usize) {
            let is_new = part > index && depths.get(part) == Some(&0);
            if !is_new || depths[index] == DEPTH_MAX {
                return Err(invalid(format!("type {part} cannot be part of type {index}")));
            }
            depths[part] = depths[index] + 1;
        }
    }
    Ok(())
}

/// How many columns and parts of columns are read.
fn read_types(types: &[Type], names: Option<&[String]>) -> usize {
    let Some(root) = types.first() else { return 0 };
    let is_read = |name: &String| names.is_none_or(|names| names.contains(name));
    let mut read = vec![false; types.len()];
    for (part, name) in root.subtypes.iter().zip(&root.field_names) {
        read[*part as usize] = is_read(name);
    }
    // Parts come after what they are part of.
    for (index, ty) in types.iter().enumerate().skip(1) {
        for part in &ty.subtypes {
            read[*part as usize] = read[index];
        }
    }
    read.into_iter().filter(|read| *read).count()
}

/// The columns that have lengths, by their indexes, each with the rows whose lengths the decoder adds up at once.
fn lists_of(types: &[Type]) -> HashMap<u32, Rows> {
    let is_list = |ty: &Type| matches!(ty.kind(), TypeKind::List | TypeKind::Map);
    let mut inside = vec![false; types.len()];
    let mut lists = HashMap::new();
    // Parts come after what they are part of.
    for (index, ty) in types.iter().enumerate() {
        for part in &ty.subtypes {
            inside[*part as usize] = inside[index] || is_list(ty);
        }
        if is_list(ty) {
            lists.insert(index as u32, (!inside[index]).then_some(LISTS_ROWS));
        }
    }
    lists
}

impl AsyncChunkReader for Ranges {
    fn len(&mut self) -> BoxFuture<'_, io::Result<u64>> {
        std::future::ready(Ok(self.file.bytes)).boxed()
    }

    fn get_bytes(&mut self, offset: u64, length: u64) -> BoxFuture<'_, io::Result<Bytes>> {
        async move {
            if let Some(tail) = self.tail.take() {
                return Ok(tail);
            }
            let stream = self.file.range(offset, length).await?;
            self.check(offset, &stream)?;
            Ok(stream)
        }
        .boxed()
    }
}

/// The file itself.
struct Source {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// Size of the file.
    bytes: u64,
}

impl Source {
    async fn range(&self, offset: u64, length: u64) -> io::Result<Bytes> {
        let end = offset.checked_add(length).filter(|end| *end <= self.bytes);
        let end = end.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        if length == 0 {
            return Ok(Bytes::new());
        }
        let bytes = self.store.get_range(&self.path, offset..end).await;
        bytes.map_err(|error| io::Error::other(crate::error::from_store(error)))
    }

    async fn tail(&self) -> io::Result<Tail> {
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let read = self.bytes.min(TAIL_BYTES);
        let tail = self.range(self.bytes - read, read).await?;
        let (length, before) = tail.split_last().ok_or_else(cut)?;
        let footer_end = before.len().checked_sub(usize::from(*length)).ok_or_else(cut)?;
        let postscript = PostScript::decode(&before[footer_end..])?;
        let length = usize::try_from(postscript.footer_length()).ok().filter(|length| *length <= FOOTER_BYTES_MAX);
        let length = length.ok_or_else(|| invalid(format!("a footer of {} bytes", postscript.footer_length())))?;
        let footer = match footer_end.checked_sub(length) {
            Some(start) => tail.slice(start..footer_end),
            None => {
                let end = self.bytes - read + footer_end as u64;
                self.range(end.checked_sub(length as u64).ok_or_else(cut)?, length as u64).await?
            }
        };
        Ok(Tail { postscript, footer })
    }
}
