//! Jobs and their leases. The secrets of a job are sealed for its id.

use lakeport_base::Env;
use lakeport_base::id::JobId;
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, query};

use super::row::{Query, all, change, decode, field, one};
use crate::error::{Error, Result};
use crate::model::{Job, Lease};
use crate::seal::{DataKey, Place};
use crate::stored::{JobConnections, Shape};

const WHAT: &str = "job";

fn job(row: &SqliteRow, key: &DataKey) -> Result<Job> {
    let id: JobId = field(row, WHAT, "id")?;
    let sealed: Option<Vec<u8>> = field(row, WHAT, "secrets")?;
    let secrets = sealed.map(|sealed| key.open(&sealed, place(&id.to_string()))).transpose()?;
    let JobConnections(connections) = JobConnections::decode(&field::<String>(row, WHAT, "connections")?)?;
    let node: Option<i64> = field(row, WHAT, "lease_node")?;
    let until: Option<i64> = field(row, WHAT, "lease_until")?;
    let lease = node.zip(until).map(|(node, until)| Lease { node, until });
    decode!(row, "job" => Job {
        ty, state, owner, description, payload, checkpoint, fraction, running_status, error, error_code,
        error_hint, result, created, started, finished, modified; id; secrets; lease; connections
    })
}

fn place(id: &str) -> Place<'_> {
    Place { kind: WHAT, id, version: 1 }
}

fn seal(row: &Job, key: &DataKey, env: &Env) -> Option<Vec<u8>> {
    row.secrets.as_ref().map(|secrets| key.seal(secrets, place(&row.id.to_string()), env))
}

pub(super) async fn list(db: &mut SqliteConnection, key: &DataKey) -> Result<Vec<Job>> {
    all(db, query("SELECT * FROM jobs ORDER BY id DESC"), |row| job(row, key)).await
}

pub(super) async fn unfinished(db: &mut SqliteConnection, key: &DataKey) -> Result<Vec<Job>> {
    all(db, query("SELECT * FROM jobs WHERE finished IS NULL ORDER BY id"), |row| job(row, key)).await
}

pub(super) async fn get(db: &mut SqliteConnection, key: &DataKey, id: JobId) -> Result<Option<Job>> {
    one(db, query("SELECT * FROM jobs WHERE id = ?").bind(id.0), |row| job(row, key)).await
}

/// Binds every column but the lease in the order of both statements below, the id last.
fn bound<'q>(statement: &'static str, key: &DataKey, env: &Env, row: &'q Job) -> Result<Query<'q>> {
    Ok(query(statement)
        .bind(&row.ty)
        .bind(row.state.as_str())
        .bind(&row.owner)
        .bind(&row.description)
        .bind(&row.payload)
        .bind(seal(row, key, env))
        .bind(&row.checkpoint)
        .bind(row.fraction)
        .bind(&row.running_status)
        .bind(&row.error)
        .bind(&row.error_code)
        .bind(&row.error_hint)
        .bind(&row.result)
        .bind(row.created)
        .bind(row.started)
        .bind(row.finished)
        .bind(row.modified)
        .bind(JobConnections(row.connections.clone()).encode()?)
        .bind(row.id.0))
}

pub(super) async fn insert(db: &mut SqliteConnection, key: &DataKey, env: &Env, row: &Job) -> Result<()> {
    let insert = "INSERT INTO jobs
             (ty, state, owner, description, payload, secrets, checkpoint, fraction, running_status, error,
              error_code, error_hint, result, created, started, finished, modified, connections, id, lease_node,
              lease_until)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let (node, until) = row.lease.map(|lease| (lease.node, lease.until)).unzip();
    change(db, bound(insert, key, env, row)?.bind(node).bind(until), WHAT, row.id).await
}

pub(super) async fn update(db: &mut SqliteConnection, key: &DataKey, env: &Env, row: &Job) -> Result<()> {
    let update = "UPDATE jobs SET ty = ?, state = ?, owner = ?, description = ?, payload = ?, secrets = ?,
             checkpoint = ?, fraction = ?, running_status = ?, error = ?, error_code = ?, error_hint = ?, result = ?,
             created = ?, started = ?, finished = ?, modified = ?, connections = ?
         WHERE id = ?";
    change(db, bound(update, key, env, row)?, WHAT, row.id).await
}

pub(super) async fn lease(db: &mut SqliteConnection, id: JobId, node: i64, now: i64, until: i64) -> Result<bool> {
    let take = query(
        "UPDATE jobs SET lease_node = ?, lease_until = ?
         WHERE id = ? AND (lease_node IS NULL OR lease_node = ? OR lease_until <= ?)",
    );
    let taken = change(db, take.bind(node).bind(until).bind(id.0).bind(node).bind(now), WHAT, id).await;
    match taken {
        Err(Error::NotFound { .. }) if exists(db, id).await? => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

async fn exists(db: &mut SqliteConnection, id: JobId) -> Result<bool> {
    let find = query("SELECT 1 FROM jobs WHERE id = ?").bind(id.0);
    Ok(one(db, find, |_| Ok(())).await?.is_some())
}

pub(super) async fn delete_finished(db: &mut SqliteConnection, until: i64) -> Result<u64> {
    Ok(query("DELETE FROM jobs WHERE finished < ?").bind(until).execute(db).await?.rows_affected())
}

pub(super) async fn release(db: &mut SqliteConnection, id: JobId, node: i64) -> Result<()> {
    let release = query("UPDATE jobs SET lease_node = NULL, lease_until = NULL WHERE id = ? AND lease_node = ?");
    release.bind(id.0).bind(node).execute(db).await?;
    Ok(())
}
