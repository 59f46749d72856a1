//! Which files a location means: those whose names begin so, and of these the ones that a pattern or a list picks.

use std::ops::RangeInclusive;

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use lakeport_base::limits::IMPORT_FILES_MAX;
use lakeport_base::name::{printable, quote_literal};
use lakeport_connect::probe::MARKER;
use lakeport_connect::unfit_name;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use regex::Regex;

use super::place::{StagedPlace, clean};
use crate::databend::Number;
use crate::error::{Error, Result};
use crate::external::store_error;
use crate::outcome::{Notice, Notices};

/// Files looked up by name at the same time.
const LOOKUPS_MAX: usize = 8;
/// Names of FILES that messages repeat.
const SHOWN_MAX: usize = 3;
/// Names made on the way from one with choices to those it stands for, in bytes.
const EXPANDED_BYTES_MAX: usize = 64 << 20;

/// What a store tells of a file.
type Listed = object_store::Result<ObjectMeta>;

/// Which of the files of a location are meant.
#[derive(Clone, Debug, Default)]
pub enum Selection {
    #[default]
    All,
    /// Those with which the pattern matches whole what follows the location's own path.
    Matching { pattern: String, regex: Regex },
    /// Those of these names below the location.
    Named(Vec<String>),
}

impl Selection {
    /// The selection of `PATTERN` and `FILES`; where there are files the pattern does not count, and an empty one is none.
    ///
    /// # Errors
    /// [1005] for what is no regular expression.
    pub fn new(pattern: Option<&str>, files: &[String]) -> Result<Selection> {
        if !files.is_empty() {
            return Ok(Selection::Named(files.to_vec()));
        }
        let Some(pattern) = pattern.filter(|pattern| !pattern.is_empty()) else { return Ok(Selection::All) };
        // Alone first: together with the anchors what is wrong may become right.
        let anchored = Regex::new(pattern).and_then(|_| Regex::new(&format!("^(?:{pattern})$")));
        let matching = |regex| Selection::Matching { pattern: pattern.to_string(), regex };
        anchored.map(matching).map_err(|error| {
            let message = format!("Pattern format invalid, got:{pattern:?}");
            Error::databend(Number::SYNTAX, message).with_detail(error.to_string())
        })
    }
}

