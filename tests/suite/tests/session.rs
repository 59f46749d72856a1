//! One session of an SQL file: statements over either protocol, and the meta commands that are caught before the wire.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use sqllogictest::{AsyncDB, ColumnType, DBOutput};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::server::Server;
use crate::text::Text;

/// How statements travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Simple,
    Extended,
}

impl Protocol {
    /// The label of `onlyif` and `skipif`.
    pub fn label(self) -> &'static str {
        match self {
            Protocol::Simple => "simple",
            Protocol::Extended => "extended",
        }
    }
}

/// What the sessions of one file share.
pub struct Stage {
    pub server: Mutex<Server>,
    /// What `${NAME}` stands for in SQL.
    pub variables: Mutex<BTreeMap<String, String>>,
    /// Accepted lines of the server's log.
    pub log_allowed: Mutex<Vec<regex::Regex>>,
}

impl Stage {
    pub fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a variable, for SQL and for the commands of this thread.
    pub fn set(&self, name: &str, value: &str) {
        let mut variables = self.variables.lock().unwrap_or_else(PoisonError::into_inner);
        variables.insert(name.to_string(), value.to_string());
        COMMAND_VARIABLES.set(variables.clone());
    }

    fn substitute(&self, sql: &str) -> String {
        let variables = self.variables.lock().unwrap_or_else(PoisonError::into_inner);
        variables.iter().fold(sql.to_string(), |sql, (name, value)| sql.replace(&format!("${{{name}}}"), value))
    }
}

thread_local! {
    /// The environment of `system` commands: the runner starts them without a session.
    static COMMAND_VARIABLES: RefCell<BTreeMap<String, String>> = RefCell::default();
}

/// A result column's letter: I integers, R other numbers, B booleans, T the rest, ? not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Letter(char);

impl ColumnType for Letter {
    fn from_char(value: char) -> Option<Letter> {
        "IRBT?".contains(value).then_some(Letter(value))
    }

    fn to_char(&self) -> char {
        self.0
    }
}

impl Letter {
    /// Whether the letters agree where both are known. The simple protocol's client does not tell types.
    #[allow(clippy::ptr_arg, reason = "the runner's signature")]
    pub fn agree(actual: &Vec<Letter>, expected: &Vec<Letter>) -> bool {
        let same = |(a, b): (&Letter, &Letter)| a == b || a.0 == '?' || b.0 == '?';
        actual.len() == expected.len() && actual.iter().zip(expected).all(same)
    }

    fn of(ty: &Type) -> Letter {
        Letter(match *ty {
            Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => 'I',
            Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => 'R',
            Type::BOOL => 'B',
            _ => 'T',
        })
    }
}

/// `SQLSTATE: message`, then one line each for what else the server said.
#[derive(Clone, Debug)]
pub struct SessionError {
    code: Option<String>,
    text: String,
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for SessionError {}

impl From<tokio_postgres::Error> for SessionError {
    fn from(error: tokio_postgres::Error) -> SessionError {
        let Some(fields) = error.as_db_error() else {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            return SessionError { code: None, text: format!("connection: {error}: {cause}") };
        };
        let code = fields.code().code().to_string();
        let mut text = format!("{code}: {}", fields.message());
        let position = fields.position().map(|position| match position {
            tokio_postgres::error::ErrorPosition::Original(at) => at.to_string(),
            tokio_postgres::error::ErrorPosition::Internal { position, .. } => position.to_string(),
        });
        let lines = [("DETAIL", fields.detail()), ("HINT", fields.hint()), ("POSITION", position.as_deref())];
        for (name, value) in lines.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            text += &format!("\n{name}: {value}");
        }
        SessionError { code: Some(code), text }
    }
}

impl SessionError {
    fn usage(text: String) -> SessionError {
        SessionError { code: None, text }
    }
}

/// One connection of a file.
pub struct FileSession {
    stage: Arc<Stage>,
    protocol: Protocol,
    user: String,
    password: Option<String>,
    header: bool,
    /// The address it was made to, since a restarted server listens elsewhere.
    client: Option<(std::net::SocketAddr, Client)>,
}

impl FileSession {
    /// A session of root that connects with its first statement.
    pub fn new(stage: Arc<Stage>, protocol: Protocol) -> FileSession {
        let password = std::fs::read_to_string(stage.server().store().join("root.password")).ok();
        let password = password.map(|text| text.trim().to_string());
        FileSession { stage, protocol, user: "root".to_string(), password, header: false, client: None }
    }

    async fn client(&mut self) -> Result<&Client, SessionError> {
        let address = self.stage.server().pg;
        if self.client.as_ref().is_none_or(|(made_to, client)| *made_to != address || client.is_closed()) {
            self.client = Some((address, self.connect(address).await?));
        }
        Ok(&self.client.as_ref().expect("just made").1)
    }

