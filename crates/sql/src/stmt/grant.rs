//! `GRANT`, `REVOKE`, `SHOW GRANTS`, `SHOW SYSTEM GRANTS`. Databend's privileges on connections are other words for the
//! same: `CREATE CONNECTION ON *.*` is EXTERNALCONNECTION of the system, `ACCESS CONNECTION` is USAGE, and `SUPER ON *.*`
//! is membership of `admin`.

use std::fmt;

use lakeport_base::name::quote_ident;
use lakeport_base::{Dialect, QualifiedName};
use sqlparser::tokenizer::Token;

use super::{Statement, role};
use crate::cursor::{Cursor, Result};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::print;
use crate::token::Lexeme;

/// What Databend calls the system privilege EXTERNALCONNECTION.
const CREATE_CONNECTION: &str = "CREATE CONNECTION";
/// What Databend calls USAGE on a connection.
const ACCESS_CONNECTION: &str = "ACCESS CONNECTION";
/// Databend's privilege to do everything, and the role whose members may.
const SUPER: (&str, &str) = ("SUPER", "admin");

/// What privileges are granted on.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    System,
    Connections(Vec<String>),
    /// `*.*` of ACCESS CONNECTION: the connections that there are and those to come.
    EveryConnection,
    Databases(Vec<String>),
    Schemas(Vec<QualifiedName>),
    Tables(Vec<QualifiedName>),
    Stages(Vec<String>),
    /// `ALL TABLES IN SCHEMA s, ...`
    AllTablesInSchemas(Vec<QualifiedName>),
}

/// `GRANT privileges ON target TO roles [WITH GRANT OPTION]`
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Upper case, in the order written; `ALL` for `ALL [PRIVILEGES]`.
    pub privileges: Vec<String>,
    pub target: Target,
    pub grantees: Vec<String>,
    pub grant_option: bool,
}

/// `REVOKE [GRANT OPTION FOR] privileges ON target FROM roles`
#[derive(Clone, Debug, PartialEq)]
pub struct Revoke {
    pub privileges: Vec<String>,
    pub target: Target,
    pub grantees: Vec<String>,
    pub grant_option_only: bool,
}

/// `GRANT roles TO members [WITH ADMIN OPTION]`
#[derive(Clone, Debug, PartialEq)]
pub struct GrantRole {
    pub roles: Vec<String>,
    pub members: Vec<String>,
    pub admin_option: bool,
}

/// `REVOKE [ADMIN OPTION FOR] roles FROM members`
#[derive(Clone, Debug, PartialEq)]
pub struct RevokeRole {
    pub roles: Vec<String>,
    pub members: Vec<String>,
    pub admin_option_only: bool,
}

/// `GRANT OWNERSHIP ON {CONNECTION | STAGE} name TO ROLE role`
#[derive(Clone, Debug, PartialEq)]
pub struct GrantOwnership {
    pub target: Target,
    pub owner: String,
}

/// `SHOW GRANTS [ON target] [FOR roles]`, `SHOW GRANTS FOR {ROLE | USER} name`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowGrants {
    pub target: Option<Target>,
    pub grantees: Vec<String>,
    /// Whose columns and words the answer has.
    pub dialect: Dialect,
}

/// `SHOW SYSTEM GRANTS [FOR roles]`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowSystemGrants {
    pub grantees: Vec<String>,
}

/// After `GRANT`.
pub(super) fn grant(c: &mut Cursor) -> Result<Statement> {
    if c.keywords("OWNERSHIP ON") {
        return ownership(c);
    }
    let Granted { items, target } = granted(c)?;
    c.expect("TO")?;
    if items.iter().any(|item| item.privilege == CREATE_CONNECTION) && !is_named("ROLE", c) {
        let message = "CREATE-like privileges cannot be granted directly to USER; please grant them to a role";
        return Err(illegal(message, c).with_hint("write TO ROLE before its name"));
    }
    let to = c.comma_list(grantee)?;
    Ok(match target {
        Some(target) => {
            let grant_option = c.keywords("WITH GRANT OPTION");
            Statement::Grant(Grant { privileges: privileges(items), target, grantees: to, grant_option })
        }
        None => {
            let admin_option = c.keywords("WITH ADMIN OPTION");
            Statement::GrantRole(GrantRole { roles: roles(items), members: to, admin_option })
        }
    })
}

