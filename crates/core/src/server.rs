//! The server: one per process, shared by every session and job.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use lakeport_base::{Env, Secret};
use lakeport_catalog::Catalog;
use lakeport_catalog::model::AuditEvent;
use lakeport_connect::Clients;
use lakeport_connect::layer::Meter;
use object_store::ObjectStore;
use tokio::sync::{Mutex, mpsc};

use crate::admission::Admission;
use crate::advisory::AdvisoryLocks;
use crate::backup::PassphraseCache;
use crate::directory::Directory;
use crate::engine::Engine;
use crate::error::Result;
use crate::job::Jobs;
use crate::outcome::SessionEvent;
use crate::schedule::RunCounts;
use crate::session::{Session, Startup};
use crate::stage::open::OpenStages;
use crate::upkeep::Housekeeping;

/// What a server is made of.
pub struct ServerConfig {
    pub catalog: Arc<dyn Catalog>,
    pub engine: Arc<dyn Engine>,
    pub env: Env,
    /// Root of the tables and of the users' files.
    pub warehouse: Arc<dyn ObjectStore>,
    pub node_id: i64,
    /// Root of `nodelocal`; `None` disables it.
    pub external_io_dir: Option<PathBuf>,
    pub external_io_http_disabled: bool,
    pub external_io_implicit_disabled: bool,
    /// URIs may reach link-local and metadata addresses.
    pub external_io_metadata_allowed: bool,
    /// No passwords.
    pub insecure: bool,
}

/// What it takes to log in.
pub struct Login {
    /// SCRAM-SHA-256 verifier in PostgreSQL's text form. `None`: unknown user, NOLOGIN, expired, or no password set.
    pub verifier: Option<Secret<String>>,
}

/// The shared state of all sessions and jobs.
pub struct Server {
    pub(crate) config: ServerConfig,
    pub(crate) jobs: Jobs,
    pub(crate) meter: Meter,
    pub(crate) clients: Clients,
    pub(crate) housekeeping: Housekeeping,
    pub(crate) admission: Arc<Admission>,
    pub(crate) advisory_locks: AdvisoryLocks,
    pub(crate) passphrases: PassphraseCache,
    pub(crate) open_stages: OpenStages,
    pub(crate) schedule_runs: RunCounts,
    /// Held by whoever takes keys of a backup away.
    pub(crate) dropping_keys: Mutex<()>,
    /// One job at a time takes over the lock of a backup that has ended.
    pub(crate) taking_over: Mutex<()>,
    directory: Mutex<Option<Arc<Directory>>>,
    sessions: AtomicI64,
    session_numbers: AtomicU32,
    statements: std::sync::Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

impl Server {
    /// A server over opened stores. Jobs do not run before [`Jobs::run`].
    pub fn new(config: ServerConfig) -> Arc<Server> {
        Arc::new(Server {
            jobs: Jobs::new(config.node_id),
            config,
            meter: Meter::default(),
            clients: Clients::default(),
            housekeeping: Housekeeping::default(),
            admission: Admission::new(lakeport_base::limits::cores()),
            advisory_locks: AdvisoryLocks::default(),
            passphrases: PassphraseCache::default(),
            open_stages: OpenStages::default(),
            schedule_runs: RunCounts::default(),
            dropping_keys: Mutex::new(()),
            taking_over: Mutex::new(()),
            directory: Mutex::new(None),
            sessions: AtomicI64::new(0),
            session_numbers: AtomicU32::new(0),
            statements: std::sync::Mutex::default(),
        })
    }

    /// The job registry.
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// The upkeep of tables.
    pub fn housekeeping(&self) -> &Housekeeping {
        &self.housekeeping
    }

    /// How runs of schedules have ended.
    pub fn schedule_runs(&self) -> &RunCounts {
        &self.schedule_runs
    }

    pub fn is_insecure(&self) -> bool {
        self.config.insecure
    }

    /// Sessions open now.
    pub fn session_count(&self) -> i64 {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Statements begun, by topic and outcome (`ok`, `error`, `canceled`), since the server started.
    pub fn statement_counts(&self) -> Vec<(&'static str, &'static str, u64)> {
        let counts = self.statements.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        counts.iter().map(|((topic, outcome), count)| (*topic, *outcome, *count)).collect()
    }

    pub(crate) fn count_statement(&self, topic: &'static str, outcome: &'static str) {
        let mut counts = self.statements.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *counts.entry((topic, outcome)).or_default() += 1;
    }

    /// A number for a new session, never 0; clients read it as signed.
    pub(crate) fn next_session_number(&self) -> u32 {
        self.session_numbers.fetch_add(1, Ordering::Relaxed) % (i32::MAX as u32) + 1
    }

    pub(crate) fn count_session(&self, change: i64) {
        self.sessions.fetch_add(change, Ordering::Relaxed);
    }

    /// The catalog as of now.
    pub async fn directory(&self) -> Result<Arc<Directory>> {
        let generation = self.config.catalog.generation();
        let mut cached = self.directory.lock().await;
        if let Some(directory) = cached.as_ref().filter(|directory| directory.generation == generation) {
            return Ok(directory.clone());
        }
        let mut tx = self.config.catalog.read().await?;
        let directory = Arc::new(Directory::load(tx.as_mut(), generation).await?);
        *cached = Some(directory.clone());
        Ok(directory)
    }

    /// What the user must prove to log in.
    pub async fn login(&self, user: &str) -> Result<Login> {
        let directory = self.directory().await?;
        let now = self.config.env.now_micros();
        let role =
            directory.roles.get(user).filter(|role| role.login && role.valid_until.is_none_or(|until| now < until));
        Ok(Login { verifier: role.and_then(|role| role.verifier.clone()) })
    }

    /// Whether a user is a member of admin, by whatever way.
    pub async fn is_admin(&self, user: &str) -> Result<bool> {
        Ok(self.directory().await?.is_admin(user))
    }

    /// Opens a session for a user who has proved who they are.
    ///
    /// # Errors
    /// 28000 for a role that does not exist or may not log in, 3D000 for a missing database.
    pub async fn open_session(
        self: &Arc<Self>,
        start: Startup,
    ) -> Result<(Arc<Session>, mpsc::Receiver<SessionEvent>)> {
        Session::open(self.clone(), start).await
    }

    /// Writes an audit event. A failure is logged, since the audited act has happened.
    pub(crate) async fn audit(&self, user: &str, event: &str, object: &str, detail: &str) {
        let event = self.audit_event(user, event, object, detail);
        let written = async {
            let mut tx = self.config.catalog.write().await?;
            tx.insert_event(&event).await?;
            tx.commit().await
        };
        if let Err(error) = written.await {
            tracing::error!(%error, event = event.event, "audit event not written");
        }
    }

    pub(crate) fn audit_event(&self, user: &str, event: &str, object: &str, detail: &str) -> AuditEvent {
        AuditEvent {
            at: self.config.env.now_micros(),
            user: user.to_string(),
            event: event.to_string(),
            object: object.to_string(),
            detail: detail.to_string(),
        }
    }
}
