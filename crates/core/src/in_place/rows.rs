//! The rows of a file, from its beginning to its end, by position.

use std::sync::Arc;

use arrow_array::RecordBatch;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use lakeport_base::limits::BATCH_ROWS;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_catalog::model::Column;
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::documents::{documents_of, with_nulls};
use super::{FileSet, PlacedFile};
use crate::charset::decoded;
use crate::error::{Error, Result};
use crate::import::avro;
use crate::import::batch::{Rows, Sink, Target, Wanted};
use crate::import::bytes::{self, Pieces, ReadMeter};
use crate::import::csv::Csv;
use crate::import::delimited::Delimited;
use crate::import::ndjson;
use crate::import::parquet::not_parquet;
use crate::import::part::Start;
use crate::import::ranges::Ranges;
use crate::import::scan::{ScanError, Scanned};
use crate::import::source::SourceFile;
use crate::import::text::{self, FieldTexts, Fields, Input, TextFormat};
use crate::import::{AvroForm, Decompress};
use crate::stage::format::FormatType;
use crate::stage::format::options::NULL_IF;
use crate::stage::looks::{self, ReadAs};
use crate::stage::reading::{charset, csv, decompress, delimited};

/// Batches that wait between a file and its query. More of them hold memory and save no time.
const QUEUE_BATCHES: usize = 1;

impl FileSet {
    /// The rows of a file, with the columns of these indexes in [`FileSet::position_schema`].
    pub fn rows(self: &Arc<Self>, file: usize, columns: &[usize]) -> BoxStream<'static, Result<RecordBatch>> {
        let (sender, mut batches) = mpsc::channel(QUEUE_BATCHES);
        let (files, sink) = (self.clone(), Sink::new(sender, None));
        let positions: Vec<usize> = columns.iter().map(|column| self.positions[*column]).collect();
        let reader = AbortOnDropHandle::new(tokio::spawn(async move {
            let file = &files.files[file];
            if let Err(error) = files.read(file, &positions, &sink).await {
                let error = files.explained(file, error).await;
                let named = error.message().contains(&file.uri);
                sink.fail(if named { error } else { error.prefixed(&file.uri) }).await;
            }
        }));
        let mut reader = Some(reader);
        let read = stream::poll_fn(move |cx| batches.poll_recv(cx));
        // A reader that died must not look like the end of its file.
        let ended = stream::once(async move { reader.take()?.await.err().map(|error| Err(Error::internal(error))) });
        read.chain(ended.filter_map(std::future::ready)).boxed()
    }

    async fn read(&self, file: &PlacedFile, positions: &[usize], sink: &Sink) -> Result<()> {
        let null_if = NULL_IF.list(&self.format);
        let as_document = |batch: &RecordBatch| match null_if {
            [] => documents_of(batch, !positions.is_empty()),
            texts => documents_of(&with_nulls(batch, texts)?, !positions.is_empty()),
        };
        if self.format.ty == FormatType::Parquet {
            let meter = Arc::new(ReadMeter::new(Arc::default(), file.meta.size));
            return read_parquet(self.source_of(file), meter, &as_document, sink).await;
        }
        let pieces = self.pieces(file).await?;
        if self.format.ty == FormatType::Avro {
            return avro::read(pieces, &AvroForm::Container, &as_document, sink).await;
        }
        let (input, target) = (Input { pieces, start: Start::OF_FILE, end: u64::MAX }, self.target(positions));
        match self.format.ty {
            FormatType::Csv => {
                let options = csv(&self.format);
                text::read(Csv::new(&options, &target), input, &target, None, sink).await?;
            }
            FormatType::Text => {
                let options = delimited(&self.format);
                text::read(Delimited::new(&options, &target), input, &target, None, sink).await?;
            }
            _ => {
                let documents = Documents { wanted: !positions.is_empty(), null_if };
                text::read(documents, input, &target, None, sink).await?;
            }
        }
        Ok(())
    }

    /// An error of a file, with the remedy where it looks like another than it is read as.
    pub async fn explained(&self, file: &PlacedFile, error: Error) -> Error {
        let decompress = match self.format.ty {
            FormatType::Parquet | FormatType::Orc => Decompress::None,
            _ => decompress(&self.format).unwrap_or(Decompress::None).of_file(file.meta.location.as_ref()),
        };
        let read_as = ReadAs { ty: self.format.ty, decompress };
        looks::explained(error, &self.source_of(file), read_as).await
    }

    /// A file as the readers of IMPORT take it.
    pub(crate) fn source(&self, file: usize) -> SourceFile {
        self.source_of(&self.files[file])
    }

    fn source_of(&self, file: &PlacedFile) -> SourceFile {
        SourceFile { store: self.store.clone(), meta: file.meta.clone(), name: file.uri.clone(), ranged: true }
    }

    /// The content of a file, unpacked; text as UTF-8.
    pub(super) async fn pieces(&self, file: &PlacedFile) -> Result<Pieces> {
        let meter = Arc::new(ReadMeter::new(Arc::default(), file.meta.size));
        let pieces = bytes::open(&self.source_of(file), decompress(&self.format)?, meter).await?;
        Ok(decoded(pieces, charset(&self.format)))
    }

    /// Shows records of a text file, as many as the sink wants, the header first if there is one.
    pub(super) async fn sample(&self, file: usize, has_header: bool, sink: &Sink, seen: &mut Seen<'_>) -> Result<()> {
        let pieces = self.pieces(&self.files[file]).await?;
        let (input, target) = (Input { pieces, start: Start::OF_FILE, end: u64::MAX }, self.target(&[]));
        if self.format.ty == FormatType::Csv {
            let options = csv(&self.format);
            let format = Sampled { format: Csv::new(&options, &target), seen, has_header };
            text::read(format, input, &target, None, sink).await?;
        } else {
            let options = delimited(&self.format);
            let format = Sampled { format: Delimited::new(&options, &target), seen, has_header };
            text::read(format, input, &target, None, sink).await?;
        }
        Ok(())
    }

    fn target(&self, positions: &[usize]) -> Target {
        let ty = if self.format.ty == FormatType::Ndjson { SqlType::Jsonb } else { SqlType::Text };
        let column = |position: &usize| {
            let name = format!("${position}");
            Column { stored_name: name.clone(), name, ty: ty.clone(), nullable: true, default: None, comment: None }
        };
        let places = positions.iter().map(|position| position - 1).collect();
        Target::of_fields(positions.iter().map(column).collect(), places)
    }
}

