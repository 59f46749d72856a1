//! SELECT: plan, bind, run.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema, SchemaRef};
use datafusion::catalog::Session as _;
use datafusion::common::{DFSchema, ParamValues};
use datafusion::execution::SendableRecordBatchStream;
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
use crate::coerce::cast_to;
use crate::context::Session;
use crate::error::{from_arrow, from_datafusion};
use crate::in_place::FilesRead;
use crate::kept::{KeptPlan, PlanKey, Read, is_refillable, with_types};
use crate::lookup::Lookup;
use crate::params::Params;
use crate::relations::Registered;
use crate::scope::Scope;
use crate::sql::{parse_query, shown_name};
use crate::workers::run_on;
use crate::zoned::{exactly, intervals, printed};

/// A statement that has been planned and lacks its parameters' values only.
pub(crate) struct Planned {
    pub session: Session,
    pub plan: LogicalPlan,
    pub params: Params,
    /// The tables that it reads; `None` when it reads anything else, or the past.
    pub reads: Option<Vec<Read>>,
    pub files: FilesRead,
}

impl DataFusionEngine {
    pub(crate) async fn describe_query(
        &self,
        cx: &QueryContext,
        sql: &str,
        declared: &[Option<SqlType>],
    ) -> Result<Description> {
        let text = self.kept.text(sql)?;
        if let Some(row) = text.constants.as_ref().filter(|_| declared.is_empty()) {
            return Ok(Description { params: Vec::new(), columns: Some(row.schema()) });
        }
        let planned = self.plan_query(cx, text.statement.clone(), declared).await?;
        let params = planned.params.types();
        let bound = planned.bind(None).await?;
        Ok(Description { params, columns: Some(output_schema(bound.schema())) })
    }

    pub(crate) async fn run_query(&self, cx: &QueryContext, sql: &str, params: &[ArrayRef]) -> Result<RowStream> {
        if let Some(lookup) = Lookup::read(sql)
            && let Some(row) = self.look_up(cx, &lookup, params).await?
        {
            return Ok(row);
        }
        let text = self.kept.text(sql)?;
        let declared = given_types(params);
        let key = PlanKey::new(cx, sql, &declared);
        if let Some(kept) = self.kept.plan(&key)
            && let Some(rows) = self.run_again(cx, &kept, params).await?
        {
            return Ok(rows);
        }
        if let Some(row) = text.constants.clone().filter(|_| params.is_empty()) {
            return Ok(RowStream { schema: row.schema(), batches: stream::iter([Ok(row)]).boxed() });
        }
        let planned = self.plan_query(cx, text.statement.clone(), &declared).await?;
        // What cannot be planned without values is planned with them, and fails then if it must.
        if let Ok(Some(kept)) = planned.settle().await {
            self.kept.keep(key, &kept).map_err(from_datafusion)?;
            return run_settled(cx, &planned.session, &kept, kept.plan.clone(), params).await;
        }
        let plan = planned.bind(Some(params)).await?;
        let schema = output_schema(plan.schema());
        let rows = run(&planned.session, &plan).await?;
        Ok(RowStream { batches: shown(rows, Arc::clone(&schema), cx), schema })
    }

    /// Runs a kept plan over its tables as they are now; `None` when its names do not stand for the same tables.
    async fn run_again(&self, cx: &QueryContext, kept: &KeptPlan, params: &[ArrayRef]) -> Result<Option<RowStream>> {
        let Some(scans) = self.present_scans(cx, &kept.reads).await? else { return Ok(None) };
        let plan = kept.over(&scans).map_err(from_datafusion)?;
        run_settled(cx, &self.sessions.open(cx)?, kept, plan, params).await.map(Some)
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
        session: Session,
        mut statement: Statement,
        declared: &[Option<SqlType>],
        expected: &HashMap<usize, SqlType>,
    ) -> Result<Planned> {
        let mut params = Params::resolve(&mut statement, declared, expected)?;
        let Registered { reads, files } = self.register_relations(cx, &session, &mut statement).await?;
        let plan = session.plan(|scope| async move { scope.statement_to_plan(statement) }).await;
        let plan = plan.map_err(|error| files.with_hint(error))?;
        params.infer(&plan)?;
        Ok(Planned { session, plan, params, reads, files })
    }
}

