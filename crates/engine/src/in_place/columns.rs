//! The columns that queries see of files: those of the first file, as types of ours, with those of the folders.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use lakeport_base::SqlType;
use lakeport_core::databend::Number;
use lakeport_core::in_place::{FileSet, PlacedFile};
use lakeport_core::rows::{arrow_field, arrow_type, sql_type};
use lakeport_core::{Error, Result};

/// Name of the column that tells each row's file.
pub(super) const FILENAME: &str = "metadata$filename";
/// Name of the column that tells each row's number in its file, from 0.
pub(super) const FILE_ROW_NUMBER: &str = "metadata$file_row_number";

/// The columns of files as tables have them, with texts as views, of which operators copy but 16 bytes each.
pub(super) fn as_table(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Struct(_) | DataType::Map(..) | DataType::List(_) | DataType::LargeList(_) => field.as_ref().clone(),
        DataType::UInt64 => arrow_field(field.name(), &SqlType::Decimal(20, 0), true),
        _ => match arrow_field(field.name(), &sql_type(field), true) {
            text if *text.data_type() == DataType::Utf8 => text.with_data_type(DataType::Utf8View),
            other => other,
        },
    });
    Arc::new(Schema::new(fields.map(|field| field.with_nullable(true)).collect::<Vec<_>>()))
}

/// # Errors
/// 1065: a file of other columns than the first has.
pub(super) fn require_same(first: (&Schema, &PlacedFile), other: (&Schema, &PlacedFile)) -> Result<()> {
    if described(first.0.fields()) == described(other.0.fields()) {
        return Ok(());
    }
    let message = format!("diff schema: {} has not the columns of {}", other.1.uri, first.1.uri);
    Err(Error::databend(Number::SEMANTIC, message).with_hint("$1 reads rows of any columns, each as one JSON value"))
}

/// Names and types, in the order of the names.
fn described(fields: &Fields) -> Vec<(&str, &DataType)> {
    let mut described: Vec<_> = fields.iter().map(|field| (field.name().as_str(), field.data_type())).collect();
    described.sort_by_key(|(name, _)| *name);
    described
}

/// The columns that folders such as `year=2026/` make, if all files lie in folders of the same names, and the values of
/// each file.
pub(super) struct Folders {
    pub fields: Vec<Arc<Field>>,
    pub values: Vec<Vec<ScalarValue>>,
}

/// Stands for NULL in a folder's name.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

impl Folders {
    /// A column that the files have themselves is theirs.
    pub fn of(files: &FileSet, own: &Schema) -> Folders {
        let named: Vec<Vec<(String, Option<String>)>> = files.files.iter().map(|file| folders(&file.name)).collect();
        let mut names = named.first().map_or(Vec::new(), |first| first.iter().map(|(name, _)| name.clone()).collect());
        names.retain(|name| own.field_with_name(name).is_err());
        names.retain(|name| named.iter().all(|folders| folders.iter().any(|(other, _)| other == name)));
        let text = |folders: &[(String, Option<String>)], name: &str| {
            folders.iter().find(|(other, _)| other == name).and_then(|(_, value)| value.clone())
        };
        let mut made = Folders { fields: Vec::new(), values: vec![Vec::new(); named.len()] };
        for name in &names {
            let texts: Vec<Option<String>> = named.iter().map(|folders| text(folders, name)).collect();
            let numbers = texts.iter().flatten().all(|text| text.parse::<i64>().is_ok_and(|n| n.to_string() == *text));
            let ty = if numbers { SqlType::Int8 } else { SqlType::Text };
            made.fields.push(Arc::new(arrow_field(name, &ty, true)));
            for (values, text) in made.values.iter_mut().zip(texts) {
                values.push(match numbers {
                    true => ScalarValue::Int64(text.and_then(|text| text.parse().ok())),
                    false => ScalarValue::Utf8(text),
                });
            }
        }
        made
    }
}

/// The `name=value` folders of a path.
fn folders(path: &str) -> Vec<(String, Option<String>)> {
    let (folders, _) = path.rsplit_once('/').unwrap_or_default();
    let pairs = folders.split('/').filter_map(|folder| folder.split_once('='));
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    pairs
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (decoded(name).to_lowercase(), Some(decoded(value)).filter(|value| value != NULL_FOLDER)))
        .collect()
}

/// Text that is the same for all rows of a file, and a row's number.
pub(super) fn filename_field() -> Arc<Field> {
    Arc::new(arrow_field(FILENAME, &SqlType::Text, false))
}

pub(super) fn row_number_field() -> Field {
    Field::new(FILE_ROW_NUMBER, arrow_type(&SqlType::Int8), false)
}
