//! Nodes of plans that compare JSON values as a whole: groups, orders, joins, unions.

use std::sync::Arc;

use arrow_schema::{DataType, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, JoinConstraint, Result};
use datafusion::logical_expr::{Aggregate, Distinct, Expr, LogicalPlan, LogicalPlanBuilder, Union};
use lakeport_base::{SqlType, Sqlstate};
use lakeport_core::Error;
use lakeport_core::rows::{arrow_field, sql_type};

use super::{Compared, Documents, field_of, is_document, is_document_of};
use crate::functions::failed;

impl Documents {
    /// What a node as a whole compares.
    pub(super) fn read_node(&self, mut plan: LogicalPlan) -> Result<LogicalPlan> {
        match &mut plan {
            LogicalPlan::Sort(sort) => {
                self.sort(&mut sort.expr, sort.input.schema());
            }
            LogicalPlan::Aggregate(aggregate) => self.group_by(aggregate)?,
            LogicalPlan::Distinct(Distinct::All(input)) => *input = self.with_one_notation(input, |_| true, &[])?,
            LogicalPlan::Distinct(Distinct::On(distinct)) => {
                let schema = distinct.input.schema();
                for on in distinct.on_expr.iter_mut().filter(|on| is_document_of(Some(&**on), schema)) {
                    self.replace(on, true, Compared::Documents);
                }
                self.sort(distinct.sort_expr.as_deref_mut().unwrap_or_default(), schema);
            }
            LogicalPlan::Join(join) => {
                for (left, right) in &mut join.on {
                    let fields = [field_of(left, join.left.schema()), field_of(right, join.right.schema())];
                    let Some(compared) = Compared::of(fields.iter().flatten()) else { continue };
                    for (key, field) in [left, right].into_iter().zip(fields) {
                        self.replace(key, field.is_some_and(|field| is_document(&field)), compared);
                    }
                    // Keys of USING are columns.
                    join.join_constraint = JoinConstraint::On;
                }
            }
            LogicalPlan::Union(union) => {
                *union = of_one_kind(Union::try_new_with_loose_types(std::mem::take(&mut union.inputs))?)?;
            }
            _ => {}
        }
        Ok(plan)
    }

    /// Groups by JSON values in one notation: that of columns, and of what is computed below the node for it.
    fn group_by(&self, aggregate: &mut Aggregate) -> Result<()> {
        let schema = Arc::clone(aggregate.input.schema());
        let members = aggregate.group_expr.iter().flat_map(|group| match group {
            Expr::GroupingSet(set) => set.distinct_expr(),
            value => vec![value],
        });
        let values: Vec<Expr> = members.filter(|value| is_document_of(Some(*value), &schema)).cloned().collect();
        if values.is_empty() {
            return Ok(());
        }
        let (columns, computed): (Vec<_>, Vec<_>) =
            values.into_iter().partition(|value| matches!(value, Expr::Column(_)));
        let input = self.with_one_notation(&aggregate.input, |column| columns.contains(column), &computed)?;
        let read = |expr: Expr| match computed.contains(&expr) {
            true => Ok(Transformed::new(
                Expr::Column(Column::new_unqualified(expr.schema_name().to_string())),
                true,
                TreeNodeRecursion::Jump,
            )),
            false => Ok(Transformed::no(expr)),
        };
        let replaced = |exprs: &mut Vec<Expr>| -> Result<Vec<Expr>> {
            std::mem::take(exprs).into_iter().map(|expr| Ok(expr.transform_down(read)?.data)).collect()
        };
        let (groups, aggregates) = (replaced(&mut aggregate.group_expr)?, replaced(&mut aggregate.aggr_expr)?);
        *aggregate = Aggregate::try_new(input, groups, aggregates)?;
        Ok(())
    }

    /// Rows in which the JSON values that are meant have one notation, and what is computed of them, by its name.
    fn with_one_notation(
        &self,
        input: &Arc<LogicalPlan>,
        is_meant: impl Fn(&Expr) -> bool,
        computed: &[Expr],
    ) -> Result<Arc<LogicalPlan>> {
        let schema = input.schema();
        let named = |mut value: Expr| {
            let (relation, name) = value.qualified_name();
            match self.group(std::slice::from_mut(&mut value), schema) {
                true => value.alias_qualified(relation, name),
                false => value,
            }
        };
        let column = |column: Expr| if is_meant(&column) { named(column) } else { column };
        let columns = schema.iter().map(Expr::from).map(column);
        let columns: Vec<Expr> = columns.chain(computed.iter().cloned().map(named)).collect();
        Ok(Arc::new(LogicalPlanBuilder::from(input.as_ref().clone()).project(columns)?.build()?))
    }
}

/// The union with JSON values where some query has them.
///
/// # Errors
/// 42804 for a column that has JSON values in one query and another type in another.
fn of_one_kind(union: Union) -> Result<Union> {
    let mut columns = Vec::with_capacity(union.schema.fields().len());
    for (at, (relation, column)) in union.schema.iter().enumerate() {
        let fields: Vec<_> = union.inputs.iter().filter_map(|input| input.schema().fields().get(at)).collect();
        let column = match Compared::of(fields.iter().copied()) {
            None => Arc::clone(column),
            Some(Compared::Documents) => Arc::new(arrow_field(column.name(), &SqlType::Jsonb, true)),
            Some(_) => return Err(failed(of_two_kinds(column.name(), &fields))),
        };
        columns.push((relation.cloned(), column));
    }
    let schema = Arc::new(DFSchema::new_with_metadata(columns, union.schema.metadata().clone())?);
    Ok(Union { schema, ..union })
}

fn of_two_kinds(name: &str, fields: &[&FieldRef]) -> Error {
    let other = fields.iter().find(|field| !is_document(field) && *field.data_type() != DataType::Null);
    let ty = other.map_or(SqlType::Text, |field| sql_type(field));
    let message = format!("UNION: column {name:?} is a JSON value of files in one query, of type {ty} in another");
    Error::new(Sqlstate::DATATYPE_MISMATCH, message)
        .with_hint(format!("CAST makes the JSON value one of type {ty}, TO_JSONB the other a JSON value"))
}
