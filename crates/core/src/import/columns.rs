//! Columns of files that describe themselves: matched to the table's by name, and cast.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, ListArray, RecordBatch, StringArray, make_array, new_null_array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields};
use arrow_select::nullif::nullif;
use lakeport_base::{SqlType, Sqlstate, hex};

use super::batch::Target;
use super::options::{ByName, Missing};
use super::rules::FieldDefault;
use crate::error::{Error, Result};
use crate::export::ndjson::JsonValues;
use crate::rows::{arrow_field, arrow_type};
use crate::value::{ColumnBuilder, Json, TextColumn};

/// For each of the table's columns, the position of the file's column, if there is one.
pub(crate) struct Matched(Vec<Option<usize>>);

impl Matched {
    /// # Errors
    /// 42703 for a column that only the table or only the file has, where that is refused.
    pub fn new(fields: &Fields, target: &Target, names: ByName) -> Result<Matched> {
        let find = |name: &str| {
            let exact = fields.iter().position(|field| field.name() == name);
            let alike = |field: &FieldRef| !names.exact && field.name().eq_ignore_ascii_case(name);
            exact.or_else(|| fields.iter().position(alike))
        };
        let positions: Vec<Option<usize>> = target.columns.iter().map(|column| find(&column.name)).collect();
        if let Some(missing) = positions.iter().position(Option::is_none).filter(|_| names.missing == Missing::Refused)
        {
            return Err(target.missing_column(missing));
        }
        match fields.iter().enumerate().find(|(index, _)| !positions.contains(&Some(*index))) {
            Some((_, field)) if names.only_known => {
                let message = format!("column {:?} of the file is no column of the table", field.name());
                Err(Error::new(Sqlstate::UNDEFINED_COLUMN, message))
            }
            _ => Ok(Matched(positions)),
        }
    }

    /// The first columns of the file, in their order.
    pub fn in_order(target: &Target) -> Matched {
        Matched((0..target.columns.len()).map(Some).collect())
    }

    /// Positions among all columns of the file.
    pub fn all(&self) -> &[Option<usize>] {
        &self.0
    }

    /// The columns of the file that are wanted, each once, in its order.
    pub fn chosen(&self) -> Vec<usize> {
        let mut chosen: Vec<usize> = self.0.iter().flatten().copied().collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }

    /// Positions among the chosen columns.
    pub fn among_chosen(&self) -> Vec<Option<usize>> {
        let chosen = self.chosen();
        self.0.iter().map(|position| chosen.binary_search(position.as_ref()?).ok()).collect()
    }
}

/// A batch of the file as the table has it; `positions` are those of the table's columns in the batch.
pub(crate) fn converted(
    batch: &RecordBatch,
    positions: &[Option<usize>],
    target: &Target,
    names: ByName,
) -> Result<RecordBatch> {
    let array = |(index, position): (usize, &Option<usize>)| {
        let column = &target.columns[index];
        let array = match position {
            Some(position) => {
                let field = batch.schema_ref().field(*position);
                let from = crate::rows::sql_type(field);
                let mut values = with_nulls(batch.column(*position), field, &target.rules.null_if)?;
                if target.rules.in_databend && from == SqlType::Jsonb && column.ty != SqlType::Jsonb {
                    values = texts_for(&column.ty, &values)?;
                }
                convert(&values, &from, &column.ty)
                    .map_err(|error| error.prefixed(&format!("column {:?} as {}", column.name, column.ty)))?
            }
            None => missing(target, index, names, batch.num_rows())?,
        };
        match array.null_count() > 0 && !column.nullable && target.rules.in_databend {
            true => Err(target.refused_null(index)),
            false => Ok(array),
        }
    };
    let arrays = positions.iter().enumerate().map(array).collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(target.schema.clone(), arrays).map_err(Error::internal)
}

