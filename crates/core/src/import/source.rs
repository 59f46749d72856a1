//! Which files the URIs of a statement name.

use std::sync::Arc;

use futures::TryStreamExt;
use lakeport_base::limits::IMPORT_FILES_MAX;
use lakeport_base::{Sqlstate, Uri};
use lakeport_connect::redact;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::options::ImportOptions;
use super::reject;
use crate::authz::Subject;
use crate::error::{Error, Result};
use crate::external::store_error;
use crate::server::Server;

/// Characters that make a path a pattern.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// Largest file that is read at once, in bytes.
const SMALL_BYTES_MAX: u64 = 1 << 20;

/// A file to be read.
#[derive(Clone)]
pub(crate) struct SourceFile {
    pub store: Arc<dyn ObjectStore>,
    pub meta: ObjectMeta,
    /// Its URI without secrets, for messages.
    pub name: String,
    /// Can be read from its middle.
    pub ranged: bool,
}

/// The files that the URIs name, patterns expanded, after a check that the user may read them.
///
/// # Errors
/// 42501, 58P01 for a missing file or a pattern without match, 54000 for too many.
pub(super) async fn files(
    server: &Arc<Server>,
    user: &str,
    uris: &[String],
    options: &ImportOptions,
) -> Result<Vec<SourceFile>> {
    let directory = server.directory().await?;
    let subject = Subject { directory: &directory, user };
    let mut files = Vec::new();
    for uri in uris {
        server.authorise_uri(subject, uri).await?;
        if options.save_rejected {
            server.require_writable(uri).await?;
        }
        files.extend(files_of(server, user, uri, Some(options)).await?);
        if files.len() > IMPORT_FILES_MAX {
            return Err(Error::new(
                Sqlstate::PROGRAM_LIMIT_EXCEEDED,
                format!("more than {IMPORT_FILES_MAX} files to import"),
            )
            .with_hint("use narrower patterns, or several statements"));
        }
    }
    Ok(files)
}

/// The text of one small file, after a check that the user may read it.
///
/// # Errors
/// As [`files`]; 54000 for a file that is not small, 22021 for one that is no text.
pub(crate) async fn read_small(server: &Arc<Server>, subject: Subject<'_>, uri: &str) -> Result<String> {
    server.authorise_uri(subject, uri).await?;
    let file = files_of(server, subject.user, uri, None).await?.remove(0);
    if file.meta.size > SMALL_BYTES_MAX {
        let message = format!("{}: larger than {} MiB", file.name, SMALL_BYTES_MAX >> 20);
        return Err(Error::new(Sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
    }
    let opened = file.store.get(&file.meta.location).await.map_err(store_error)?;
    let bytes = opened.bytes().await.map_err(store_error)?;
    String::from_utf8(bytes.into()).map_err(|error| {
        Error::new(Sqlstate::CHARACTER_NOT_IN_REPERTOIRE, format!("{}: not UTF-8", file.name)).with_source(error)
    })
}

/// The files of one URI; without options, its path is no pattern.
async fn files_of(
    server: &Arc<Server>,
    user: &str,
    text: &str,
    options: Option<&ImportOptions>,
) -> Result<Vec<SourceFile>> {
    let target = server.resolve(text).await?.target;
    let lists = target.spec().capability.list;
    // A web server need not know ranges.
    let ranged = lists;
    let uri = Uri::parse(text).map_err(lakeport_connect::Error::from)?;
    if uri.path.trim_matches('/').is_empty() {
        // The connection itself names the file.
        let (folder, name) = target.split_pattern()?;
        let store = server.open_target(user, &folder).await?;
        let meta = head(store.as_ref(), lists, &name, text).await?;
        return Ok(vec![SourceFile { store, meta, name: redact(text), ranged }]);
    }
    let glob = options.is_some_and(|options| options.glob) && lists;
    let (folder, pattern) = split(&uri.path, glob);
    let place = Uri { path: folder.to_string(), ..uri.clone() };
    let store = server.open_storage(user, &place.to_text()).await?;
    let metas = if glob && pattern.contains(WILDCARDS) {
        let mut metas = lakeport_connect::expand(store.as_ref(), pattern)
            .await
            .map_err(|error| no_match(error, pattern, folder, text))?;
        // What an earlier import left out.
        let save_rejected = options.is_some_and(|options| options.save_rejected);
        metas.retain(|meta| !(save_rejected && meta.location.as_ref().ends_with(reject::SUFFIX)));
        metas
    } else {
        vec![head(store.as_ref(), lists, pattern, text).await?]
    };
    let name =
        |meta: &ObjectMeta| redact(&Uri { path: format!("{folder}/{}", meta.location), ..uri.clone() }.to_text());
    Ok(metas.into_iter().map(|meta| SourceFile { store: store.clone(), name: name(&meta), meta, ranged }).collect())
}

/// The folder, without wildcards, and the rest of a path.
fn split(path: &str, glob: bool) -> (&str, &str) {
    let plain = if glob { path.find(WILDCARDS).unwrap_or(path.len()) } else { path.len() };
    let slash = path[..plain].rfind('/').unwrap_or(0);
    (&path[..slash], path[slash..].trim_start_matches('/'))
}

async fn head(store: &dyn ObjectStore, lists: bool, path: &str, uri: &str) -> Result<ObjectMeta> {
    let invalid = |error| Error::invalid(format!("invalid path: {error}"));
    let path = Path::parse(path).map_err(invalid)?;
    let failed = |error| store_error(error).prefixed(&redact(uri));
    match store.head(&path).await {
        // The answer has no body, and does not say whether it is the bucket that is missing: that of a listing does.
        Err(absent @ object_store::Error::NotFound { .. }) if lists => {
            let listed = store.list(None).try_next().await.map_err(failed);
            Err(listed.err().filter(|error| error.code() == Sqlstate::UNDEFINED_FILE).unwrap_or_else(|| failed(absent)))
        }
        found => found.map_err(failed),
    }
}

fn no_match(error: lakeport_connect::Error, pattern: &str, folder: &str, uri: &str) -> Error {
    match error {
        lakeport_connect::Error::NotFound(_) => Error::new(
            Sqlstate::UNDEFINED_FILE,
            format!(
                "no files matched {pattern:?} in prefix {:?} in uri provided: {:?}",
                format!("{folder}/"),
                redact(uri)
            ),
        )
        .with_hint("WITH disable_glob_matching takes *, ? and [ literally"),
        other => Error::from(other).prefixed(&redact(uri)),
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn paths_split_before_their_pattern() {
        assert_eq!(split("/a/b/part-*.csv", true), ("/a/b", "part-*.csv"));
        assert_eq!(split("/a/y=?/c.csv", true), ("/a", "y=?/c.csv"));
        assert_eq!(split("/a/b*/c.csv", false), ("/a/b*", "c.csv"));
        assert_eq!(split("/c.csv", true), ("", "c.csv"));
    }
}
