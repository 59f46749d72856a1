//! `INFER_SCHEMA`: the columns that files seem to have.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_schema::{DECIMAL128_MAX_PRECISION as DECIMAL_DIGITS_MAX, DataType, Field, Schema, SchemaRef};
use futures::StreamExt;
use lakeport_base::{SqlType, Sqlstate};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use tokio::sync::mpsc;

use super::FileSet;
use crate::databend::Number;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::import::avro;
use crate::import::batch::Sink;
use crate::import::bytes::ReadMeter;
use crate::import::parquet::not_parquet;
use crate::import::ranges::Ranges;
use crate::import::text::Fields;
use crate::row;
use crate::rows::{schema_of as schema, sql_type};
use crate::show::rows::batch_of;
use crate::stage::format::FormatType;
use crate::stage::format::options::SKIP_HEADER;
use crate::value::{ColumnBuilder, Json, JsonKind};

/// Records of a file that are looked at when the statement does not say how many.
const RECORDS: usize = 1000;
/// Columns of all files together.
const COLUMNS_MAX: usize = 10_000;
/// Types of numbers, each of which holds those before it.
const NUMBERS: [&str; 5] = ["SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE"];
const TEXT: &str = "VARCHAR";
const VARIANT: &str = "VARIANT";

/// The columns of the answer.
pub(super) fn columns() -> SchemaRef {
    schema(&[
        ("column_name", SqlType::Text),
        ("type", SqlType::Text),
        ("nullable", SqlType::Bool),
        ("filenames", SqlType::Text),
        ("order_id", SqlType::Int8),
    ])
}

/// A column of files.
#[derive(Clone, Debug, Default, PartialEq)]
struct Inferred {
    name: String,
    /// `None` while there are nothing but NULLs.
    ty: Option<String>,
    nullable: bool,
    files: Vec<String>,
}

/// The columns of several files, or of several records of one.
#[derive(Debug, Default)]
struct Merged {
    columns: Vec<Inferred>,
    /// By name: the index of a column, and which part had it last.
    places: HashMap<String, (usize, usize)>,
    /// Files or records so far.
    parts: usize,
}

impl Merged {
    /// Adds the columns of another part. What one of them does not have may be NULL.
    ///
    /// # Errors
    /// 54011
    fn add(&mut self, part: Vec<Inferred>) -> Result<()> {
        self.parts += 1;
        for column in part {
            let Some((place, last)) = self.places.get_mut(&column.name) else {
                require_room(self.columns.len())?;
                self.places.insert(column.name.clone(), (self.columns.len(), self.parts));
                self.columns.push(Inferred { nullable: column.nullable || self.parts > 1, ..column });
                continue;
            };
            let known = &mut self.columns[*place];
            known.ty = merged(known.ty.take(), column.ty);
            known.nullable |= column.nullable || *last + 1 < self.parts;
            known.files.extend(column.files);
            *last = self.parts;
        }
        Ok(())
    }

    fn finish(mut self) -> Vec<Inferred> {
        for (place, last) in self.places.into_values() {
            self.columns[place].nullable |= last < self.parts;
        }
        self.columns
    }
}

/// # Errors
/// 54011 when there are as many columns as there may be.
fn require_room(columns: usize) -> Result<()> {
    if columns < COLUMNS_MAX {
        return Ok(());
    }
    Err(Error::new(Sqlstate::TOO_MANY_COLUMNS, format!("the files have more than {COLUMNS_MAX} columns")))
}

/// The columns of the first files together.
///
/// # Errors
/// What keeps a file from being read; 1002 for a format whose columns are not told.
pub(super) async fn schema_of(
    engine: &dyn Engine,
    files: &Arc<FileSet>,
    files_max: Option<usize>,
    records_max: Option<usize>,
) -> Result<RecordBatch> {
    let mut all = Merged::default();
    for index in 0..files.files.len().min(files_max.unwrap_or(usize::MAX)) {
        let of_file = columns_of(engine, files, index, records_max.unwrap_or(RECORDS)).await?;
        all.add(of_file)?;
    }
    let rows = all.finish().into_iter().zip(0_i64..).map(|(column, order)| {
        let ty = column.ty.unwrap_or_else(|| TEXT.to_string());
        row![column.name, ty, column.nullable, column.files.join(", "), order]
    });
    batch_of(columns(), &rows.collect::<Vec<_>>())
}

