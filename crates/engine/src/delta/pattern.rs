//! `LIKE` and regular expressions on string columns, tried once per distinct value.
//!
//! Where every page of a column is dictionary-encoded, a scan reads keys and a dictionary in place of the strings. A
//! pattern is matched against the dictionary only, and each row looks up the outcome of its key.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::take::take;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::Like;
use datafusion::logical_expr::{BinaryExpr, ColumnarValue, Expr, Operator};
use datafusion::physical_expr::PhysicalExpr;
use parquet::basic::Encoding;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

/// Dictionaries whose outcomes are remembered: one per row group that partitions are reading.
const DICTIONARIES_MAX: usize = 16;

/// The column, if an expression is nothing but a pattern on one. A `LIKE` pattern with a literal beginning is left out:
/// bounds of files and row groups may rule it out, which is cheaper still.
pub(super) fn pattern_column(filter: &Expr) -> Option<&Column> {
    match filter {
        Expr::Like(Like { expr, pattern, .. }) => {
            let text = literal(pattern)?;
            text.starts_with(['%', '_']).then(|| expr.try_as_col()).flatten()
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            use Operator::{RegexIMatch, RegexMatch, RegexNotIMatch, RegexNotMatch};
            let is_regex = matches!(op, RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch);
            (is_regex && literal(right).is_some()).then(|| left.try_as_col()).flatten()
        }
        _ => None,
    }
}

fn literal(expr: &Expr) -> Option<&str> {
    expr.as_literal()?.try_as_str().flatten()
}

/// Whether the file holds a column as keys and dictionaries only; also if it does not have the column.
pub(super) fn is_dictionary_encoded(file: &ParquetMetaData, column: &str) -> bool {
    let only_keys = |chunk: &ColumnChunkMetaData| {
        let is_only = |encoding| chunk.page_encoding_stats_mask().is_some_and(|mask| mask.is_only(encoding));
        is_only(Encoding::RLE_DICTIONARY) || is_only(Encoding::PLAIN_DICTIONARY)
    };
    let chunks = file.row_groups().iter().flat_map(|group| group.columns());
    chunks.filter(|chunk| chunk.column_path().string() == column).all(only_keys)
}

/// The schema with the chosen columns as keys and dictionary.
pub(super) fn with_dictionaries(schema: &Schema, chosen: &[String]) -> SchemaRef {
    let field = |field: &Arc<Field>| {
        if !chosen.contains(field.name()) {
            return Arc::clone(field);
        }
        let ty = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        Arc::new(field.as_ref().clone().with_data_type(ty))
    };
    Arc::new(Schema::new_with_metadata(
        schema.fields().iter().map(field).collect::<Vec<_>>(),
        schema.metadata().clone(),
    ))
}

/// A predicate on one dictionary-encoded column that is evaluated once per dictionary.
#[derive(Debug)]
pub(super) struct OncePerValue {
    column: Arc<dyn PhysicalExpr>,
    /// Over [`values_schema`].
    predicate: Arc<dyn PhysicalExpr>,
    /// The type that it expects of the values.
    seen_as: DataType,
    /// Dictionaries and which of their values match, the latest last.
    outcomes: Mutex<Vec<(ArrayRef, BooleanArray)>>,
}

/// The one column that a predicate of [`OncePerValue`] sees.
pub(super) fn values_schema(field: &Field) -> Schema {
    Schema::new(vec![field.clone().with_nullable(true)])
}

impl OncePerValue {
    /// `predicate` sees one column of the type `seen_as`.
    pub fn new(column: Arc<dyn PhysicalExpr>, predicate: Arc<dyn PhysicalExpr>, seen_as: DataType) -> OncePerValue {
        OncePerValue { column, predicate, seen_as, outcomes: Mutex::default() }
    }

    /// Which values of a dictionary match.
    fn outcome(&self, values: &ArrayRef) -> Result<BooleanArray> {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        let data = values.to_data();
        if let Some((_, outcome)) = outcomes.iter().rev().find(|(known, _)| known.to_data().ptr_eq(&data)) {
            return Ok(outcome.clone());
        }
        let schema = values_schema(&Field::new("value", self.seen_as.clone(), true));
        let batch = RecordBatch::try_new(Arc::new(schema), vec![cast(values, &self.seen_as)?])?;
        let outcome = self.predicate.evaluate(&batch)?.into_array(values.len())?;
        let outcome = as_boolean_array(&outcome)?.clone();
        if outcomes.len() == DICTIONARIES_MAX {
            outcomes.remove(0);
        }
        outcomes.push((Arc::clone(values), outcome.clone()));
        Ok(outcome)
    }
}

impl PhysicalExpr for OncePerValue {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let column = self.column.evaluate(batch)?.into_array(batch.num_rows())?;
        let dictionary = column.as_any_dictionary();
        let outcome = self.outcome(dictionary.values())?;
        Ok(ColumnarValue::Array(take(&outcome, dictionary.keys(), None)?))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.column]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let column = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.column));
        Ok(Arc::new(OncePerValue::new(column, Arc::clone(&self.predicate), self.seen_as.clone())))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.predicate.fmt_sql(f)
    }
}

impl fmt::Display for OncePerValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} once per value of {}", self.predicate, self.column)
    }
}

impl PartialEq for OncePerValue {
    fn eq(&self, other: &OncePerValue) -> bool {
        self.column.eq(&other.column) && self.predicate.eq(&other.predicate)
    }
}

impl Eq for OncePerValue {}

impl Hash for OncePerValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.column.hash(state);
        self.predicate.hash(state);
    }
}