/// A column with NULL where one of these texts stands.
pub(crate) fn with_nulls(values: &ArrayRef, field: &Field, null_if: &[String]) -> Result<ArrayRef> {
    if null_if.is_empty() || crate::rows::sql_type(field) != SqlType::Text || !is_text(values.data_type()) {
        return Ok(Arc::clone(values));
    }
    let views = arrow_cast::cast(values, &DataType::Utf8View).map_err(Error::internal)?;
    let is_null = |text: Option<&str>| Some(text.is_some_and(|text| null_if.iter().any(|null| null == text)));
    let nulls: BooleanArray = views.as_string_view().iter().map(is_null).collect();
    nullif(values, &nulls).map_err(Error::internal)
}

/// A column that the file does not have.
fn missing(target: &Target, index: usize, names: ByName, rows: usize) -> Result<ArrayRef> {
    let ty = &target.columns[index].ty;
    let text = match target.rules.default_of(index) {
        FieldDefault::Text(text) if names.missing == Missing::Default => text,
        FieldDefault::Computed if names.missing == Missing::Default => return Err(target.no_constant(index)),
        _ => return Ok(new_null_array(&arrow_type(ty), rows)),
    };
    let mut builder = ColumnBuilder::new(ty, rows);
    (0..rows).try_for_each(|_| builder.append_text(text))?;
    Ok(builder.finish())
}

/// JSON values as Databend takes them for another type: the characters of a string, and NULL for null.
fn texts_for(ty: &SqlType, documents: &ArrayRef) -> Result<ArrayRef> {
    let documents = arrow_cast::cast(documents, &DataType::Utf8).map_err(Error::internal)?;
    let texts = documents.as_string::<i32>().iter().map(|document| Json::of(document?).text_for(ty));
    Ok(Arc::new(texts.collect::<StringArray>()))
}

/// A column of the file as a type of the table has it. Texts go through the same readings as in CSV.
fn convert(array: &ArrayRef, from: &SqlType, ty: &SqlType) -> Result<ArrayRef> {
    let to = arrow_type(ty);
    let holds_texts = is_text(array.data_type());
    match ty {
        _ if array.data_type() == &DataType::Null => Ok(new_null_array(&to, array.len())),
        SqlType::Text if holds_texts => cast(array, &to),
        SqlType::Jsonb if !holds_texts => as_documents(array, from),
        _ if holds_texts || to == DataType::Utf8 => through_text(array, from, ty),
        SqlType::Array(item) if is_list(array.data_type()) => convert_items(array, item),
        _ if Values::of(array.data_type()).is_some_and(|values| Some(values) == Values::of(&to)) => cast(array, &to),
        _ => {
            let message = format!("the file has values of type {from}");
            Err(Error::new(Sqlstate::DATATYPE_MISMATCH, message)
                .with_hint("COPY INTO table FROM (SELECT ... FROM files) casts them"))
        }
    }
}

/// What values are. In another type of the same they stay what they are, or are refused.
#[derive(PartialEq)]
enum Values {
    Truths,
    Numbers,
    Moments,
    Bytes,
}

impl Values {
    fn of(data_type: &DataType) -> Option<Values> {
        match data_type {
            DataType::Boolean => Some(Values::Truths),
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Some(Values::Moments),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Some(Values::Bytes)
            }
            DataType::Dictionary(_, values) => Values::of(values),
            data_type => data_type.is_numeric().then_some(Values::Numbers),
        }
    }
}

fn is_list(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..))
}

/// Lists, item by item.
fn convert_items(array: &ArrayRef, ty: &SqlType) -> Result<ArrayRef> {
    let (DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _)) = array.data_type()
    else {
        return Err(Error::internal("items of what is no list"));
    };
    let (from, field) = (crate::rows::sql_type(field), Arc::clone(field));
    let lists = arrow_cast::cast(array, &DataType::List(field)).map_err(out_of_range)?;
    let (_, offsets, items, nulls) = lists.as_list::<i32>().clone().into_parts();
    let items = convert(&items, &from, ty)?;
    let field = Arc::new(arrow_field("item", ty, true));
    Ok(Arc::new(ListArray::try_new(field, offsets, items, nulls).map_err(Error::internal)?))
}

