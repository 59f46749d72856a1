//! What transactions promise.

use std::collections::BTreeSet;
use std::sync::Arc;

use lakeport_base::id::ConnectionId;
use tokio::task::JoinSet;

use super::{connection, job};
use crate::error::Result;
use crate::model::AuditEvent;
use crate::{Catalog, Tx};

const WRITERS: usize = 16;
const TURNS: usize = 4;

pub(super) async fn dropped_is_undone(catalog: &dyn Catalog) -> Result<()> {
    let generation = catalog.generation();
    let mut tx = catalog.write().await?;
    let id = tx.next_id().await?;
    tx.put_setting("dropped", "1").await?;
    drop(tx);

    let mut tx = catalog.write().await?;
    assert_eq!(tx.settings().await?, []);
    assert_eq!(tx.next_id().await?, id, "an id that was not committed is given again");
    assert_eq!(catalog.generation(), generation);
    Ok(())
}

pub(super) async fn reads_see_one_state(catalog: &dyn Catalog) -> Result<()> {
    let mut before = catalog.read().await?;
    let mut writer = catalog.write().await?;
    writer.put_setting("seen", "1").await?;
    assert_eq!(catalog.read().await?.settings().await?, [], "uncommitted");
    writer.commit().await?;
    assert_eq!(before.settings().await?, [], "committed after the read began");
    assert_eq!(catalog.read().await?.settings().await?.len(), 1);
    drop(before);

    let mut tx = catalog.write().await?;
    tx.delete_setting("seen").await?;
    tx.commit().await
}

pub(super) async fn reads_cannot_write(catalog: &dyn Catalog) -> Result<()> {
    let mut tx = catalog.read().await?;
    assert!(tx.put_setting("read", "1").await.is_err());
    Ok(())
}

pub(super) async fn generation_counts_changes(catalog: &dyn Catalog) -> Result<()> {
    let before = catalog.generation();
    let mut tx = catalog.write().await?;
    tx.insert_job(&job(3)).await?;
    tx.lease_job(job(3).id, 1, 0, 1).await?;
    tx.insert_event(&AuditEvent {
        at: 1,
        user: "root".into(),
        event: "e".into(),
        object: "o".into(),
        detail: String::new(),
    })
    .await?;
    tx.commit().await?;
    assert_eq!(catalog.generation(), before, "jobs, leases and events make nothing stale");

    let mut tx = catalog.write().await?;
    let connection = connection(ConnectionId(tx.next_id().await?), "counted");
    tx.insert_connection(&connection).await?;
    assert_eq!(catalog.generation(), before, "not before the commit");
    tx.commit().await?;
    assert!(catalog.generation() > before);
    let mut tx = catalog.write().await?;
    tx.delete_connection(connection.id).await?;
    tx.commit().await
}

/// Writers that read, wait and write lose no update, and no id is given twice.
pub(super) async fn writers_take_turns(catalog: &Arc<dyn Catalog>) -> Result<()> {
    let before = counter(&mut *catalog.read().await?).await?;
    let mut writers = JoinSet::<Result<Vec<i64>>>::new();
    for _ in 0..WRITERS {
        let catalog = Arc::clone(catalog);
        writers.spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..TURNS {
                ids.push(count_up(&*catalog).await?);
            }
            Ok(ids)
        });
    }
    let mut ids = BTreeSet::new();
    while let Some(done) = writers.join_next().await {
        ids.extend(done.expect("a writer does not panic")?);
    }
    assert_eq!(ids.len(), WRITERS * TURNS);
    assert_eq!(counter(&mut *catalog.read().await?).await? - before, WRITERS * TURNS);
    Ok(())
}

async fn count_up(catalog: &dyn Catalog) -> Result<i64> {
    let mut tx = catalog.write().await?;
    let count = counter(&mut *tx).await?;
    tokio::task::yield_now().await;
    tx.put_setting("counter", &(count + 1).to_string()).await?;
    let id = tx.next_id().await?;
    tx.commit().await?;
    Ok(id)
}

async fn counter(tx: &mut dyn Tx) -> Result<usize> {
    let settings = tx.settings().await?;
    let stored = settings.iter().find(|(name, _)| name == "counter");
    Ok(stored.map_or(0, |(_, value)| value.parse().expect("only this suite writes it")))
}
