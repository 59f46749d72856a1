//! Session variables: one table row each.

use lakeport_base::nearest::nearest;
use lakeport_base::{Sqlstate, units};

use crate::error::{Error, Result};
use crate::setting::{CONNECTION_PRIVILEGES, CONNECTION_PRIVILEGES_ALIAS, Setting};
use crate::value::Zone;

/// What values a variable takes.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    Text,
    Bool,
    /// A duration: a number of milliseconds or a text such as `10s`.
    Duration,
    /// One of these, any case.
    Choice(&'static [&'static str]),
    /// A time zone name or offset.
    TimeZone,
    /// A spelling of UTF8; what is neither letter nor digit does not count, as in PostgreSQL.
    Encoding,
    /// On or off; while it is empty the cluster setting of the name counts.
    OverSetting(&'static Setting),
    /// Set by the server only.
    ReadOnly,
}

/// One session variable.
pub struct Variable {
    pub name: &'static str,
    pub default: &'static str,
    pub rule: Rule,
    /// Sent to the client as ParameterStatus, under this name, at start and when it changes.
    pub reported: Option<&'static str>,
    pub help: &'static str,
}

const fn variable(name: &'static str, default: &'static str, rule: Rule, help: &'static str) -> Variable {
    Variable { name, default, rule, reported: None, help }
}

const fn reported(
    name: &'static str,
    default: &'static str,
    rule: Rule,
    reported: &'static str,
    help: &'static str,
) -> Variable {
    Variable { name, default, rule, reported: Some(reported), help }
}

pub const IS_SUPERUSER: Variable =
    reported("is_superuser", "off", Rule::ReadOnly, "is_superuser", "the current user is a member of admin");
pub const ROLE: Variable = variable("role", NO_ROLE, Rule::Text, "the current role; SET ROLE sets it");
pub const SECONDARY_ROLES: Variable = variable(
    "secondary_roles",
    "off",
    Rule::Bool,
    "with the current role the user's own privileges and other roles count too; SET ROLE puts it off",
);
/// The value of `role` while there is none.
pub const NO_ROLE: &str = "none";

/// Every session variable, by name.
pub const VARIABLES: &[Variable] = &[
    reported("application_name", "", Rule::Text, "application_name", "name of the client program"),
    variable(
        "autocommit_before_ddl",
        "on",
        Rule::Choice(&["on"]),
        "DDL in a transaction block commits the block first",
    ),
    variable("bytea_output", "hex", Rule::Choice(&["hex"]), "text form of BYTES"),
    reported("client_encoding", "UTF8", Rule::Encoding, "client_encoding", "always UTF8"),
    variable("client_min_messages", "notice", Rule::Text, "accepted; notices are always sent"),
    variable("database", "defaultdb", Rule::Text, "current database; USE sets it"),
    reported("datestyle", "ISO, MDY", Rule::Choice(&["ISO, MDY", "ISO"]), "DateStyle", "text form of dates"),
    variable("default_table_access_method", "delta", Rule::ReadOnly, "how tables are stored"),
    variable("default_transaction_isolation", ISOLATION[0], Rule::Choice(ISOLATION), "every block reads one snapshot"),
    variable("default_transaction_read_only", "off", Rule::Bool, "new blocks refuse writes"),
    variable(CONNECTION_PRIVILEGES.name, "", Rule::OverSetting(&CONNECTION_PRIVILEGES), CONNECTION_PRIVILEGES.help),
    variable("extra_float_digits", "1", Rule::Text, "accepted; floats print in their shortest exact form"),
    variable(
        "idle_in_transaction_session_timeout",
        "0",
        Rule::Duration,
        "a client that says nothing for so long inside a block is disconnected; 0 is never",
    ),
    variable(
        "idle_session_timeout",
        "0",
        Rule::Duration,
        "a client that says nothing for so long outside a block is disconnected; 0 is never",
    ),
    reported("integer_datetimes", "on", Rule::ReadOnly, "integer_datetimes", "timestamps are integers on the wire"),
    reported("intervalstyle", "postgres", Rule::Choice(&["postgres"]), "IntervalStyle", "text form of intervals"),
    IS_SUPERUSER,
    variable("job_progress_notices", "on", Rule::Bool, "progress of a job one waits for comes as notices"),
    variable("lock_timeout", "0", Rule::Duration, "accepted; writers of a table queue"),
    variable("max_identifier_length", "255", Rule::ReadOnly, "bytes"),
    variable("max_index_keys", "32", Rule::ReadOnly, "columns of a key that clients look for"),
    ROLE,
    variable("search_path", "\"$user\", public", Rule::Text, "schemas searched for bare names"),
    SECONDARY_ROLES,
    reported("server_encoding", "UTF8", Rule::ReadOnly, "server_encoding", "always UTF8"),
    reported("server_version", SERVER_VERSION, Rule::ReadOnly, "server_version", "PostgreSQL version spoken"),
    variable("server_version_num", "150000", Rule::ReadOnly, "PostgreSQL version spoken, as a number"),
    reported("session_authorization", "", Rule::ReadOnly, "session_authorization", "the user who has logged in"),
    variable("session_user", "", Rule::ReadOnly, "the user who has logged in"),
    reported(
        "standard_conforming_strings",
        "on",
        Rule::Choice(&["on"]),
        "standard_conforming_strings",
        "backslashes in strings are plain",
    ),
    variable("statement_timeout", "0", Rule::Duration, "time limit of a statement, rows included; 0 is none"),
    reported("timezone", "UTC", Rule::TimeZone, "TimeZone", "zone of TIMESTAMPTZ in text"),
    variable("transaction_isolation", ISOLATION[0], Rule::Choice(ISOLATION), "every block reads one snapshot"),
    variable("transaction_read_only", "off", Rule::Bool, "the current block refuses writes"),
    variable("xmloption", "content", Rule::Text, "accepted"),
];