async fn columns_of(
    engine: &dyn Engine,
    files: &Arc<FileSet>,
    index: usize,
    records_max: usize,
) -> Result<Vec<Inferred>> {
    let mut found = match files.format.ty {
        FormatType::Parquet | FormatType::Avro | FormatType::Orc => {
            of_schema(file_schema(engine, files, index).await?.as_ref())
        }
        FormatType::Csv | FormatType::Text => of_fields(files, index, records_max).await?,
        FormatType::Ndjson => of_documents(files, index, records_max).await?,
        other => {
            let message = format!("infer_schema is not supported for {} files", other.name());
            return Err(Error::databend(Number::UNIMPLEMENTED, message));
        }
    };
    let name = &files.files[index].name;
    found.iter_mut().for_each(|column| column.files = vec![name.clone()]);
    Ok(found)
}

/// The type that holds values of both.
fn merged(one: Option<String>, other: Option<String>) -> Option<String> {
    let (one, other) = match (one, other) {
        (Some(one), Some(other)) => (one, other),
        (one, other) => return one.or(other),
    };
    let rank = |ty: &str| NUMBERS.iter().position(|number| *number == ty);
    Some(match (rank(&one), rank(&other)) {
        _ if one == other => one,
        (Some(rank_of_one), Some(rank_of_other)) => NUMBERS[rank_of_one.max(rank_of_other)].to_string(),
        _ => TEXT.to_string(),
    })
}

/// The columns that a file itself tells it has.
///
/// # Errors
/// What keeps it from being read.
pub(crate) async fn file_schema(engine: &dyn Engine, files: &Arc<FileSet>, index: usize) -> Result<SchemaRef> {
    let told = match files.format.ty {
        FormatType::Parquet => of_parquet(files, index).await,
        FormatType::Avro => of_avro(files, index).await,
        _ => return engine.file_columns(files, index).await,
    };
    match told {
        Err(error) => Err(files.explained(&files.files[index], error).await),
        told => told,
    }
}

async fn of_parquet(files: &FileSet, index: usize) -> Result<SchemaRef> {
    let file = files.source(index);
    let meter = Arc::new(ReadMeter::new(Arc::default(), file.meta.size));
    let mut ranges = Ranges { file, meter };
    let told = ArrowReaderMetadata::load_async(&mut ranges, ArrowReaderOptions::new()).await;
    let told = told.map_err(|error| not_parquet(error).prefixed(&files.files[index].uri))?;
    Ok(Arc::clone(told.schema()))
}

async fn of_avro(files: &FileSet, index: usize) -> Result<SchemaRef> {
    let file = &files.files[index];
    let told = async { avro::schema(files.pieces(file).await?).await };
    told.await.map_err(|error: Error| error.prefixed(&file.uri))
}

fn of_schema(schema: &Schema) -> Vec<Inferred> {
    let column = |field: &Arc<Field>| Inferred {
        name: field.name().clone(),
        ty: Some(type_name(field)),
        nullable: field.is_nullable(),
        files: Vec::new(),
    };
    schema.fields().iter().map(column).collect()
}

/// A type in words of Databend's that CREATE TABLE knows too.
fn type_name(field: &Field) -> String {
    match (field.data_type(), sql_type(field)) {
        (DataType::Struct(_) | DataType::Map(..) | DataType::Union(..), _) => VARIANT.to_string(),
        (DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _), _) => {
            match type_name(item) {
                // Arrays have one dimension.
                nested if nested.starts_with("ARRAY") || nested == VARIANT => VARIANT.to_string(),
                element => format!("ARRAY({element})"),
            }
        }
        (DataType::UInt64, _) => SqlType::Decimal(20, 0).to_string(),
        // No DECIMAL has so many digits.
        (DataType::Decimal256(precision, _), _) if *precision > DECIMAL_DIGITS_MAX => TEXT.to_string(),
        (_, SqlType::Bool) => "BOOLEAN".to_string(),
        (_, SqlType::Int2) => "SMALLINT".to_string(),
        (_, SqlType::Int4) => "INT".to_string(),
        (_, SqlType::Int8) => "BIGINT".to_string(),
        (_, SqlType::Float4) => "FLOAT".to_string(),
        (_, SqlType::Float8) => "DOUBLE".to_string(),
        (_, SqlType::Bytes) => "BINARY".to_string(),
        (_, SqlType::Jsonb) => VARIANT.to_string(),
        (_, SqlType::Decimal(precision, scale)) => SqlType::Decimal(precision, scale.min(precision)).to_string(),
        (_, ty @ (SqlType::Timestamp | SqlType::TimestampTz | SqlType::Date | SqlType::Uuid)) => ty.to_string(),
        _ => TEXT.to_string(),
    }
}

