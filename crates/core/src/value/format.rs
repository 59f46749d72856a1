//! Arrow columns to texts, as PostgreSQL prints them.

use std::fmt::{self, Write};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, DurationMicrosecondType, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, TimestampMicrosecondType, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, LargeBinaryArray, LargeStringArray, ListArray,
    MapArray, PrimitiveArray, StringArray, StringViewArray, StructArray, UnionArray,
};
use arrow_buffer::NullBuffer;
use arrow_cast::cast;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit, UnionFields};
use lakeport_base::SqlType;

use super::{Span, Zone, datetime};

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// One column ready to be printed row by row.
pub struct TextColumn {
    /// `None` where no value is NULL.
    nulls: Option<NullBuffer>,
    values: Values,
}

/// The values by their physical type; rarer types are cast to one of these beforehand.
enum Values {
    Null,
    Bool(BooleanArray),
    Int2(PrimitiveArray<Int16Type>),
    Int4(PrimitiveArray<Int32Type>),
    Int8(PrimitiveArray<Int64Type>),
    Unsigned(PrimitiveArray<UInt64Type>),
    Float4(PrimitiveArray<Float32Type>),
    Float8(PrimitiveArray<Float64Type>),
    Decimal {
        values: PrimitiveArray<Decimal128Type>,
        scale: u32,
        /// Zeros at the end are not shown.
        free: bool,
    },
    Text(StringArray),
    LargeText(LargeStringArray),
    TextView(StringViewArray),
    Bytes(BinaryArray),
    LargeBytes(LargeBinaryArray),
    BytesView(BinaryViewArray),
    Date(PrimitiveArray<Date32Type>),
    Timestamp(PrimitiveArray<TimestampMicrosecondType>),
    TimestampTz {
        values: PrimitiveArray<TimestampMicrosecondType>,
        zone: Zone,
    },
    Duration(PrimitiveArray<DurationMicrosecondType>),
    Interval(PrimitiveArray<IntervalMonthDayNanoType>),
    List {
        lists: ListArray,
        elements: Box<TextColumn>,
    },
    Struct(Vec<(String, TextColumn)>),
    Map {
        maps: MapArray,
        keys: Box<TextColumn>,
        values: Box<TextColumn>,
    },
    Union(UnionColumn),
    /// Printed by arrow.
    Other(ArrayRef),
}

/// A column whose values are each of one of several types.
struct UnionColumn {
    values: UnionArray,
    /// The values of each type, by the type's number.
    members: Vec<(i8, TextColumn)>,
}

impl UnionColumn {
    fn new(values: &UnionArray, fields: &UnionFields, zone: Zone) -> UnionColumn {
        let member = |(id, field): (i8, &Arc<Field>)| {
            (id, TextColumn::in_zone(values.child(id), &crate::rows::sql_type(field), zone))
        };
        UnionColumn { values: values.clone(), members: fields.iter().map(member).collect() }
    }

    /// Writes the value of a row as its own type does.
    fn at(&self, row: usize, write: impl FnOnce(&TextColumn, usize) -> fmt::Result) -> fmt::Result {
        let id = self.values.type_id(row);
        let (_, member) = self.members.iter().find(|(own, _)| *own == id).ok_or(fmt::Error)?;
        write(member, self.values.value_offset(row))
    }
}

impl TextColumn {
    /// Prepares a column; its type decides where the Arrow type alone does not tell. TIMESTAMPTZ prints in UTC.
    pub fn new(array: &ArrayRef, ty: &SqlType) -> TextColumn {
        TextColumn::in_zone(array, ty, Zone::UTC)
    }

    /// As [`new`](TextColumn::new), with TIMESTAMPTZ as a zone's clocks show it.
    pub fn in_zone(array: &ArrayRef, ty: &SqlType, zone: Zone) -> TextColumn {
        let array = simplified(array);
        TextColumn { nulls: array.logical_nulls(), values: Values::of(&array, ty, zone) }
    }

