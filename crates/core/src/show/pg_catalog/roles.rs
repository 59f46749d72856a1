//! Roles and memberships.

use lakeport_catalog::model::Role;

use super::Ty::{Bool, Int, Text, Texts, Time};
use super::{SystemTable, oid};
use crate::directory::PUBLIC;
use crate::row;
use crate::show::Viewer;
use crate::show::rows::Cell;

pub(super) const TABLES: &[SystemTable] = &[
    SystemTable {
        name: "pg_roles",
        columns: &[
            ("oid", Int),
            ("rolname", Text),
            ("rolsuper", Bool),
            ("rolinherit", Bool),
            ("rolcreaterole", Bool),
            ("rolcreatedb", Bool),
            ("rolcanlogin", Bool),
            ("rolreplication", Bool),
            ("rolconnlimit", Int),
            ("rolpassword", Text),
            ("rolvaliduntil", Time),
            ("rolbypassrls", Bool),
            ("rolconfig", Texts),
        ],
        rows: roles,
    },
    SystemTable {
        name: "pg_user",
        columns: &[
            ("usename", Text),
            ("usesysid", Int),
            ("usecreatedb", Bool),
            ("usesuper", Bool),
            ("userepl", Bool),
            ("usebypassrls", Bool),
            ("passwd", Text),
            ("valuntil", Time),
            ("useconfig", Texts),
        ],
        rows: users,
    },
    SystemTable {
        name: "pg_auth_members",
        columns: &[("roleid", Int), ("member", Int), ("grantor", Int), ("admin_option", Bool)],
        rows: memberships,
    },
];

fn all<'a>(viewer: Viewer<'a>) -> impl Iterator<Item = &'a Role> {
    viewer.directory.roles.values().filter(|role| role.name != PUBLIC)
}

fn has(role: &Role, option: &str) -> bool {
    role.options.iter().any(|held| held == option)
}

fn roles(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    let row = |role: &Role| {
        let admin = viewer.directory.is_admin(&role.name);
        let valid_until = role.valid_until.map_or(Cell::Null, Cell::Time);
        [
            row![oid::role(&role.name), &role.name, admin, true, admin || has(role, "CREATEROLE")],
            row![admin || has(role, "CREATEDB"), role.login, has(role, "REPLICATION"), -1, "********", valid_until],
            row![has(role, "BYPASSRLS"), Cell::Null],
        ]
        .concat()
    };
    all(viewer).map(row).collect()
}

fn users(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    let row = |role: &Role| {
        let admin = viewer.directory.is_admin(&role.name);
        let valid_until = role.valid_until.map_or(Cell::Null, Cell::Time);
        [
            row![&role.name, oid::role(&role.name), admin || has(role, "CREATEDB"), admin],
            row![has(role, "REPLICATION"), has(role, "BYPASSRLS"), "********", valid_until, Cell::Null],
        ]
        .concat()
    };
    all(viewer).filter(|role| role.login).map(row).collect()
}

fn memberships(viewer: Viewer<'_>) -> Vec<Vec<Cell>> {
    let memberships = viewer.directory.memberships.iter();
    let row = |role: &str, member: &str, admin_option: bool| {
        row![oid::role(role), oid::role(member), oid::role("root"), admin_option]
    };
    memberships.map(|row_of| row(&row_of.role, &row_of.member, row_of.admin_option)).collect()
}
