//! File patterns: `*` and `?` within a path segment, `**` across segments, `[...]` for a set of characters.

use futures::TryStreamExt;
use globset::{GlobBuilder, GlobMatcher};
use lakeport_base::limits::IMPORT_FILES_MAX;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::error::{Error, Result};
use crate::path::split_pattern;

/// The files of a store that match a pattern, sorted by path. A pattern without wildcards names one file.
///
/// # Errors
/// No match, a malformed pattern, or more than `IMPORT_FILES_MAX` files.
pub async fn expand(store: &dyn ObjectStore, pattern: &str) -> Result<Vec<ObjectMeta>> {
    let pattern = pattern.trim_start_matches('/');
    if !pattern.contains(['*', '?', '[']) {
        return Ok(vec![store.head(&parse_path(pattern)?).await?]);
    }
    let matcher = matcher(pattern)?;
    let folder = parse_path(&split_pattern(&format!("/{pattern}")).folder)?;
    let mut files: Vec<ObjectMeta> = store
        .list((!folder.is_root()).then_some(&folder))
        .try_filter(|meta| std::future::ready(matcher.is_match(meta.location.as_ref())))
        .map_err(Error::from)
        .try_fold(Vec::new(), |files, meta| std::future::ready(push(files, meta)))
        .await?;
    if files.is_empty() {
        return Err(Error::not_found(format!("no file matches {pattern:?}")));
    }
    files.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(files)
}

fn push(mut files: Vec<ObjectMeta>, meta: ObjectMeta) -> Result<Vec<ObjectMeta>> {
    if files.len() >= IMPORT_FILES_MAX {
        return Err(Error::limit(format!("more than {IMPORT_FILES_MAX} files match"))
            .with_hint("use a narrower pattern, or several statements"));
    }
    files.push(meta);
    Ok(files)
}

fn parse_path(text: &str) -> Result<Path> {
    Path::parse(text).map_err(|error| Error::invalid(format!("invalid path: {error}")))
}

fn matcher(pattern: &str) -> Result<GlobMatcher> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build();
    glob.map(|glob| glob.compile_matcher())
        .map_err(|error| Error::invalid(format!("invalid file pattern {pattern:?}: {}", error.kind())))
}
