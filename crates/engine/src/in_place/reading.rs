//! Which files the partitions of a statement's scans are reading, so that an error can name what is broken.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use lakeport_base::Sqlstate;
use lakeport_core::Error;

use crate::error::from_datafusion;

/// The file that each partition has read last, by its name in messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading(Arc<Mutex<BTreeMap<usize, Arc<str>>>>);

/// The reader of one file in one partition.
pub(super) struct Mark {
    pub reading: Reading,
    pub partition: usize,
    pub uri: Arc<str>,
}

impl Mark {
    /// The file is the one that its partition reads now.
    pub fn set(&self) {
        let mut reading = self.reading.0.lock().unwrap_or_else(PoisonError::into_inner);
        reading.insert(self.partition, Arc::clone(&self.uri));
    }
}

impl Reading {
    /// Rows whose errors name the files that may have caused them.
    pub fn named(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let (schema, reading) = (rows.schema(), self.clone());
        let named = rows.map(move |batch| batch.map_err(|error| reading.explained(error)));
        Box::pin(RecordBatchStreamAdapter::new(schema, named))
    }

    fn explained(&self, error: DataFusionError) -> DataFusionError {
        let files = self.files();
        if files.is_empty() {
            return error;
        }
        let error = from_datafusion(error);
        let error = match (error.code(), files.as_slice()) {
            (Sqlstate::DATA_CORRUPTED, [file]) => {
                Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, format!("{file}: a broken Parquet file")).with_source(error)
            }
            (Sqlstate::DATA_CORRUPTED, _) => {
                let message = format!("a broken Parquet file, one of {}", files.join(", "));
                Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, message).with_source(error)
            }
            _ => error,
        };
        DataFusionError::External(Box::new(error))
    }

    fn files(&self) -> Vec<Arc<str>> {
        let reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut files: Vec<Arc<str>> = reading.values().cloned().collect();
        files.sort();
        files.dedup();
        files
    }
}