    /// Whether the row's value is NULL.
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// The text of a value that is not NULL, if it is held as text.
    pub fn text(&self, row: usize) -> Option<&str> {
        match &self.values {
            Values::Text(values) => Some(values.value(row)),
            Values::LargeText(values) => Some(values.value(row)),
            Values::TextView(values) => Some(values.value(row)),
            _ => None,
        }
    }

    /// Writes the text of a value that is not NULL.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, row: usize, out: &mut impl Write) -> fmt::Result {
        match &self.values {
            Values::Null => Ok(()),
            Values::Bool(values) => out.write_str(if values.value(row) { "t" } else { "f" }),
            Values::Int2(values) => write_integer(values.value(row), out),
            Values::Int4(values) => write_integer(values.value(row), out),
            Values::Int8(values) => write_integer(values.value(row), out),
            Values::Unsigned(values) => write_integer(values.value(row), out),
            Values::Float4(values) => write_float4(values.value(row), out),
            Values::Float8(values) => write_float8(values.value(row), out),
            Values::Decimal { values, scale, free: false } => write_decimal(values.value(row), *scale, out),
            Values::Decimal { values, scale, free: true } => {
                let (units, scale) = without_zeros(values.value(row), *scale);
                write_decimal(units, scale, out)
            }
            Values::Text(values) => out.write_str(values.value(row)),
            Values::LargeText(values) => out.write_str(values.value(row)),
            Values::TextView(values) => out.write_str(values.value(row)),
            Values::Bytes(values) => write_hex(values.value(row), out),
            Values::LargeBytes(values) => write_hex(values.value(row), out),
            Values::BytesView(values) => write_hex(values.value(row), out),
            Values::Date(values) => datetime::write_date(i64::from(values.value(row)), out),
            Values::Timestamp(values) => datetime::write_timestamp(values.value(row), None, out),
            Values::TimestampTz { values, zone } => datetime::write_timestamp(values.value(row), Some(*zone), out),
            Values::Duration(values) => datetime::write_interval(Span::of_micros(values.value(row)), out),
            Values::Interval(values) => datetime::write_interval(Span::of(values.value(row)), out),
            Values::List { lists, elements } => write_list(lists, elements, row, out),
            Values::Struct(fields) => write_struct(fields, row, out),
            Values::Map { maps, keys, values } => write_map(maps, keys, values, row, out),
            Values::Union(values) => values.at(row, |member, row| member.write(row, out)),
            Values::Other(array) => write_other(array, row, out),
        }
    }

    /// Whether the texts consist of [plain](is_plain) bytes only, so that no format marks them.
    pub fn is_plain(&self) -> bool {
        use Values::{Bool, Date, Decimal, Float4, Float8, Int2, Int4, Int8, Timestamp, Unsigned};
        matches!(
            self.values,
            Bool(_)
                | Int2(_)
                | Int4(_)
                | Int8(_)
                | Unsigned(_)
                | Float4(_)
                | Float8(_)
                | Decimal { .. }
                | Date(_)
                | Timestamp { .. }
        )
    }
}

/// Whether a byte may stand in the texts of [plain](TextColumn::is_plain) columns.
pub fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" +-.:".contains(&byte)
}

/// Writes the text of one value; nothing for NULL.
///
/// # Errors
/// Those of `out`.
pub fn format_value(array: &ArrayRef, row: usize, ty: &SqlType, out: &mut impl Write) -> fmt::Result {
    let column = TextColumn::new(&array.slice(row, 1), ty);
    if column.is_null(0) { Ok(()) } else { column.write(0, out) }
}

/// The same values in a physical type that [`Values`] knows, where there is one.
fn simplified(array: &ArrayRef) -> ArrayRef {
    let target = match array.data_type() {
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        DataType::RunEndEncoded(_, values) => values.data_type().clone(),
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(TimeUnit::Microsecond, _) => return array.clone(),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Duration(unit) if *unit != TimeUnit::Microsecond => DataType::Duration(TimeUnit::Microsecond),
        DataType::Interval(unit) if *unit != IntervalUnit::MonthDayNano => {
            DataType::Interval(IntervalUnit::MonthDayNano)
        }
        DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::LargeList(field) | DataType::FixedSizeList(field, _) | DataType::ListView(field) => {
            DataType::List(field.clone())
        }
        _ => return array.clone(),
    };
    cast(array, &target).map_or_else(|_| array.clone(), |array| simplified_again(array, &target))
}

