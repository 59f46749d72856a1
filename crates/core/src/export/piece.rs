//! Rows in the form in which a file takes them, cut where a file is full.

use arrow_array::RecordBatch;

use super::csv::CsvRows;
use super::file::Piece;
use super::ndjson::JsonRows;
use super::options::Format;
use super::parquet;
use crate::error::Result;

/// The rows of a batch as text, one by one.
pub(super) trait TextRows {
    /// Appends a row to `out`, with its line break.
    fn write(&mut self, row: usize, out: &mut String) -> Result<()>;
}

/// Rows that no file has taken yet.
pub(super) enum Encoded {
    Text(Lines),
    Columns {
        batch: RecordBatch,
        /// About the bytes of one.
        row_bytes: u64,
    },
}

/// Lines of text.
pub(super) struct Lines {
    text: String,
    /// Where each line ends.
    ends: Vec<usize>,
    /// Lines that were taken.
    taken: usize,
}

/// Rows for one file.
pub(super) struct Taken {
    pub piece: Piece,
    pub rows: usize,
    /// Before compression.
    pub bytes: u64,
}

impl Encoded {
    pub fn new(format: &Format, batch: &RecordBatch, row_bytes: usize) -> Result<Encoded> {
        Ok(match format {
            Format::Csv(form) => Encoded::Text(Lines::new(CsvRows::new(batch, form), batch.num_rows())?),
            Format::Ndjson => Encoded::Text(Lines::new(JsonRows::new(batch)?, batch.num_rows())?),
            Format::Parquet => Encoded::Columns { batch: parquet::physical(batch)?, row_bytes: row_bytes as u64 },
        })
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Encoded::Text(lines) => lines.ends.len() - lines.taken,
            Encoded::Columns { batch, .. } => batch.num_rows(),
        }
    }

    /// Takes at most `rows_max` rows from the front, and none after the one that reaches `bytes_max`.
    pub fn take(&mut self, rows_max: usize, bytes_max: u64) -> Taken {
        match self {
            Encoded::Text(lines) => lines.take(rows_max, bytes_max),
            Encoded::Columns { batch, row_bytes } => {
                let within = usize::try_from(bytes_max.div_ceil(*row_bytes)).unwrap_or(usize::MAX);
                let rows = batch.num_rows().min(rows_max).min(within);
                let piece = Piece::Columns(batch.slice(0, rows));
                *batch = batch.slice(rows, batch.num_rows() - rows);
                Taken { piece, rows, bytes: *row_bytes * rows as u64 }
            }
        }
    }
}

impl Lines {
    fn new(mut rows: impl TextRows, count: usize) -> Result<Lines> {
        let (mut text, mut ends) = (String::new(), Vec::with_capacity(count));
        for row in 0..count {
            rows.write(row, &mut text)?;
            ends.push(text.len());
        }
        Ok(Lines { text, ends, taken: 0 })
    }

    fn take(&mut self, rows_max: usize, bytes_max: u64) -> Taken {
        let start = self.taken.checked_sub(1).map_or(0, |last| self.ends[last]);
        let left = &self.ends[self.taken..];
        let within = left.partition_point(|end| ((end - start) as u64) < bytes_max);
        let rows = (within + 1).min(left.len()).min(rows_max);
        let end = left[..rows].last().copied().unwrap_or(start);
        self.taken += rows;
        let text = match (start, end == self.text.len()) {
            (0, true) => std::mem::take(&mut self.text),
            _ => self.text[start..end].to_string(),
        };
        Taken { piece: Piece::Text(text), rows, bytes: (end - start) as u64 }
    }
}
