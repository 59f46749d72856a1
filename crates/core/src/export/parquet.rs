//! Rows to Parquet. Columns have the physical types of tables: UUID and JSONB are strings, times are microseconds.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_cast::cast;
use arrow_schema::{Schema, SchemaRef};
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::AsyncArrowWriter;
use parquet::basic;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::options::{Compression, ExportOptions};
use super::upload;
use crate::error::{Error, Result};
use crate::external::store_error;
use crate::rows::{arrow_field, sql_type};

/// Rows written between two looks at the size.
const STEP_ROWS: usize = 1024;

/// A Parquet file under way.
pub(super) struct ParquetFile {
    writer: AsyncArrowWriter<BufWriter>,
    schema: SchemaRef,
}

impl ParquetFile {
    pub fn new(
        options: &ExportOptions,
        schema: &Schema,
        store: Arc<dyn ObjectStore>,
        path: Path,
    ) -> Result<ParquetFile> {
        let fields = schema.fields().iter();
        let fields = fields.map(|field| arrow_field(field.name(), &sql_type(field), field.is_nullable()));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let compression = match options.compression {
            Compression::None => basic::Compression::UNCOMPRESSED,
            Compression::Gzip => basic::Compression::GZIP(basic::GzipLevel::default()),
            Compression::Snappy => basic::Compression::SNAPPY,
            Compression::Zstd => basic::Compression::ZSTD(basic::ZstdLevel::default()),
        };
        let properties = WriterProperties::builder().set_compression(compression).build();
        let output = upload::writer(store, path);
        let writer = AsyncArrowWriter::try_new(output, schema.clone(), Some(properties)).map_err(write_error)?;
        Ok(ParquetFile { writer, schema })
    }

    /// Writes rows until the file has `bytes_max`; answers how many.
    pub async fn write(&mut self, batch: &RecordBatch, bytes_max: u64) -> Result<usize> {
        let fields = self.schema.fields().iter();
        let columns = fields.zip(batch.columns()).map(|(field, column)| cast(column, field.data_type()));
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(|error| Error::unsupported(error.to_string()))?;
        let batch = RecordBatch::try_new(self.schema.clone(), columns).map_err(Error::internal)?;
        let mut written = 0;
        while written < batch.num_rows() && !self.is_full(bytes_max) {
            let rows = STEP_ROWS.min(batch.num_rows() - written);
            self.writer.write(&batch.slice(written, rows)).await.map_err(write_error)?;
            written += rows;
        }
        Ok(written)
    }

    pub fn is_full(&self, bytes_max: u64) -> bool {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64 >= bytes_max
    }

    /// Completes the file; answers its size.
    pub async fn finish(mut self) -> Result<u64> {
        self.writer.finish().await.map_err(write_error)?;
        Ok(self.writer.bytes_written() as u64)
    }

    pub async fn abort(self) {
        upload::abort(&mut self.writer.into_inner()).await;
    }
}

fn write_error(error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<object_store::Error>() {
            Ok(error) => store_error(*error),
            Err(source) => Error::internal(source),
        },
        ParquetError::NYI(message) | ParquetError::ArrowError(message) => Error::unsupported(message),
        error => Error::internal(error),
    }
}
