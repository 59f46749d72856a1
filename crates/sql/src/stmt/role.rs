//! `CREATE | ALTER | DROP {ROLE | USER}`, `SET DEFAULT ROLE`, `SHOW ROLES | USERS`.

use std::fmt;

use lakeport_base::name::{quote_ident, quote_literal};
use sqlparser::tokenizer::Token;

use super::{Statement, Text, session};
use crate::cursor::{Cursor, Result};
use crate::print;

/// An option of a role.
#[derive(Clone, Debug, PartialEq)]
pub enum RoleOption {
    /// Upper case without the `NO`, such as `LOGIN` or `CREATEDB`.
    Flag { name: String, on: bool },
    /// `None` is `PASSWORD NULL`.
    Password(Option<Text>),
    /// `None` is `VALID UNTIL NULL`.
    ValidUntil(Option<Text>),
    /// Databend's `DEFAULT_ROLE = 'role'`; `None` is `NULL`.
    DefaultRole(Option<String>),
}

/// `CREATE {ROLE | USER} [IF NOT EXISTS] name [[WITH] options]`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateRole {
    pub name: String,
    pub if_not_exists: bool,
    /// Written `CREATE USER`: may log in by default.
    pub is_user: bool,
    pub options: Vec<RoleOption>,
}

/// `ALTER {ROLE | USER} [IF EXISTS] {name | SESSION_USER} [WITH] options`; `SET DEFAULT ROLE r` is one for
/// `SESSION_USER`.
#[derive(Clone, Debug, PartialEq)]
pub struct AlterRole {
    /// `None` is who has logged in.
    pub name: Option<String>,
    pub if_exists: bool,
    pub options: Vec<RoleOption>,
}

/// `ALTER ROLE {name | ALL} [IN DATABASE db] {SET v = x | RESET v | RESET ALL}`
#[derive(Clone, Debug, PartialEq)]
pub struct AlterRoleSet {
    /// `None` is `ALL`.
    pub name: Option<String>,
    pub database: Option<String>,
    /// `None` is `RESET ALL`.
    pub variable: Option<String>,
    /// `None` is `RESET`.
    pub value: Option<String>,
}

/// `DROP {ROLE | USER} [IF EXISTS] names`
#[derive(Clone, Debug, PartialEq)]
pub struct DropRole {
    pub names: Vec<String>,
    pub if_exists: bool,
}

/// `SHOW ROLES | USERS`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowRoles;

/// Options that are switched on by their name and off by `NO` before it.
const FLAGS: &[&str] = &[
    "BYPASSRLS",
    "CANCELQUERY",
    "CONTROLCHANGEFEED",
    "CONTROLJOB",
    "CREATEDB",
    "CREATELOGIN",
    "CREATEROLE",
    "LOGIN",
    "MODIFYCLUSTERSETTING",
    "REPLICATION",
    "SQLLOGIN",
    "VIEWACTIVITY",
    "VIEWACTIVITYREDACTED",
    "VIEWCLUSTERSETTING",
];

/// After `CREATE ROLE` or `CREATE USER`.
pub(super) fn create(is_user: bool, c: &mut Cursor) -> Result<Statement> {
    let if_not_exists = c.keywords("IF NOT EXISTS");
    let name = name(c)?;
    c.keywords("WITH");
    Ok(Statement::CreateRole(CreateRole { name, if_not_exists, is_user, options: options(c)? }))
}

/// After `ALTER ROLE` or `ALTER USER`.
pub(super) fn alter(c: &mut Cursor) -> Result<Statement> {
    if c.keywords("ALL") {
        return alter_set(None, c);
    }
    let if_exists = c.keywords("IF EXISTS");
    let name = if c.keywords("SESSION_USER") { None } else { Some(name(c)?) };
    if !if_exists && name.is_some() && ["IN DATABASE", "SET", "RESET"].iter().any(|phrase| c.is_next(phrase)) {
        return alter_set(name, c);
    }
    c.keywords("WITH");
    let options = options(c)?;
    if options.is_empty() { Err(c.error()) } else { Ok(Statement::AlterRole(AlterRole { name, if_exists, options })) }
}

/// After `SET DEFAULT ROLE`.
pub(super) fn set_default(c: &mut Cursor) -> Result<Statement> {
    let role = if c.keywords("NONE") { None } else { Some(name(c)?) };
    let options = vec![RoleOption::DefaultRole(role)];
    Ok(Statement::AlterRole(AlterRole { name: None, if_exists: false, options }))
}

/// `[IN DATABASE db] {SET v {= | TO} x | RESET v | RESET ALL}`
fn alter_set(name: Option<String>, c: &mut Cursor) -> Result<Statement> {
    let database = if c.keywords("IN DATABASE") { Some(c.ident()?) } else { None };
    let (variable, value) = if c.keywords("SET") {
        let set = session::assignment(c)?;
        (Some(set.name), set.value)
    } else {
        c.expect("RESET")?;
        (if c.keywords("ALL") { None } else { Some(session::variable(c)?) }, None)
    };
    Ok(Statement::AlterRoleSet(AlterRoleSet { name, database, variable, value }))
}

