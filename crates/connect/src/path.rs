//! Paths of URIs: joining without climbing out, and splitting off a file pattern.

use crate::error::{Error, Result};

/// Characters that make a segment a pattern.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// Joins two paths segment by segment. `..` in `sub` may undo segments of `sub` only. The result is empty or starts
/// with `/`, and has neither empty nor `.` segments.
///
/// # Errors
/// A path that escapes the base.
pub(crate) fn join(base: &str, sub: &str) -> Result<String> {
    let mut below: Vec<&str> = Vec::new();
    for segment in sub.split('/') {
        match dots(segment) {
            Dots::None => below.push(segment),
            Dots::Here => {}
            Dots::Up if below.pop().is_some() || base == "/" => {}
            Dots::Up => return Err(escapes(base, sub)),
        }
    }
    let base = base.split('/').filter(|segment| !segment.is_empty());
    Ok(base.chain(below).flat_map(|segment| ["/", segment]).collect())
}

fn escapes(base: &str, sub: &str) -> Error {
    let base = if base.is_empty() { "/" } else { base };
    Error::invalid(format!("path {sub:?} escapes {base:?}"))
        .with_hint("a path may not climb above the connection's own")
}

enum Dots {
    None,
    Here,
    Up,
}

/// What a segment means once every `%2e` that survived decoding is taken for a dot too.
fn dots(segment: &str) -> Dots {
    match segment.replace("%2e", ".").replace("%2E", ".").as_str() {
        "" | "." => Dots::Here,
        ".." => Dots::Up,
        _ => Dots::None,
    }
}

/// Whether a path means a folder whatever lies there: it ends in a slash or in dots.
pub(crate) fn is_folder(path: &str) -> bool {
    path.rsplit('/').next().is_none_or(|last| !matches!(dots(last), Dots::None))
}

/// A path in two parts.
pub(crate) struct Split {
    /// Holds no wildcard; empty or starting with `/`.
    pub folder: String,
    /// Relative to the folder.
    pub pattern: String,
}

/// Splits before the first segment with a wildcard or, without one, before the last.
pub(crate) fn split_pattern(path: &str) -> Split {
    let end = path.find(WILDCARDS).unwrap_or(path.len());
    let slash = path[..end].rfind('/').unwrap_or(0);
    Split { folder: path[..slash].to_string(), pattern: path[slash..].trim_start_matches('/').to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn join_stays_below_its_base() {
        for (base, sub, expected) in [
            ("/tenant1/backups", "a/../b", "/tenant1/backups/b"),
            ("/tenant1/backups", ".", "/tenant1/backups"),
            ("/tenant1/backups", "", "/tenant1/backups"),
            ("/", "../anything", "/anything"),
            ("/tenant1", "-admin/data", "/tenant1/-admin/data"),
            ("", "a//b/", "/a/b"),
            ("", "...", "/..."),
        ] {
            assert_eq!(join(base, sub).unwrap(), expected, "{base} + {sub}");
        }
        for (base, sub) in [
            ("/tenant1/backups", "../tenant2"),
            ("/tenant1/backups", "/../escape"),
            ("/tenant1/backups", "../../secret"),
            ("", "../../secret"),
            ("/t", "%2e%2E/x"),
            ("/t", ".%2e"),
            ("/t", "a/../../x"),
        ] {
            assert!(join(base, sub).unwrap_err().to_string().contains("escapes"), "{base} + {sub}");
        }
    }

    #[test]
    fn patterns_split_at_the_last_plain_folder() {
        let split = |path| {
            let Split { folder, pattern } = split_pattern(path);
            (folder, pattern)
        };
        assert_eq!(split("/a/b/part-*.csv"), ("/a/b".into(), "part-*.csv".into()));
        assert_eq!(split("/a/y=?/x/c.csv"), ("/a".into(), "y=?/x/c.csv".into()));
        assert_eq!(split("/a/c.csv"), ("/a".into(), "c.csv".into()));
        assert_eq!(split("/c.csv"), (String::new(), "c.csv".into()));
        assert_eq!(split(""), (String::new(), String::new()));
    }
}