/// The columns of text: named by the header if exactly one line is to be left out, else by number.
async fn of_fields(files: &Arc<FileSet>, index: usize, records_max: usize) -> Result<Vec<Inferred>> {
    let has_header = SKIP_HEADER.count(&files.format) == 1;
    let (sender, mut batches) = mpsc::channel(1);
    let sink = Sink::new(sender, Some(records_max as u64));
    let mut found = TextColumns { columns: Vec::new(), has_names: !has_header };
    let mut seen = |record| found.add(record);
    let read = async {
        let sampled = files.sample(index, has_header, &sink, &mut seen).await;
        drop(sink);
        sampled
    };
    let drained = async { while batches.recv().await.is_some() {} };
    let (sampled, ()) = tokio::join!(read, drained);
    match sampled {
        Ok(()) => Ok(found.columns),
        Err(error) => {
            let file = &files.files[index];
            Err(files.explained(file, error).await.prefixed(&file.uri))
        }
    }
}

/// The columns of the records seen.
struct TextColumns {
    columns: Vec<Inferred>,
    /// The next record is not the one that names them.
    has_names: bool,
}

impl TextColumns {
    /// # Errors
    /// 54011
    fn add(&mut self, record: Fields) -> Result<()> {
        let is_header = !std::mem::replace(&mut self.has_names, true);
        for (at, text) in record.into_iter().enumerate() {
            let ty = text.as_deref().filter(|_| !is_header).map(|text| type_of_text(text).to_string());
            match self.columns.get_mut(at) {
                Some(column) => column.ty = merged(column.ty.take(), ty),
                None => {
                    require_room(at)?;
                    let name = text.filter(|_| is_header).unwrap_or_else(|| number_name(at));
                    // Text files do not say that a field is never missing.
                    self.columns.push(Inferred { name, ty, nullable: true, files: Vec::new() });
                }
            }
        }
        Ok(())
    }
}

fn number_name(index: usize) -> String {
    format!("column_{}", index + 1)
}

fn type_of_text(text: &str) -> &'static str {
    let reads = |ty: &SqlType| ColumnBuilder::new(ty, 1).append_text(text).is_ok();
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    match text {
        "true" | "false" | "TRUE" | "FALSE" => "BOOLEAN",
        _ if !is_number => TEXT,
        _ if text.parse::<i64>().is_ok() => "BIGINT",
        _ if text.parse::<f64>().is_ok() => "DOUBLE",
        _ if text.len() <= "2026-01-31".len() && reads(&SqlType::Date) => "DATE",
        _ if reads(&SqlType::Timestamp) => "TIMESTAMP",
        _ => TEXT,
    }
}

/// The members of objects, one a line.
async fn of_documents(files: &Arc<FileSet>, index: usize, records_max: usize) -> Result<Vec<Inferred>> {
    let mut found = Merged::default();
    sample_documents(files, index, records_max, &mut found).await?;
    Ok(found.finish())
}

/// The members of the first records of the first files, and the types of columns that hold their values; `None` of those
/// that are never more than null. What a file has before what cannot be read of it counts.
///
/// # Errors
/// 54011
pub(crate) async fn records_sampled(
    files: &Arc<FileSet>,
    files_max: usize,
    per_file: u64,
    total: u64,
) -> Result<Vec<(String, Option<SqlType>)>> {
    let (mut found, mut left) = (Merged::default(), total);
    for index in 0..files.files.len().min(files_max) {
        if left == 0 {
            break;
        }
        let records_max = usize::try_from(per_file.min(left)).unwrap_or(usize::MAX);
        match sample_documents(files, index, records_max, &mut found).await {
            Ok(seen) => left -= seen as u64,
            Err(error) if error.code() == Sqlstate::TOO_MANY_COLUMNS => return Err(error),
            Err(error) => tracing::debug!(%error, "a file is not sampled to its end"),
        }
    }
    let column = |column: Inferred| (column.name, column.ty.as_deref().map(column_of_json));
    Ok(found.columns.into_iter().map(column).collect())
}

/// Adds the members of the first records of a file; answers the number of records.
async fn sample_documents(files: &Arc<FileSet>, index: usize, records_max: usize, found: &mut Merged) -> Result<usize> {
    let mut batches = files.rows(index, &[0]);
    let mut seen = 0;
    while seen < records_max
        && let Some(batch) = batches.next().await.transpose()?
    {
        for text in batch.column(0).as_string::<i32>().iter().take(records_max - seen).flatten() {
            let document = Json::of(text);
            if document.kind() != JsonKind::Object {
                continue;
            }
            let member = |(name, value): (Cow<'_, str>, Json<'_>)| Inferred {
                name: name.into_owned(),
                ty: type_of_json(value).map(str::to_string),
                nullable: value.kind() == JsonKind::Null,
                files: Vec::new(),
            };
            found.add(document.members().map(member).collect())?;
        }
        seen += batch.num_rows();
    }
    Ok(seen.min(records_max))
}

