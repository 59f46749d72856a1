//! SELECT of columns of one table by its whole primary key. Planning would take most of the time, so the row is looked
//! for in [pages](pages) of decoded values that stay in memory.

mod pages;

use std::sync::{Arc, LazyLock};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::{CastOptions, cast, cast_with_options};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::compute::concat_batches;
use datafusion::common::ScalarValue;
use datafusion::sql::parser::Statement;
use lakeport_base::limits::LOOKUP_PAGES_MAX;
use lakeport_base::{QualifiedName, SqlType};
use lakeport_catalog::model::{Column, Table};
use lakeport_core::Result;
use lakeport_core::engine::{QueryContext, Relation, TableHandle};
use lakeport_core::rows::{RowStream, arrow_field, arrow_type};
use lakeport_core::show::{definition, pg_catalog};
use lakeport_core::value::ColumnBuilder;
use sqlparser::ast::{
    self, BinaryOperator, Expr, ObjectName, ObjectNamePart, Query, SelectItem, SetExpr, TableFactor, UnaryOperator,
    Value, WildcardAdditionalOptions,
};

use crate::DataFusionEngine;
use crate::delta::files::DataFile;
use crate::delta::scan::stored_schema;
use crate::error::{from_arrow, from_datafusion};
use crate::sql::{folded, parse_query, shown_name};

pub(crate) use self::pages::Pages;
use self::pages::Reads;

/// A query of this form, as it was written.
pub(crate) struct Lookup {
    table: QualifiedName,
    shown: Shown,
    /// Columns with the value that each is to have.
    key: Vec<(String, Sought)>,
}

/// The select list.
enum Shown {
    All,
    /// Columns with the names that the client sees.
    Columns(Vec<(String, String)>),
}

/// A value as it was written.
enum Sought {
    Number(String),
    Text(String),
    /// By its position, from 0.
    Param(usize),
}

/// A lookup in a table that it fits.
struct Search<'a> {
    table: &'a TableHandle,
    /// The columns of the result.
    columns: Vec<&'a Column>,
    schema: SchemaRef,
    /// The key's columns, each with an array of its one value.
    key: Vec<(&'a Column, ArrayRef)>,
}

/// What a lookup leaves of a query that has its form.
static BARE: LazyLock<Option<Query>> = LazyLock::new(|| Some(taken_apart(&parse_query("SELECT a FROM t").ok()?)?.0));

/// The parts of a query that differ between lookups, after the rest of it.
fn taken_apart(statement: &Statement) -> Option<(Query, Vec<SelectItem>, ObjectName, Option<Expr>)> {
    let Statement::Statement(statement) = statement else { return None };
    let ast::Statement::Query(query) = statement.as_ref() else { return None };
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    if select.from.len() != 1 {
        return None;
    }
    let mut rest = query.as_ref().clone();
    let SetExpr::Select(select) = rest.body.as_mut() else { return None };
    let TableFactor::Table { name, .. } = &mut select.from.first_mut()?.relation else { return None };
    let name = std::mem::replace(name, ObjectName(Vec::new()));
    let (list, filter) = (std::mem::take(&mut select.projection), select.selection.take());
    Some((rest, list, name, filter))
}

impl Lookup {
    /// The lookup that a query is, if it has the form of one.
    pub fn of(statement: &Statement) -> Option<Lookup> {
        let (rest, list, name, filter) = taken_apart(statement)?;
        if BARE.as_ref() != Some(&rest) {
            return None;
        }
        let table = QualifiedName { parts: name.0.iter().map(part).collect::<Option<_>>()? };
        let schema = table.qualifiers().last().map_or(pg_catalog::SCHEMA, String::as_str);
        if list.is_empty() || definition::find(schema, table.name()).is_some() {
            return None;
        }
        let shown = match list.as_slice() {
            [SelectItem::Wildcard(options)] if *options == WildcardAdditionalOptions::default() => Shown::All,
            items => Shown::Columns(items.iter().map(|item| shown(item, &table)).collect::<Option<_>>()?),
        };
        let mut key = Vec::new();
        add_conditions(&filter?, &table, &mut key)?;
        Some(Lookup { table, shown, key })
    }

