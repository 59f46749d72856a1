//! What statements run in: memory, spill space, threads and functions, which all share, and a [`Scope`] of each.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::config::Dialect;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::optimizer::{Analyzer, AnalyzerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;
use lakeport_base::Env;
use lakeport_base::limits::{BATCH_ROWS, NESTING_DEPTH_MAX};
use lakeport_core::engine::QueryContext;
use lakeport_core::value::Zone;
use lakeport_core::{Error, Result};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::casts::PostgresCasts;
use crate::comparison::Comparisons;
use crate::conjuncts::ComparisonsTogether;
use crate::error::from_datafusion;
use crate::functions;
use crate::held::HeldRows;
use crate::in_place::Documents;
use crate::key::Filters;
use crate::order::SortAgain;
use crate::recent::Recent;
use crate::scope::{Moment, Scope};
use crate::workers::{Workers, YieldAboveJoins};
use crate::zero::OneZero;

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

/// Time zones whose functions are kept; they are made again for others.
const ZONES_MAX: usize = 16;

/// Makes sessions.
pub(crate) struct Sessions {
    base: SessionState,
    /// `base` with the functions and rules of a zone.
    zones: Recent<Zone, Arc<SessionState>>,
    runtime: Arc<RuntimeEnv>,
    workers: Workers,
    env: Env,
    /// Which keys files do not hold.
    pub filters: Filters,
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
            .with_analyzer_rules(analyzer_rules())
            .with_physical_optimizer_rules(physical_rules())
            .build();
        functions::register(&mut base, env.clone()).map_err(from_datafusion)?;
        let zones = Recent::new(ZONES_MAX);
        Ok(Sessions {
            base,
            zones,
            runtime,
            workers: Workers::new(options.parallelism)?,
            env,
            filters: Filters::default(),
        })
    }

    /// A session for one statement.
    pub fn open(&self, cx: &QueryContext) -> Result<Session> {
        self.session(Moment { zone: cx.zone, now: cx.now }, Some(cx.clone()))
    }

    /// A session for the engine's own queries.
    pub fn open_internal(&self) -> Result<Session> {
        self.session(Moment { zone: Zone::UTC, now: self.env.now_micros() }, None)
    }

    /// Rows held in memory for a statement; `purpose` is named when memory runs out.
    pub fn hold(&self, purpose: &str) -> HeldRows {
        HeldRows::new(&self.runtime.memory_pool, purpose)
    }

    /// The footers of files that have been read.
    pub fn footers(&self) -> Arc<FileMetadataCache> {
        self.runtime.cache_manager.get_file_metadata_cache()
    }

    fn session(&self, moment: Moment, cx: Option<QueryContext>) -> Result<Session> {
        let scope = Scope::new(self.shared(moment.zone)?, &self.runtime, moment, cx);
        Ok(Session { scope: Arc::new(scope), zone: moment.zone, workers: self.workers.handle() })
    }

    /// What all statements share that read clocks in the zone.
    fn shared(&self, zone: Zone) -> Result<Arc<SessionState>> {
        if let Some(state) = self.zones.find(&zone) {
            return Ok(state);
        }
        let mut state = SessionStateBuilder::new_from_existing(self.base.clone())
            .with_analyzer_rule(Arc::new(PostgresCasts { zone }))
            .build();
        functions::register_zoned(&mut state, zone).map_err(from_datafusion)?;
        let state = Arc::new(state);
        self.zones.keep(zone, Arc::clone(&state), 1);
        Ok(state)
    }
}

/// What one statement is planned and run with.
pub(crate) struct Session {
    pub scope: Arc<Scope>,
    /// Where clocks are read.
    pub zone: Zone,
    /// Where its statements are planned and run.
    pub workers: Handle,
}

impl Session {
    /// Plans on the workers' threads: a plan may take seconds without a pause, and sockets must not wait for it.
    pub async fn plan<T, F>(&self, work: impl FnOnce(Arc<Scope>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, DataFusionError>> + Send + 'static,
    {
        let planning = AbortOnDropHandle::new(self.workers.spawn(work(Arc::clone(&self.scope))));
        match planning.await {
            Ok(planned) => planned.map_err(from_datafusion),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Error::canceled()),
            },
        }
    }

    /// Puts a table under exactly the name that a statement uses.
    pub fn register(&self, name: &TableReference, table: Arc<dyn TableProvider>) {
        self.scope.register(name, table);
    }

    /// Puts a table under a bare name.
    pub fn register_bare(&self, name: &str, table: Arc<dyn TableProvider>) {
        self.register(&TableReference::bare(name), table);
    }
}

/// DataFusion's, between what has to be done before types are settled and after.
fn analyzer_rules() -> Vec<Arc<dyn AnalyzerRule + Send + Sync>> {
    let first: [Arc<dyn AnalyzerRule + Send + Sync>; 2] = [Arc::new(Documents::new()), Arc::new(Comparisons)];
    let last: Arc<dyn AnalyzerRule + Send + Sync> = Arc::new(OneZero);
    first.into_iter().chain(Analyzer::new().rules).chain([last]).collect()
}

/// DataFusion's, with what has to be done before they check the plan, and after.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let check = rules.iter().position(|rule| rule.name() == "SanityCheckPlan").unwrap_or(rules.len());
    rules.insert(check, Arc::new(SortAgain));
    rules.push(Arc::new(ComparisonsTogether));
    rules.push(Arc::new(YieldAboveJoins));
    rules
}

fn config(options: &EngineOptions) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(options.parallelism)
        .with_batch_size(BATCH_ROWS)
        .with_create_default_catalog_and_schema(false)
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
