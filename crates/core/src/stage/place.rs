//! From a location to a store, for a user who may use it.

use std::fmt;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use lakeport_base::name::{printable, quote_ident};
use lakeport_base::{Sqlstate, Uri};
use lakeport_catalog::model::{Copied, Object, Stage, StagePlace};
use lakeport_connect::dialect::place::{Located, located, located_through};
use lakeport_connect::{Capability, ExternalRef, Role, Target};
use lakeport_sql::stmt::stage::location::{Location, Parameter, StageName, StagePath};
use object_store::ObjectStore;
use object_store::path::{Path, PathPart};
use object_store::prefix::PrefixStore;

use super::format::FileFormat;
use super::open::{OpenStage, Opened};
use crate::authz::Subject;
use crate::databend::{Number, invalid_parameter};
use crate::error::{Error, Result};
use crate::external::{Named, Resolved, authorise_target, store_error, target_of};
use crate::server::Server;

/// The stage that streaming uploads of Databend's name in place of one.
pub const PLACEHOLDER: &str = "_databend_load";
/// Folder of the warehouse that holds the files of internal stages.
const STAGES: &str = "stages";
/// Folder of that one which holds the users' own; no id is spelled so.
const OF_USERS: &str = "users";
/// The parameter that names a connection.
const CONNECTION_NAME: &str = "connection_name";

/// What is done with staged files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageAccess {
    Read,
    Write,
}

impl StageAccess {
    /// The privilege it takes, and Databend's word for it.
    fn privilege(self) -> (&'static str, &'static str) {
        match self {
            StageAccess::Read => ("READ", "Read"),
            StageAccess::Write => ("WRITE", "Write"),
        }
    }

    /// # Errors
    /// 0A000 for writing where files can be read only; asked before anything is opened.
    pub(super) fn require_in(self, capability: Capability, place: &str) -> Result<()> {
        if self == StageAccess::Read || capability.write {
            return Ok(());
        }
        Err(Error::unsupported(format!("files of {place} can be read, not written"))
            .with_hint("use a bucket, nodelocal or an internal stage"))
    }
}

/// Files that a location names, in a store that the user may use.
#[derive(Clone, Debug)]
pub struct StagedPlace {
    /// Rooted at the stage, or at the folder of the URI.
    pub store: Arc<dyn ObjectStore>,
    /// What the names of the files begin with, below the root; a folder when it ends with a slash.
    pub prefix: String,
    /// The stage's own file format.
    pub file_format: Option<FileFormat>,
    /// As messages call it; without secrets.
    pub name: String,
    /// Tells the store from all others, whatever they are called; without secrets.
    pub identity: String,
    /// The store by whichever name it is found, and where its root lies in it.
    pub(super) origin: Origin,
    /// What the far side can do.
    pub(crate) capability: Capability,
}

/// Where files are, whatever the statement calls the place.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// Tells the store from all others; without secrets.
    pub store: String,
    /// The root's path in the store.
    pub path: String,
}

impl Origin {
    /// What a target that `user` opens is the root of.
    pub(super) fn of(target: &Target, user: &str) -> Origin {
        Origin { store: target.store(user), path: target.uri().path.clone() }
    }
}

impl StagedPlace {
    /// What messages call it with the path below it.
    pub(crate) fn shown_place(&self) -> String {
        let shown = match self.name.starts_with('@') {
            true => format!("{}/{}", self.name, self.prefix),
            // A URI has it already.
            false => self.name.clone(),
        };
        printable(&shown).into_owned()
    }

    /// Tells a file from all others, by whichever stage or URI it is found.
    pub(crate) fn whole_name(&self, file: &Path) -> String {
        let Origin { store, path } = &self.origin;
        let parts = path.split('/').chain(file.as_ref().split('/')).filter(|part| !part.is_empty());
        let path: Vec<&str> = parts.collect();
        format!("{store} {}", path.join("/"))
    }
}

/// A place for files, before it is opened.
pub(crate) struct Found {
    pub target: Target,
    /// Whether it is a folder, and not what the names of files begin with.
    pub is_folder: bool,
    /// The connection that its parameters come from.
    pub from: Option<Copied>,
    /// As whom it is opened: who owns that connection, or the user.
    pub user: String,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)
    }
}

