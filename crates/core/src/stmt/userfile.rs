//! `COPY USERFILE`, `SHOW USERFILES`, `DROP USERFILE`: the user's own files in the warehouse.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{BinaryArray, RecordBatch};
use arrow_buffer::{Buffer, OffsetBuffer};
use arrow_schema::SchemaRef;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use lakeport_base::{SqlType, Sqlstate};
use lakeport_connect::Target;
use lakeport_sql::stmt::userfile::{CopyUserfile, DropUserfile};
use object_store::path::Path;
use object_store::{GetResult, ObjectStore, ObjectStoreExt};

use super::Cx;
use crate::error::{Error, Result};
use crate::export::Upload;
use crate::external::store_error;
use crate::outcome::{CopyIn, Outcome};
use crate::row;
use crate::rows::{RowStream, schema_of};
use crate::show::rows::{Cell, batch_of};

/// A file as it comes.
pub(super) type Pieces = BoxStream<'static, Result<Vec<u8>>>;

/// Where an upload lies until it is whole.
const STAGING: &str = ".upload-";

pub(crate) async fn copy(cx: &Cx<'_>, statement: &CopyUserfile) -> Result<Outcome> {
    let path = cx.string(&statement.path)?;
    let (store, path) = file(cx, &path).await?;
    if statement.upload {
        if is_there(store.as_ref(), &path).await? {
            return Err(exists(&path));
        }
        let staged = Path::from(format!("{STAGING}{}", cx.server.config.env.random_hex(8)));
        let size = statement.options.size;
        let receive = move |rows| async move { receive(store, staged, path, pieces_in(rows, size)).await };
        return Ok(Outcome::CopyIn(CopyIn::start(piece_columns(), statement.options.clone(), receive)));
    }
    let found = store.get(&path).await.map_err(|error| not_fetched(error, &path))?;
    Ok(Outcome::CopyOut { rows: pieces_of(found), options: statement.options.clone() })
}

/// The one column of a file's pieces.
pub(super) fn piece_columns() -> SchemaRef {
    schema_of(&[("content", SqlType::Bytes)])
}

/// A file as rows, one for each piece as it comes.
pub(super) fn pieces_of(found: GetResult) -> RowStream {
    let batches = found.into_stream().map(|bytes| {
        let bytes = bytes.map_err(store_error)?;
        let content = BinaryArray::new(OffsetBuffer::from_lengths([bytes.len()]), Buffer::from(bytes), None);
        RecordBatch::try_new(piece_columns(), vec![Arc::new(content)]).map_err(Error::internal)
    });
    RowStream { schema: piece_columns(), batches: batches.boxed() }
}

/// The pieces of a file that comes as rows. They fail once they cannot be as many bytes as were announced.
pub(super) fn pieces_in(rows: RowStream, announced: Option<usize>) -> Pieces {
    let pieces_of = |batch: RecordBatch| -> Vec<Result<Vec<u8>>> {
        batch.column(0).as_binary::<i32>().iter().flatten().map(|piece| Ok(piece.to_vec())).collect()
    };
    let pieces = rows.batches.map_ok(move |batch| stream::iter(pieces_of(batch))).try_flatten();
    let counted = stream::try_unfold((pieces, 0), move |(mut pieces, before)| async move {
        let piece = pieces.try_next().await?;
        let bytes = before + piece.as_ref().map_or(0, Vec::len);
        match announced {
            Some(size) if bytes > size || (piece.is_none() && bytes < size) => Err(other_size(size, bytes)),
            _ => Ok(piece.map(|piece| (piece, (pieces, bytes)))),
        }
    });
    counted.boxed()
}

fn other_size(announced: usize, bytes: usize) -> Error {
    let message = format!("a file of {announced} bytes was announced, and {bytes} have come");
    Error::new(Sqlstate::BAD_COPY_FILE_FORMAT, message).with_hint("try again once nobody writes to the file")
}

/// The store of the user's files and a clean path in it.
async fn file(cx: &Cx<'_>, path: &str) -> Result<(Arc<dyn ObjectStore>, Path)> {
    let absolute = format!("/{}", path.trim_start_matches('/'));
    let clean = Path::parse(absolute.trim_start_matches('/')).ok().map(|path| format!("/{path}"));
    if clean.as_deref() != Some(&absolute) || absolute == "/" {
        let clean = clean.unwrap_or_else(|| "/".to_string());
        return Err(Error::invalid(format!(
            "path {absolute} changes after normalization to {clean}. userfile upload does not permit such path constructs"
        )));
    }
    Ok((store(cx).await?, Path::from(absolute)))
}

