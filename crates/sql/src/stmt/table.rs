//! `CREATE | DROP | ALTER | TRUNCATE TABLE`, `COMMENT ON`, `SHOW TABLES | COLUMNS | CREATE TABLE`.

use lakeport_base::{QualifiedName, SqlType};

use super::Text;
use super::query::Query;

/// A column of a new table.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDef {
    pub name: String,
    pub ty: SqlType,
    pub nullable: bool,
    /// SQL text of the default expression.
    pub default: Option<String>,
}

/// `CREATE TABLE [IF NOT EXISTS] name (columns) | [(names)] AS query`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTable {
    pub name: QualifiedName,
    pub if_not_exists: bool,
    pub columns: Vec<ColumnDef>,
    /// Column names of the key, from `PRIMARY KEY` on a column or on the table.
    pub primary_key: Vec<String>,
    /// `AS query`; then `columns` is empty and `names` may rename the query's columns.
    pub query: Option<Box<Query>>,
    pub names: Vec<String>,
}

/// `DROP TABLE [IF EXISTS] names [CASCADE | RESTRICT]`
#[derive(Clone, Debug, PartialEq)]
pub struct DropTable {
    pub names: Vec<QualifiedName>,
    pub if_exists: bool,
}

/// One change of `ALTER TABLE`.
#[derive(Clone, Debug, PartialEq)]
pub enum TableChange {
    AddColumn { column: ColumnDef, if_not_exists: bool },
    DropColumn { name: String, if_exists: bool },
    RenameColumn { name: String, new_name: String },
    RenameTable { new_name: String },
    SetDefault { column: String, default: Option<String> },
    SetNotNull { column: String },
    DropNotNull { column: String },
    OwnerTo { role: String },
}

/// `ALTER TABLE [IF EXISTS] name change, ...`
#[derive(Clone, Debug, PartialEq)]
pub struct AlterTable {
    pub name: QualifiedName,
    pub if_exists: bool,
    pub changes: Vec<TableChange>,
}

/// `TRUNCATE [TABLE] names [CASCADE | RESTRICT]`
#[derive(Clone, Debug, PartialEq)]
pub struct Truncate {
    pub names: Vec<QualifiedName>,
}

/// What a comment is on.
#[derive(Clone, Debug, PartialEq)]
pub enum CommentTarget {
    Database(String),
    Table(QualifiedName),
    Column { table: QualifiedName, column: String },
}

/// `COMMENT ON target IS {'text' | NULL}`
#[derive(Clone, Debug, PartialEq)]
pub struct Comment {
    pub target: CommentTarget,
    pub comment: Option<Text>,
}

/// `SHOW TABLES [FROM name]`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowTables {
    /// A database, a schema or `database.schema`.
    pub from: Option<QualifiedName>,
}

/// `SHOW COLUMNS FROM table`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowColumns {
    pub table: QualifiedName,
}

/// `SHOW CREATE [TABLE] table`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowCreateTable {
    pub table: QualifiedName,
}
