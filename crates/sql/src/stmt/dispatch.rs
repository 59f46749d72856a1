//! Leading words to grammar.

use lakeport_base::Dialect;

use super::{
    Statement, backup, connection, copy, database, export, fetch, file_format, grant, import, job, load, prepared,
    query, role, schedule, session, stage, table, transaction, userfile,
};
use crate::cursor::{Cursor, Result};
use crate::error::SyntaxError;

/// Reads what follows the leading words.
type Grammar = fn(&mut Cursor) -> Result<Statement>;

/// Every statement of ours; the first row whose words come next wins, so longer ones stand first.
const STATEMENTS: &[(&str, Grammar)] = &[
    ("ABORT", transaction::rollback),
    ("ALTER BACKUP SCHEDULE", schedule::alter),
    ("ALTER BACKUP", backup::alter::alter),
    ("ALTER DATABASE", database::rename_database),
    ("ALTER EXTERNAL CONNECTION", connection::alter),
    ("ALTER ROLE", role::alter),
    ("ALTER TABLE", table::alter),
    ("ALTER USER", role::alter),
    ("ANALYSE", |c| session::nothing("ANALYZE", c)),
    ("ANALYZE", |c| session::nothing("ANALYZE", c)),
    ("BACKUP", backup::backup),
    ("BEGIN", transaction::begin),
    ("CANCEL", |c| job::control(job::Control::Cancel, c)),
    ("CHECK EXTERNAL CONNECTION", connection::check),
    ("CHECKPOINT", |c| session::nothing("CHECKPOINT", c)),
    ("CLOSE", fetch::close),
    ("COMMENT ON", table::comment),
    ("COMMIT", transaction::commit),
    ("COPY USERFILE", userfile::copy_userfile),
    ("COPY", copy::copy),
    ("CREATE DATABASE", database::create_database),
    ("CREATE EXTERNAL CONNECTION", connection::create),
    ("CREATE INDEX", |c| session::nothing("CREATE INDEX", c)),
    ("CREATE ROLE", |c| role::create(false, c)),
    ("CREATE SCHEDULE", schedule::create),
    ("CREATE SCHEMA", database::create_schema),
    ("CREATE TABLE", table::create),
    ("CREATE USER", |c| role::create(true, c)),
    ("DEALLOCATE", prepared::deallocate),
    ("DECLARE", fetch::declare),
    ("DISCARD", session::discard),
    ("DROP DATABASE", database::drop_database),
    ("DROP EXTERNAL CONNECTION", connection::drop),
    ("DROP INDEX", |c| session::nothing("DROP INDEX", c)),
    ("DROP ROLE", role::drop),
    ("DROP SCHEDULES", |c| schedule::control(schedule::Control::Drop, c)),
    ("DROP SCHEDULE", |c| schedule::control(schedule::Control::Drop, c)),
    ("DROP SCHEMA", database::drop_schema),
    ("DROP TABLE", table::drop),
    ("DROP USERFILE", userfile::drop_userfile),
    ("DROP USER", role::drop),
    ("END", transaction::commit),
    ("EXECUTE", prepared::execute),
    ("EXPLAIN", query::explain),
    ("EXPORT INTO", export::export),
    ("FETCH", |c| fetch::fetch(fetch::Answer::Rows, c)),
    ("GRANT", grant::grant),
    ("IMPORT INTO", import::import),
    ("LISTEN", |c| session::nothing("LISTEN", c)),
    ("MOVE", |c| fetch::fetch(fetch::Answer::Count, c)),
    ("NOTIFY", |c| session::nothing("NOTIFY", c)),
    ("PAUSE SCHEDULES", |c| schedule::control(schedule::Control::Pause, c)),
    ("PAUSE SCHEDULE", |c| schedule::control(schedule::Control::Pause, c)),
    ("PAUSE", |c| job::control(job::Control::Pause, c)),
    ("PREPARE", prepared::prepare),
    ("RELEASE", transaction::release),
    ("RESET CLUSTER SETTING", session::reset_cluster_setting),
    ("RESET", session::reset),
    ("RESUME SCHEDULES", |c| schedule::control(schedule::Control::Resume, c)),
    ("RESUME SCHEDULE", |c| schedule::control(schedule::Control::Resume, c)),
    ("RESUME", |c| job::control(job::Control::Resume, c)),
    ("RESTORE", backup::restore::restore),
    ("REVOKE", grant::revoke),
    ("ROLLBACK", transaction::rollback),
    ("SAVEPOINT", transaction::savepoint),
    ("SET CLUSTER SETTING", session::set_cluster_setting),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION", transaction::of_session),
    ("SET TRANSACTION", transaction::of_block),
    ("SET", session::set),
    ("SHOW ALL CLUSTER SETTINGS", |_| Ok(ALL_CLUSTER_SETTINGS)),
    ("SHOW AUTOMATIC JOBS", job::show_jobs),
    ("SHOW BACKUPS", backup::show::backups),
    ("SHOW BACKUP ENCRYPTION FROM", backup::show::encryption),
    ("SHOW BACKUP", backup::show::backup),
    ("SHOW CLUSTER SETTINGS", |_| Ok(ALL_CLUSTER_SETTINGS)),
    ("SHOW CLUSTER SETTING", session::show_cluster_setting),
    ("SHOW COLUMNS", table::show_columns),
    ("SHOW CREATE ALL EXTERNAL CONNECTIONS", |_| Ok(ALL_CREATE_CONNECTIONS)),
    ("SHOW CREATE ALL SCHEDULES", |_| Ok(ALL_CREATE_SCHEDULES)),
    ("SHOW CREATE EXTERNAL CONNECTION", connection::show_create),
    ("SHOW CREATE SCHEDULE", schedule::show_create),
    ("SHOW CREATE", table::show_create),
    ("SHOW DATABASES", |_| Ok(Statement::ShowDatabases)),
    ("SHOW EXTERNAL CONNECTIONS", |_| Ok(ALL_CONNECTIONS)),
    ("SHOW EXTERNAL CONNECTION", connection::show),
    ("SHOW GRANTS", grant::show_grants),
    ("SHOW JOBS", job::show_jobs),
    ("SHOW JOB", job::show_job),
    ("SHOW PAUSED SCHEDULES", |c| schedule::show(schedule::Shown::Paused, c)),
    ("SHOW PUBLIC CLUSTER SETTINGS", |_| Ok(ALL_CLUSTER_SETTINGS)),
    ("SHOW ROLES", |_| Ok(Statement::ShowRoles(role::ShowRoles))),
    ("SHOW RUNNING SCHEDULES", |c| schedule::show(schedule::Shown::Running, c)),
    ("SHOW SCHEDULES", |c| schedule::show(schedule::Shown::All, c)),
    ("SHOW SCHEDULE", schedule::show_one),
    ("SHOW SCHEMAS", database::show_schemas),
    ("SHOW SYSTEM GRANTS", grant::show_system_grants),
    ("SHOW TABLES", table::show_tables),
    ("SHOW USERFILES", |_| Ok(Statement::ShowUserfiles(userfile::ShowUserfiles))),
    ("SHOW USERS", |_| Ok(Statement::ShowRoles(role::ShowRoles))),
    ("SHOW", show),
    ("START TRANSACTION", transaction::begin),
    ("TRUNCATE", table::truncate),
    ("UNLISTEN", |c| session::nothing("UNLISTEN", c)),
    ("USE", session::use_database),
    ("VACUUM", |c| session::nothing("VACUUM", c)),
];

