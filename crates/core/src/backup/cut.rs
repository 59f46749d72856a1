//! What tables were at one moment, and what a chain lacks of it.

use std::collections::HashSet;
use std::sync::Arc;

use lakeport_backup::Chain;
use lakeport_backup::chain::TableState;
use lakeport_base::Sqlstate;
use lakeport_catalog::model::Table;

use crate::directory::Directory;
use crate::engine::{TableFile, TableHandle, TableRevision, TableVersion};
use crate::error::{Error, Result};
use crate::server::Server;

/// How long a table takes at most from its row to its first version, in microseconds.
const MAKING_MICROS: i64 = 60_000_000;

/// What a layer adds of one table.
pub(super) struct TableCut {
    pub table: TableHandle,
    /// Oldest first.
    pub versions: Vec<TableRevision>,
}

/// Which moments a layer covers.
#[derive(Clone, Copy)]
pub(super) struct Span {
    /// Every moment after this one is kept; without one only `end`.
    pub revisions_since: Option<i64>,
    pub end: i64,
}

/// What a layer adds of a table; `None` when it was made after the moment of the layer.
pub(super) async fn cut_of(
    server: &Arc<Server>,
    directory: &Directory,
    row: &Arc<Table>,
    chain: Option<&Chain>,
    span: Span,
) -> Result<Option<TableCut>> {
    if row.created > span.end {
        return Ok(None);
    }
    let table = server.table_handle(directory, row).await?;
    let engine = &server.config.engine;
    let now = match engine.table_at(&table, span.end).await {
        Ok(now) => now,
        // It was being made: its row was there, its first version was not.
        Err(error) if error.code() == Sqlstate::UNDEFINED_TABLE && span.end - table.row.created < MAKING_MICROS => {
            return Ok(None);
        }
        Err(error) => return Err(in_backup(error, &table.row)),
    };
    let known = match chain {
        Some(chain) => chain.table_at(table.row.id.0, chain.layers.len(), i64::MAX)?,
        None => None,
    };
    let versions = match (span.revisions_since, known) {
        (None, known) => {
            let known = known.map(|state| Known::of(&state));
            difference(known.as_ref(), now, span.end).into_iter().collect()
        }
        (Some(_), Some(known)) => {
            let revisions = engine.revisions(&table, Some(known.version), now.version);
            revisions.await.map_err(|error| in_backup(error, &table.row))?
        }
        (Some(since), None) => history(server, &table, since, &now).await?,
    };
    Ok(Some(TableCut { table, versions }))
}

/// The state at a moment and all that came after it; all there is of a table that is younger.
async fn history(server: &Server, table: &TableHandle, since: i64, now: &TableVersion) -> Result<Vec<TableRevision>> {
    let engine = &server.config.engine;
    let (mut versions, after) = if table.row.created + MAKING_MICROS >= since {
        (Vec::new(), None)
    } else {
        let base = engine.table_at(table, since).await.map_err(|error| in_backup(error, &table.row))?;
        let after = base.version;
        (difference(None, base, since).into_iter().collect::<Vec<_>>(), Some(after))
    };
    let revisions = engine.revisions(table, after, now.version).await;
    versions.extend(revisions.map_err(|error| in_backup(error, &table.row))?);
    Ok(versions)
}

/// What a chain has of a table.
struct Known<'a> {
    version: u64,
    schema: &'a str,
    paths: HashSet<&'a str>,
}

impl<'a> Known<'a> {
    fn of(state: &TableState<'a>) -> Known<'a> {
        Known { version: state.version, schema: state.schema, paths: state.files.keys().copied().collect() }
    }
}

/// How to come from what is known to a version; `None` when they are the same. One of the same files is told too: the
/// next layer may list every commit after it, and those before it may be gone by then.
fn difference(known: Option<&Known<'_>>, now: TableVersion, at: i64) -> Option<TableRevision> {
    let present: HashSet<String> = now.files.iter().map(|file| file.path.clone()).collect();
    let is_new = |file: &TableFile| !known.is_some_and(|known| known.paths.contains(file.path.as_str()));
    let added: Vec<TableFile> = now.files.into_iter().filter(is_new).collect();
    let paths = known.iter().flat_map(|known| &known.paths);
    let mut removed: Vec<String> =
        paths.filter(|path| !present.contains(**path)).map(|path| path.to_string()).collect();
    removed.sort_unstable();
    let schema = Some(now.schema).filter(|schema| known.is_none_or(|known| known.schema != schema));
    let is_same = known.is_some_and(|known| known.version == now.version);
    (!is_same).then_some(TableRevision { version: now.version, at, schema, added, removed })
}

fn in_backup(error: Error, table: &Table) -> Error {
    error.prefixed(&format!("cannot back up table {:?}", table.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u64, paths: &[&str]) -> TableVersion {
        let file = |path: &&str| TableFile { path: path.to_string(), bytes: 1, rows: 1, stats: None };
        TableVersion { version: number, at: None, schema: "{}".to_string(), files: paths.iter().map(file).collect() }
    }

    fn known<'a>(version: u64, paths: &[&'a str]) -> Known<'a> {
        Known { version, schema: "{}", paths: paths.iter().copied().collect() }
    }

    #[test]
    fn a_layer_lists_what_came_and_went() {
        let listed = difference(Some(&known(3, &["a", "b"])), version(5, &["b", "c"]), 9).unwrap();
        let added: Vec<&str> = listed.added.iter().map(|file| file.path.as_str()).collect();
        assert_eq!((added, listed.removed, listed.version), (vec!["c"], vec!["a".to_string()], 5));
        assert_eq!(difference(Some(&known(5, &["a"])), version(5, &["a"]), 9), None);
    }

    #[test]
    fn a_version_of_the_same_files_is_told() {
        let listed = difference(Some(&known(3, &["a"])), version(5, &["a"]), 9).unwrap();
        assert_eq!((listed.version, listed.schema), (5, None));
        assert!(listed.added.is_empty() && listed.removed.is_empty());
    }
}
