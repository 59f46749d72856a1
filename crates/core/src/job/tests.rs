use std::sync::atomic::Ordering;
use std::time::Duration;

use lakeport_catalog::model::{Job, JobState, Lease};
use tokio_util::sync::CancellationToken;

use super::payload::{decode_done, encode_done};
use super::*;
use crate::engine_stub::{Client, StubServer};
use crate::outcome::SessionEvent;
use crate::server::Server;

const MICROS: i64 = 1_000_000;

/// A server with a table, a file, and an import of it.
async fn server_with_import(with_jobs: bool) -> (StubServer, Client, String) {
    let stub = if with_jobs { StubServer::start().await } else { StubServer::without_jobs().await };
    let root = stub.session("root").await;
    root.ok("CREATE TABLE t (id INT8)").await;
    stub.write("f.csv", "1\n2\n");
    stub.engine.held.send_replace(true);
    let id = root.ok("IMPORT INTO t CSV DATA ('nodelocal://self/f.csv') WITH detached").await.remove(0).remove(0);
    (stub, root, id)
}

async fn job(server: &Server, id: &str) -> Job {
    let id = lakeport_base::id::JobId(id.parse().unwrap());
    server.config.catalog.read().await.unwrap().job(id).await.unwrap().unwrap()
}

async fn reaches(server: &Server, id: &str, state: JobState) -> Job {
    for _ in 0..600 {
        let job = job(server, id).await;
        if job.state == state {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the job is {:?}, not {state:?}", job(server, id).await);
}

async fn is_free(server: &Server, id: &str) {
    for _ in 0..600 {
        if job(server, id).await.lease.is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the lease is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_resume_and_cancel_are_heeded() {
    let (stub, root, id) = server_with_import(true).await;
    reaches(&stub.server, &id, JobState::Running).await;
    assert_eq!(root.ok(&format!("PAUSE JOB {id} WITH REASON = 'lunch'")).await, [["PAUSE JOBS 1"]]);
    let paused = reaches(&stub.server, &id, JobState::Paused).await;
    assert_eq!(paused.error.as_deref(), Some("paused: lunch"));
    is_free(&stub.server, &id).await;
    root.ok(&format!("PAUSE JOB {id}")).await;
    root.ok(&format!("RESUME JOB {id}")).await;
    reaches(&stub.server, &id, JobState::Running).await;
    root.ok(&format!("CANCEL JOB {id}")).await;
    let canceled = reaches(&stub.server, &id, JobState::Canceled).await;
    assert_eq!((canceled.error, canceled.secrets), (None, None));
    let (code, message) = root.error(&format!("PAUSE JOB {id}")).await;
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("55000", "job with state canceled cannot be requested to be paused")
    );
    assert!(stub.engine.rows().is_empty());
}

#[tokio::test]
async fn a_job_that_nobody_runs_is_cancelled_at_once() {
    let (stub, root, id) = server_with_import(false).await;
    root.ok(&format!("CANCEL JOB {id}")).await;
    let canceled = job(&stub.server, &id).await;
    assert_eq!((canceled.state, canceled.secrets), (JobState::Canceled, None));
    assert!(canceled.finished.is_some());
    root.ok(&format!("SHOW JOB WHEN COMPLETE {id}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_asks_for_the_rights_that_its_owner_has_now() {
    let (stub, root, id) = server_with_import(false).await;
    root.ok("CREATE USER u").await;
    let mut lent = job(&stub.server, &id).await;
    lent.owner = "u".into();
    let mut tx = stub.server.config.catalog.write().await.unwrap();
    tx.update_job(&lent).await.unwrap();
    tx.commit().await.unwrap();
    tokio::spawn(Jobs::run(stub.server.clone(), CancellationToken::new()));
    let failed = reaches(&stub.server, &id, JobState::Failed).await;
    assert_eq!(failed.error_code.as_deref(), Some("42501"));
    assert_eq!(failed.error.as_deref(), Some("user u does not have INSERT privilege on relation t"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_cannot_be_dropped_keeps_its_jobs() {
    let stub = StubServer::start().await;
    let root = stub.session("root").await;
    root.ok("CREATE TABLE t (id INT8); CREATE EXTERNAL CONNECTION c AS 'nodelocal://1/c'").await;
    root.ok("CREATE DATABASE d WITH LOCATION = 'external://c/d'").await;
    stub.write("c/f.csv", "1\n");
    stub.engine.held.send_replace(true);
    let id = root.ok("IMPORT INTO t CSV DATA ('external://c/f.csv') WITH detached").await.remove(0).remove(0);
    reaches(&stub.server, &id, JobState::Running).await;
    let (code, _) = root.error("DROP EXTERNAL CONNECTION c CASCADE").await;
    assert_eq!(code, "2BP01");
    assert_eq!(job(&stub.server, &id).await.state, JobState::Running);
    root.ok("DROP DATABASE d").await;
    assert_eq!(root.error("DROP EXTERNAL CONNECTION c").await.0, "2BP01");
    root.ok("DROP EXTERNAL CONNECTION c CASCADE").await;
    reaches(&stub.server, &id, JobState::Canceled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_hands_its_jobs_back() {
    let (stub, _root, id) = server_with_import(true).await;
    reaches(&stub.server, &id, JobState::Running).await;
    stub.stop();
    is_free(&stub.server, &id).await;
    assert_eq!(job(&stub.server, &id).await.state, JobState::Running);
    stub.engine.held.send_replace(false);
    let next = stub.other_node(2);
    tokio::spawn(Jobs::run(next.clone(), CancellationToken::new()));
    reaches(&next, &id, JobState::Succeeded).await;
    assert_eq!(stub.engine.rows(), [["1"], ["2"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_protects_a_job_until_it_runs_out() {
    let (stub, _root, id) = server_with_import(false).await;
    stub.engine.held.send_replace(false);
    let job_id = job(&stub.server, &id).await.id;
    stub.server.jobs.lease(&stub.server, job_id).await.unwrap();
    let next = stub.other_node(2);
    tokio::spawn(Jobs::run(next.clone(), CancellationToken::new()));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(job(&next, &id).await.state, JobState::Pending);
    stub.ahead.store(31 * MICROS, Ordering::Relaxed);
    next.jobs.wake();
    let done = reaches(&next, &id, JobState::Succeeded).await;
    assert_eq!(decode_done(&done.result.unwrap()).unwrap(), Done { rows: 2, bytes: 20 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_repeated_after_its_append_adds_nothing() {
    let (stub, _root, id) = server_with_import(true).await;
    stub.engine.held.send_replace(false);
    let done = reaches(&stub.server, &id, JobState::Succeeded).await;
    // As a kill right after the append leaves it.
    let mut killed = done;
    (killed.state, killed.finished, killed.checkpoint) = (JobState::Running, None, None);
    let order = crate::import::ImportOrder {
        table: stub.server.directory().await.unwrap().tables.values().next().unwrap().id,
        columns: Vec::new(),
        format: "CSV".into(),
        options: Vec::new(),
        uris: lakeport_base::Secret::new(vec!["nodelocal://self/f.csv".into()]),
    };
    (killed.payload, killed.secrets) = Payload::Import(order).encode().unwrap();
    let mut tx = stub.server.config.catalog.write().await.unwrap();
    tx.update_job(&killed).await.unwrap();
    tx.commit().await.unwrap();
    stub.server.jobs.wake();
    reaches(&stub.server, &id, JobState::Succeeded).await;
    assert_eq!(stub.engine.rows(), [["1"], ["2"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_lease_writes_nothing() {
    let (stub, _root, id) = server_with_import(true).await;
    let running = reaches(&stub.server, &id, JobState::Running).await;
    let until = stub.server.config.env.now_micros() + 3600 * MICROS;
    let mut tx = stub.server.config.catalog.write().await.unwrap();
    tx.release_job(running.id, 1).await.unwrap();
    assert!(tx.lease_job(running.id, 2, 0, until).await.unwrap());
    tx.commit().await.unwrap();
    let changed = stub.server.jobs.update_leased(&stub.server, running.id, |job| job.fraction = 0.5).await.unwrap();
    assert!(changed.is_none());
    assert_eq!(job(&stub.server, &id).await.lease, Some(Lease { node: 2, until }));
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_the_waiting_statement_cancels_its_job() {
    let (stub, root, first) = server_with_import(true).await;
    let waiting = tokio::spawn({
        let session = root.session.clone();
        async move {
            let parsed = session.parse("IMPORT INTO t CSV DATA ('nodelocal://self/f.csv')").await.unwrap().remove(0);
            session.execute(&parsed, &[]).await.map(drop)
        }
    });
    let mut second = None;
    for _ in 0..500 {
        let jobs = stub.session("root").await.ok("SHOW JOBS").await;
        match jobs.iter().find(|job| job[0] != first && job[4] == "running") {
            Some(job) => {
                second = Some(job[0].clone());
                break;
            }
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    let second = second.expect("the second job runs");
    root.session.cancel();
    assert_eq!(waiting.await.unwrap().unwrap_err().code().code(), "57014");
    reaches(&stub.server, &second, JobState::Canceled).await;
    assert_eq!(job(&stub.server, &first).await.state, JobState::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_statement_tells_of_progress() {
    let (stub, _root, id) = server_with_import(true).await;
    let mut client = stub.session("root").await;
    let waiting = tokio::spawn({
        let (session, id) = (client.session.clone(), id.clone());
        async move {
            let parsed = session.parse(&format!("SHOW JOB WHEN COMPLETE {id}")).await.unwrap().remove(0);
            session.execute(&parsed, &[]).await.map(drop)
        }
    });
    let told = tokio::time::timeout(Duration::from_secs(10), client.events.recv()).await.unwrap().unwrap();
    let SessionEvent::Notice(notice) = told else { panic!("{told:?}") };
    assert!(notice.message.starts_with(&format!("job {id}: ")), "{}", notice.message);
    stub.engine.held.send_replace(false);
    waiting.await.unwrap().unwrap();

    let mut quiet = stub.session("root").await;
    quiet.ok("SET job_progress_notices = off").await;
    quiet.ok("IMPORT INTO t CSV DATA ('nodelocal://self/f.csv')").await;
    assert!(quiet.events.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_shown_to_and_controlled_by_those_who_may() {
    let (stub, root, id) = server_with_import(true).await;
    root.ok("CREATE USER u; CREATE USER v; GRANT SYSTEM VIEWJOB TO v; CREATE USER w; GRANT SYSTEM CONTROLJOB TO w")
        .await;
    assert!(stub.session("u").await.ok("SHOW JOBS").await.is_empty());
    assert_eq!(stub.session("v").await.ok("SHOW JOBS").await.len(), 1);
    for user in ["u", "v", "w"] {
        let (code, message) = stub.session(user).await.error(&format!("CANCEL JOB {id}")).await;
        assert_eq!((code, message), ("42501".into(), format!("user {user} does not have privileges for job {id}")));
    }
    let (code, message) = root.error("CANCEL JOB 123").await;
    assert_eq!((code.as_str(), message.as_str()), ("42704", "job with ID 123 does not exist"));
    root.ok("PAUSE ALL IMPORT JOBS").await;
    reaches(&stub.server, &id, JobState::Paused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_jobs_are_forgotten() {
    let (stub, root, id) = server_with_import(true).await;
    stub.engine.held.send_replace(false);
    root.ok(&format!("SHOW JOB WHEN COMPLETE {id}")).await;
    stub.ahead.store(15 * 24 * 3600 * MICROS, Ordering::Relaxed);
    assert!(root.ok("SHOW JOBS").await.is_empty(), "finished long ago");
    assert_eq!(root.ok(&format!("SHOW JOB {id}")).await.len(), 1);
    let next = stub.other_node(2);
    tokio::spawn(Jobs::run(next, CancellationToken::new()));
    for _ in 0..500 {
        if let Err(error) = root.run(&format!("SHOW JOB {id}")).await {
            assert_eq!(error.message(), format!("job with ID {id} does not exist"));
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the job is still there");
}

#[test]
fn frozen_payloads_are_read_for_ever() {
    let job = |payload: &str, secrets: &str| Job {
        payload: payload.into(),
        secrets: Some(lakeport_base::Secret::new(secrets.into())),
        ..Job::pending(lakeport_base::id::JobId(1), "", 0)
    };
    let import_secrets = include_str!("../../tests/payloads/import_secrets_1.json");
    let chain_secrets = include_str!("../../tests/payloads/chain_secrets_2.json");
    for (frozen, ty) in [
        (job(include_str!("../../tests/payloads/import_1.json"), import_secrets), "IMPORT"),
        (job(include_str!("../../tests/payloads/backup_1.json"), chain_secrets), "BACKUP"),
        (job(include_str!("../../tests/payloads/restore_1.json"), chain_secrets), "RESTORE"),
    ] {
        let payload = Payload::decode(&frozen).unwrap();
        let (plain, secrets) = payload.encode().unwrap();
        assert_eq!(plain, frozen.payload.trim());
        assert_eq!(secrets.unwrap().expose(), frozen.secrets.as_ref().unwrap().expose().trim());
        assert_eq!(payload.job_type(), ty);
    }
    let done = include_str!("../../tests/payloads/done_1.json").trim();
    assert_eq!(encode_done(decode_done(done).unwrap()).unwrap(), done);
    assert_eq!(Checkpoint::decode(done).unwrap(), Checkpoint::Done(decode_done(done).unwrap()));
    for checkpoint in
        [include_str!("../../tests/payloads/checkpoint_2.json"), include_str!("../../tests/payloads/checkpoint_3.json")]
    {
        assert_eq!(Checkpoint::decode(checkpoint).unwrap().encode().unwrap(), checkpoint.trim());
    }
    let crossed = job(include_str!("../../tests/payloads/import_1.json"), chain_secrets);
    assert_eq!(Payload::decode(&crossed).unwrap_err().code().code(), "XX001");
    let newer = job(r#"{"version":"2","x":1}"#, "{}");
    assert_eq!(Payload::decode(&newer).unwrap_err().code().code(), "XX001");
}
