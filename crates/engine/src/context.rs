//! One DataFusion session per statement, over shared memory, spill space and functions.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider};
use datafusion::catalog::{CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::config::Dialect;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::object_store::DefaultObjectStoreRegistry;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use lakeport_base::Env;
use lakeport_base::limits::{BATCH_ROWS, NESTING_DEPTH_MAX};
use lakeport_core::engine::QueryContext;
use lakeport_core::value::Zone;
use lakeport_core::{Error, Result};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::casts::PostgresCasts;
use crate::error::from_datafusion;
use crate::functions;
use crate::held::HeldRows;
use crate::workers::{Workers, YieldAboveJoins};

/// Memory and disk of the engine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// What all queries together may hold in memory before they spill.
    pub memory_bytes: usize,
    /// Folder for spilled data; emptied by its users.
    pub spill_dir: PathBuf,
    /// Threads that one query uses.
    pub parallelism: usize,
}

/// Catalog and schema of names without qualifiers. No SQL name is a blank, so nothing collides with them.
const UNQUALIFIED: &str = " ";

/// Makes sessions.
pub(crate) struct Sessions {
    base: SessionState,
    runtime: Arc<RuntimeEnv>,
    workers: Workers,
    env: Env,
}

impl Sessions {
    pub fn new(options: &EngineOptions, env: Env) -> Result<Sessions> {
        let spill =
            DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![options.spill_dir.clone()]));
        let top = std::num::NonZeroUsize::new(3).expect("3 is not 0");
        let pool = TrackConsumersPool::new(FairSpillPool::new(options.memory_bytes), top);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(spill)
            .build_arc()
            .map_err(from_datafusion)?;
        let mut base = SessionStateBuilder::new_with_default_features()
            .with_config(config(options))
            .with_runtime_env(Arc::clone(&runtime))
            .with_type_planner(Arc::new(crate::types::SqlTypes))
            .with_physical_optimizer_rule(Arc::new(YieldAboveJoins))
            .build();
        functions::register(&mut base).map_err(from_datafusion)?;
        Ok(Sessions { base, runtime, workers: Workers::new(options.parallelism)?, env })
    }

    /// A session for one statement.
    pub fn open(&self, cx: &QueryContext) -> Result<Session> {
        let (mut state, catalogs) = self.state(cx.zone, cx.now)?;
        functions::register_session(&mut state, cx).map_err(from_datafusion)?;
        Ok(self.session(state, cx.zone, catalogs))
    }

    /// Rows held in memory for a statement; `purpose` is named when memory runs out.
    pub fn hold(&self, purpose: &str) -> HeldRows {
        HeldRows::new(&self.runtime.memory_pool, purpose)
    }

    /// A session for the engine's own queries.
    pub fn open_internal(&self) -> Result<Session> {
        let (state, catalogs) = self.state(Zone::UTC, self.env.now_micros())?;
        Ok(self.session(state, Zone::UTC, catalogs))
    }

    /// `now` is what DataFusion's own functions answer for the time, in microseconds since the epoch.
    fn state(&self, zone: Zone, now: i64) -> Result<(SessionState, Arc<MemoryCatalogProviderList>)> {
        let runtime = RuntimeEnv {
            object_store_registry: Arc::new(DefaultObjectStoreRegistry::new()),
            ..self.runtime.as_ref().clone()
        };
        let catalogs = Arc::new(MemoryCatalogProviderList::new());
        let mut state = SessionStateBuilder::new_from_existing(self.base.clone())
            .with_runtime_env(Arc::new(runtime))
            .with_catalog_list(Arc::clone(&catalogs) as Arc<dyn CatalogProviderList>)
            .with_analyzer_rule(Arc::new(PostgresCasts { zone }))
            .build();
        state.execution_props_mut().query_execution_start_time = chrono::DateTime::from_timestamp_micros(now);
        functions::register_zoned(&mut state, zone).map_err(from_datafusion)?;
        Ok((state, catalogs))
    }

    fn session(&self, state: SessionState, zone: Zone, catalogs: Arc<MemoryCatalogProviderList>) -> Session {
        Session { state: Arc::new(state), zone, workers: self.workers.handle(), catalogs }
    }
}

/// A DataFusion session and its tables.
pub(crate) struct Session {
    pub state: Arc<SessionState>,
    /// Where clocks are read.
    pub zone: Zone,
    /// Where its statements are planned and run.
    pub workers: Handle,
    catalogs: Arc<MemoryCatalogProviderList>,
}

impl Session {
    /// Plans on the workers' threads: a plan may take seconds without a pause, and sockets must not wait for it.
    pub async fn plan<T, F>(&self, work: impl FnOnce(Arc<SessionState>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, DataFusionError>> + Send + 'static,
    {
        let planning = AbortOnDropHandle::new(self.workers.spawn(work(Arc::clone(&self.state))));
        match planning.await {
            Ok(planned) => planned.map_err(from_datafusion),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Error::canceled()),
            },
        }
    }

    /// Puts a table under exactly the name that a statement uses.
    pub fn register(&self, name: &TableReference, table: Arc<dyn TableProvider>) -> Result<()> {
        let (catalog, schema) = (name.catalog().unwrap_or(UNQUALIFIED), name.schema().unwrap_or(UNQUALIFIED));
        let catalog = self.catalogs.catalog(catalog).unwrap_or_else(|| {
            let new: Arc<dyn CatalogProvider> = Arc::new(MemoryCatalogProvider::new());
            self.catalogs.register_catalog(catalog.to_string(), Arc::clone(&new));
            new
        });
        let provider = match catalog.schema(schema) {
            Some(provider) => provider,
            None => {
                let new: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
                catalog.register_schema(schema, Arc::clone(&new)).map_err(from_datafusion)?;
                new
            }
        };
        if !provider.table_exist(name.table()) {
            provider.register_table(name.table().to_string(), table).map_err(from_datafusion)?;
        }
        Ok(())
    }
}

fn config(options: &EngineOptions) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(options.parallelism)
        .with_batch_size(BATCH_ROWS)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(UNQUALIFIED, UNQUALIFIED)
        .with_information_schema(false);
    let options = config.options_mut();
    options.sql_parser.dialect = Dialect::PostgreSQL;
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.recursion_limit = ConfigNonZeroUsize::try_new(NESTING_DEPTH).expect("not 0");
    options.execution.parquet.schema_force_view_types = false;
    config
}

/// Depth of nested expressions that the parser takes; each level of parentheses needs a few.
pub(crate) const NESTING_DEPTH: usize = 4 * NESTING_DEPTH_MAX;
