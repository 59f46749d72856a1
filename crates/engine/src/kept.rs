//! What is kept between executions of one text: its syntax tree and its plan.
//!
//! A kept plan is analysed and optimised. It lacks the values of its parameters and the files of its tables: each
//! execution finds the tables anew, as its user may see them, and fills both in. So a plan holds as long as its names
//! stand for the same tables. One that asked for the session or the moment is not kept.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Field, FieldRef, SchemaRef};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::{DefaultTableSource, provider_as_source};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Expr, LogicalPlan, TableSource};
use datafusion::sql::parser::Statement;
use lakeport_base::id::TableId;
use lakeport_base::limits::{PLAN_TEXT_BYTES_MAX, PLANS_KEPT_MAX};
use lakeport_base::{QualifiedName, SqlType};
use lakeport_catalog::model::Table;
use lakeport_core::engine::QueryContext;
use lakeport_core::rows::arrow_type;
use lakeport_core::value::Zone;

use crate::constant::constants;
use crate::delta::scan::FileScan;
use crate::params::Params;
use crate::recent::Recent;
use crate::sql::parse_query;

/// A query as parsed.
pub(crate) struct Text {
    pub statement: Statement,
    /// The one row of a query of constants.
    pub constants: Option<RecordBatch>,
}

/// What a plan was made from.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct PlanKey {
    text: String,
    params: Vec<Option<SqlType>>,
    zone: Zone,
    /// Where names without qualifiers are looked up first.
    database: String,
    schema: String,
}

impl PlanKey {
    pub fn new(cx: &QueryContext, text: &str, params: &[Option<SqlType>]) -> PlanKey {
        PlanKey {
            text: text.to_string(),
            params: params.to_vec(),
            zone: cx.zone,
            database: cx.database.clone(),
            schema: cx.schema.clone(),
        }
    }
}

/// A table that a plan reads, under the name that the statement uses.
#[derive(Clone)]
pub(crate) struct Read {
    pub name: QualifiedName,
    pub table: Arc<Table>,
}

/// An optimised plan, with placeholders.
#[derive(Clone)]
pub(crate) struct KeptPlan {
    pub plan: LogicalPlan,
    pub params: Params,
    /// What the client sees.
    pub schema: SchemaRef,
    pub reads: Vec<Read>,
}

/// The texts and plans that are kept.
pub(crate) struct Kept {
    texts: Recent<String, Arc<Text>>,
    plans: Recent<PlanKey, Arc<KeptPlan>>,
}

impl Default for Kept {
    fn default() -> Self {
        Kept { texts: Recent::new(PLANS_KEPT_MAX), plans: Recent::new(PLANS_KEPT_MAX) }
    }
}

impl Kept {
    /// A query as parsed.
    pub fn text(&self, sql: &str) -> lakeport_core::Result<Arc<Text>> {
        if let Some(known) = self.texts.find(sql) {
            return Ok(known);
        }
        let statement = parse_query(sql)?;
        let text = Arc::new(Text { constants: constants(&statement), statement });
        if sql.len() <= PLAN_TEXT_BYTES_MAX {
            self.texts.keep(sql.to_string(), Arc::clone(&text), 1);
        }
        Ok(text)
    }

    /// The plan for a key.
    pub fn plan(&self, key: &PlanKey) -> Option<Arc<KeptPlan>> {
        self.plans.find(key)
    }

    /// Keeps a plan, without the files that it was made with.
    pub fn keep(&self, key: PlanKey, plan: &KeptPlan) -> Result<()> {
        if key.text.len() > PLAN_TEXT_BYTES_MAX {
            return Ok(());
        }
        let empty = |scan: &FileScan| Some(scan.over_no_files());
        let kept = KeptPlan { plan: with_scans(plan.plan.clone(), empty)?, ..plan.clone() };
        self.plans.keep(key, Arc::new(kept), 1);
        Ok(())
    }
}

impl KeptPlan {
    /// The plan over other states of its tables.
    pub fn over(&self, scans: &HashMap<TableId, Arc<FileScan>>) -> Result<LogicalPlan> {
        with_scans(self.plan.clone(), |scan| scans.get(&scan.table()).cloned())
    }
}

/// The plan with types for its parameters, so that it can be analysed before it has their values.
pub(crate) fn with_types(plan: LogicalPlan, params: &Params) -> Result<LogicalPlan> {
    let types = params.types();
    let field = |(index, ty): (usize, &SqlType)| {
        let field: FieldRef = Arc::new(Field::new("", arrow_type(ty), true));
        (format!("${}", index + 1), field)
    };
    let fields: HashMap<String, FieldRef> = types.iter().enumerate().map(field).collect();
    let typed = |expr: Expr| match expr {
        Expr::Placeholder(Placeholder { id, field: None }) => {
            let field = fields.get(&id).cloned();
            Ok(Transformed::yes(Expr::Placeholder(Placeholder { id, field })))
        }
        expr => Ok(Transformed::no(expr)),
    };
    let typed = plan.transform_up_with_subqueries(|node| node.map_expressions(|expr| expr.transform_up(typed)))?;
    Ok(typed.data)
}

/// Whether a plan can be filled in again: all it reads are files of tables, and all its parameters are of the types
/// that their values will have.
pub(crate) fn is_refillable(plan: &LogicalPlan, params: &Params) -> Result<bool> {
    let mut files_only = !matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_));
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            files_only &= file_scan(&scan.source).is_some();
        }
        Ok(if files_only { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    let types = params.types();
    let fields = plan.get_parameter_fields()?;
    let is_typed = |(number, ty): (usize, &SqlType)| match fields.get(&format!("${}", number + 1)) {
        Some(Some(field)) => *field.data_type() == arrow_type(ty),
        Some(None) => false,
        None => true,
    };
    Ok(files_only && types.iter().enumerate().all(is_typed))
}

fn with_scans(plan: LogicalPlan, other: impl Fn(&FileScan) -> Option<Arc<FileScan>>) -> Result<LogicalPlan> {
    let exchanged = plan.transform_down_with_subqueries(|node| match node {
        LogicalPlan::TableScan(mut scan) => match file_scan(&scan.source).and_then(&other) {
            Some(other) => {
                scan.source = provider_as_source(other);
                Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
            }
            None => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
        },
        node => Ok(Transformed::no(node)),
    })?;
    Ok(exchanged.data)
}

fn file_scan(source: &Arc<dyn TableSource>) -> Option<&FileScan> {
    source.downcast_ref::<DefaultTableSource>()?.table_provider.downcast_ref::<FileScan>()
}
