//! Everything outside: who may use which URI, and the storage or key behind it.
//!
//! `external://name/sub` goes through the catalog each time its connection may have changed, so a job or a query follows
//! an ALTER at its next request; requests under way keep the old options. An upload in parts whose key has expired waits for
//! that ALTER.

mod named;
mod upload;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use lakeport_base::id::ConnectionId;
use lakeport_catalog::model::Connection;
use lakeport_connect::layer::Meter;
use lakeport_connect::target::LOCALITY_PARAM;
use lakeport_connect::{Access, ExternalRef, Kms, OpenCx, OutboundPolicy, Role, Storage, Target, Timeouts};
use object_store::path::{Path, PathPart};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions,
};
use tokio::sync::Mutex;

pub(crate) use self::named::Named;
use crate::authz::Subject;
use crate::error::{Error, Result};
use crate::job::Progress;
use crate::server::Server;
use crate::setting;

impl From<lakeport_connect::Error> for Error {
    fn from(error: lakeport_connect::Error) -> Error {
        Error::new(error.sqlstate(), error.to_string()).with_hint_opt(error.hint().map(str::to_string))
    }
}

/// A URI made out: the target it means now and the connection it went through.
#[derive(Clone)]
pub struct Resolved {
    pub target: Target,
    /// Id and version of the connection, for `external://` URIs.
    pub connection: Option<(ConnectionId, i64)>,
    /// Who owns the connection: it gives its users the owner's access.
    pub owner: Option<String>,
}

impl Server {
    /// The surroundings of a target opened for `user`.
    async fn open_context(&self, user: &str) -> Result<OpenCx> {
        let config = &self.config;
        let directory = self.directory().await?;
        Ok(OpenCx {
            env: config.env.clone(),
            node_id: config.node_id,
            external_io_dir: config.external_io_dir.clone(),
            userfiles: Arc::new(object_store::prefix::PrefixStore::new(config.warehouse.clone(), USERFILES)),
            user: user.to_string(),
            policy: OutboundPolicy {
                http_disabled: config.external_io_http_disabled,
                implicit_disabled: config.external_io_implicit_disabled,
                allow_metadata_addresses: config.external_io_metadata_allowed,
                ..OutboundPolicy::default()
            },
            timeouts: Timeouts::within(setting::STORAGE_TIMEOUT.duration(&directory)),
            meter: self.meter.clone(),
            clients: self.clients.clone(),
        })
    }

    /// Counters of requests to storage, by kind.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Whether the user may reach a URI: USAGE on the connection of an `external://` URI, EXTERNALIOIMPLICITACCESS for
    /// a plain one that uses the server's own access. Answers the same for connections that do not exist.
    ///
    /// # Errors
    /// 42501, or whatever makes the text no URI.
    pub(crate) async fn authorise_uri(&self, subject: Subject<'_>, uri: &str) -> Result<()> {
        match ExternalRef::parse(uri)? {
            Some(reference) => self.authorise_reference(subject, &reference).await,
            None => authorise_target(subject, &Target::parse(uri)?),
        }
    }

    /// As [`Server::authorise_uri`], for the URI of a key.
    ///
    /// # Errors
    /// 42501, or whatever makes the text no URI of a key.
    pub(crate) async fn authorise_kms(&self, subject: Subject<'_>, uri: &str) -> Result<()> {
        match ExternalRef::parse(uri)? {
            Some(reference) => self.authorise_reference(subject, &reference).await,
            None => authorise_target(subject, &Target::parse_kms(uri)?),
        }
    }

    pub(crate) async fn authorise_reference(&self, subject: Subject<'_>, reference: &ExternalRef) -> Result<()> {
        if subject.is_admin() {
            return Ok(());
        }
        let mut tx = self.config.catalog.read().await?;
        let found = tx.find_connection(&reference.name).await?;
        match found {
            Some(connection) if subject.has_on_connection(tx.as_mut(), connection.id, "USAGE").await? => Ok(()),
            _ => Err(subject.connection_denied(&reference.name, "USAGE")),
        }
    }

    /// What a URI means now. Does not ask whether the user may use it.
    ///
    /// # Errors
    /// A missing connection, parameters on the reference that no operation reads, or a path that escapes.
    pub(crate) async fn resolve(&self, uri: &str) -> Result<Resolved> {
        let Some(reference) = ExternalRef::parse(uri)? else {
            return Ok(Resolved { target: Target::parse(uri)?, connection: None, owner: None });
        };
        let connection = self.referred(&reference).await?;
        let target = target_of(&connection)?;
        target.require_role(Role::Storage)?;
        Ok(Resolved {
            target: target.join(&reference.path)?,
            connection: Some((connection.id, connection.version)),
            owner: Some(connection.owner),
        })
    }

    /// The connection that a reference names.
    async fn referred(&self, reference: &ExternalRef) -> Result<Connection> {
        check_params(reference)?;
        let found = self.config.catalog.read().await?.find_connection(&reference.name).await?;
        found.ok_or_else(|| missing_connection(&reference.name).prefixed("failed to load external connection object"))
    }

