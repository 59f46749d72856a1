//! `LIKE` and regular expressions on string columns, tried once per distinct value.
//!
//! Where every page of a column is dictionary-encoded, a scan reads keys and a dictionary in place of the strings. A
//! pattern is matched against the dictionary only, and each row looks up the outcome of its key.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::take::take;
use datafusion::catalog::Session;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::Like;
use datafusion::logical_expr::{BinaryExpr, ColumnarValue, Expr, Operator};
use datafusion::physical_expr::expressions::{self, cast as cast_to, col};
use datafusion::physical_expr::{PhysicalExpr, conjunction};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::{Encoding, Type};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::simple_like::SimpleLike;

/// Dictionaries whose outcomes are remembered: one per row group that partitions are reading.
const DICTIONARIES_MAX: usize = 16;

/// Columns that a scan reads as keys and dictionaries.
#[derive(Default)]
pub(crate) struct Encoded {
    pub columns: Vec<String>,
    /// How each file is to be read, in the order of the files; empty without columns.
    pub file_schemas: Vec<SchemaRef>,
}

impl Encoded {
    /// Those of the columns that patterns are on which all files hold so.
    pub fn of(file_schema: &Schema, patterns: &[Expr], footers: &[Arc<ParquetMetaData>]) -> Result<Encoded> {
        let columns: BTreeSet<&str> = patterns.iter().filter_map(|filter| string_column(file_schema, filter)).collect();
        let is_encoded = |column: &&&str| footers.iter().all(|footer| is_dictionary_encoded(footer, column));
        let columns: Vec<String> = columns.iter().filter(is_encoded).map(ToString::to_string).collect();
        if columns.is_empty() {
            return Ok(Encoded::default());
        }
        let file_schemas = footers.iter().map(|footer| {
            let file = footer.file_metadata();
            let schema = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())?;
            Ok(with_dictionaries(&schema, &columns))
        });
        let file_schemas = file_schemas.collect::<Result<_>>()?;
        Ok(Encoded { columns, file_schemas })
    }
}

/// The string column of files that a pattern is on.
pub(crate) fn string_column<'a>(file_schema: &Schema, filter: &'a Expr) -> Option<&'a str> {
    let column = pattern_column(filter)?;
    let field = file_schema.field_with_name(&column.name).ok()?;
    matches!(field.data_type(), DataType::Utf8 | DataType::Utf8View).then_some(&column.name)
}

/// Plans a scan of the rows that match patterns; `scan` plans that of columns, the encoded ones as they are.
pub(crate) fn matching(
    state: &dyn Session,
    schema: &SchemaRef,
    projection: Option<&Vec<usize>>,
    patterns: &[Expr],
    encoded: &Encoded,
    scan: impl FnOnce(&Vec<usize>) -> Result<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let wanted = projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect());
    let columns: BTreeSet<&str> = patterns.iter().filter_map(|filter| string_column(schema, filter)).collect();
    let mut read = wanted.clone();
    for column in &columns {
        let index = schema.index_of(column)?;
        if !read.contains(&index) {
            read.push(index);
        }
    }
    let rows = scan(&read)?;
    let row_schema = rows.schema();
    let predicates = patterns.iter().map(|pattern| {
        let column = string_column(schema, pattern).filter(|name| encoded.columns.iter().any(|known| known == name));
        match column {
            None => state.create_physical_expr(pattern.clone(), &DFSchema::try_from(row_schema.as_ref().clone())?),
            Some(name) => once_per_value(state, pattern, col(name, &row_schema)?, schema.field_with_name(name)?),
        }
    });
    let predicate = conjunction(predicates.collect::<Result<Vec<_>>>()?);
    let matching = Arc::new(FilterExec::try_new(predicate, rows)?);
    let shown = wanted.iter().enumerate().map(|(at, index)| {
        let field = schema.field(*index);
        let column: Arc<dyn PhysicalExpr> = Arc::new(expressions::Column::new(field.name(), at));
        Ok((cast_to(column, &row_schema, field.data_type().clone())?, field.name().clone()))
    });
    Ok(Arc::new(ProjectionExec::try_new(shown.collect::<Result<Vec<_>>>()?, matching)?))
}

