//! Rows to Parquet. Columns have the physical types of tables: UUID and JSONB are strings, times are microseconds.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_cast::cast;
use arrow_schema::{Field, Schema, SchemaRef};
use lakeport_base::limits::NUMBER_DICTIONARY_BYTES_MAX;
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::AsyncArrowWriter;
use parquet::basic;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::options::Compression;
use super::upload;
use crate::error::{Error, Result};
use crate::external::store_error;
use crate::rows::{arrow_field, sql_type};

/// Rows encoded between two looks at what else there is to do.
const STEP_ROWS: usize = 1024;

/// A Parquet file under way.
pub(super) struct ParquetFile {
    writer: AsyncArrowWriter<BufWriter>,
}

impl ParquetFile {
    pub fn new(
        compression: Compression,
        schema: SchemaRef,
        store: Arc<dyn ObjectStore>,
        path: Path,
    ) -> Result<ParquetFile> {
        let compression = match compression {
            Compression::None => basic::Compression::UNCOMPRESSED,
            Compression::Gzip => basic::Compression::GZIP(basic::GzipLevel::default()),
            Compression::Snappy => basic::Compression::SNAPPY,
            Compression::Zstd => basic::Compression::ZSTD(basic::ZstdLevel::default()),
        };
        let mut properties = WriterProperties::builder().set_compression(compression);
        for field in schema.fields().iter().filter(|field| field.data_type().is_primitive()) {
            let column = ColumnPath::new(vec![field.name().clone()]);
            properties = properties.set_column_dictionary_page_size_limit(column, NUMBER_DICTIONARY_BYTES_MAX);
        }
        let output = upload::writer(store, path);
        let writer = AsyncArrowWriter::try_new(output, schema, Some(properties.build())).map_err(write_error)?;
        Ok(ParquetFile { writer })
    }

    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        for start in (0..batch.num_rows()).step_by(STEP_ROWS) {
            let rows = STEP_ROWS.min(batch.num_rows() - start);
            self.writer.write(&batch.slice(start, rows)).await.map_err(write_error)?;
            tokio::task::yield_now().await;
        }
        Ok(())
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

/// A batch in the physical types of tables.
pub(super) fn physical(batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = batch.schema();
    let fields = schema.fields().iter().map(|field| physical_field(field)).collect::<Result<Vec<_>>>()?;
    let schema = Arc::new(Schema::new(fields));
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| cast(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(|error| Error::unsupported(error.to_string()))?;
    RecordBatch::try_new(schema.clone(), columns).map_err(Error::internal)
}

fn physical_field(field: &Field) -> Result<Field> {
    let ty = sql_type(field);
    if ty.has_intervals() {
        let message = format!("column {:?} of type {ty} cannot be written as parquet", field.name());
        return Err(Error::unsupported(message).with_hint("cast it to STRING"));
    }
    Ok(arrow_field(field.name(), &ty, field.is_nullable()))
}

fn write_error(error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<object_store::Error>() {
            Ok(error) => store_error(*error),
            // What the last bytes meet comes as an I/O error.
            Err(source) => match source.downcast::<std::io::Error>() {
                Ok(error) => upload::io_error(*error),
                Err(source) => Error::internal(source),
            },
        },
        ParquetError::NYI(message) | ParquetError::ArrowError(message) => Error::unsupported(message),
        error => Error::internal(error),
    }
}
