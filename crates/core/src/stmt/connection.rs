//! `CREATE | ALTER | DROP | SHOW | CHECK EXTERNAL CONNECTION`.

mod show;

use std::sync::Arc;
use std::time::Duration;

use arrow_schema::SchemaRef;
use lakeport_base::id::ConnectionId;
use lakeport_base::limits::NAME_BYTES_MAX;
use lakeport_base::{Dialect, Point, Secret, SqlType, Sqlstate, Uri, units};
use lakeport_catalog::Tx;
use lakeport_catalog::model::{Check, Connection, Grant, Object};
use lakeport_connect::{ExternalRef, Target, Transfer, kind_of_scheme};
use lakeport_sql::stmt::connection::{AlterConnection, CheckConnection, CreateConnection, DropConnection};
use object_store::ObjectStore;

pub(crate) use self::show::{show, show_columns, show_create, show_create_columns};

use super::Cx;
use crate::error::{Error, Result};
use crate::external::missing_connection;
use crate::job::Jobs;
use crate::outcome::Outcome;
use crate::row;
use crate::rows::schema_of;
use crate::schedule;
use crate::setting;
use crate::show::rows::{Cell, batch_of};

/// CockroachDB's prefix of every refusal of a definition.
const REFUSED: &str = "failed to construct External Connection details";

pub(crate) async fn create(cx: &Cx<'_>, statement: &CreateConnection) -> Result<Outcome> {
    cx.subject().require_system("EXTERNALCONNECTION", || {
        "only users with the EXTERNALCONNECTION system privilege are allowed to CREATE EXTERNAL CONNECTION".to_string()
    })?;
    let name = checked_name(cx.string(&statement.name)?)?;
    let definition = Secret::new(cx.string(&statement.uri)?);
    let target = parse_definition(definition.expose())?;
    let check = probe(cx, &target, statement.validate).await?;
    let mut tx = cx.server.config.catalog.write().await?;
    if tx.find_connection(&name).await?.is_some() {
        let error = exists(&name);
        return if statement.if_not_exists { Ok(skipped(cx, "CREATE", &error)) } else { Err(error) };
    }
    let now = cx.server.config.env.now_micros();
    let connection = Connection {
        id: ConnectionId(tx.next_id().await?),
        name: name.clone(),
        kind: target.spec().name.to_string(),
        dialect: Dialect::Cockroach,
        redacted: target.redacted(),
        definition,
        owner: cx.session.user.clone(),
        version: 1,
        created: now,
        updated: now,
        last_check: check,
    };
    tx.insert_connection(&connection).await?;
    tx.put_grant(&Grant {
        object: Object::Connection(connection.id),
        grantee: cx.session.user.clone(),
        privilege: "ALL".to_string(),
        grant_option: false,
    })
    .await?;
    audit(cx, tx.as_mut(), "create_external_connection", &connection).await?;
    cx.commit(tx).await?;
    Ok(done("CREATE"))
}

pub(crate) async fn alter(cx: &Cx<'_>, statement: &AlterConnection) -> Result<Outcome> {
    let name = cx.string(&statement.name)?;
    let found = authorised(cx, &name, "UPDATE").await?;
    let Some(old) = found else {
        let error = missing_connection(&name);
        return if statement.if_exists { Ok(skipped(cx, "ALTER", &error)) } else { Err(error) };
    };
    let definition = Secret::new(cx.string(&statement.uri)?);
    let target = parse_definition(definition.expose())?;
    refuse_role_change(&old, &target)?;
    let check = probe(cx, &target, statement.validate).await?;
    cx.server.config.env.fault(Point::ConnectionChecked)?;
    let mut tx = cx.server.config.catalog.write().await?;
    let connection = Connection {
        kind: target.spec().name.to_string(),
        dialect: Dialect::Cockroach,
        redacted: target.redacted(),
        definition,
        version: old.version + 1,
        updated: cx.server.config.env.now_micros(),
        last_check: check,
        ..old
    };
    tx.update_connection(&connection).await?;
    audit(cx, tx.as_mut(), "alter_external_connection", &connection).await?;
    cx.commit(tx).await?;
    cx.server.config.env.fault(Point::ConnectionAltered)?;
    Ok(done("ALTER"))
}

