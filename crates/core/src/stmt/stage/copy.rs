//! `COPY @stage/path FROM STDIN | TO STDOUT`: one staged file, whole.

use lakeport_base::Sqlstate;
use lakeport_sql::stmt::stage::CopyFile;
use lakeport_sql::stmt::stage::location::Location;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::databend::Number;
use crate::error::{Error, Result};
use crate::external::store_error;
use crate::outcome::{CopyIn, Outcome};
use crate::stage::place::{StageAccess, StagedPlace};
use crate::stmt::Cx;
use crate::stmt::userfile::{is_there, piece_columns, pieces_of, write};

pub(crate) async fn copy(cx: &Cx<'_>, statement: &CopyFile) -> Result<Outcome> {
    let access = if statement.upload { StageAccess::Write } else { StageAccess::Read };
    let place = cx.server.staged_place(cx.subject(), &Location::Stage(statement.path.clone()), access).await?;
    let path = file_in(&place)?;
    let shown = statement.path.to_string();
    if !statement.upload {
        let found = place.store.get(&path).await.map_err(|error| not_fetched(error, &shown))?;
        return Ok(Outcome::CopyOut { rows: pieces_of(found), options: statement.options.clone() });
    }
    if is_there(place.store.as_ref(), &path).await? {
        return Err(Error::new(Sqlstate::DUPLICATE_OBJECT, format!("file {shown} already exists"))
            .with_hint("REMOVE it first, or choose another path"));
    }
    let receive = move |rows| async move { write(place.store, &path, rows).await.map(|()| 1) };
    Ok(Outcome::CopyIn(CopyIn::start(piece_columns(), statement.options.clone(), receive)))
}

/// The file that the location names as a whole.
fn file_in(place: &StagedPlace) -> Result<Path> {
    let path = Path::parse(&place.prefix).ok().filter(|path| !path.is_root() && !place.prefix.ends_with('/'));
    path.ok_or_else(|| {
        let message = format!("{}/{} names no file", place.name, place.prefix);
        Error::databend(Number::BAD_ARGUMENTS, message).with_hint("write @stage/path/file")
    })
}

fn not_fetched(error: object_store::Error, shown: &str) -> Error {
    match error {
        object_store::Error::NotFound { .. } => {
            Error::databend(Number::STORAGE_NOT_FOUND, format!("file {shown} does not exist"))
        }
        error => store_error(error),
    }
}
