//! PRIMARY KEY: no two rows of a table have equal keys.

use std::sync::Arc;

use arrow_array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use deltalake::kernel::Add;
use futures::StreamExt;
use lakeport_base::Sqlstate;
use lakeport_catalog::model::Table;
use lakeport_core::rows::sql_type;
use lakeport_core::value::format_value;
use lakeport_core::{Error, Result};

use crate::DataFusionEngine;
use crate::context::Session;
use crate::delta::files::DataFile;
use crate::error::from_datafusion;
use crate::query::run;
use crate::relations::table_provider;
use crate::sql::parse_query;
use crate::writing::Writing;

/// An identifier, always quoted.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `left.a = right.a AND ...` over the key's columns.
pub(crate) fn keys_equal(table: &Table, left: &str, right: &str) -> String {
    let equal = |name: &String| format!("{left}.{0} = {right}.{0}", quoted(name));
    table.primary_key.iter().map(equal).collect::<Vec<_>>().join(" AND ")
}

/// The key's columns as a list.
pub(crate) fn key_list(table: &Table, relation: &str) -> String {
    let column = |name: &String| format!("{relation}.{}", quoted(name));
    table.primary_key.iter().map(column).collect::<Vec<_>>().join(", ")
}

impl DataFusionEngine {
    /// Checks staged files against each other and against the files that stay. Spills what does not fit in memory.
    ///
    /// # Errors
    /// 23505 with the key.
    pub(crate) async fn check_keys(&self, writing: &Writing, adds: &[Add], staying: Arc<[DataFile]>) -> Result<()> {
        let table = &writing.table.row;
        if table.primary_key.is_empty() || adds.is_empty() {
            return Ok(());
        }
        let session = self.sessions.open_internal()?;
        let added: Arc<[DataFile]> = adds.iter().map(DataFile::of).collect();
        register(&session, "added", table_provider(&writing.table, added, false)?)?;
        let keys = key_list(table, "added");
        let twice = format!("SELECT {keys} FROM added GROUP BY {keys} HAVING count(*) > 1 LIMIT 1");
        if let Some(row) = first_row(&session, &twice).await? {
            return Err(duplicate(table, &row));
        }
        if staying.is_empty() {
            return Ok(());
        }
        register(&session, "present", table_provider(&writing.table, staying, false)?)?;
        let equal = keys_equal(table, "added", "present");
        let both = format!("SELECT {keys} FROM present JOIN added ON {equal} LIMIT 1");
        match first_row(&session, &both).await? {
            Some(row) => Err(duplicate(table, &row)),
            None => Ok(()),
        }
    }
}

/// Puts a table under a bare name.
pub(crate) fn register(session: &Session, name: &str, provider: Arc<dyn TableProvider>) -> Result<()> {
    session.register(&TableReference::bare(name), provider)
}

/// The first row of a query over registered tables.
pub(crate) async fn first_row(session: &Session, sql: &str) -> Result<Option<RecordBatch>> {
    let plan = session.state.statement_to_plan(parse_query(sql)?).await.map_err(from_datafusion)?;
    let mut batches = run(session, &plan).await?;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(from_datafusion)?;
        if batch.num_rows() > 0 {
            return Ok(Some(batch.slice(0, 1)));
        }
    }
    Ok(None)
}

/// 23505, as PostgreSQL words it.
fn duplicate(table: &Table, key: &RecordBatch) -> Error {
    let mut values = Vec::new();
    for (column, field) in key.columns().iter().zip(key.schema().fields()) {
        let mut text = String::new();
        if format_value(column, 0, &sql_type(field), &mut text).is_ok() {
            values.push(text);
        }
    }
    let (names, values) = (table.primary_key.join(", "), values.join(", "));
    Error::new(
        Sqlstate::UNIQUE_VIOLATION,
        format!("duplicate key value violates unique constraint \"{}_pkey\"", table.name),
    )
    .with_detail(format!("Key ({names})=({values}) already exists."))
}
