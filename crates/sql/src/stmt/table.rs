//! `CREATE | DROP | ALTER | TRUNCATE TABLE`, `COMMENT ON`, `SHOW TABLES | COLUMNS | CREATE TABLE`.

use std::fmt;

use lakeport_base::name::quote_ident;
use lakeport_base::{QualifiedName, SqlType};
use sqlparser::tokenizer::Token;

use super::query::{self, Query};
use super::{Statement, Text};
use crate::cursor::{Cursor, Result};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::print;

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

/// After `CREATE TABLE`.
pub(super) fn create(c: &mut Cursor) -> Result<Statement> {
    let if_not_exists = c.keywords("IF NOT EXISTS");
    let mut table = CreateTable {
        name: c.name()?,
        if_not_exists,
        columns: Vec::new(),
        primary_key: Vec::new(),
        query: None,
        names: Vec::new(),
    };
    if c.is_open() && !followed_by_as(c) {
        c.parenthesised(|c| elements(&mut table, c))?;
        let CreateTable { columns, primary_key, .. } = &mut table;
        columns.iter_mut().filter(|column| primary_key.contains(&column.name)).for_each(|key| key.nullable = false);
        if c.keywords("WITH") {
            return Err(c.unsupported("storage parameters of a table are not supported"));
        }
    } else {
        table.names = c.column_list()?;
        c.expect("AS")?;
        table.query = Some(Box::new(query::rest(c)?));
    }
    Ok(Statement::CreateTable(table))
}

/// Whether the parenthesis that opens here is a list of names before `AS`.
fn followed_by_as(c: &Cursor) -> bool {
    let after = c.closing(c.at()) + 1 - c.at();
    c.rest().get(after).is_some_and(|next| next.is_word("AS"))
}

/// `[column | constraint | FAMILY ..], ...`
fn elements(table: &mut CreateTable, c: &mut Cursor) -> Result<()> {
    if c.is_symbol(&Token::RParen) {
        return Ok(());
    }
    c.comma_list(|c| element(table, c))?;
    Ok(())
}

fn element(table: &mut CreateTable, c: &mut Cursor) -> Result<()> {
    if c.keywords("CONSTRAINT") {
        c.ident()?;
        return constraint(table, c);
    }
    if ["PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "EXCLUDE", "LIKE"].iter().any(|word| c.is_next(word)) {
        return constraint(table, c);
    }
    if is_family(c) {
        return family(c);
    }
    let position = c.position();
    let (column, is_key) = column(c)?;
    if is_key {
        set_primary_key(table, vec![column.name.clone()], position)?;
    }
    table.columns.push(column);
    Ok(())
}

fn constraint(table: &mut CreateTable, c: &mut Cursor) -> Result<()> {
    let position = c.position();
    if !c.keywords("PRIMARY KEY") {
        return Err(unsupported_constraint(c));
    }
    let columns = c.parenthesised(|c| c.comma_list(key_column))?;
    set_primary_key(table, columns, position)
}

/// `name [ASC]`
fn key_column(c: &mut Cursor) -> Result<String> {
    let name = c.ident()?;
    c.keywords("ASC");
    Ok(name)
}

fn set_primary_key(table: &mut CreateTable, columns: Vec<String>, position: usize) -> Result<()> {
    if table.primary_key.is_empty() {
        table.primary_key = columns;
        return Ok(());
    }
    let message = format!("multiple primary keys for table \"{}\" are not allowed", table.name.name());
    Err(SyntaxError::syntax(message, position))
}

/// The refusal of the constraint that comes next.
fn unsupported_constraint(c: &mut Cursor) -> SyntaxError {
    let (what, hint) = match c.one_of(&["UNIQUE", "CHECK", "FOREIGN KEY", "REFERENCES", "EXCLUDE", "LIKE"]) {
        Some("UNIQUE") => ("UNIQUE constraints are not supported", "PRIMARY KEY is enforced"),
        Some("CHECK") => ("CHECK constraints are not supported", "NOT NULL and PRIMARY KEY are enforced"),
        Some("FOREIGN KEY" | "REFERENCES") => {
            ("foreign keys are not supported", "leave the constraint out; NOT NULL and PRIMARY KEY are enforced")
        }
        Some("EXCLUDE") => ("EXCLUDE constraints are not supported", "PRIMARY KEY is enforced"),
        Some(_) => ("CREATE TABLE LIKE is not supported", "use CREATE TABLE AS SELECT"),
        None => return c.error(),
    };
    c.unsupported(what).with_hint(hint)
}

/// `FAMILY [name] (`, which is no column.
fn is_family(c: &Cursor) -> bool {
    let opens = |i: usize| c.rest().get(i).is_some_and(|next| next.token == Token::LParen);
    c.is_next("FAMILY") && (opens(1) || opens(2))
}

