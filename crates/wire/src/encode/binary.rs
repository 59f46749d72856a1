//! Values in PostgreSQL's binary form, as its `*_send` functions write them. All numbers big-endian.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, ListArray, PrimitiveArray, StringArray};
use arrow_cast::{CastOptions, can_cast_types, cast_with_options};
use arrow_schema::DataType;
use bytes::{BufMut, BytesMut};
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::rows::arrow_type;
use lakeport_core::value::binary::{EPOCH_SHIFT_DAYS, EPOCH_SHIFT_MICROS, JSONB_VERSION, NUMERIC_NEGATIVE};
use lakeport_core::value::{Span, TextColumn, without_zeros};
use lakeport_core::{Error, Result};

use super::{NULL_LENGTH, with_length};

/// NUMERIC is written in digits of this base.
const NUMERIC_BASE: u128 = 10_000;
/// Decimal digits in one digit of NUMERIC.
const NUMERIC_DIGIT_WIDTH: u32 = 4;

/// One column ready to be written row by row.
pub(crate) enum BinaryColumn {
    Bool(BooleanArray),
    Int2(PrimitiveArray<Int16Type>),
    Int4(PrimitiveArray<Int32Type>),
    Int8(PrimitiveArray<Int64Type>),
    Float4(PrimitiveArray<Float32Type>),
    Float8(PrimitiveArray<Float64Type>),
    Numeric {
        values: PrimitiveArray<Decimal128Type>,
        scale: u32,
        /// Zeros at the end are not shown.
        free: bool,
    },
    /// Text is the same in both forms, whatever Arrow type it is made from.
    Text(TextColumn),
    Bytes(BinaryArray),
    Date(PrimitiveArray<Date32Type>),
    Timestamp(PrimitiveArray<TimestampMicrosecondType>),
    Interval(PrimitiveArray<IntervalMonthDayNanoType>),
    Uuid(StringArray),
    Jsonb(StringArray),
    Array {
        lists: ListArray,
        elements: Box<BinaryColumn>,
        element_oid: u32,
    },
}

impl BinaryColumn {
    /// Prepares a column of a type.
    ///
    /// # Errors
    /// 22003 when a value does not fit the type.
    pub(crate) fn new(array: &ArrayRef, ty: &SqlType) -> Result<BinaryColumn> {
        if matches!(ty, SqlType::Text | SqlType::Varchar(_)) {
            return Ok(BinaryColumn::Text(TextColumn::new(array, ty)));
        }
        if let (SqlType::Decimal(..), DataType::Decimal128(precision, scale @ 0..)) = (ty, array.data_type()) {
            let free = SqlType::Decimal(*precision, scale.unsigned_abs()).has_free_scale();
            return Ok(BinaryColumn::Numeric { values: array.as_primitive().clone(), scale: *scale as u32, free });
        }
        let array = cast_exactly(array, ty)?;
        Ok(match ty {
            SqlType::Bool => BinaryColumn::Bool(array.as_boolean().clone()),
            SqlType::Int2 => BinaryColumn::Int2(array.as_primitive().clone()),
            SqlType::Int4 => BinaryColumn::Int4(array.as_primitive().clone()),
            SqlType::Int8 => BinaryColumn::Int8(array.as_primitive().clone()),
            SqlType::Float4 => BinaryColumn::Float4(array.as_primitive().clone()),
            SqlType::Float8 => BinaryColumn::Float8(array.as_primitive().clone()),
            SqlType::Decimal(_, scale) => BinaryColumn::Numeric {
                values: array.as_primitive().clone(),
                scale: u32::from(*scale),
                free: ty.has_free_scale(),
            },
            SqlType::Text | SqlType::Varchar(_) => BinaryColumn::Text(TextColumn::new(&array, ty)),
            SqlType::Bytes => BinaryColumn::Bytes(array.as_binary().clone()),
            SqlType::Date => BinaryColumn::Date(array.as_primitive().clone()),
            SqlType::Timestamp | SqlType::TimestampTz => BinaryColumn::Timestamp(array.as_primitive().clone()),
            SqlType::Interval => BinaryColumn::Interval(array.as_primitive().clone()),
            SqlType::Uuid => BinaryColumn::Uuid(array.as_string().clone()),
            SqlType::Jsonb => BinaryColumn::Jsonb(array.as_string().clone()),
            SqlType::Array(element) => {
                let lists = array.as_list::<i32>().clone();
                let elements = Box::new(BinaryColumn::new(lists.values(), element)?);
                BinaryColumn::Array { lists, elements, element_oid: element.oid() }
            }
        })
    }

