//! Frozen samples: what earlier versions stored must decode for ever. Add samples, never change one.

use lakeport_base::SqlType;
use lakeport_base::id::{ConnectionId, JobId, ScheduleId};

use super::*;

fn column(name: &str, ty: SqlType) -> Column {
    Column { name: name.into(), stored_name: name.into(), ty, nullable: true, default: None, comment: None }
}

fn every_type() -> Vec<SqlType> {
    use SqlType::*;
    let plain = vec![Bool, Int2, Int4, Int8, Float4, Float8, Decimal(10, 2), Text, Varchar(20), Bytes, Date];
    let rest = vec![Timestamp, TimestampTz, Uuid, Jsonb, Array(Box::new(Int8))];
    plain.into_iter().chain(rest).collect()
}

/// The value as the newest version writes it is the sample, and the sample decodes to the value.
fn assert_frozen<S: Shape + PartialEq + std::fmt::Debug>(value: S, sample: &str) {
    assert_eq!(S::decode(sample).unwrap(), value);
    assert_eq!(value.encode().unwrap(), sample.trim_end());
}

fn table() -> TableShape {
    let mut columns =
        every_type().into_iter().enumerate().map(|(i, ty)| column(&format!("c{i}"), ty)).collect::<Vec<_>>();
    columns[0].nullable = false;
    columns[0].stored_name = "c0_old".into();
    columns[1].default = Some("1 + 1".into());
    columns[1].comment = Some("a \"quoted\" comment".into());
    TableShape { columns, primary_key: vec!["c0".into(), "c3".into()] }
}

#[test]
fn table_1() {
    assert_eq!(TableShape::decode(include_str!("../samples/table_1.json")).unwrap(), table());
}

#[test]
fn table_2() {
    assert_frozen(table(), include_str!("../samples/table_2.json"));
}

#[test]
fn role_1() {
    let profile = RoleProfile {
        options: vec!["CREATEDB".into(), "CREATEROLE".into()],
        defaults: vec![("timezone".into(), "UTC".into())],
    };
    assert_frozen(profile, include_str!("../samples/role_1.json"));
}

#[test]
fn job_connections_1() {
    let connections = JobConnections(vec![ConnectionId(101), ConnectionId(7)]);
    assert_frozen(connections, include_str!("../samples/job_connections_1.json"));
}

#[test]
fn format_options_1() {
    let option = |name: &str, values: &[&str]| (name.to_string(), values.iter().map(|v| v.to_string()).collect());
    let options = vec![option("type", &["csv"]), option("null_if", &["a", "b"]), option("field_delimiter", &["\\t"])];
    assert_frozen(FormatOptions(options), include_str!("../samples/format_options_1.json"));
}

fn schedule_plan(ignores_existing: bool) -> SchedulePlan {
    SchedulePlan {
        recurrence: "5 4 * * SUN".into(),
        statement: "BACKUP INTO LATEST IN 'external://b' WITH detached".into(),
        variables: vec![("database".into(), "movr".into())],
        on_failure: OnFailure::Reschedule,
        on_running: OnRunning::Wait,
        partner: Some(ScheduleId(12)),
        ignores_existing,
    }
}

#[test]
fn schedule_plan_1() {
    let plan = SchedulePlan::decode(include_str!("../samples/schedule_plan_1.json")).unwrap();
    assert_eq!(plan, schedule_plan(false));
}

#[test]
fn schedule_plan_2() {
    assert_frozen(schedule_plan(true), include_str!("../samples/schedule_plan_2.json"));
}

#[test]
fn schedule_run_1() {
    let run = ScheduleRun {
        starting: true,
        jobs: vec![JobId(31), JobId(32)],
        state: "waiting for \"job 31\"".into(),
        resumes_partner: true,
    };
    assert_frozen(run, include_str!("../samples/schedule_run_1.json"));
}

#[test]
fn schedules_do_what_is_stored() {
    for on_failure in [OnFailure::Retry, OnFailure::Reschedule, OnFailure::Pause] {
        for on_running in [OnRunning::Start, OnRunning::Skip, OnRunning::Wait] {
            let plan = SchedulePlan {
                recurrence: "@daily".into(),
                statement: String::new(),
                variables: Vec::new(),
                on_failure,
                on_running,
                partner: None,
                ignores_existing: false,
            };
            assert_eq!(SchedulePlan::decode(&plan.encode().unwrap()).unwrap(), plan);
        }
    }
}

#[test]
fn an_unknown_version_or_type_is_corrupt() {
    for text in ["", "{}", r#"{"version":"3","columns":[],"primary_key":[]}"#] {
        assert!(matches!(TableShape::decode(text), Err(Error::Corrupt { what: "table", .. })), "{text}");
    }
    let unknown = include_str!("../samples/table_1.json").replace("UUID", "UID");
    let error = TableShape::decode(&unknown).unwrap_err();
    assert!(error.to_string().contains("UID"), "{error}");
}