/// A pattern that looks at each value of a dictionary once.
fn once_per_value(
    state: &dyn Session,
    pattern: &Expr,
    column: Arc<dyn PhysicalExpr>,
    field: &Field,
) -> Result<Arc<dyn PhysicalExpr>> {
    let values = DFSchema::try_from(values_schema(field))?;
    let predicate = state.create_physical_expr(pattern.clone(), &values)?;
    let like = SimpleLike::of(pattern);
    Ok(Arc::new(OncePerValue {
        column,
        predicate,
        like,
        seen_as: field.data_type().clone(),
        outcomes: Mutex::default(),
    }))
}

/// The column, if an expression is nothing but a pattern on one. A `LIKE` pattern with a literal beginning is left out:
/// bounds of files and row groups may rule it out, which is cheaper still.
fn pattern_column(filter: &Expr) -> Option<&Column> {
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
fn is_dictionary_encoded(file: &ParquetMetaData, column: &str) -> bool {
    let only_keys = |chunk: &ColumnChunkMetaData| {
        // Other types may be read as texts too.
        if chunk.column_type() != Type::BYTE_ARRAY {
            return false;
        }
        let is_only = |encoding| chunk.page_encoding_stats_mask().is_some_and(|mask| mask.is_only(encoding));
        is_only(Encoding::RLE_DICTIONARY) || is_only(Encoding::PLAIN_DICTIONARY)
    };
    let chunks = file.row_groups().iter().flat_map(|group| group.columns());
    chunks.filter(|chunk| chunk.column_path().string() == column).all(only_keys)
}

/// The schema with the chosen columns as keys and dictionary.
pub(crate) fn with_dictionaries(schema: &Schema, chosen: &[String]) -> SchemaRef {
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
struct OncePerValue {
    column: Arc<dyn PhysicalExpr>,
    /// Over [`values_schema`].
    predicate: Arc<dyn PhysicalExpr>,
    /// The same as `predicate`, for patterns that are so.
    like: Option<SimpleLike>,
    /// The type that `predicate` expects of the values.
    seen_as: DataType,
    /// Dictionaries and which of their values match, the latest last.
    outcomes: Mutex<Vec<(ArrayRef, BooleanArray)>>,
}

/// The one column that a predicate of [`OncePerValue`] sees.
fn values_schema(field: &Field) -> Schema {
    Schema::new(vec![field.clone().with_nullable(true)])
}

impl OncePerValue {
    /// Which values of a dictionary match.
    fn outcome(&self, values: &ArrayRef) -> Result<BooleanArray> {
        let data = values.to_data();
        let known = self.outcomes().iter().rev().find(|(known, _)| known.to_data().ptr_eq(&data)).cloned();
        if let Some((_, outcome)) = known {
            return Ok(outcome);
        }
        let outcome = self.tried(values)?;
        let mut outcomes = self.outcomes();
        if outcomes.len() == DICTIONARIES_MAX {
            outcomes.remove(0);
        }
        outcomes.push((Arc::clone(values), outcome.clone()));
        Ok(outcome)
    }

    /// Not held while values are tried: other partitions try others meanwhile.
    fn outcomes(&self) -> MutexGuard<'_, Vec<(ArrayRef, BooleanArray)>> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tried(&self, values: &ArrayRef) -> Result<BooleanArray> {
        if let (Some(like), Some(texts)) = (&self.like, values.as_string_opt::<i32>()) {
            return Ok(like.matches(texts));
        }
        let schema = values_schema(&Field::new("value", self.seen_as.clone(), true));
        let batch = RecordBatch::try_new(Arc::new(schema), vec![cast(values, &self.seen_as)?])?;
        let outcome = self.predicate.evaluate(&batch)?.into_array(values.len())?;
        Ok(as_boolean_array(&outcome)?.clone())
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
        let (predicate, like, seen_as) = (Arc::clone(&self.predicate), self.like.clone(), self.seen_as.clone());
        Ok(Arc::new(OncePerValue { column, predicate, like, seen_as, outcomes: Mutex::default() }))
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
