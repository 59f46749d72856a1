//! `CREATE | ALTER | DROP | SHOW | CHECK EXTERNAL CONNECTION` and what Databend calls the same.

mod defined;
mod show;
mod words;

use std::sync::Arc;
use std::time::Duration;

use arrow_schema::SchemaRef;
use lakeport_base::id::ConnectionId;
use lakeport_base::limits::NAME_BYTES_MAX;
use lakeport_base::{Dialect, Point, SqlType, Sqlstate, units};
use lakeport_catalog::Tx;
use lakeport_catalog::model::{Connection, Grant, Object};
use lakeport_connect::{ExternalRef, Target, Transfer};
use lakeport_sql::stmt::connection::{AlterConnection, CheckConnection, CreateConnection, DropConnection};
use object_store::ObjectStore;

use self::defined::Defined;
pub(crate) use self::show::{show, show_columns, show_create, show_create_columns};

use super::{Cx, stage};
use crate::error::{Error, Result};
use crate::external::{missing_connection, target_of};
use crate::job::Jobs;
use crate::outcome::{Notice, Outcome};
use crate::row;
use crate::rows::schema_of;
use crate::schedule;
use crate::setting;
use crate::show::rows::{Cell, batch_of};

pub(crate) async fn create(cx: &Cx<'_>, statement: &CreateConnection) -> Result<Outcome> {
    let dialect = statement.definition.dialect();
    words::require_create(cx, dialect)?;
    let name = checked_name(cx.string(&statement.name)?)?;
    let defined = Defined::read(cx, &statement.definition, statement.validate).await?;
    let mut tx = cx.server.config.catalog.write().await?;
    let mut moved = None;
    let event = match tx.find_connection(&name).await? {
        Some(old) if statement.or_replace => {
            words::require(cx, tx.as_mut(), dialect, (&name, Some(&old)), words::drop_privileges(dialect)).await?;
            moved = led_elsewhere(tx.as_mut(), &old, &defined.target).await?;
            ("replace_connection", replace(cx, tx.as_mut(), old, defined).await?)
        }
        Some(_) if statement.if_not_exists => {
            return Ok(cx.skipped(statement.tag(), &words::exists(dialect, &name)));
        }
        Some(_) => return Err(words::exists(dialect, &name)),
        None => ("create_external_connection", insert(cx, tx.as_mut(), name, defined).await?),
    };
    audit(cx, tx.as_mut(), event.0, &event.1).await?;
    cx.commit(tx).await?;
    moved.into_iter().for_each(|notice| cx.session.notice(notice));
    Ok(Outcome::done(statement.tag()))
}

/// Adds a connection, and grants its owner everything on it.
async fn insert(cx: &Cx<'_>, tx: &mut dyn Tx, name: String, defined: Defined) -> Result<Connection> {
    let now = cx.server.config.env.now_micros();
    let connection = Connection {
        id: ConnectionId(tx.next_id().await?),
        name,
        kind: defined.target.spec().name.to_string(),
        dialect: defined.dialect,
        redacted: defined.target.redacted(),
        definition: defined.text,
        owner: cx.owner().to_string(),
        version: 1,
        created: now,
        updated: now,
        last_check: defined.check,
    };
    tx.insert_connection(&connection).await?;
    tx.put_grant(&Grant {
        object: Object::Connection(connection.id),
        grantee: cx.owner().to_string(),
        privilege: "ALL".to_string(),
        grant_option: false,
    })
    .await?;
    Ok(connection)
}

/// Gives a connection its next version. Its id, owner and grants stay, so that what uses it follows.
async fn replace(cx: &Cx<'_>, tx: &mut dyn Tx, old: Connection, defined: Defined) -> Result<Connection> {
    refuse_role_change(&old, &defined.target)?;
    let connection = Connection {
        kind: defined.target.spec().name.to_string(),
        dialect: defined.dialect,
        redacted: defined.target.redacted(),
        definition: defined.text,
        version: old.version + 1,
        updated: cx.server.config.env.now_micros(),
        last_check: defined.check,
        ..old
    };
    tx.update_connection(&connection).await?;
    Ok(connection)
}

pub(crate) async fn alter(cx: &Cx<'_>, statement: &AlterConnection) -> Result<Outcome> {
    let name = cx.string(&statement.name)?;
    let Some(old) = authorised(cx, Dialect::Cockroach, &name, &["UPDATE"]).await? else {
        let error = missing_connection(&name);
        return if statement.if_exists { Ok(cx.skipped(ALTER_TAG, &error)) } else { Err(error) };
    };
    let defined = Defined::of_uri(cx, &statement.uri, statement.validate).await?;
    cx.server.config.env.fault(Point::ConnectionChecked)?;
    let mut tx = cx.server.config.catalog.write().await?;
    let moved = led_elsewhere(tx.as_mut(), &old, &defined.target).await?;
    let connection = replace(cx, tx.as_mut(), old, defined).await?;
    audit(cx, tx.as_mut(), "alter_external_connection", &connection).await?;
    cx.commit(tx).await?;
    moved.into_iter().for_each(|notice| cx.session.notice(notice));
    cx.server.config.env.fault(Point::ConnectionAltered)?;
    Ok(Outcome::done(ALTER_TAG))
}

