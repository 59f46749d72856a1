//! Transactions, variables, settings, SQL-level prepared statements.

use std::fmt;

use lakeport_base::name::{quote_ident, quote_literal};
use sqlparser::tokenizer::Token;

use super::{Statement, Text};
use crate::cursor::{Cursor, Result};
use crate::print;

/// Transaction control.
#[derive(Clone, Debug, PartialEq)]
pub enum Transaction {
    Begin {
        read_only: bool,
    },
    Commit,
    Rollback,
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    /// `SET TRANSACTION ...`: accepted where it asks for what we do anyway.
    Characteristics {
        read_only: bool,
    },
}

/// `SET [SESSION | LOCAL] name {= | TO} value, ...`; `USE db` is `SET database = db`.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// Lower case.
    pub name: String,
    /// `None` is `DEFAULT`.
    pub value: Option<String>,
    pub local: bool,
}

/// `SHOW name`; `SHOW ALL` has the name `all`.
#[derive(Clone, Debug, PartialEq)]
pub struct Show {
    pub name: String,
}

/// `RESET name | ALL`
#[derive(Clone, Debug, PartialEq)]
pub struct Reset {
    pub name: String,
}

/// `SET CLUSTER SETTING name = value`, `RESET CLUSTER SETTING name` (no value)
#[derive(Clone, Debug, PartialEq)]
pub struct SetClusterSetting {
    pub name: String,
    pub value: Option<String>,
}

/// `SHOW CLUSTER SETTING name`, `SHOW [ALL] CLUSTER SETTINGS` (no name)
#[derive(Clone, Debug, PartialEq)]
pub struct ShowClusterSetting {
    pub name: Option<String>,
}

/// `PREPARE name [(types)] AS statement`
#[derive(Clone, Debug, PartialEq)]
pub struct Prepare {
    pub name: String,
    pub types: Vec<String>,
    pub statement: Box<Statement>,
}

/// `EXECUTE name [(expressions)]`
#[derive(Clone, Debug, PartialEq)]
pub struct Execute {
    pub name: String,
    /// SQL texts.
    pub arguments: Vec<String>,
}

/// `DEALLOCATE {name | ALL}` (no name is all)
#[derive(Clone, Debug, PartialEq)]
pub struct Deallocate {
    pub name: Option<String>,
}

/// After `BEGIN` or `START TRANSACTION`.
pub(super) fn begin(c: &mut Cursor) -> Result<Statement> {
    c.one_of(&["TRANSACTION", "WORK"]);
    let read_only = modes(c)?;
    Ok(Statement::Transaction(Transaction::Begin { read_only }))
}

/// After `COMMIT` or `END`.
pub(super) fn commit(c: &mut Cursor) -> Result<Statement> {
    c.one_of(&["TRANSACTION", "WORK"]);
    c.keywords("AND NO CHAIN");
    Ok(Statement::Transaction(Transaction::Commit))
}

/// After `ROLLBACK` or `ABORT`.
pub(super) fn rollback(c: &mut Cursor) -> Result<Statement> {
    c.one_of(&["TRANSACTION", "WORK"]);
    if c.keywords("TO") {
        c.keywords("SAVEPOINT");
        return Ok(Statement::Transaction(Transaction::RollbackTo(c.ident()?)));
    }
    c.keywords("AND NO CHAIN");
    Ok(Statement::Transaction(Transaction::Rollback))
}

/// After `SAVEPOINT`.
pub(super) fn savepoint(c: &mut Cursor) -> Result<Statement> {
    Ok(Statement::Transaction(Transaction::Savepoint(c.ident()?)))
}

/// After `RELEASE`.
pub(super) fn release(c: &mut Cursor) -> Result<Statement> {
    c.keywords("SAVEPOINT");
    Ok(Statement::Transaction(Transaction::Release(c.ident()?)))
}

/// After `SET TRANSACTION` or `SET SESSION CHARACTERISTICS AS TRANSACTION`.
pub(super) fn characteristics(c: &mut Cursor) -> Result<Statement> {
    if c.is_at_end() {
        return Err(c.expected("a transaction mode"));
    }
    Ok(Statement::Transaction(Transaction::Characteristics { read_only: modes(c)? }))
}

/// Transaction modes up to the end; whether the last word on it was `READ ONLY`. Every isolation level is met by
/// the one there is.
fn modes(c: &mut Cursor) -> Result<bool> {
    const LEVELS: &[&str] = &["SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED", "READ UNCOMMITTED", "SNAPSHOT"];
    let mut read_only = false;
    while !c.is_at_end() {
        match c.one_of(&["READ ONLY", "READ WRITE", "ISOLATION LEVEL", "PRIORITY", "NOT DEFERRABLE", "DEFERRABLE"]) {
            Some("READ ONLY") => read_only = true,
            Some("READ WRITE") => read_only = false,
            Some("ISOLATION LEVEL") => drop(c.one_of(LEVELS).ok_or_else(|| c.error())?),
            Some("PRIORITY") => drop(c.one_of(&["LOW", "NORMAL", "HIGH"]).ok_or_else(|| c.error())?),
            Some(_) => {}
            None => return Err(c.error()),
        }
        if c.symbol(&Token::Comma) && c.is_at_end() {
            return Err(c.error());
        }
    }
    Ok(read_only)
}