/// `FAMILY [name] (columns)`: about storage we do not have, so it is read and forgotten.
fn family(c: &mut Cursor) -> Result<()> {
    c.advance(1);
    if !c.is_open() {
        c.ident()?;
    }
    c.column_list()?;
    Ok(())
}

/// `name type constraints`, and whether it is the primary key.
fn column(c: &mut Cursor) -> Result<(ColumnDef, bool)> {
    let mut column = match (c.ident()?, c.one_of(SERIAL)) {
        (name, Some(_)) => row_number(name),
        (name, None) => ColumnDef { name, ty: column_type(c)?, nullable: true, default: None },
    };
    let mut is_key = false;
    loop {
        if c.keywords("CONSTRAINT") {
            c.ident()?;
        }
        match c.one_of(&["NOT NULL", "NULL", "DEFAULT", "PRIMARY KEY"]) {
            Some("NOT NULL") => column.nullable = false,
            Some("NULL") => column.nullable = true,
            Some("DEFAULT") => {
                let position = c.position();
                let default = query::expression(c, "DEFAULT expression")?;
                set_default(&mut column, default, position)?;
            }
            Some(_) => (column.nullable, is_key) = (false, true),
            None if is_refused(c) => return Err(unsupported_constraint(c)),
            None if c.is_next("GENERATED") || c.is_next("AS") => generated(&mut column, c)?,
            None => return Ok((column, is_key)),
        }
    }
}

/// Types of PostgreSQL that say more than a type. As in CockroachDB they are all the same, whatever their width.
const SERIAL: &[&str] = &["SERIAL", "BIGSERIAL", "SMALLSERIAL", "SERIAL8", "SERIAL4", "SERIAL2"];
/// The default of columns whose values number the rows.
const ROW_NUMBER: &str = "unique_rowid()";

fn row_number(name: String) -> ColumnDef {
    ColumnDef { name, ty: SqlType::Int8, nullable: false, default: Some(ROW_NUMBER.to_string()) }
}

fn set_default(column: &mut ColumnDef, default: String, position: usize) -> Result<()> {
    if column.default.is_some() {
        let message = format!("multiple default values specified for column \"{}\"", column.name);
        return Err(SyntaxError::syntax(message, position));
    }
    column.default = Some(default);
    Ok(())
}

/// `GENERATED BY DEFAULT AS IDENTITY`
fn generated(column: &mut ColumnDef, c: &mut Cursor) -> Result<()> {
    if c.keywords("GENERATED ALWAYS AS IDENTITY") {
        return Err(c
            .unsupported("identity columns that take no values of their own are not supported")
            .with_hint("GENERATED BY DEFAULT AS IDENTITY numbers the rows for which no value is given"));
    }
    let position = c.position();
    if !c.keywords("GENERATED BY DEFAULT AS IDENTITY") {
        return Err(c.unsupported("computed columns are not supported"));
    }
    if c.is_open() {
        return Err(c.unsupported("options of an identity column are not supported").with_hint("leave them out"));
    }
    if column.ty != SqlType::Int8 {
        let message = format!("an identity column of type {} is not supported", column.ty);
        return Err(SyntaxError::unsupported(message, position).with_hint("declare it as INT8"));
    }
    column.nullable = false;
    set_default(column, ROW_NUMBER.to_string(), position)
}

fn is_refused(c: &Cursor) -> bool {
    ["UNIQUE", "CHECK", "REFERENCES"].iter().any(|word| c.is_next(word))
}

/// A column type, in any documented spelling.
pub(super) fn column_type(c: &mut Cursor) -> Result<SqlType> {
    let (start, position) = (c.at(), c.position());
    c.any_word()?;
    for continuation in ["PRECISION", "VARYING"] {
        c.keywords(continuation);
    }
    if c.is_open() {
        let close = c.closing(c.at()) + 1;
        c.advance(close.saturating_sub(c.at()).min(c.rest().len()));
    }
    c.one_of(&["WITH TIME ZONE", "WITHOUT TIME ZONE", "ARRAY"]);
    while c.is_symbol(&Token::LBracket) {
        c.symbol(&Token::LBracket);
        c.expect_symbol(&Token::RBracket)?;
    }
    let written = c.source_since(start);
    let spaced = written.split_whitespace().collect::<Vec<_>>().join(" ");
    SqlType::parse(&spaced).ok_or_else(|| unknown_type(&spaced, position))
}

fn unknown_type(written: &str, position: usize) -> SyntaxError {
    let name = written.to_lowercase();
    SyntaxError {
        kind: SyntaxErrorKind::Type,
        ..SyntaxError::syntax(format!("type \"{name}\" does not exist"), position)
    }
}

