//! PRIMARY KEY: no two rows of a table have equal keys.
//!
//! Few rows are compared in memory, and files are read only when their filter says that one may hold a key. Rows that
//! are in files already are compared by a join, which spills.

mod filters;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Field;
use datafusion::catalog::MemTable;
use datafusion::common::ScalarValue;
use datafusion::datasource::provider_as_source;
use datafusion::functions_aggregate::min_max::{MaxAccumulator, MinAccumulator};
use datafusion::logical_expr::{Accumulator, LogicalPlanBuilder, ident};
use deltalake::kernel::Add;
use futures::StreamExt;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_catalog::model::Table;
use lakeport_core::engine::TableHandle;
use lakeport_core::rows::{arrow_field, sql_type};
use lakeport_core::value::format_value;
use lakeport_core::{Error, Result};

use crate::DataFusionEngine;
use crate::context::{Session, Sessions};
use crate::delta::files::DataFile;
use crate::delta::scan::table_schema;
use crate::error::{from_arrow, from_datafusion};
use crate::key::filters::{FILTERED_ROWS_MAX, Filter, KeyCode, Keys};
use crate::query::{first_row, run};
use crate::relations::table_provider;
use crate::sql::quoted;

pub(crate) use self::filters::Filters;

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

/// Rows whose keys are compared: in memory and in files.
#[derive(Clone, Default)]
pub(crate) struct KeyRows {
    /// With the table's columns.
    pub batches: Vec<RecordBatch>,
    pub files: Vec<DataFile>,
}

impl KeyRows {
    /// The rows of some files.
    pub fn of_files(files: &[DataFile]) -> KeyRows {
        KeyRows { batches: Vec::new(), files: files.to_vec() }
    }

    /// Adds other rows.
    pub fn extend(&mut self, more: &KeyRows) {
        self.batches.extend(more.batches.iter().cloned());
        self.files.extend(more.files.iter().cloned());
    }

    fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.files.is_empty()
    }
}

impl DataFusionEngine {
    /// Checks staged files against each other and against the files that stay.
    ///
    /// # Errors
    /// 23505 with the key.
    pub(crate) async fn check_keys(&self, table: &TableHandle, adds: &[Add], staying: &[DataFile]) -> Result<()> {
        let files = adds.iter().map(DataFile::of).collect::<Result<_>>()?;
        let added = KeyRows { batches: Vec::new(), files };
        KeyCheck { sessions: &self.sessions, table }.run(&added, &KeyRows::of_files(staying)).await
    }
}

/// Checks new rows of a table against each other and against those that are there.
pub(crate) struct KeyCheck<'a> {
    pub sessions: &'a Sessions,
    pub table: &'a TableHandle,
}

