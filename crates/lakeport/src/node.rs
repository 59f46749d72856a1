//! One running server: stores opened, listeners bound, jobs running; and how it stops.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use lakeport_base::{Env, Point};
use lakeport_catalog::Catalog;
use lakeport_catalog::seal::MasterKey;
use lakeport_catalog::sqlite::SqliteCatalog;
use lakeport_connect::layer::Meter;
use lakeport_connect::{Clients, LocalStore, OpenCx, OutboundPolicy, Timeouts};
use lakeport_core::job::Jobs;
use lakeport_core::schedule::Scheduler;
use lakeport_core::upkeep::Housekeeping;
use lakeport_core::{Server, ServerConfig};
use lakeport_engine::{DataFusionEngine, EngineOptions};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Warehouse};
use crate::http::{self, Pages};
use crate::{log, password, tls};

/// `lakeport start`: serves until SIGTERM or SIGINT.
///
/// # Errors
/// Whatever keeps the server from starting or from stopping cleanly.
pub async fn run(config: Config) -> Result<()> {
    // Before the line that says the server is ready: whoever reads it may send the signal.
    let signals = StopSignals::listen()?;
    let node = Node::start(config).await?;
    node.print_ready();
    signals.first().await;
    node.stop().await;
    Ok(())
}

/// SIGTERM and SIGINT, which do not end the process once they are listened for.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// # Errors
    /// The operating system refusing a handler.
    pub fn listen() -> Result<StopSignals> {
        let terminate = signal(SignalKind::terminate()).context("handle SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("handle SIGINT")?;
        Ok(StopSignals { terminate, interrupt })
    }

    /// Waits for the first signal. From then on a second one ends the process at once.
    pub async fn first(mut self) {
        let name = self.next().await;
        tracing::info!(signal = name, "stopping");
        tokio::spawn(async move {
            let name = self.next().await;
            tracing::warn!(signal = name, "second signal: leaving at once");
            std::process::exit(EXIT_INTERRUPTED);
        });
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// What a part of the server gets to end in, beyond the grace of its statements.
const PART_END_TIME: Duration = Duration::from_secs(10);

/// Exit code after a second signal, as shells have it for SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// A server that takes connections.
pub struct Node {
    pg_addr: SocketAddr,
    http_addr: SocketAddr,
    ready: Arc<AtomicBool>,
    shutdown_grace: Duration,
    sessions: Part,
    jobs: Part,
    schedules: Part,
    housekeeping: Part,
    pages: Part,
    sweep: Option<Part>,
}

/// A task that ends soon after it is told to.
struct Part {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Part {
    fn start<F>(run: impl FnOnce(CancellationToken) -> F) -> Part
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(stop.clone()));
        Part { stop, task }
    }

    /// Tells it to end and waits, no longer than `limit`.
    async fn end(self, name: &str, limit: Duration) {
        self.stop.cancel();
        match tokio::time::timeout(limit, self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(name, %error, "a part of the server had stopped"),
            Err(_) => tracing::warn!(name, "a part of the server does not end: it is left behind"),
        }
    }
}

impl Node {
    /// Opens the stores, binds the listeners, starts the jobs.
    ///
    /// # Errors
    /// Names the folder, file or address that cannot be had.
    pub async fn start(config: Config) -> Result<Node> {
        log::init(config.log_format, &config.log_filter)?;
        forbid_core_dumps()?;
        lakeport_connect::install_tls_provider();
        let env = environment(&config);
        let sessions = lakeport_wire::Options {
            tls: config.certs_dir.as_deref().map(tls::server_config).transpose()?,
            shutdown_grace: config.shutdown_grace,
            env: env.clone(),
        };
        raise_file_limit();
        let (server, catalog) = open_server(&config, env.clone()).await?;
        let leftovers = server.leftovers().await?;
        env.fault(Point::StartServe)?;
        let pg = bind("--listen-addr", config.listen_addr).await?;
        let http = bind("--http-addr", config.http_addr).await?;
        let (pg_addr, http_addr) = (pg.local_addr()?, http.local_addr()?);
        let ready = Arc::new(AtomicBool::new(true));
        let extern_store = open_external_io_dir(&config, &env)?;
        let pages = Pages { server: server.clone(), catalog, ready: ready.clone() };
        tracing::info!(pg = %pg_addr, http = %http_addr, insecure = config.insecure, "ready");
        Ok(Node {
            pg_addr,
            http_addr,
            ready,
            shutdown_grace: config.shutdown_grace,
            jobs: Part::start(|stop| Jobs::run(server.clone(), stop)),
            schedules: Part::start(|stop| Scheduler::run(server.clone(), stop)),
            housekeeping: Part::start(|stop| Housekeeping::run(server.clone(), leftovers, stop)),
            sessions: Part::start(|stop| lakeport_wire::serve(pg, server, sessions, stop)),
            pages: Part::start(|stop| http::serve(http, pages, stop)),
            sweep: extern_store.map(|store| Part::start(|stop| sweep(store, env.clone(), stop))),
        })
    }

    /// Tells whoever started the process that it takes connections, and where.
    pub fn print_ready(&self) {
        println!("lakeport: ready pg={} http={}", self.pg_addr, self.http_addr);
    }

    /// Where clients of the PostgreSQL protocol connect.
    pub fn pg_addr(&self) -> SocketAddr {
        self.pg_addr
    }

    /// Where `/health` and `/metrics` are.
    pub fn http_addr(&self) -> SocketAddr {
        self.http_addr
    }

    /// Stops: no new sessions, statements get the grace, jobs are handed back, then the HTTP pages go.
    pub async fn stop(self) {
        self.ready.store(false, Ordering::Release);
        self.sessions.end("sessions", self.shutdown_grace + PART_END_TIME).await;
        self.schedules.end("schedules", PART_END_TIME).await;
        self.jobs.end("jobs", PART_END_TIME).await;
        self.housekeeping.end("housekeeping", PART_END_TIME).await;
        self.pages.end("pages", PART_END_TIME).await;
        if let Some(sweep) = self.sweep {
            sweep.end("sweep", PART_END_TIME).await;
        }
        tracing::info!("stopped");
    }
}

/// The clock and randomness of the system, and the faults that a test has asked for.
fn environment(config: &Config) -> Env {
    let Some(plan) = config.faults.clone() else { return Env::system() };
    tracing::warn!(?plan, "this server fails on purpose");
    Env::system().with_fault(Arc::new(move |point| plan.reach(point)))
}

async fn bind(flag: &str, addr: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(addr).await.with_context(|| format!("{flag}: listen on {addr}"))
}

async fn open_server(config: &Config, env: Env) -> Result<(Arc<Server>, Arc<dyn Catalog>)> {
    make_private_folder(&config.store)?;
    let master = |sealed| match sealed {
        true => MasterKey::load(&config.master_key),
        false => MasterKey::load_or_create(&config.master_key, &env),
    };
    let catalog: Arc<dyn Catalog> = Arc::new(SqliteCatalog::open(&config.catalog, master, env.clone()).await?);
    env.fault(Point::StartCatalog)?;
    if !config.insecure {
        password::ensure_root_password(catalog.as_ref(), &env, &config.store.join("root.password")).await?;
    }
    let warehouse = open_warehouse(config, &env).await.context("--warehouse")?;
    let server = Server::new(ServerConfig {
        catalog: catalog.clone(),
        engine: Arc::new(open_engine(config, env.clone())?),
        env,
        warehouse,
        node_id: config.node_id,
        external_io_dir: config.external_io_dir.clone(),
        external_io_http_disabled: config.external_io_http_disabled,
        external_io_implicit_disabled: config.external_io_implicit_disabled,
        external_io_metadata_allowed: config.external_io_metadata_allowed,
        insecure: config.insecure,
    });
    Ok((server, catalog))
}

fn open_engine(config: &Config, env: Env) -> Result<DataFusionEngine> {
    let spill_dir = config.store.join("spill");
    make_private_folder(&spill_dir)?;
    empty_folder(&spill_dir)?;
    let options = EngineOptions {
        memory_bytes: usize::try_from(config.memory_limit_bytes).unwrap_or(usize::MAX),
        spill_dir,
        parallelism: lakeport_base::limits::cores(),
    };
    Ok(DataFusionEngine::new(options, env)?)
}

async fn open_warehouse(config: &Config, env: &Env) -> Result<Arc<dyn ObjectStore>> {
    let target = match &config.warehouse {
        Warehouse::Folder(folder) => {
            make_private_folder(folder)?;
            let store = LocalStore::open(folder, env.clone())?;
            env.fault(Point::StartSweep)?;
            // What a crash left half written; nobody else writes a store that this process has locked.
            let swept = store.sweep(env.now()).await?;
            if swept > 0 {
                tracing::info!(swept, "removed files that were never finished");
            }
            return Ok(Arc::new(store));
        }
        Warehouse::Bucket(target) => target,
    };
    // The operator's own choice: what users' URIs may not reach is no concern of it.
    let policy = OutboundPolicy { allow_metadata_addresses: true, ..OutboundPolicy::default() };
    let cx = OpenCx {
        env: env.clone(),
        node_id: config.node_id,
        external_io_dir: None,
        userfiles: Arc::new(InMemory::new()),
        user: "root".to_string(),
        policy,
        timeouts: Timeouts::default(),
        meter: Meter::default(),
        clients: Clients::default(),
    };
    Ok(target.open(&cx).await?)
}

fn open_external_io_dir(config: &Config, env: &Env) -> Result<Option<LocalStore>> {
    let Some(dir) = &config.external_io_dir else { return Ok(None) };
    make_private_folder(dir)?;
    Ok(Some(LocalStore::open(dir, env.clone())?))
}

/// Deletes what a crash left half written for nodelocal URIs. Others may write there too, and it may hold any number of
/// files, so nobody waits for it.
async fn sweep(store: LocalStore, env: Env, stop: CancellationToken) {
    match store.sweep_files(env.now(), move || stop.is_cancelled()).await {
        Ok(0) => {}
        Ok(swept) => tracing::info!(swept, "removed files behind nodelocal that were never finished"),
        Err(error) => tracing::warn!(%error, "files behind nodelocal that were never finished remain"),
    }
}

/// Makes a folder that only its owner can enter, unless it exists.
fn make_private_folder(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("make {}", path.display()))
}

/// Deletes what a killed process has left in a folder that only this one uses.
fn empty_folder(path: &Path) -> Result<()> {
    let empty = || {
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => std::fs::remove_dir_all(entry.path())?,
                false => std::fs::remove_file(entry.path())?,
            }
        }
        std::io::Result::Ok(())
    };
    empty().with_context(|| format!("empty {}", path.display()))
}

/// Lets the process have as many sockets and files as it may: the usual start is fewer than [`CONNECTIONS_MAX`] takes.
///
/// [`CONNECTIONS_MAX`]: lakeport_base::limits::CONNECTIONS_MAX
fn raise_file_limit() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// A core dump would hold secrets in clear.
fn forbid_core_dumps() -> Result<()> {
    rlimit::setrlimit(rlimit::Resource::CORE, 0, 0).context("forbid core dumps")
}
