//! `CREATE | ALTER | DROP STAGE`, `LIST`, `REMOVE`, `COPY @stage/file`.

mod copy;
mod show;
#[cfg(test)]
mod tests;

use arrow_schema::SchemaRef;
use futures::{StreamExt, TryStreamExt};
use lakeport_base::id::StageId;
use lakeport_base::{Secret, SqlType, Sqlstate, Uri};
use lakeport_catalog::Tx;
use lakeport_catalog::model::{FormatOptions, Object, Stage, StagePlace};
use lakeport_connect::kind::Host;
use lakeport_connect::{ExternalRef, Role, Target};
use lakeport_sql::stmt::stage::location::{Location, Parameter, StageName};
use lakeport_sql::stmt::stage::{
    AlterStage, CreateStage, Description, DropStage, ListFiles, RemoveFiles, StageChange, StagedFiles,
};
use object_store::{ObjectMeta, ObjectStore};

pub(crate) use self::copy::copy;
pub(crate) use self::show::{columns, describe, show};

use super::Cx;
use crate::databend::Number;
use crate::error::{Error, Result};
use crate::external::store_error;
use crate::outcome::Outcome;
use crate::row;
use crate::rows::{RowStream, schema_of};
use crate::show::rows::{Cell, batch_of};
use crate::stage::format::{self, FileFormat, FormatType};
use crate::stage::listing::Selection;
use crate::stage::place::{Found, PLACEHOLDER, StageAccess, StagedPlace, refuse_parameters, storage};

/// Rows of LIST made at a time.
const LIST_ROWS: usize = 1000;
/// What changing or dropping a stage takes.
const BOTH: &[StageAccess] = &[StageAccess::Read, StageAccess::Write];

pub(crate) async fn create(cx: &Cx<'_>, statement: &CreateStage) -> Result<Outcome> {
    let name = name_of(&statement.name, "created")?;
    if name == PLACEHOLDER {
        let message = format!("Can not create stage with name `{PLACEHOLDER}`, which is reserved");
        return Err(Error::databend(Number::INVALID_ARGUMENT, message));
    }
    require_create(cx)?;
    let stage = described(cx, name, &statement.description).await?;
    let old = cx.server.config.catalog.read().await?.find_stage(name).await?;
    if old.is_some() && !statement.or_replace {
        let exists = Error::databend(Number::STAGE_EXISTS, format!("Stage '{name}' already exists."));
        let exists = exists.with_hint("CREATE OR REPLACE STAGE makes it anew, ALTER STAGE changes it");
        return if statement.if_not_exists { Ok(cx.skipped("CREATE STAGE", &exists)) } else { Err(exists) };
    }
    if let Some(old) = &old {
        require_owner(cx, old)?;
    }
    let mut tx = cx.server.config.catalog.write().await?;
    if let Some(old) = &old {
        forget(tx.as_mut(), old).await?;
    }
    let stage = Stage { id: StageId(tx.next_id().await?), ..stage };
    tx.insert_stage(&stage).await?;
    audit(cx, tx.as_mut(), "create_stage", &stage).await?;
    cx.commit(tx).await?;
    if let Some(old) = &old {
        cx.server.delete_stage_files(old).await;
    }
    Ok(Outcome::done("CREATE STAGE"))
}

/// A stage as the statement describes it, without an id.
async fn described(cx: &Cx<'_>, name: &str, description: &Description) -> Result<Stage> {
    let place = match &description.location {
        None => StagePlace::Internal,
        Some(location) => place_of(cx, location).await?,
    };
    Ok(Stage {
        id: StageId(0),
        name: name.to_string(),
        place,
        file_format: format_of(cx, description.file_format.as_deref().unwrap_or_default()).await?,
        comment: description.comment.clone().unwrap_or_default(),
        owner: cx.owner().to_string(),
        creator: cx.session.user.clone(),
        version: 1,
        created: cx.server.config.env.now_micros(),
    })
}

