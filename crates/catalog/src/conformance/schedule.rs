//! Schedules.

use lakeport_base::id::{JobId, ScheduleId};

use super::{expect_exists, expect_missing};
use crate::Catalog;
use crate::error::Result;
use crate::model::{OnFailure, OnRunning, Schedule, SchedulePlan, ScheduleRun};

fn schedule(id: i64, next_run: Option<i64>) -> Schedule {
    Schedule {
        id: ScheduleId(id),
        label: "nightly".into(),
        owner: "root".into(),
        created: 3,
        next_run,
        plan: SchedulePlan {
            recurrence: "@daily".into(),
            statement: "BACKUP INTO 'external://b' WITH detached".into(),
            variables: Vec::new(),
            on_failure: OnFailure::Reschedule,
            on_running: OnRunning::Wait,
            partner: None,
            ignores_existing: false,
        },
        run: ScheduleRun::default(),
    }
}

pub(super) async fn schedules(catalog: &dyn Catalog) -> Result<()> {
    let mut tx = catalog.write().await?;
    for (id, next_run) in [(5, Some(90)), (2, Some(100)), (9, None), (7, Some(101))] {
        tx.insert_schedule(&schedule(id, next_run)).await?;
    }
    expect_exists(tx.insert_schedule(&schedule(5, None)).await, "5");
    let ids = |rows: Vec<Schedule>| rows.into_iter().map(|row| row.id.0).collect::<Vec<_>>();
    assert_eq!(ids(tx.schedules().await?), [2, 5, 7, 9], "oldest first");
    assert_eq!(ids(tx.due_schedules(100).await?), [5, 2], "the longest due first");

    let mut changed = schedule(9, None);
    changed.plan.partner = Some(ScheduleId(5));
    changed.plan.ignores_existing = true;
    changed.plan.variables = vec![("database".into(), "movr".into())];
    changed.run = ScheduleRun { starting: true, jobs: vec![JobId(7)], state: "x".into(), resumes_partner: true };
    tx.update_schedule(&changed).await?;
    assert_eq!(tx.schedule(ScheduleId(9)).await?, Some(changed.clone()));
    assert_eq!(ids(tx.due_schedules(0).await?), [9], "busy");

    tx.delete_schedule(ScheduleId(9)).await?;
    assert_eq!(tx.schedule(ScheduleId(9)).await?, None);
    expect_missing(tx.delete_schedule(ScheduleId(9)).await);
    expect_missing(tx.update_schedule(&changed).await);
    Ok(())
}