    /// The search in a table, if the lookup is by its whole key and the values are of the key's types.
    fn search<'a>(&self, table: &'a TableHandle, params: &[ArrayRef]) -> Option<Search<'a>> {
        let row = table.row.as_ref();
        if row.primary_key.is_empty() || self.key.len() != row.primary_key.len() {
            return None;
        }
        let value = |name: &String| {
            let (_, sought) = self.key.iter().find(|(column, _)| column == name)?;
            let column = column_of(row, name)?;
            Some((column, sought.value(&column.ty, params)?))
        };
        let key = row.primary_key.iter().map(value).collect::<Option<_>>()?;
        let (columns, fields): (Vec<&Column>, Vec<Field>) = match &self.shown {
            Shown::All => row.columns.iter().map(|column| (column, shown_field(column, &column.name))).unzip(),
            Shown::Columns(columns) => {
                let found = columns.iter().map(|(name, shown)| {
                    let column = column_of(row, name)?;
                    Some((column, shown_field(column, shown)))
                });
                found.collect::<Option<Vec<_>>>()?.into_iter().unzip()
            }
        };
        Some(Search { table, columns, schema: Arc::new(Schema::new(fields)), key })
    }
}

fn column_of<'a>(table: &'a Table, name: &str) -> Option<&'a Column> {
    table.columns.iter().find(|column| column.name == name)
}

fn shown_field(column: &Column, name: &str) -> Field {
    arrow_field(name, &column.ty, true)
}

fn part(part: &ObjectNamePart) -> Option<String> {
    match part {
        ObjectNamePart::Identifier(ident) => Some(folded(ident)),
        ObjectNamePart::Function(_) => None,
    }
}

/// A column of the select list, with the name that the client sees.
fn shown(item: &SelectItem, table: &QualifiedName) -> Option<(String, String)> {
    match item {
        SelectItem::UnnamedExpr(expr) => column_name(expr, table).map(|name| (name.clone(), name)),
        SelectItem::ExprWithAlias { expr, alias } => {
            Some((column_name(expr, table)?, shown_name(&alias.value).to_string()))
        }
        _ => None,
    }
}

/// The column that an expression names.
fn column_name(expr: &Expr, table: &QualifiedName) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(folded(ident)),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [qualifier, column] if folded(qualifier) == table.name() => Some(folded(column)),
            _ => None,
        },
        _ => None,
    }
}

/// Takes `a = 1 AND b = 'x'` apart; `None` when it is anything else.
fn add_conditions(expr: &Expr, table: &QualifiedName, key: &mut Vec<(String, Sought)>) -> Option<()> {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            add_conditions(left, table, key)?;
            add_conditions(right, table, key)
        }
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            let column = column_name(left, table)?;
            let is_new = key.iter().all(|(known, _)| *known != column);
            key.push((column, Sought::of(right).filter(|_| is_new)?));
            Some(())
        }
        _ => None,
    }
}

impl Sought {
    fn of(expr: &Expr) -> Option<Sought> {
        match expr {
            Expr::Value(value) => match &value.value {
                Value::Number(digits, false) => Some(Sought::Number(digits.clone())),
                Value::SingleQuotedString(text) => Some(Sought::Text(text.clone())),
                Value::Placeholder(mark) => {
                    let number: usize = mark.strip_prefix('$')?.parse().ok()?;
                    Some(Sought::Param(number.checked_sub(1)?))
                }
                _ => None,
            },
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match Sought::of(expr)? {
                Sought::Number(digits) => Some(Sought::Number(format!("-{digits}"))),
                _ => None,
            },
            _ => None,
        }
    }

    /// The value as a column of the type holds it; `None` when comparing it takes more than that.
    fn value(&self, ty: &SqlType, params: &[ArrayRef]) -> Option<ArrayRef> {
        match self {
            Sought::Number(digits) if is_integer(ty) => read(digits, ty),
            Sought::Text(text) if matches!(ty, SqlType::Text | SqlType::Varchar(_) | SqlType::Uuid) => read(text, ty),
            Sought::Param(position) => given(params.get(*position)?, ty),
            _ => None,
        }
    }
}

/// A parameter's value as a column of the type holds it.
fn given(value: &ArrayRef, ty: &SqlType) -> Option<ArrayRef> {
    if value.len() != 1 || value.is_null(0) {
        return None;
    }
    match (ty, value.data_type()) {
        (SqlType::Float4 | SqlType::Float8, _) => None,
        (SqlType::Uuid, DataType::Utf8) => read(value.as_string::<i32>().value(0), ty),
        (ty, given) if is_integer(ty) && given.is_signed_integer() => {
            let exact = CastOptions { safe: false, ..CastOptions::default() };
            cast_with_options(value, &arrow_type(ty), &exact).ok()
        }
        (ty, given) => (*given == arrow_type(ty)).then(|| Arc::clone(value)),
    }
}

fn is_integer(ty: &SqlType) -> bool {
    matches!(ty, SqlType::Int2 | SqlType::Int4 | SqlType::Int8)
}