/// Options of a format that stages may have; Parquet when there are none.
async fn format_of(cx: &Cx<'_>, parameters: &[Parameter]) -> Result<FormatOptions> {
    if parameters.is_empty() {
        return Ok(FormatOptions(vec![(format::TYPE.to_string(), vec!["PARQUET".to_string()])]));
    }
    let options = cx.server.format_options(parameters).await?;
    if FileFormat::read(&options)?.ty == FormatType::Lance {
        let message = "LANCE file format is only supported in COPY INTO <location>";
        return Err(Error::databend(Number::ILLEGAL_STAGE_FORMAT, message));
    }
    Ok(options)
}

/// What a URI means for a stage: an `external://` one is followed, the parameters of another are copied.
async fn place_of(cx: &Cx<'_>, location: &Location) -> Result<StagePlace> {
    let Location::Uri { uri, connection } = location else {
        return Err(storage("a stage cannot lie in another stage"));
    };
    if let Some(reference) = ExternalRef::parse(uri).ok().flatten() {
        refuse_parameters(connection)?;
        cx.server.authorise_reference(cx.owning_subject(), &reference).await?;
        cx.server.resolve(uri).await?;
        return Ok(StagePlace::Follows { uri: uri.clone(), connection: reference.name });
    }
    let found = cx.server.find_place(cx.subject(), uri, connection).await?;
    check_target(&found.target)?;
    let path = Uri::parse(uri).map(|uri| uri.path).unwrap_or_default();
    if !path.is_empty() && !path.ends_with('/') {
        return Err(storage(&format!("path in URL must end with '/' when CREATE STAGE. Got '{path}'.")));
    }
    Ok(copied(found))
}

/// # Errors
/// [4000] for a target that no stage can copy.
pub(crate) fn check_target(target: &Target) -> Result<()> {
    target.require_role(Role::Storage)?;
    if target.spec().host == Host::FileSet {
        // Files of a user are opened as that user, and a stage as its owner, who may change.
        return Err(storage("a stage cannot lie among the files of a user")
            .with_hint("@~ is a user's own stage; external:// follows a connection to the files of its owner"));
    }
    Ok(())
}

fn copied(found: Found) -> StagePlace {
    let Found { target, from, .. } = found;
    StagePlace::Copied { uri: Secret::new(target.to_text()), redacted: target.redacted(), from }
}

pub(crate) async fn alter(cx: &Cx<'_>, statement: &AlterStage) -> Result<Outcome> {
    let name = name_of(&statement.name, "altered")?;
    let Some(stage) = existing(cx, name, statement.if_exists, "ALTER STAGE").await? else {
        return Ok(Outcome::done("ALTER STAGE"));
    };
    if leads_elsewhere(&statement.change) {
        require_owner(cx, &stage)?;
    }
    let old = stage;
    let mut stage = Stage { version: old.version + 1, ..old.clone() };
    match &statement.change {
        StageChange::Set(description) => set(cx, &mut stage, description).await?,
        StageChange::Unset { file_format, comment } => {
            if *file_format {
                stage.file_format = format_of(cx, &[]).await?;
            }
            if *comment {
                stage.comment.clear();
            }
        }
        StageChange::RefreshConnection => stage.place = refreshed(cx, &stage).await?,
    }
    let mut tx = cx.server.config.catalog.write().await?;
    require_unchanged(tx.as_mut(), &old).await?;
    tx.update_stage(&stage).await?;
    audit(cx, tx.as_mut(), "alter_stage", &stage).await?;
    cx.commit(tx).await?;
    Ok(Outcome::done("ALTER STAGE"))
}

/// Whether the stage may lie elsewhere after a change.
fn leads_elsewhere(change: &StageChange) -> bool {
    match change {
        StageChange::Set(description) => description.location.is_some(),
        StageChange::RefreshConnection => true,
        StageChange::Unset { .. } => false,
    }
}

