//! Arrow columns from texts and from binary values.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{ArrayBuilder, BinaryBuilder, BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, IntervalMonthDayNanoType,
    TimestampMicrosecondType,
};
use lakeport_base::{SqlType, Sqlstate};
use memchr::memchr;

use super::array::ArrayColumn;
use super::{Span, ValueError, Zone, binary, datetime, parse};
use crate::rows::arrow_type;

/// Bytes set aside per text value before its length is known.
const TEXT_BYTES_GUESS: usize = 16;

/// Builds one column of a given type from values in PostgreSQL's text or binary form.
///
/// A refused value leaves the column as it was, so that the caller may append NULL in its place and go on.
pub struct ColumnBuilder {
    ty: SqlType,
    /// Of TIMESTAMPTZ texts that name none.
    zone: Zone,
    values: Values,
    /// Reused for values that are rewritten on their way in.
    scratch: Vec<u8>,
}

/// The growing Arrow column by its physical type.
enum Values {
    Bool(BooleanBuilder),
    Int2(PrimitiveBuilder<Int16Type>),
    Int4(PrimitiveBuilder<Int32Type>),
    Int8(PrimitiveBuilder<Int64Type>),
    Float4(PrimitiveBuilder<Float32Type>),
    Float8(PrimitiveBuilder<Float64Type>),
    Decimal(PrimitiveBuilder<Decimal128Type>),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Date(PrimitiveBuilder<Date32Type>),
    Timestamp(PrimitiveBuilder<TimestampMicrosecondType>),
    Interval(PrimitiveBuilder<IntervalMonthDayNanoType>),
    Array(Box<ArrayColumn>),
}

/// Calls a method of whichever Arrow builder it is.
macro_rules! each_builder {
    ($values:expr, $builder:ident => $call:expr) => {
        match $values {
            Values::Bool($builder) => $call,
            Values::Int2($builder) => $call,
            Values::Int4($builder) => $call,
            Values::Int8($builder) => $call,
            Values::Float4($builder) => $call,
            Values::Float8($builder) => $call,
            Values::Decimal($builder) => $call,
            Values::Text($builder) => $call,
            Values::Bytes($builder) => $call,
            Values::Date($builder) => $call,
            Values::Timestamp($builder) => $call,
            Values::Interval($builder) => $call,
            Values::Array($builder) => $call,
        }
    };
}

impl ColumnBuilder {
    /// An empty column with room for `capacity` values. Texts of TIMESTAMPTZ without a zone are in UTC.
    pub fn new(ty: &SqlType, capacity: usize) -> ColumnBuilder {
        ColumnBuilder::in_zone(ty, capacity, Zone::UTC)
    }

    /// As [`new`](ColumnBuilder::new), with another zone for texts of TIMESTAMPTZ that name none.
    pub fn in_zone(ty: &SqlType, capacity: usize, zone: Zone) -> ColumnBuilder {
        let values = match ty {
            SqlType::Bool => Values::Bool(BooleanBuilder::with_capacity(capacity)),
            SqlType::Int2 => Values::Int2(PrimitiveBuilder::with_capacity(capacity)),
            SqlType::Int4 => Values::Int4(PrimitiveBuilder::with_capacity(capacity)),
            SqlType::Int8 => Values::Int8(PrimitiveBuilder::with_capacity(capacity)),
            SqlType::Float4 => Values::Float4(PrimitiveBuilder::with_capacity(capacity)),
            SqlType::Float8 => Values::Float8(PrimitiveBuilder::with_capacity(capacity)),
            SqlType::Decimal(..) => {
                Values::Decimal(PrimitiveBuilder::with_capacity(capacity).with_data_type(arrow_type(ty)))
            }
            SqlType::Text | SqlType::Varchar(_) | SqlType::Uuid | SqlType::Jsonb => {
                Values::Text(StringBuilder::with_capacity(capacity, capacity * TEXT_BYTES_GUESS))
            }
            SqlType::Bytes => Values::Bytes(BinaryBuilder::with_capacity(capacity, capacity * TEXT_BYTES_GUESS)),
            SqlType::Date => Values::Date(PrimitiveBuilder::with_capacity(capacity)),
            SqlType::Timestamp | SqlType::TimestampTz => {
                Values::Timestamp(PrimitiveBuilder::with_capacity(capacity).with_data_type(arrow_type(ty)))
            }
            SqlType::Interval => Values::Interval(PrimitiveBuilder::with_capacity(capacity)),
            SqlType::Array(element) => Values::Array(Box::new(ArrayColumn::new(element, capacity, zone))),
        };
        ColumnBuilder { ty: ty.clone(), zone, values, scratch: Vec::new() }
    }

    /// The type of the column.
    pub fn sql_type(&self) -> &SqlType {
        &self.ty
    }