async fn read_parquet(file: SourceFile, meter: Arc<ReadMeter>, shape: &avro::Shape<'_>, sink: &Sink) -> Result<()> {
    let builder = ParquetRecordBatchStreamBuilder::new(Ranges { file, meter }).await.map_err(not_parquet)?;
    let mut batches = builder.with_batch_size(BATCH_ROWS).build().map_err(not_parquet)?;
    while let Some(batch) = batches.next().await {
        if sink.send(shape(&batch.map_err(not_parquet)?)?).await == Wanted::Enough {
            break;
        }
    }
    Ok(())
}

/// Lines of JSON, each of any kind.
struct Documents<'a> {
    wanted: bool,
    /// Texts that mean NULL.
    null_if: &'a [String],
}

impl TextFormat for Documents<'_> {
    fn scan(&mut self, input: &[u8], at_end: bool) -> Result<Scanned, ScanError> {
        Ok(Scanned::line(input, at_end))
    }

    fn add(&mut self, record: &str, rows: &mut Rows) -> Result<()> {
        let line = record.trim();
        if line.is_empty() {
            return Ok(());
        }
        if self.wanted {
            let object = (!self.null_if.is_empty()).then(|| ndjson::with_nulls(line, self.null_if));
            rows.push(0, Some(object.as_deref().unwrap_or(line))).map_err(|error| {
                Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, format!("no JSON (row: {})", text::shown(line)))
                    .with_source(error)
            })?;
        }
        rows.end_row();
        Ok(())
    }

    fn record_end(&self) -> u8 {
        b'\n'
    }
}

/// Looks at each record of a file.
pub(super) type Seen<'a> = dyn FnMut(Fields) -> Result<()> + Send + 'a;

/// Records of a text format, shown as they come.
struct Sampled<'a, 's, F> {
    format: F,
    seen: &'a mut Seen<'s>,
    /// The one record that is left out else has the names of the columns.
    has_header: bool,
}

impl<F: TextFormat + FieldTexts> TextFormat for Sampled<'_, '_, F> {
    fn scan(&mut self, input: &[u8], at_end: bool) -> Result<Scanned, ScanError> {
        self.format.scan(input, at_end)
    }

    fn add(&mut self, record: &str, rows: &mut Rows) -> Result<()> {
        (self.seen)(self.format.texts(record))?;
        rows.end_row();
        Ok(())
    }

    fn record_end(&self) -> u8 {
        self.format.record_end()
    }

    fn skip(&self) -> u64 {
        if self.has_header { 0 } else { self.format.skip() }
    }
}