/// After `SET`.
pub(super) fn set(c: &mut Cursor) -> Result<Statement> {
    let local = c.one_of(&["SESSION", "LOCAL"]) == Some("LOCAL");
    let set = if c.keywords("TIME ZONE") {
        Set { name: "timezone".into(), value: zone(c)?, local: false }
    } else if c.keywords("NAMES") {
        Set { name: "client_encoding".into(), value: values(c)?, local: false }
    } else if c.keywords("ROLE") {
        let _ = c.symbol(&Token::Eq) || c.keywords("TO");
        let none = c.keywords("NONE");
        Set { name: "role".into(), value: if none { None } else { values(c)? }, local: false }
    } else {
        assignment(c)?
    };
    Ok(Statement::Set(Set { local, ..set }))
}

/// `{'zone' | offset | INTERVAL 'offset' [HOUR TO MINUTE] | LOCAL | DEFAULT}`
fn zone(c: &mut Cursor) -> Result<Option<String>> {
    if c.keywords("LOCAL") {
        return Ok(None);
    }
    let interval = c.keywords("INTERVAL");
    let zone = values(c)?;
    if interval {
        c.keywords("HOUR TO MINUTE");
    }
    Ok(zone)
}

/// `name {= | TO} value, ...`
pub(super) fn assignment(c: &mut Cursor) -> Result<Set> {
    let name = variable(c)?;
    if !c.symbol(&Token::Eq) {
        c.expect("TO")?;
    }
    Ok(Set { name, value: values(c)?, local: false })
}

/// The name of a variable or setting: lower case, with dots.
pub(super) fn variable(c: &mut Cursor) -> Result<String> {
    let mut name = c.ident()?.to_lowercase();
    while c.symbol(&Token::Period) {
        name = format!("{name}.{}", c.ident()?.to_lowercase());
    }
    Ok(name)
}

/// One or more values, joined as the variable shows them; `DEFAULT` is none.
fn values(c: &mut Cursor) -> Result<Option<String>> {
    if c.keywords("DEFAULT") {
        return Ok(None);
    }
    let values = c.comma_list(|c| match c.scalar()? {
        Text::Literal(value) => Ok(value),
        Text::Placeholder(_) => Err(c.unsupported("a parameter as the value of a variable is not supported")),
    })?;
    Ok(Some(values.join(", ")))
}

/// After `USE`.
pub(super) fn use_database(c: &mut Cursor) -> Result<Statement> {
    c.symbol(&Token::Eq);
    Ok(Statement::Set(Set { name: "database".into(), value: Some(c.ident()?), local: false }))
}

/// After `SHOW`, when nothing more specific matched.
pub(super) fn show(c: &mut Cursor) -> Result<Statement> {
    let name = if c.keywords("TIME ZONE") {
        "timezone".into()
    } else if c.keywords("TRANSACTION ISOLATION LEVEL") {
        "transaction_isolation".into()
    } else if c.keywords("TRANSACTION STATUS") {
        "transaction_status".into()
    } else if c.keywords("SESSION AUTHORIZATION") {
        "session_authorization".into()
    } else if c.keywords("ALL") {
        "all".into()
    } else {
        c.keywords("SESSION");
        variable(c)?
    };
    Ok(Statement::Show(Show { name }))
}

/// After `RESET`.
pub(super) fn reset(c: &mut Cursor) -> Result<Statement> {
    let name = if c.keywords("ALL") {
        "all".into()
    } else if c.keywords("TIME ZONE") {
        "timezone".into()
    } else {
        c.keywords("SESSION");
        variable(c)?
    };
    Ok(Statement::Reset(Reset { name }))
}

/// After `SET CLUSTER SETTING`.
pub(super) fn set_cluster_setting(c: &mut Cursor) -> Result<Statement> {
    let set = assignment(c)?;
    Ok(Statement::SetClusterSetting(SetClusterSetting { name: set.name, value: set.value }))
}

/// After `RESET CLUSTER SETTING`.
pub(super) fn reset_cluster_setting(c: &mut Cursor) -> Result<Statement> {
    Ok(Statement::SetClusterSetting(SetClusterSetting { name: variable(c)?, value: None }))
}

/// After `SHOW CLUSTER SETTING`.
pub(super) fn show_cluster_setting(c: &mut Cursor) -> Result<Statement> {
    let name = if c.keywords("ALL") { None } else { Some(variable(c)?) };
    Ok(Statement::ShowClusterSetting(ShowClusterSetting { name }))
}