    /// Opens the key of a URI, plain or `external://` with the path ignored, when the user may use it now. A job asks
    /// for it again each time it runs, so that it follows an ALTER and notices that USAGE is gone.
    ///
    /// # Errors
    /// As [`Server::authorise_kms`]; a missing connection or one that holds no key; whatever opening it fails with.
    pub async fn open_kms(&self, user: &str, uri: &str) -> Result<Arc<dyn Kms>> {
        let directory = self.directory().await?;
        self.authorise_kms(Subject { directory: &directory, user }, uri).await?;
        let Some(reference) = ExternalRef::parse(uri)? else {
            return Ok(Target::parse_kms(uri)?.open_kms(&self.open_context(user).await?).await?);
        };
        let connection = self.referred(&reference).await?;
        let target = target_of(&connection)?;
        Ok(target.open_kms(&self.open_context(&connection.owner).await?).await?)
    }

    /// Opens the storage of a URI for a user who has been found to be allowed. Through an `external://` URI the store
    /// follows the connection: it reopens when the connection's version grows and fails once USAGE is gone.
    ///
    /// # Errors
    /// As [`Server::resolve`]; a target that is no storage; whatever opening it fails with.
    pub(crate) async fn open_storage(self: &Arc<Self>, user: &str, uri: &str) -> Result<Arc<dyn ObjectStore>> {
        self.open_following(user, uri, Arc::default(), false).await
    }

    /// As [`Server::open_storage`], for a job that writes what belongs together: where the connection leads elsewhere
    /// meanwhile every request fails. An upload that waits for its connection to be altered says so in the progress.
    ///
    /// # Errors
    /// As [`Server::open_storage`].
    pub(crate) async fn open_bound_storage(
        self: &Arc<Self>,
        user: &str,
        uri: &str,
        progress: Arc<Progress>,
    ) -> Result<Arc<dyn ObjectStore>> {
        self.open_following(user, uri, progress, true).await
    }

    async fn open_following(
        self: &Arc<Self>,
        user: &str,
        uri: &str,
        progress: Arc<Progress>,
        is_bound: bool,
    ) -> Result<Arc<dyn ObjectStore>> {
        // Before the connection is read, so that an ALTER in between is noticed at the first request.
        let generation = self.config.catalog.generation();
        let resolved = self.resolve(uri).await?;
        if ExternalRef::parse(uri)?.is_none() {
            return self.open_target(user, &resolved.target).await;
        }
        let current = Current::open(self, user, resolved, generation).await?;
        Ok(Arc::new(Following(Arc::new(Reference {
            server: self.clone(),
            user: user.to_string(),
            uri: uri.to_string(),
            current: Mutex::new(current),
            waiting: Mutex::default(),
            progress,
            is_bound,
        }))))
    }

    /// # Errors
    /// 0A000 when the kind of the URI's target cannot be written.
    pub(crate) async fn require_writable(&self, uri: &str) -> Result<()> {
        let target = self.resolve(uri).await?.target;
        if target.spec().capability.write {
            return Ok(());
        }
        Err(Error::unsupported(format!("files cannot be written to {} URIs", target.uri().scheme))
            .with_hint("use a bucket, nodelocal or userfile"))
    }

    pub(crate) async fn open_target(&self, user: &str, target: &Target) -> Result<Arc<dyn ObjectStore>> {
        Ok(target.open(&self.open_context(user).await?).await?)
    }

    /// Runs the check of a new definition, outside any catalog transaction.
    ///
    /// # Errors
    /// The step, the address and the cause.
    pub(crate) async fn probe(&self, user: &str, target: &Target, limit: Duration) -> Result<()> {
        Ok(lakeport_connect::probe(target, &self.open_context(user).await?, limit).await?)
    }
}

/// Folder of the warehouse that holds the users' files.
const USERFILES: &str = "userfiles";

impl Server {
    /// Whether a user has files behind `userfile://`.
    pub(crate) async fn has_userfiles(&self, user: &str) -> Result<bool> {
        let folder = Path::from_iter([PathPart::from(USERFILES), PathPart::from(user)]);
        let first = self.config.warehouse.list(Some(&folder)).try_next().await;
        Ok(first.map_err(store_error)?.is_some())
    }
}

/// What a connection leads to.
///
/// # Errors
/// A definition that this server does not understand.
pub(crate) fn target_of(connection: &Connection) -> Result<Target> {
    Ok(lakeport_connect::dialect::parse(connection.dialect, connection.definition.expose())?)
}

/// 42704 in CockroachDB's words.
pub(crate) fn missing_connection(name: &str) -> Error {
    Error::new(
        lakeport_base::Sqlstate::UNDEFINED_OBJECT,
        format!("external connection with name {name} does not exist"),
    )
    .with_hint("SHOW EXTERNAL CONNECTIONS lists the connections you may use")
}

