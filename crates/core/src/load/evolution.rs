//! SCHEMA_EVOLUTION: the columns that files have and the table lacks.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use futures::stream::{self, StreamExt};
use lakeport_base::limits::TABLE_COLUMNS_MAX;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_catalog::model::{Column, Table};
use lakeport_sql::stmt::load::{Load, Sample, Source};
use lakeport_sql::stmt::table::ColumnDef;

use crate::databend::Number;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::import::ByName;
use crate::in_place::FileSet;
use crate::in_place::infer::{file_schema, records_sampled};
use crate::rows::sql_type;
use crate::stage::format::{FileFormat, FormatType};

/// Files that tell their columns themselves, asked at a time.
const AT_ONCE: usize = 16;

/// What AUTO stands for.
const SAMPLE_FILES: u64 = 64;
const SAMPLE_RECORDS_PER_FILE: u64 = 1000;
const SAMPLE_TOTAL_RECORDS: u64 = 10_000;

/// # Errors
/// [1006] for statements whose columns are named, by themselves or by nobody.
pub(crate) fn check(statement: &Load, format: &FileFormat) -> Result<()> {
    let refused =
        |message: String, hint: &'static str| Err(Error::databend(Number::BAD_ARGUMENTS, message).with_hint(hint));
    if !matches!(format.ty, FormatType::Avro | FormatType::Ndjson | FormatType::Orc | FormatType::Parquet) {
        let message = format!("SCHEMA_EVOLUTION cannot be used with files of type {}", format.ty.name());
        return refused(message, "the types are AVRO, NDJSON, ORC and PARQUET; ALTER TABLE adds columns for others");
    }
    if !statement.columns.is_empty() || matches!(statement.from, Source::Selected(_)) {
        let message = "SCHEMA_EVOLUTION cannot be used with a list of columns or a SELECT".to_string();
        return refused(message, "it fills the columns of the table from those of the files, by name");
    }
    Ok(())
}

/// The columns to add, in the order in which the files have them.
///
/// # Errors
/// 42804 for one of several types, 0A000 for one of a type that no table has, 42701 for one that is a column of the table or of
/// its own file but for the case of its name; what keeps files from being read.
pub(crate) async fn new_columns(
    engine: &dyn Engine,
    files: &Arc<FileSet>,
    sample: Sample,
    table: &Table,
    names: ByName,
) -> Result<Vec<ColumnDef>> {
    let mut lacking = Lacking::of(table, names);
    if files.format.ty == FormatType::Ndjson {
        lacking.add(&files.location, of_records(files, sample).await?)?;
        return Ok(lacking.added);
    }
    let asked = stream::iter(0..files.files.len()).map(|index| of_schema(engine, files, index));
    let mut found = asked.buffered(AT_ONCE).enumerate();
    while let Some((index, columns)) = found.next().await {
        lacking.add(&files.files[index].uri, columns?)?;
    }
    Ok(lacking.added)
}

/// What a table lacks of the files so far.
struct Lacking {
    names: ByName,
    /// All columns, by their names in lower case.
    known: HashMap<String, Vec<Known>>,
    added: Vec<ColumnDef>,
}

/// A column of the table that is to be.
struct Known {
    name: String,
    /// Its place among those that are added.
    added: Option<usize>,
}

/// A column of a file.
struct Found {
    name: String,
    ty: Result<SqlType>,
}

impl Lacking {
    fn of(table: &Table, names: ByName) -> Lacking {
        let mut known: HashMap<String, Vec<Known>> = HashMap::new();
        for Column { name, .. } in &table.columns {
            known.entry(name.to_lowercase()).or_default().push(Known { name: name.clone(), added: None });
        }
        Lacking { names, known, added: Vec::new() }
    }

    /// Adds what a file, or the records of several, have beside the files before.
    fn add(&mut self, uri: &str, columns: Vec<Found>) -> Result<()> {
        // By the column of the table, that of the file.
        let mut filled: HashMap<String, String> = HashMap::new();
        for Found { name, ty } in columns {
            let alike = self.known.entry(name.to_lowercase()).or_default();
            let exact = alike.iter().find(|known| known.name == name);
            let near = || alike.iter().find(|known| !self.names.exact && known.name.eq_ignore_ascii_case(&name));
            let Some(known) = exact.or_else(near) else {
                if let Some(known) = alike.first() {
                    return Err(differs_by_case(&name, &known.name));
                }
                if self.added.len() >= TABLE_COLUMNS_MAX {
                    return Err(too_many(uri));
                }
                filled.insert(name.clone(), name.clone());
                alike.push(Known { name: name.clone(), added: Some(self.added.len()) });
                self.added.push(ColumnDef { name, ty: ty?, nullable: true, default: None });
                continue;
            };
            if let Some(before) = filled.insert(known.name.clone(), name.clone()) {
                return Err(one_for_two(uri, &before, &name));
            }
            if let Some(added) = known.added.map(|added| &self.added[added]) {
                require_type(uri, &name, &ty?, &added.ty)?;
            }
        }
        Ok(())
    }
}

