//! Functions that clients such as psql call on the system catalogs and that answer the same whatever these hold.

use arrow_array::Array;
use arrow_schema::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::cast::as_int64_array;
use lakeport_base::SqlType;
use lakeport_core::rows::sql_type;
use lakeport_core::show::information_schema::standard_name;

use super::scalar::Scalar;

const TRUE: ScalarValue = ScalarValue::Boolean(Some(true));
const FALSE: ScalarValue = ScalarValue::Boolean(Some(false));
const NO_TEXT: ScalarValue = ScalarValue::Utf8(None);
const NO_NUMBER: ScalarValue = ScalarValue::Int64(None);
const ZERO: ScalarValue = ScalarValue::Int64(Some(0));
/// What a function without a value shows.
const VOID: ScalarValue = ScalarValue::Utf8(Some(String::new()));

/// Functions with one answer here: name, numbers of arguments, result type, answer.
const CONSTANTS: &[(&str, &[usize], SqlType, ScalarValue)] = &[
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
    ("has_function_privilege", &[2, 3], SqlType::Bool, TRUE),
    ("has_type_privilege", &[2, 3], SqlType::Bool, TRUE),
    ("has_tablespace_privilege", &[2, 3], SqlType::Bool, TRUE),
    ("pg_get_viewdef", &[1, 2], SqlType::Text, NO_TEXT),
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
    ("has_foreign_data_wrapper_privilege", &[2, 3], SqlType::Bool, TRUE),
    ("has_language_privilege", &[2, 3], SqlType::Bool, TRUE),
    ("has_parameter_privilege", &[2, 3], SqlType::Bool, TRUE),
    ("has_sequence_privilege", &[2, 3], SqlType::Bool, TRUE),
    ("has_server_privilege", &[2, 3], SqlType::Bool, TRUE),
    ("pg_ts_config_is_visible", &[1], SqlType::Bool, TRUE),
    ("pg_ts_dict_is_visible", &[1], SqlType::Bool, TRUE),
    ("pg_ts_parser_is_visible", &[1], SqlType::Bool, TRUE),
    ("pg_ts_template_is_visible", &[1], SqlType::Bool, TRUE),
    ("pg_opfamily_is_visible", &[1], SqlType::Bool, TRUE),
    ("pg_index_column_has_property", &[3], SqlType::Bool, FALSE),
    ("pg_index_has_property", &[2], SqlType::Bool, FALSE),
    ("pg_indexam_has_property", &[2], SqlType::Bool, FALSE),
    ("pg_get_function_arg_default", &[2], SqlType::Text, NO_TEXT),
    ("pg_get_statisticsobjdef", &[1], SqlType::Text, NO_TEXT),
    ("pg_describe_object", &[3], SqlType::Text, NO_TEXT),
    ("pg_char_to_encoding", &[1], SqlType::Int8, ScalarValue::Int64(Some(UTF8_ENCODING))),
    ("pg_last_committed_xact", &[0], SqlType::Int8, NO_NUMBER),
    ("pg_sequence_last_value", &[1], SqlType::Int8, NO_NUMBER),
    ("inet_server_addr", &[0], SqlType::Text, NO_TEXT),
    ("inet_server_port", &[0], SqlType::Int8, NO_NUMBER),
    ("pg_relation_size", &[1, 2], SqlType::Int8, NO_NUMBER),
    ("pg_total_relation_size", &[1], SqlType::Int8, NO_NUMBER),
    ("pg_table_size", &[1], SqlType::Int8, NO_NUMBER),
    ("pg_indexes_size", &[1], SqlType::Int8, NO_NUMBER),
    ("pg_database_size", &[1], SqlType::Int8, NO_NUMBER),
    ("pg_tablespace_size", &[1], SqlType::Int8, NO_NUMBER),
    ("pg_stat_get_numscans", &[1], SqlType::Int8, ZERO),
    ("pg_my_temp_schema", &[0], SqlType::Int8, ZERO),
    // Nothing takes such a lock.
    ("pg_advisory_unlock_all", &[0], SqlType::Text, VOID),
];

/// Every function of this file.
pub(super) fn functions() -> Vec<Scalar> {
    let constants = CONSTANTS
        .iter()
        .map(|(name, counts, returns, value)| Scalar::constant(name, counts, returns.clone(), value.clone()));
    let encoding = Scalar::constant("getdatabaseencoding", &[0], SqlType::Text, ScalarValue::from("UTF8"));
    let encoding = encoding.with_aliases(&["pg_client_encoding"]);
    let others = [encoding, pg_typeof(), pg_get_expr(), pg_encoding_to_char(), pg_size_pretty()];
    constants.chain(others).collect()
}

fn pg_typeof() -> Scalar {
    Scalar::of_any("pg_typeof", &[1], SqlType::Text, |call| {
        let name = type_name(&sql_type(&call.fields[0]));
        call.each_row(|_| Ok(Some(name.clone())))
    })
    .taking_json()
}

/// A type's name without length or precision.
fn type_name(ty: &SqlType) -> String {
    match ty {
        SqlType::Array(element) => format!("{}[]", type_name(element)),
        scalar => standard_name(scalar).to_string(),
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
    Scalar::of_any("pg_size_pretty", &[1], SqlType::Text, |call| {
        let sizes = arrow_cast::cast(call.column(0), &DataType::Int64)?;
        let sizes = as_int64_array(&sizes)?;
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