/// After `PREPARE`.
pub(super) fn prepare(c: &mut Cursor) -> Result<Statement> {
    let name = c.ident()?;
    let types = if c.is_open() { c.parenthesised(|c| c.comma_list(type_name))? } else { Vec::new() };
    c.expect("AS")?;
    let statement = Box::new(super::statement(c)?);
    Ok(Statement::Prepare(Prepare { name, types, statement }))
}

fn type_name(c: &mut Cursor) -> Result<String> {
    Ok(super::table::column_type(c)?.to_string())
}

/// After `EXECUTE`.
pub(super) fn execute(c: &mut Cursor) -> Result<Statement> {
    let name = c.ident()?;
    let arguments = if c.is_open() { c.parenthesised(|c| c.comma_list(super::query::expression))? } else { Vec::new() };
    Ok(Statement::Execute(Execute { name, arguments }))
}

/// After `DEALLOCATE`.
pub(super) fn deallocate(c: &mut Cursor) -> Result<Statement> {
    c.keywords("PREPARE");
    let name = if c.keywords("ALL") { None } else { Some(c.ident()?) };
    Ok(Statement::Deallocate(Deallocate { name }))
}

/// After `DISCARD`.
pub(super) fn discard(c: &mut Cursor) -> Result<Statement> {
    match c.one_of(&["ALL", "PLANS", "SEQUENCES", "TEMPORARY", "TEMP"]) {
        Some("ALL") => Ok(Statement::Discard),
        Some(_) => Ok(Statement::Nothing("DISCARD")),
        None => Err(c.error()),
    }
}

/// A statement that needs nothing done, whatever follows its leading words.
pub(super) fn nothing(tag: &'static str, c: &mut Cursor) -> Result<Statement> {
    c.advance(c.rest().len());
    Ok(Statement::Nothing(tag))
}

/// A variable's name as source: each dotted part quoted where it must be.
pub(super) fn quoted(variable: &str) -> String {
    variable.split('.').map(quote_ident).collect::<Vec<_>>().join(".")
}

/// The value as source.
fn value_text(value: Option<&String>) -> String {
    value.map_or_else(|| "DEFAULT".into(), |value| quote_literal(value))
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = |read_only: bool| if read_only { "READ ONLY" } else { "READ WRITE" };
        match self {
            Transaction::Begin { read_only } => write!(f, "BEGIN{}", print::when(*read_only, " READ ONLY")),
            Transaction::Commit => f.write_str("COMMIT"),
            Transaction::Rollback => f.write_str("ROLLBACK"),
            Transaction::Savepoint(name) => write!(f, "SAVEPOINT {}", quote_ident(name)),
            Transaction::Release(name) => write!(f, "RELEASE SAVEPOINT {}", quote_ident(name)),
            Transaction::RollbackTo(name) => write!(f, "ROLLBACK TO SAVEPOINT {}", quote_ident(name)),
            Transaction::Characteristics { read_only } => write!(f, "SET TRANSACTION {}", mode(*read_only)),
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (local, value) = (print::when(self.local, "LOCAL "), value_text(self.value.as_ref()));
        write!(f, "SET {local}{} = {value}", quoted(&self.name))
    }
}

impl fmt::Display for Show {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name == "all" { f.write_str("SHOW ALL") } else { write!(f, "SHOW {}", quoted(&self.name)) }
    }
}

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name == "all" { f.write_str("RESET ALL") } else { write!(f, "RESET {}", quoted(&self.name)) }
    }
}

impl fmt::Display for SetClusterSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SET CLUSTER SETTING {} = {}", quoted(&self.name), value_text(self.value.as_ref()))
    }
}

impl fmt::Display for ShowClusterSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "SHOW CLUSTER SETTING {}", quoted(name)),
            None => f.write_str("SHOW CLUSTER SETTINGS"),
        }
    }
}

impl Prepare {
    /// The statement for a log.
    pub fn redacted(&self) -> String {
        format!("{}{}", self.head(), self.statement.redacted())
    }

    /// `PREPARE name (types) AS `
    fn head(&self) -> String {
        let types = if self.types.is_empty() { String::new() } else { format!(" ({})", self.types.join(", ")) };
        format!("PREPARE {}{types} AS ", quote_ident(&self.name))
    }
}

impl fmt::Display for Prepare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.head(), self.statement)
    }
}

impl fmt::Display for Execute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments = self.arguments.join(", ");
        let arguments = if arguments.is_empty() { arguments } else { format!(" ({arguments})") };
        write!(f, "EXECUTE {}{arguments}", quote_ident(&self.name))
    }
}

impl fmt::Display for Deallocate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "DEALLOCATE {}", quote_ident(name)),
            None => f.write_str("DEALLOCATE ALL"),
        }
    }
}
