//! Stages. A URI with parameters of its own is sealed for the stage's id and version.

use lakeport_base::Env;
use lakeport_base::id::StageId;
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, query};

use super::row::{Query, all, change, decode, field, one};
use crate::error::{Error, Result};
use crate::model::{Copied, FormatOptions, Stage, StagePlace};
use crate::seal::{DataKey, Place};
use crate::stored::Shape;

const WHAT: &str = "stage";

fn stage(row: &SqliteRow, key: &DataKey) -> Result<Stage> {
    let id: StageId = field(row, WHAT, "id")?;
    let version: i64 = field(row, WHAT, "version")?;
    let place = place(row, key, sealed_for(&id.to_string(), version))?;
    let file_format = FormatOptions::decode(&field::<String>(row, WHAT, "file_format")?)?;
    decode!(row, "stage" => Stage { name, comment, owner, creator, created; id; version; place; file_format })
}

fn place(row: &SqliteRow, key: &DataKey, sealed_for: Place<'_>) -> Result<StagePlace> {
    let place: String = field(row, WHAT, "place")?;
    Ok(match place.as_str() {
        "internal" => StagePlace::Internal,
        "follows" => StagePlace::Follows { uri: field(row, WHAT, "uri")?, connection: field(row, WHAT, "connection")? },
        "copied" => {
            let sealed: Vec<u8> = field(row, WHAT, "definition")?;
            let uri = key.open(&sealed, sealed_for)?;
            StagePlace::Copied { uri, redacted: field(row, WHAT, "uri")?, from: copied(row)? }
        }
        _ => return Err(Error::Corrupt { what: WHAT, detail: format!("unknown place {place:?}") }),
    })
}

fn copied(row: &SqliteRow) -> Result<Option<Copied>> {
    let connection: Option<String> = field(row, WHAT, "connection")?;
    let Some(connection) = connection else { return Ok(None) };
    Ok(Some(Copied { connection, version: field(row, WHAT, "connection_version")? }))
}

fn sealed_for(id: &str, version: i64) -> Place<'_> {
    Place { kind: WHAT, id, version }
}

pub(super) async fn list(db: &mut SqliteConnection, key: &DataKey) -> Result<Vec<Stage>> {
    all(db, query("SELECT * FROM stages ORDER BY name"), |row| stage(row, key)).await
}

pub(super) async fn list_following(db: &mut SqliteConnection, key: &DataKey, connection: &str) -> Result<Vec<Stage>> {
    let following = query("SELECT * FROM stages WHERE connection = ? AND place = 'follows' ORDER BY name");
    all(db, following.bind(connection), |row| stage(row, key)).await
}

pub(super) async fn find(db: &mut SqliteConnection, key: &DataKey, name: &str) -> Result<Option<Stage>> {
    one(db, query("SELECT * FROM stages WHERE name = ?").bind(name), |row| stage(row, key)).await
}

/// The columns that say where the files lie.
#[derive(Default)]
struct PlaceColumns<'q> {
    place: &'static str,
    uri: Option<&'q str>,
    definition: Option<Vec<u8>>,
    connection: Option<&'q str>,
    connection_version: Option<i64>,
}

fn place_columns<'q>(row: &'q Stage, key: &DataKey, env: &Env) -> PlaceColumns<'q> {
    match &row.place {
        StagePlace::Internal => PlaceColumns { place: "internal", ..PlaceColumns::default() },
        StagePlace::Follows { uri, connection } => {
            PlaceColumns { place: "follows", uri: Some(uri), connection: Some(connection), ..PlaceColumns::default() }
        }
        StagePlace::Copied { uri, redacted, from } => PlaceColumns {
            place: "copied",
            uri: Some(redacted),
            definition: Some(key.seal(uri, sealed_for(&row.id.to_string(), row.version), env)),
            connection: from.as_ref().map(|from| from.connection.as_str()),
            connection_version: from.as_ref().map(|from| from.version),
        },
    }
}

/// Binds every column in the order of both statements below, the id last.
fn bound<'q>(statement: &'static str, key: &DataKey, env: &Env, row: &'q Stage) -> Result<Query<'q>> {
    let place = place_columns(row, key, env);
    Ok(query(statement)
        .bind(&row.name)
        .bind(place.place)
        .bind(place.uri)
        .bind(place.definition)
        .bind(place.connection)
        .bind(place.connection_version)
        .bind(row.file_format.encode()?)
        .bind(&row.comment)
        .bind(&row.owner)
        .bind(&row.creator)
        .bind(row.version)
        .bind(row.created)
        .bind(row.id.0))
}

pub(super) async fn insert(db: &mut SqliteConnection, key: &DataKey, env: &Env, row: &Stage) -> Result<()> {
    let insert = "INSERT INTO stages (name, place, uri, definition, connection, connection_version, file_format,
             comment, owner, creator, version, created, id)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    change(db, bound(insert, key, env, row)?, WHAT, &row.name).await
}

pub(super) async fn update(db: &mut SqliteConnection, key: &DataKey, env: &Env, row: &Stage) -> Result<()> {
    let update = "UPDATE stages SET name = ?, place = ?, uri = ?, definition = ?, connection = ?,
             connection_version = ?, file_format = ?, comment = ?, owner = ?, creator = ?, version = ?, created = ?
         WHERE id = ? AND version = ?";
    let update = bound(update, key, env, row)?.bind(row.version.saturating_sub(1));
    match change(db, update, WHAT, &row.name).await {
        Err(Error::NotFound { what, name }) if exists(db, row.id).await? => Err(Error::Conflict { what, name }),
        outcome => outcome,
    }
}

async fn exists(db: &mut SqliteConnection, id: StageId) -> Result<bool> {
    let find = query("SELECT 1 FROM stages WHERE id = ?").bind(id.0);
    Ok(one(db, find, |_| Ok(())).await?.is_some())
}

pub(super) async fn delete(db: &mut SqliteConnection, id: StageId) -> Result<()> {
    change(db, query("DELETE FROM stages WHERE id = ?").bind(id.0), WHAT, id).await
}