/// Those of Databend's dialect, looked at first; their errors are in its words and carry its numbers.
const DATABEND: &[(&str, Grammar)] = &[
    ("ALTER STAGE", stage::alter),
    ("COPY INTO", load::copy_into),
    ("CREATE CONNECTION", |c| connection::create_of_options(false, c)),
    ("CREATE FILE FORMAT", |c| file_format::create(false, c)),
    ("CREATE OR REPLACE CONNECTION", |c| connection::create_of_options(true, c)),
    ("CREATE OR REPLACE FILE FORMAT", |c| file_format::create(true, c)),
    ("CREATE OR REPLACE STAGE", |c| stage::create(true, c)),
    ("CREATE STAGE", |c| stage::create(false, c)),
    ("DESC CONNECTION", connection::describe),
    ("DESC STAGE", stage::describe),
    ("DESCRIBE CONNECTION", connection::describe),
    ("DESCRIBE STAGE", stage::describe),
    ("DROP CONNECTION", connection::drop_named),
    ("DROP FILE FORMAT", file_format::drop),
    ("DROP STAGE", stage::drop),
    ("LIST", stage::list),
    ("REMOVE", stage::remove),
    ("SET VARIABLE", session::set_own),
    ("SHOW CONNECTIONS", |_| Ok(CONNECTIONS)),
    ("SHOW FILE FORMATS", |_| Ok(Statement::ShowFileFormats)),
    ("SHOW STAGES", stage::show),
    ("UNSET VARIABLE", session::unset_own),
    ("UNSET GLOBAL", session::reset_cluster_setting),
    ("UNSET", session::reset),
];

const ALL_CONNECTIONS: Statement =
    Statement::ShowConnections(connection::ShowConnections { name: None, dialect: Dialect::Cockroach });
const CONNECTIONS: Statement =
    Statement::ShowConnections(connection::ShowConnections { name: None, dialect: Dialect::Databend });
const ALL_CREATE_CONNECTIONS: Statement =
    Statement::ShowCreateConnection(connection::ShowCreateConnection { name: None });
const ALL_CREATE_SCHEDULES: Statement = Statement::ShowCreateSchedules(schedule::ShowCreateSchedules { id: None });
const ALL_CLUSTER_SETTINGS: Statement = Statement::ShowClusterSetting(session::ShowClusterSetting { name: None });

