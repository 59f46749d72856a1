//! Schedules on a server whose clock the tests move. Their owner may not log in, so that every run fails.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::engine_stub::{Client, StubServer};

const HOUR: i64 = 3600 * 1_000_000;

struct Stage {
    stub: StubServer,
    root: Client,
    scheduler: Scheduler,
}

impl Stage {
    /// A server with the schedules that `sql` makes, owned by somebody who may log in no more.
    async fn set(sql: &str) -> Stage {
        let stub = StubServer::without_jobs().await;
        let root = stub.session("root").await;
        root.ok("CREATE USER keeper; GRANT SYSTEM BACKUP, EXTERNALIOIMPLICITACCESS TO keeper").await;
        stub.session("keeper").await.ok(sql).await;
        root.ok("ALTER USER keeper NOLOGIN").await;
        let scheduler = Scheduler::new(stub.server.clone());
        Stage { stub, root, scheduler }
    }

    /// Looks once, later, and waits for what that has begun.
    async fn look_after(&mut self, micros: i64) {
        self.stub.ahead.fetch_add(micros, Ordering::Relaxed);
        self.scheduler.look().await.unwrap();
        while let Some(ended) = self.scheduler.starting.join_next_with_id().await {
            self.scheduler.ids.remove(&ended.unwrap().0);
        }
    }

    async fn schedules(&self) -> Vec<Schedule> {
        self.stub.server.config.catalog.read().await.unwrap().schedules().await.unwrap()
    }

    async fn one(&self) -> Schedule {
        self.schedules().await.pop().unwrap()
    }

