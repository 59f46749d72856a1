//! Which files of a table may hold rows that a predicate asks for, by what the log tells of them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, UInt64Array};
use arrow_schema::{Schema, SchemaRef};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, Result, ScalarValue, Statistics};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;

/// The indexes of the files, by what is known of each, that may hold rows for which `predicate`, on the columns of
/// `schema`, is true.
pub(crate) fn files_that_match(
    files: Vec<Arc<Statistics>>,
    schema: &SchemaRef,
    predicate: Arc<dyn PhysicalExpr>,
) -> Result<Vec<usize>> {
    let all = 0..files.len();
    // The one file is looked at anyway.
    if files.len() < 2 {
        return Ok(all.collect());
    }
    let predicate = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).try_build(predicate)?;
    if predicate.always_true() {
        return Ok(all.collect());
    }
    let known = Known { files, schema };
    let may_match = predicate.prune(&known)?;
    Ok(may_match.iter().enumerate().filter(|(_, may_match)| **may_match).map(|(index, _)| index).collect())
}

/// What the log tells of the columns of files.
struct Known<'a> {
    files: Vec<Arc<Statistics>>,
    schema: &'a Schema,
}

impl Known<'_> {
    /// One value a file, NULL where it is not known.
    fn bounds(
        &self,
        column: &Column,
        bound: impl Fn(&ColumnStatistics) -> &Precision<ScalarValue>,
    ) -> Option<ArrayRef> {
        let (index, field) = self.schema.column_with_name(&column.name)?;
        let unknown = ScalarValue::try_from(field.data_type()).ok()?;
        let value = |file: &Arc<Statistics>| {
            let bound = file.column_statistics.get(index).and_then(|column| bound(column).get_value());
            bound.cloned().unwrap_or_else(|| unknown.clone())
        };
        ScalarValue::iter_to_array(self.files.iter().map(value)).ok()
    }
}

impl PruningStatistics for Known<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |column| &column.min_value)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |column| &column.max_value)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let index = self.schema.index_of(&column.name).ok()?;
        let nulls = |file: &Arc<Statistics>| count(&file.column_statistics.get(index)?.null_count);
        Some(Arc::new(self.files.iter().map(nulls).collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.files.iter().map(|file| count(&file.num_rows)).collect::<UInt64Array>()))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

fn count(count: &Precision<usize>) -> Option<u64> {
    count.get_value().map(|count| *count as u64)
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field};
    use datafusion::common::DFSchema;
    use datafusion::logical_expr::{Expr, col, lit};
    use datafusion::prelude::SessionContext;
    use deltalake::kernel::Add;

    use super::super::files::DataFile;
    use super::*;

    fn schema() -> SchemaRef {
        let field = |name, ty| Field::new(name, ty, true);
        let columns = vec![field("id", DataType::Int64), field("name", DataType::Utf8), field("x", DataType::Float64)];
        Arc::new(Schema::new(columns))
    }

    fn file(stats: &str) -> DataFile {
        DataFile::of(&Add { path: "f".into(), stats: Some(stats.into()), ..Add::default() }).unwrap()
    }

    fn matching(predicate: Expr) -> Vec<usize> {
        let bounds = |low: i64, high: i64| {
            file(&format!(
                r#"{{"numRecords":10,"minValues":{{"id":{low},"name":"n{low}","x":{low}}},
                "maxValues":{{"id":{high},"name":"n{high}","x":{high}}},"nullCount":{{"id":0,"name":0,"x":0}}}}"#
            ))
        };
        let files = [bounds(1, 3), bounds(3, 5), file("{}"), bounds(7, 9)];
        let columns = DFSchema::try_from(schema().as_ref().clone()).unwrap();
        let predicate = SessionContext::new().state().create_physical_expr(predicate, &columns).unwrap();
        let known = files.iter().map(|file| file.statistics(&schema())).collect();
        files_that_match(known, &schema(), predicate).unwrap()
    }

    #[test]
    fn bounds_rule_files_out() {
        assert_eq!(matching(col("id").eq(lit(3_i64))), [0, 1, 2]);
        assert_eq!(matching(col("id").gt(lit(5_i64))), [2, 3]);
        assert_eq!(matching(col("id").in_list(vec![lit(1_i64), lit(8_i64)], false)), [0, 2, 3]);
        assert_eq!(matching(col("name").eq(lit("n4")).and(col("id").lt(lit(100_i64)))), [1, 2]);
        assert_eq!(matching(col("id").is_null()), [2]);
    }

    #[test]
    fn bounds_of_long_decimals_are_rounded() {
        let add = r#"{"numRecords":1,"minValues":{"d":1e28},"maxValues":{"d":1e28},"nullCount":{"d":0}}"#;
        let bounds = |precision| file(add).bounds(&Field::new("d", DataType::Decimal128(precision, 0), true));
        assert!(bounds(38).is_none());
        assert!(file(&add.replace("1e28", "12")).bounds(&Field::new("d", DataType::Decimal128(15, 0), true)).is_some());
    }

    #[test]
    fn floats_are_not_told_apart() {
        assert_eq!(matching(col("x").eq(lit(3.0))), [0, 1, 2, 3]);
    }
}
