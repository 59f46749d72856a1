//! `userfile://set/path`: files kept in the warehouse, each user's own.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::{Path, PathPart};

use super::{Access, Capability, Host, Kind, KindSpec, Role, Unknown};
use crate::cx::OpenCx;
use crate::error::{Error, Result};
use crate::layer::{Layers, Rooted};
use crate::path;
use crate::storage::Storage;
use crate::target::Target;

/// The name of the kind.
pub(crate) const NAME: &str = "userfile";
/// How the default set of a user's files is called, before the user's name.
const DEFAULT_SET: &str = "defaultdb.public.userfiles_";

static SPEC: KindSpec = KindSpec {
    name: NAME,
    title: "Files of a user",
    role: Role::Storage,
    schemes: &["userfile"],
    schemes_in_role: &[],
    databend_type: None,
    materialize_type: None,
    host: Host::FileSet,
    takes_user: false,
    endpoint: None,
    options: &[],
    rules: &[],
    unknown: Unknown::Refused { label: "userfile" },
    capability: Capability::ALL,
    help: "Files that a user keeps in the warehouse. Without a host the URI means the user's default set, \
           defaultdb.public.userfiles_<user>. The files of other users are out of reach.",
};

/// The kind.
pub struct Userfile;

impl Kind for Userfile {
    fn spec(&self) -> &'static KindSpec {
        &SPEC
    }

    fn check(&self, target: &Target) -> Result<()> {
        let host = &target.uri().host;
        if host.contains(['/', '\\']) || host.split('.').any(|part| part.is_empty() && !host.is_empty()) {
            return Err(Error::invalid(format!("invalid userfile URI: {host:?} names no set of files")));
        }
        check_clean(&target.uri().path)
    }

    fn access(&self, _: &Target) -> Access {
        Access::Explicit
    }

    fn open<'a>(&'a self, target: &'a Target, cx: &'a OpenCx) -> BoxFuture<'a, Result<Storage>> {
        async move {
            let folder = folder(&target.uri().host, &cx.user)?;
            let prefix: Path = folder.parts().chain(target.prefix()?.parts()).collect();
            Ok(Layers::new(cx, &SPEC).wrap(Rooted::new(Arc::clone(&cx.userfiles), prefix)))
        }
        .boxed()
    }
}

/// The folder of a set: first the user who owns it, so that no name leads into another user's files.
fn folder(set: &str, user: &str) -> Result<Path> {
    let own = format!("{DEFAULT_SET}{user}");
    let set = if set.is_empty() { own.as_str() } else { set };
    if set != own && set.strip_prefix(DEFAULT_SET).is_some() {
        return Err(Error::forbidden(format!("the files of {set:?} belong to another user")));
    }
    Ok(Path::from_iter([PathPart::from(user), PathPart::from(set)]))
}

fn check_clean(path: &str) -> Result<()> {
    let clean = cleaned(path);
    if path.is_empty() || path == clean || path.strip_suffix('/') == Some(&clean) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "path {path} changes after normalization to {clean}. userfile upload does not permit such path constructs"
    )))
}

/// The path as a file system understands it; `..` at the root stays there.
fn cleaned(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    path::join("", &segments.join("/")).ok().filter(|path| !path.is_empty()).unwrap_or_else(|| "/".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(uri: &str) -> String {
        Target::parse(uri).unwrap_err().to_string()
    }

    #[test]
    fn paths_must_be_clean() {
        assert_eq!(
            refusal("userfile:///foo/.."),
            "path /foo/.. changes after normalization to /. userfile upload does not permit such path constructs"
        );
        assert!(refusal("userfile:///a//b").contains("changes after normalization to /a/b"));
        assert!(refusal("userfile:///%2e%2e/x").contains("changes after normalization to /x"));
        Target::parse("userfile:///a/b.csv").unwrap();
        Target::parse("userfile://defaultdb.public.mine/a/").unwrap();
        assert!(refusal("userfile://a..b/x").contains("names no set of files"));
    }

    #[test]
    fn a_set_lies_in_its_users_folder() {
        assert_eq!(folder("", "ann").unwrap().as_ref(), "ann/defaultdb.public.userfiles_ann");
        assert_eq!(folder("db.public.x", "ann").unwrap().as_ref(), "ann/db.public.x");
        assert!(folder("defaultdb.public.userfiles_bob", "ann").is_err());
        assert_eq!(folder("", "../bob").unwrap().as_ref(), "..%2Fbob/defaultdb.public.userfiles_..%2Fbob");
    }
}