async fn set(cx: &Cx<'_>, stage: &mut Stage, description: &Description) -> Result<()> {
    let format = description.file_format.as_deref().filter(|options| !options.is_empty());
    if description.location.is_none() && format.is_none() && description.comment.is_none() {
        return Err(bad("ALTER STAGE requires at least one option when SET is used"));
    }
    if let Some(location) = &description.location {
        if stage.place == StagePlace::Internal {
            let name = &stage.name;
            return Err(bad(format!("Stage {name} is not external, LOCATION/URL can only be set for external stages")));
        }
        stage.place = place_of(cx, location).await?;
    }
    if let Some(format) = format {
        stage.file_format = format_of(cx, format).await?;
    }
    if let Some(comment) = &description.comment {
        stage.comment.clone_from(comment);
    }
    Ok(())
}

/// The place of a stage with the parameters that its connection has now.
async fn refreshed(cx: &Cx<'_>, stage: &Stage) -> Result<StagePlace> {
    let StagePlace::Copied { uri, from: Some(from), .. } = &stage.place else {
        let message = format!("Stage {} has no parameters that were copied from a connection", stage.name);
        return Err(bad(message).with_hint("DESC STAGE tells: a stage that follows its connection needs no refresh"));
    };
    let target = Target::parse(uri.expose())?;
    let plain = Uri { params: Vec::new(), ..target.uri().clone() }.to_text();
    let name = vec![from.connection.clone()];
    let parameters = [Parameter { name: "connection_name".to_string(), values: name, position: 1 }];
    Ok(copied(cx.server.find_place(cx.subject(), &plain, &parameters).await?))
}

pub(crate) async fn drop(cx: &Cx<'_>, statement: &DropStage) -> Result<Outcome> {
    let name = match &statement.name {
        StageName::Named(name) => name,
        StageName::User => {
            let message = "[SQL-BINDER] User stage (~) is not allowed to be dropped";
            return Err(Error::databend(Number::STAGE_PERMISSION, message));
        }
    };
    let Some(stage) = existing(cx, name, statement.if_exists, "DROP STAGE").await? else {
        return Ok(Outcome::done("DROP STAGE"));
    };
    let mut tx = cx.server.config.catalog.write().await?;
    forget(tx.as_mut(), &stage).await?;
    audit(cx, tx.as_mut(), "drop_stage", &stage).await?;
    cx.commit(tx).await?;
    cx.server.delete_stage_files(&stage).await;
    Ok(Outcome::done("DROP STAGE"))
}

/// The stage to change or drop; none where IF EXISTS skips a missing one.
async fn existing(cx: &Cx<'_>, name: &str, if_exists: bool, tag: &str) -> Result<Option<Stage>> {
    match cx.server.authorised_stage(cx.subject(), name, BOTH).await {
        Err(missing) if if_exists && missing.code() == Sqlstate::UNDEFINED_OBJECT => {
            cx.skipped(tag, &missing);
            Ok(None)
        }
        found => found.map(Some),
    }
}

/// Whoever leads a stage elsewhere decides what those with a privilege on it reach.
fn require_owner(cx: &Cx<'_>, stage: &Stage) -> Result<()> {
    if cx.subject().owns(&stage.owner) {
        return Ok(());
    }
    let object = format!("STAGE {}", stage.name);
    let remedy = format!("its owner or an admin may; GRANT OWNERSHIP ON {object} TO ROLE role makes another owner");
    Err(cx.subject().denied_in_databend("Ownership", &object).with_hint(remedy))
}

/// Deletes the row of a stage that is as it was read.
async fn forget(tx: &mut dyn Tx, stage: &Stage) -> Result<()> {
    require_unchanged(tx, stage).await?;
    drop_row(tx, stage).await
}

/// # Errors
/// 40001 for a stage that is no longer as it was read.
async fn require_unchanged(tx: &mut dyn Tx, stage: &Stage) -> Result<()> {
    if tx.find_stage(&stage.name).await?.is_none_or(|now| (now.id, now.version) != (stage.id, stage.version)) {
        let message = format!("Stage '{}' was modified concurrently, please retry.", stage.name);
        return Err(Error::new(Sqlstate::SERIALIZATION_FAILURE, message).numbered(Number::UNKNOWN_STAGE));
    }
    Ok(())
}

