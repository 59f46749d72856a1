//! JSON values of files beside values of other types. To Databend, which says how files are queried, they are VARIANTs: a cast
//! or a comparison looks at the value, where PostgreSQL looks at its notation. So a string has no quotes, and null is NULL.

mod nodes;

use std::sync::Arc;

use arrow_schema::{DataType, FieldRef};
use datafusion::catalog::TableProvider;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::datasource::DefaultTableSource;
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::expr::{
    AggregateFunction, InList, InSubquery, Like, ScalarFunction, SetComparison, Sort,
};
use datafusion::logical_expr::{
    Aggregate, Between, BinaryExpr, Case, Cast, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator,
    ScalarUDF, Subquery, TryCast, WindowFunctionDefinition, binary_expr, cast, lit,
};
use datafusion::optimizer::AnalyzerRule;
use lakeport_base::SqlType;
use lakeport_core::Error;
use lakeport_core::rows::sql_type;

use super::rows::RowFiles;
use crate::analysis::rewrite_node;
use crate::comparison::is_comparison;
use crate::functions::{JSON_CONCAT, failed, json_key, json_normal, number_key, plain_text, takes_json, text_for};

/// In plans that read such files.
#[derive(Debug)]
pub(crate) struct Documents {
    plain_text: Arc<ScalarUDF>,
    text_for: Arc<ScalarUDF>,
    json_key: Arc<ScalarUDF>,
    number_key: Arc<ScalarUDF>,
    json_normal: Arc<ScalarUDF>,
}

/// What values are compared as, some of which are JSON values.
#[derive(Clone, Copy)]
enum Compared {
    /// Nothing else is there.
    Documents,
    /// Beside a number.
    Numbers,
    /// Beside a truth value, which is one of JSON too.
    Truths,
    /// Beside another type.
    Texts,
}

impl Compared {
    /// `None` when there are no JSON values.
    fn of<'a>(fields: impl Iterator<Item = &'a FieldRef>) -> Option<Compared> {
        let (documents, others): (Vec<_>, Vec<_>) =
            fields.filter(|field| *field.data_type() != DataType::Null).partition(|field| is_document(field));
        match (documents.as_slice(), others.as_slice()) {
            ([], _) => None,
            (_, []) => Some(Compared::Documents),
            (_, others) if others.iter().any(|field| field.data_type().is_numeric()) => Some(Compared::Numbers),
            (_, others) if others.iter().any(|field| *field.data_type() == DataType::Boolean) => Some(Compared::Truths),
            _ => Some(Compared::Texts),
        }
    }
}

impl Documents {
    pub fn new() -> Documents {
        Documents {
            plain_text: Arc::new(plain_text()),
            text_for: Arc::new(text_for()),
            json_key: Arc::new(json_key()),
            number_key: Arc::new(number_key()),
            json_normal: Arc::new(json_normal()),
        }
    }

    /// The rows of a plan for columns of these types.
    pub fn assigned(&self, plan: LogicalPlan, types: &[Option<&SqlType>]) -> Result<LogicalPlan> {
        let schema = Arc::clone(plan.schema());
        let other = |at: usize| {
            let ty = types.get(at).copied().flatten().filter(|ty| **ty != SqlType::Jsonb);
            ty.filter(|_| is_document(schema.field(at)))
        };
        if !reads_documents(&plan)? || !(0..types.len()).any(|at| other(at).is_some()) {
            return Ok(plan);
        }
        let column = |at: usize| {
            let (relation, field) = schema.qualified_field(at);
            let column = Expr::from((relation, field));
            let assigned = match other(at) {
                Some(ty) => self.converted(column, ty),
                None => column,
            };
            assigned.alias_qualified(relation.cloned(), field.name())
        };
        LogicalPlanBuilder::from(plan).project((0..schema.fields().len()).map(column))?.build()
    }