/// After `GRANT OWNERSHIP ON`.
fn ownership(c: &mut Cursor) -> Result<Statement> {
    let target = target(c)?;
    if !matches!(&target, Target::Connections(names) | Target::Stages(names) if names.len() == 1) {
        return Err(c.unsupported("GRANT OWNERSHIP takes one connection or stage"));
    }
    c.expect("TO")?;
    Ok(Statement::GrantOwnership(GrantOwnership { target, owner: grantee(c)? }))
}

/// A grant that Databend's dialect does not know.
fn illegal(message: &'static str, c: &Cursor) -> SyntaxError {
    let error = SyntaxError::syntax(message, c.position());
    SyntaxError { kind: SyntaxErrorKind::Grant, dialect: Dialect::Databend, ..error }
}

/// After `REVOKE`.
pub(super) fn revoke(c: &mut Cursor) -> Result<Statement> {
    if c.is_next("OWNERSHIP ON") {
        return Err(illegal("OWNERSHIP cannot be revoked, only granted to another role", c));
    }
    let grant_option_only = c.keywords("GRANT OPTION FOR");
    let admin_option_only = !grant_option_only && c.keywords("ADMIN OPTION FOR");
    let Granted { items, target } = granted(c)?;
    c.expect("FROM")?;
    let from = c.comma_list(grantee)?;
    match target {
        Some(_) if admin_option_only => Err(c.expected("roles after ADMIN OPTION FOR")),
        None if grant_option_only => Err(c.expected("ON and a target after GRANT OPTION FOR")),
        Some(target) => {
            let privileges = privileges(items);
            Ok(Statement::Revoke(Revoke { privileges, target, grantees: from, grant_option_only }))
        }
        None => Ok(Statement::RevokeRole(RevokeRole { roles: roles(items), members: from, admin_option_only })),
    }
}

/// Words that are privileges of `target`, or roles when there is none.
struct Granted {
    items: Vec<Item>,
    target: Option<Target>,
}

/// A word that is a privilege or a role.
struct Item {
    /// Upper case.
    privilege: String,
    /// Case-folded.
    role: String,
}

impl Item {
    fn role(name: String) -> Item {
        Item { privilege: name.to_uppercase(), role: name }
    }
}

/// `SYSTEM privileges`, `privileges ON target` or `[ROLE] roles`.
fn granted(c: &mut Cursor) -> Result<Granted> {
    let is_role = ["SYSTEM TO", "SYSTEM FROM"].iter().any(|phrase| c.is_next(phrase));
    if !is_role && c.keywords("SYSTEM") {
        return Ok(Granted { items: items(c)?, target: Some(Target::System) });
    }
    if is_named("ROLE", c) {
        c.advance(1);
        return Ok(Granted { items: c.comma_list(role::name)?.into_iter().map(Item::role).collect(), target: None });
    }
    let items = items(c)?;
    let target = if c.keywords("ON") { Some(target(c)?) } else { None };
    let has = |privilege: &str| items.iter().any(|item| item.privilege == privilege);
    if target != Some(Target::System) {
        return Ok(Granted { items, target });
    }
    if has(SUPER.0) {
        let alone = items.len() == 1;
        return if alone {
            Ok(Granted { items: vec![Item::role(SUPER.1.into())], target: None })
        } else {
            Err(mixed(c))
        };
    }
    match has(ACCESS_CONNECTION) {
        false => Ok(Granted { items, target }),
        true if items.len() == 1 => Ok(Granted { items, target: Some(Target::EveryConnection) }),
        true => Err(mixed(c)),
    }
}

/// Privileges on `*.*` that are here privileges on different things.
fn mixed(c: &Cursor) -> SyntaxError {
    illegal("these privileges ON *.* cannot be granted together", c).with_hint("write a statement for each")
}

fn items(c: &mut Cursor) -> Result<Vec<Item>> {
    if c.keywords("ALL") {
        c.keywords("PRIVILEGES");
        return Ok(vec![Item { privilege: "ALL".into(), role: "all".into() }]);
    }
    c.comma_list(|c| {
        let word = if ["SELECT", "CREATE", "GRANT", "REFERENCES"].iter().any(|word| c.is_next(word)) {
            c.any_word()?
        } else {
            role::name(c)?
        };
        let of_connections = print::when(c.keywords("CONNECTION"), " CONNECTION");
        Ok(Item { privilege: word.to_uppercase() + of_connections, role: word })
    })
}