pub(crate) async fn drop(cx: &Cx<'_>, statement: &DropConnection) -> Result<Outcome> {
    let name = cx.string(&statement.name)?;
    let Some(connection) = authorised(cx, &name, "DROP").await? else {
        return Ok(skipped(cx, "DROP", &missing_connection(&name)));
    };
    let mut tx = cx.server.config.catalog.write().await?;
    refuse_dependents(tx.as_mut(), &connection, statement.cascade).await?;
    if statement.cascade {
        Jobs::cancel_users_of(tx.as_mut(), connection.id, cx.server.config.env.now_micros()).await?;
    }
    tx.delete_grants_on(Object::Connection(connection.id)).await?;
    tx.delete_connection(connection.id).await?;
    audit(cx, tx.as_mut(), "drop_external_connection", &connection).await?;
    cx.commit(tx).await?;
    cx.server.jobs.wake();
    Ok(done("DROP"))
}

fn done(verb: &str) -> Outcome {
    Outcome::done(format!("{verb} EXTERNAL CONNECTION"))
}

fn skipped(cx: &Cx<'_>, verb: &str, why: &Error) -> Outcome {
    cx.skipped(format!("{verb} EXTERNAL CONNECTION"), why)
}

fn exists(name: &str) -> Error {
    Error::new(
        Sqlstate::DUPLICATE_OBJECT,
        format!(
            "failed to create external connection: external connection with connection name '{name}' already exists"
        ),
    )
    .with_hint("ALTER EXTERNAL CONNECTION changes it")
}

/// The connection of a name, after the privilege check: who lacks the privilege learns nothing of whether it exists.
async fn authorised(cx: &Cx<'_>, name: &str, privilege: &str) -> Result<Option<Connection>> {
    let mut tx = cx.server.config.catalog.read().await?;
    let found = tx.find_connection(name).await?;
    let allowed = match &found {
        Some(connection) => cx.subject().has_on_connection(tx.as_mut(), connection.id, privilege).await?,
        None => cx.subject().is_admin(),
    };
    if allowed { Ok(found) } else { Err(cx.subject().connection_denied(name, privilege)) }
}

fn checked_name(name: String) -> Result<String> {
    if name.is_empty() {
        return Err(Error::new(Sqlstate::INVALID_NAME, "the name of an external connection must not be empty"));
    }
    if name.len() > NAME_BYTES_MAX {
        let message =
            format!("the name of an external connection is {} bytes long; at most {NAME_BYTES_MAX}", name.len());
        return Err(Error::new(Sqlstate::NAME_TOO_LONG, message));
    }
    if name.contains('\0') {
        return Err(Error::new(Sqlstate::INVALID_NAME, "the name of an external connection must not hold NUL"));
    }
    Ok(name)
}

/// The target of a definition, with CockroachDB's prefixes on what is wrong with it.
fn parse_definition(uri: &str) -> Result<Target> {
    let parsed = Uri::parse(uri).map_err(|error| {
        Error::invalid(format!(
            "failed to log and sanitize External Connection: parse {:?}: {error}",
            lakeport_connect::redact(uri)
        ))
        .with_hint("write scheme://host/path?PARAMETER=value; escape special characters as %XX")
    })?;
    let Some(kind) = kind_of_scheme(&parsed.scheme).filter(|_| parsed.scheme != ExternalRef::SCHEME) else {
        let schemes: Vec<&str> = lakeport_connect::KINDS.iter().flat_map(|kind| kind.spec().schemes).copied().collect();
        return Err(Error::invalid(format!(
            "{REFUSED}: no parseAndValidateFn found for external connection provider {}",
            parsed.scheme
        ))
        .with_detail(format!("{}:// is not supported", parsed.scheme))
        .with_hint(format!("schemes of external connections: {}", schemes.join(", "))));
    };
    let prefix = refusal_prefix(kind.spec().called());
    Target::parse(uri).map_err(|error| Error::from(error).prefixed(&prefix))
}