impl Server {
    /// The files of a location, for a user who may do with them what is wanted.
    ///
    /// # Errors
    /// 42501, the same for a stage that does not exist; a path that climbs; whatever opening it fails with.
    pub(crate) async fn staged_place(
        self: &Arc<Self>,
        subject: Subject<'_>,
        location: &Location,
        access: StageAccess,
    ) -> Result<StagedPlace> {
        match location {
            Location::Stage(path) => self.stage_files(subject, path, access).await,
            Location::Uri { uri, connection } => self.uri_files(subject, uri, connection, access).await,
        }
    }

    async fn stage_files(
        self: &Arc<Self>,
        subject: Subject<'_>,
        path: &StagePath,
        access: StageAccess,
    ) -> Result<StagedPlace> {
        let prefix = clean(&path.path)?;
        let (opened, file_format, identity) = match &path.stage {
            StageName::User => (self.in_warehouse(own_folder(subject.user)), None, format!("user {}", subject.user)),
            StageName::Named(name) => {
                let OpenStage { stage, opened } = self.authorised_open_stage(subject, name, access).await?;
                let Origin { store, path } = &opened.origin;
                // The place of a stage that follows a connection is another one when that is altered.
                let identity = format!("stage {} {} in {store} {path}", stage.id, stage.version);
                (opened, Some(FileFormat::read(&stage.file_format)?), identity)
            }
        };
        let Opened { store, origin, capability, .. } = opened;
        let name = StagePath { path: String::new(), ..path.clone() }.to_string();
        let store = Arc::new(Named::new(store, &name));
        Ok(StagedPlace { store, prefix, file_format, name, identity, origin, capability })
    }

    /// The stage of a name, for a user who owns it or holds all privileges that the accesses take.
    ///
    /// # Errors
    /// 42501; for admins 42704 when there is none.
    pub(crate) async fn authorised_stage(
        &self,
        subject: Subject<'_>,
        name: &str,
        accesses: &[StageAccess],
    ) -> Result<Stage> {
        if name == PLACEHOLDER {
            return Err(Error::databend(
                Number::BAD_ARGUMENTS,
                format!("placeholder @{PLACEHOLDER} should be used in streaming_load handler or replaced in client."),
            ));
        }
        let found = self.config.catalog.read().await?.find_stage(name).await?;
        authorise(subject, name, found.as_ref(), accesses)?;
        found.ok_or_else(|| missing_stage(name))
    }

    /// Deletes the files that a dropped stage had in the warehouse. What cannot be deleted stays, out of reach: no id is
    /// given twice.
    pub(crate) async fn delete_stage_files(&self, stage: &Stage) {
        if stage.place == StagePlace::Internal
            && let Err(error) = self.empty_folder(stage_folder(stage)).await
        {
            tracing::warn!(stage = %stage.name, id = %stage.id, %error, "files of a dropped stage remain");
        }
    }

    /// Deletes the files in a user's own stage.
    pub(crate) async fn empty_own_stage(&self, user: &str) -> Result<()> {
        self.empty_folder(own_folder(user)).await
    }

    async fn empty_folder(&self, folder: Path) -> Result<()> {
        let store = self.folder(folder);
        let files = store.list(None).map_ok(|meta| meta.location).boxed();
        store.delete_stream(files).try_for_each(|_| async { Ok(()) }).await.map_err(store_error)
    }

    /// A folder of the warehouse as the place of a stage.
    pub(super) fn in_warehouse(&self, folder: Path) -> Opened {
        let origin = Origin { store: "the warehouse".to_string(), path: folder.to_string() };
        Opened { store: self.folder(folder), origin, capability: Capability::ALL, lasts: true }
    }

    fn folder(&self, folder: Path) -> Arc<dyn ObjectStore> {
        Arc::new(PrefixStore::new(self.config.warehouse.clone(), folder))
    }

    async fn uri_files(
        self: &Arc<Self>,
        subject: Subject<'_>,
        uri: &str,
        connection: &[Parameter],
        access: StageAccess,
    ) -> Result<StagedPlace> {
        let mut name = lakeport_connect::redact(uri);
        let (store, prefix, (folder, user)) = match ExternalRef::parse(uri).ok().flatten() {
            Some(reference) => {
                refuse_parameters(connection)?;
                self.external_files(subject, uri, &reference, access).await?
            }
            None => {
                let found = self.find_place(subject, uri, connection).await?;
                // The URI alone need not tell a bucket from a secret.
                name = found.target.redacted();
                name.truncate(name.find('?').unwrap_or(name.len()));
                access.require_in(found.target.spec().capability, &name)?;
                let (folder, prefix) =
                    if found.is_folder { (found.target, String::new()) } else { found.target.split_name() };
                (self.open_target(&found.user, &folder).await?, prefix, (folder, found.user))
            }
        };
        let (origin, capability) = (Origin::of(&folder, &user), folder.spec().capability);
        // Some kinds show each user files of his own.
        let identity = format!("folder {} {} for {}", origin.store, origin.path, subject.user);
        let store = Arc::new(Named::new(store, &name));
        Ok(StagedPlace { store, prefix, file_format: None, name, identity, origin, capability })
    }

