//! `CREATE SCHEDULE`.

use arrow_schema::SchemaRef;
use lakeport_base::id::ScheduleId;
use lakeport_base::uri::Uri;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_catalog::Tx;
use lakeport_catalog::model::{OnFailure, OnRunning, Schedule, SchedulePlan, ScheduleRun};
use lakeport_connect::target::LOCALITY_PARAM;
use lakeport_connect::{ExternalRef, redact};
use lakeport_sql::stmt::backup::{Backup, Chain, Encryption};
use lakeport_sql::stmt::schedule::{CreateSchedule, FullCadence};
use lakeport_sql::stmt::{Text, Texts};

use super::{label, on_failure, on_running};
use crate::error::{Error, Result};
use crate::outcome::{Notice, Outcome};
use crate::row;
use crate::rows::schema_of;
use crate::schedule::Recurrence;
use crate::show::rows::{Cell, batch_of};
use crate::stmt::{Cx, backup, query};

const HOUR_MICROS: i64 = 3600 * 1_000_000;
const DAY_MICROS: i64 = 24 * HOUR_MICROS;

/// State of a schedule of incremental backups before there is a full one.
pub(super) const WAITING: &str = "Waiting for initial backup to complete";

pub(crate) fn columns() -> SchemaRef {
    schema_of(&[
        ("schedule_id", SqlType::Int8),
        ("label", SqlType::Text),
        ("status", SqlType::Text),
        ("first_run", SqlType::TimestampTz),
        ("schedule", SqlType::Text),
        ("backup_stmt", SqlType::Text),
    ])
}

pub(crate) async fn create(cx: &Cx<'_>, statement: &CreateSchedule) -> Result<Outcome> {
    let mut backup = storable(cx, &statement.backup)?;
    if let Some(retain) = statement.options.retain.as_ref().or(statement.backup.options.retain.as_ref()) {
        backup::retain_micros(cx, retain)?;
        backup.options.retain = Some(Text::Literal(cx.string(retain)?));
    }
    require_login(cx)?;
    let schedules = made(cx, statement, &backup)?;
    backup::require(cx, &backup)?;
    // Its collection has backups by now.
    if is_taken(cx, statement, cx.server.config.catalog.read().await?.as_mut(), &schedules).await? {
        return Ok(Outcome::rows("CREATE SCHEDULE", batch_of(columns(), &[])?));
    }
    check(cx, &backup, statement.options.ignore_existing_backups).await?;
    let mut tx = cx.server.config.catalog.write().await?;
    if is_taken(cx, statement, tx.as_mut(), &schedules).await? {
        return Ok(Outcome::rows("CREATE SCHEDULE", batch_of(columns(), &[])?));
    }
    for schedule in &schedules {
        tx.insert_schedule(schedule).await?;
        let id = schedule.id.to_string();
        let event = cx.server.audit_event(&cx.session.user, "create_schedule", &id, &schedule.plan.statement);
        tx.insert_event(&event).await?;
    }
    cx.commit(tx).await?;
    let rows: Vec<_> = schedules.iter().map(row).collect();
    Ok(Outcome::rows("CREATE SCHEDULE", batch_of(columns(), &rows)?))
}

/// # Errors
/// 42809 for a role that may not log in, as which no schedule could run.
fn require_login(cx: &Cx<'_>) -> Result<()> {
    if cx.directory.roles.get(cx.user()).is_some_and(|role| role.login) {
        return Ok(());
    }
    let message = format!("a schedule runs as its owner, and role {:?} may not log in", cx.user());
    Err(Error::new(Sqlstate::WRONG_OBJECT_TYPE, message).with_hint("SET ROLE NONE first"))
}

/// Whether the statement has nothing to do.
async fn is_taken(cx: &Cx<'_>, statement: &CreateSchedule, tx: &mut dyn Tx, schedules: &[Schedule]) -> Result<bool> {
    let label = schedules.first().map_or("", |schedule| &schedule.label);
    let is_taken = statement.if_not_exists && tx.schedules().await?.iter().any(|schedule| schedule.label == label);
    if is_taken {
        cx.session.notice(Notice::new(format!("schedule {label:?} already exists, skipping")));
    }
    Ok(is_taken)
}