    /// Writes a value with its length before it.
    pub(crate) fn write(&self, row: usize, out: &mut BytesMut) -> Result<()> {
        if self.is_null(row) {
            out.put_i32(NULL_LENGTH);
            return Ok(());
        }
        with_length(out, |out| self.write_body(row, out))
    }

    fn write_body(&self, row: usize, out: &mut BytesMut) -> Result<()> {
        match self {
            BinaryColumn::Bool(values) => out.put_u8(u8::from(values.value(row))),
            BinaryColumn::Int2(values) => out.put_i16(values.value(row)),
            BinaryColumn::Int4(values) => out.put_i32(values.value(row)),
            BinaryColumn::Int8(values) => out.put_i64(values.value(row)),
            BinaryColumn::Float4(values) => out.put_f32(values.value(row)),
            BinaryColumn::Float8(values) => out.put_f64(values.value(row)),
            BinaryColumn::Numeric { values, scale, free: false } => write_numeric(values.value(row), *scale, out),
            BinaryColumn::Numeric { values, scale, free: true } => {
                let (units, scale) = without_zeros(values.value(row), *scale);
                write_numeric(units, scale, out);
            }
            BinaryColumn::Text(column) => column.write(row, out).map_err(Error::internal)?,
            BinaryColumn::Bytes(values) => out.put_slice(values.value(row)),
            BinaryColumn::Date(values) => {
                let days = values.value(row).checked_sub(EPOCH_SHIFT_DAYS);
                out.put_i32(days.ok_or_else(|| out_of_range("date"))?);
            }
            BinaryColumn::Timestamp(values) => {
                let micros = values.value(row).checked_sub(EPOCH_SHIFT_MICROS);
                out.put_i64(micros.ok_or_else(|| out_of_range("timestamp"))?);
            }
            BinaryColumn::Interval(values) => write_interval(Span::of(values.value(row)), out),
            BinaryColumn::Uuid(values) => write_uuid(values.value(row), out)?,
            BinaryColumn::Jsonb(values) => {
                out.put_u8(JSONB_VERSION);
                out.put_slice(values.value(row).as_bytes());
            }
            BinaryColumn::Array { lists, elements, element_oid } => {
                write_array(lists, elements, *element_oid, row, out)?;
            }
        }
        Ok(())
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            BinaryColumn::Bool(values) => values.is_null(row),
            BinaryColumn::Int2(values) => values.is_null(row),
            BinaryColumn::Int4(values) => values.is_null(row),
            BinaryColumn::Int8(values) => values.is_null(row),
            BinaryColumn::Float4(values) => values.is_null(row),
            BinaryColumn::Float8(values) => values.is_null(row),
            BinaryColumn::Numeric { values, .. } => values.is_null(row),
            BinaryColumn::Text(column) => column.is_null(row),
            BinaryColumn::Bytes(values) => values.is_null(row),
            BinaryColumn::Date(values) => values.is_null(row),
            BinaryColumn::Timestamp(values) => values.is_null(row),
            BinaryColumn::Interval(values) => values.is_null(row),
            BinaryColumn::Uuid(values) | BinaryColumn::Jsonb(values) => values.is_null(row),
            BinaryColumn::Array { lists, .. } => lists.is_null(row),
        }
    }
}

