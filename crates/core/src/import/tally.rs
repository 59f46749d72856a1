//! Counts of rows that were read and of rows that do not fit, file by file.

use lakeport_base::Sqlstate;

use super::batch::Sink;
use super::part::{Extent, Part, Start};
use super::read::{Found, Plan, read_file, read_range};
use super::source::SourceFile;
use super::text::LeaveOut;
use crate::error::{Error, Result};
use crate::stage::looks::{self, ReadAs};

/// What reading a file, or a range of it, has found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub rows: u64,
    pub errors: u64,
    pub first: Option<Fault>,
    pub last: Option<Fault>,
    /// The file could not be read to its end: of its rows none shall count.
    pub is_broken: bool,
}

/// What is wrong with a row.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub code: Sqlstate,
    pub message: String,
    pub hint: Option<String>,
    /// Counted from 1; `None` where it is the file as such.
    pub record: Option<u64>,
}

impl Tally {
    /// Counts an error.
    pub fn add(&mut self, record: Option<u64>, error: &Error) {
        let hint = error.hint().map(str::to_string);
        let fault = Fault { code: error.code(), message: error.message().to_string(), hint, record };
        self.errors += 1;
        self.first.get_or_insert_with(|| fault.clone());
        self.last = Some(fault);
    }

    /// Adds the remedy for a file that looks like another than it is read as.
    async fn add_remedy(&mut self, plan: &Plan, file: &SourceFile) {
        let (Some(first), Some(ty)) = (&self.first, plan.options.format.file_type()) else { return };
        let decompress = plan.options.decompress.of_file(file.meta.location.as_ref());
        if let Some(remedy) = looks::remedy(first.code, file, ReadAs { ty, decompress }).await {
            for fault in self.first.iter_mut().chain(&mut self.last) {
                fault.hint = Some(remedy.clone());
            }
        }
    }

    /// Adds what was found in the next range of the same file.
    pub fn extend(&mut self, next: Tally) {
        self.rows += next.rows;
        self.errors += next.errors;
        self.first = self.first.take().or(next.first);
        self.last = next.last.or_else(|| self.last.take());
        self.is_broken |= next.is_broken;
    }

    /// Counts records from the start of the file, of which so many lie before.
    pub fn after(mut self, records: u64) -> Tally {
        for fault in self.first.iter_mut().chain(&mut self.last) {
            fault.record = fault.record.map(|record| record + records);
        }
        self
    }
}

/// Rows that do not fit, up to a number.
struct Counted<'a> {
    tally: &'a mut Tally,
    /// In the part so far.
    errors: &'a mut u64,
    errors_max: u64,
}

impl LeaveOut for Counted<'_> {
    /// # Errors
    /// The one that is one too many.
    fn leave_out(&mut self, record: u64, _: &[u8], error: Error) -> Result<()> {
        self.tally.add(Some(record), &error);
        *self.errors += 1;
        if *self.errors >= self.errors_max { Err(error) } else { Ok(()) }
    }
}

/// Whether an error is that of a file's content, and not that of its storage or of the server.
fn is_of_content(error: &Error) -> bool {
    let code = error.code();
    let others = [
        Sqlstate::NOT_NULL_VIOLATION,
        Sqlstate::UNDEFINED_COLUMN,
        Sqlstate::DATATYPE_MISMATCH,
        Sqlstate::PROGRAM_LIMIT_EXCEEDED,
        Sqlstate::FEATURE_NOT_SUPPORTED,
    ];
    (code.code().starts_with("22") && code != Sqlstate::INVALID_PARAMETER_VALUE) || others.contains(&code)
}

/// Reads a part. Once there are too many errors the rest of it is not read; the tallies tell.
///
/// # Errors
/// Those of the storage and the like.
pub(super) async fn read(plan: &Plan, part: &Part, start: Start, errors_max: u64, sink: &Sink) -> Result<Found> {
    let (mut extent, mut tallies, mut errors) = (Extent::default(), Vec::new(), 0);
    for file in part.files() {
        let (mut tally, before) = (Tally::default(), sink.rows_sent());
        let mut counted = Counted { tally: &mut tally, errors: &mut errors, errors_max };
        let read = match part {
            Part::Files(_) => read_file(plan, file, Some(&mut counted), sink).await,
            Part::Range(_, range) => {
                let read = read_range(plan, file, start, range.end, Some(&mut counted), sink).await;
                read.map(|read| extent = read)
            }
        };
        match read {
            Err(_) if errors >= errors_max => {}
            Err(error) if is_of_content(&error) => {
                errors += 1;
                tally.add(None, &error);
                tally.is_broken = true;
            }
            read => read?,
        }
        tally.rows = sink.rows_sent() - before;
        let is_last = errors >= errors_max;
        if is_last {
            tally.add_remedy(plan, file).await;
        }
        tallies.push(tally);
        if is_last {
            break;
        }
    }
    Ok(Found { extent, tallies })
}