/// After `DROP ROLE` or `DROP USER`.
pub(super) fn drop(c: &mut Cursor) -> Result<Statement> {
    let if_exists = c.keywords("IF EXISTS");
    Ok(Statement::DropRole(DropRole { names: c.comma_list(name)?, if_exists }))
}

/// A role's name: an identifier or a string.
pub(super) fn name(c: &mut Cursor) -> Result<String> {
    if c.peek().is_some_and(|next| matches!(next.token, Token::SingleQuotedString(_))) {
        let position = c.position();
        let name = c.literal()?;
        crate::cursor::check_name(&name, position)?;
        return Ok(name);
    }
    c.ident()
}

fn options(c: &mut Cursor) -> Result<Vec<RoleOption>> {
    let mut options = Vec::new();
    while !c.is_at_end() {
        options.push(option(c)?);
    }
    Ok(options)
}

fn option(c: &mut Cursor) -> Result<RoleOption> {
    if c.keywords("PASSWORD") || c.keywords("ENCRYPTED PASSWORD") {
        return Ok(RoleOption::Password(nullable(c)?));
    }
    if c.keywords("IDENTIFIED BY") {
        // As Databend has it, more options may follow a second WITH.
        let password = c.text_value()?;
        c.keywords("WITH");
        return Ok(RoleOption::Password(Some(password)));
    }
    if c.keywords("DEFAULT_ROLE") {
        c.expect_symbol(&Token::Eq)?;
        return Ok(RoleOption::DefaultRole(if c.keywords("NULL") { None } else { Some(name(c)?) }));
    }
    if c.keywords("VALID UNTIL") {
        return Ok(RoleOption::ValidUntil(nullable(c)?));
    }
    if let Some(flag) = c.one_of(FLAGS) {
        return Ok(RoleOption::Flag { name: flag.into(), on: true });
    }
    match FLAGS.iter().find(|flag| c.is_next(&format!("NO{flag}"))) {
        Some(flag) => {
            c.advance(1);
            Ok(RoleOption::Flag { name: (*flag).into(), on: false })
        }
        None => Err(c.error()),
    }
}

/// `{'text' | $n | NULL}`
fn nullable(c: &mut Cursor) -> Result<Option<Text>> {
    if c.keywords("NULL") { Ok(None) } else { c.text_value().map(Some) }
}

impl fmt::Display for RoleOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RoleOption::Flag { name, on } => write!(f, "{}{name}", print::when(!on, "NO")),
            RoleOption::Password(Some(password)) => write!(f, "PASSWORD {password}"),
            RoleOption::Password(None) => f.write_str("PASSWORD NULL"),
            RoleOption::ValidUntil(Some(time)) => write!(f, "VALID UNTIL {time}"),
            RoleOption::ValidUntil(None) => f.write_str("VALID UNTIL NULL"),
            RoleOption::DefaultRole(Some(role)) => write!(f, "DEFAULT_ROLE = {}", quote_literal(role)),
            RoleOption::DefaultRole(None) => f.write_str("DEFAULT_ROLE = NULL"),
        }
    }
}

/// ` WITH a b`, or nothing for no options.
fn with(options: &[RoleOption]) -> String {
    let words: Vec<_> = options.iter().map(|option| format!(" {option}")).collect();
    if words.is_empty() { String::new() } else { format!(" WITH{}", words.concat()) }
}

impl fmt::Display for CreateRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object = if self.is_user { "USER" } else { "ROLE" };
        let condition = print::when(self.if_not_exists, "IF NOT EXISTS ");
        write!(f, "CREATE {object} {condition}{}{}", quote_ident(&self.name), with(&self.options))
    }
}

impl fmt::Display for AlterRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let condition = print::when(self.if_exists, "IF EXISTS ");
        let name = self.name.as_deref().map_or_else(|| "SESSION_USER".into(), quote_ident);
        write!(f, "ALTER ROLE {condition}{name}{}", with(&self.options))
    }
}

impl fmt::Display for AlterRoleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().map_or_else(|| "ALL".into(), quote_ident);
        let database = self.database.as_deref().map(quote_ident);
        write!(f, "ALTER ROLE {name}{}", print::optional(" IN DATABASE ", database.as_ref()))?;
        match (&self.variable, &self.value) {
            (None, _) => f.write_str(" RESET ALL"),
            (Some(variable), None) => write!(f, " RESET {}", session::quoted(variable)),
            (Some(variable), Some(value)) => {
                write!(f, " SET {} = {}", session::quoted(variable), quote_literal(value))
            }
        }
    }
}

impl fmt::Display for DropRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DROP ROLE {}{}", print::when(self.if_exists, "IF EXISTS "), print::idents(&self.names))
    }
}

impl fmt::Display for ShowRoles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SHOW ROLES")
    }
}
