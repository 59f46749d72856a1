//! Roles, memberships and what roles set for their sessions.

use lakeport_catalog::model::Role;

use super::oid;
use crate::directory::PUBLIC;
use crate::row;
use crate::show::rows::Cell;
use crate::show::{Rows, Source, Viewer};

pub(super) const SOURCES: &[Source] = &[
    ("pg_roles", roles),
    ("pg_authid", roles),
    ("pg_user", users),
    ("pg_group", groups),
    ("pg_auth_members", memberships),
    ("pg_db_role_setting", role_settings),
];

fn all<'a>(viewer: Viewer<'a>) -> impl Iterator<Item = &'a Role> {
    viewer.directory.roles.values().filter(|role| role.name != PUBLIC)
}

fn has(role: &Role, option: &str) -> bool {
    role.options.iter().any(|held| held == option)
}

fn valid_until(role: &Role) -> Cell {
    role.valid_until.map_or(Cell::Null, Cell::Time)
}

/// What stands for every password.
const NO_PASSWORD: &str = "********";

fn roles(viewer: Viewer<'_>) -> Rows {
    const COLUMNS: &[&str] = &[
        "oid",
        "rolname",
        "rolsuper",
        "rolinherit",
        "rolcreaterole",
        "rolcreatedb",
        "rolcanlogin",
        "rolreplication",
        "rolconnlimit",
        "rolpassword",
        "rolvaliduntil",
        "rolbypassrls",
    ];
    let row = |role: &Role| {
        let admin = viewer.directory.is_admin(&role.name);
        [
            row![oid::role(&role.name), &role.name, admin, true, admin || has(role, "CREATEROLE")],
            row![admin || has(role, "CREATEDB"), role.login, has(role, "REPLICATION"), -1, NO_PASSWORD],
            row![valid_until(role), has(role, "BYPASSRLS")],
        ]
        .concat()
    };
    Rows::new(COLUMNS, all(viewer).map(row))
}

fn users(viewer: Viewer<'_>) -> Rows {
    const COLUMNS: &[&str] =
        &["usename", "usesysid", "usecreatedb", "usesuper", "userepl", "usebypassrls", "passwd", "valuntil"];
    let row = |role: &Role| {
        let admin = viewer.directory.is_admin(&role.name);
        let (creates, replicates) = (admin || has(role, "CREATEDB"), has(role, "REPLICATION"));
        let id = oid::role(&role.name);
        row![&role.name, id, creates, admin, replicates, has(role, "BYPASSRLS"), NO_PASSWORD, valid_until(role)]
    };
    Rows::new(COLUMNS, all(viewer).filter(|role| role.login).map(row))
}

fn groups(viewer: Viewer<'_>) -> Rows {
    let row = |role: &Role| {
        let members = viewer.directory.memberships.iter().filter(|membership| membership.role == role.name);
        let members: Vec<i64> = members.map(|membership| oid::role(&membership.member)).collect();
        row![&role.name, oid::role(&role.name), members]
    };
    Rows::new(&["groname", "grosysid", "grolist"], all(viewer).filter(|role| !role.login).map(row))
}

fn memberships(viewer: Viewer<'_>) -> Rows {
    let row = |row: &lakeport_catalog::model::Membership| {
        row![oid::role(&row.role), oid::role(&row.member), oid::role("root"), row.admin_option]
    };
    let rows = viewer.directory.memberships.iter().map(row);
    Rows::new(&["roleid", "member", "grantor", "admin_option"], rows)
}

fn role_settings(viewer: Viewer<'_>) -> Rows {
    let row = |role: &Role| {
        let settings: Vec<String> = role.defaults.iter().map(|(name, value)| format!("{name}={value}")).collect();
        row![oid::role(&role.name), settings]
    };
    let rows = all(viewer).filter(|role| !role.defaults.is_empty()).map(row);
    Rows::new(&["setrole", "setconfig"], rows)
}