fn refusal_prefix(kind: &str) -> String {
    format!("{REFUSED}: failed to create {kind} external connection")
}

async fn probe(cx: &Cx<'_>, target: &Target, validate: bool) -> Result<Option<Check>> {
    if !validate {
        return Ok(None);
    }
    let limit = setting::CHECK_TIMEOUT.duration(&cx.directory);
    let checked = cx.server.probe(&cx.session.user, target, limit).await;
    checked.map_err(|error| error.prefixed(&refusal_prefix(target.spec().called())))?;
    Ok(Some(Check { at: cx.server.config.env.now_micros(), error: None }))
}

fn refuse_role_change(old: &Connection, target: &Target) -> Result<()> {
    let role = lakeport_connect::kind_named(&old.kind).map(|kind| kind.spec().role);
    match role.filter(|role| *role != target.role()) {
        None => Ok(()),
        Some(role) => Err(Error::new(
            Sqlstate::WRONG_OBJECT_TYPE,
            format!("cannot change external connection {:?} from {role} to {}", old.name, target.role()),
        )
        .with_hint("make another connection: what uses this one expects its type")),
    }
}

/// 2BP01 while unfinished jobs or schedules use the connection or databases lie in it.
async fn refuse_dependents(tx: &mut dyn Tx, connection: &Connection, cascade: bool) -> Result<()> {
    let mut dependents: Vec<String> = Vec::new();
    for database in tx.databases().await? {
        let used = database.location.as_deref().map(ExternalRef::parse).transpose()?.flatten();
        if used.is_some_and(|reference| reference.name == connection.name) {
            dependents.push(format!("database {}", database.name));
        }
    }
    for schedule in tx.schedules().await? {
        if schedule::uses(&schedule, &connection.name)? {
            dependents.push(format!("schedule {}", schedule.id));
        }
    }
    if !cascade {
        let jobs = tx.unfinished_jobs().await?;
        let users = jobs.iter().filter(|job| job.connections.contains(&connection.id));
        dependents.extend(users.map(|job| format!("job {}", job.id)));
    }
    if dependents.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Sqlstate::DEPENDENT_OBJECTS_STILL_EXIST,
        format!("cannot drop external connection {:?} because other objects depend on it", connection.name),
    )
    .with_detail(dependents.join(", "))
    .with_hint("DROP ... CASCADE cancels the jobs; databases and schedules must be dropped first"))
}

async fn audit(cx: &Cx<'_>, tx: &mut dyn Tx, event: &str, connection: &Connection) -> Result<()> {
    let detail = format!("{} version {}", connection.redacted, connection.version);
    Ok(tx.insert_event(&cx.server.audit_event(&cx.session.user, event, &connection.name, &detail)).await?)
}

pub(crate) fn check_columns() -> SchemaRef {
    schema_of(&[
        ("node", SqlType::Int8),
        ("locality", SqlType::Text),
        ("ok", SqlType::Bool),
        ("error", SqlType::Text),
        ("transferred", SqlType::Text),
        ("read_speed", SqlType::Text),
        ("write_speed", SqlType::Text),
        ("can_delete", SqlType::Bool),
    ])
}

pub(crate) async fn check(cx: &Cx<'_>, statement: &CheckConnection) -> Result<Outcome> {
    let uri = cx.string(&statement.uri)?;
    if !uri.contains("://") {
        let message = format!("CHECK EXTERNAL CONNECTION takes a URI, not {:?}", lakeport_connect::redact(&uri));
        return Err(Error::invalid(message).with_hint("write external://name for the connection of a name"));
    }
    cx.server.authorise_uri(cx.subject(), &uri).await?;
    let options = CheckOptions::read(cx, statement)?;
    let store = cx.server.open_storage(&cx.session.user, &uri).await;
    let store = store.map_err(|error| error.prefixed("connect to external storage"))?;
    let workers = (0..options.workers).map(|_| check_worker(cx, &store, &options));
    let rows: Vec<_> = futures::future::join_all(workers).await;
    Ok(Outcome::rows("CHECK EXTERNAL CONNECTION", batch_of(check_columns(), &rows)?))
}

