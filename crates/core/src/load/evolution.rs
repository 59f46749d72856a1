//! SCHEMA_EVOLUTION: the columns that files have and the table lacks.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use futures::stream::{self, StreamExt, TryStreamExt};
use lakeport_base::{SqlType, Sqlstate};
use lakeport_catalog::model::Table;
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
/// 42804 for one of several types, 0A000 for one of a type that no table has, 42701 for one that is a column of the table but
/// for the case of its name; what keeps files from being read.
pub(crate) async fn new_columns(
    engine: &dyn Engine,
    files: &Arc<FileSet>,
    sample: Sample,
    table: &Table,
    names: ByName,
) -> Result<Vec<ColumnDef>> {
    let found = match files.format.ty {
        FormatType::Ndjson => of_records(files, sample).await?,
        _ => of_schemas(engine, files).await?,
    };
    let mut added: Vec<ColumnDef> = Vec::new();
    for Found { name, ty, uri } in found {
        let is_like = |known: &str| known == name || (!names.exact && known.eq_ignore_ascii_case(&name));
        if table.columns.iter().any(|column| is_like(&column.name)) {
            continue;
        }
        let is_near = |known: &str| known.to_lowercase() == name.to_lowercase();
        if let Some(near) = table.columns.iter().find(|column| is_near(&column.name)) {
            return Err(differs_by_case(&name, &near.name));
        }
        let ty = ty?;
        match added.iter().find(|column| is_near(&column.name)) {
            None => added.push(ColumnDef { name, ty, nullable: true, default: None }),
            Some(known) if !is_like(&known.name) => return Err(differs_by_case(&name, &known.name)),
            Some(known) if known.ty == ty => {}
            Some(known) => {
                let message =
                    format!("{uri}: column {name:?} is of type {ty}, in files before it of type {}", known.ty);
                return Err(Error::new(Sqlstate::DATATYPE_MISMATCH, message)
                    .with_hint("ALTER TABLE adds the column with the type that is to hold both"));
            }
        }
    }
    Ok(added)
}

fn differs_by_case(name: &str, known: &str) -> Error {
    let message = format!("the files have a column {name:?}, which differs from {known:?} by case only");
    Error::new(Sqlstate::DUPLICATE_COLUMN, message).with_hint("a table cannot have both")
}

/// A column of a file.
struct Found {
    name: String,
    ty: Result<SqlType>,
    uri: String,
}

/// The members of the first records. What cannot be read is told where it is loaded.
async fn of_records(files: &Arc<FileSet>, sample: Sample) -> Result<Vec<Found>> {
    let per_file = sample.records_per_file.unwrap_or(SAMPLE_RECORDS_PER_FILE);
    let total = sample.total_records.unwrap_or(SAMPLE_TOTAL_RECORDS);
    let files_max = usize::try_from(sample.files.unwrap_or(SAMPLE_FILES)).unwrap_or(usize::MAX);
    let members = records_sampled(files, files_max, per_file, total).await?;
    // A member that is never more than null has no type yet.
    let typed = members.into_iter().filter_map(|(name, ty)| Some(Found { name, ty: Ok(ty?), uri: String::new() }));
    Ok(typed.collect())
}

/// The columns of files that tell them. What is no such file is told of where it is loaded.
async fn of_schemas(engine: &dyn Engine, files: &Arc<FileSet>) -> Result<Vec<Found>> {
    let columns_of = |index: usize| async move {
        match file_schema(engine, files, index).await {
            Ok(schema) => Ok(columns_of(&schema, &files.files[index].uri)),
            Err(error) if error.code() == Sqlstate::BAD_COPY_FILE_FORMAT => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    };
    let columns = stream::iter(0..files.files.len()).map(columns_of).buffered(AT_ONCE);
    columns.try_concat().await
}

fn columns_of(schema: &Schema, uri: &str) -> Vec<Found> {
    let typed = schema.fields().iter().filter(|field| *field.data_type() != DataType::Null);
    let found = typed.map(|field| {
        let ty = column_type(field).ok_or_else(|| {
            let message = format!("{uri}: no column is made of {:?}, of type {}", field.name(), field.data_type());
            Error::unsupported(message).with_hint("ALTER TABLE adds a column for it, which SELECT fills")
        });
        Found { name: field.name().clone(), ty, uri: uri.to_string() }
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
