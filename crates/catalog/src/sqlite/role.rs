//! Roles and memberships. The password verifier is sealed for the role's name.

use lakeport_base::Env;
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, query};

use super::row::{all, change, decode, field, one};
use crate::error::Result;
use crate::model::{Membership, Role};
use crate::seal::{DataKey, Place};
use crate::stored::{RoleProfile, Shape};

fn role(row: &SqliteRow, key: &DataKey) -> Result<Role> {
    let name: String = field(row, "role", "name")?;
    let sealed: Option<Vec<u8>> = field(row, "role", "verifier")?;
    let verifier = sealed.map(|sealed| key.open(&sealed, place(&name))).transpose()?;
    let RoleProfile { options, defaults } = RoleProfile::decode(&field::<String>(row, "role", "profile")?)?;
    decode!(row, "role" => Role { login, valid_until; name; verifier; options; defaults })
}

fn membership(row: &SqliteRow) -> Result<Membership> {
    decode!(row, "membership" => Membership { role, member, admin_option })
}

fn place(name: &str) -> Place<'_> {
    Place { kind: "role", id: name, version: 1 }
}

fn seal(row: &Role, key: &DataKey, env: &Env) -> Option<Vec<u8>> {
    row.verifier.as_ref().map(|verifier| key.seal(verifier, place(&row.name), env))
}

fn profile(row: &Role) -> Result<String> {
    RoleProfile { options: row.options.clone(), defaults: row.defaults.clone() }.encode()
}

pub(super) async fn list(db: &mut SqliteConnection, key: &DataKey) -> Result<Vec<Role>> {
    all(db, query("SELECT * FROM roles ORDER BY name"), |row| role(row, key)).await
}

pub(super) async fn find(db: &mut SqliteConnection, key: &DataKey, name: &str) -> Result<Option<Role>> {
    one(db, query("SELECT * FROM roles WHERE name = ?").bind(name), |row| role(row, key)).await
}

pub(super) async fn insert(db: &mut SqliteConnection, key: &DataKey, env: &Env, row: &Role) -> Result<()> {
    let insert = query("INSERT INTO roles (name, login, verifier, valid_until, profile) VALUES (?, ?, ?, ?, ?)")
        .bind(&row.name)
        .bind(row.login)
        .bind(seal(row, key, env))
        .bind(row.valid_until)
        .bind(profile(row)?);
    change(db, insert, "role", &row.name).await
}

pub(super) async fn update(db: &mut SqliteConnection, key: &DataKey, env: &Env, row: &Role) -> Result<()> {
    let update = query("UPDATE roles SET login = ?, verifier = ?, valid_until = ?, profile = ? WHERE name = ?")
        .bind(row.login)
        .bind(seal(row, key, env))
        .bind(row.valid_until)
        .bind(profile(row)?)
        .bind(&row.name);
    change(db, update, "role", &row.name).await
}

pub(super) async fn delete(db: &mut SqliteConnection, name: &str) -> Result<()> {
    change(db, query("DELETE FROM roles WHERE name = ?").bind(name), "role", name).await
}

pub(super) async fn list_memberships(db: &mut SqliteConnection) -> Result<Vec<Membership>> {
    all(db, query("SELECT * FROM memberships ORDER BY role, member"), membership).await
}

pub(super) async fn put_membership(db: &mut SqliteConnection, row: &Membership) -> Result<()> {
    let put = query(
        "INSERT INTO memberships (role, member, admin_option) VALUES (?, ?, ?)
         ON CONFLICT (role, member) DO UPDATE SET admin_option = excluded.admin_option",
    )
    .bind(&row.role)
    .bind(&row.member)
    .bind(row.admin_option);
    change(db, put, "membership", &row.member).await
}

pub(super) async fn delete_membership(db: &mut SqliteConnection, role: &str, member: &str) -> Result<()> {
    let delete = query("DELETE FROM memberships WHERE role = ? AND member = ?").bind(role).bind(member);
    change(db, delete, "membership", member).await
}
