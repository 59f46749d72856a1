//! One file, written by a task of its own.

use std::sync::Arc;

use arrow_array::RecordBatch;
use object_store::ObjectStore;
use object_store::path::Path;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::options::ExportOptions;
use super::parquet::ParquetFile;
use super::piece::Encoded;
use super::text::TextFile;
use crate::error::{Error, Result};

/// Some rows of a file.
pub(super) enum Piece {
    Text(String),
    Columns(RecordBatch),
}

/// A file under way.
pub(super) enum File {
    Text(Box<TextFile>),
    Parquet(Box<ParquetFile>),
}

impl File {
    /// A file for rows of this form.
    pub fn new(rows: &Encoded, options: &ExportOptions, store: Arc<dyn ObjectStore>, path: Path) -> Result<File> {
        Ok(match rows {
            Encoded::Text(_) => File::Text(Box::new(TextFile::new(options, store, path))),
            Encoded::Columns { batch, .. } => {
                File::Parquet(Box::new(ParquetFile::new(options.compression, batch.schema(), store, path)?))
            }
        })
    }

    /// Writes all pieces that come; answers the size of the file. Once it is given up, there is none.
    pub async fn write_all(mut self, pieces: mpsc::Receiver<Piece>, given_up: CancellationToken) -> Result<u64> {
        let written = tokio::select! {
            biased;
            () = given_up.cancelled() => Err(Error::canceled()),
            written = self.take(pieces) => written,
        };
        match written {
            Ok(()) if !given_up.is_cancelled() => self.finish().await,
            Ok(()) => Err(self.abort(Error::canceled()).await),
            Err(error) => Err(self.abort(error).await),
        }
    }

    async fn take(&mut self, mut pieces: mpsc::Receiver<Piece>) -> Result<()> {
        while let Some(piece) = pieces.recv().await {
            match (&mut *self, piece) {
                (File::Text(file), Piece::Text(text)) => file.write(text).await?,
                (File::Parquet(file), Piece::Columns(batch)) => file.write(&batch).await?,
                _ => return Err(Error::internal("rows of another form")),
            }
        }
        Ok(())
    }

    async fn finish(self) -> Result<u64> {
        match self {
            File::Text(file) => file.finish().await,
            File::Parquet(file) => file.finish().await,
        }
    }

    async fn abort(self, error: Error) -> Error {
        match self {
            File::Text(file) => file.abort().await,
            File::Parquet(file) => file.abort().await,
        }
        error
    }
}