impl StagedPlace {
    /// What messages call files of the place.
    pub(crate) fn shown(&self, selection: &Selection) -> String {
        let place = self.shown_place();
        match selection {
            Selection::All => place,
            Selection::Matching { pattern, .. } => {
                format!("{place} with PATTERN {}", printable(&quote_literal(pattern)))
            }
            Selection::Named(names) => {
                let shown = names.iter().take(SHOWN_MAX).map(|name| printable(&quote_literal(name)).into_owned());
                let more = (names.len() > SHOWN_MAX).then(|| "...".to_string());
                format!("{place} with FILES ({})", shown.chain(more).collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// The files meant, as they are found: in no order, and as many as there are without holding them all. Of those whose
    /// names no path can hold the client is told.
    ///
    /// # Errors
    /// The stream fails with what the far side answers; for names with [3001] and [1006].
    pub(crate) fn list(
        &self,
        selection: &Selection,
        notices: Notices,
    ) -> Result<BoxStream<'static, Result<ObjectMeta>>> {
        match selection {
            Selection::Named(names) => {
                let names = names.iter().map(|name| self.below(name)).collect::<Result<Vec<_>>>()?;
                Ok(self.look_up(names))
            }
            Selection::All if !self.capability.list => Ok(self.look_up(expand_braces(&self.prefix)?)),
            Selection::Matching { .. } if !self.capability.list => {
                Err(Error::unsupported(format!("{} cannot be listed, so that no PATTERN applies", self.name))
                    .with_hint("name the file, or several with FILES"))
            }
            Selection::All => Ok(self.beginning_so(notices)?),
            Selection::Matching { regex, .. } => {
                let (pattern, start) = (regex.clone(), self.prefix.len());
                let is_match = move |meta: &ObjectMeta| {
                    std::future::ready(meta.location.as_ref().get(start..).is_some_and(|rest| pattern.is_match(rest)))
                };
                Ok(self.beginning_so(notices)?.try_filter(is_match).boxed())
            }
        }
    }

    /// The files whose names begin with the prefix, but for the one that checks of connections leave.
    fn beginning_so(&self, notices: Notices) -> Result<BoxStream<'static, Result<ObjectMeta>>> {
        let (folder, name) = self.prefix.rsplit_once('/').unwrap_or(("", &self.prefix));
        let folder = parse_path(folder)?;
        let folder = (!folder.is_root()).then_some(&folder);
        let prefix = self.prefix.clone();
        // A name without its last character comes before all that begin with the name; dots alone are no name.
        let last = name.char_indices().next_back().map(|(last, _)| last).filter(|last| *last > 0);
        let before = last.and_then(|last| Path::parse(&prefix[..prefix.len() - (name.len() - last)]).ok());
        let listed = match before {
            Some(before) => self.store.list_with_offset(folder, &before),
            None => self.store.list(folder),
        };
        let over =
            PassedOver { prefix: prefix.clone(), place: self.shown_place(), names: Vec::new(), count: 0, notices };
        let listed = over.taken_out_of(listed);
        let is_meant = move |name: &Path| name.as_ref().starts_with(&prefix) && name.filename() != Some(MARKER);
        let is_meant = move |meta: &ObjectMeta| std::future::ready(is_meant(&meta.location));
        Ok(listed.map_err(store_error).try_filter(is_meant).boxed())
    }

    /// A name that FILES has, below the location.
    fn below(&self, name: &str) -> Result<String> {
        let slash = if self.prefix.is_empty() || self.prefix.ends_with('/') { "" } else { "/" };
        clean(name).map(|name| format!("{}{slash}{name}", self.prefix))
    }

    /// Files by their whole names, in their order.
    fn look_up(&self, names: Vec<String>) -> BoxStream<'static, Result<ObjectMeta>> {
        let place = self.clone();
        stream::iter(names)
            .map(move |name| {
                let place = place.clone();
                async move { place.file(&name).await }
            })
            .buffered(LOOKUPS_MAX)
            .boxed()
    }

    async fn file(&self, name: &str) -> Result<ObjectMeta> {
        let path = parse_file(name)?;
        let name = printable(name);
        match self.store.head(&path).await {
            Err(object_store::Error::NotFound { .. }) if self.capability.list && self.is_folder(&path).await? => {
                Err(Error::databend(Number::BAD_ARGUMENTS, format!("{name} is not a file")))
            }
            Err(object_store::Error::NotFound { .. }) => {
                let message = format!("{name} does not exist in {}", self.name);
                Err(Error::databend(Number::STORAGE_NOT_FOUND, message).with_hint(self.absent_hint()))
            }
            // A store in a folder of another tells the path that this one has there.
            found => found.map(|meta| ObjectMeta { location: path, ..meta }).map_err(store_error),
        }
    }

    /// What to check when a named file is not there.
    fn absent_hint(&self) -> String {
        let place = self.shown_place();
        match self.capability.list {
            true if self.name.starts_with('@') => {
                format!("names in FILES go on from {place}: LIST {} shows what is there", quote_literal(&place))
            }
            true => format!("names in FILES go on from {place}"),
            false => "check the spelling, upper and lower case included".to_string(),
        }
    }

    async fn is_folder(&self, path: &Path) -> Result<bool> {
        let first = self.store.list(Some(path)).try_next().await;
        Ok(first.map_err(store_error)?.is_some())
    }
}

/// Files that are meant, but whose names no path can hold.
struct PassedOver {
    /// What the names of those begin with that are meant.
    prefix: String,
    place: String,
    /// The first ones.
    names: Vec<String>,
    count: usize,
    notices: Notices,
}

impl PassedOver {
    /// A listing without them; the client is told at its end.
    fn taken_out_of(self, listed: BoxStream<'static, Listed>) -> BoxStream<'static, Listed> {
        let next = |(mut over, mut listed): (PassedOver, BoxStream<'static, Listed>)| async move {
            loop {
                let item = listed.next().await;
                match item.as_ref().and_then(|item| unfit_name(item.as_ref().err()?)) {
                    Some(name) => over.add(name),
                    None if item.is_none() => {
                        over.tell();
                        return None;
                    }
                    None => return item.map(|item| (item, (over, listed))),
                }
            }
        };
        stream::unfold((self, listed), next).boxed()
    }

    fn add(&mut self, name: &str) {
        if !name.starts_with(&self.prefix) {
            return;
        }
        self.count += 1;
        if self.names.len() < SHOWN_MAX {
            self.names.push(format!("{name:?}"));
        }
    }

    fn tell(&self) {
        let (things, more) = (if self.count == 1 { "file" } else { "files" }, self.count > self.names.len());
        let names = self.names.join(", ") + if more { ", ..." } else { "" };
        let message = format!("passed over {} {things} in {}: {names}", self.count, self.place);
        let detail = "no path can hold such a name: it has control characters, or segments that are empty or only dots";
        if self.count > 0 {
            self.notices.send(Notice { detail: Some(detail.to_string()), ..Notice::new(message) });
        }
    }
}

/// A path as stores have it.
///
/// # Errors
/// [1006]
pub(crate) fn parse_path(text: &str) -> Result<Path> {
    Path::parse(text).map_err(|error| {
        let refused = Error::databend(Number::BAD_ARGUMENTS, format!("invalid path {text:?}"));
        match text.chars().find(char::is_ascii_control) {
            Some(c) => refused.with_detail(format!("no store takes a name with {c:?}, a control character, in it")),
            None => refused.with_detail(error.to_string()),
        }
    })
}

/// The path of one file, which lists show.
///
/// # Errors
/// [1006]
pub(crate) fn parse_file(text: &str) -> Result<Path> {
    let path = parse_path(text)?;
    if path.filename() != Some(MARKER) {
        return Ok(path);
    }
    let message = format!("{MARKER} is no name for a file: checks of connections leave one, which no list shows");
    Err(Error::databend(Number::BAD_ARGUMENTS, message).with_hint("choose another name"))
}

/// The names that `{a,b}` and `[1-3]` in a name stand for.
///
/// # Errors
/// More names than files may be read.
fn expand_braces(name: &str) -> Result<Vec<String>> {
    let mut open = vec![name.to_string()];
    let mut whole = Vec::new();
    let mut bytes = 0;
    while let Some(name) = open.pop() {
        let Some(choices) = Choices::first_of(&name) else {
            whole.push(name);
            continue;
        };
        // Before there are so many.
        let count = choices.count();
        bytes += count * name.len();
        if open.len() + whole.len() + count > IMPORT_FILES_MAX || bytes > EXPANDED_BYTES_MAX {
            return Err(Error::new(
                lakeport_base::Sqlstate::PROGRAM_LIMIT_EXCEEDED,
                format!("the name stands for more than {IMPORT_FILES_MAX} files"),
            ));
        }
        open.extend(choices.names().into_iter().rev());
    }
    Ok(whole)
}

/// A name with a brace or a bracket that closes.
struct Choices<'a> {
    before: &'a str,
    inside: &'a str,
    after: &'a str,
    is_brace: bool,
}

impl<'a> Choices<'a> {
    fn first_of(name: &'a str) -> Option<Choices<'a>> {
        let start = name.find(['{', '['])?;
        let is_brace = name[start..].starts_with('{');
        let end = start + name[start..].find(if is_brace { '}' } else { ']' })?;
        Some(Choices { before: &name[..start], inside: &name[start + 1..end], after: &name[end + 1..], is_brace })
    }

    fn count(&self) -> usize {
        if self.is_brace {
            return self.inside.split(',').count();
        }
        ranges(self.inside).map(|range| (*range.end() as usize + 1).saturating_sub(*range.start() as usize)).sum()
    }

    /// The name with each choice in the place of all.
    fn names(&self) -> Vec<String> {
        let name = |choice: &str| [self.before, choice, self.after].concat();
        if self.is_brace {
            return self.inside.split(',').map(name).collect();
        }
        ranges(self.inside).flatten().map(|choice| name(choice.encode_utf8(&mut [0; 4]))).collect()
    }
}

/// `a-cx` as `a` to `c` and `x` to `x`
fn ranges(set: &str) -> impl Iterator<Item = RangeInclusive<char>> {
    let mut rest = set.chars().peekable();
    std::iter::from_fn(move || {
        let first = rest.next()?;
        let last = match rest.next_if_eq(&'-') {
            Some(_) => rest.next().unwrap_or('-'),
            None => first,
        };
        Some(first..=last)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lakeport_connect::Capability;
    use object_store::memory::InMemory;
    use object_store::{ObjectStore, ObjectStoreExt};

    use super::*;

    async fn place(prefix: &str, files: &[&str]) -> StagedPlace {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        for file in files {
            store.put(&Path::from(*file), "x".into()).await.unwrap();
        }
        StagedPlace {
            store,
            prefix: prefix.into(),
            file_format: None,
            name: "@s".into(),
            identity: "s".into(),
            origin: super::super::place::Origin { store: "s".into(), path: String::new() },
            capability: Capability::ALL,
        }
    }

    async fn names(place: &StagedPlace, pattern: Option<&str>, files: &[&str]) -> Result<Vec<String>> {
        let files: Vec<String> = files.iter().map(|file| file.to_string()).collect();
        let mut found: Vec<String> = place
            .list(&Selection::new(pattern, &files)?, Notices(tokio::sync::mpsc::channel(1).0))?
            .map_ok(|meta| meta.location.to_string())
            .try_collect()
            .await?;
        found.sort();
        Ok(found)
    }

    const FILES: &[&str] = &["csv/ab.csv", "csv/ab/cd.csv", "csv/ab/cd.csv.bk", "csv/xy.csv", "csv-old/ab.csv"];
    const MARKED: &[&str] = &["crdb_external_storage_location", "a/crdb_external_storage_location", "a/b"];

    #[tokio::test]
    async fn a_path_is_a_prefix_of_names() {
        for (prefix, expected) in [
            ("", FILES.len()),
            ("csv", 5),
            ("csv/", 4),
            ("csv/ab", 3),
            ("csv/ab/", 2),
            ("csv/ab/cd.csv", 2),
            ("csv/a", 3),
            ("csv/abc", 0),
            ("none/", 0),
        ] {
            assert_eq!(names(&place(prefix, FILES).await, None, &[]).await.unwrap().len(), expected, "{prefix}");
        }
    }

    #[tokio::test]
    async fn names_may_begin_with_dots() {
        let files = &[".x/a", ".xy", ".z", "..x", "a/.x"];
        for (prefix, expected) in [(".", 4), (".x", 2), (".xy", 1), ("..x", 1), ("a/.x", 1), ("a/.", 1), ("a/..x", 0)] {
            assert_eq!(names(&place(prefix, files).await, None, &[]).await.unwrap().len(), expected, "{prefix}");
        }
    }

    #[tokio::test]
    async fn what_a_check_leaves_is_no_file_of_anybody() {
        assert_eq!(names(&place("", MARKED).await, None, &[]).await.unwrap(), ["a/b"]);
    }

    #[tokio::test]
    async fn patterns_match_the_rest_of_a_name_whole() {
        let place = place("csv/", FILES).await;
        for (pattern, expected) in
            [("", 4), ("ab", 0), (".*ab.*", 3), ("ab[.]csv", 1), ("csv/ab.*", 0), ("xy.*|ab", 1), ("^ab.*$", 3)]
        {
            assert_eq!(names(&place, Some(pattern), &[]).await.unwrap().len(), expected, "{pattern}");
        }
        let refused = names(&place, Some("a)(b"), &[]).await.unwrap_err();
        assert_eq!(refused.message(), "[1005] Pattern format invalid, got:\"a)(b\"");
    }

    #[tokio::test]
    async fn files_must_be_there() {
        let place = place("csv", FILES).await;
        assert_eq!(
            names(&place, Some("none"), &["ab.csv", "ab/cd.csv"]).await.unwrap(),
            ["csv/ab.csv", "csv/ab/cd.csv"]
        );
        for (file, message) in [
            ("none.csv", "[3001] csv/none.csv does not exist in @s"),
            ("ab", "[1006] csv/ab is not a file"),
            ("../x", "[1006] stage path traversal is not allowed by stage_path_traversal_policy: ../x"),
        ] {
            assert_eq!(names(&place, None, &[file]).await.unwrap_err().message(), message);
        }
    }

    #[test]
    fn names_of_what_cannot_be_listed() {
        assert_eq!(expand_braces("a").unwrap(), ["a"]);
        assert_eq!(expand_braces("d_{6,7}[1-3].csv").unwrap().len(), 6);
        assert_eq!(expand_braces("d_[a-bx].csv").unwrap(), ["d_a.csv", "d_b.csv", "d_x.csv"]);
        assert_eq!(expand_braces("d_{6").unwrap(), ["d_{6"]);
        assert!(expand_braces(&"{0,1,2,3,4,5,6,7,8,9}".repeat(7)).is_err());
        assert!(expand_braces("[\u{0}-\u{10ffff}]").is_err());
        assert!(expand_braces(&format!("[{}]", "\u{0}-\u{10ffff}".repeat(1 << 20))).is_err());
        let long = format!("{{{}}}{}", ",".repeat(IMPORT_FILES_MAX - 1), "x".repeat(1 << 20));
        assert!(expand_braces(&long).is_err());
        assert_eq!(expand_braces("[c-a]").unwrap(), [""; 0]);
    }
}