fn read(text: &str, ty: &SqlType) -> Option<ArrayRef> {
    let mut builder = ColumnBuilder::new(ty, 1);
    builder.append_text(text).ok()?;
    Some(builder.finish())
}

impl Search<'_> {
    /// The files that may hold the row.
    fn files<'f>(&self, files: &'f [DataFile]) -> Result<Vec<&'f DataFile>> {
        let stored = stored_schema(&self.table.row);
        let mut bounds = Vec::with_capacity(self.key.len());
        for (column, value) in &self.key {
            let field = stored.field_with_name(&column.stored_name).map_err(from_arrow)?;
            bounds.push((field, ScalarValue::try_from_array(value, 0).map_err(from_datafusion)?));
        }
        let may_hold = |file: &&DataFile| bounds.iter().all(|(field, value)| file.may_hold(field, value, value));
        Ok(files.iter().filter(may_hold).collect())
    }

    /// The result: the row at a place, or none.
    fn result(&self, values: Option<Vec<ArrayRef>>) -> Result<RecordBatch> {
        let Some(values) = values else { return concat_batches(&self.schema, []).map_err(from_arrow) };
        let values = values.iter().zip(&self.columns).map(|(value, column)| cast(value, &arrow_type(&column.ty)));
        let values = values.collect::<Result<_, _>>().map_err(from_arrow)?;
        RecordBatch::try_new(Arc::clone(&self.schema), values).map_err(from_arrow)
    }
}

impl DataFusionEngine {
    /// The row of a lookup; `None` when the query has to be planned.
    pub(crate) async fn look_up(
        &self,
        cx: &QueryContext,
        lookup: &Lookup,
        params: &[ArrayRef],
    ) -> Result<Option<RowStream>> {
        if cx.as_of.is_some() {
            return Ok(None);
        }
        let Some(Relation::Table(table)) = cx.relations.find(&lookup.table).await? else { return Ok(None) };
        if lookup.search(&table, params).is_none() {
            return Ok(None);
        }
        let (seen, files) = self.visible(cx, &table).await?;
        let Some(search) = lookup.search(&seen, params) else { return Ok(None) };
        let files = search.files(&files)?;
        if files.len() > LOOKUP_PAGES_MAX {
            return Ok(None);
        }
        let reads = Reads { pages: &self.pages, search: &search, footers: self.sessions.footers() };
        let Some(candidates) = reads.candidates(&files).await? else { return Ok(None) };
        for candidate in &candidates {
            if let Some(values) = reads.find(candidate).await? {
                return Ok(Some(RowStream::of(search.result(Some(values))?)));
            }
        }
        Ok(Some(RowStream::of(search.result(None)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::Lookup;
    use crate::sql::parse_query;

    fn is_lookup(sql: &str) -> bool {
        Lookup::of(&parse_query(sql).expect("a query")).is_some()
    }

    #[test]
    fn only_plain_equalities_on_one_table_are_lookups() {
        for sql in [
            "SELECT a, b AS c FROM t WHERE id = 1",
            "SELECT t.a FROM s.t WHERE t.id = $1 AND k = 'x'",
            "SELECT * FROM \"T\" WHERE id = -1",
        ] {
            assert!(is_lookup(sql), "{sql}");
        }
        for sql in [
            "SELECT FROM t WHERE id = 1",
            "SELECT oid FROM pg_type WHERE oid = 1",
            "SELECT a FROM t",
            "SELECT a + 1 FROM t WHERE id = 1",
            "SELECT a FROM t WHERE id = 1 OR id = 2",
            "SELECT a FROM t WHERE id = 1 AND id = 2",
            "SELECT a FROM t WHERE id = b",
            "SELECT a FROM t WHERE id > 1",
            "SELECT a FROM t WHERE id = 1 LIMIT 0",
            "SELECT a FROM t WHERE id = 1 FOR UPDATE",
            "SELECT DISTINCT a FROM t WHERE id = 1",
            "SELECT count(*) FROM t WHERE id = 1",
            "SELECT a FROM t AS x WHERE id = 1",
            "SELECT a FROM t, u WHERE id = 1",
            "SELECT a FROM t JOIN u ON true WHERE id = 1",
            "SELECT a FROM t WHERE id = 1 GROUP BY a",
            "WITH t AS (SELECT 1 AS id) SELECT id FROM t WHERE id = 1",
            "EXPLAIN SELECT a FROM t WHERE id = 1",
            "SELECT a FROM generate_series(1, 2) WHERE id = 1",
        ] {
            assert!(!is_lookup(sql), "{sql}");
        }
    }
}
