//! Variables of the session, cluster settings.

use std::fmt;

use lakeport_base::name::{quote_ident, quote_literal};
use sqlparser::tokenizer::Token;

use super::{Statement, Text, role};
use crate::cursor::{Cursor, Result};
use crate::print;

/// `SET [SESSION | LOCAL] name {= | TO} value, ...`; `USE db` is `SET database = db`.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// Lower case.
    pub name: String,
    /// `None` is `DEFAULT`.
    pub value: Option<String>,
    pub local: bool,
}

/// `SET VARIABLE name = 'value'`, `UNSET VARIABLE name` (no value)
#[derive(Clone, Debug, PartialEq)]
pub struct SetOwn {
    /// Lower case; what `$name` stands for.
    pub name: String,
    pub value: Option<String>,
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

/// `SET CLUSTER SETTING name = value`, `SET GLOBAL name = value`, `RESET CLUSTER SETTING name` (no value)
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

/// After `SET`.
pub(super) fn set(c: &mut Cursor) -> Result<Statement> {
    if c.keywords("GLOBAL") {
        return set_cluster_setting(c);
    }
    if c.keywords("DEFAULT ROLE") {
        return role::set_default(c);
    }
    let local = c.one_of(&["SESSION", "LOCAL"]) == Some("LOCAL");
    let set = if c.keywords("TIME ZONE") {
        Set { name: "timezone".into(), value: zone(c)?, local: false }
    } else if c.keywords("NAMES") {
        Set { name: "client_encoding".into(), value: values(c)?, local: false }
    } else if c.keywords("ROLE") {
        let _ = c.symbol(&Token::Eq) || c.keywords("TO");
        Set { name: "role".into(), value: role(c)?, local: false }
    } else if c.keywords("SECONDARY ROLES") {
        let all = c.keywords("ALL");
        if !all {
            c.expect("NONE")?;
        }
        Set { name: "secondary_roles".into(), value: Some(if all { "on" } else { "off" }.into()), local: false }
    } else {
        assignment(c)?
    };
    Ok(Statement::Set(Set { local, ..set }))
}

/// After `SET VARIABLE`.
pub(super) fn set_own(c: &mut Cursor) -> Result<Statement> {
    let name = c.ident()?.to_lowercase();
    c.expect_symbol(&Token::Eq)?;
    Ok(Statement::SetOwn(SetOwn { name, value: Some(c.literal()?) }))
}

/// After `UNSET VARIABLE`.
pub(super) fn unset_own(c: &mut Cursor) -> Result<Statement> {
    Ok(Statement::SetOwn(SetOwn { name: c.ident()?.to_lowercase(), value: None }))
}

/// `{role | NONE | DEFAULT}`
fn role(c: &mut Cursor) -> Result<Option<String>> {
    match c.one_of(&["DEFAULT", "NONE"]) {
        Some("NONE") => Ok(Some("none".into())),
        Some(_) => Ok(None),
        None => role::name(c).map(Some),
    }
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

/// After `SET CLUSTER SETTING` or `SET GLOBAL`.
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

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (local, value) = (print::when(self.local, "LOCAL "), value_text(self.value.as_ref()));
        write!(f, "SET {local}{} = {value}", quoted(&self.name))
    }
}

impl fmt::Display for SetOwn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = quote_ident(&self.name);
        match &self.value {
            Some(value) => write!(f, "SET VARIABLE {name} = {}", quote_literal(value)),
            None => write!(f, "UNSET VARIABLE {name}"),
        }
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