/// After `DROP TABLE`.
pub(super) fn drop(c: &mut Cursor) -> Result<Statement> {
    let if_exists = c.keywords("IF EXISTS");
    let names = c.comma_list(Cursor::name)?;
    c.one_of(&["CASCADE", "RESTRICT"]);
    Ok(Statement::DropTable(DropTable { names, if_exists }))
}

/// After `ALTER TABLE`.
pub(super) fn alter(c: &mut Cursor) -> Result<Statement> {
    let if_exists = c.keywords("IF EXISTS");
    let name = c.name()?;
    Ok(Statement::AlterTable(AlterTable { name, if_exists, changes: c.comma_list(change)? }))
}

fn change(c: &mut Cursor) -> Result<TableChange> {
    match c.one_of(&["ADD", "DROP", "RENAME TO", "RENAME", "ALTER", "OWNER TO"]) {
        Some("ADD") => add_column(c),
        Some("DROP") => drop_column(c),
        Some("RENAME TO") => Ok(TableChange::RenameTable { new_name: c.ident()? }),
        Some("RENAME") => rename_column(c),
        Some("ALTER") => alter_column(c),
        Some(_) => Ok(TableChange::OwnerTo { role: super::role::name(c)? }),
        None => Err(c.error()),
    }
}

fn add_column(c: &mut Cursor) -> Result<TableChange> {
    if ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"].iter().any(|word| c.is_next(word)) {
        return Err(c.unsupported("adding a constraint to a table is not supported"));
    }
    c.keywords("COLUMN");
    let if_not_exists = c.keywords("IF NOT EXISTS");
    let start = c.position();
    let (column, is_key) = column(c)?;
    if is_key {
        return Err(SyntaxError::unsupported("adding a primary key to a table is not supported", start));
    }
    Ok(TableChange::AddColumn { column, if_not_exists })
}

fn drop_column(c: &mut Cursor) -> Result<TableChange> {
    if c.is_next("CONSTRAINT") {
        return Err(c.unsupported("dropping a constraint is not supported"));
    }
    c.keywords("COLUMN");
    let if_exists = c.keywords("IF EXISTS");
    let name = c.ident()?;
    c.one_of(&["CASCADE", "RESTRICT"]);
    Ok(TableChange::DropColumn { name, if_exists })
}

fn rename_column(c: &mut Cursor) -> Result<TableChange> {
    c.keywords("COLUMN");
    let name = c.ident()?;
    c.expect("TO")?;
    Ok(TableChange::RenameColumn { name, new_name: c.ident()? })
}

fn alter_column(c: &mut Cursor) -> Result<TableChange> {
    c.keywords("COLUMN");
    let column = c.ident()?;
    match c.one_of(&["SET DEFAULT", "DROP DEFAULT", "SET NOT NULL", "DROP NOT NULL", "SET DATA TYPE", "TYPE"]) {
        Some("SET DEFAULT") => {
            Ok(TableChange::SetDefault { column, default: Some(query::expression(c, "DEFAULT expression")?) })
        }
        Some("DROP DEFAULT") => Ok(TableChange::SetDefault { column, default: None }),
        Some("SET NOT NULL") => Ok(TableChange::SetNotNull { column }),
        Some("DROP NOT NULL") => Ok(TableChange::DropNotNull { column }),
        Some(_) => Err(c
            .unsupported("changing the type of a column is not supported")
            .with_hint("add a column of the new type, copy the values with UPDATE and drop the old column")),
        None => Err(c.error()),
    }
}

/// After `TRUNCATE`.
pub(super) fn truncate(c: &mut Cursor) -> Result<Statement> {
    c.keywords("TABLE");
    let names = c.comma_list(Cursor::name)?;
    c.one_of(&["RESTART IDENTITY", "CONTINUE IDENTITY"]);
    c.one_of(&["CASCADE", "RESTRICT"]);
    Ok(Statement::Truncate(Truncate { names }))
}

/// After `COMMENT ON`.
pub(super) fn comment(c: &mut Cursor) -> Result<Statement> {
    let target = match c.one_of(&["DATABASE", "TABLE", "COLUMN"]) {
        Some("DATABASE") => CommentTarget::Database(c.ident()?),
        Some("TABLE") => CommentTarget::Table(c.name()?),
        Some(_) => comment_column(c)?,
        None => return Err(c.error()),
    };
    c.expect("IS")?;
    let comment = if c.keywords("NULL") { None } else { Some(c.text_value()?) };
    Ok(Statement::Comment(Comment { target, comment }))
}

/// `table.column` with up to three parts for the table.
fn comment_column(c: &mut Cursor) -> Result<CommentTarget> {
    let mut parts = vec![c.ident()?];
    c.expect_symbol(&Token::Period)?;
    let mut column = c.ident()?;
    while parts.len() < 3 && c.symbol(&Token::Period) {
        parts.push(std::mem::replace(&mut column, c.ident()?));
    }
    Ok(CommentTarget::Column { table: QualifiedName { parts }, column })
}

