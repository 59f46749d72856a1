//! Queries of nothing but whole numbers, booleans and strings, such as the `SELECT 1` with which pools ask whether a
//! connection lives. They are answered as they stand, since planning would take most of the time.

use std::sync::{Arc, LazyLock};

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow_schema::{Field, Schema};
use datafusion::sql::parser::Statement;
use lakeport_core::rows::{arrow_field, sql_type};
use sqlparser::ast::{self, Expr, Query, Select, SelectItem, SetExpr, Value};

use crate::sql::{parse_query, shown_name};

/// A query that has a select list and nothing else, its list taken out.
static BARE: LazyLock<Option<Box<Query>>> = LazyLock::new(|| {
    let Ok(Statement::Statement(statement)) = parse_query("SELECT 1") else { return None };
    let ast::Statement::Query(mut query) = *statement else { return None };
    select_of(&mut query)?.projection.clear();
    Some(query)
});

/// The one row of such a query.
pub(crate) fn constants(statement: &Statement) -> Option<RecordBatch> {
    let Statement::Statement(statement) = statement else { return None };
    let ast::Statement::Query(query) = statement.as_ref() else { return None };
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let columns = select.projection.iter().map(constant).collect::<Option<Vec<_>>>()?;
    let mut rest = query.clone();
    select_of(&mut rest)?.projection.clear();
    if BARE.as_ref() != Some(&rest) {
        return None;
    }
    let (fields, values): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), values).ok()
}

fn select_of(query: &mut Query) -> Option<&mut Select> {
    match query.body.as_mut() {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}

fn constant(item: &SelectItem) -> Option<(Field, ArrayRef)> {
    let SelectItem::ExprWithAlias { expr: Expr::Value(value), alias } = item else { return None };
    let values: ArrayRef = match &value.value {
        Value::Number(digits, false) => Arc::new(Int64Array::from(vec![digits.parse::<i64>().ok()?])),
        Value::Boolean(value) => Arc::new(BooleanArray::from(vec![*value])),
        Value::SingleQuotedString(text) => Arc::new(StringArray::from(vec![text.as_str()])),
        _ => return None,
    };
    let plain = Field::new(shown_name(&alias.value), values.data_type().clone(), true);
    Some((arrow_field(plain.name(), &sql_type(&plain), true), values))
}

#[cfg(test)]
mod tests {
    use super::constants;
    use crate::sql::parse_query;

    #[test]
    fn only_bare_select_lists_of_literals_are_constants() {
        let answered = |sql: &str| constants(&parse_query(sql).expect("a query"));
        let row = answered("SELECT 1, 'x' AS b, true").expect("constants");
        let schema = row.schema();
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!((names, row.num_rows()), (vec!["?column?", "b", "?column?"], 1));
        for sql in [
            "SELECT 1 WHERE false",
            "SELECT 1 LIMIT 0",
            "SELECT 1 FROM t",
            "SELECT DISTINCT 1",
            "SELECT 1 UNION ALL SELECT 2",
            "WITH t AS (SELECT 2) SELECT 1",
            "SELECT 1 ORDER BY 1",
            "SELECT 1.5",
            "SELECT 9223372036854775808",
            "SELECT NULL",
            "SELECT now()",
            "SELECT -1",
            "EXPLAIN SELECT 1",
        ] {
            assert!(answered(sql).is_none(), "{sql}");
        }
    }
}