/// The one privilege that there is, whichever dialect names it.
fn privileges(items: Vec<Item>) -> Vec<String> {
    let one = |item: Item| match item.privilege.as_str() {
        ACCESS_CONNECTION => "USAGE".to_string(),
        CREATE_CONNECTION => "EXTERNALCONNECTION".to_string(),
        _ => item.privilege,
    };
    items.into_iter().map(one).collect()
}

fn roles(items: Vec<Item>) -> Vec<String> {
    items.into_iter().map(|item| item.role).collect()
}

/// `[ROLE | USER] name`: users are roles.
fn grantee(c: &mut Cursor) -> Result<String> {
    if is_named("ROLE", c) || is_named("USER", c) {
        c.advance(1);
    }
    role::name(c)
}

/// Whether a word that says what sort of thing is named comes next, and then a name.
fn is_named(sort: &'static str, c: &Cursor) -> bool {
    let is_name = |lexeme: &Lexeme| match lexeme.token {
        Token::Word(_) => !["TO", "FROM", "FOR", "WITH"].iter().any(|word| lexeme.is_word(word)),
        _ => matches!(lexeme.token, Token::SingleQuotedString(_)),
    };
    c.is_next(sort) && c.rest().get(1).is_some_and(is_name)
}

/// After `ON`.
fn target(c: &mut Cursor) -> Result<Target> {
    if is_named("CONNECTION", c) {
        c.advance(1);
        return Ok(Target::Connections(c.comma_list(Cursor::ident)?));
    }
    if c.symbol(&Token::Mul) {
        c.expect_symbol(&Token::Period)?;
        c.expect_symbol(&Token::Mul)?;
        return Ok(Target::System);
    }
    if c.keywords("EXTERNAL CONNECTION") {
        return Ok(Target::Connections(c.comma_list(Cursor::ident)?));
    }
    if is_named("STAGE", c) {
        c.advance(1);
        return Ok(Target::Stages(c.comma_list(Cursor::ident)?));
    }
    if c.keywords("DATABASE") {
        return Ok(Target::Databases(c.comma_list(Cursor::ident)?));
    }
    if c.keywords("SCHEMA") {
        return Ok(Target::Schemas(c.comma_list(Cursor::name)?));
    }
    if c.keywords("ALL TABLES IN SCHEMA") {
        return Ok(Target::AllTablesInSchemas(c.comma_list(Cursor::name)?));
    }
    c.keywords("TABLE");
    tables(c)
}

/// Tables, or `schema.*` patterns; not both in one list.
fn tables(c: &mut Cursor) -> Result<Target> {
    let patterns = c.comma_list(table_pattern)?;
    let (all, names): (Vec<_>, Vec<_>) = patterns.into_iter().unzip();
    if all.iter().all(|all| *all) {
        return Ok(Target::AllTablesInSchemas(names));
    }
    if all.iter().any(|all| *all) {
        return Err(c.unsupported("tables and schema.* patterns in one statement are not supported"));
    }
    Ok(Target::Tables(names))
}

/// `name` or `name.*`, which gives true.
pub(super) fn table_pattern(c: &mut Cursor) -> Result<(bool, QualifiedName)> {
    let mut parts = vec![c.ident()?];
    while parts.len() < 3 && c.symbol(&Token::Period) {
        if c.symbol(&Token::Mul) {
            return Ok((true, QualifiedName { parts }));
        }
        parts.push(c.ident()?);
    }
    Ok((false, QualifiedName { parts }))
}

/// After `SHOW GRANTS`.
pub(super) fn show_grants(c: &mut Cursor) -> Result<Statement> {
    if c.keywords("ON ROLE") {
        return Err(c.unsupported("SHOW GRANTS ON ROLE is not supported").with_hint("use SHOW ROLES"));
    }
    let in_databend = |c: &Cursor| ["CONNECTION", "STAGE", "ROLE", "USER"].iter().any(|sort| is_named(sort, c));
    let mut dialect = Dialect::Cockroach;
    let target = match c.keywords("ON") {
        true if c.keywords("SYSTEM") => Some(Target::System),
        true => {
            dialect = if in_databend(c) { Dialect::Databend } else { dialect };
            Some(target(c)?)
        }
        false => None,
    };
    if target.is_none() && c.keywords("FOR") {
        dialect = if in_databend(c) { Dialect::Databend } else { dialect };
        let grantees = if dialect == Dialect::Databend { vec![grantee(c)?] } else { c.comma_list(role::name)? };
        return Ok(Statement::ShowGrants(ShowGrants { target, grantees, dialect }));
    }
    Ok(Statement::ShowGrants(ShowGrants { target, grantees: for_roles(c)?, dialect }))
}

