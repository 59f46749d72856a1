//! What system tables there are, and their columns: those of PostgreSQL 15, in `columns.txt`.

use std::collections::HashMap;
use std::sync::LazyLock;

use lakeport_base::SqlType;

/// A system table or view.
#[derive(Debug)]
pub struct Definition {
    /// Oid of the table in `pg_class`: PostgreSQL's own for its tables, made up for views.
    pub oid: i64,
    pub schema: &'static str,
    pub name: &'static str,
    pub sort: Sort,
    pub columns: Vec<SystemColumn>,
}

/// What sort of thing answers the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Table,
    View,
    /// A function called in FROM without arguments; no relation.
    Function,
}

/// A column of a system table.
#[derive(Debug)]
pub struct SystemColumn {
    pub name: &'static str,
    pub ty: SqlType,
    /// Where it is not, 0, FALSE or the empty text stands for what Lakeport does not have.
    pub nullable: bool,
}

/// Oids of views begin here, as PostgreSQL's do.
const FIRST_VIEW_OID: i64 = 12_000;

/// Every system table, in the order of `columns.txt`.
pub static DEFINITIONS: LazyLock<Vec<Definition>> = LazyLock::new(|| read(include_str!("columns.txt")));

static BY_NAME: LazyLock<HashMap<(&str, &str), &Definition>> =
    LazyLock::new(|| DEFINITIONS.iter().map(|definition| ((definition.schema, definition.name), definition)).collect());

/// The system table of a name.
pub fn find(schema: &str, name: &str) -> Option<&'static Definition> {
    BY_NAME.get(&(schema, name)).copied()
}

/// System tables that a query can name as relations.
pub fn relations() -> impl Iterator<Item = &'static Definition> {
    DEFINITIONS.iter().filter(|definition| definition.sort != Sort::Function)
}

/// A head line `schema.name {oid | - | function}`, then indented lines of `column:type[?]`, `?` for nullable.
fn read(text: &'static str) -> Vec<Definition> {
    let mut definitions: Vec<Definition> = Vec::new();
    for line in text.lines() {
        match (line.starts_with(' '), definitions.last_mut()) {
            (true, Some(last)) => last.columns.extend(line.split_whitespace().filter_map(column)),
            _ => definitions.extend(head(line, FIRST_VIEW_OID + definitions.len() as i64)),
        }
    }
    definitions
}

fn head(line: &'static str, view_oid: i64) -> Option<Definition> {
    let (full_name, mark) = line.split_once(' ')?;
    let (schema, name) = full_name.split_once('.')?;
    let (oid, sort) = match mark {
        "-" => (view_oid, Sort::View),
        "function" => (view_oid, Sort::Function),
        oid => (oid.parse().ok()?, Sort::Table),
    };
    Some(Definition { oid, schema, name, sort, columns: Vec::new() })
}

fn column(word: &'static str) -> Option<SystemColumn> {
    let (name, ty) = word.split_once(':')?;
    let (ty, nullable) = ty.strip_suffix('?').map_or((ty, false), |ty| (ty, true));
    let array = |element| SqlType::Array(Box::new(element));
    let ty = match ty {
        "int" => SqlType::Int8,
        "bool" => SqlType::Bool,
        "float" => SqlType::Float8,
        "text" => SqlType::Text,
        "time" => SqlType::TimestampTz,
        "ints" => array(SqlType::Int8),
        "texts" => array(SqlType::Text),
        _ => return None,
    };
    Some(SystemColumn { name, ty, nullable })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_line() {
        let text = include_str!("columns.txt");
        let words = text.lines().filter(|line| line.starts_with(' ')).flat_map(str::split_whitespace).count();
        let heads = text.lines().filter(|line| !line.starts_with(' ')).count();
        assert_eq!(DEFINITIONS.len(), heads);
        assert_eq!(DEFINITIONS.iter().map(|definition| definition.columns.len()).sum::<usize>(), words);
        assert_eq!(find("pg_catalog", "pg_class").unwrap().oid, 1259);
    }

    #[test]
    fn gives_every_table_its_own_oid() {
        let oids: std::collections::HashSet<_> = DEFINITIONS.iter().map(|definition| definition.oid).collect();
        assert_eq!(oids.len(), DEFINITIONS.len());
    }
}
