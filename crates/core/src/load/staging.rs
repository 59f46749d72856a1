//! The rows of files, staged part by part, and what becomes of files with errors.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use lakeport_base::name::printable;
use lakeport_sql::stmt::load::OnError;
use object_store::path::Path;

use crate::databend::Number;
use crate::engine::StagedRows;
use crate::error::{Error, Result};
use crate::import::Extent;
use crate::import::part::{Part, Start};
use crate::import::source::SourceFile;
use crate::import::staging::{Fresh, Stager};
use crate::import::tally::{Fault, Tally};

/// Files on their way into a table.
pub(crate) struct Loading {
    stager: Arc<Stager>,
    on_error: OnError,
    /// By the place of a file in the statement's order.
    tallies: Vec<Tally>,
    /// In all files.
    errors: u64,
    index_of: HashMap<Path, usize>,
    /// The staged parts, those of a range with its file.
    parts: Vec<(Option<usize>, Fresh)>,
}

/// How many errors may be in one part.
pub(crate) fn errors_max(on_error: OnError) -> u64 {
    match on_error {
        OnError::Abort(count) => count,
        OnError::Continue | OnError::SkipFile(_) => u64::MAX,
    }
}

impl Loading {
    pub fn new(stager: Arc<Stager>, on_error: OnError, files: &[SourceFile]) -> Loading {
        let index_of = files.iter().enumerate().map(|(index, file)| (file.meta.location.clone(), index)).collect();
        Loading {
            stager,
            on_error,
            tallies: vec![Tally::default(); files.len()],
            errors: 0,
            index_of,
            parts: Vec::new(),
        }
    }

    /// Reads and stages all parts.
    ///
    /// # Errors
    /// [1046] for too many errors in the files; then nothing is staged.
    pub async fn stage(&mut self, parts: Vec<Part>) -> Result<()> {
        let staged = self.stage_parts(parts).await;
        if staged.is_err() {
            self.discard(|_| true).await;
        }
        staged?;
        // What was staged of a file before its errors were too many.
        let left_out: Vec<bool> = self.tallies.iter().map(|tally| self.leaves_out(tally)).collect();
        self.discard(|file| file.is_some_and(|file| left_out[file])).await;
        Ok(())
    }

    async fn stage_parts(&mut self, parts: Vec<Part>) -> Result<()> {
        let stager = Arc::clone(&self.stager);
        let mut found = pin!(stager.stage_all(parts));
        let mut before: Option<Extent> = None;
        while let Some((part, outcome)) = found.next().await {
            let of = self.range_of(&part);
            if of.is_some_and(|file| self.tallies[file].is_broken) {
                // Where its next record starts is not known.
                continue;
            }
            let mut fresh = stager.confirmed(&part, outcome, before.as_ref()).await?;
            before = Some(fresh.extent);
            for (file, tally) in part.files().iter().zip(std::mem::take(&mut fresh.tallies)) {
                let index = self.index(file);
                self.errors += tally.errors;
                self.tallies[index].extend(tally);
                self.require_few(file, index)?;
            }
            if let Some(fresh) = self.without_left_out(&part, fresh).await? {
                self.parts.push((of, fresh));
            }
        }
        Ok(())
    }

    fn index(&self, file: &SourceFile) -> usize {
        self.index_of.get(&file.meta.location).copied().unwrap_or_default()
    }

    /// The file that a part is a range of.
    fn range_of(&self, part: &Part) -> Option<usize> {
        match part {
            Part::Files(_) => None,
            Part::Range(file, _) => Some(self.index(file)),
        }
    }

    /// # Errors
    /// [1046] once there are too many errors in all.
    fn require_few(&self, file: &SourceFile, index: usize) -> Result<()> {
        let OnError::Abort(max) = self.on_error else { return Ok(()) };
        match &self.tallies[index].last {
            Some(last) if self.errors >= max => Err(aborted(max, &file.meta.location, last)),
            _ => Ok(()),
        }
    }

    /// A part of whole files without the rows of those that are left out, which are read again without these.
    async fn without_left_out(&self, part: &Part, fresh: Fresh) -> Result<Option<Fresh>> {
        let Part::Files(files) = part else { return Ok(Some(fresh)) };
        let stays = |file: &&SourceFile| !self.leaves_out(&self.tallies[self.index(file)]);
        let left: Vec<SourceFile> = files.iter().filter(stays).cloned().collect();
        if left.len() == files.len() {
            return Ok(Some(fresh));
        }
        drop(fresh);
        if left.is_empty() {
            return Ok(None);
        }
        self.stager.stage(&Part::Files(left), Start::OF_FILE).await.map(Some)
    }

    fn leaves_out(&self, tally: &Tally) -> bool {
        tally.is_broken || matches!(self.on_error, OnError::SkipFile(max) if tally.errors >= max)
    }

    /// What was found in each file, in their order, of those that are left out no rows; and whether the file is loaded,
    /// which one of errors alone is not.
    pub fn tallies(&self) -> impl Iterator<Item = (bool, Tally)> {
        self.tallies.iter().map(|tally| match self.leaves_out(tally) {
            true => (false, Tally { rows: 0, ..tally.clone() }),
            false => (tally.rows > 0 || tally.errors == 0, tally.clone()),
        })
    }

    /// The rows to append, which stay from here on.
    pub fn into_rows(self) -> Vec<StagedRows> {
        self.parts.into_iter().map(|(_, fresh)| fresh.claim().rows).collect()
    }

    /// Deletes what was staged of ranges of some files, or of whole files.
    async fn discard(&mut self, is_meant: impl Fn(Option<usize>) -> bool) {
        let (gone, left) = std::mem::take(&mut self.parts).into_iter().partition(|(file, _)| is_meant(*file));
        self.parts = left;
        let gone: Vec<(Option<usize>, Fresh)> = gone;
        let rows: Vec<StagedRows> = gone.into_iter().map(|(_, fresh)| fresh.claim().rows).collect();
        if !rows.is_empty() {
            self.stager.discard(&rows).await;
        }
    }
}

/// [1046]
fn aborted(max: u64, file: &Path, fault: &Fault) -> Error {
    let many = if max > 1 { format!("abort after {max} errors! the last error: ") } else { String::new() };
    let line = fault.record.map_or_else(String::new, |record| format!(", line {record}"));
    let message = format!("{many}{}\nat file '{}'{line}", fault.message, printable(file.as_ref()));
    let leaves_out = match fault.record {
        Some(_) => "ON_ERROR = CONTINUE leaves out rows that do not fit",
        None => "ON_ERROR = SKIP_FILE leaves out files that cannot be loaded",
    };
    let hint = fault.hint.clone().unwrap_or_else(|| leaves_out.to_string());
    Error::new(fault.code, message).numbered(Number::BAD_BYTES).with_hint(hint)
}
