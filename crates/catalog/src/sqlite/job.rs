//! Jobs and their leases.

use lakeport_base::id::JobId;
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, query};

use super::row::{all, change, decode, field, one};
use crate::error::{Error, Result};
use crate::model::{Job, Lease};
use crate::stored::{JobConnections, Shape};

const WHAT: &str = "job";

fn job(row: &SqliteRow) -> Result<Job> {
    let JobConnections(connections) = JobConnections::decode(&field::<String>(row, WHAT, "connections")?)?;
    let node: Option<i64> = field(row, WHAT, "lease_node")?;
    let until: Option<i64> = field(row, WHAT, "lease_until")?;
    let lease = node.zip(until).map(|(node, until)| Lease { node, until });
    decode!(row, "job" => Job {
        id, ty, state, owner, description, payload, checkpoint, fraction, running_status, error, error_code, result,
        created, started, finished, modified; lease; connections
    })
}

fn connections(row: &Job) -> Result<String> {
    JobConnections(row.connections.clone()).encode()
}

pub(super) async fn list(db: &mut SqliteConnection) -> Result<Vec<Job>> {
    all(db, query("SELECT * FROM jobs ORDER BY id DESC"), job).await
}

pub(super) async fn get(db: &mut SqliteConnection, id: JobId) -> Result<Option<Job>> {
    one(db, query("SELECT * FROM jobs WHERE id = ?").bind(id.0), job).await
}

pub(super) async fn insert(db: &mut SqliteConnection, row: &Job) -> Result<()> {
    let insert = query(
        "INSERT INTO jobs
             (id, ty, state, owner, description, payload, checkpoint, fraction, running_status, error, error_code,
              result, created, started, finished, modified, lease_node, lease_until, connections)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(row.id.0)
    .bind(&row.ty)
    .bind(row.state.as_str())
    .bind(&row.owner)
    .bind(&row.description)
    .bind(&row.payload)
    .bind(&row.checkpoint)
    .bind(row.fraction)
    .bind(&row.running_status)
    .bind(&row.error)
    .bind(&row.error_code)
    .bind(&row.result)
    .bind(row.created)
    .bind(row.started)
    .bind(row.finished)
    .bind(row.modified)
    .bind(row.lease.map(|lease| lease.node))
    .bind(row.lease.map(|lease| lease.until))
    .bind(connections(row)?);
    change(db, insert, WHAT, row.id).await
}

pub(super) async fn update(db: &mut SqliteConnection, row: &Job) -> Result<()> {
    let update = query(
        "UPDATE jobs SET ty = ?, state = ?, owner = ?, description = ?, payload = ?, checkpoint = ?, fraction = ?,
             running_status = ?, error = ?, error_code = ?, result = ?, created = ?, started = ?, finished = ?,
             modified = ?, connections = ?
         WHERE id = ?",
    )
    .bind(&row.ty)
    .bind(row.state.as_str())
    .bind(&row.owner)
    .bind(&row.description)
    .bind(&row.payload)
    .bind(&row.checkpoint)
    .bind(row.fraction)
    .bind(&row.running_status)
    .bind(&row.error)
    .bind(&row.error_code)
    .bind(&row.result)
    .bind(row.created)
    .bind(row.started)
    .bind(row.finished)
    .bind(row.modified)
    .bind(connections(row)?)
    .bind(row.id.0);
    change(db, update, WHAT, row.id).await
}

pub(super) async fn lease(db: &mut SqliteConnection, id: JobId, node: i64, now: i64, until: i64) -> Result<bool> {
    let take = query(
        "UPDATE jobs SET lease_node = ?, lease_until = ?
         WHERE id = ? AND (lease_node IS NULL OR lease_node = ? OR lease_until <= ?)",
    );
    let taken = change(db, take.bind(node).bind(until).bind(id.0).bind(node).bind(now), WHAT, id).await;
    match taken {
        Err(Error::NotFound { .. }) if get(db, id).await?.is_some() => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

pub(super) async fn release(db: &mut SqliteConnection, id: JobId, node: i64) -> Result<()> {
    let release = query("UPDATE jobs SET lease_node = NULL, lease_until = NULL WHERE id = ? AND lease_node = ?");
    release.bind(id.0).bind(node).execute(db).await?;
    Ok(())
}