/// The schedules of a statement: that of the incremental backups first, if there are any.
fn made(cx: &Cx<'_>, statement: &CreateSchedule, backup: &Backup) -> Result<Vec<Schedule>> {
    let cadence = Cadence::of(cx, statement)?;
    let first_run = match &statement.options.first_run {
        Some(text) => first_run(cx, &cx.string(text)?)?,
        None => cadence.first_full(cx.now)?,
    };
    let label = statement.label.as_ref().map(|text| label(cx, text)).transpose()?;
    let seconds = cx.now / 1_000_000;
    let mut full = Schedule {
        id: ScheduleId(cx.server.jobs.next_id(cx.now).0),
        label: label.unwrap_or_else(|| format!("BACKUP {seconds}")),
        owner: cx.user().to_string(),
        created: cx.now,
        next_run: Some(first_run),
        plan: SchedulePlan {
            recurrence: cadence.full,
            statement: backup.to_string(),
            variables: ["database", "search_path"].map(|name| (name.to_string(), cx.session.variable(name))).to_vec(),
            on_failure: on_failure(cx, &statement.options)?.unwrap_or(OnFailure::Reschedule),
            on_running: on_running(cx, &statement.options)?.unwrap_or(OnRunning::Wait),
            partner: None,
            ignores_existing: statement.options.ignore_existing_backups,
        },
        run: ScheduleRun::default(),
    };
    match cadence.incremental {
        Some(recurrence) => Ok(vec![pair(cx, &mut full, backup, recurrence), full]),
        None => Ok(vec![full]),
    }
}

/// Gives a schedule of full backups one of incremental backups, which waits for the next of them. Each incremental backup
/// is added to the one before it, so they never run side by side.
pub(super) fn pair(cx: &Cx<'_>, full: &mut Schedule, backup: &Backup, recurrence: String) -> Schedule {
    let mut incremental = Schedule {
        id: ScheduleId(cx.server.jobs.next_id(cx.now).0),
        next_run: None,
        run: ScheduleRun { state: WAITING.to_string(), ..ScheduleRun::default() },
        ..full.clone()
    };
    incremental.plan.recurrence = recurrence;
    incremental.plan.statement = Backup { chain: Some(Chain::Latest), ..backup.clone() }.to_string();
    incremental.plan.on_running = OnRunning::Wait;
    incremental.plan.partner = Some(full.id);
    full.plan.partner = Some(incremental.id);
    full.run.resumes_partner = true;
    incremental
}

/// The expressions of both sorts of backups.
struct Cadence {
    full: String,
    /// `None` when every backup is a full one.
    incremental: Option<String>,
    /// The statement did not say when to make full backups: the first is made at once.
    is_chosen: bool,
}

impl Cadence {
    fn of(cx: &Cx<'_>, statement: &CreateSchedule) -> Result<Cadence> {
        let text = cx.string(&statement.recurring)?;
        let period = Recurrence::parse(&text)?.period_micros(cx.now)?;
        match &statement.full_backup {
            Some(FullCadence::Always) => Ok(Cadence { full: text, incremental: None, is_chosen: false }),
            Some(FullCadence::Cron(full)) => {
                let full = cx.string(full)?;
                require_rarer(&full, &text, cx.now)?;
                Ok(Cadence { full, incremental: Some(text), is_chosen: false })
            }
            None if period <= HOUR_MICROS => Ok(Cadence::chosen("@daily", text)),
            None if period <= DAY_MICROS => Ok(Cadence::chosen("@weekly", text)),
            None => Ok(Cadence { full: text, incremental: None, is_chosen: true }),
        }
    }

    fn chosen(full: &str, incremental: String) -> Cadence {
        Cadence { full: full.to_string(), incremental: Some(incremental), is_chosen: true }
    }

    fn first_full(&self, now: i64) -> Result<i64> {
        if self.is_chosen { Ok(now) } else { Recurrence::parse(&self.full)?.after(now) }
    }
}

/// # Errors
/// 22023 when full backups would be made more often than incremental ones.
pub(super) fn require_rarer(full: &str, incremental: &str, now: i64) -> Result<()> {
    let period = |cron: &str| Recurrence::parse(cron)?.period_micros(now);
    if period(full)? < period(incremental)? {
        return Err(Error::invalid("incremental backups must occur more often than full backups"));
    }
    Ok(())
}