impl Planned {
    /// The plan with values (or typed NULLs) for its parameters and with all types resolved.
    pub async fn bind(&self, values: Option<&[ArrayRef]>) -> Result<LogicalPlan> {
        let values = ParamValues::from(self.params.values(values)?);
        let plan = self.plan.clone();
        let bind = move |scope: Arc<Scope>| async move { scope.analyze(plan.with_param_values(values)?) };
        self.session.plan(bind).await.map_err(|error| self.files.with_hint(error))
    }

    /// The optimised plan, if it may be kept: it then holds for whatever values its parameters have.
    async fn settle(&self) -> Result<Option<KeptPlan>> {
        let Some(reads) = self.reads.clone().filter(|_| !self.session.scope.is_personal()) else { return Ok(None) };
        let plan = with_types(self.plan.clone(), &self.params).map_err(from_datafusion)?;
        if !is_refillable(&plan, &self.params).map_err(from_datafusion)? {
            return Ok(None);
        }
        let settle = move |scope: Arc<Scope>| async move {
            let analyzed = scope.analyze(plan)?;
            let schema = output_schema(analyzed.schema());
            Ok((scope.settle(analyzed)?, schema))
        };
        let (plan, schema) = self.session.plan(settle).await?;
        Ok(Some(KeptPlan { plan, params: self.params.clone(), schema, reads }))
    }
}

/// Runs a settled plan that has its files and lacks its parameters' values.
async fn run_settled(
    cx: &QueryContext,
    session: &Session,
    kept: &KeptPlan,
    plan: LogicalPlan,
    params: &[ArrayRef],
) -> Result<RowStream> {
    let values = kept.params.values(Some(params))?;
    let plan = move |scope: Arc<Scope>| async move { scope.plan_settled(plan, values).await };
    let physical = session.plan(plan).await?;
    let rows = run_on(&session.workers, physical, session.scope.task_ctx());
    let schema = Arc::clone(&kept.schema);
    Ok(RowStream { batches: shown(rows, Arc::clone(&schema), cx), schema })
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
    let physical = session.plan(|scope| async move { scope.create_physical_plan(&plan).await }).await?;
    Ok(session.scope.reading.named(run_on(&session.workers, physical, session.scope.task_ctx())))
}

/// The first row of a query over registered tables.
pub(crate) async fn first_row(session: &Session, sql: &str) -> Result<Option<RecordBatch>> {
    let plan = session.scope.statement_to_plan(parse_query(sql)?).map_err(from_datafusion)?;
    let mut batches = run(session, &plan).await?;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(from_datafusion)?;
        if batch.num_rows() > 0 {
            return Ok(Some(batch.slice(0, 1)));
        }
    }
    Ok(None)
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
        DataType::Struct(_) | DataType::Map(..) => {
            printed(column, &SqlType::Text, zone).map(|texts| Arc::new(texts) as ArrayRef)
        }
        DataType::Duration(_) => intervals(column).map(|spans| Arc::new(spans) as ArrayRef),
        DataType::List(item) if has_no_type(item.data_type()) => {
            let ty = sql_type(field);
            cast_to(column, &ty, &ty, zone)
        }
        _ => exactly(column, field.data_type()),
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let rows = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows).map_err(from_arrow)
}

/// Whether items of lists hold what Arrow cannot cast to what was announced.
fn has_no_type(item: &DataType) -> bool {
    match item {
        DataType::List(item) => has_no_type(item.data_type()),
        item => matches!(item, DataType::Duration(_) | DataType::Struct(_) | DataType::Map(..)),
    }
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