/// The array in the Arrow type of its column type, every value kept.
fn cast_exactly(array: &ArrayRef, ty: &SqlType) -> Result<ArrayRef> {
    let target = arrow_type(ty);
    if *array.data_type() == target {
        return Ok(array.clone());
    }
    if !can_cast_types(array.data_type(), &target) {
        return Err(Error::internal(format!("no binary form of {} as {ty}", array.data_type())));
    }
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, &target, &exact)
        .map_err(|error| Error::new(Sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, error.to_string()))
}

fn out_of_range(what: &str) -> Error {
    Error::new(Sqlstate::DATETIME_FIELD_OVERFLOW, format!("{what} out of range for the binary form"))
}

/// Digits of base 10000 around the decimal point: count, weight of the first, sign, digits after the point, digits.
fn write_numeric(value: i128, scale: u32, out: &mut BytesMut) {
    let mut digits = [0u16; 12];
    let mut count = 0;
    // The point falls between two digits of base 10000 once the fraction is filled up with zeros.
    let padding = (NUMERIC_DIGIT_WIDTH - scale % NUMERIC_DIGIT_WIDTH) % NUMERIC_DIGIT_WIDTH;
    let fraction_digits = (scale + padding) / NUMERIC_DIGIT_WIDTH;
    let units = value.unsigned_abs();
    let step = 10u128.pow(NUMERIC_DIGIT_WIDTH - padding);
    // The lowest digit takes the padding; the others are whole.
    let mut rest = units / step;
    digits[count] = (units % step * 10u128.pow(padding)) as u16;
    count += 1;
    while rest > 0 {
        digits[count] = (rest % NUMERIC_BASE) as u16;
        rest /= NUMERIC_BASE;
        count += 1;
    }
    let trailing_zeros = digits[..count].iter().take_while(|digit| **digit == 0).count();
    let significant = &digits[trailing_zeros..count];
    let weight = if significant.is_empty() { 0 } else { count as i16 - 1 - fraction_digits as i16 };
    out.put_u16(significant.len() as u16);
    out.put_i16(weight);
    out.put_u16(if value < 0 { NUMERIC_NEGATIVE } else { 0 });
    out.put_u16(scale as u16);
    significant.iter().rev().for_each(|digit| out.put_u16(*digit));
}

/// Microseconds, days, months; the latter two are as wide as Arrow holds them.
fn write_interval(span: Span, out: &mut BytesMut) {
    out.put_i64(span.micros);
    out.put_i32(span.days as i32);
    out.put_i32(span.months as i32);
}

fn write_uuid(text: &str, out: &mut BytesMut) -> Result<()> {
    let mut digits = text.chars().filter(|character| *character != '-').map(|character| character.to_digit(16));
    for _ in 0..16 {
        let (Some(Some(high)), Some(Some(low))) = (digits.next(), digits.next()) else {
            return Err(Error::new(Sqlstate::DATA_CORRUPTED, format!("stored value {text:?} is not a UUID")));
        };
        out.put_u8((high << 4 | low) as u8);
    }
    Ok(())
}

/// One dimension from index 1: dimensions, whether NULLs occur, element type, length, first index, elements.
fn write_array(
    lists: &ListArray,
    elements: &BinaryColumn,
    element_oid: u32,
    row: usize,
    out: &mut BytesMut,
) -> Result<()> {
    let offsets = lists.value_offsets();
    let range = offsets[row] as usize..offsets[row + 1] as usize;
    out.put_i32(i32::from(!range.is_empty()));
    out.put_i32(i32::from(range.clone().any(|element| elements.is_null(element))));
    out.put_u32(element_oid);
    if range.is_empty() {
        return Ok(());
    }
    out.put_i32(range.len() as i32);
    out.put_i32(1);
    range.into_iter().try_for_each(|element| elements.write(element, out))
}