impl KeyCheck<'_> {
    /// Checks `added` against itself and against `present`.
    ///
    /// # Errors
    /// 23505 with the key.
    pub async fn run(&self, added: &KeyRows, present: &KeyRows) -> Result<()> {
        if self.table.row.primary_key.is_empty() || added.is_empty() {
            return Ok(());
        }
        match KeyCode::of(&self.table.row)?.filter(|_| added.files.is_empty()) {
            Some(code) => self.compare_few(&code, added, present).await,
            None => {
                self.join_added(added).await?;
                self.join(added, &self.possible(added, present)?).await
            }
        }
    }

    /// Compares rows in memory with each other, and reads only files that may hold one of their keys.
    async fn compare_few(&self, code: &KeyCode, added: &KeyRows, present: &KeyRows) -> Result<()> {
        let mut keys = Keys::default();
        for batch in &added.batches {
            if let Some(row) = keys.take(&code.of_rows(batch)?) {
                return Err(self.duplicate_row(batch, row));
            }
        }
        for batch in &present.batches {
            if let Some(row) = keys.find(&code.of_rows(batch)?) {
                return Err(self.duplicate_row(batch, row));
            }
        }
        let files = self.possible(added, present)?.files;
        let makes = Filters::fit(files.iter().filter_map(|file| file.rows));
        let mut suspects = Vec::new();
        for file in files {
            let filter = self.filter(code, &file, makes).await?;
            if filter.is_none_or(|filter| filter.may_hold_any(&keys)) {
                suspects.push(file);
            }
        }
        self.join(added, &KeyRows::of_files(&suspects)).await
    }

    /// The filter of a file, made now if there is none and it `makes` sense.
    async fn filter(&self, code: &KeyCode, file: &DataFile, makes: bool) -> Result<Option<Arc<Filter>>> {
        let filters = &self.sessions.filters;
        if let Some(filter) = filters.find(file, code) {
            return Ok(Some(filter));
        }
        let Some(rows) = file.rows.filter(|rows| makes && *rows <= FILTERED_ROWS_MAX) else { return Ok(None) };
        let mut filter = Filter::new(rows)?;
        let session = self.sessions.open_internal()?;
        let file_rows = table_provider(self.table, vec![file.clone()].into(), false)?;
        let plan = LogicalPlanBuilder::scan("file", provider_as_source(file_rows), None)
            .and_then(|plan| plan.project(self.table.row.primary_key.iter().map(ident)))
            .and_then(LogicalPlanBuilder::build)
            .map_err(from_datafusion)?;
        let mut batches = run(&session, &plan).await?;
        while let Some(batch) = batches.next().await {
            filter.add(&code.of_columns(batch.map_err(from_datafusion)?.columns())?);
        }
        let filter = Arc::new(filter);
        filters.keep(file, code, Arc::clone(&filter), rows);
        Ok(Some(filter))
    }

    /// Looks for a key twice in the added rows. Spills what does not fit in memory.
    async fn join_added(&self, added: &KeyRows) -> Result<()> {
        let session = self.sessions.open_internal()?;
        let keys = key_list(&self.table.row, "added");
        let new = self.relation(&session, "added", added)?;
        let twice = format!("SELECT {keys} FROM {new} GROUP BY {keys} HAVING count(*) > 1 LIMIT 1");
        self.refuse(first_row(&session, &twice).await?)
    }

    /// Looks for a key that is added and present. Spills what does not fit in memory.
    async fn join(&self, added: &KeyRows, present: &KeyRows) -> Result<()> {
        if present.is_empty() {
            return Ok(());
        }
        let session = self.sessions.open_internal()?;
        let keys = key_list(&self.table.row, "added");
        let new = self.relation(&session, "added", added)?;
        let old = self.relation(&session, "present", present)?;
        let equal = keys_equal(&self.table.row, "added", "present");
        let both = format!("SELECT {keys} FROM {old} JOIN {new} ON {equal} LIMIT 1");
        self.refuse(first_row(&session, &both).await?)
    }

    fn refuse(&self, key: Option<RecordBatch>) -> Result<()> {
        key.map_or(Ok(()), |key| Err(duplicate(&self.table.row, &key)))
    }

    fn duplicate_row(&self, batch: &RecordBatch, row: usize) -> Error {
        let table = &self.table.row;
        let column = |name: &String| table.columns.iter().position(|column| column.name == *name);
        let columns: Vec<usize> = table.primary_key.iter().filter_map(column).collect();
        match batch.slice(row, 1).project(&columns) {
            Ok(key) => duplicate(table, &key),
            Err(error) => from_arrow(error),
        }
    }

    /// The rows as a relation of a FROM clause, under `name`.
    fn relation(&self, session: &Session, name: &str, rows: &KeyRows) -> Result<String> {
        let mut parts = Vec::new();
        if !rows.files.is_empty() {
            let part = format!("{name}_files");
            session.register_bare(&part, table_provider(self.table, rows.files.clone().into(), false)?);
            parts.push(part);
        }
        if !rows.batches.is_empty() {
            let part = format!("{name}_rows");
            let batches = vec![rows.batches.clone()];
            let memory = MemTable::try_new(table_schema(&self.table.row), batches).map_err(from_datafusion)?;
            session.register_bare(&part, Arc::new(memory));
            parts.push(part);
        }
        let select = |part: &String| format!("SELECT {} FROM {part}", key_list(&self.table.row, part));
        let all = parts.iter().map(select).collect::<Vec<_>>().join(" UNION ALL ");
        Ok(format!("({all}) AS {name}"))
    }

    /// What is present without the files whose bounds say that they hold none of the added keys.
    fn possible(&self, added: &KeyRows, present: &KeyRows) -> Result<KeyRows> {
        let mut files = present.files.clone();
        for (index, column) in self.table.row.columns.iter().enumerate() {
            // NaN and -0.0 equal what bounds do not show.
            let ordered = !matches!(column.ty, SqlType::Float4 | SqlType::Float8);
            if ordered && self.table.row.primary_key.contains(&column.name) {
                let field = arrow_field(&column.stored_name, &column.ty, true);
                let bounds = added.bounds(index, &field)?;
                files.retain(|file| bounds.as_ref().is_none_or(|(low, high)| file.may_hold(&field, low, high)));
            }
        }
        Ok(KeyRows { batches: present.batches.clone(), files })
    }
}

impl KeyRows {
    /// The least and greatest value of a column; `None` when they are not known.
    fn bounds(&self, index: usize, field: &Field) -> Result<Option<(ScalarValue, ScalarValue)>> {
        let bounds = || -> datafusion::common::Result<_> {
            let mut least = MinAccumulator::try_new(field.data_type())?;
            let mut most = MaxAccumulator::try_new(field.data_type())?;
            for batch in &self.batches {
                least.update_batch(&[Arc::clone(batch.column(index))])?;
                most.update_batch(&[Arc::clone(batch.column(index))])?;
            }
            for file in &self.files {
                let Some((low, high)) = file.bounds(field) else { return Ok(None) };
                least.update_batch(&[low.to_array()?])?;
                most.update_batch(&[high.to_array()?])?;
            }
            Ok(Some((least.evaluate()?, most.evaluate()?)))
        };
        bounds().map_err(from_datafusion)
    }
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