fn too_many(uri: &str) -> Error {
    let message = format!("{uri}: more than the {TABLE_COLUMNS_MAX} columns that a table has at most");
    Error::new(Sqlstate::PROGRAM_LIMIT_EXCEEDED, message).with_hint("load it into a table without SCHEMA_EVOLUTION")
}

fn differs_by_case(name: &str, known: &str) -> Error {
    let message = format!("the files have a column {name:?}, which differs from {known:?} by case only");
    Error::new(Sqlstate::DUPLICATE_COLUMN, message).with_hint("a table cannot have both")
}

fn one_for_two(uri: &str, name: &str, other: &str) -> Error {
    let message = format!("{uri}: the columns {name:?} and {other:?} would be one column of the table");
    Error::new(Sqlstate::DUPLICATE_COLUMN, message)
        .with_hint("ALTER TABLE adds a column for each, which COPY INTO table (...) FROM (SELECT ...) fills")
}

fn require_type(uri: &str, name: &str, ty: &SqlType, known: &SqlType) -> Result<()> {
    if ty == known {
        return Ok(());
    }
    let message = format!("{uri}: column {name:?} is of type {ty}, in files before it of type {known}");
    Err(Error::new(Sqlstate::DATATYPE_MISMATCH, message)
        .with_hint("ALTER TABLE adds the column with the type that is to hold both"))
}

/// The members of the first records. What cannot be read is told where it is loaded.
async fn of_records(files: &Arc<FileSet>, sample: Sample) -> Result<Vec<Found>> {
    let per_file = sample.records_per_file.unwrap_or(SAMPLE_RECORDS_PER_FILE);
    let total = sample.total_records.unwrap_or(SAMPLE_TOTAL_RECORDS);
    let files_max = usize::try_from(sample.files.unwrap_or(SAMPLE_FILES)).unwrap_or(usize::MAX);
    let members = records_sampled(files, files_max, per_file, total).await?;
    // A member that is never more than null has no type yet.
    Ok(members.into_iter().filter_map(|(name, ty)| Some(Found { name, ty: Ok(ty?) })).collect())
}

/// The columns that a file tells. What is no such file is told of where it is loaded.
async fn of_schema(engine: &dyn Engine, files: &Arc<FileSet>, index: usize) -> Result<Vec<Found>> {
    match file_schema(engine, files, index).await {
        Ok(schema) => Ok(columns_of(&schema, &files.files[index].uri)),
        Err(error) if error.code() == Sqlstate::BAD_COPY_FILE_FORMAT => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn columns_of(schema: &Schema, uri: &str) -> Vec<Found> {
    let typed = schema.fields().iter().filter(|field| *field.data_type() != DataType::Null);
    let found = typed.map(|field| {
        let ty = column_type(field).ok_or_else(|| {
            let message = format!("{uri}: no column is made of {:?}, of type {}", field.name(), field.data_type());
            Error::unsupported(message).with_hint("ALTER TABLE adds a column for it, which SELECT fills")
        });
        Found { name: field.name().clone(), ty }
    });
    found.collect()
}

/// The type of a table's column that holds all values of a file's.
fn column_type(field: &Field) -> Option<SqlType> {
    match field.data_type() {
        DataType::UInt64 => Some(SqlType::Decimal(20, 0)),
        DataType::Struct(_) => Some(SqlType::Jsonb),
        DataType::List(item) | DataType::LargeList(item) if item.data_type().is_nested() => Some(SqlType::Jsonb),
        DataType::List(item) | DataType::LargeList(item) => {
            column_type(item).map(|item| SqlType::Array(Box::new(item)))
        }
        DataType::Decimal256(precision, _) if *precision > 38 => None,
        DataType::Dictionary(_, value) => column_type(&Field::new(field.name(), value.as_ref().clone(), true)),
        plain if plain.is_nested() || matches!(plain, DataType::Time32(_) | DataType::Time64(_)) => None,
        _ => Some(sql_type(field)).filter(SqlType::is_storable),
    }
}