/// Deletes a stage and the grants on it, not its files.
pub(crate) async fn drop_row(tx: &mut dyn Tx, stage: &Stage) -> Result<()> {
    tx.delete_grants_on(Object::Stage(stage.id)).await?;
    Ok(tx.delete_stage(stage.id).await?)
}

/// The name of a stage that is no user's own.
fn name_of<'a>(name: &'a StageName, action: &str) -> Result<&'a str> {
    match name {
        StageName::Named(name) => Ok(name),
        StageName::User => {
            Err(Error::databend(Number::STAGE_PERMISSION, format!("User stage (~) is not allowed to be {action}")))
        }
    }
}

fn require_create(cx: &Cx<'_>) -> Result<()> {
    if cx.subject().has_system("EXTERNALCONNECTION") {
        return Ok(());
    }
    let remedy =
        format!("{}, which Databend calls CREATE CONNECTION", cx.subject().system_remedy("EXTERNALCONNECTION"));
    Err(cx.subject().denied_in_databend("CreateConnection", "*.*").with_hint(remedy))
}

fn bad(message: impl Into<String>) -> Error {
    Error::databend(Number::BAD_ARGUMENTS, message)
}

async fn audit(cx: &Cx<'_>, tx: &mut dyn Tx, event: &str, stage: &Stage) -> Result<()> {
    let place = match &stage.place {
        StagePlace::Internal => "internal",
        StagePlace::Copied { redacted, .. } => redacted,
        StagePlace::Follows { uri, .. } => uri,
    };
    let detail = format!("{place} version {}", stage.version);
    Ok(tx.insert_event(&cx.server.audit_event(&cx.session.user, event, &stage.name, &detail)).await?)
}

pub(crate) fn list_columns() -> SchemaRef {
    schema_of(&[
        ("name", SqlType::Text),
        ("size", SqlType::Int8),
        ("md5", SqlType::Text),
        ("last_modified", SqlType::Text),
        ("creator", SqlType::Text),
    ])
}

/// Rows are made as the files are found and the client takes them.
pub(crate) async fn list(cx: &Cx<'_>, statement: &ListFiles) -> Result<Outcome> {
    let (place, selection) = selected(cx, &statement.files, StageAccess::Read).await?;
    let chunks = place.list(&selection, cx.session.notices())?.try_chunks(LIST_ROWS).map_err(|error| error.1);
    let batches = chunks.map(|files| {
        let rows: Vec<_> = files?.iter().map(file_row).collect();
        batch_of(list_columns(), &rows)
    });
    let rows = RowStream { schema: list_columns(), batches: batches.boxed() };
    Ok(Outcome::Rows { tag: "LIST", rows })
}

pub(crate) fn file_row(file: &ObjectMeta) -> Vec<Cell> {
    let modified = file.last_modified.format("%Y-%m-%d %H:%M:%S%.3f +0000").to_string();
    let size = i64::try_from(file.size).unwrap_or(i64::MAX);
    row![file.location.to_string(), size, file.e_tag.clone(), modified, Cell::Null]
}

/// Deletes the files as they are found; once cancelled it leaves the rest.
pub(crate) async fn remove(cx: &Cx<'_>, statement: &RemoveFiles) -> Result<Outcome> {
    let (place, selection) = selected(cx, &statement.files, StageAccess::Write).await?;
    let found = place.list(&selection, cx.session.notices())?;
    let files = found.map(|file| file.map(|meta| meta.location).map_err(crate::external::into_store_error)).boxed();
    place.store.delete_stream(files).try_for_each(|_| async { Ok(()) }).await.map_err(store_error)?;
    Ok(Outcome::done("REMOVE"))
}

async fn selected(cx: &Cx<'_>, files: &StagedFiles, access: StageAccess) -> Result<(StagedPlace, Selection)> {
    let selection = cx.selection(files.pattern.as_ref(), &[])?;
    let place = cx.server.staged_place(cx.subject(), &Location::Stage(files.path.clone()), access).await?;
    Ok((place, selection))
}
