//! One client's session: who it is, its variables, its transaction block, its running statement.

mod identity;
mod locks;
mod savepoint;
mod variables;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arrow_array::ArrayRef;
use lakeport_base::id::ScheduleId;
use lakeport_base::limits::NOTICE_QUEUE_MAX;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_sql::stmt::transaction::Transaction;
use lakeport_sql::{Parsed, Statement};
use tokio::sync::mpsc;

pub(crate) use self::identity::Identity;
use self::savepoint::Savepoint;
use self::variables::Change;
use crate::admission::Place;
use crate::authz::Subject;
use crate::cancel::Cancel;
use crate::engine::{Description, TransactionId};
use crate::error::{Error, Result};
use crate::outcome::{Notice, Notices, Outcome, SessionEvent};
use crate::running::Running;
use crate::server::Server;
use crate::stmt::effect::Effect;
use crate::stmt::{self, fetch::OpenCursor};
use crate::variable::{NO_ROLE, ROLE, SECONDARY_ROLES, VARIABLES, Variable};

/// Longest text that is parsed where sockets are served: a longer one takes seconds.
const PARSE_AT_ONCE_BYTES_MAX: usize = 64 << 10;

/// What a client says of itself when it connects.
#[derive(Clone, Debug)]
pub struct Startup {
    pub user: String,
    pub database: Option<String>,
    /// Other startup parameters, such as `application_name`.
    pub parameters: Vec<(String, String)>,
    pub client_addr: SocketAddr,
    /// Over TLS.
    pub secure: bool,
    /// The schedule whose run the session is.
    pub schedule: Option<ScheduleId>,
}

/// Where the session stands with its transaction block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    Idle,
    Open,
    /// A statement failed; only ROLLBACK (TO SAVEPOINT) or COMMIT will do.
    Failed,
}

/// An open transaction block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenBlock {
    pub id: TransactionId,
    pub failed: bool,
    /// Opened for the statements that one message or one round of messages holds; BEGIN makes it the client's own.
    pub implicit: bool,
    /// `now()` of every statement in the block, microseconds since the epoch.
    pub now: i64,
}

/// A statement prepared by SQL.
pub(crate) struct Prepared {
    pub parsed: Parsed,
    /// The types declared for its parameters, by position.
    pub types: Vec<Option<SqlType>>,
}

struct State {
    variables: HashMap<&'static str, String>,
    /// Those that the client has made: what `$name` stands for.
    own_variables: HashMap<String, String>,
    /// The variables when the session began.
    initial: HashMap<&'static str, String>,
    /// The variables that the block has changed.
    changes: Vec<Change>,
    block: Option<OpenBlock>,
    /// Those of the block, in the order of their making.
    savepoints: Vec<Savepoint>,
    prepared: HashMap<String, Arc<Prepared>>,
}

/// A session. One statement at a time; [`cancel`](Session::cancel) may come from elsewhere.
pub struct Session {
    /// The session itself, for statements that outlive the call that began them.
    this: Weak<Session>,
    pub(crate) server: Arc<Server>,
    /// Who has logged in. Whose privileges count, [`Session::identity`] tells.
    pub(crate) user: String,
    pub(crate) client_addr: SocketAddr,
    pub(crate) schedule: Option<ScheduleId>,
    number: u32,
    state: Mutex<State>,
    /// Cursors declared by SQL.
    cursors: Mutex<HashMap<String, Arc<OpenCursor>>>,
    running: Mutex<Cancel>,
    /// That of the statement that runs.
    place: Mutex<Weak<Place>>,
    events: mpsc::Sender<SessionEvent>,
}