/// Values of any type as JSON values.
fn as_documents(array: &ArrayRef, from: &SqlType) -> Result<ArrayRef> {
    let mut values = JsonValues::new(array, from)?;
    let mut builder = ColumnBuilder::new(&SqlType::Jsonb, array.len());
    let mut text = String::new();
    for row in 0..array.len() {
        text.clear();
        if array.is_null(row) {
            builder.append_null();
        } else {
            values.write(row, &mut text)?;
            builder.append_text(&text)?;
        }
    }
    Ok(builder.finish())
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

/// 22003, with the value that Arrow names.
fn out_of_range(error: ArrowError) -> Error {
    let text = error.to_string();
    let told = text.split_once("error: ").map_or(text.as_str(), |(_, told)| told);
    let message = match told.split_once(" is too large to store in") {
        Some((value, _)) => format!("{value} is out of range"),
        None => told.to_string(),
    };
    Error::new(Sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, message)
}

/// Casts exactly. Times without a zone are taken for UTC.
fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if let (DataType::Timestamp(_, None), DataType::Timestamp(unit, Some(_))) = (array.data_type(), to) {
        let local = cast(array, &DataType::Timestamp(*unit, None))?;
        let data = local.to_data().into_builder().data_type(to.clone()).build().map_err(Error::internal)?;
        return Ok(make_array(data));
    }
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    let cast = cast_with_options(array, to, &exact).map_err(out_of_range)?;
    let what = match (array.data_type(), to) {
        (from, to) if to.is_integer() && !from.is_integer() => "no whole number",
        (DataType::Timestamp(..), DataType::Date32) => "no day, but a time of one",
        (DataType::Float64, DataType::Float32) => {
            require_finite(array, &cast)?;
            return Ok(cast);
        }
        _ => return Ok(cast),
    };
    let back = cast_with_options(&cast, array.data_type(), &exact).map_err(out_of_range)?;
    require_same(array, &back, what)?;
    Ok(cast)
}

/// # Errors
/// 22003 for a number that has become infinite.
fn require_finite(before: &ArrayRef, after: &ArrayRef) -> Result<()> {
    let (before, after) = (before.as_primitive::<Float64Type>(), after.as_primitive::<Float32Type>());
    let mut pairs = before.iter().flatten().zip(after.iter().flatten());
    match pairs.find(|(before, after)| after.is_infinite() && before.is_finite()) {
        None => Ok(()),
        Some((value, _)) => Err(Error::new(Sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, format!("{value:e} is out of range"))),
    }
}

/// # Errors
/// 22P02 for a value that has become another.
fn require_same(before: &ArrayRef, after: &ArrayRef, what: &str) -> Result<()> {
    if before.to_data() == after.to_data() {
        return Ok(());
    }
    let texts = |array: &ArrayRef| arrow_cast::cast(array, &DataType::Utf8).map_err(Error::internal);
    let (before, after) = (texts(before)?, texts(after)?);
    let mut pairs = before.as_string::<i32>().iter().zip(after.as_string::<i32>());
    match pairs.find(|(before, after)| before != after && before != &Some("-0.0")) {
        None => Ok(()),
        Some((value, _)) => {
            let message = format!("{} is {what}", value.unwrap_or("NULL"));
            Err(Error::new(Sqlstate::INVALID_TEXT_REPRESENTATION, message))
        }
    }
}

fn through_text(array: &ArrayRef, from: &SqlType, to: &SqlType) -> Result<ArrayRef> {
    let mut builder = ColumnBuilder::new(to, array.len());
    if let (SqlType::Uuid, DataType::FixedSizeBinary(16)) = (to, array.data_type()) {
        for value in array.as_fixed_size_binary() {
            match value {
                Some(bytes) => builder.append_text(&hex::encode(bytes))?,
                None => builder.append_null(),
            }
        }
        return Ok(builder.finish());
    }
    let texts = TextColumn::new(array, from);
    let mut text = String::new();
    for row in 0..array.len() {
        if texts.is_null(row) {
            builder.append_null();
            continue;
        }
        text.clear();
        texts.write(row, &mut text).map_err(Error::internal)?;
        builder.append_text(&text)?;
    }
    Ok(builder.finish())
}
