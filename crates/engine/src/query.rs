//! SELECT: plan, bind, run.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema, SchemaRef};
use datafusion::common::{DFSchema, ParamValues};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use lakeport_base::SqlType;
use lakeport_core::Result;
use lakeport_core::cancel::Cancel;
use lakeport_core::engine::{Description, QueryContext};
use lakeport_core::rows::{RowStream, arrow_field, sql_type};
use lakeport_core::value::Zone;

use crate::DataFusionEngine;
use crate::constant::constants;
use crate::context::Session;
use crate::error::{from_arrow, from_datafusion};
use crate::functions;
use crate::params::Params;
use crate::sql::{parse_query, shown_name};
use crate::workers::run_on;
use crate::zoned::{exactly, printed};

/// A statement that has been planned and lacks its parameters' values only.
pub(crate) struct Planned {
    pub session: Session,
    pub plan: LogicalPlan,
    pub params: Params,
}

impl DataFusionEngine {
    pub(crate) async fn describe_query(
        &self,
        cx: &QueryContext,
        sql: &str,
        declared: &[Option<SqlType>],
    ) -> Result<Description> {
        let statement = parse_query(sql)?;
        if let Some(row) = constants(&statement).filter(|_| declared.is_empty()) {
            return Ok(Description { params: Vec::new(), columns: Some(row.schema()) });
        }
        let planned = self.plan_query(cx, statement, declared).await?;
        let params = planned.params.types();
        let bound = planned.bind(None).await?;
        Ok(Description { params, columns: Some(output_schema(bound.schema())) })
    }

    pub(crate) async fn run_query(&self, cx: &QueryContext, sql: &str, params: &[ArrayRef]) -> Result<RowStream> {
        let statement = parse_query(sql)?;
        if let Some(row) = constants(&statement).filter(|_| params.is_empty()) {
            return Ok(RowStream { schema: row.schema(), batches: stream::iter([Ok(row)]).boxed() });
        }
        let declared = given_types(params);
        let planned = self.plan_query(cx, statement, &declared).await?;
        let plan = planned.bind(Some(params)).await?;
        let schema = output_schema(plan.schema());
        let rows = run(&planned.session, &plan).await?;
        Ok(RowStream { batches: shown(rows, Arc::clone(&schema), cx), schema })
    }

    async fn plan_query(
        &self,
        cx: &QueryContext,
        statement: Statement,
        declared: &[Option<SqlType>],
    ) -> Result<Planned> {
        let session = self.sessions.open(cx)?;
        self.plan_statement(cx, session, statement, declared, &HashMap::new()).await
    }

    /// Plans a statement; `expected` are the types of parameters that go to columns.
    pub(crate) async fn plan_statement(
        &self,
        cx: &QueryContext,
        mut session: Session,
        mut statement: Statement,
        declared: &[Option<SqlType>],
        expected: &HashMap<usize, SqlType>,
    ) -> Result<Planned> {
        let mut params = Params::resolve(&mut statement, declared, expected)?;
        self.register_relations(cx, &session, &statement).await?;
        functions::register_answered(Arc::make_mut(&mut session.state), cx, &statement).map_err(from_datafusion)?;
        let plan = session.plan(|state| async move { state.statement_to_plan(statement).await }).await?;
        params.infer(&plan)?;
        Ok(Planned { session, plan, params })
    }
}

impl Planned {
    /// The plan with values (or typed NULLs) for its parameters and with all types resolved.
    pub async fn bind(&self, values: Option<&[ArrayRef]>) -> Result<LogicalPlan> {
        let values = ParamValues::from(self.params.values(values)?);
        let plan = self.plan.clone();
        let bind = move |state: Arc<SessionState>| async move {
            let plan = plan.with_param_values(values)?;
            state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})
        };
        self.session.plan(bind).await
    }
}

/// The types that values arrive with.
pub(crate) fn given_types(params: &[ArrayRef]) -> Vec<Option<SqlType>> {
    let ty = |value: &ArrayRef| {
        let field = arrow_schema::Field::new("", value.data_type().clone(), true);
        Some(sql_type(&field))
    };
    params.iter().map(ty).collect()
}

/// Runs a bound plan.
pub(crate) async fn run(session: &Session, plan: &LogicalPlan) -> Result<SendableRecordBatchStream> {
    let plan = plan.clone();
    let physical = session.plan(|state| async move { state.create_physical_plan(&plan).await }).await?;
    Ok(run_on(&session.workers, physical, session.state.task_ctx()))
}

/// The columns that the client sees: names without our marks, one of our types each.
pub(crate) fn output_schema(schema: &DFSchema) -> SchemaRef {
    let field = |field: &Arc<arrow_schema::Field>| arrow_field(shown_name(field.name()), &sql_type(field), true);
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// A result as the client sees it, ending with 57014 once the statement is cancelled.
pub(crate) fn shown(
    rows: SendableRecordBatchStream,
    schema: SchemaRef,
    cx: &QueryContext,
) -> BoxStream<'static, Result<RecordBatch>> {
    let zone = cx.zone;
    let batches = rows.map(move |batch| as_schema(&batch.map_err(from_datafusion)?, &schema, zone));
    cancellable(batches.boxed(), cx.cancel.clone())
}

/// Casts every column to the type that was announced; what we have no type for is printed.
fn as_schema(batch: &RecordBatch, schema: &SchemaRef, zone: Zone) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| match column.data_type() {
        DataType::Interval(_) | DataType::Duration(_) | DataType::Struct(_) => {
            printed(column, &SqlType::Text, zone).map(|texts| Arc::new(texts) as ArrayRef)
        }
        _ => exactly(column, field.data_type()),
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let rows = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows).map_err(from_arrow)
}

/// Ends a stream with 57014 once `cancel` fires.
fn cancellable(
    rows: BoxStream<'static, Result<RecordBatch>>,
    cancel: Cancel,
) -> BoxStream<'static, Result<RecordBatch>> {
    stream::unfold(Some((rows, cancel)), |running| async move {
        let (mut rows, cancel) = running?;
        match cancel.until_cancelled(async { Ok(rows.next().await) }).await {
            Ok(Some(Ok(batch))) => Some((Ok(batch), Some((rows, cancel)))),
            Ok(None) => None,
            Ok(Some(Err(error))) | Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}