/// The one level that there is, under PostgreSQL's name for it, and those that are taken for it.
const ISOLATION: &[&str] = &["repeatable read", "snapshot", "serializable", "read committed", "read uncommitted"];

/// What `server_version` says: the PostgreSQL release whose protocol and catalogs clients may expect.
pub const SERVER_VERSION: &str = "15.0";

impl Variable {
    /// The variable of a name, any case.
    ///
    /// # Errors
    /// 42704 with the nearest name.
    pub fn find(name: &str) -> Result<&'static Variable> {
        let lower = name.to_ascii_lowercase();
        let lower = match lower.as_str() {
            "time zone" => "timezone",
            "transaction isolation level" => "transaction_isolation",
            CONNECTION_PRIVILEGES_ALIAS => CONNECTION_PRIVILEGES.name,
            other => other,
        };
        VARIABLES.iter().find(|variable| variable.name == lower).ok_or_else(|| {
            let hint = nearest(lower, VARIABLES.iter().map(|variable| variable.name));
            Error::new(Sqlstate::UNDEFINED_OBJECT, format!("unrecognized configuration parameter {name:?}"))
                .with_hint_opt(hint.map(|name| format!("did you mean {name:?}?")))
        })
    }

    /// The value as stored, if the rule takes it.
    ///
    /// # Errors
    /// 22023 naming variable and value.
    pub fn checked(&self, value: &str) -> Result<String> {
        let refused = |wanted: &str| {
            Error::invalid(format!("invalid value for parameter {:?}: {value:?}", self.name)).with_hint(wanted)
        };
        match self.rule {
            Rule::Text => Ok(value.to_string()),
            Rule::OverSetting(_) if value.is_empty() => Ok(String::new()),
            Rule::Bool | Rule::OverSetting(_) => match value.to_ascii_lowercase().as_str() {
                "on" | "true" | "yes" | "1" | "t" => Ok("on".into()),
                "off" | "false" | "no" | "0" | "f" => Ok("off".into()),
                _ => Err(refused("on or off")),
            },
            Rule::Duration => {
                duration_ms(value).map(|ms| ms.to_string()).ok_or_else(|| refused("such as 500 (ms) or 10s"))
            }
            Rule::Choice(choices) => {
                let chosen = choices.iter().find(|choice| choice.eq_ignore_ascii_case(value));
                chosen
                    .map(|_| choices[0].to_string())
                    .ok_or_else(|| refused(&format!("one of: {}", choices.join(", "))))
            }
            Rule::Encoding => {
                let known: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
                let is_utf8 = ["utf8", "unicode"].iter().any(|name| known.eq_ignore_ascii_case(name));
                if is_utf8 { Ok("UTF8".into()) } else { Err(refused("UTF8")) }
            }
            Rule::TimeZone => time_zone(value).ok_or_else(|| refused("such as UTC, Europe/Berlin, +02:00 or -3")),
            Rule::ReadOnly => Err(Error::new(
                Sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("parameter {:?} cannot be changed", self.name),
            )),
        }
    }
}

/// Milliseconds of a duration variable.
pub fn duration_ms(value: &str) -> Option<u64> {
    let value = value.trim();
    value.parse().ok().or_else(|| u64::try_from(units::parse_duration(value)?.as_millis()).ok())
}

/// The canonical name of a zone.
fn time_zone(value: &str) -> Option<String> {
    let value = value.trim();
    if value.eq_ignore_ascii_case("default") || value.eq_ignore_ascii_case("local") {
        return Some("UTC".to_string());
    }
    Zone::parse(value).map(|zone| zone.to_string())
}
