//! Functions and casts that answer from the system catalogs, as subqueries of them.

use sqlparser::ast::{self, Expr, Value, ValueWithSpan};

use super::{arguments, last_name, parse};
use crate::functions::SINGLE_VALUE;

/// A function whose answer is a column of a catalog.
struct Lookup {
    function: &'static str,
    /// Table, and a condition if not all of its rows count.
    source: &'static str,
    /// Columns that the arguments are compared with, in order; further arguments do not matter.
    keys: &'static [&'static str],
    answer: &'static str,
}

const LOOKUPS: &[Lookup] = &[
    Lookup { function: "pg_get_userbyid", source: "pg_roles", keys: &["oid"], answer: "rolname" },
    Lookup {
        function: "obj_description",
        source: "pg_description WHERE objsubid = 0",
        keys: &["objoid"],
        answer: "description",
    },
    Lookup {
        function: "col_description",
        source: "pg_description",
        keys: &["objoid", "objsubid"],
        answer: "description",
    },
    Lookup { function: "shobj_description", source: "pg_shdescription", keys: &["objoid"], answer: "description" },
    Lookup { function: "pg_table_is_visible", source: "pg_class", keys: &["oid"], answer: "relvisible" },
    Lookup { function: "pg_get_constraintdef", source: "pg_constraint", keys: &["oid"], answer: "condef" },
    Lookup { function: "pg_get_indexdef", source: "pg_index", keys: &["indexrelid"], answer: "indexdef" },
];

/// The subquery for a call of such a function.
pub(super) fn lookup(function: &ast::Function) -> Option<Expr> {
    let name = last_name(&function.name.0)?;
    let lookup = LOOKUPS.iter().find(|lookup| name.eq_ignore_ascii_case(lookup.function))?;
    let arguments = arguments(function)?;
    if lookup.function == "obj_description" && !about_classes(arguments.get(1).copied()) {
        return None;
    }
    (arguments.len() >= lookup.keys.len()).then(|| lookup.subquery(&arguments))?
}

/// Whether `obj_description` is asked about tables: only they have comments, and other catalogs' oids may be equal.
fn about_classes(catalog: Option<&Expr>) -> bool {
    catalog.is_none_or(|catalog| text(catalog) == Some("pg_class"))
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => Some(text),
        _ => None,
    }
}

impl Lookup {
    /// The names begin with a blank so that they hide none of the outer query's.
    fn subquery(&self, arguments: &[&Expr]) -> Option<Expr> {
        let columns = self.keys.iter().map(|key| format!("{key} AS \" {key}\"")).collect::<Vec<_>>().join(", ");
        let compared = self.keys.iter().zip(arguments).map(|(key, argument)| format!("\" {key}\" = ({argument})"));
        let condition = compared.collect::<Vec<_>>().join(" AND ");
        let Lookup { source, answer, .. } = self;
        let rows = format!("SELECT {columns}, {answer} AS \" answer\" FROM pg_catalog.{source}");
        parse(&format!("(SELECT {SINGLE_VALUE}(\" answer\") FROM ({rows}) AS \" rows\" WHERE {condition})"))
    }
}

/// Types whose values are oids and whose text is a name: table, name column, name of the type.
const OID_TYPES: &[(&str, &str, &str)] = &[
    ("regclass", "pg_class", "relname"),
    ("regnamespace", "pg_namespace", "nspname"),
    ("regrole", "pg_roles", "rolname"),
    ("regproc", "pg_proc", "proname"),
    ("regtype", "pg_type", "typname"),
];

/// Casts to oid types: a name becomes its oid, and an oid becomes the name that PostgreSQL shows for it.
pub(super) fn cast(operand: &Expr, data_type: &ast::DataType) -> Option<Expr> {
    let written = data_type.to_string().to_ascii_lowercase();
    let ty = written.strip_prefix("pg_catalog.").unwrap_or(&written);
    let (_, table, column) = OID_TYPES.iter().find(|(name, ..)| *name == ty)?;
    match text(operand) {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => parse(digits),
        Some(name) => oid_of(table, column, name),
        None if ty == "regtype" => parse(&format!("format_type(({operand}), NULL)")),
        None => Lookup { function: "", source: table, keys: &["oid"], answer: column }.subquery(&[operand]),
    }
}

/// The oid of a name, of the last part when it is qualified.
fn oid_of(table: &str, column: &str, name: &str) -> Option<Expr> {
    let last = name.rsplit('.').next().unwrap_or(name).trim_matches('"');
    let literal = lakeport_base::name::quote_literal(last);
    parse(&format!("(SELECT min(oid) FROM pg_catalog.{table} WHERE {column} = {literal})"))
}