    /// What a cast of a JSON value to a type reads.
    fn converted(&self, value: Expr, ty: &SqlType) -> Expr {
        match ty {
            SqlType::Int2 | SqlType::Int4 | SqlType::Int8 | SqlType::Array(_) => {
                let arguments = vec![value, lit(ty.to_string())];
                Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&self.text_for), arguments))
            }
            _ => call(&self.plain_text, value),
        }
    }

    /// What stands for a value in a comparison.
    fn operand(&self, value: Expr, is_document: bool, compared: Compared) -> Expr {
        match (compared, is_document) {
            (Compared::Documents | Compared::Truths, true) => call(&self.json_key, value),
            (Compared::Truths, false) => call(&self.json_key, cast(value, DataType::Utf8)),
            (Compared::Texts, true) => call(&self.plain_text, value),
            (Compared::Numbers, true) => call(&self.number_key, call(&self.plain_text, value)),
            (Compared::Numbers, false) => call(&self.number_key, cast(value, DataType::Utf8)),
            (Compared::Documents | Compared::Texts, false) => value,
        }
    }

    fn replace(&self, operand: &mut Expr, is_document: bool, compared: Compared) {
        *operand = self.operand(std::mem::take(operand), is_document, compared);
    }

    /// Puts what is compared in the place of JSON values.
    fn read(&self, mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        let meant = joined_texts(&expr, schema).or_else(|| cast_value(&expr, schema));
        let is_other = meant.is_some();
        expr = meant.unwrap_or(expr);
        let changed = match &mut expr {
            Expr::InSubquery(InSubquery { expr, subquery, .. })
            | Expr::SetComparison(SetComparison { expr, subquery, .. }) => self.read_beside(expr, subquery, schema)?,
            Expr::AggregateFunction(aggregate) => self.read_aggregate(aggregate, schema),
            Expr::WindowFunction(window) => {
                let is_extreme = |name: &str| ["max", "min"].contains(&name);
                match &window.fun {
                    WindowFunctionDefinition::AggregateUDF(function)
                        if is_extreme(function.name()) && is_document_of(window.params.args.first(), schema) =>
                    {
                        return Err(failed(over_documents(function.name())));
                    }
                    _ => {
                        self.sort(&mut window.params.order_by, schema)
                            | self.group(&mut window.params.partition_by, schema)
                    }
                }
            }
            Expr::ScalarFunction(function) => {
                require_no_list(function, schema)?;
                !takes_json(&function.func) && self.read_texts(function.args.iter_mut(), schema)
            }
            Expr::Case(case) => self.read_case(case, schema),
            Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field })
                if is_document_of(Some(&**expr), schema) =>
            {
                **expr = self.converted(std::mem::take(expr), &sql_type(field));
                true
            }
            texts @ (Expr::Like(_) | Expr::SimilarTo(_) | Expr::BinaryExpr(_)) if takes_texts(texts) => {
                self.read_texts(operands(texts).into_iter(), schema)
            }
            other => self.compare(operands(other), schema),
        };
        Ok(if changed || is_other { Transformed::yes(expr) } else { Transformed::no(expr) })
    }

    fn compare(&self, operands: Vec<&mut Expr>, schema: &DFSchema) -> bool {
        let fields: Vec<_> = operands.iter().map(|operand| field_of(operand, schema)).collect();
        let Some(compared) = Compared::of(fields.iter().flatten()) else { return false };
        for (operand, field) in operands.into_iter().zip(fields) {
            self.replace(operand, field.is_some_and(|field| is_document(&field)), compared);
        }
        true
    }

    /// CASE compares with what follows WHEN, and its answers are texts where one is a JSON value.
    fn read_case(&self, case: &mut Case, schema: &DFSchema) -> bool {
        let Case { expr, when_then_expr, else_expr } = case;
        let branches = when_then_expr.iter_mut().map(|(when, then)| (when.as_mut(), then.as_mut()));
        let (whens, thens): (Vec<_>, Vec<_>) = branches.unzip();
        let compares =
            expr.as_deref_mut().is_some_and(|expr| self.compare(whens.into_iter().chain([expr]).collect(), schema));
        self.read_texts(thens.into_iter().chain(else_expr.as_deref_mut()), schema) || compares
    }

    /// Puts the texts of JSON values in their place.
    fn read_texts<'a>(&self, values: impl Iterator<Item = &'a mut Expr>, schema: &DFSchema) -> bool {
        let mut changed = false;
        for value in values.filter(|value| is_document_of(Some(&**value), schema)) {
            self.replace(value, true, Compared::Texts);
            changed = true;
        }
        changed
    }

    /// A value beside the rows of a subquery.
    fn read_beside(&self, value: &mut Expr, subquery: &mut Subquery, schema: &DFSchema) -> Result<bool> {
        let plan = Arc::clone(&subquery.subquery);
        let fields = [field_of(value, schema), plan.schema().fields().first().cloned()];
        let Some(compared) = Compared::of(fields.iter().flatten()) else { return Ok(false) };
        let [of_value, of_rows] = fields.map(|field| field.is_some_and(|field| is_document(&field)));
        self.replace(value, of_value, compared);
        let column = Expr::Column(Column::from(plan.schema().qualified_field(0)));
        let column = self.operand(column, of_rows, compared);
        let rows = LogicalPlanBuilder::from(Arc::unwrap_or_clone(plan)).project([column])?.build()?;
        subquery.subquery = Arc::new(rows);
        Ok(true)
    }

    /// The greatest JSON value is the first in the order of keys.
    fn read_aggregate(&self, aggregate: &mut AggregateFunction, schema: &DFSchema) -> bool {
        let AggregateFunction { func, params } = aggregate;
        let is_least = func.name() == "min";
        if !(is_least || func.name() == "max") || !is_document_of(params.args.first(), schema) {
            let joins_texts = func.name() == "string_agg" && self.read_texts(params.args.iter_mut(), schema);
            let tells_apart = params.distinct && self.group(&mut params.args, schema);
            return self.sort(&mut params.order_by, schema) || joins_texts || tells_apart;
        }
        let key = call(&self.json_key, params.args[0].clone());
        *func = first_value_udaf();
        params.distinct = false;
        params.order_by = vec![Sort::new(key, is_least, false)];
        true
    }

    /// Makes values that are the same one notation, by which they are then told apart.
    fn group(&self, values: &mut [Expr], schema: &DFSchema) -> bool {
        let mut changed = false;
        for value in values.iter_mut().filter(|value| is_document_of(Some(&**value), schema)) {
            *value = call(&self.json_normal, std::mem::take(value));
            changed = true;
        }
        changed
    }

    /// Sorts JSON values by their keys.
    fn sort(&self, sorted: &mut [Sort], schema: &DFSchema) -> bool {
        let mut changed = false;
        for by in sorted.iter_mut().filter(|by| is_document_of(Some(&by.expr), schema)) {
            self.replace(&mut by.expr, true, Compared::Documents);
            changed = true;
        }
        changed
    }
}