    async fn change(&self, id: ScheduleId, change: impl FnOnce(&mut Schedule)) {
        let mut tx = self.stub.server.config.catalog.write().await.unwrap();
        let mut schedule = tx.schedule(id).await.unwrap().unwrap();
        change(&mut schedule);
        tx.update_schedule(&schedule).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// A job of the schedule in a state.
    async fn put_job(&self, schedule: ScheduleId, state: JobState, error: Option<&str>) -> JobId {
        let now = self.now();
        let id = self.stub.server.jobs.next_id(now);
        let job = Job {
            id,
            ty: "BACKUP".into(),
            state,
            owner: "keeper".into(),
            description: "BACKUP".into(),
            payload: "{}".into(),
            secrets: None,
            checkpoint: None,
            fraction: 0.0,
            running_status: None,
            error: error.map(str::to_string),
            error_code: None,
            error_hint: None,
            result: None,
            created: now,
            started: None,
            finished: state.is_final().then_some(now),
            modified: now,
            lease: None,
            connections: Vec::new(),
        };
        let mut tx = self.stub.server.config.catalog.write().await.unwrap();
        tx.insert_job(&job).await.unwrap();
        tx.commit().await.unwrap();
        self.change(schedule, |schedule| schedule.run.jobs.push(id)).await;
        id
    }

    async fn end_job(&self, job: JobId) {
        let mut tx = self.stub.server.config.catalog.write().await.unwrap();
        let ended = Job { state: JobState::Canceled, finished: Some(1), ..tx.job(job).await.unwrap().unwrap() };
        tx.update_job(&ended).await.unwrap();
        tx.commit().await.unwrap();
    }

    fn now(&self) -> i64 {
        self.stub.server.config.env.now_micros()
    }
}

/// Every full hour.
fn hourly(options: &str) -> String {
    format!("CREATE SCHEDULE h FOR BACKUP INTO 'nodelocal://1/b' RECURRING '@hourly' FULL BACKUP ALWAYS {options}")
}

fn next_hour(now: i64) -> Option<i64> {
    Some((now / HOUR + 1) * HOUR)
}

#[tokio::test]
async fn a_run_begins_at_its_time_and_its_failure_is_told() {
    let mut stage = Stage::set(&hourly("")).await;
    let made = stage.one().await;
    assert_eq!(made.next_run, next_hour(stage.now()));
    stage.look_after(0).await;
    assert_eq!(stage.one().await, made, "its time has not come");
    // Times that were missed are not made up for.
    stage.look_after(5 * HOUR).await;
    let failed = stage.one().await;
    assert_eq!(failed.next_run, next_hour(stage.now()));
    assert_eq!(failed.run.state, "user keeper may not log in");
    assert!(!failed.run.is_busy());
}

#[tokio::test]
async fn a_failure_is_followed_by_what_was_chosen() {
    let mut stage = Stage::set(&hourly("WITH SCHEDULE OPTIONS on_execution_failure = 'retry'")).await;
    stage.look_after(HOUR).await;
    let wait = stage.one().await.next_run.unwrap() - stage.now();
    assert!(wait <= 60_000_000 && wait > 0, "{wait}");
    let id = stage.one().await.id;
    stage.root.ok(&format!("ALTER BACKUP SCHEDULE {id} SET SCHEDULE OPTION on_execution_failure = 'PAUSE'")).await;
    stage.look_after(HOUR).await;
    assert_eq!(stage.one().await.next_run, None);
    stage.root.ok(&format!("RESUME SCHEDULE {id}")).await;
    assert_eq!(stage.one().await.next_run, next_hour(stage.now()));
}

#[tokio::test]
async fn a_run_waits_for_the_one_before_it() {
    let mut stage = Stage::set(&hourly("")).await;
    let id = stage.one().await.id;
    let job = stage.put_job(id, JobState::Running, None).await;
    stage.look_after(HOUR).await;
    assert_eq!(stage.one().await.run.state, format!("waiting for job {job}"));
    stage.end_job(job).await;
    stage.look_after(0).await;
    assert_eq!(stage.one().await.run.state, "user keeper may not log in", "it has run");
}

#[tokio::test]
async fn a_run_is_skipped_or_begun_beside_the_one_before_it() {
    let mut stage = Stage::set(&hourly("WITH SCHEDULE OPTIONS on_previous_running = 'skip'")).await;
    let id = stage.one().await.id;
    let job = stage.put_job(id, JobState::Running, None).await;
    stage.look_after(HOUR).await;
    let skipped = stage.one().await;
    assert_eq!(skipped.run.state, format!("a time was skipped: job {job} was still running"));
    assert_eq!(skipped.next_run, next_hour(stage.now()));
    stage.root.ok(&format!("ALTER BACKUP SCHEDULE {id} SET SCHEDULE OPTION on_previous_running = 'start'")).await;
    stage.look_after(HOUR).await;
    let begun = stage.one().await;
    assert_eq!((begun.run.state.as_str(), begun.run.jobs), ("user keeper may not log in", vec![job]));
}

#[tokio::test]
async fn incremental_backups_begin_after_the_first_full_one() {
    let pair = "CREATE SCHEDULE p FOR BACKUP INTO 'nodelocal://1/b' RECURRING '@hourly' FULL BACKUP '@daily'";
    let mut stage = Stage::set(pair).await;
    let [full, incremental] = stage.schedules().await.try_into().unwrap();
    assert_eq!(incremental.run.state, "Waiting for initial backup to complete");
    assert!(incremental.plan.statement.starts_with("BACKUP INTO LATEST IN "), "{}", incremental.plan.statement);
    stage.put_job(full.id, JobState::Failed, Some("no room")).await;
    stage.look_after(0).await;
    assert_eq!(stage.schedules().await[0].run.state, "no room");
    assert_eq!(stage.schedules().await[1].next_run, None);
    stage.put_job(full.id, JobState::Succeeded, None).await;
    stage.look_after(0).await;
    let [full, incremental] = stage.schedules().await.try_into().unwrap();
    assert_eq!((full.run.state.as_str(), full.run.is_busy()), ("", false));
    assert_eq!(incremental.next_run, next_hour(stage.now()));
    // Who pauses it later has it paused.
    stage.root.ok(&format!("PAUSE SCHEDULE {}", incremental.id)).await;
    stage.put_job(full.id, JobState::Succeeded, None).await;
    stage.look_after(0).await;
    assert_eq!(stage.schedules().await[1].next_run, None);
    stage.root.ok(&format!("DROP SCHEDULE {}", full.id)).await;
    assert_eq!(stage.schedules().await, []);
}

#[tokio::test]
async fn what_a_killed_server_had_begun_is_begun_again() {
    let mut stage = Stage::set(&hourly("")).await;
    let id = stage.one().await.id;
    stage.change(id, |schedule| schedule.run.starting = true).await;
    stage.look_after(0).await;
    let again = stage.one().await;
    assert_eq!((again.run.starting, again.run.state.as_str()), (false, "user keeper may not log in"));
    // Unless it was paused meanwhile.
    stage.change(id, |schedule| (schedule.run.starting, schedule.next_run) = (true, None)).await;
    stage.change(id, |schedule| schedule.run.state.clear()).await;
    stage.look_after(0).await;
    assert!(!stage.one().await.run.is_busy());
    assert_eq!(stage.one().await.run.state, "");
}

#[tokio::test]
async fn a_run_has_one_job_wherever_it_is_cut_off() {
    let mut stage = Stage::set(&hourly("")).await;
    stage.root.ok("ALTER USER keeper LOGIN").await;
    let id = stage.one().await.id;
    for point in [Point::ScheduleBegin, Point::ScheduleBegun, Point::ScheduleStarted] {
        let met = Arc::new(AtomicBool::new(false));
        let first = met.clone();
        stage.stub.fail_at(move |reached| match reached == point && !first.swap(true, Ordering::Relaxed) {
            true => panic!("injected at {}", point.name()),
            false => Ok(()),
        });
        let cut_off = AssertUnwindSafe(stage.look_after(HOUR)).catch_unwind().await;
        assert!(met.load(Ordering::Relaxed) && cut_off.is_err(), "{}", point.name());
        stage.scheduler = Scheduler::new(stage.stub.server.clone());
        for _ in 0..3 {
            stage.look_after(1).await;
        }
        let run = stage.one().await.run;
        assert_eq!((run.starting, run.jobs.len()), (false, 1), "{}: {}", point.name(), run.state);
        stage.end_job(run.jobs[0]).await;
        stage.look_after(0).await;
        assert!(!stage.one().await.run.is_busy());
    }
    let jobs = stage.stub.server.config.catalog.read().await.unwrap().jobs().await.unwrap();
    assert_eq!((jobs.len(), stage.one().await.id), (3, id));
}