pub(crate) fn authorise_target(subject: Subject<'_>, target: &Target) -> Result<()> {
    let allowed = target.access() == Access::Explicit || subject.has_system("EXTERNALIOIMPLICITACCESS");
    if allowed {
        return Ok(());
    }
    let remedy = subject.system_remedy("EXTERNALIOIMPLICITACCESS");
    Err(Error::denied(format!(
        "only users with the admin role or the EXTERNALIOIMPLICITACCESS system privilege are allowed to access the \
         specified {} URI",
        target.uri().scheme
    ))
    .with_hint(format!("use an external connection that you have USAGE on, or credentials in the URI; {remedy}")))
}

fn check_params(reference: &ExternalRef) -> Result<()> {
    match reference.params.iter().find(|(key, _)| key != LOCALITY_PARAM) {
        None => Ok(()),
        Some((key, _)) => Err(Error::invalid(format!(
            "parameter {key:?} cannot be written on external://{}: the connection's own parameters apply",
            reference.name
        ))
        .with_hint("ALTER EXTERNAL CONNECTION changes a connection's parameters")),
    }
}

/// The storage of an `external://` URI as of a catalog generation.
#[derive(Clone)]
struct Current {
    generation: u64,
    version: Option<(ConnectionId, i64)>,
    /// Where its files are: an upload goes on nowhere else.
    place: Arc<str>,
    storage: Storage,
}

impl Current {
    async fn open(server: &Server, user: &str, resolved: Resolved, generation: u64) -> Result<Current> {
        let context = server.open_context(resolved.owner.as_deref().unwrap_or(user)).await?;
        let storage = resolved.target.open_storage(&context).await?;
        Ok(Current { generation, version: resolved.connection, place: resolved.target.place().into(), storage })
    }
}

/// An `external://` URI in use by somebody.
struct Reference {
    server: Arc<Server>,
    user: String,
    uri: String,
    current: Mutex<Current>,
    /// Held by the one of all uploads that looks for an ALTER.
    waiting: Mutex<()>,
    /// Of the job that uses it.
    progress: Arc<Progress>,
    /// Whether it goes nowhere else.
    is_bound: bool,
}

impl Reference {
    /// The store to send the next request to.
    async fn now(&self) -> object_store::Result<Arc<dyn ObjectStore>> {
        Ok(self.current().await?.storage.files)
    }

    /// What the connection means now. Costs one atomic load while the catalog stands still.
    async fn current(&self) -> object_store::Result<Current> {
        let mut current = self.current.lock().await;
        let generation = self.server.config.catalog.generation();
        if current.generation != generation {
            self.refresh(&mut current, generation).await.map_err(into_store_error)?;
        }
        Ok(current.clone())
    }

    async fn refresh(&self, current: &mut Current, generation: u64) -> Result<()> {
        let directory = self.server.directory().await?;
        let subject = Subject { directory: &directory, user: &self.user };
        self.server.authorise_uri(subject, &self.uri).await?;
        let resolved = self.server.resolve(&self.uri).await?;
        if resolved.connection == current.version {
            current.generation = generation;
            return Ok(());
        }
        if self.is_bound && *current.place != *resolved.target.place() {
            return Err(self.led_elsewhere());
        }
        *current = Current::open(&self.server, &self.user, resolved, generation).await?;
        Ok(())
    }

    fn led_elsewhere(&self) -> Error {
        let message = format!("{} leads elsewhere since files were written there", lakeport_connect::redact(&self.uri));
        Error::new(lakeport_base::Sqlstate::IO_ERROR, message).with_hint("what is not whole there is made anew")
    }
}

pub(crate) fn into_store_error(error: Error) -> object_store::Error {
    object_store::Error::Generic { store: "external", source: Box::new(error) }
}

/// A failure of a store in the words of a client; one of [`Following`]'s own as it was.
pub(crate) fn store_error(error: object_store::Error) -> Error {
    match error {
        object_store::Error::Generic { store, source } => match source.downcast::<Error>() {
            Ok(own) => *own,
            Err(source) => lakeport_connect::Error::from(object_store::Error::Generic { store, source }).into(),
        },
        error => lakeport_connect::Error::from(error).into(),
    }
}

/// A store that reopens itself when its connection is altered.
struct Following(Arc<Reference>);

impl Following {
    /// A stream of the store as of the first poll.
    fn stream<T: Send + 'static>(
        &self,
        open: impl FnOnce(Arc<dyn ObjectStore>) -> BoxStream<'static, object_store::Result<T>> + Send + 'static,
    ) -> BoxStream<'static, object_store::Result<T>> {
        let reference = self.0.clone();
        futures::stream::once(async move { reference.now().await.map(open) }).try_flatten().boxed()
    }
}

impl fmt::Display for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&lakeport_connect::redact(&self.0.uri))
    }
}

impl fmt::Debug for Following {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[async_trait]
impl ObjectStore for Following {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.0.now().await?.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        upload::begin(&self.0, path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.0.now().await?.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        self.0.now().await?.get_ranges(path, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.stream(move |store| store.delete_stream(paths))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let prefix = prefix.cloned();
        self.stream(move |store| store.list(prefix.as_ref()))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let (prefix, offset) = (prefix.cloned(), offset.clone());
        self.stream(move |store| store.list_with_offset(prefix.as_ref(), &offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.0.now().await?.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.0.now().await?.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> object_store::Result<()> {
        self.0.now().await?.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests;
