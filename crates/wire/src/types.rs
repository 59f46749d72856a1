//! Column types as the protocol names them.

use arrow_schema::{Field, Schema};
use lakeport_base::SqlType;
use lakeport_core::rows::sql_type;

/// Format code of values in text form.
pub(crate) const TEXT: i16 = 0;
/// Format code of values in binary form.
pub(crate) const BINARY: i16 = 1;

/// Size of the header that PostgreSQL counts into length modifiers.
const MODIFIER_HEADER: i32 = 4;

/// What RowDescription says of a column's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ColumnShape {
    pub oid: u32,
    /// Width in bytes; -1 varies.
    pub bytes: i16,
    /// Length, or precision and scale; -1 is none.
    pub modifier: i32,
}

impl ColumnShape {
    /// The shape of a result column.
    pub(crate) fn of(field: &Field) -> ColumnShape {
        let ty = sql_type(field);
        ColumnShape { oid: ty.oid(), bytes: width(&ty), modifier: modifier(&ty) }
    }
}

fn width(ty: &SqlType) -> i16 {
    match ty {
        SqlType::Bool => 1,
        SqlType::Int2 => 2,
        SqlType::Int4 | SqlType::Float4 | SqlType::Date => 4,
        SqlType::Int8 | SqlType::Float8 | SqlType::Timestamp | SqlType::TimestampTz => 8,
        SqlType::Uuid | SqlType::Interval => 16,
        SqlType::Decimal(..)
        | SqlType::Text
        | SqlType::Varchar(_)
        | SqlType::Bytes
        | SqlType::Jsonb
        | SqlType::Array(_) => -1,
    }
}

fn modifier(ty: &SqlType) -> i32 {
    match ty {
        SqlType::Varchar(length) => i32::try_from(*length).map_or(-1, |length| length.saturating_add(MODIFIER_HEADER)),
        SqlType::Decimal(..) if ty.has_free_scale() => -1,
        SqlType::Decimal(precision, scale) => (i32::from(*precision) << 16 | i32::from(*scale)) + MODIFIER_HEADER,
        SqlType::Array(element) => modifier(element),
        _ => -1,
    }
}

/// The type that a client declares for a parameter; `None` leaves it to the statement.
pub(crate) fn declared_type(oid: u32) -> Option<SqlType> {
    let element = match oid {
        16 => SqlType::Bool,
        17 => SqlType::Bytes,
        20 | 26 => SqlType::Int8,
        21 => SqlType::Int2,
        23 => SqlType::Int4,
        // text, name, bpchar, varchar
        25 | 19 | 1042 | 1043 => SqlType::Text,
        114 | 3802 => SqlType::Jsonb,
        700 => SqlType::Float4,
        701 => SqlType::Float8,
        1082 => SqlType::Date,
        1114 => SqlType::Timestamp,
        1184 => SqlType::TimestampTz,
        1186 => SqlType::Interval,
        1700 => SqlType::DECIMAL,
        2950 => SqlType::Uuid,
        _ => return declared_array(oid),
    };
    Some(element)
}

fn declared_array(oid: u32) -> Option<SqlType> {
    let element = match oid {
        1000 => SqlType::Bool,
        1001 => SqlType::Bytes,
        1016 | 1028 => SqlType::Int8,
        1005 => SqlType::Int2,
        1007 => SqlType::Int4,
        1009 | 1003 | 1014 | 1015 => SqlType::Text,
        199 | 3807 => SqlType::Jsonb,
        1021 => SqlType::Float4,
        1022 => SqlType::Float8,
        1182 => SqlType::Date,
        1115 => SqlType::Timestamp,
        1185 => SqlType::TimestampTz,
        1187 => SqlType::Interval,
        1231 => SqlType::DECIMAL,
        2951 => SqlType::Uuid,
        _ => return None,
    };
    Some(SqlType::Array(Box::new(element)))
}

/// The format of each of `count` columns: none is all text, one is for all.
pub(crate) fn spread_formats(formats: &[i16], count: usize) -> Option<Vec<i16>> {
    if formats.iter().any(|format| !matches!(*format, TEXT | BINARY)) {
        return None;
    }
    match formats {
        [] => Some(vec![TEXT; count]),
        [one] => Some(vec![*one; count]),
        each => (each.len() == count).then(|| each.to_vec()),
    }
}

/// Whether columns are of the same sort, so that a value of one can be sent as the other: all numbers are one sort, all
/// texts, all times.
pub(crate) fn same_sorts(described: &Schema, found: &Schema) -> bool {
    let sorts = |schema: &Schema| schema.fields().iter().map(|field| sort(&sql_type(field))).collect::<Vec<_>>();
    sorts(described) == sorts(found)
}

fn sort(ty: &SqlType) -> u8 {
    match ty {
        SqlType::Bool => 0,
        SqlType::Int2 | SqlType::Int4 | SqlType::Int8 => 1,
        SqlType::Float4 | SqlType::Float8 | SqlType::Decimal(..) => 1,
        SqlType::Text | SqlType::Varchar(_) | SqlType::Uuid | SqlType::Jsonb => 2,
        SqlType::Bytes => 3,
        SqlType::Date | SqlType::Timestamp | SqlType::TimestampTz => 4,
        SqlType::Interval => 5,
        SqlType::Array(_) => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_declared_by_its_own_oid() {
        let scalars = ["bool", "bytes", "int8", "int2", "int4", "text", "jsonb", "float4", "float8", "date", "uuid"];
        for name in scalars.into_iter().chain(["timestamp", "timestamptz", "decimal", "interval"]) {
            for name in [name.to_string(), format!("{name}[]")] {
                let ty = SqlType::parse(&name).unwrap();
                assert_eq!(declared_type(ty.oid()), Some(ty), "{name}");
            }
        }
        assert_eq!(declared_type(705), None);
    }

    #[test]
    fn formats_spread() {
        assert_eq!(spread_formats(&[], 2), Some(vec![TEXT, TEXT]));
        assert_eq!(spread_formats(&[1], 2), Some(vec![BINARY, BINARY]));
        assert_eq!(spread_formats(&[0, 1], 2), Some(vec![TEXT, BINARY]));
        assert_eq!(spread_formats(&[0, 1], 3), None);
        assert_eq!(spread_formats(&[2], 1), None);
    }
}
