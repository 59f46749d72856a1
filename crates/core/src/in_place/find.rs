//! From what a statement names to files.

use std::sync::Arc;

use arrow_array::RecordBatch;
use futures::TryStreamExt;
use lakeport_base::Sqlstate;
use lakeport_base::limits::IMPORT_FILES_MAX;
use lakeport_base::name::printable;
use lakeport_sql::stmt::query::file_source::{FileSource, Wanted};
use object_store::ObjectMeta;

use super::pinned::Pinned;
use super::{FileSet, PlacedFile, infer};
use crate::databend::Number;
use crate::engine::Relation;
use crate::error::{Error, Result};
use crate::outcome::Notice;
use crate::show::rows::batch_of;
use crate::stage::format::options::QUERY;
use crate::stage::format::{FileFormat, FormatType};
use crate::stage::listing::Selection;
use crate::stage::place::{StageAccess, StagedPlace};
use crate::stmt::Cx;
use crate::stmt::stage::{file_row, list_columns};

/// What files stand for in a query. What tells of files, such as `LIST_STAGE`, is empty without `run`.
///
/// # Errors
/// 42501, and whatever keeps the files from being found.
pub(crate) async fn relation(cx: &Cx<'_>, source: &FileSource, run: bool) -> Result<Relation> {
    let told = match source.wanted {
        Wanted::Rows => None,
        Wanted::Names => Some(list_columns()),
        Wanted::Columns { .. } => Some(infer::columns()),
    };
    if let Some(columns) = told.filter(|_| !run) {
        return Ok(Relation::Rows(RecordBatch::new_empty(columns)));
    }
    let place = cx.server.staged_place(cx.subject(), &source.location, StageAccess::Read).await?;
    let selection = cx.selection(source.pattern.as_ref(), &source.files)?;
    let found = found(cx, &place, &selection, usize::MAX, |_| true).await?;
    if source.wanted == Wanted::Names {
        let rows: Vec<_> = found.iter().map(file_row).collect();
        return Ok(Relation::Rows(batch_of(list_columns(), &rows)?));
    }
    let format = format(cx, source, &place).await?;
    let files = Arc::new(FileSet::of(&place, &selection, found, format, source.positions.clone()));
    if run && files.files.is_empty() {
        cx.session.notice(Notice::new(files.absence()));
    }
    match source.wanted {
        Wanted::Columns { files_max, records_max } => {
            let engine = cx.server.config.engine.as_ref();
            Ok(Relation::Rows(infer::schema_of(engine, &files, files_max, records_max).await?))
        }
        _ => Ok(Relation::Files(files)),
    }
}

/// What is said where there is nothing to read.
pub(crate) fn no_files(location: &str, has_empty: bool) -> String {
    match has_empty {
        true => format!("only empty files found in {location}"),
        false => format!("no files found in {location}"),
    }
}

/// The files that are meant and wanted, by name; the first so many of them.
///
/// # Errors
/// 54000 for more than a statement takes.
pub(crate) async fn found(
    cx: &Cx<'_>,
    place: &StagedPlace,
    selection: &Selection,
    first: usize,
    mut is_wanted: impl FnMut(&ObjectMeta) -> bool,
) -> Result<Vec<ObjectMeta>> {
    let mut listed = place.list(selection, cx.session.notices())?;
    let mut found = Vec::new();
    while let Some(file) = listed.try_next().await? {
        if !is_wanted(&file) {
            continue;
        }
        if found.len() == IMPORT_FILES_MAX {
            sort(&mut found, first);
        }
        if found.len() == IMPORT_FILES_MAX {
            let message = format!("{} has more than {IMPORT_FILES_MAX} files to read", place.name);
            return Err(Error::new(Sqlstate::PROGRAM_LIMIT_EXCEEDED, message).with_hint("name fewer with PATTERN"));
        }
        found.push(file);
    }
    sort(&mut found, first);
    Ok(found)
}

/// The first files by name, each once: FILES may name one twice.
fn sort(found: &mut Vec<ObjectMeta>, first: usize) {
    found.sort_by(|a, b| a.location.cmp(&b.location));
    found.dedup_by(|a, b| a.location == b.location);
    found.truncate(first);
}

/// The format that is written, or that of the stage, or Parquet.
async fn format(cx: &Cx<'_>, source: &FileSource, place: &StagedPlace) -> Result<FileFormat> {
    let format = match (&source.format, &place.file_format) {
        (Some(name), _) => cx.server.file_format(name).await?,
        (None, Some(format)) => format.clone(),
        (None, None) => FileFormat::of_type(FormatType::Parquet),
    };
    use FormatType::{Avro, Csv, Ndjson, Orc, Parquet, Text};
    match format.ty {
        Csv | Text | Ndjson | Parquet | Orc | Avro => {
            format.require_known_values(&QUERY)?;
            Ok(format)
        }
        other => {
            let message = format!("Unsupported file format in query stage: {}", other.name());
            let hint = other.alternative().unwrap_or("the types are AVRO, CSV, NDJSON, ORC, PARQUET and TEXT");
            Err(Error::databend(Number::UNIMPLEMENTED, message).with_hint(hint))
        }
    }
}

impl FileSet {
    /// Files of a place; those without a byte hold no rows in any format.
    pub(crate) fn of(
        place: &StagedPlace,
        selection: &Selection,
        found: Vec<ObjectMeta>,
        format: FileFormat,
        mut positions: Vec<usize>,
    ) -> FileSet {
        if positions.is_empty() && matches!(format.ty, FormatType::Ndjson | FormatType::Avro) {
            positions.push(1);
        }
        let folder = folder_name(place);
        let placed = |meta: ObjectMeta| PlacedFile {
            name: meta.location.to_string(),
            uri: printable(&format!("{folder}{}", meta.location)).into_owned(),
            meta,
        };
        let has_empty = found.iter().any(|meta| meta.size == 0);
        let files: Vec<PlacedFile> = found.into_iter().filter(|meta| meta.size > 0).map(placed).collect();
        let store = Arc::new(Pinned::new(place.store.clone(), &files));
        let location = place.shown(selection);
        FileSet { store, identity: place.identity.as_str().into(), location, has_empty, files, format, positions }
    }
}

/// What stands before the names of files in messages.
fn folder_name(place: &StagedPlace) -> String {
    let name = place.name.split('?').next().unwrap_or_default();
    let folder = match place.name.starts_with('@') {
        true => name,
        false => name.strip_suffix(&place.prefix).unwrap_or(name),
    };
    format!("{}/", folder.trim_end_matches('/'))
}