const ALTER_TAG: &str = "ALTER EXTERNAL CONNECTION";

pub(crate) async fn drop(cx: &Cx<'_>, statement: &DropConnection) -> Result<Outcome> {
    let dialect = statement.dialect;
    let name = cx.string(&statement.name)?;
    let Some(connection) = authorised(cx, dialect, &name, words::drop_privileges(dialect)).await? else {
        let error = words::missing(dialect, &name, "drop connection");
        return if statement.if_exists { Ok(cx.skipped(statement.tag(), &error)) } else { Err(error) };
    };
    let mut tx = cx.server.config.catalog.write().await?;
    refuse_dependents(tx.as_mut(), &connection, statement.cascade).await?;
    if statement.cascade {
        Jobs::cancel_users_of(tx.as_mut(), connection.id, cx.server.config.env.now_micros()).await?;
        for stage in tx.stages_following(&connection.name).await? {
            stage::drop_row(tx.as_mut(), &stage).await?;
        }
    }
    tx.delete_grants_on(Object::Connection(connection.id)).await?;
    tx.delete_connection(connection.id).await?;
    audit(cx, tx.as_mut(), "drop_external_connection", &connection).await?;
    cx.commit(tx).await?;
    cx.server.jobs.wake();
    Ok(Outcome::done(statement.tag()))
}

/// The connection of a name, after the privilege check: who lacks a privilege learns nothing of whether it exists.
async fn authorised(cx: &Cx<'_>, dialect: Dialect, name: &str, privileges: &[&str]) -> Result<Option<Connection>> {
    let mut tx = cx.server.config.catalog.read().await?;
    let found = tx.find_connection(name).await?;
    words::require(cx, tx.as_mut(), dialect, (name, found.as_ref()), privileges).await?;
    Ok(found)
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

/// Names what lies elsewhere once a connection leads to another place; none for other keys of the same one.
async fn led_elsewhere(tx: &mut dyn Tx, old: &Connection, new: &Target) -> Result<Option<Notice>> {
    let place = |target: &Target| (target.store(&old.owner), target.uri().path.trim_matches('/').to_string());
    if target_of(old).is_ok_and(|old| place(&old) == place(new)) {
        return Ok(None);
    }
    let mut led = databases_in(tx, &old.name).await?;
    let stages = tx.stages_following(&old.name).await?;
    led.extend(stages.iter().map(|stage| format!("stage {}", stage.name)));
    if led.is_empty() {
        return Ok(None);
    }
    let message = format!("external connection {:?} leads to another place, and with it {}", old.name, led.join(", "));
    Ok(Some(Notice { hint: Some("no file was moved".to_string()), ..Notice::new(message) }))
}

/// The databases that lie in a connection.
async fn databases_in(tx: &mut dyn Tx, connection: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for database in tx.databases().await? {
        let used = database.location.as_deref().map(ExternalRef::parse).transpose()?.flatten();
        if used.is_some_and(|reference| reference.name == connection) {
            found.push(format!("database {}", database.name));
        }
    }
    Ok(found)
}

/// 2BP01 while unfinished jobs or schedules use the connection, stages follow it or databases lie in it.
async fn refuse_dependents(tx: &mut dyn Tx, connection: &Connection, cascade: bool) -> Result<()> {
    let mut dependents = databases_in(tx, &connection.name).await?;
    for schedule in tx.schedules().await? {
        if schedule::uses(&schedule, &connection.name)? {
            dependents.push(format!("schedule {}", schedule.id));
        }
    }
    if !cascade {
        let jobs = tx.unfinished_jobs().await?;
        let users = jobs.iter().filter(|job| job.connections.contains(&connection.id));
        dependents.extend(users.map(|job| format!("job {}", job.id)));
        let stages = tx.stages_following(&connection.name).await?;
        dependents.extend(stages.iter().map(|stage| format!("stage {}", stage.name)));
    }
    if dependents.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Sqlstate::DEPENDENT_OBJECTS_STILL_EXIST,
        format!("cannot drop external connection {:?} because other objects depend on it", connection.name),
    )
    .with_detail(dependents.join(", "))
    .with_hint("DROP ... CASCADE cancels the jobs and drops the stages; databases and schedules must be dropped first"))
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
    let store = cx.server.open_storage(cx.user(), &uri).await;
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
