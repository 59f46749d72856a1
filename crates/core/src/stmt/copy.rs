//! `COPY ... FROM STDIN | TO STDOUT`.

use std::sync::Arc;

use arrow_schema::Schema;
use lakeport_base::Sqlstate;
use lakeport_catalog::model::Table;
use lakeport_sql::stmt::copy::{Copy, Direction};

use super::Cx;
use crate::engine::Append;
use crate::error::{Error, Result};
use crate::outcome::{CopyIn, Outcome};
use crate::rows::arrow_field;

pub(crate) async fn copy(cx: &Cx<'_>, statement: &Copy) -> Result<Outcome> {
    match &statement.direction {
        Direction::ToStdout { query } => {
            let rows = super::query::rows(cx, query).await?;
            Ok(Outcome::CopyOut { rows, options: statement.options.clone() })
        }
        Direction::FromStdin { table, columns } => {
            let table = cx.table(table)?;
            cx.subject().require_table(&table, "INSERT")?;
            let schema = Arc::new(columns_in(&table, columns)?);
            let handle = cx.handle(&table).await?;
            let engine = cx.server.config.engine.clone();
            let transaction = cx.session.open_block().map(|block| block.id);
            let options = Append { transaction, cancel: cx.cancel.clone(), ..Append::default() };
            let append = move |rows| async move { Ok(engine.append(&handle, rows, options).await?.rows) };
            Ok(Outcome::CopyIn(CopyIn::start(schema, statement.options.clone(), append)))
        }
    }
}

/// The columns that the copied rows have, in order.
fn columns_in(table: &Table, names: &[String]) -> Result<Schema> {
    let field = |column: &lakeport_catalog::model::Column| arrow_field(&column.name, &column.ty, true);
    if names.is_empty() {
        return Ok(Schema::new(table.columns.iter().map(field).collect::<Vec<_>>()));
    }
    let mut fields = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            return Err(Error::new(Sqlstate::DUPLICATE_COLUMN, format!("column {name:?} specified more than once")));
        }
        let column = table.columns.iter().find(|column| column.name == *name);
        fields.push(field(column.ok_or_else(|| super::table::undefined_column(name, &table.name))?));
    }
    Ok(Schema::new(fields))
}
