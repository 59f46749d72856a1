//! The kinds of connections: one file each, one line in [`KINDS`].

pub mod http;
pub mod nodelocal;
pub mod s3;
pub mod userfile;

use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::ObjectStore;

use crate::cx::OpenCx;
use crate::error::Result;
use crate::option::OptionSpec;
use crate::probe;
use crate::target::Target;

/// Every kind this server knows.
pub static KINDS: &[&dyn Kind] = &[&s3::S3, &nodelocal::Nodelocal, &userfile::Userfile, &http::Http];

/// What a connection may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Files.
    Storage,
    /// Keys that wrap the keys of backups.
    Kms,
    /// Tables of another database.
    ForeignData,
}

impl Role {
    /// The `connection_type` of SHOW EXTERNAL CONNECTIONS.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Storage => "STORAGE",
            Role::Kms => "KMS",
            Role::ForeignData => "FOREIGNDATA",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose credentials a target uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Those written in the URI.
    Explicit,
    /// The server's own: its environment, its disks, its place in the network.
    Implicit,
}

/// What stands between `://` and the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// A bucket; a connection without one takes it from the first segment of the path used.
    Bucket,
    /// A node id or `self`.
    Node,
    /// A server, perhaps with a port.
    Server,
    /// The name of a set of files.
    FileSet,
}

/// Something a connection can be used in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// IMPORT INTO
    Import,
    /// EXPORT INTO
    Export,
    /// BACKUP
    Backup,
    /// RESTORE
    Restore,
    /// CHECK EXTERNAL CONNECTION
    Check,
}

/// What the far side of a storage kind can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Files can be written.
    pub write: bool,
    /// Files can be listed.
    pub list: bool,
    /// Files can be deleted.
    pub delete: bool,
    /// A write can be made to fail when the file exists.
    pub conditional_put: bool,
}

/// A rule over several options.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// All of them or none.
    Together(&'static [&'static str]),
    /// At most one of them.
    Exclusive(&'static [&'static str]),
    /// While one option has a certain value, another must be set.
    Needs {
        /// The option looked at.
        option: &'static str,
        /// Its value, written or by default.
        value: &'static str,
        /// The option that must be set then.
        needs: &'static str,
        /// The documented text when it is not.
        refusal: &'static str,
    },
}

/// What is done with parameters that are not in the option table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// `unknown <label> query parameters: X`
    Refused {
        /// How the text calls the kind.
        label: &'static str,
    },
    /// Sent on to the server, and secret.
    PassedOn,
}

/// All that is to be known about a kind; grammar, checks, redaction and manual derive from it.
#[derive(Debug)]
pub struct KindSpec {
    /// Lower case, as error texts name it: `failed to create s3 external connection: ...`.
    pub name: &'static str,
    /// Name for the manual.
    pub title: &'static str,
    /// What its connections are for.
    pub role: Role,
    /// URI schemes.
    pub schemes: &'static [&'static str],
    /// `STORAGE_TYPE` in Databend's dialect.
    pub databend_type: Option<&'static str>,
    /// `TO <TYPE>` in Materialize's dialect.
    pub materialize_type: Option<&'static str>,
    /// What the host of the URI means.
    pub host: Host,
    /// A user and a password may stand before the host.
    pub takes_user: bool,
    /// The option that holds the address of the far side, if any.
    pub endpoint: Option<&'static str>,
    /// The option table.
    pub options: &'static [OptionSpec],
    /// Rules over several options.
    pub rules: &'static [Rule],
    /// Parameters outside the table.
    pub unknown: Unknown,
    /// What the far side can do.
    pub capability: Capability,
    /// Statements it can be used in.
    pub operations: &'static [Operation],
    /// Some sentences for the manual.
    pub help: &'static str,
}

/// One kind of connection.
pub trait Kind: Sync {
    /// The description everything else derives from.
    fn spec(&self) -> &'static KindSpec;

    /// What the option table cannot say. Does no I/O.
    ///
    /// # Errors
    /// A host, path or value that this kind does not take.
    fn check(&self, target: &Target) -> Result<()>;

    /// Whose credentials the target uses.
    fn access(&self, target: &Target) -> Access;

    /// Opens the target as a store rooted at its path.
    fn open<'a>(&'a self, target: &'a Target, cx: &'a OpenCx) -> BoxFuture<'a, Result<Arc<dyn ObjectStore>>>;

    /// What a connection must pass when it is created or altered; kinds that cannot be written do less.
    fn probe<'a>(&'a self, target: &'a Target, cx: &'a OpenCx) -> BoxFuture<'a, Result<()>> {
        async move { probe::marker_file(&*target.open(cx).await?, &target.address()).await }.boxed()
    }
}

impl fmt::Debug for dyn Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spec().name)
    }
}

/// The kind of a URI scheme.
pub fn kind_of_scheme(scheme: &str) -> Option<&'static dyn Kind> {
    KINDS.iter().copied().find(|kind| kind.spec().schemes.contains(&scheme))
}

/// The kind of a name such as `s3`.
pub fn kind_named(name: &str) -> Option<&'static dyn Kind> {
    KINDS.iter().copied().find(|kind| kind.spec().name == name)
}
