//! `nodelocal://<node id or self>/path`: files below a node's `--external-io-dir`.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Access, Capability, Host, Kind, KindSpec, Role, Unknown};
use crate::cx::OpenCx;
use crate::error::{Error, Result};
use crate::layer::{Layers, Rooted};
use crate::local::LocalStore;
use crate::path;
use crate::storage::Storage;
use crate::target::Target;

/// Stands for whichever node runs the work.
const SELF: &str = "self";

static SPEC: KindSpec = KindSpec {
    name: "nodelocal",
    title: "Files on a node",
    role: Role::Storage,
    schemes: &["nodelocal"],
    schemes_in_role: &[],
    databend_type: Some("fs"),
    materialize_type: None,
    host: Host::Node,
    takes_user: false,
    endpoint: None,
    options: &[],
    rules: &[],
    unknown: Unknown::Refused { label: "nodelocal" },
    capability: Capability::ALL,
    help: "Files below the directory given by --external-io-dir. The host is the node's id, or self for the node that \
           runs the statement. Symbolic links are not followed.",
};

/// The kind.
pub struct Nodelocal;

impl Kind for Nodelocal {
    fn spec(&self) -> &'static KindSpec {
        &SPEC
    }

    fn check(&self, target: &Target) -> Result<()> {
        let uri = target.uri();
        if uri.host.is_empty() {
            return Err(bad_host(" (use 'self' to specify each node should access its own local filesystem)", target));
        }
        if uri.host != SELF && uri.host.parse::<u32>().is_err() {
            return Err(bad_host("", target));
        }
        path::join("", &uri.path).map(drop).map_err(|_| outside(&uri.path))
    }

    fn access(&self, _: &Target) -> Access {
        Access::Implicit
    }

    fn open<'a>(&'a self, target: &'a Target, cx: &'a OpenCx) -> BoxFuture<'a, Result<Storage>> {
        async move {
            let dir = cx.external_io_dir.as_deref().ok_or_else(|| {
                Error::forbidden("local file access is disabled").with_hint("start the server with --external-io-dir")
            })?;
            let host = target.uri().host.as_str();
            if host != SELF && host.parse() != Ok(cx.node_id) {
                return Err(Error::unreachable(format!("node {host} is not part of this cluster")));
            }
            let store = LocalStore::open(dir, cx.env.clone())?.direct();
            Ok(Layers::new(cx, &SPEC).wrap(Rooted::new(store, target.prefix()?)))
        }
        .boxed()
    }
}

fn bad_host(remedy: &str, target: &Target) -> Error {
    let uri = target.uri();
    Error::invalid(format!(
        "invalid `nodelocal` URI: host component of nodelocal URI must be a node ID{remedy}: nodelocal://{}{}",
        uri.host, uri.path
    ))
}

fn outside(path: &str) -> Error {
    let path = path.trim_start_matches('/');
    Error::invalid(format!("local file access to paths outside of external-io-dir is not allowed: {path}"))
}
