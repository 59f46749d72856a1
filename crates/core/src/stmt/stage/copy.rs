//! `COPY @stage/path FROM STDIN | TO STDOUT`: one staged file, whole.

use bytes::Bytes;
use futures::TryStreamExt;
use lakeport_base::Sqlstate;
use lakeport_base::name::printable;
use lakeport_connect::Unrepeated;
use lakeport_sql::stmt::stage::CopyFile;
use lakeport_sql::stmt::stage::location::Location;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use crate::databend::Number;
use crate::error::{Error, Result};
use crate::export::PART_BYTES;
use crate::external::store_error;
use crate::outcome::{CopyIn, Outcome};
use crate::stage::listing::parse_file;
use crate::stage::place::{StageAccess, StagedPlace};
use crate::stmt::Cx;
use crate::stmt::userfile::{Pieces, is_there, piece_columns, pieces_in, pieces_of, write};

pub(crate) async fn copy(cx: &Cx<'_>, statement: &CopyFile) -> Result<Outcome> {
    let access = if statement.upload { StageAccess::Write } else { StageAccess::Read };
    let place = cx.server.staged_place(cx.subject(), &Location::Stage(statement.path.clone()), access).await?;
    let path = file_in(&place)?;
    let shown = printable(&statement.path.to_string()).into_owned();
    if !statement.upload {
        let found = place.store.get(&path).await.map_err(|error| not_fetched(error, &shown))?;
        return Ok(Outcome::CopyOut { rows: pieces_of(found), options: statement.options.clone() });
    }
    let size = statement.options.size;
    // Of a file that one request writes, the same request finds out whether there is one.
    let at_once = place.capability.conditional_put && size.is_some_and(|size| size <= PART_BYTES);
    if !at_once && is_there(place.store.as_ref(), &path).await? {
        return Err(exists(&shown));
    }
    let receive = move |rows| async move {
        let pieces = pieces_in(rows, size);
        match at_once {
            true => create(place.store.as_ref(), &path, pieces, &shown).await,
            false => write(place.store, &path, pieces).await,
        }?;
        Ok(1)
    };
    Ok(Outcome::CopyIn(CopyIn::start(piece_columns(), statement.options.clone(), receive)))
}

/// Writes a small file that must not be there.
async fn create(store: &dyn ObjectStore, path: &Path, pieces: Pieces, shown: &str) -> Result<()> {
    let content = Bytes::from(pieces.try_concat().await?);
    let mut options = PutOptions::from(PutMode::Create);
    options.extensions.insert(Unrepeated);
    let error = match store.put_opts(path, content.clone().into(), options).await {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    if matches!(error, object_store::Error::AlreadyExists { .. }) {
        return Err(exists(shown));
    }
    // The request may have been lost, or the answer only.
    match holds(store, path, &content).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(exists(shown)),
        Err(object_store::Error::NotFound { .. }) => put_again(store, path, content, &error, shown).await,
        Err(_) => Err(store_error(error)),
    }
}

/// Writes a file that was not there after `error`, and may have come since.
async fn put_again(
    store: &dyn ObjectStore,
    path: &Path,
    content: Bytes,
    error: &object_store::Error,
    shown: &str,
) -> Result<()> {
    use object_store::Error::{AlreadyExists, NotImplemented, NotSupported};
    let mode = match error {
        NotImplemented { .. } | NotSupported { .. } => PutMode::Overwrite,
        _ => PutMode::Create,
    };
    match store.put_opts(path, content.clone().into(), mode.into()).await {
        Ok(_) => Ok(()),
        // It may be this very one, whose first answer was lost.
        Err(AlreadyExists { .. }) if holds(store, path, &content).await.map_err(store_error)? => Ok(()),
        Err(AlreadyExists { .. }) => Err(exists(shown)),
        Err(error) => Err(store_error(error)),
    }
}

async fn holds(store: &dyn ObjectStore, path: &Path, content: &Bytes) -> object_store::Result<bool> {
    let found = store.get(path).await?;
    Ok(found.meta.size == content.len() as u64 && found.bytes().await? == *content)
}

/// The file that the location names as a whole.
fn file_in(place: &StagedPlace) -> Result<Path> {
    if place.prefix.is_empty() || place.prefix.ends_with('/') {
        let message = format!("{} names no file", place.shown_place());
        return Err(Error::databend(Number::BAD_ARGUMENTS, message).with_hint("write @stage/path/file"));
    }
    parse_file(&place.prefix)
}

fn exists(shown: &str) -> Error {
    Error::new(Sqlstate::DUPLICATE_OBJECT, format!("file {shown} already exists"))
        .with_hint("REMOVE it first, or choose another path")
}

fn not_fetched(error: object_store::Error, shown: &str) -> Error {
    match error {
        object_store::Error::NotFound { .. } => {
            Error::databend(Number::STORAGE_NOT_FOUND, format!("file {shown} does not exist"))
        }
        error => store_error(error),
    }
}
