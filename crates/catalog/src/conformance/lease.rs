//! Jobs and their leases.

use lakeport_base::Secret;
use lakeport_base::id::{ConnectionId, JobId};

use super::{expect_exists, expect_missing, job};
use crate::Catalog;
use crate::error::{Error, Result};
use crate::model::{JobState, Lease};

pub(super) async fn jobs(catalog: &dyn Catalog) -> Result<()> {
    let mut tx = catalog.write().await?;
    for id in [2, 9, 5] {
        tx.insert_job(&job(id)).await?;
    }
    expect_exists(tx.insert_job(&job(5)).await, "5");
    let ids = tx.jobs().await?.into_iter().map(|job| job.id.0).collect::<Vec<_>>();
    assert_eq!(ids, [9, 5, 2], "newest first");

    let mut changed = job(5);
    for state in JobState::ALL {
        changed.state = state;
        tx.update_job(&changed).await?;
        assert_eq!(tx.job(JobId(5)).await?, Some(changed.clone()));
    }
    changed.checkpoint = Some("{\"version\":1}".into());
    changed.fraction = 0.375;
    changed.running_status = Some("3 of 8 files".into());
    changed.error = Some("cannot read".into());
    changed.error_code = Some("58030".into());
    changed.error_hint = Some("see whether it is there".into());
    changed.result = Some("{}".into());
    changed.started = Some(6);
    changed.finished = Some(7);
    changed.connections = vec![ConnectionId(101), ConnectionId(7)];
    tx.update_job(&changed).await?;
    changed.secrets = Some(Secret::new("s3://b?AWS_SECRET_ACCESS_KEY=k".into()));
    tx.update_job(&changed).await?;
    assert_eq!(tx.job(JobId(5)).await?, Some(changed));
    let ids = tx.unfinished_jobs().await?.into_iter().map(|job| job.id.0).collect::<Vec<_>>();
    assert_eq!(ids, [2, 9], "oldest first, without the finished one");
    assert_eq!(tx.job(JobId(4)).await?, None);
    expect_missing(tx.update_job(&job(4)).await);
    assert_eq!(tx.delete_finished_jobs(7).await?, 0);
    assert_eq!(tx.delete_finished_jobs(8).await?, 1);
    assert_eq!(tx.job(JobId(5)).await?, None);
    Ok(())
}

pub(super) async fn leases(catalog: &dyn Catalog) -> Result<()> {
    let id = JobId(1);
    let mut tx = catalog.write().await?;
    tx.insert_job(&job(id.0)).await?;
    tx.commit().await?;

    let mut tx = catalog.write().await?;
    assert!(tx.lease_job(id, 1, 100, 200).await?, "free");
    assert!(tx.lease_job(id, 1, 150, 250).await?, "renewed");
    assert!(!tx.lease_job(id, 2, 249, 400).await?, "another's");
    tx.update_job(&job(id.0)).await?;
    let lease = tx.job(id).await?.and_then(|job| job.lease);
    assert_eq!(lease, Some(Lease { node: 1, until: 250 }), "neither a refused lease nor an update touches it");
    assert!(tx.lease_job(id, 2, 250, 400).await?, "run out");
    tx.release_job(id, 1).await?;
    assert!(!tx.lease_job(id, 1, 300, 500).await?, "only its holder releases it");
    tx.release_job(id, 2).await?;
    assert_eq!(tx.job(id).await?.and_then(|job| job.lease), None);
    assert!(tx.lease_job(id, 1, 300, 500).await?, "released");
    let outcome = tx.lease_job(JobId(4), 1, 0, 1).await;
    assert!(matches!(outcome, Err(Error::NotFound { .. })), "{outcome:?}");
    tx.commit().await
}