    /// As of a URI that follows a connection: its folder, what the names in it begin with, and where the folder is and
    /// who opens it.
    async fn external_files(
        self: &Arc<Self>,
        subject: Subject<'_>,
        uri: &str,
        reference: &ExternalRef,
        access: StageAccess,
    ) -> Result<(Arc<dyn ObjectStore>, String, (Target, String))> {
        self.authorise_reference(subject, reference).await?;
        let Resolved { target, owner, .. } = self.resolve(uri).await?;
        access.require_in(target.spec().capability, &lakeport_connect::redact(uri))?;
        let (folder, name) = reference.path.rsplit_once('/').unwrap_or_default();
        // The bucket alone is no name in a folder.
        let is_whole = name.is_empty() || target.uri().path.is_empty();
        let (folder, prefix) = if is_whole { (reference.path.as_str(), "") } else { (folder, name) };
        let scheme = ExternalRef::SCHEME.to_string();
        let (host, path, params) = (reference.name.clone(), folder.to_string(), reference.params.clone());
        let folder = Uri { scheme, user: None, password: None, host, path, params }.to_text();
        let target = if is_whole { target } else { target.split_name().0 };
        let user = owner.unwrap_or_else(|| subject.user.to_string());
        Ok((self.open_storage(subject.user, &folder).await?, prefix.to_string(), (target, user)))
    }

    /// What a URI with parameters beside it means, when the user may use it: those of a connection by USAGE on it.
    ///
    /// # Errors
    /// 42501; no scheme; a connection of another kind, or that leads elsewhere; wrong parameters.
    pub(crate) async fn find_place(&self, subject: Subject<'_>, uri: &str, parameters: &[Parameter]) -> Result<Found> {
        require_scheme(uri)?;
        let pairs = pairs(parameters)?;
        let Some((_, name)) = pairs.iter().find(|(key, _)| key == CONNECTION_NAME) else {
            let Located { target, is_folder } = located(uri, &pairs).map_err(invalid_parameter)?;
            target.require_role(Role::Storage)?;
            authorise_target(subject, &target)?;
            return Ok(Found { target, is_folder, from: None, user: subject.user.to_string() });
        };
        if pairs.len() > 1 {
            return Err(storage("connection_name can not be used with other connection options"));
        }
        self.place_through(subject, uri, name).await
    }

    async fn place_through(&self, subject: Subject<'_>, uri: &str, name: &str) -> Result<Found> {
        let mut tx = self.config.catalog.read().await?;
        let found = tx.find_connection(name).await?;
        let connection = match found {
            Some(connection) if subject.has_on_connection(tx.as_mut(), connection.id, "USAGE").await? => connection,
            None if subject.is_admin() => {
                let message = format!("fail to get connection_name {name}: Connection '{name}' does not exist.");
                return Err(Error::new(Sqlstate::UNDEFINED_OBJECT, message)
                    .numbered(Number::BAD_ARGUMENTS)
                    .with_hint("SHOW CONNECTIONS lists the connections you may use"));
            }
            _ => {
                let user = subject.user;
                return Err(Error::databend(
                    Number::PERMISSION_DENIED,
                    format!(
                        "Permission denied: privilege AccessConnection is required on connection {name} for user \
                         '{user}'@'%'"
                    ),
                )
                .with_hint(subject.remedy("ACCESS CONNECTION", &format!("CONNECTION {}", quote_ident(name)))));
            }
        };
        let target = target_of(&connection)?;
        target.require_role(Role::Storage)?;
        require_protocol(&target, name, uri)?;
        let Located { target, is_folder } = located_through(&target, uri).map_err(invalid_parameter)?;
        let from = Copied { connection: connection.name, version: connection.version };
        Ok(Found { target, is_folder, from: Some(from), user: connection.owner })
    }
}