/// After `SHOW TABLES`.
pub(super) fn show_tables(c: &mut Cursor) -> Result<Statement> {
    let from = if c.keywords("FROM") { Some(c.name()?) } else { None };
    c.keywords("WITH COMMENT");
    Ok(Statement::ShowTables(ShowTables { from }))
}

/// After `SHOW COLUMNS`.
pub(super) fn show_columns(c: &mut Cursor) -> Result<Statement> {
    c.expect("FROM")?;
    let table = c.name()?;
    c.keywords("WITH COMMENT");
    Ok(Statement::ShowColumns(ShowColumns { table }))
}

/// After `SHOW CREATE`.
pub(super) fn show_create(c: &mut Cursor) -> Result<Statement> {
    c.keywords("TABLE");
    Ok(Statement::ShowCreateTable(ShowCreateTable { table: c.name()? }))
}

/// The column's name as source; `family` would begin a FAMILY clause.
fn column_ident(name: &str) -> String {
    if name == "family" { "\"family\"".into() } else { quote_ident(name) }
}

impl fmt::Display for ColumnDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not_null = print::when(!self.nullable, " NOT NULL");
        let default = print::optional(" DEFAULT ", self.default.as_ref());
        write!(f, "{} {}{not_null}{default}", column_ident(&self.name), self.ty)
    }
}

impl fmt::Display for CreateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE TABLE {}{}", print::when(self.if_not_exists, "IF NOT EXISTS "), self.name)?;
        if let Some(query) = &self.query {
            return write!(f, "{} AS {query}", print::columns(&self.names));
        }
        let mut elements: Vec<_> = self.columns.iter().map(ColumnDef::to_string).collect();
        if !self.primary_key.is_empty() {
            elements.push(format!("PRIMARY KEY ({})", print::idents(&self.primary_key)));
        }
        write!(f, " ({})", elements.join(", "))
    }
}

impl fmt::Display for DropTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DROP TABLE {}{}", print::when(self.if_exists, "IF EXISTS "), print::list(&self.names))
    }
}

impl fmt::Display for TableChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableChange::AddColumn { column, if_not_exists } => {
                write!(f, "ADD COLUMN {}{column}", print::when(*if_not_exists, "IF NOT EXISTS "))
            }
            TableChange::DropColumn { name, if_exists } => {
                write!(f, "DROP COLUMN {}{}", print::when(*if_exists, "IF EXISTS "), quote_ident(name))
            }
            TableChange::RenameColumn { name, new_name } => {
                write!(f, "RENAME COLUMN {} TO {}", quote_ident(name), quote_ident(new_name))
            }
            TableChange::RenameTable { new_name } => write!(f, "RENAME TO {}", quote_ident(new_name)),
            TableChange::SetDefault { column, default: Some(default) } => {
                write!(f, "ALTER COLUMN {} SET DEFAULT {default}", quote_ident(column))
            }
            TableChange::SetDefault { column, default: None } => {
                write!(f, "ALTER COLUMN {} DROP DEFAULT", quote_ident(column))
            }
            TableChange::SetNotNull { column } => write!(f, "ALTER COLUMN {} SET NOT NULL", quote_ident(column)),
            TableChange::DropNotNull { column } => write!(f, "ALTER COLUMN {} DROP NOT NULL", quote_ident(column)),
            TableChange::OwnerTo { role } => write!(f, "OWNER TO {}", quote_ident(role)),
        }
    }
}

impl fmt::Display for AlterTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let condition = print::when(self.if_exists, "IF EXISTS ");
        write!(f, "ALTER TABLE {condition}{} {}", self.name, print::list(&self.changes))
    }
}

impl fmt::Display for Truncate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TRUNCATE TABLE {}", print::list(&self.names))
    }
}

impl fmt::Display for CommentTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommentTarget::Database(name) => write!(f, "DATABASE {}", quote_ident(name)),
            CommentTarget::Table(name) => write!(f, "TABLE {name}"),
            CommentTarget::Column { table, column } => write!(f, "COLUMN {table}.{}", quote_ident(column)),
        }
    }
}

impl fmt::Display for Comment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.comment {
            Some(comment) => write!(f, "COMMENT ON {} IS {comment}", self.target),
            None => write!(f, "COMMENT ON {} IS NULL", self.target),
        }
    }
}

impl fmt::Display for ShowTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHOW TABLES{}", print::optional(" FROM ", self.from.as_ref()))
    }
}

impl fmt::Display for ShowColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHOW COLUMNS FROM {}", self.table)
    }
}

impl fmt::Display for ShowCreateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHOW CREATE TABLE {}", self.table)
    }
}
