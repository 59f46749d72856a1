//! What the viewer's session has: variables, itself among those active, words of its SQL.

use super::oid;
use crate::row;
use crate::show::{Rows, Source, Viewer};
use crate::variable::{Rule, VARIABLES, Variable};

pub(super) const SOURCES: &[Source] =
    &[("pg_settings", settings), ("pg_stat_activity", activity), ("pg_get_keywords", keywords)];

fn settings(viewer: Viewer<'_>) -> Rows {
    const COLUMNS: &[&str] = &[
        "name",
        "setting",
        "unit",
        "category",
        "short_desc",
        "context",
        "vartype",
        "source",
        "enumvals",
        "boot_val",
        "reset_val",
        "pending_restart",
    ];
    let row = |variable: &'static Variable| {
        let (value, default) = (viewer.session.variable(variable.name), variable.default);
        let source = if value == default { "default" } else { "session" };
        let (ty, unit, choices) = match variable.rule {
            Rule::Bool => ("bool", None, None),
            Rule::Duration => ("integer", Some("ms"), None),
            Rule::Choice(choices) => ("enum", None, Some(choices.to_vec())),
            Rule::Text | Rule::TimeZone | Rule::Encoding | Rule::OverSetting(_) | Rule::ReadOnly => {
                ("string", None, None)
            }
        };
        let context = if matches!(variable.rule, Rule::ReadOnly) { "internal" } else { "user" };
        let help = variable.help;
        row![variable.name, value, unit, "Session", help, context, ty, source, choices, default, default, false]
    };
    Rows::new(COLUMNS, VARIABLES.iter().map(row))
}

/// The viewer's own session; others' are not told.
fn activity(viewer: Viewer<'_>) -> Rows {
    const COLUMNS: &[&str] = &[
        "datid",
        "datname",
        "pid",
        "usesysid",
        "usename",
        "application_name",
        "client_addr",
        "client_port",
        "state",
        "backend_type",
    ];
    let session = viewer.session;
    let (user, client) = (session.user.as_str(), session.client_addr);
    let database = viewer.current_database().map(|database| oid::database(database.id));
    let number = i64::from(session.number());
    let program = session.variable("application_name");
    let (host, port) = (client.ip().to_string(), i64::from(client.port()));
    let who = row![database, viewer.database, number, oid::role(user), user, program];
    Rows::new(COLUMNS, [[who, row![host, port, "active", "client backend"]].concat()])
}

fn keywords(_: Viewer<'_>) -> Rows {
    let row = |(word, reserved): (String, bool)| {
        let (code, description) = if reserved { ("R", "reserved") } else { ("U", "unreserved") };
        row![word, code, true, description, "can be bare label"]
    };
    Rows::new(&["word", "catcode", "barelabel", "catdesc", "baredesc"], lakeport_sql::keywords().map(row))
}