impl Session {
    pub(crate) async fn open(
        server: Arc<Server>,
        start: Startup,
    ) -> Result<(Arc<Session>, mpsc::Receiver<SessionEvent>)> {
        let directory = server.directory().await?;
        let Some(role) = directory.roles.get(&start.user).filter(|role| role.login) else {
            return Err(Error::new(Sqlstate::INVALID_AUTHORIZATION, format!("user {} may not log in", start.user))
                .with_hint("CREATE USER makes a role that may; ALTER ROLE .. LOGIN allows one that exists"));
        };
        let database = start.database.as_deref().filter(|name| !name.is_empty()).unwrap_or("defaultdb");
        let mut variables: HashMap<&'static str, String> =
            VARIABLES.iter().map(|variable| (variable.name, variable.default.to_string())).collect();
        variables.insert("database", database.to_string());
        variables.insert("session_user", start.user.clone());
        variables.insert("session_authorization", start.user.clone());
        variables.insert("is_superuser", if directory.is_admin(&start.user) { "on" } else { "off" }.to_string());
        for (name, value) in role.defaults.iter().chain(&start.parameters) {
            let Ok(variable) = Variable::find(name) else { continue };
            variables.insert(variable.name, variable.checked(value)?);
            if variable.name == ROLE.name {
                // Acts alone, unless secondary roles are named after it.
                variables.insert(SECONDARY_ROLES.name, SECONDARY_ROLES.default.to_string());
            }
        }
        let subject = Subject { directory: &directory, user: &start.user };
        subject.require_connect(directory.database(&variables["database"])?)?;
        let asks_role = |(name, role): &&(String, String)| name.eq_ignore_ascii_case(ROLE.name) && role != NO_ROLE;
        if let Some((_, role)) = start.parameters.iter().rfind(asks_role) {
            subject.require_role(role)?;
        }
        let (events, receiver) = mpsc::channel(NOTICE_QUEUE_MAX);
        let state = State {
            initial: variables.clone(),
            variables,
            own_variables: HashMap::new(),
            changes: Vec::new(),
            block: None,
            savepoints: Vec::new(),
            prepared: HashMap::new(),
        };
        server.count_session(1);
        let number = server.next_session_number();
        let session = Arc::new_cyclic(|this| Session {
            this: this.clone(),
            server,
            user: start.user,
            client_addr: start.client_addr,
            schedule: start.schedule,
            number,
            state: Mutex::new(state),
            cursors: Mutex::default(),
            running: Mutex::new(Cancel::default()),
            place: Mutex::default(),
            events,
        });
        session.take_default_role(&directory)?;
        Ok((session, receiver))
    }

    /// The session's number: what `pg_backend_pid()` answers, and what cancel requests name.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The session as a value that may be kept.
    pub(crate) fn shared(&self) -> Arc<Session> {
        self.this.upgrade().expect("sessions are made in an Arc only")
    }

    /// Reads the statements of a text. A syntax error fails an open block, as any error does.
    pub async fn parse(&self, text: &str) -> Result<Vec<Parsed>> {
        let parsed = if text.len() <= PARSE_AT_ONCE_BYTES_MAX {
            lakeport_sql::parse(text)
        } else {
            let text = text.to_string();
            tokio::task::spawn_blocking(move || lakeport_sql::parse(&text)).await.map_err(Error::internal)?
        };
        parsed.map_err(|error| {
            self.fail_block();
            Error::from(error)
        })
    }

    /// Parameter types and result columns of a statement, without running it.
    pub async fn describe(&self, parsed: &Parsed, declared: &[Option<SqlType>]) -> Result<Description> {
        let running = self.start_statement();
        let describe = async {
            let _place = self.place_for(&parsed.statement).await?;
            stmt::describe(self, parsed, declared, running.cancel()).await
        };
        running.until_cancelled(describe).await.inspect_err(|_| self.fail_block())
    }