/// After `SHOW SYSTEM GRANTS`.
pub(super) fn show_system_grants(c: &mut Cursor) -> Result<Statement> {
    Ok(Statement::ShowSystemGrants(ShowSystemGrants { grantees: for_roles(c)? }))
}

/// `[FOR roles]`
fn for_roles(c: &mut Cursor) -> Result<Vec<String>> {
    if c.keywords("FOR") { c.comma_list(role::name) } else { Ok(Vec::new()) }
}

/// As after `ON`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::System => f.write_str("SYSTEM"),
            Target::EveryConnection => f.write_str("*.*"),
            Target::Connections(names) => write!(f, "EXTERNAL CONNECTION {}", print::idents(names)),
            Target::Stages(names) => write!(f, "STAGE {}", print::idents(names)),
            Target::Databases(names) => write!(f, "DATABASE {}", print::idents(names)),
            Target::Schemas(names) => write!(f, "SCHEMA {}", print::list(names)),
            Target::Tables(names) => write!(f, "TABLE {}", print::list(names)),
            Target::AllTablesInSchemas(names) => write!(f, "ALL TABLES IN SCHEMA {}", print::list(names)),
        }
    }
}

/// `SYSTEM privileges` or `privileges ON target`.
fn granted_text(privileges: &[String], target: &Target) -> String {
    let is_word = |name: &str| name.bytes().all(|b| b.is_ascii_uppercase());
    let word = |name: &String| if is_word(name) { name.clone() } else { quote_ident(name) };
    let privileges: Vec<_> = privileges.iter().map(word).collect();
    match target {
        Target::System => format!("SYSTEM {}", privileges.join(", ")),
        Target::EveryConnection => format!("{ACCESS_CONNECTION} ON {target}"),
        target => format!("{} ON {target}", privileges.join(", ")),
    }
}

/// ` FOR a, b`, or nothing.
fn for_text(grantees: &[String]) -> String {
    if grantees.is_empty() { String::new() } else { format!(" FOR {}", print::idents(grantees)) }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (granted, grantees) = (granted_text(&self.privileges, &self.target), print::idents(&self.grantees));
        write!(f, "GRANT {granted} TO {grantees}{}", print::when(self.grant_option, " WITH GRANT OPTION"))
    }
}

impl fmt::Display for Revoke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (granted, grantees) = (granted_text(&self.privileges, &self.target), print::idents(&self.grantees));
        write!(f, "REVOKE {}{granted} FROM {grantees}", print::when(self.grant_option_only, "GRANT OPTION FOR "))
    }
}

impl fmt::Display for GrantOwnership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = in_databend(&self.target);
        write!(f, "GRANT OWNERSHIP ON {target} TO ROLE {}", quote_ident(&self.owner))
    }
}

/// The target as Databend writes it.
fn in_databend(target: &Target) -> String {
    match target {
        Target::Connections(names) => format!("CONNECTION {}", print::idents(names)),
        target => target.to_string(),
    }
}

impl fmt::Display for GrantRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (roles, members) = (print::idents(&self.roles), print::idents(&self.members));
        write!(f, "GRANT {roles} TO {members}{}", print::when(self.admin_option, " WITH ADMIN OPTION"))
    }
}

impl fmt::Display for RevokeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (roles, members) = (print::idents(&self.roles), print::idents(&self.members));
        write!(f, "REVOKE {}{roles} FROM {members}", print::when(self.admin_option_only, "ADMIN OPTION FOR "))
    }
}

impl fmt::Display for ShowGrants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target.as_ref().map(|target| match self.dialect {
            Dialect::Databend => in_databend(target),
            _ => target.to_string(),
        });
        let grantees = match (self.dialect, &target, self.grantees.as_slice()) {
            (Dialect::Databend, None, [role]) => format!(" FOR ROLE {}", quote_ident(role)),
            _ => for_text(&self.grantees),
        };
        write!(f, "SHOW GRANTS{}{grantees}", print::optional(" ON ", target.as_ref()))
    }
}

impl fmt::Display for ShowSystemGrants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHOW SYSTEM GRANTS{}", for_text(&self.grantees))
    }
}