/// The value of a dictionary may itself be a rarer type.
fn simplified_again(array: ArrayRef, target: &DataType) -> ArrayRef {
    if array.data_type() == target { array } else { simplified(&array) }
}

impl Values {
    fn of(array: &ArrayRef, ty: &SqlType, zone: Zone) -> Values {
        match array.data_type() {
            DataType::Null => Values::Null,
            DataType::Boolean => Values::Bool(array.as_boolean().clone()),
            DataType::Int16 => Values::Int2(array.as_primitive().clone()),
            DataType::Int32 => Values::Int4(array.as_primitive().clone()),
            DataType::Int64 => Values::Int8(array.as_primitive().clone()),
            DataType::UInt64 => Values::Unsigned(array.as_primitive().clone()),
            DataType::Float32 => Values::Float4(array.as_primitive().clone()),
            DataType::Float64 => Values::Float8(array.as_primitive().clone()),
            DataType::Decimal128(precision, scale @ 0..) => Values::Decimal {
                values: array.as_primitive().clone(),
                scale: u32::from(scale.unsigned_abs()),
                free: SqlType::Decimal(*precision, scale.unsigned_abs()).has_free_scale(),
            },
            DataType::Utf8 => Values::Text(array.as_string().clone()),
            DataType::LargeUtf8 => Values::LargeText(array.as_string().clone()),
            DataType::Utf8View => Values::TextView(array.as_string_view().clone()),
            DataType::Binary => Values::Bytes(array.as_binary().clone()),
            DataType::LargeBinary => Values::LargeBytes(array.as_binary().clone()),
            DataType::BinaryView => Values::BytesView(array.as_binary_view().clone()),
            DataType::Date32 => Values::Date(array.as_primitive().clone()),
            DataType::Timestamp(TimeUnit::Microsecond, None) => Values::Timestamp(array.as_primitive().clone()),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
                Values::TimestampTz { values: array.as_primitive().clone(), zone }
            }
            DataType::Duration(TimeUnit::Microsecond) => Values::Duration(array.as_primitive().clone()),
            DataType::Interval(IntervalUnit::MonthDayNano) => Values::Interval(array.as_primitive().clone()),
            DataType::List(_) => Values::of_list(array.as_list(), ty, zone),
            DataType::Struct(_) => Values::of_struct(array.as_struct(), zone),
            DataType::Map(..) => Values::of_map(array.as_map(), zone),
            DataType::Union(fields, _) => Values::Union(UnionColumn::new(array.as_union(), fields, zone)),
            _ => Values::Other(array.clone()),
        }
    }

    fn of_list(lists: &ListArray, ty: &SqlType, zone: Zone) -> Values {
        let element = match ty {
            SqlType::Array(element) => element,
            _ => &SqlType::Text,
        };
        Values::List { lists: lists.clone(), elements: Box::new(TextColumn::in_zone(lists.values(), element, zone)) }
    }

    fn of_map(maps: &MapArray, zone: Zone) -> Values {
        let column =
            |array: &ArrayRef, field: &Field| Box::new(TextColumn::in_zone(array, &crate::rows::sql_type(field), zone));
        let (key, value) = maps.entries_fields();
        Values::Map { maps: maps.clone(), keys: column(maps.keys(), key), values: column(maps.values(), value) }
    }

    fn of_struct(array: &StructArray, zone: Zone) -> Values {
        let columns = array.fields().iter().zip(array.columns()).map(|(field, column)| {
            let column = TextColumn::in_zone(column, &crate::rows::sql_type(field), zone);
            (field.name().clone(), column)
        });
        Values::Struct(columns.collect())
    }
}

fn write_integer(value: impl itoa::Integer, out: &mut impl Write) -> fmt::Result {
    out.write_str(itoa::Buffer::new().format(value))
}