/// # Errors
/// 42501 for who neither owns the stage nor holds all privileges that the accesses take; when there is none, for all but
/// admins.
pub(super) fn authorise(
    subject: Subject<'_>,
    name: &str,
    found: Option<&Stage>,
    accesses: &[StageAccess],
) -> Result<()> {
    let has = |privilege| match found {
        Some(stage) => subject.has(Object::Stage(stage.id), &stage.owner, privilege),
        None => subject.is_admin(),
    };
    match accesses.iter().find(|access| !has(access.privilege().0)) {
        Some(access) => Err(subject.denied_in_databend(access.privilege().1, &format!("STAGE {name}"))),
        None => Ok(()),
    }
}

/// Where the files of an internal stage lie in the warehouse.
pub(super) fn stage_folder(stage: &Stage) -> Path {
    Path::from_iter([PathPart::from(STAGES), PathPart::from(stage.id.to_string())])
}

fn own_folder(user: &str) -> Path {
    Path::from_iter([PathPart::from(STAGES), PathPart::from(OF_USERS), PathPart::from(user)])
}

/// [2501]
pub(crate) fn missing_stage(name: &str) -> Error {
    Error::databend(Number::UNKNOWN_STAGE, format!("Stage '{name}' does not exist."))
        .with_hint("SHOW STAGES lists the stages you may use")
}

/// # Errors
/// Parameters beside an `external://` URI, whose connection has them.
pub(crate) fn refuse_parameters(connection: &[Parameter]) -> Result<()> {
    if connection.is_empty() {
        return Ok(());
    }
    Err(storage("an external:// URI takes no CONNECTION: its own connection's parameters apply"))
}

/// [4000]
pub(crate) fn storage(what: &str) -> Error {
    Error::databend(Number::STORAGE, format!("invalid input parameter ({what})"))
}

fn pairs(parameters: &[Parameter]) -> Result<Vec<(String, String)>> {
    let pair = |parameter: &Parameter| match parameter.values.as_slice() {
        [value] => Ok((parameter.name.clone(), value.clone())),
        _ => Err(storage(&format!("{} takes one value", parameter.name)).with_position(parameter.position)),
    };
    parameters.iter().map(pair).collect()
}

/// # Errors
/// [4000] for what looks like a path of a stage or of a connection. What else is no URI may hold a secret.
fn require_scheme(uri: &str) -> Result<()> {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./$~ ".contains(c);
    if uri.is_empty() || uri.starts_with('/') || !uri.chars().all(is_plain) {
        return Ok(());
    }
    let hint = format!("write 'external://{uri}' for files of a connection, '@{uri}' for those of a stage");
    Err(storage(&format!("'{uri}' is no URI: it has no scheme")).with_hint(hint))
}

/// # Errors
/// [4000] when a URI is of another kind than the connection.
fn require_protocol(target: &Target, name: &str, uri: &str) -> Result<()> {
    let spec = target.spec();
    let protocol = spec.databend_type.unwrap_or(spec.schemes[0]);
    let scheme = uri.split_once("://").map_or("", |(scheme, _)| scheme);
    if protocol.eq_ignore_ascii_case(scheme) || spec.schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return Ok(());
    }
    let what = format!("protocol from connection_name={name} ({protocol}) not match with uri protocol ({scheme}).");
    Err(storage(&what))
}

/// A path below a stage without empty and `.` segments and a slash in front; a slash at its end stays.
///
/// # Errors
/// [1006] for one that climbs.
pub(crate) fn clean(path: &str) -> Result<String> {
    let dots = |part: &str| part.replace("%2e", ".").replace("%2E", ".");
    if path.split('/').any(|part| dots(part) == "..") {
        let path = printable(path);
        let message = format!("stage path traversal is not allowed by stage_path_traversal_policy: {path}");
        return Err(Error::databend(Number::BAD_ARGUMENTS, message));
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && dots(part) != ".").collect();
    let slash = if path.ends_with('/') && !parts.is_empty() { "/" } else { "" };
    Ok(parts.join("/") + slash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_their_stage() {
        for (path, expected) in
            [("", ""), ("/", ""), ("a//b/./c", "a/b/c"), ("a/b/", "a/b/"), ("/a", "a"), ("..a", "..a")]
        {
            assert_eq!(clean(path).unwrap(), expected, "{path}");
        }
        for path in ["..", "a/../b", "../a", "a/..", "%2e%2E/a"] {
            let message = clean(path).unwrap_err().message().to_string();
            assert!(message.starts_with("[1006] stage path traversal is not allowed"), "{message}");
        }
    }
}