fn first_run(cx: &Cx<'_>, text: &str) -> Result<i64> {
    if text.eq_ignore_ascii_case("now") {
        return Ok(cx.now);
    }
    query::timestamp(text).ok_or_else(|| {
        Error::new(Sqlstate::INVALID_DATETIME_FORMAT, format!("could not parse {text:?} as a timestamp for first_run"))
            .with_hint("'now', or such as '2030-01-01 00:00:00+00:00'")
    })
}

/// Checks that the owner may make the backups, into a collection of their own: backups of something else would come in
/// between the full and the incremental ones.
async fn check(cx: &Cx<'_>, backup: &Backup, ignore_existing: bool) -> Result<()> {
    let collection = backup::check(cx, backup).await?;
    if ignore_existing || collection.fulls().await?.is_empty() {
        return Ok(());
    }
    let message = format!("backups already created in {}", backup.collection);
    Err(Error::new(Sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .with_hint("name an empty collection, or add the schedule option ignore_existing_backups"))
}

/// The statement of the full backups, parameters filled in. It is stored in clear, so it must hold no secrets.
fn storable(cx: &Cx<'_>, backup: &Backup) -> Result<Backup> {
    let mut backup = backup.clone();
    backup.options.detached = true;
    backup.collection = literals(cx, &backup.collection)?;
    backup.options.encryption = stored_encryption(cx, &backup.options.encryption)?;
    Ok(backup)
}

/// Keys as a schedule stores them.
///
/// # Errors
/// 0A000 for a passphrase; as [`literals`].
pub(super) fn stored_encryption(cx: &Cx<'_>, encryption: &Encryption) -> Result<Encryption> {
    match encryption {
        Encryption::None => Ok(Encryption::None),
        Encryption::Kms(keys) => literals(cx, keys).map(Encryption::Kms),
        Encryption::Passphrase(_) => {
            Err(Error::unsupported("a schedule cannot keep the secret of encryption_passphrase")
                .with_hint("encrypt with kms = 'external://key', which keeps its secrets in an external connection"))
        }
    }
}

/// URIs as literals.
///
/// # Errors
/// 22023 for one that holds secrets.
pub(super) fn literals(cx: &Cx<'_>, texts: &Texts) -> Result<Texts> {
    let uris = cx.strings(&texts.0)?;
    for uri in &uris {
        if !is_open(uri)? {
            let message = format!("a schedule cannot keep the secrets of {}", redact(uri));
            return Err(Error::invalid(message)
                .with_hint("CREATE EXTERNAL CONNECTION keeps them; write external://name in the schedule"));
        }
    }
    Ok(Texts(uris.into_iter().map(Text::Literal).collect()))
}

/// Whether a statement is one that a schedule stores: its jobs are waited for by nobody, and it holds no secrets.
pub(crate) fn is_storable(backup: &Backup) -> bool {
    let keys = match &backup.options.encryption {
        Encryption::None => &[][..],
        Encryption::Kms(keys) => &keys.0,
        Encryption::Passphrase(_) => return false,
    };
    let is_clear = |text: &Text| matches!(text, Text::Literal(uri) if is_open(uri).unwrap_or(false));
    backup.options.detached && backup.collection.0.iter().chain(keys).all(is_clear)
}

/// Whether a URI has nothing that must not be shown.
fn is_open(uri: &str) -> Result<bool> {
    if let Some(reference) = ExternalRef::parse(uri)? {
        return Ok(reference.params.iter().all(|(name, _)| name == LOCALITY_PARAM));
    }
    let parts = |text: &str| {
        let mut uri = Uri::parse(text).ok()?;
        uri.params.sort();
        uri.params.dedup();
        Some(uri)
    };
    Ok(parts(uri).is_some_and(|written| parts(&redact(uri)) == Some(written)))
}

fn row(schedule: &Schedule) -> Vec<Cell> {
    let status = match schedule.next_run {
        Some(_) => "ACTIVE".to_string(),
        None => format!("PAUSED: {}", schedule.run.state),
    };
    let first_run = schedule.next_run.map_or(Cell::Null, Cell::Time);
    row![schedule.id.0, &schedule.label, status, first_run, &schedule.plan.recurrence, &schedule.plan.statement]
}
