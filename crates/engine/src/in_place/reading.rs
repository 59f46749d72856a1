//! Which files the partitions of a statement's scans are reading, so that an error can name what is broken.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use lakeport_base::Sqlstate;
use lakeport_core::Error;
use lakeport_core::in_place::FileSet;

use crate::error::from_datafusion;

/// What a statement reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading(Arc<Mutex<Read>>);

#[derive(Debug, Default)]
struct Read {
    sets: Vec<Arc<FileSet>>,
    /// The file that each partition of a set has read last, by its name in messages.
    last: BTreeMap<(usize, usize), Arc<str>>,
}

/// One set of files that a statement reads.
#[derive(Clone, Debug)]
pub(super) struct ReadSet {
    reading: Reading,
    /// Its place among all sets.
    at: usize,
}

impl ReadSet {
    /// The reader of one file in one partition.
    pub fn mark(&self, partition: usize, uri: &str) -> Mark {
        Mark { reading: self.reading.clone(), place: (self.at, partition), uri: uri.into() }
    }
}

/// The reader of one file in one partition of a set.
pub(super) struct Mark {
    reading: Reading,
    place: (usize, usize),
    uri: Arc<str>,
}

impl Mark {
    /// The file is the one that its partition reads now.
    pub fn set(&self) {
        self.reading.locked().last.insert(self.place, Arc::clone(&self.uri));
    }
}

impl Reading {
    /// Adds files that the statement reads.
    pub(super) fn add(&self, files: &Arc<FileSet>) -> ReadSet {
        let mut read = self.locked();
        read.sets.push(Arc::clone(files));
        ReadSet { reading: self.clone(), at: read.sets.len() - 1 }
    }

    /// Rows whose errors name the file that has caused them.
    pub fn named(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let (schema, reading) = (rows.schema(), self.clone());
        let named = rows.then(move |batch| {
            let reading = reading.clone();
            async move {
                match batch {
                    Err(error) => Err(reading.named_error(error).await),
                    batch => batch,
                }
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, named))
    }

    async fn named_error(&self, error: DataFusionError) -> DataFusionError {
        let files = self.files();
        if files.is_empty() {
            return error;
        }
        let error = from_datafusion(error);
        if error.code() != Sqlstate::DATA_CORRUPTED {
            return DataFusionError::External(Box::new(error));
        }
        let found = if files.len() == 1 { None } else { self.first_broken(&files).await };
        let named = found.unwrap_or_else(|| match files.as_slice() {
            [file] => broken(format!("{file}: a broken Parquet file")),
            _ => broken(format!("a broken Parquet file, one of {}", files.join(", "))),
        });
        DataFusionError::External(Box::new(named.with_source(error)))
    }

    /// Reads files again, one after the other, up to one that fails.
    async fn first_broken(&self, uris: &[Arc<str>]) -> Option<Error> {
        let sets = self.locked().sets.clone();
        for set in sets {
            let is_meant = |index: &usize| uris.iter().any(|uri| **uri == *set.files[*index].uri);
            for index in (0..set.files.len()).filter(is_meant) {
                let mut rows = set.rows(index, &[]);
                while let Some(batch) = rows.next().await {
                    if let Err(error) = batch {
                        return Some(error);
                    }
                }
            }
        }
        None
    }

    fn files(&self) -> Vec<Arc<str>> {
        let mut files: Vec<Arc<str>> = self.locked().last.values().cloned().collect();
        files.sort();
        files.dedup();
        files
    }

    fn locked(&self) -> MutexGuard<'_, Read> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn broken(message: String) -> Error {
    Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    use lakeport_core::stage::format::{FileFormat, FormatType};
    use object_store::memory::InMemory;

    #[test]
    fn partitions_of_several_sets_are_told_apart() {
        let set = || {
            let (store, format) = (Arc::new(InMemory::new()), FileFormat::of_type(FormatType::Parquet));
            let (identity, location) = ("s".into(), "s".into());
            Arc::new(FileSet {
                store,
                identity,
                location,
                has_empty: false,
                files: Vec::new(),
                format,
                positions: Vec::new(),
            })
        };
        let reading = Reading::default();
        let (one, other) = (reading.add(&set()), reading.add(&set()));
        for (set, uri) in [(&one, "@a/1"), (&other, "@b/1"), (&other, "@b/2")] {
            set.mark(0, uri).set();
        }
        assert_eq!(reading.files(), [Arc::<str>::from("@a/1"), Arc::from("@b/2")]);
    }
}