    /// Runs a statement. The time limit and [`cancel`](Session::cancel) also cover the rows it answers or takes.
    ///
    /// # Errors
    /// 53000 for a statement that would compute when too many do.
    pub async fn execute(&self, parsed: &Parsed, params: &[ArrayRef]) -> Result<Outcome> {
        if self.block() == Block::Failed && !ends_failure(&parsed.statement) {
            return Err(Error::new(
                Sqlstate::IN_FAILED_SQL_TRANSACTION,
                "current transaction is aborted, commands ignored until end of transaction block",
            )
            .with_hint("ROLLBACK ends the block, ROLLBACK TO SAVEPOINT goes back within it"));
        }
        let running = self.start_statement();
        let run = async {
            let place = self.place_for(&parsed.statement).await?;
            Ok((stmt::run(self, parsed, params, running.cancel()).await?, place))
        };
        let outcome = running.until_cancelled(run).await;
        let counted = match &outcome {
            Ok(_) => "ok",
            Err(error) if error.code() == Sqlstate::QUERY_CANCELED => "canceled",
            Err(_) => "error",
        };
        self.server.count_statement(parsed.statement.topic(), counted);
        let (outcome, place) = outcome.inspect_err(|_| self.fail_block())?;
        let running = running.holding(place);
        Ok(match outcome {
            Outcome::Rows { tag, rows } => Outcome::Rows { tag, rows: running.rows(rows) },
            Outcome::CopyOut { rows, options } => Outcome::CopyOut { rows: running.rows(rows), options },
            Outcome::CopyIn(copy) => Outcome::CopyIn(copy.under(running)),
            outcome => outcome,
        })
    }

    /// The place that a statement needs while it runs.
    async fn place_for(&self, statement: &Statement) -> Result<Option<Arc<Place>>> {
        if !stmt::needs_place(statement) {
            return Ok(None);
        }
        let place = Arc::new(self.server.admission.enter().await?);
        self.note_place(&place);
        Ok(Some(place))
    }

    /// Opens a block for the statements that a client sent together, the first of which is this one. Does nothing in a
    /// block, and for a statement that could not be undone with it.
    pub async fn begin_implicit(&self, first: &Parsed) -> Result<()> {
        if self.block() == Block::Idle && Effect::of(&first.statement).is_of_rows() {
            self.begin_block(true).await?;
        }
        Ok(())
    }

    /// Ends a block that [`begin_implicit`](Session::begin_implicit) opened: commits it, or undoes it if it failed.
    ///
    /// # Errors
    /// 40001 when the commit fails.
    pub async fn end_implicit(&self) -> Result<()> {
        let Some(block) = self.open_block().filter(|block| block.implicit) else { return Ok(()) };
        let running = self.start_statement();
        running.until_cancelled(self.end_block(block, &running.cancel())).await
    }

    /// Commits the open block, or undoes it if it has failed.
    ///
    /// # Errors
    /// 40001 when the commit fails.
    pub(crate) async fn end_block(&self, block: OpenBlock, cancel: &Cancel) -> Result<()> {
        if block.failed {
            self.roll_back(block).await;
            return Ok(());
        }
        let variables = self.leave_block();
        let committed = self.server.config.engine.commit(block.id, cancel).await;
        self.server.advisory_locks.end_block(self.number);
        committed.inspect_err(|_| self.put_variables(variables))
    }

    /// Undoes the open block.
    pub(crate) async fn roll_back(&self, block: OpenBlock) {
        let variables = self.leave_block();
        self.put_variables(variables);
        self.server.config.engine.rollback(block.id).await;
        self.server.advisory_locks.end_block(self.number);
    }

    pub(crate) async fn begin_block(&self, implicit: bool) -> Result<()> {
        let id = self.server.config.engine.begin().await?;
        let now = self.server.config.env.now_micros();
        self.enter_block(OpenBlock { id, failed: false, implicit, now });
        Ok(())
    }

    /// A number that changes with the catalog.
    pub fn catalog_generation(&self) -> u64 {
        self.server.config.catalog.generation()
    }

    /// Where the session stands with its block.
    pub fn block(&self) -> Block {
        match self.state().block {
            None => Block::Idle,
            Some(OpenBlock { failed: false, .. }) => Block::Open,
            Some(OpenBlock { failed: true, .. }) => Block::Failed,
        }
    }

    /// Marks an open block as failed; wire calls it when an error arises on its side.
    pub fn fail_block(&self) {
        if let Some(block) = &mut self.state().block {
            block.failed = true;
        }
    }

    /// Cancels the running statement, if there is one.
    pub fn cancel(&self) {
        self.running().cancel();
    }

    /// What cancels the statement that ran last.
    pub fn running(&self) -> Cancel {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a statement that stopped at a row limit the running one again.
    pub fn resume(&self, statement: &Cancel) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = statement.clone();
    }