fn call(function: &Arc<ScalarUDF>, value: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), vec![value.unalias()]))
}

/// What a comparison compares, or a pattern is held to.
fn operands(expr: &mut Expr) -> Vec<&mut Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) || is_of_texts(*op) => {
            vec![left, right]
        }
        Expr::Like(Like { expr, pattern, .. }) | Expr::SimilarTo(Like { expr, pattern, .. }) => vec![expr, pattern],
        Expr::Between(Between { expr, low, high, .. }) => vec![expr, low, high],
        Expr::InList(InList { expr, list, .. }) => list.iter_mut().chain([expr.as_mut()]).collect(),
        _ => Vec::new(),
    }
}

/// `||` of a JSON value and a text, which was planned as one of JSON values.
fn joined_texts(expr: &Expr, schema: &DFSchema) -> Option<Expr> {
    let Expr::ScalarFunction(function) = expr else { return None };
    let [left, right] = function.args.as_slice() else { return None };
    let is_mixed = is_document_of(Some(left), schema) != is_document_of(Some(right), schema);
    (function.name() == JSON_CONCAT && is_mixed)
        .then(|| binary_expr(left.clone(), Operator::StringConcat, right.clone()))
}

/// What a cast of a JSON value to JSONB makes of it.
fn cast_value(expr: &Expr, schema: &DFSchema) -> Option<Expr> {
    let (Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field })) = expr else { return None };
    (is_document(field) && is_document_of(Some(&**expr), schema)).then(|| expr.as_ref().clone())
}

impl AnalyzerRule for Documents {
    fn name(&self) -> &str {
        "documents_of_files"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        if !reads_documents(&plan)? {
            return Ok(plan);
        }
        let read = |plan: LogicalPlan| {
            // What was a JSON value below, or in an expression, may be a text by now.
            let plan = plan.recompute_schema()?;
            let read = rewrite_node(plan, |expr, schema| expr.transform_up(|expr| self.read(expr, schema)))?;
            self.read_node(read.data.recompute_schema()?).map(Transformed::yes)
        };
        Ok(plan.transform_up_with_subqueries(read)?.data)
    }
}

/// # Errors
/// 0A000 for a search among the elements of a list, which are compared as texts.
fn require_no_list(function: &ScalarFunction, schema: &DFSchema) -> Result<()> {
    let (true, [list, value]) = (function.name() == "array_has", function.args.as_slice()) else { return Ok(()) };
    if !is_document_of(Some(value), schema) && !lists_documents(list)? {
        return Ok(());
    }
    let message = format!("{} cannot be looked for in a list, as JSON values of files are", value.schema_name());
    let hint = "CAST the JSON values, such as to INT8 or STRING, or compare in WHERE with the rows of the subquery";
    Err(failed(Error::unsupported(message).with_hint(hint)))
}

/// Whether a list is made of JSON values by a subquery.
fn lists_documents(list: &Expr) -> Result<bool> {
    let mut found = false;
    list.apply(|part| {
        let Expr::ScalarSubquery(subquery) = part else { return Ok(TreeNodeRecursion::Continue) };
        subquery.subquery.apply(|node| {
            if let LogicalPlan::Aggregate(Aggregate { aggr_expr, input, .. }) = node {
                let is_list = |expr: &Expr| {
                    let Expr::AggregateFunction(list) = expr.clone().unalias() else { return false };
                    is_document_of(list.params.args.first(), input.schema())
                };
                found |= aggr_expr.iter().any(is_list);
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(found)
}

fn over_documents(function: &str) -> Error {
    Error::unsupported(format!("{function} of JSON values of files has no OVER"))
        .with_hint("CAST them, such as to INT8")
}

/// Whether an expression makes no difference between a JSON value and a text.
fn takes_texts(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => is_of_texts(*op),
        _ => true,
    }
}

fn is_of_texts(op: Operator) -> bool {
    use Operator::{RegexIMatch, RegexMatch, RegexNotIMatch, RegexNotMatch, StringConcat};
    matches!(op, RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch | StringConcat)
}

fn is_document(field: &FieldRef) -> bool {
    sql_type(field) == SqlType::Jsonb
}

fn is_document_of(expr: Option<&Expr>, schema: &DFSchema) -> bool {
    expr.and_then(|expr| field_of(expr, schema)).is_some_and(|field| is_document(&field))
}

fn field_of(expr: &Expr, schema: &DFSchema) -> Option<FieldRef> {
    expr.to_field(schema).ok().map(|(_, field)| field)
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
