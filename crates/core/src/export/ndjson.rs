//! Rows to JSON, one object a line. Numbers keep every digit; what JSON has no form for is text, as PostgreSQL prints it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, ListArray, MapArray, RecordBatch, UnionArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Fields};
use lakeport_base::SqlType;

use super::piece::TextRows;
use crate::error::{Error, Result};
use crate::rows::{arrow_type, sql_type};
use crate::value::TextColumn;

/// The rows of a batch as JSON.
pub(crate) struct JsonRows {
    columns: Members,
    /// The value under way.
    text: String,
}

/// The columns of an object, each with its name as JSON.
type Members = Vec<(String, JsonColumn)>;

/// One column, or the elements of one.
struct JsonColumn {
    values: TextColumn,
    form: Form,
}

/// How values are written.
enum Form {
    Bool,
    /// As its text, unless that is a word such as `NaN`.
    Number,
    /// As its text.
    Json,
    Text,
    Array(ListArray, Box<JsonColumn>),
    Object(Members),
    /// Each value as the type of its number has it.
    Union(UnionArray, Vec<(i8, JsonColumn)>),
    /// The texts of the keys, and the values.
    Map(MapArray, Box<TextColumn>, Box<JsonColumn>),
}

impl JsonRows {
    pub fn new(batch: &RecordBatch) -> Result<JsonRows> {
        Ok(JsonRows { columns: members(batch.schema_ref().fields(), batch.columns())?, text: String::new() })
    }

    /// Appends a row to `out` as an object.
    pub fn write_object(&mut self, row: usize, out: &mut String) -> Result<()> {
        write_object(&self.columns, row, &mut self.text, out)
    }
}

/// The values of a column as JSON.
pub(crate) struct JsonValues {
    column: JsonColumn,
    /// The value under way.
    text: String,
}

impl JsonValues {
    pub fn new(array: &ArrayRef, ty: &SqlType) -> Result<JsonValues> {
        Ok(JsonValues { column: JsonColumn::new(array, ty)?, text: String::new() })
    }

    /// Appends the value of a row to `out`.
    pub fn write(&mut self, row: usize, out: &mut String) -> Result<()> {
        self.column.write(row, &mut self.text, out)
    }
}

impl TextRows for JsonRows {
    fn write(&mut self, row: usize, out: &mut String) -> Result<()> {
        self.write_object(row, out)?;
        out.push('\n');
        Ok(())
    }
}

fn members(fields: &Fields, columns: &[ArrayRef]) -> Result<Members> {
    let member = |(field, array): (&Arc<Field>, &ArrayRef)| {
        let name = serde_json::to_string(field.name()).map_err(Error::internal)?;
        Ok((name, JsonColumn::new(array, &sql_type(field))?))
    };
    fields.iter().zip(columns).map(member).collect()
}

fn write_object(members: &Members, row: usize, text: &mut String, out: &mut String) -> Result<()> {
    out.push('{');
    for (index, (name, column)) in members.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(name);
        out.push(':');
        column.write(row, text, out)?;
    }
    out.push('}');
    Ok(())
}

impl JsonColumn {
    fn new(array: &ArrayRef, ty: &SqlType) -> Result<JsonColumn> {
        let form = match ty {
            _ if matches!(array.data_type(), DataType::Struct(_)) => {
                let fields = array.as_struct();
                Form::Object(members(fields.fields(), fields.columns())?)
            }
            _ if let DataType::Union(fields, _) = array.data_type() => {
                let values = array.as_union();
                let member =
                    |(id, field): (i8, &Arc<Field>)| Ok((id, JsonColumn::new(values.child(id), &sql_type(field))?));
                Form::Union(values.clone(), fields.iter().map(member).collect::<Result<_>>()?)
            }
            _ if matches!(array.data_type(), DataType::Map(..)) => {
                let maps = array.as_map();
                let (key, value) = maps.entries_fields();
                let values = JsonColumn::new(maps.values(), &sql_type(value))?;
                let keys = TextColumn::new(maps.keys(), &sql_type(key));
                Form::Map(maps.clone(), Box::new(keys), Box::new(values))
            }
            SqlType::Bool => Form::Bool,
            SqlType::Int2 | SqlType::Int4 | SqlType::Int8 => Form::Number,
            SqlType::Float4 | SqlType::Float8 | SqlType::Decimal(..) => Form::Number,
            SqlType::Jsonb => Form::Json,
            SqlType::Array(element) => {
                let lists = match array.data_type() {
                    DataType::List(_) => array.clone(),
                    DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                        cast(array, &DataType::List(item.clone())).map_err(Error::internal)?
                    }
                    _ => cast(array, &arrow_type(ty)).map_err(Error::internal)?,
                };
                let lists = lists.as_list::<i32>().clone();
                let elements = JsonColumn::new(lists.values(), element)?;
                Form::Array(lists, Box::new(elements))
            }
            _ => Form::Text,
        };
        Ok(JsonColumn { values: TextColumn::new(array, ty), form })
    }

    fn write(&self, row: usize, text: &mut String, out: &mut String) -> Result<()> {
        if self.values.is_null(row) {
            out.push_str("null");
            return Ok(());
        }
        if let Form::Array(lists, elements) = &self.form {
            return write_array(lists, elements, row, text, out);
        }
        if let Form::Object(members) = &self.form {
            return write_object(members, row, text, out);
        }
        if let Form::Map(maps, keys, values) = &self.form {
            return write_map(maps, keys, values, row, text, out);
        }
        if let Form::Union(values, members) = &self.form {
            let own = members.iter().find(|(id, _)| *id == values.type_id(row));
            let (_, member) = own.ok_or_else(|| Error::internal("a union without the type of a value"))?;
            return member.write(values.value_offset(row), text, out);
        }
        text.clear();
        self.values.write(row, text).map_err(Error::internal)?;
        match &self.form {
            Form::Bool => out.push_str(if text == "t" { "true" } else { "false" }),
            Form::Number if text.ends_with(|c: char| c.is_ascii_digit()) => out.push_str(text),
            Form::Json => out.push_str(text),
            _ => out.push_str(&serde_json::to_string(text).map_err(Error::internal)?),
        }
        Ok(())
    }
}

fn write_map(
    maps: &MapArray,
    keys: &TextColumn,
    values: &JsonColumn,
    row: usize,
    text: &mut String,
    out: &mut String,
) -> Result<()> {
    out.push('{');
    let offsets = maps.value_offsets();
    for (position, entry) in (offsets[row]..offsets[row + 1]).enumerate() {
        if position > 0 {
            out.push(',');
        }
        text.clear();
        keys.write(entry as usize, text).map_err(Error::internal)?;
        out.push_str(&serde_json::to_string(text).map_err(Error::internal)?);
        out.push(':');
        values.write(entry as usize, text, out)?;
    }
    out.push('}');
    Ok(())
}

fn write_array(
    lists: &ListArray,
    elements: &JsonColumn,
    row: usize,
    text: &mut String,
    out: &mut String,
) -> Result<()> {
    out.push('[');
    let offsets = lists.value_offsets();
    for (position, element) in (offsets[row]..offsets[row + 1]).enumerate() {
        if position > 0 {
            out.push(',');
        }
        elements.write(element as usize, text, out)?;
    }
    out.push(']');
    Ok(())
}