/// Shortest text that reads back as the same number; an exponent where PostgreSQL shows one.
fn write_float8(value: f64, out: &mut impl Write) -> fmt::Result {
    if let Some(hundredths) = hundredths(value) {
        return write_hundredths(hundredths, out);
    }
    match value.abs() {
        magnitude if magnitude == 0.0 || (1e-4..1e15).contains(&magnitude) => write_digits(value, out),
        _ => write_extreme(value, format_args!("{value:e}"), out),
    }
}

/// The hundredths that make up a number, as of most prices and measures, unless they are too many. A text of at most 15
/// digits is that of no other number, so none shorter reads back as this one.
fn hundredths(value: f64) -> Option<i64> {
    let count = (value * 100.0 + 0.5_f64.copysign(value)) as i64;
    // Zero has a sign, which a whole number would lose.
    let is_short = count != 0 && count.unsigned_abs() < 1_000_000_000_000_000;
    (is_short && count as f64 / 100.0 == value).then_some(count)
}

/// Writes hundredths as a number, without zeros at its end.
fn write_hundredths(count: i64, out: &mut impl Write) -> fmt::Result {
    if count < 0 {
        out.write_char('-')?;
    }
    let count = count.unsigned_abs();
    write_integer(count / 100, out)?;
    let (tenths, rest) = ((count / 10 % 10) as u8, (count % 10) as u8);
    let fraction = [b'.', b'0' + tenths, b'0' + rest];
    let length = match (tenths, rest) {
        (0, 0) => return Ok(()),
        (_, 0) => 2,
        _ => 3,
    };
    out.write_str(str::from_utf8(&fraction[..length]).expect("a point and digits"))
}

/// As [`write_float8`], with the digits of single precision.
fn write_float4(value: f32, out: &mut impl Write) -> fmt::Result {
    match value.abs() {
        magnitude if magnitude == 0.0 || (1e-4..1e6).contains(&magnitude) => write_digits(value, out),
        _ => write_extreme(f64::from(value), format_args!("{value:e}"), out),
    }
}

/// A number that ryu writes without an exponent; whole ones without `.0`.
fn write_digits(value: impl ryu::Float, out: &mut impl Write) -> fmt::Result {
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value);
    out.write_str(text.strip_suffix(".0").unwrap_or(text))
}

/// `NaN`, `Infinity`, or digits with a signed exponent of two digits or more, such as `1e+20`.
fn write_extreme(value: f64, scientific: fmt::Arguments<'_>, out: &mut impl Write) -> fmt::Result {
    if value.is_nan() {
        return out.write_str("NaN");
    }
    if value.is_infinite() {
        return out.write_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    }
    let text = scientific.to_string();
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.strip_prefix('-') {
        Some(exponent) => write!(out, "{digits}e-{exponent:0>2}"),
        None => write!(out, "{digits}e+{exponent:0>2}"),
    }
}

/// A decimal in larger units, so that its last digit behind the point is not 0.
pub fn without_zeros(mut units: i128, mut scale: u32) -> (i128, u32) {
    while scale > 0 && units % 10 == 0 {
        units /= 10;
        scale -= 1;
    }
    (units, scale)
}

fn write_decimal(value: i128, scale: u32, out: &mut impl Write) -> fmt::Result {
    if value < 0 {
        out.write_char('-')?;
    }
    let units = value.unsigned_abs();
    // Division of 128 bits is many times slower than of 64.
    let width = scale as usize;
    match u64::try_from(units) {
        _ if scale == 0 => write!(out, "{units}"),
        Ok(units) if scale < 20 => {
            let one = 10u64.pow(scale);
            write!(out, "{}.{:0width$}", units / one, units % one)
        }
        _ => {
            let one = 10u128.pow(scale.min(38));
            write!(out, "{}.{:0width$}", units / one, units % one)
        }
    }
}

fn write_hex(bytes: &[u8], out: &mut impl Write) -> fmt::Result {
    out.write_str("\\x")?;
    for byte in bytes {
        out.write_char(char::from(HEX_DIGITS[usize::from(byte >> 4)]))?;
        out.write_char(char::from(HEX_DIGITS[usize::from(byte & 15)]))?;
    }
    Ok(())
}

