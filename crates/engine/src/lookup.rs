//! SELECT of columns of one table by its whole primary key. Planning would take most of the time, so the row is looked
//! for in [pages](pages) of decoded values that stay in memory.

mod pages;
mod text;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::{CastOptions, cast, cast_with_options};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::compute::concat_batches;
use datafusion::common::ScalarValue;
use lakeport_base::{QualifiedName, SqlType};
use lakeport_catalog::model::{Column, Table};
use lakeport_core::Result;
use lakeport_core::engine::{QueryContext, Relation, TableHandle};
use lakeport_core::rows::{RowStream, arrow_field, arrow_type};
use lakeport_core::value::ColumnBuilder;

use crate::DataFusionEngine;
use crate::delta::files::DataFile;
use crate::delta::scan::stored_schema;
use crate::error::{from_arrow, from_datafusion};

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

impl Lookup {
    /// Whether it is by the whole key of a table.
    fn is_by_key(&self, table: &Table) -> bool {
        let has = |name: &String| self.key.iter().any(|(column, _)| column == name);
        self.key.len() == table.primary_key.len() && table.primary_key.iter().all(has)
    }

    /// The search in a table, if the lookup is by its whole key and the values are of the key's types.
    fn search<'a>(&self, table: &'a TableHandle, params: &[ArrayRef]) -> Option<Search<'a>> {
        let row = table.row.as_ref();
        if !self.is_by_key(row) {
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

impl Sought {
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
    fn files<'f>(&self, files: Vec<&'f DataFile>) -> Result<Vec<&'f DataFile>> {
        if files.is_empty() {
            return Ok(files);
        }
        let stored = stored_schema(&self.table.row);
        let mut bounds = Vec::with_capacity(self.key.len());
        for (column, value) in &self.key {
            let field = stored.field_with_name(&column.stored_name).map_err(from_arrow)?;
            bounds.push((field, ScalarValue::try_from_array(value, 0).map_err(from_datafusion)?));
        }
        let may_hold = |file: &&DataFile| bounds.iter().all(|(field, value)| file.may_hold(field, value, value));
        Ok(files.into_iter().filter(may_hold).collect())
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
        if !lookup.is_by_key(&table.row) {
            return Ok(None);
        }
        let (seen, files) = self.visible(cx, &table).await?;
        let Some(search) = lookup.search(&seen, params) else { return Ok(None) };
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
