//! Functions that clients such as psql call on the system catalogs.

use arrow_array::Array;
use arrow_schema::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::cast::as_int64_array;
use datafusion::logical_expr::TypeSignature;
use lakeport_base::SqlType;
use lakeport_core::rows::sql_type;
use lakeport_core::show::information_schema::standard_name;

use super::scalar::Scalar;

const TRUE: ScalarValue = ScalarValue::Boolean(Some(true));
const FALSE: ScalarValue = ScalarValue::Boolean(Some(false));
const NO_TEXT: ScalarValue = ScalarValue::Utf8(None);
const NO_NUMBER: ScalarValue = ScalarValue::Int64(None);
const ZERO: ScalarValue = ScalarValue::Int64(Some(0));

/// Functions with one answer here: name, numbers of arguments, result type, answer.
const CONSTANTS: &[(&str, &[usize], SqlType, ScalarValue)] = &[
    ("pg_table_is_visible", &[1], SqlType::Bool, TRUE),
    ("pg_type_is_visible", &[1], SqlType::Bool, TRUE),
    ("pg_function_is_visible", &[1], SqlType::Bool, TRUE),
    ("pg_operator_is_visible", &[1], SqlType::Bool, TRUE),
    ("pg_collation_is_visible", &[1], SqlType::Bool, TRUE),
    ("pg_conversion_is_visible", &[1], SqlType::Bool, TRUE),
    ("pg_opclass_is_visible", &[1], SqlType::Bool, TRUE),
    ("pg_statistics_obj_is_visible", &[1], SqlType::Bool, TRUE),
    ("pg_relation_is_publishable", &[1], SqlType::Bool, FALSE),
    ("pg_is_in_recovery", &[0], SqlType::Bool, FALSE),
    ("pg_is_other_temp_schema", &[1], SqlType::Bool, FALSE),
    ("has_table_privilege", &[2, 3], SqlType::Bool, TRUE),
    ("has_schema_privilege", &[2, 3], SqlType::Bool, TRUE),
    ("has_database_privilege", &[2, 3], SqlType::Bool, TRUE),
    ("has_column_privilege", &[3, 4], SqlType::Bool, TRUE),
    ("has_any_column_privilege", &[2, 3], SqlType::Bool, TRUE),
    ("has_function_privilege", &[2, 3], SqlType::Bool, TRUE),
    ("has_type_privilege", &[2, 3], SqlType::Bool, TRUE),
    ("has_tablespace_privilege", &[2, 3], SqlType::Bool, TRUE),
    ("pg_has_role", &[2, 3], SqlType::Bool, TRUE),
    ("pg_get_indexdef", &[1, 3], SqlType::Text, NO_TEXT),
    ("pg_get_viewdef", &[1, 2], SqlType::Text, NO_TEXT),
    ("pg_get_constraintdef", &[1, 2], SqlType::Text, NO_TEXT),
    ("pg_get_partkeydef", &[1], SqlType::Text, NO_TEXT),
    ("pg_get_ruledef", &[1, 2], SqlType::Text, NO_TEXT),
    ("pg_get_triggerdef", &[1, 2], SqlType::Text, NO_TEXT),
    ("pg_get_functiondef", &[1], SqlType::Text, NO_TEXT),
    ("pg_get_function_result", &[1], SqlType::Text, NO_TEXT),
    ("pg_get_function_arguments", &[1], SqlType::Text, NO_TEXT),
    ("pg_get_function_identity_arguments", &[1], SqlType::Text, NO_TEXT),
    ("pg_get_function_sqlbody", &[1], SqlType::Text, NO_TEXT),
    ("pg_get_statisticsobjdef_columns", &[1], SqlType::Text, NO_TEXT),
    ("pg_get_serial_sequence", &[2], SqlType::Text, NO_TEXT),
    ("pg_tablespace_location", &[1], SqlType::Text, NO_TEXT),
    ("obj_description", &[1, 2], SqlType::Text, NO_TEXT),
    ("col_description", &[2], SqlType::Text, NO_TEXT),
    ("shobj_description", &[2], SqlType::Text, NO_TEXT),
    ("inet_server_addr", &[0], SqlType::Text, NO_TEXT),
    ("inet_client_addr", &[0], SqlType::Text, NO_TEXT),
    ("inet_server_port", &[0], SqlType::Int8, NO_NUMBER),
    ("inet_client_port", &[0], SqlType::Int8, NO_NUMBER),
    ("pg_relation_size", &[1, 2], SqlType::Int8, NO_NUMBER),
    ("pg_total_relation_size", &[1], SqlType::Int8, NO_NUMBER),
    ("pg_table_size", &[1], SqlType::Int8, NO_NUMBER),
    ("pg_indexes_size", &[1], SqlType::Int8, NO_NUMBER),
    ("pg_database_size", &[1], SqlType::Int8, NO_NUMBER),
    ("pg_tablespace_size", &[1], SqlType::Int8, NO_NUMBER),
    ("pg_stat_get_numscans", &[1], SqlType::Int8, ZERO),
    ("txid_current", &[0], SqlType::Int8, ZERO),
    ("pg_backend_pid", &[0], SqlType::Int4, ScalarValue::Int32(Some(0))),
    ("pg_my_temp_schema", &[0], SqlType::Int8, ZERO),
];

/// Every function of this file.
pub(super) fn functions() -> Vec<Scalar> {
    let constants = CONSTANTS
        .iter()
        .map(|(name, counts, returns, value)| Scalar::constant(name, counts, returns.clone(), value.clone()));
    constants.chain([pg_typeof(), format_type(), pg_get_expr(), pg_encoding_to_char(), pg_size_pretty()]).collect()
}

