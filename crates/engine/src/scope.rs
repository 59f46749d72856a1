//! What one statement adds to the state that all statements share: its tables and their stores, and functions that
//! answer for its session and its moment.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use arrow_schema::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::catalog::{CatalogProviderList, Session, TableFunctionArgs, TableProvider};
use datafusion::common::config::{ConfigOptions, TableOptions};
use datafusion::common::{DFSchema, Result, ScalarValue, TableReference, plan_datafusion_err};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::execution::TaskContext;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::object_store::DefaultObjectStoreRegistry;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion::logical_expr::registry::ExtensionTypeRegistryRef;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource, WindowUDF,
};
use datafusion::optimizer::Optimizer;
use datafusion::optimizer::eliminate_filter::EliminateFilter;
use datafusion::optimizer::propagate_empty_relation::PropagateEmptyRelation;
use datafusion::optimizer::push_down_limit::PushDownLimit;
use datafusion::optimizer::simplify_expressions::{ExprSimplifier, SimplifyExpressions};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use datafusion::sql::planner::SqlToRel;
use lakeport_core::engine::QueryContext;
use lakeport_core::value::Zone;

use crate::functions;
use crate::in_place::Reading;
use crate::multiset;
use crate::types::SqlTypes;

/// Where and when a statement runs.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    /// Where clocks are read.
    pub zone: Zone,
    /// The statement's `now()`, in microseconds since the epoch.
    pub now: i64,
}

/// What values may change in an optimised plan: they make constants of expressions, and of those empty parts and limits.
static AFTER_VALUES: LazyLock<Optimizer> = LazyLock::new(|| {
    Optimizer::with_rules(vec![
        Arc::new(SimplifyExpressions::new()),
        Arc::new(EliminateFilter::new()),
        Arc::new(PropagateEmptyRelation::new()),
        Arc::new(PushDownLimit::new()),
    ])
});

/// The names of one statement, over the functions, rules and options that all share.
pub(crate) struct Scope {
    shared: Arc<SessionState>,
    /// Memory and disk are shared; the stores are those of the statement's own tables.
    runtime: Arc<RuntimeEnv>,
    moment: Moment,
    /// `None` for the engine's own statements.
    session: Option<QueryContext>,
    tables: Mutex<HashMap<TableReference, Arc<dyn TableProvider>>>,
    /// Functions of the session and the moment, by name; `None` until one is looked for.
    own: Mutex<Option<HashMap<String, Arc<ScalarUDF>>>>,
    /// Whether one of them was found.
    personal: AtomicBool,
    /// The files in place that it is reading.
    pub reading: Reading,
}

impl Scope {
    pub fn new(
        shared: Arc<SessionState>,
        runtime: &RuntimeEnv,
        moment: Moment,
        session: Option<QueryContext>,
    ) -> Scope {
        let object_store_registry = Arc::new(DefaultObjectStoreRegistry::new());
        let runtime = Arc::new(RuntimeEnv { object_store_registry, ..runtime.clone() });
        let (tables, own, personal) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Scope { shared, runtime, moment, session, tables, own, personal, reading: Reading::default() }
    }

    /// Puts a table under exactly the name that the statement uses, unless it has one there.
    pub fn register(&self, name: &TableReference, table: Arc<dyn TableProvider>) {
        self.tables().entry(name.clone()).or_insert(table);
    }

    /// Whether a name of the FROM clause needs no table: it has one, or is a function's.
    pub fn is_known(&self, name: &TableReference) -> bool {
        self.tables().contains_key(name) || self.shared.table_functions().contains_key(name.table())
    }

    /// Whether a plan asked for the session or the moment, so that it holds for this statement only.
    pub fn is_personal(&self) -> bool {
        self.personal.load(Ordering::Relaxed)
    }

    /// The names in the FROM clauses of a statement.
    pub fn table_references(&self, statement: &Statement) -> Result<Vec<TableReference>> {
        self.shared.resolve_table_references(statement)
    }

    /// A statement as a plan whose types are not settled yet.
    pub fn statement_to_plan(&self, statement: Statement) -> Result<LogicalPlan> {
        let options = (&self.options().sql_parser).into();
        multiset::counted(SqlToRel::new_with_options(self, options).statement_to_plan(statement)?)
    }

    /// The plan with all types settled.
    pub fn analyze(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        self.shared.analyzer().execute_and_check(plan, self.options(), |_, _| {})
    }

    /// The analysed plan, optimised; whatever values its parameters get later.
    pub fn settle(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        self.shared.optimizer().optimize(plan, self.shared.as_ref(), |_, _| {})
    }