    async fn connect(&self, address: std::net::SocketAddr) -> Result<Client, SessionError> {
        let mut config = tokio_postgres::Config::new();
        config.host(address.ip().to_string()).port(address.port()).user(&self.user).dbname("defaultdb");
        if let Some(password) = &self.password {
            config.password(password);
        }
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    async fn meta(&mut self, command: &str) -> Result<(), SessionError> {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["connect", user] => self.reconnect(user, None).await,
            ["connect", user, password] => self.reconnect(user, Some(password)).await,
            ["header", state @ ("on" | "off")] => {
                self.header = *state == "on";
                Ok(())
            }
            ["log", "allow", ..] => {
                let pattern = command.trim_start_matches("log").trim_start().trim_start_matches("allow").trim();
                let pattern = regex::Regex::new(pattern).map_err(|error| SessionError::usage(error.to_string()))?;
                self.stage.log_allowed.lock().unwrap_or_else(PoisonError::into_inner).push(pattern);
                Ok(())
            }
            ["let", name, ..] => {
                let query = command.trim_start_matches("let").trim_start().trim_start_matches(name).trim();
                let value = self.single_value(query).await?;
                self.stage.set(name, &value);
                Ok(())
            }
            ["server", "restart", flags @ ..] => {
                self.client = None;
                self.stage.server().restart(flags);
                Ok(())
            }
            _ => Err(SessionError::usage(format!("unknown meta command \\{command}"))),
        }
    }

    async fn single_value(&mut self, query: &str) -> Result<String, SessionError> {
        match self.simple(query).await? {
            DBOutput::Rows { rows, .. } if rows.len() == 1 && rows[0].len() == 1 => Ok(rows[0][0].clone()),
            _ => Err(SessionError::usage(format!("not one value: {query}"))),
        }
    }

    async fn reconnect(&mut self, user: &str, password: Option<&str>) -> Result<(), SessionError> {
        self.client = None;
        self.user = user.to_string();
        self.password = password.map(str::to_string);
        self.client().await.map(drop)
    }

    async fn simple(&mut self, sql: &str) -> Result<DBOutput<Letter>, SessionError> {
        let messages = self.client().await?.simple_query(sql).await?;
        let mut header = None;
        let mut rows = Vec::new();
        let mut affected = 0;
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    header = Some(columns.iter().map(|column| column.name().to_string()).collect());
                }
                SimpleQueryMessage::Row(row) => rows.push((0..row.len()).map(|at| show(row.get(at))).collect()),
                SimpleQueryMessage::CommandComplete(count) => affected = count,
                _ => {}
            }
        }
        Ok(self.output(header.map(|names: Vec<String>| (vec![Letter('?'); names.len()], names)), rows, affected))
    }

    async fn extended(&mut self, sql: &str) -> Result<DBOutput<Letter>, SessionError> {
        let client = self.client().await?;
        let statement = client.prepare(sql).await?;
        let stream = client.query_raw(&statement, std::iter::empty::<i32>()).await?;
        let mut stream = std::pin::pin!(stream);
        let mut rows = Vec::new();
        while let Some(row) = stream.try_next().await? {
            let value = |at| row.try_get::<_, Text>(at).map(|text| show(text.0.as_deref()));
            rows.push((0..row.len()).map(value).collect::<Result<_, _>>()?);
        }
        let affected = stream.rows_affected().unwrap_or(0);
        let columns = statement.columns();
        let header = (!columns.is_empty()).then(|| {
            let letters = columns.iter().map(|column| Letter::of(column.type_())).collect();
            (letters, columns.iter().map(|column| column.name().to_string()).collect())
        });
        Ok(self.output(header, rows, affected))
    }

    fn output(
        &self,
        header: Option<(Vec<Letter>, Vec<String>)>,
        mut rows: Vec<Vec<String>>,
        affected: u64,
    ) -> DBOutput<Letter> {
        let Some((types, names)) = header else { return DBOutput::StatementComplete(affected) };
        if self.header {
            rows.insert(0, names);
        }
        DBOutput::Rows { types, rows }
    }
}

/// A value on one line of a file.
fn show(value: Option<&str>) -> String {
    match value {
        None => "NULL".to_string(),
        Some("") => "(empty)".to_string(),
        Some(text) => text.replace('\n', "\\n"),
    }
}

#[async_trait]
impl AsyncDB for FileSession {
    type Error = SessionError;
    type ColumnType = Letter;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Letter>, SessionError> {
        let sql = &self.stage.substitute(sql);
        if let Some(command) = sql.strip_prefix('\\') {
            return self.meta(command).await.map(|()| DBOutput::StatementComplete(0));
        }
        match self.protocol {
            Protocol::Simple => self.simple(sql).await,
            Protocol::Extended => self.extended(sql).await,
        }
    }

    async fn shutdown(&mut self) {
        self.client = None;
    }

    async fn sleep(duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    async fn run_command(mut command: Command) -> std::io::Result<Output> {
        command.envs(COMMAND_VARIABLES.with_borrow(Clone::clone)).output()
    }

    fn error_sql_state(error: &SessionError) -> Option<String> {
        error.code.clone()
    }
}