async fn store(cx: &Cx<'_>) -> Result<Arc<dyn ObjectStore>> {
    let target = Target::parse("userfile:///").map_err(Error::from)?;
    cx.server.open_target(cx.user(), &target).await
}

/// The error of a fetch; a missing file goes by the user's name for it.
fn not_fetched(error: object_store::Error, path: &Path) -> Error {
    match error {
        object_store::Error::NotFound { .. } => missing(path),
        error => lakeport_connect::Error::from(error).into(),
    }
}

fn missing(path: &Path) -> Error {
    Error::new(Sqlstate::UNDEFINED_FILE, format!("file {:?} does not exist", path.to_string()))
        .with_hint("SHOW USERFILES lists your files")
}

fn exists(path: &Path) -> Error {
    Error::new(Sqlstate::DUPLICATE_OBJECT, format!("file {:?} already exists", path.to_string()))
        .with_hint("DROP USERFILE first, or choose another path")
}

/// Writes the pieces to a staged file and publishes it under its name when it is whole. Answers 1, the file.
async fn receive(store: Arc<dyn ObjectStore>, staged: Path, path: Path, pieces: Pieces) -> Result<u64> {
    let written = write(Arc::clone(&store), &staged, pieces).await;
    let published = match written {
        Ok(()) => publish(store.as_ref(), &staged, &path).await,
        Err(error) => Err(error),
    };
    if let Err(error) = store.delete(&staged).await {
        tracing::debug!(%error, "staged upload already gone");
    }
    published.map(|()| 1)
}

/// Whether there is a file of that name.
pub(super) async fn is_there(store: &dyn ObjectStore, path: &Path) -> Result<bool> {
    match store.head(path).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(store_error(error)),
    }
}

/// Writes the pieces as one file, which is there once all are.
pub(super) async fn write(store: Arc<dyn ObjectStore>, path: &Path, pieces: Pieces) -> Result<()> {
    let mut upload = Upload::new(store, path.clone());
    if let Err(error) = put_pieces(&mut upload, pieces).await {
        upload.abort().await;
        return Err(error);
    }
    upload.finish().await.map(|_| ())
}

async fn put_pieces(upload: &mut Upload, mut pieces: Pieces) -> Result<()> {
    while let Some(piece) = pieces.try_next().await? {
        upload.put(piece).await?;
    }
    Ok(())
}

async fn publish(store: &dyn ObjectStore, staged: &Path, path: &Path) -> Result<()> {
    match store.rename_if_not_exists(staged, path).await {
        Ok(()) => Ok(()),
        Err(object_store::Error::AlreadyExists { .. }) => Err(exists(path)),
        Err(error) => Err(lakeport_connect::Error::from(error).into()),
    }
}

pub(crate) fn show_columns() -> SchemaRef {
    schema_of(&[("path", SqlType::Text), ("size_bytes", SqlType::Int8), ("modified", SqlType::TimestampTz)])
}

pub(crate) async fn show(cx: &Cx<'_>) -> Result<Outcome> {
    let listed: Vec<_> = store(cx).await?.list(None).try_collect().await.map_err(lakeport_connect::Error::from)?;
    let mut files: Vec<_> = listed.into_iter().filter(|file| !file.location.as_ref().starts_with(STAGING)).collect();
    files.sort_by(|a, b| a.location.cmp(&b.location));
    let rows: Vec<_> = files
        .iter()
        .map(|file| {
            let size = i64::try_from(file.size).unwrap_or(i64::MAX);
            row![file.location.to_string(), size, Cell::Time(file.last_modified.timestamp_micros())]
        })
        .collect();
    Ok(Outcome::rows("SHOW", batch_of(show_columns(), &rows)?))
}

pub(crate) async fn drop(cx: &Cx<'_>, statement: &DropUserfile) -> Result<Outcome> {
    let (store, path) = file(cx, &cx.string(&statement.path)?).await?;
    match store.head(&path).await {
        Err(object_store::Error::NotFound { .. }) if statement.if_exists => return Ok(Outcome::done("DROP USERFILE")),
        Err(error) => return Err(not_fetched(error, &path)),
        Ok(_) => {}
    }
    cx.cancel.commit(async { Ok(store.delete(&path).await.map_err(lakeport_connect::Error::from)?) }).await?;
    Ok(Outcome::done("DROP USERFILE"))
}