    /// How long the session may now wait for its client, and what it ends with.
    pub fn idle_limit(&self) -> Option<(Duration, Error)> {
        if self.block() == Block::Idle {
            let limit = self.time_limit("idle_session_timeout")?;
            let message = "terminating connection due to idle-session timeout";
            return Some((limit, Error::new(Sqlstate::IDLE_SESSION_TIMEOUT, message)));
        }
        let limit = self.time_limit("idle_in_transaction_session_timeout")?;
        let message = "terminating connection due to idle-in-transaction timeout";
        Some((limit, Error::new(Sqlstate::IDLE_IN_TRANSACTION_SESSION_TIMEOUT, message)))
    }

    /// The open transaction block.
    pub fn transaction(&self) -> Option<TransactionId> {
        Some(self.open_block()?.id)
    }

    /// Ends the session: an open block is rolled back.
    pub async fn close(&self) {
        self.cancel();
        // Their rows may hold the session itself.
        self.cursors().clear();
        let block = self.state().block.take();
        if let Some(block) = block {
            self.server.config.engine.rollback(block.id).await;
        }
    }

    /// Sends a notice; dropped when the client does not read them.
    pub fn notice(&self, notice: Notice) {
        self.notices().send(notice);
    }

    /// Where notices go of what is found while a client takes rows.
    pub(crate) fn notices(&self) -> Notices {
        Notices(self.events.clone())
    }

    pub(crate) fn open_block(&self) -> Option<OpenBlock> {
        self.state().block
    }

    pub(crate) fn enter_block(&self, block: OpenBlock) {
        self.state().block = Some(block);
    }

    /// The block is over for the session: its savepoints, its cursors and SET LOCAL. Answers what the variables were
    /// before it.
    fn leave_block(&self) -> Vec<(&'static str, String)> {
        let mut state = self.state();
        state.block = None;
        state.savepoints.clear();
        self.cursors().retain(|_, cursor| cursor.hold);
        let changes = std::mem::take(&mut state.changes);
        drop(state);
        self.settle(changes)
    }

    pub(crate) fn prepared(&self, name: &str) -> Option<Arc<Prepared>> {
        self.state().prepared.get(name).cloned()
    }

    /// Keeps a statement prepared by SQL under its name; `false` when the name is taken.
    pub(crate) fn prepare(&self, name: &str, prepared: Prepared) -> bool {
        let mut state = self.state();
        if state.prepared.contains_key(name) {
            return false;
        }
        state.prepared.insert(name.to_string(), Arc::new(prepared));
        true
    }

    /// Forgets one prepared statement, or all; `false` when the name is unknown.
    pub(crate) fn deallocate(&self, name: Option<&str>) -> bool {
        let mut state = self.state();
        match name {
            Some(name) => state.prepared.remove(name).is_some(),
            None => {
                state.prepared.clear();
                true
            }
        }
    }

    /// The value of a variable of time; 0 is none.
    fn time_limit(&self, variable: &'static str) -> Option<Duration> {
        let ms = self.variable(variable).parse().unwrap_or(0);
        (ms > 0).then(|| Duration::from_millis(ms))
    }

    fn start_statement(&self) -> Running {
        let cancel = Cancel::default();
        self.resume(&cancel);
        Running::start(self.time_limit("statement_timeout"), cancel)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cursors(&self) -> MutexGuard<'_, HashMap<String, Arc<OpenCursor>>> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a statement changes rows of a table.
pub fn writes_rows(parsed: &Parsed) -> bool {
    matches!(Effect::of(&parsed.statement), Effect::WritesRows(_))
}

/// What may still run in a failed block.
fn ends_failure(statement: &Statement) -> bool {
    use Transaction::{Commit, Rollback, RollbackTo};
    matches!(statement, Statement::Transaction(Commit | Rollback | RollbackTo(_)))
}

impl Drop for Session {
    fn drop(&mut self) {
        self.server.advisory_locks.end_session(self.number);
        self.server.count_session(-1);
    }
}