/// Leading words of statements that other servers of the family have and this one does not.
const UNSUPPORTED: &[&str] = &[
    "ALTER CHANGEFEED",
    "ALTER DEFAULT PRIVILEGES",
    "ALTER FUNCTION",
    "ALTER INDEX",
    "ALTER JOB",
    "ALTER SCHEMA",
    "ALTER SEQUENCE",
    "ALTER TYPE",
    "ALTER VIEW",
    "ALTER VIRTUAL CLUSTER",
    "CALL",
    "CANCEL QUERIES",
    "CANCEL QUERY",
    "CANCEL SESSION",
    "CREATE CHANGEFEED",
    "CREATE EXTENSION",
    "CREATE FUNCTION",
    "CREATE MATERIALIZED VIEW",
    "CREATE OR REPLACE",
    "CREATE PROCEDURE",
    "CREATE SEQUENCE",
    "CREATE STATISTICS",
    "CREATE TEMP",
    "CREATE TEMPORARY",
    "CREATE TRIGGER",
    "CREATE TYPE",
    "CREATE UNIQUE INDEX",
    "CREATE UNLOGGED",
    "CREATE VIEW",
    "CREATE VIRTUAL CLUSTER",
    "DO",
    "DROP EXTENSION",
    "DROP FUNCTION",
    "DROP MATERIALIZED VIEW",
    "DROP OWNED",
    "DROP SEQUENCE",
    "DROP TYPE",
    "DROP VIEW",
    "DROP VIRTUAL CLUSTER",
    "LOCK",
    "REASSIGN OWNED",
    "REFRESH MATERIALIZED VIEW",
    "REINDEX",
    "SHOW CHANGEFEED",
    "SHOW INDEXES",
    "SHOW VIRTUAL CLUSTER",
];

/// Leading words of Databend's and its users' for which there are others here, and these.
const OTHERWISE: &[(&str, &str)] = &[
    ("ALTER CONNECTION", "CREATE OR REPLACE CONNECTION or ALTER EXTERNAL CONNECTION changes a connection"),
    ("GET", "`lakeport stage get @stage/path` on the client's machine writes a local file"),
    ("LS", "write LIST @stage/path"),
    ("PUT", "`lakeport stage put FILE @stage/path` on the client's machine sends a local file"),
    ("RM", "write REMOVE @stage/path"),
];

/// Reads one statement and nothing more.
pub(crate) fn statement(c: &mut Cursor) -> Result<Statement> {
    if let Some(row) = row_of(DATABEND, c) {
        c.dialect = Dialect::Databend;
        return whole(row, c).map_err(|error| SyntaxError { dialect: Dialect::Databend, ..error });
    }
    if c.is_open() || query::LEADING.iter().any(|word| c.is_next(word)) {
        return ended(query::statement(c)?, c);
    }
    if let Some(words) = UNSUPPORTED.iter().find(|words| c.is_next(words)) {
        return Err(unsupported(words, c));
    }
    if let Some((words, hint)) = OTHERWISE.iter().find(|(words, _)| c.is_next(words)) {
        return Err(SyntaxError { dialect: Dialect::Databend, ..unsupported(words, c).with_hint(*hint) });
    }
    match row_of(STATEMENTS, c) {
        Some(row) => whole(row, c),
        None => Err(unknown(c)),
    }
}

fn unsupported(words: &str, c: &Cursor) -> SyntaxError {
    c.unsupported(format!("this statement is not supported: {words}"))
}

/// The row whose words come next.
fn row_of(table: &'static [(&'static str, Grammar)], c: &Cursor) -> Option<(&'static str, Grammar)> {
    table.iter().find(|(words, _)| c.is_next(words)).copied()
}

fn whole((words, grammar): (&str, Grammar), c: &mut Cursor) -> Result<Statement> {
    c.advance(words.split(' ').count());
    let statement = grammar(c)?;
    ended(statement, c)
}

fn ended(statement: Statement, c: &mut Cursor) -> Result<Statement> {
    c.expect_end()?;
    Ok(statement)
}

/// After `SHOW`, when nothing more specific matched: a variable, or words that are misspelt.
fn show(c: &mut Cursor) -> Result<Statement> {
    let start = c.at();
    let statement = session::show(c)?;
    if c.is_at_end() {
        return Ok(statement);
    }
    c.rewind(start - 1);
    Err(unknown(c))
}

/// The error for leading words of no statement, at the first word that leads nowhere.
fn unknown(c: &mut Cursor) -> SyntaxError {
    let (words, count) = continuations(c);
    c.advance(count);
    c.expected_one_of(&words)
}

/// The words that may follow the longest known beginning, and how many words that beginning has.
fn continuations(c: &Cursor) -> (Vec<&'static str>, usize) {
    let phrases = STATEMENTS.iter().chain(DATABEND).map(|(words, _)| *words).chain(query::LEADING.iter().copied());
    let mut longest = (Vec::new(), 0);
    for phrase in phrases {
        let words: Vec<_> = phrase.split(' ').collect();
        let known = c.rest().iter().zip(&words).take_while(|(lexeme, word)| lexeme.is_word(word)).count();
        if known > longest.1 {
            longest = (Vec::new(), known);
        }
        if let Some(next) = words.get(known)
            && known == longest.1
            && !longest.0.contains(next)
        {
            longest.0.push(next);
        }
    }
    longest
}