    /// Values so far, NULLs included.
    pub fn len(&self) -> usize {
        each_builder!(&self.values, builder => builder.len())
    }

    /// Whether there is no value yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends NULL.
    pub fn append_null(&mut self) {
        each_builder!(&mut self.values, builder => builder.append_null());
    }

    /// Appends the value that a text stands for.
    ///
    /// # Errors
    /// The text has not the type's form, or its value is beyond the type's range.
    pub fn append_text(&mut self, text: &str) -> Result<(), ValueError> {
        let ty = &self.ty;
        match &mut self.values {
            Values::Bool(builder) => builder.append_value(parse::boolean(text, ty)?),
            Values::Int2(builder) => builder.append_value(parse::integer(text, ty)?),
            Values::Int4(builder) => builder.append_value(parse::integer(text, ty)?),
            Values::Int8(builder) => builder.append_value(parse::integer(text, ty)?),
            Values::Float4(builder) => builder.append_value(parse::float4(text, ty)?),
            Values::Float8(builder) => builder.append_value(parse::float8(text, ty)?),
            Values::Decimal(builder) => builder.append_value(parse::decimal(text, ty)?),
            Values::Text(builder) => append_string(builder, text, ty)?,
            Values::Bytes(builder) => {
                parse::bytes(text, ty, &mut self.scratch)?;
                builder.append_value(&self.scratch);
            }
            Values::Date(builder) => builder.append_value(datetime::parse_date(text, ty)?),
            Values::Timestamp(builder) => builder.append_value(datetime::parse_timestamp(text, ty, self.zone)?),
            Values::Interval(builder) => builder.append_value(Span::parse(text)?.value()?),
            Values::Array(column) => column.append_text(text, ty)?,
        }
        Ok(())
    }

    /// Appends the value in PostgreSQL's binary form.
    ///
    /// # Errors
    /// The bytes are not the type's binary form (22P03), or the value is beyond the type's range.
    pub fn append_binary(&mut self, bytes: &[u8]) -> Result<(), ValueError> {
        let ty = &self.ty;
        match &mut self.values {
            Values::Bool(builder) => builder.append_value(binary::fixed::<1>(bytes, ty)? != [0]),
            Values::Int2(builder) => builder.append_value(i16::from_be_bytes(binary::fixed(bytes, ty)?)),
            Values::Int4(builder) => builder.append_value(i32::from_be_bytes(binary::fixed(bytes, ty)?)),
            Values::Int8(builder) => builder.append_value(i64::from_be_bytes(binary::fixed(bytes, ty)?)),
            Values::Float4(builder) => builder.append_value(f32::from_be_bytes(binary::fixed(bytes, ty)?)),
            Values::Float8(builder) => builder.append_value(f64::from_be_bytes(binary::fixed(bytes, ty)?)),
            Values::Decimal(builder) => builder.append_value(binary::decimal(bytes, ty)?),
            Values::Text(builder) => match ty {
                SqlType::Uuid => builder.append_value(binary::uuid(bytes, ty)?.as_str()),
                SqlType::Jsonb => append_string(builder, binary::json(bytes, ty)?, ty)?,
                _ => append_string(builder, binary::text(bytes, ty)?, ty)?,
            },
            Values::Bytes(builder) => builder.append_value(bytes),
            Values::Date(builder) => builder.append_value(binary::date(bytes, ty)?),
            Values::Timestamp(builder) => builder.append_value(binary::timestamp(bytes, ty)?),
            Values::Interval(builder) => builder.append_value(binary::interval(bytes, ty)?.value()?),
            Values::Array(column) => column.append_binary(bytes, ty)?,
        }
        Ok(())
    }

    /// The column; the builder is empty afterwards.
    pub fn finish(&mut self) -> ArrayRef {
        each_builder!(&mut self.values, builder => Arc::new(builder.finish()))
    }
}

/// Text, VARCHAR, UUID and JSONB share a physical type and differ in what they take.
fn append_string(builder: &mut StringBuilder, text: &str, ty: &SqlType) -> Result<(), ValueError> {
    match ty {
        SqlType::Text | SqlType::Varchar(_) if memchr(0, text.as_bytes()).is_some() => {
            return Err(ValueError::new(Sqlstate::CHARACTER_NOT_IN_REPERTOIRE, "a text must not hold NUL characters"));
        }
        SqlType::Varchar(length) if text.len() > *length as usize && text.chars().count() > *length as usize => {
            let message = format!("value too long for type {}", super::type_name(ty));
            return Err(ValueError::new(Sqlstate::STRING_DATA_RIGHT_TRUNCATION, message));
        }
        SqlType::Uuid => builder.append_value(parse::uuid(text, ty)?.as_str()),
        SqlType::Jsonb => builder.append_value(parse::json(text, ty)?),
        _ => builder.append_value(text),
    }
    Ok(())
}
