//! Rows of text values on their way to the table.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use lakeport_base::SqlType;
use lakeport_base::limits::{BATCH_BYTES_MAX, BATCH_ROWS};
use lakeport_catalog::model::Column;
use tokio::sync::mpsc;

use super::rules::{FieldDefault, Rules};
use crate::error::{Error, Result};
use crate::rows::arrow_field;
use crate::value::ColumnBuilder;

/// The columns that files fill, in the order of the files.
#[derive(Clone)]
pub(crate) struct Target {
    pub columns: Arc<[Column]>,
    pub schema: SchemaRef,
    /// The index of the field that each takes, where records may have any number of fields.
    places: Option<Arc<[usize]>>,
    pub rules: Arc<Rules>,
}

impl Target {
    pub fn new(columns: Vec<Column>) -> Target {
        let fields: Vec<_> = columns.iter().map(|column| arrow_field(&column.name, &column.ty, true)).collect();
        Target { columns: columns.into(), schema: Arc::new(Schema::new(fields)), places: None, rules: Arc::default() }
    }

    /// Columns that take these fields of a record, and are NULL without them.
    pub fn of_fields(columns: Vec<Column>, places: Vec<usize>) -> Target {
        Target { places: Some(places.into()), ..Target::new(columns) }
    }

    pub fn with_rules(self, rules: Rules) -> Target {
        Target { rules: Arc::new(rules), ..self }
    }

    /// Whether a record may have so many fields.
    pub fn takes(&self, fields: usize) -> bool {
        self.places.is_some() || fields == self.columns.len()
    }

    /// The index of the field that a column takes.
    pub fn field_of(&self, column: usize) -> usize {
        self.places.as_ref().map_or(column, |places| places[column])
    }
}

/// Where readers put their batches.
#[derive(Clone)]
pub(crate) struct Sink {
    batches: mpsc::Sender<Result<RecordBatch>>,
    /// Rows that may still come, with `row_limit`; then there is one reader only.
    rows_left: Option<Arc<AtomicU64>>,
    /// Rows that came.
    rows_sent: Arc<AtomicU64>,
}

/// Whether more rows are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    More,
    Enough,
}

impl Sink {
    pub fn new(batches: mpsc::Sender<Result<RecordBatch>>, row_limit: Option<u64>) -> Sink {
        Sink { batches, rows_left: row_limit.map(|limit| Arc::new(AtomicU64::new(limit))), rows_sent: Arc::default() }
    }

    /// Rows that came so far.
    pub fn rows_sent(&self) -> u64 {
        self.rows_sent.load(Ordering::Relaxed)
    }

    /// Rows the next batch may have.
    pub fn batch_rows(&self) -> usize {
        let left = self.rows_left.as_ref().map_or(u64::MAX, |left| left.load(Ordering::Relaxed));
        BATCH_ROWS.min(usize::try_from(left).unwrap_or(BATCH_ROWS))
    }

    /// Passes a batch on; waits while the table's writer is busy. Rows over the limit are cut off.
    pub async fn send(&self, mut batch: RecordBatch) -> Wanted {
        let mut wanted = Wanted::More;
        if let Some(left) = &self.rows_left {
            let rows = usize::try_from(left.load(Ordering::Relaxed)).unwrap_or(usize::MAX).min(batch.num_rows());
            batch = batch.slice(0, rows);
            if left.fetch_sub(rows as u64, Ordering::Relaxed) == rows as u64 {
                wanted = Wanted::Enough;
            }
        }
        self.rows_sent.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        if batch.num_rows() > 0 && self.batches.send(Ok(batch)).await.is_err() {
            return Wanted::Enough;
        }
        wanted
    }

    /// Makes the writer stop; nobody listens any more if it has stopped already.
    pub async fn fail(&self, error: Error) {
        if self.batches.send(Err(error)).await.is_err() {
            tracing::debug!("the part has ended already");
        }
    }
}

/// A growing batch of the target's columns.
pub(crate) struct Rows {
    target: Target,
    builders: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
    /// Rows that are in the builders and shall not be in the batch.
    dropped: Vec<usize>,
}

impl Rows {
    pub fn new(target: &Target) -> Rows {
        let builders = target.columns.iter().map(|column| ColumnBuilder::new(&column.ty, BATCH_ROWS)).collect();
        Rows { target: target.clone(), builders, rows: 0, bytes: 0, dropped: Vec::new() }
    }

    /// Adds one value, NULL or text, to the row under way.
    ///
    /// # Errors
    /// `parse "column" as INT8: could not parse ...`; 23502
    pub fn push(&mut self, index: usize, text: Option<&str>) -> Result<()> {
        let column = &self.target.columns[index];
        let Some(text) = text else {
            if !column.nullable && self.target.rules.in_databend {
                return Err(self.target.refused_null(index));
            }
            self.builders[index].append_null();
            return Ok(());
        };
        self.bytes += text.len();
        match self.builders[index].append_text(text) {
            Err(_) if self.target.rules.lax_json && column.ty == SqlType::Jsonb => self.push(index, None),
            appended => appended.map_err(|error| self.target.refused_value(index, text, error.into())),
        }
    }

    /// Adds the default of a column to the row under way.
    ///
    /// # Errors
    /// 0A000 for one that is no constant.
    pub fn push_default(&mut self, index: usize) -> Result<()> {
        let rules = Arc::clone(&self.target.rules);
        match rules.default_of(index) {
            FieldDefault::Null => self.push(index, None),
            FieldDefault::Text(text) => self.push(index, Some(text)),
            FieldDefault::Computed => Err(self.target.no_constant(index)),
        }
    }

    /// Ends the row under way; every column must have got its value.
    pub fn end_row(&mut self) {
        self.rows += 1;
    }

    /// Takes back the row under way, of which some columns may have got their value.
    pub fn drop_row(&mut self) {
        let rows = self.rows;
        self.builders.iter_mut().filter(|builder| builder.len() == rows).for_each(ColumnBuilder::append_null);
        self.dropped.push(rows);
        self.rows += 1;
    }

    /// Passes the batch on when it is full, or in any case with `last`.
    pub async fn flush(&mut self, sink: &Sink, last: bool) -> Result<Wanted> {
        let is_full = self.rows >= sink.batch_rows() || self.bytes >= BATCH_BYTES_MAX;
        if self.rows == 0 || !(is_full || last) {
            return Ok(Wanted::More);
        }
        let arrays = self.builders.iter_mut().map(ColumnBuilder::finish).collect();
        let rows = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(self.target.schema.clone(), arrays, &rows);
        let mut batch = batch.map_err(Error::internal)?;
        if !self.dropped.is_empty() {
            let dropped = std::mem::take(&mut self.dropped);
            let kept: BooleanArray = (0..self.rows).map(|row| Some(dropped.binary_search(&row).is_err())).collect();
            batch = filter_record_batch(&batch, &kept).map_err(Error::internal)?;
        }
        (self.rows, self.bytes) = (0, 0);
        Ok(sink.send(batch).await)
    }
}
