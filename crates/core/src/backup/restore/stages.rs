//! Stages and file formats that a restore of the cluster brings.

use lakeport_backup::manifest;
use lakeport_base::Secret;
use lakeport_base::id::StageId;
use lakeport_catalog::Tx;
use lakeport_catalog::model::{Copied, FileFormat, FormatOptions, Stage, StagePlace};
use lakeport_connect::{ExternalRef, Target};

use super::claims;
use super::system::{Owners, System};
use crate::error::Result;
use crate::stage::format::{FileFormat as Format, FormatType};
use crate::stage::place::PLACEHOLDER;
use crate::stmt::stage::check_target;

/// Of parameters that were copied on another server: older than any version here.
const VERSION_ELSEWHERE: i64 = 0;

/// The listed stage with an id of its own; `None` for one without its secrets or its connection, or that nobody here understands.
///
/// # Errors
/// For what CREATE STAGE would not make.
pub(super) async fn restored_stage(
    listed: &manifest::Stage,
    system: &System,
    owners: &Owners,
    tx: &mut dyn Tx,
    now: i64,
) -> Result<Option<Stage>> {
    claims::check_name("stage", &listed.name)?;
    if listed.name == PLACEHOLDER {
        return Err(claims::refused("stage", &listed.name, "the name is reserved"));
    }
    claims::check_text("stage", &listed.name, "comment", Some(&listed.comment))?;
    let file_format = options("stage", &listed.name, &listed.file_format)?;
    let Some((place, file_format)) = restored_place(listed, system)?.zip(file_format) else { return Ok(None) };
    Ok(Some(Stage {
        id: StageId(tx.next_id().await?),
        name: listed.name.clone(),
        place,
        file_format,
        comment: listed.comment.clone(),
        owner: owners.owner(&listed.owner),
        creator: owners.owner(&listed.creator),
        version: 1,
        created: now,
    }))
}

fn restored_place(listed: &manifest::Stage, system: &System) -> Result<Option<StagePlace>> {
    match &listed.place {
        manifest::StagePlace::Internal => Ok(Some(StagePlace::Internal)),
        manifest::StagePlace::Copied { uri: None, .. } => Ok(None),
        manifest::StagePlace::Copied { uri: Some(uri), from, .. } => {
            claims::check_text("stage", &listed.name, "URI", Some(uri))?;
            let Ok(target) = Target::parse(uri) else { return Ok(None) };
            check_target(&target).map_err(|error| claims::refused("stage", &listed.name, error.message()))?;
            let from = from.clone().map(|(connection, version)| {
                let version = if system.brings(&connection) { version } else { VERSION_ELSEWHERE };
                Copied { connection, version }
            });
            if let Some(from) = &from {
                claims::check_name("external connection", &from.connection)?;
            }
            let (uri, redacted) = (target.to_text(), target.redacted());
            Ok(Some(StagePlace::Copied { uri: Secret::new(uri), redacted, from }))
        }
        manifest::StagePlace::Follows { uri } => {
            claims::check_text("stage", &listed.name, "URI", Some(uri))?;
            let reference = ExternalRef::parse(uri).ok().flatten();
            let followed = reference.filter(|reference| system.has_connection(&reference.name));
            Ok(followed.map(|reference| StagePlace::Follows { uri: uri.clone(), connection: reference.name }))
        }
    }
}

/// The listed file format; `None` for one that nobody here understands.
///
/// # Errors
/// For what CREATE FILE FORMAT would not make.
pub(super) fn restored_format(listed: &manifest::FileFormat, owners: &Owners, now: i64) -> Result<Option<FileFormat>> {
    let name = &listed.name;
    claims::check_name("file format", name)?;
    if FormatType::of_name(name).is_some() {
        return Err(claims::refused("file format", name, "the name is that of a type"));
    }
    let options = options("file format", name, &listed.options)?;
    let owner = owners.owner(&listed.owner);
    Ok(options.map(|options| FileFormat { name: name.clone(), options, owner, created: now }))
}

/// Options that this server knows, and takes together.
fn options(sort: &str, name: &str, listed: &manifest::FormatOptions) -> Result<Option<FormatOptions>> {
    for value in listed.iter().flat_map(|(_, values)| values) {
        claims::check_text(sort, name, "file format", Some(value))?;
    }
    let options = FormatOptions(listed.clone());
    Ok(Format::read(&options).is_ok().then_some(options))
}