/// Transfers until the time is over or one fails; answers the row of the last.
async fn check_worker(cx: &Cx<'_>, store: &Arc<dyn ObjectStore>, options: &CheckOptions) -> Vec<Cell> {
    let env = &cx.server.config.env;
    let limit = setting::CHECK_TIMEOUT.duration(&cx.directory) + Duration::from_secs(options.bytes / CHECK_RATE_MIN);
    let end = env.now_micros().saturating_add(i64::try_from(options.time.as_micros()).unwrap_or(i64::MAX));
    loop {
        let run = tokio::time::timeout(limit, lakeport_connect::transfer_test(store, env, options.bytes)).await;
        let run = run.unwrap_or_else(|_| Transfer {
            error: Some(format!("not done within {} s", limit.as_secs())),
            ..Transfer::default()
        });
        if run.ok && env.now_micros() < end {
            continue;
        }
        let bytes = units::format_bytes;
        return row![
            cx.server.config.node_id,
            "",
            run.ok,
            run.error.unwrap_or_default(),
            bytes(run.transferred as f64),
            format!("{}/s", bytes(run.read_speed)),
            format!("{}/s", bytes(run.write_speed)),
            run.can_delete,
        ];
    }
}

struct CheckOptions {
    bytes: u64,
    /// Runs are repeated until so long has passed.
    time: Duration,
    workers: usize,
}

/// The slowest transfer that CHECK waits for, in bytes per second, beside the time that every check has.
const CHECK_RATE_MIN: u64 = 256 << 10;
/// Largest file that one run of CHECK writes.
const CHECK_BYTES_MAX: u64 = 1 << 30;
/// Longest time for which CHECK repeats its runs.
const CHECK_TIME_MAX: Duration = Duration::from_secs(3600);
/// Most parallel transfers of one CHECK.
const CHECK_WORKERS_MAX: usize = 64;

impl CheckOptions {
    fn read(cx: &Cx<'_>, statement: &CheckConnection) -> Result<CheckOptions> {
        let mut options = CheckOptions { bytes: 32 << 20, time: Duration::ZERO, workers: 1 };
        for option in &statement.options {
            let value = option.value.as_ref().map(|value| cx.string(value)).transpose()?.unwrap_or_default();
            let refused = |hint: &str| {
                let message = format!("invalid value for option {:?}: {value:?}", option.name);
                Error::invalid(message).with_hint(hint).with_position(option.position)
            };
            match option.name.as_str() {
                "transfer" => {
                    let bytes = units::parse_bytes(&value).filter(|bytes| *bytes <= CHECK_BYTES_MAX);
                    options.bytes = bytes.ok_or_else(|| refused("a size up to 1GiB, such as '32MiB'"))?;
                }
                "time" => {
                    let time = units::parse_duration(&value).filter(|time| *time <= CHECK_TIME_MAX);
                    options.time = time.ok_or_else(|| refused("a duration up to 1h, such as '10s'"))?;
                }
                "concurrently" => {
                    let workers = value.parse::<i64>().ok().map(|workers| workers.max(1));
                    let workers = workers.and_then(|workers| usize::try_from(workers).ok());
                    let workers = workers.filter(|workers| *workers <= CHECK_WORKERS_MAX);
                    options.workers = workers.ok_or_else(|| refused("a whole number up to 64"))?;
                }
                other => {
                    return Err(Error::invalid(format!("invalid option {other:?}"))
                        .with_hint("options: transfer, time, concurrently")
                        .with_position(option.position));
                }
            }
        }
        Ok(options)
    }
}
