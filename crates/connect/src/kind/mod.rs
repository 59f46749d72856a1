//! The kinds of connections: one file each, one line in [`KINDS`].

pub mod aws_kms;
pub mod azure_blob;
pub mod azure_kms;
pub mod cos;
pub mod gcp_kms;
pub mod gs;
pub mod http;
pub mod nodelocal;
pub mod oss;
pub mod s3;
pub mod userfile;

use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use lakeport_base::nearest::nearest;

use crate::cx::OpenCx;
use crate::error::{Error, Result};
use crate::kms::Kms;
use crate::option::OptionSpec;
use crate::probe;
use crate::storage::Storage;
use crate::target::Target;

/// Every kind this server knows.
pub static KINDS: &[&dyn Kind] = &[
    &s3::S3,
    &gs::Gs,
    &azure_blob::AzureBlob,
    &oss::Oss,
    &cos::Cos,
    &nodelocal::Nodelocal,
    &userfile::Userfile,
    &http::Http,
    &aws_kms::AwsKms,
    &gcp_kms::GcpKms,
    &azure_kms::AzureKms,
];

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

    /// What its connections hold, for hints.
    pub fn purpose(self) -> &'static str {
        match self {
            Role::Storage => "holds files, for IMPORT, EXPORT, BACKUP and RESTORE",
            Role::Kms => "holds a key, for the kms option of BACKUP and RESTORE",
            Role::ForeignData => "holds tables of another database",
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
    /// A server, perhaps with a port; a connection without one takes it from the path used, as a bucket.
    Server,
    /// The name of a set of files.
    FileSet,
    /// Nothing: the path alone names a key.
    Nothing,
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
    /// A write can be made to fail when the file exists, in whichever bucket.
    pub conditional_put: bool,
    /// The end of a file can be asked for by whoever does not know its size.
    pub suffix_range: bool,
}

impl Capability {
    /// Everything.
    pub const ALL: Capability =
        Capability { write: true, list: true, delete: true, conditional_put: true, suffix_range: true };

    /// That of kinds without files.
    pub const NO_FILES: Capability =
        Capability { write: false, list: false, delete: false, conditional_put: false, suffix_range: false };
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
    /// A parameter that Databend has and that is refused here, by name.
    NoDatabend {
        /// Databend's keyword.
        keyword: &'static str,
        /// Why there is none.
        why: &'static str,
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
    /// Lower case; connections of this kind are stored under it.
    pub name: &'static str,
    /// Name for the manual.
    pub title: &'static str,
    /// What its connections are for.
    pub role: Role,
    /// URI schemes.
    pub schemes: &'static [&'static str],
    /// Schemes that mean this kind only where its role is asked for: as a connection they are another one.
    pub schemes_in_role: &'static [&'static str],
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
    /// Some sentences for the manual.
    pub help: &'static str,
}

impl KindSpec {
    /// How error texts call it: `failed to create s3 external connection: ...`, `... AWS KMS external connection: ...`.
    pub fn called(&self) -> String {
        match self.unknown {
            _ if self.role == Role::Kms => self.title.to_string(),
            Unknown::Refused { label } => label.to_ascii_lowercase(),
            Unknown::PassedOn => self.name.to_string(),
        }
    }
}

/// One kind of connection. It opens what its role promises and refuses the rest.
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

    /// Opens the target as a storage rooted at its path.
    fn open<'a>(&'a self, target: &'a Target, _: &'a OpenCx) -> BoxFuture<'a, Result<Storage>> {
        async move { Err(wrong_role(Role::Storage, target.spec())) }.boxed()
    }

    /// Opens the target as a key.
    fn open_kms<'a>(&'a self, target: &'a Target, _: &'a OpenCx) -> BoxFuture<'a, Result<Arc<dyn Kms>>> {
        async move { Err(wrong_role(Role::Kms, target.spec())) }.boxed()
    }

    /// What a connection must pass when it is created or altered; kinds that cannot be written do less.
    fn probe<'a>(&'a self, target: &'a Target, cx: &'a OpenCx) -> BoxFuture<'a, Result<()>> {
        async move {
            match self.spec().role {
                Role::Kms => probe::round_trip(&*target.open_kms(cx).await?).await,
                _ => probe::marker_file(&*target.open(cx).await?, &target.address()).await,
            }
        }
        .boxed()
    }
}

/// The refusal of a kind that cannot be what is asked for.
pub(crate) fn wrong_role(wanted: Role, found: &KindSpec) -> Error {
    Error::wrong_role(format!("{wanted} cannot use object of type {}", found.role)).with_hint(format!(
        "a connection of kind {} {}",
        found.name,
        found.role.purpose()
    ))
}

/// A bucket becomes part of a host name, so it may hold nothing else. Empty for a connection without a bucket.
fn check_bucket(bucket: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let valid = bucket.len() <= 255
        && bucket.bytes().all(plain)
        && !bucket.starts_with('.')
        && !bucket.ends_with('.')
        && !bucket.contains("..");
    if valid { Ok(()) } else { Err(Error::invalid(format!("invalid bucket name {bucket:?}"))) }
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

/// The remedy for a scheme of no kind.
pub fn scheme_hint(scheme: &str) -> String {
    let known: Vec<&str> = KINDS.iter().flat_map(|kind| kind.spec().schemes).copied().collect();
    match nearest(scheme, known.iter().copied()) {
        Some(known) => format!("did you mean {known}://?"),
        None => format!("known schemes: {}", known.join(", ")),
    }
}

/// The kind that a scheme means where a URI is used in a role.
pub(crate) fn kind_in_role(role: Role, scheme: &str) -> Option<&'static dyn Kind> {
    let of_role = || KINDS.iter().copied().filter(|kind| kind.spec().role == role);
    let means = |kind: &&'static dyn Kind| {
        let spec = kind.spec();
        spec.schemes.contains(&scheme) || spec.schemes_in_role.contains(&scheme)
    };
    of_role().find(means)
}

/// The kind of a name such as `s3`.
pub fn kind_named(name: &str) -> Option<&'static dyn Kind> {
    KINDS.iter().copied().find(|kind| kind.spec().name == name)
}
