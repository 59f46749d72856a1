//! Stages that are open. To open one takes longer than to write a small file, so that the statements of one state of the
//! catalog share it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lakeport_catalog::model::{Stage, StagePlace};
use lakeport_connect::{Capability, Target};
use object_store::ObjectStore;

use super::place::{Origin, StageAccess, authorise, stage_folder};
use crate::authz::Subject;
use crate::error::Result;
use crate::external::Resolved;
use crate::server::Server;

/// Stages kept open at most.
const OPEN_MAX: usize = 64;

/// The files of a stage.
#[derive(Clone)]
pub(super) struct Opened {
    pub store: Arc<dyn ObjectStore>,
    pub origin: Origin,
    pub capability: Capability,
    /// Whether a later statement would find the same: the folder of `nodelocal` may have been replaced by another.
    pub lasts: bool,
}

/// A stage with its files.
#[derive(Clone)]
pub(super) struct OpenStage {
    pub stage: Arc<Stage>,
    pub opened: Opened,
}

/// The stages that were opened in the latest state of the catalog, by name.
#[derive(Default)]
pub(crate) struct OpenStages(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    generation: u64,
    stages: HashMap<String, OpenStage>,
}

impl OpenStages {
    fn find(&self, generation: u64, name: &str) -> Option<OpenStage> {
        let kept = self.kept();
        kept.stages.get(name).filter(|_| kept.generation == generation).cloned()
    }

    fn keep(&self, generation: u64, open: OpenStage) {
        let mut kept = self.kept();
        if kept.generation != generation || kept.stages.len() >= OPEN_MAX {
            *kept = Kept { generation, ..Kept::default() };
        }
        kept.stages.insert(open.stage.name.clone(), open);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// A stage of a name with its files, for a user who may do with them what is wanted.
    ///
    /// # Errors
    /// As [`Server::authorised_stage`]; whatever opening it fails with.
    pub(super) async fn authorised_open_stage(
        self: &Arc<Self>,
        subject: Subject<'_>,
        name: &str,
        access: StageAccess,
    ) -> Result<OpenStage> {
        // Before the stage is read, so that what changes meanwhile is read again.
        let generation = self.config.catalog.generation();
        if let Some(open) = self.open_stages.find(generation, name) {
            authorise(subject, name, Some(&open.stage), &[access])?;
            access.require_in(open.opened.capability, &format!("@{name}"))?;
            return Ok(open);
        }
        let stage = self.authorised_stage(subject, name, &[access]).await?;
        let open = OpenStage { opened: self.open_stage(&stage, access).await?, stage: Arc::new(stage) };
        if open.opened.lasts {
            self.open_stages.keep(generation, open.clone());
        }
        Ok(open)
    }

    async fn open_stage(self: &Arc<Self>, stage: &Stage, access: StageAccess) -> Result<Opened> {
        let name = format!("@{}", stage.name);
        let (target, user, store) = match &stage.place {
            StagePlace::Internal => return Ok(self.in_warehouse(stage_folder(stage))),
            StagePlace::Copied { uri, .. } => {
                let target = Target::parse(uri.expose())?;
                access.require_in(target.spec().capability, &name)?;
                let store = self.open_target(&stage.owner, &target).await?;
                (target, None, store)
            }
            StagePlace::Follows { uri, .. } => {
                let Resolved { target, owner, .. } = self.resolve(uri).await?;
                access.require_in(target.spec().capability, &name)?;
                (target, owner, self.location_store(&stage.owner, uri).await?)
            }
        };
        let origin = Origin::of(&target, user.as_deref().unwrap_or(&stage.owner));
        let spec = target.spec();
        Ok(Opened { store, origin, capability: spec.capability, lasts: spec.name != "nodelocal" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine_stub::StubServer;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stage_is_opened_once_in_each_state_of_the_catalog() {
        let stub = StubServer::start().await;
        let root = stub.session("root").await;
        root.ok("CREATE STAGE s").await;
        root.ok("CREATE STAGE disk URL = 'fs:///x/'").await;
        let open = async |name: &str| {
            let directory = stub.server.directory().await.unwrap();
            let subject = Subject { directory: &directory, user: "root" };
            stub.server.authorised_open_stage(subject, name, StageAccess::Read).await.unwrap().stage
        };
        let first = open("s").await;
        assert!(Arc::ptr_eq(&first, &open("s").await));
        root.ok("CREATE OR REPLACE STAGE s").await;
        assert_ne!(first.id, open("s").await.id);
        assert!(!Arc::ptr_eq(&open("disk").await, &open("disk").await));
    }
}