fn pg_typeof() -> Scalar {
    Scalar::of_any("pg_typeof", &[1], SqlType::Text, |call| {
        let name = type_name(&sql_type(&call.fields[0]));
        call.each_row(|_| Ok(Some(name.clone())))
    })
}

/// A type's name without length or precision.
fn type_name(ty: &SqlType) -> String {
    match ty {
        SqlType::Array(element) => format!("{}[]", type_name(element)),
        scalar => standard_name(scalar).to_string(),
    }
}

/// `format_type(oid, typmod)`: a type as written in SQL.
fn format_type() -> Scalar {
    let numbers = TypeSignature::Exact(vec![DataType::Int64, DataType::Int64]);
    let body = |call: &super::scalar::Call<'_>| {
        let (oids, modifiers) = (as_int64_array(call.column(0))?, as_int64_array(call.column(1))?);
        call.each_row(|row| {
            let modifier = modifiers.is_valid(row).then(|| modifiers.value(row));
            Ok(oids.is_valid(row).then(|| formatted_type(oids.value(row), modifier)))
        })
    };
    Scalar::of_any("format_type", &[2], SqlType::Text, body).with_signature(numbers)
}

/// Scalar types that a catalog row may name.
const SCALARS: &[SqlType] = &[
    SqlType::Bool,
    SqlType::Int2,
    SqlType::Int4,
    SqlType::Int8,
    SqlType::Float4,
    SqlType::Float8,
    SqlType::Decimal(38, 10),
    SqlType::Text,
    SqlType::Varchar(1),
    SqlType::Bytes,
    SqlType::Date,
    SqlType::Timestamp,
    SqlType::TimestampTz,
    SqlType::Uuid,
    SqlType::Jsonb,
];

/// Types of the catalogs themselves, by oid.
const OTHERS: &[(i64, &str)] = &[
    (18, "\"char\""),
    (19, "name"),
    (26, "oid"),
    (114, "json"),
    (705, "unknown"),
    (1042, "character"),
    (1083, "time without time zone"),
    (1186, "interval"),
    (2205, "regclass"),
    (2206, "regtype"),
    (2249, "record"),
    (2278, "void"),
];

fn formatted_type(oid: i64, modifier: Option<i64>) -> String {
    if let Some(name) = OTHERS.iter().find(|(other, _)| *other == oid).map(|(_, name)| *name) {
        return name.to_string();
    }
    let array = |ty: &&SqlType| i64::from(SqlType::Array(Box::new((*ty).clone())).oid()) == oid;
    if let Some(ty) = SCALARS.iter().find(|ty| i64::from(ty.oid()) == oid) {
        format!("{}{}", standard_name(ty), arguments(ty, modifier))
    } else if let Some(ty) = SCALARS.iter().find(array) {
        format!("{}{}[]", standard_name(ty), arguments(ty, modifier))
    } else {
        "???".to_string()
    }
}

/// Bytes that PostgreSQL adds to a length or precision in `atttypmod`.
const MODIFIER_HEADER: i64 = 4;

/// Length or precision in parentheses, if the modifier holds one.
fn arguments(ty: &SqlType, modifier: Option<i64>) -> String {
    let Some(modifier) = modifier.filter(|modifier| *modifier > MODIFIER_HEADER).map(|known| known - MODIFIER_HEADER)
    else {
        return String::new();
    };
    match ty {
        SqlType::Varchar(_) => format!("({modifier})"),
        SqlType::Decimal(..) => format!("({},{})", modifier >> 16, modifier & 0xffff),
        _ => String::new(),
    }
}

/// Expressions are stored as text, so this shows its first argument.
fn pg_get_expr() -> Scalar {
    Scalar::of_any("pg_get_expr", &[2, 3], SqlType::Text, |call| {
        let texts = call.texts(0)?;
        call.each_row(|row| Ok(texts.is_valid(row).then(|| texts.value(row).to_string())))
    })
}

/// Number of UTF8 among PostgreSQL's encodings.
const UTF8_ENCODING: i64 = 6;

fn pg_encoding_to_char() -> Scalar {
    Scalar::new("pg_encoding_to_char", vec![DataType::Int64], SqlType::Text, |call| {
        let encodings = as_int64_array(call.column(0))?;
        let name = |encoding: i64| if encoding == UTF8_ENCODING { "UTF8" } else { "" };
        call.each_row(|row| Ok(encodings.is_valid(row).then(|| name(encodings.value(row)).to_string())))
    })
}

fn pg_size_pretty() -> Scalar {
    Scalar::new("pg_size_pretty", vec![DataType::Int64], SqlType::Text, |call| {
        let sizes = as_int64_array(call.column(0))?;
        call.each_row(|row| Ok(sizes.is_valid(row).then(|| pretty_size(sizes.value(row)))))
    })
}

/// Bytes in the largest unit that keeps five digits at most, rounded half up as PostgreSQL does.
fn pretty_size(bytes: i64) -> String {
    const UNITS: &[&str] = &["bytes", "kB", "MB", "GB", "TB", "PB"];
    const LARGEST: u64 = 10 * 1024;
    let (mut size, mut unit) = (bytes.unsigned_abs() as f64, 0);
    while size.round() >= LARGEST as f64 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let sign = if bytes < 0 { "-" } else { "" };
    format!("{sign}{:.0} {}", size.round(), UNITS[unit])
}