/// `{1,NULL,"a b"}`
fn write_list(lists: &ListArray, elements: &TextColumn, row: usize, out: &mut impl Write) -> fmt::Result {
    let offsets = lists.value_offsets();
    let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
    let mut text = String::new();
    out.write_char('{')?;
    for element in start..end {
        if element > start {
            out.write_char(',')?;
        }
        if elements.is_null(element) {
            out.write_str("NULL")?;
            continue;
        }
        text.clear();
        elements.write(element, &mut text)?;
        let nested = matches!(elements.values, Values::List { .. });
        if !nested && needs_quotes(&text) { write_quoted(&text, out)? } else { out.write_str(&text)? }
    }
    out.write_char('}')
}

/// Whether an element would read as something else without quotes.
fn needs_quotes(text: &str) -> bool {
    let special =
        |byte: u8| matches!(byte, b'{' | b'}' | b',' | b'"' | b'\\') || byte.is_ascii_whitespace() || byte == 11;
    text.is_empty() || text.eq_ignore_ascii_case("null") || text.bytes().any(special)
}

fn write_quoted(text: &str, out: &mut impl Write) -> fmt::Result {
    out.write_char('"')?;
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.write_char('\\')?;
        }
        out.write_char(character)?;
    }
    out.write_char('"')
}

/// A JSON object; what JSON has no type for is a string.
fn write_struct(fields: &[(String, TextColumn)], row: usize, out: &mut impl Write) -> fmt::Result {
    out.write_char('{')?;
    for (position, (name, column)) in fields.iter().enumerate() {
        out.write_str(if position > 0 { ", " } else { "" })?;
        write_member(name, column, row, out)?;
    }
    out.write_char('}')
}

/// A JSON object of the keys' texts.
fn write_map(maps: &MapArray, keys: &TextColumn, values: &TextColumn, row: usize, out: &mut impl Write) -> fmt::Result {
    out.write_char('{')?;
    let offsets = maps.value_offsets();
    for (position, entry) in (offsets[row]..offsets[row + 1]).enumerate() {
        out.write_str(if position > 0 { ", " } else { "" })?;
        let mut name = String::new();
        keys.write(entry as usize, &mut name)?;
        write_member(&name, values, entry as usize, out)?;
    }
    out.write_char('}')
}

fn write_member(name: &str, column: &TextColumn, row: usize, out: &mut impl Write) -> fmt::Result {
    write!(out, "{}: ", serde_json::Value::from(name))?;
    write_json(column, row, out)
}

/// A value as JSON; what JSON has no form for, such as NaN, is a string.
fn write_json(column: &TextColumn, row: usize, out: &mut impl Write) -> fmt::Result {
    use Values::{Bool, Decimal, Float4, Float8, Int2, Int4, Int8, List, Map, Struct, Union, Unsigned};
    match &column.values {
        _ if column.is_null(row) => out.write_str("null"),
        Bool(values) => write!(out, "{}", values.value(row)),
        List { lists, elements } => write_items(lists, elements, row, out),
        Union(values) => values.at(row, |member, row| write_json(member, row, out)),
        Struct(_) | Map { .. } | Int2(_) | Int4(_) | Int8(_) | Unsigned(_) | Decimal { .. } => column.write(row, out),
        Float4(values) if values.value(row).is_finite() => column.write(row, out),
        Float8(values) if values.value(row).is_finite() => column.write(row, out),
        _ => {
            let mut text = String::new();
            column.write(row, &mut text)?;
            write!(out, "{}", serde_json::Value::from(text))
        }
    }
}

/// `[1, null, "a b"]`
fn write_items(lists: &ListArray, items: &TextColumn, row: usize, out: &mut impl Write) -> fmt::Result {
    let offsets = lists.value_offsets();
    out.write_char('[')?;
    for (position, item) in (offsets[row]..offsets[row + 1]).enumerate() {
        out.write_str(if position > 0 { ", " } else { "" })?;
        write_json(items, item as usize, out)?;
    }
    out.write_char(']')
}

fn write_other(array: &ArrayRef, row: usize, out: &mut impl Write) -> fmt::Result {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array.as_ref(), &options).map_err(|_| fmt::Error)?;
    write!(out, "{}", formatter.value(row))
}