fn type_of_json(value: Json<'_>) -> Option<&'static str> {
    Some(match value.kind() {
        JsonKind::Null => return None,
        JsonKind::Bool => "BOOLEAN",
        JsonKind::Number if value.text().parse::<i64>().is_ok() => "BIGINT",
        JsonKind::Number => "DOUBLE",
        JsonKind::String => TEXT,
        JsonKind::Array | JsonKind::Object => VARIANT,
    })
}

/// The type of a column that holds values of an inferred type.
fn column_of_json(ty: &str) -> SqlType {
    match ty {
        "BOOLEAN" => SqlType::Bool,
        "BIGINT" => SqlType::Int8,
        "DOUBLE" => SqlType::Float8,
        "VARIANT" => SqlType::Jsonb,
        _ => SqlType::Text,
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::{Fields, IntervalUnit, TimeUnit};

    use super::*;

    fn column(name: &str, ty: Option<&str>) -> Inferred {
        Inferred { name: name.into(), ty: ty.map(str::to_string), ..Inferred::default() }
    }

    #[test]
    fn columns_of_files_become_one_table() {
        let mut all = Merged::default();
        all.add(vec![column("a", Some("BIGINT")), column("b", None), column("c", Some("DATE"))]).unwrap();
        all.add(vec![column("b", Some("INT")), column("a", Some("DOUBLE")), column("d", None)]).unwrap();
        all.add(vec![column("c", None), column("a", None), column("b", None), column("d", None)]).unwrap();
        let all = all.finish();
        let told: Vec<_> = all.iter().map(|c| (c.name.as_str(), c.ty.as_deref(), c.nullable)).collect();
        let expected =
            [("a", Some("DOUBLE"), false), ("b", Some("INT"), false), ("c", Some("DATE"), true), ("d", None, true)];
        assert_eq!(told, expected);
        assert_eq!(merged(Some("DATE".into()), Some("BIGINT".into())).as_deref(), Some(TEXT));
    }

    #[test]
    fn a_table_can_have_the_types() {
        let item = |ty: DataType| Arc::new(Field::new("item", ty, true));
        let list = DataType::List(item(DataType::Int64));
        let at = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        for (ty, expected) in [
            (DataType::UInt64, "DECIMAL(20,0)"),
            (DataType::Decimal256(38, 4), "DECIMAL(38,4)"),
            (DataType::Decimal256(39, 4), "VARCHAR"),
            (DataType::Binary, "BINARY"),
            (at, "TIMESTAMPTZ"),
            (DataType::Interval(IntervalUnit::DayTime), "VARCHAR"),
            (DataType::Time64(TimeUnit::Nanosecond), "VARCHAR"),
            (list.clone(), "ARRAY(BIGINT)"),
            (DataType::LargeList(item(list)), "VARIANT"),
            (DataType::Struct(Fields::from(vec![Field::new("a", DataType::Int8, true)])), "VARIANT"),
        ] {
            let told = type_name(&Field::new("c", ty, true));
            assert_eq!(told, expected);
            assert!(SqlType::parse(&told).is_some_and(|ty| ty.is_storable()), "{told}");
        }
        for told in NUMBERS.iter().chain(&[TEXT, VARIANT, "BOOLEAN", "DATE", "TIMESTAMP"]) {
            assert!(SqlType::parse(told).is_some_and(|ty| ty.is_storable()), "{told}");
        }
    }

    #[test]
    fn columns_are_bounded() {
        let mut all = Merged::default();
        let columns = |from: usize| (from..from + 100).map(|at| column(&number_name(at), None)).collect();
        for from in (0..COLUMNS_MAX).step_by(100) {
            all.add(columns(from)).unwrap();
        }
        assert_eq!(all.add(columns(COLUMNS_MAX)).unwrap_err().code(), Sqlstate::TOO_MANY_COLUMNS);
        let mut wide = TextColumns { columns: Vec::new(), has_names: true };
        wide.add(vec![None; COLUMNS_MAX]).unwrap();
        assert_eq!(wide.add(vec![None; COLUMNS_MAX + 1]).unwrap_err().code(), Sqlstate::TOO_MANY_COLUMNS);
    }

    #[test]
    fn texts_have_types() {
        for (text, ty) in [
            ("1", "BIGINT"),
            ("-1.5e3", "DOUBLE"),
            ("2026-01-31", "DATE"),
            ("2026-01-31 10:00:00", "TIMESTAMP"),
            ("true", "BOOLEAN"),
            ("nan", TEXT),
            ("1x", TEXT),
            ("", TEXT),
        ] {
            assert_eq!(type_of_text(text), ty, "{text}");
        }
    }
}
