//! From rows to files.

use std::sync::Arc;

use arrow_array::RecordBatch;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::options::{ExportOptions, Format};
use super::parquet::ParquetFile;
use super::text::TextFile;
use crate::error::{Error, Result};
use crate::rows::RowStream;

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exported {
    pub name: String,
    pub rows: u64,
    pub bytes: u64,
}

/// Where the files go and what they are called.
pub(crate) struct Place {
    pub store: Arc<dyn ObjectStore>,
    /// The storage as errors name it.
    pub uri: String,
    /// Such as `export16808a04292505c80000000000000001-n1`.
    pub prefix: String,
}

impl Place {
    /// The error with the storage's name, if it is the storage's.
    fn named_in(&self, error: Error) -> Error {
        let classes = ["08", "28", "53", "58"];
        let is_of_storage = classes.iter().any(|class| error.code().code().starts_with(class));
        if is_of_storage { error.prefixed(&self.uri) } else { error }
    }
}

/// Starts an export; it stops when `stop` fires. It runs as a task, so that it can clean up whatever becomes of the
/// statement.
pub(crate) fn start(
    rows: RowStream,
    options: ExportOptions,
    place: Place,
    stop: CancellationToken,
) -> JoinHandle<Result<Vec<Exported>>> {
    tokio::spawn(async move {
        let mut export = Export { options, place, file: None, written: Vec::new() };
        let outcome = tokio::select! {
            biased;
            () = stop.cancelled() => Err(Error::canceled()),
            outcome = export.write_all(rows) => outcome,
        };
        match outcome {
            Ok(()) => Ok(export.written),
            Err(error) => {
                export.clean_up().await;
                Err(error)
            }
        }
    })
}

enum File {
    Text(Box<TextFile>),
    Parquet(Box<ParquetFile>),
}

struct Export {
    options: ExportOptions,
    place: Place,
    /// The file under way and its rows.
    file: Option<(File, u64)>,
    written: Vec<Exported>,
}

impl Export {
    async fn write_all(&mut self, mut rows: RowStream) -> Result<()> {
        while let Some(batch) = rows.batches.next().await {
            let batch = batch?;
            let mut done = 0;
            while done < batch.num_rows() {
                let written = self.write_some(&batch.slice(done, batch.num_rows() - done)).await;
                done += written.map_err(|error| self.place.named_in(error))?;
            }
        }
        self.finish_file().await.map_err(|error| self.place.named_in(error))
    }

    /// Writes the beginning of a batch into the file under way; answers how many rows.
    async fn write_some(&mut self, batch: &RecordBatch) -> Result<usize> {
        if self.file.is_none() {
            self.file = Some((self.open_file(batch)?, 0));
        }
        let Some((file, rows)) = &mut self.file else { return Ok(0) };
        let bytes_max = self.options.chunk_bytes;
        let room = usize::try_from(self.options.chunk_rows - *rows).unwrap_or(usize::MAX);
        let batch = batch.slice(0, room.min(batch.num_rows()));
        let (written, is_full) = match file {
            File::Text(file) => (file.write(&batch, bytes_max).await?, file.is_full(bytes_max)),
            File::Parquet(file) => (file.write(&batch, bytes_max).await?, file.is_full(bytes_max)),
        };
        *rows += written as u64;
        if is_full || *rows >= self.options.chunk_rows {
            self.finish_file().await?;
        }
        Ok(written)
    }

    fn open_file(&self, batch: &RecordBatch) -> Result<File> {
        let (store, path) = (self.place.store.clone(), Path::from(self.next_name()));
        Ok(match self.options.format {
            Format::Csv { .. } | Format::Ndjson => File::Text(Box::new(TextFile::new(&self.options, store, path))),
            Format::Parquet => {
                File::Parquet(Box::new(ParquetFile::new(&self.options, batch.schema_ref(), store, path)?))
            }
        })
    }

    fn next_name(&self) -> String {
        format!("{}.{}.{}", self.place.prefix, self.written.len(), self.options.extension())
    }

    async fn finish_file(&mut self) -> Result<()> {
        let Some((file, rows)) = self.file.take() else { return Ok(()) };
        let name = self.next_name();
        // Counted before it is complete, so that a file whose last request failed is cleaned up too.
        self.written.push(Exported { name, rows, bytes: 0 });
        let bytes = match file {
            File::Text(file) => file.finish().await?,
            File::Parquet(file) => file.finish().await?,
        };
        if let Some(last) = self.written.last_mut() {
            last.bytes = bytes;
        }
        Ok(())
    }

    /// Deletes what was written; what cannot be deleted is named in the log.
    async fn clean_up(&mut self) {
        match self.file.take() {
            Some((File::Text(file), _)) => file.abort().await,
            Some((File::Parquet(file), _)) => file.abort().await,
            None => {}
        }
        for file in self.written.drain(..) {
            match self.place.store.delete(&Path::from(file.name.as_str())).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => {
                    let error = lakeport_connect::Error::from(error);
                    tracing::info!(file = file.name, %error, "file of a failed export not deleted");
                }
            }
        }
    }
}