    /// Plans how a settled plan is run with these values for its parameters.
    pub async fn plan_settled(&self, plan: LogicalPlan, values: Vec<ScalarValue>) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = match values.is_empty() {
            true => plan,
            false => AFTER_VALUES.optimize(plan.with_param_values(values)?, self.shared.as_ref(), |_, _| {})?,
        };
        self.shared.query_planner().create_physical_plan(&plan, self).await
    }

    fn own_function(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let own = own.get_or_insert_with(|| functions::of_statement(&self.moment, self.session.as_ref()));
        let found = match own.get(name) {
            Some(function) => Arc::clone(function),
            // Made once, so that two calls of it are the same expression.
            None => {
                let answered = functions::answered(name, &self.session.as_ref()?.relations)?;
                Arc::clone(own.entry(name.to_string()).or_insert(answered))
            }
        };
        self.personal.store(true, Ordering::Relaxed);
        Some(found)
    }

    fn tables(&self) -> MutexGuard<'_, HashMap<TableReference, Arc<dyn TableProvider>>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ContextProvider for Scope {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let table = self.tables().get(&name).cloned();
        table.map(provider_as_source).ok_or_else(|| plan_datafusion_err!("table '{name}' not found"))
    }

    fn get_table_function_source(&self, name: &str, args: Vec<Expr>) -> Result<Arc<dyn TableSource>> {
        let function = self.shared.table_functions().get(name);
        let function = function.ok_or_else(|| plan_datafusion_err!("table function '{name}' not found"))?;
        let context = SimplifyContext::builder().with_config_options(Arc::clone(self.shared.config_options())).build();
        let (simplifier, no_columns) = (ExprSimplifier::new(context), DFSchema::empty());
        let constant = |arg| simplifier.simplify(simplifier.coerce(arg, &no_columns)?);
        let args = args.into_iter().map(constant).collect::<Result<Vec<_>>>()?;
        let rows = function.create_table_provider_with_args(TableFunctionArgs::new(&args, self))?;
        // Plans tell scans apart by their names only, so that calls with other arguments need other ones.
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let call = TableReference::bare(format!("{name}({})", args.join(", ")));
        let scan = LogicalPlanBuilder::scan(call, provider_as_source(rows), None)?.build()?;
        Ok(provider_as_source(Arc::new(ViewTable::new(scan, None))))
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.shared.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        self.shared.relation_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(SqlTypes))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.own_function(name).or_else(|| self.shared.scalar_functions().get(name).cloned())
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.shared.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.shared.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.shared.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.shared.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.shared.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.shared.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.shared.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.shared.window_functions().keys().cloned().collect()
    }
}

/// What planning and scans ask for: the shared state, with the statement's own stores.
#[async_trait]
impl Session for Scope {
    fn session_id(&self) -> &str {
        self.shared.session_id()
    }

    fn config(&self) -> &SessionConfig {
        self.shared.config()
    }

    fn catalog_list(&self) -> Arc<dyn CatalogProviderList> {
        Arc::clone(self.shared.catalog_list())
    }

    fn query_planner(&self) -> Arc<dyn QueryPlanner + Send + Sync> {
        Arc::clone(self.shared.query_planner())
    }

    fn optimize(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        self.shared.optimize(plan)
    }

    fn physical_optimizers(&self) -> &[Arc<dyn PhysicalOptimizerRule + Send + Sync>] {
        self.shared.physical_optimizers()
    }

    async fn create_physical_plan(&self, plan: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.shared.optimize(plan)?;
        self.shared.query_planner().create_physical_plan(&plan, self).await
    }

    fn create_physical_expr(&self, expr: Expr, schema: &DFSchema) -> Result<Arc<dyn PhysicalExpr>> {
        self.shared.create_physical_expr(expr, schema)
    }

    fn scalar_functions(&self) -> &HashMap<String, Arc<ScalarUDF>> {
        self.shared.scalar_functions()
    }

    fn higher_order_functions(&self) -> &HashMap<String, Arc<HigherOrderUDF>> {
        self.shared.higher_order_functions()
    }

    fn aggregate_functions(&self) -> &HashMap<String, Arc<AggregateUDF>> {
        self.shared.aggregate_functions()
    }

    fn window_functions(&self) -> &HashMap<String, Arc<WindowUDF>> {
        self.shared.window_functions()
    }

    fn extension_type_registry(&self) -> &ExtensionTypeRegistryRef {
        Session::extension_type_registry(self.shared.as_ref())
    }

    fn runtime_env(&self) -> &Arc<RuntimeEnv> {
        &self.runtime
    }

    fn execution_props(&self) -> &ExecutionProps {
        self.shared.execution_props()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn table_options(&self) -> &TableOptions {
        self.shared.table_options()
    }

    fn table_options_mut(&mut self) -> &mut TableOptions {
        Arc::make_mut(&mut self.shared).table_options_mut()
    }

    /// Without functions: only plans that come from another process look them up.
    fn task_ctx(&self) -> Arc<TaskContext> {
        Arc::new(TaskContext::new(
            None,
            self.session_id().to_string(),
            self.config().clone(),
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            HashMap::new(),
            Arc::clone(&self.runtime),
        ))
    }
}
