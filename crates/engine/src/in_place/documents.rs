//! JSON values of files beside values of other types. To Databend, which says how files are queried, they are VARIANTs: a cast
//! or a comparison looks at the value, where PostgreSQL looks at its notation. So a string has no quotes, and null is NULL.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::datasource::DefaultTableSource;
use datafusion::logical_expr::expr::{InList, Like, ScalarFunction};
use datafusion::logical_expr::{
    Between, BinaryExpr, Case, Cast, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, ScalarUDF, TryCast,
};
use datafusion::optimizer::AnalyzerRule;
use lakeport_base::SqlType;
use lakeport_core::rows::sql_type;

use super::rows::RowFiles;
use crate::analysis::rewrite_expressions;
use crate::comparison::is_comparison;
use crate::functions::plain_text;

/// In plans that read such files.
#[derive(Debug)]
pub(crate) struct Documents(Arc<ScalarUDF>);

impl Documents {
    pub fn new() -> Documents {
        Documents(Arc::new(plain_text()))
    }

    /// The rows of a plan for columns of these types.
    pub fn assigned(&self, plan: LogicalPlan, types: &[Option<&SqlType>]) -> Result<LogicalPlan> {
        let schema = Arc::clone(plan.schema());
        let is_document = |at: usize| sql_type(schema.field(at)) == SqlType::Jsonb;
        let is_other = |at: usize| types.get(at).copied().flatten().is_some_and(|ty| *ty != SqlType::Jsonb);
        if !reads_documents(&plan)? || !(0..types.len()).any(|at| is_document(at) && is_other(at)) {
            return Ok(plan);
        }
        let column = |at: usize| {
            let (relation, field) = schema.qualified_field(at);
            let column = Expr::from((relation, field));
            let assigned = if is_document(at) && is_other(at) { self.text_of(column) } else { column };
            assigned.alias_qualified(relation.cloned(), field.name())
        };
        LogicalPlanBuilder::from(plan).project((0..schema.fields().len()).map(column))?.build()
    }

    fn text_of(&self, document: Expr) -> Expr {
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&self.0), vec![document]))
    }

    /// Puts the text of each document in the place of those operands that stand beside another type.
    fn read(&self, mut expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
        let becomes_other = match &expr {
            Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. }) => sql_type(field) != SqlType::Jsonb,
            _ => false,
        };
        let operands = operands(&mut expr);
        let documents: Vec<bool> = operands.iter().map(|operand| is_document(operand, schema)).collect();
        if !documents.contains(&true) || !(becomes_other || documents.contains(&false)) {
            return Transformed::no(expr);
        }
        for (operand, _) in operands.into_iter().zip(documents).filter(|(_, is_document)| *is_document) {
            *operand = self.text_of(std::mem::take(operand));
        }
        Transformed::yes(expr)
    }
}

/// What a cast converts, or what a comparison compares.
fn operands(expr: &mut Expr) -> Vec<&mut Expr> {
    match expr {
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => vec![expr],
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(*op) => vec![left, right],
        Expr::Like(Like { expr, pattern, .. }) | Expr::SimilarTo(Like { expr, pattern, .. }) => vec![expr, pattern],
        Expr::Between(Between { expr, low, high, .. }) => vec![expr, low, high],
        Expr::InList(InList { expr, list, .. }) => list.iter_mut().chain([expr.as_mut()]).collect(),
        Expr::Case(Case { expr: Some(expr), when_then_expr, .. }) => {
            when_then_expr.iter_mut().map(|(when, _)| when.as_mut()).chain([expr.as_mut()]).collect()
        }
        _ => Vec::new(),
    }
}

impl AnalyzerRule for Documents {
    fn name(&self) -> &str {
        "documents_of_files"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        if !reads_documents(&plan)? {
            return Ok(plan);
        }
        rewrite_expressions(plan, |expr, schema| expr.transform_up(|expr| Ok(self.read(expr, schema))))
    }
}

fn compares(op: Operator) -> bool {
    use Operator::{RegexIMatch, RegexMatch, RegexNotIMatch, RegexNotMatch};
    is_comparison(op) || matches!(op, RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch)
}

fn is_document(expr: &Expr, schema: &DFSchema) -> bool {
    expr.to_field(schema).is_ok_and(|(_, field)| sql_type(&field) == SqlType::Jsonb)
}

/// Whether rows of files stand somewhere in the plan.
fn reads_documents(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = node else { return Ok(TreeNodeRecursion::Continue) };
        let source = scan.source.downcast_ref::<DefaultTableSource>();
        let files = source.and_then(|source| source.table_provider.downcast_ref::<RowFiles>());
        // Text has none.
        found =
            files.is_some_and(|files| files.schema().fields().iter().any(|field| sql_type(field) == SqlType::Jsonb));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}
