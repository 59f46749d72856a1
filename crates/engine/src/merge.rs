//! MERGE: one query joins the table with its source, says of each pair of rows which clause is for it, and computes the
//! clause's values; the rows of each clause are then staged as those of an UPDATE, a DELETE or an INSERT.

mod scope;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::{Field, Fields, Schema};
use arrow_select::filter::filter_record_batch;
use datafusion::common::TableReference;
use futures::StreamExt;
use lakeport_base::limits::MERGE_VALUES_MAX;
use lakeport_base::{SqlType, Sqlstate};
use lakeport_catalog::model::Column;
use lakeport_core::engine::{Description, QueryContext, TableHandle, Written};
use lakeport_core::rows::arrow_field;
use lakeport_core::{Error, Result};
use lakeport_sql::stmt::query::{Assignment, Merge, MergeAction, MergeClause, Pairs};

use self::scope::{ACTION, PAIR, Scope, Side};
use crate::DataFusionEngine;
use crate::change::TARGET;
use crate::delta::files::DataFile;
use crate::delta::scan::{FILE_COLUMN, ROW_COLUMN};
use crate::error::{from_arrow, from_datafusion};
use crate::insert::Targets;
use crate::query::{Planned, given_types, run};
use crate::relations::table_provider;
use crate::returning::Returning;
use crate::sql::{parse_query, quoted};
use crate::stage::{Rewrite, Rewritten};
use crate::upsert::{assigned_text, check_assigned};

/// The relation that says of a pair that it has a row of the source.
const SOURCE: &str = "__lakeport_source";

/// The query's first columns: the number of the clause, and the file and number of the table's row.
const PLACE: [&str; 3] = ["a", "f", "r"];

/// A MERGE as the query of its pairs.
struct Merging<'a> {
    table: &'a TableHandle,
    merge: &'a Merge,
    /// The name under which the statement knows the table.
    target: &'a str,
    scope: Scope,
    /// What each clause does.
    steps: Vec<Step>,
    /// The clauses' values, by index.
    values: Vec<String>,
    /// Types of parameters that are a column's value as they stand.
    expected: HashMap<usize, SqlType>,
    /// The select list of RETURNING over the relation of the pairs.
    returning: Option<String>,
}

/// Where the query's columns stand, after the clause and the place of the row.
struct Layout {
    /// The old values of the table's columns, if any clause changes rows.
    old: Range<usize>,
    /// For RETURNING the word of the action and the columns of the source.
    beside: Range<usize>,
    /// The first of the clauses' values.
    values: usize,
}

/// What a clause does with its pairs.
enum Step {
    /// For each column of the table the index of its value; `None` keeps the old one.
    Update(Vec<Option<usize>>),
    Delete,
    /// For each column of the table the index of its value.
    Insert(Vec<usize>),
    Nothing,
}

impl DataFusionEngine {
    pub(crate) async fn plan_merge(
        &self,
        cx: &QueryContext,
        table: &TableHandle,
        merge: &Merge,
        declared: &[Option<SqlType>],
    ) -> Result<Description> {
        let source = self.source_columns(cx, merge, declared).await?;
        let merging = Merging::new(table, merge, source)?;
        let planned = self.plan_pairs(cx, &merging, Arc::default(), declared).await?;
        let plan = planned.bind(None).await?;
        let params = planned.params.types();
        let returning = merging.returning(plan.schema().as_arrow());
        let columns = self.returning_columns(cx, returning.as_ref(), &params).await?;
        Ok(Description { params, columns })
    }

    pub(crate) async fn run_merge(
        &self,
        cx: &QueryContext,
        table: &TableHandle,
        merge: &Merge,
        params: &[ArrayRef],
    ) -> Result<Written> {
        let source = self.source_columns(cx, merge, &given_types(params)).await?;
        let merging = Merging::new(table, merge, source)?;
        match cx.transaction {
            Some(_) => self.try_merge(cx, &merging, params).await,
            None => self.retrying(table, || self.try_merge(cx, &merging, params)).await,
        }
    }

    async fn try_merge(&self, cx: &QueryContext, merging: &Merging<'_>, params: &[ArrayRef]) -> Result<Written> {
        let writing = self.start_writing(merging.table, cx.transaction, &cx.cancel).await?;
        let planned = self.plan_pairs(cx, merging, Arc::clone(&writing.files), &given_types(params)).await?;
        let mut batches = run(&planned.session, &planned.bind(Some(params)).await?).await?;
        let returning = merging.returning(&batches.schema());
        let shown = returning.as_ref().map(|_| self.sessions.hold("the rows of RETURNING"));
        let mut rewrite = Rewrite::new(&writing, &merging.table.row, cx.zone)?.showing(shown);
        if merging.changes_rows() {
            rewrite = rewrite.of_pairs()?;
        }
        while let Some(batch) = batches.next().await {
            merging.stage(&batch.map_err(from_datafusion)?, &mut rewrite).await?;
        }
        let Rewritten { changes, rows, shown, untouched } = rewrite.finish(&self.sessions).await?;
        if merging.sets_keys() {
            self.check_keys(merging.table, &changes.adds, &untouched).await?;
        }
        let returning = self.returned(cx, returning.as_ref(), shown, params).await?;
        self.finish_writing(writing, changes).await?;
        Ok(Written { rows, returning })
    }

    /// The columns of the source, each with the name of its table.
    async fn source_columns(
        &self,
        cx: &QueryContext,
        merge: &Merge,
        declared: &[Option<SqlType>],
    ) -> Result<Vec<(Option<TableReference>, String)>> {
        let statement = parse_query(&format!("SELECT * FROM {}", merge.source))?;
        let session = self.sessions.open(cx)?;
        let planned = self.plan_statement(cx, session, statement, declared, &HashMap::new()).await?;
        let columns = planned.plan.schema().iter();
        Ok(columns.map(|(table, field)| (table.cloned(), field.name().clone())).collect())
    }

    async fn plan_pairs(
        &self,
        cx: &QueryContext,
        merging: &Merging<'_>,
        files: Arc<[DataFile]>,
        declared: &[Option<SqlType>],
    ) -> Result<Planned> {
        let session = self.sessions.open(cx)?;
        session.register_bare(TARGET, table_provider(merging.table, files, true)?);
        let statement = parse_query(&merging.query()?)?;
        self.plan_statement(cx, session, statement, declared, &merging.expected).await
    }
}

/// The clauses.
impl<'a> Merging<'a> {
    fn new(
        table: &'a TableHandle,
        merge: &'a Merge,
        source: Vec<(Option<TableReference>, String)>,
    ) -> Result<Merging<'a>> {
        let target = merge.alias.as_deref().unwrap_or(merge.table.name());
        let scope = Scope::new(target, &table.row.columns, source)?;
        let returning = merge.returning.as_deref().map(|list| scope.select_list(list)).transpose()?;
        let (steps, values, expected) = (Vec::new(), Vec::new(), HashMap::new());
        let mut merging = Merging { table, merge, target, scope, steps, values, expected, returning };
        for (number, clause) in merge.clauses.iter().enumerate() {
            let step = merging.step(number, clause)?;
            merging.steps.push(step);
        }
        Ok(merging)
    }

    fn step(&mut self, number: usize, clause: &MergeClause) -> Result<Step> {
        let row = &self.table.row;
        match &clause.action {
            MergeAction::Nothing => Ok(Step::Nothing),
            MergeAction::Delete => Ok(Step::Delete),
            MergeAction::Update(assignments) => {
                check_assigned(row, assignments)?;
                let value = |column: &Column| {
                    let assigned = assignments.iter().find(|assignment| assignment.column == column.name);
                    assigned.map(|assignment| self.value(number, clause.pairs, column, assignment)).transpose()
                };
                Ok(Step::Update(row.columns.iter().map(value).collect::<Result<_>>()?))
            }
            MergeAction::Insert { columns: names, values } => {
                let values = values.as_deref().unwrap_or_default();
                let targets = Targets::new(row, names, values.len())?;
                let value = |(index, column): (usize, &Column)| {
                    let given = targets.source_of(index).and_then(|source| values.get(source));
                    let value = given.map_or_else(|| "DEFAULT".to_string(), String::clone);
                    let assignment = Assignment { column: column.name.clone(), value };
                    self.value(number, clause.pairs, column, &assignment)
                };
                Ok(Step::Insert(row.columns.iter().enumerate().map(value).collect::<Result<_>>()?))
            }
        }
    }

    /// Adds a clause's value for a column; answers its index.
    fn value(&mut self, clause: usize, pairs: Pairs, column: &Column, assigned: &Assignment) -> Result<usize> {
        if self.values.len() == MERGE_VALUES_MAX {
            let message = format!("MERGE whose clauses compute more than {MERGE_VALUES_MAX} values");
            return Err(Error::new(Sqlstate::STATEMENT_TOO_COMPLEX, message));
        }
        if let Some(number) = assigned.value.trim().strip_prefix('$').and_then(|number| number.parse().ok()) {
            self.expected.insert(number, column.ty.clone());
        }
        let text = match is_default(assigned) {
            true => assigned_text(assigned, column.default.as_deref()),
            false => format!("({})", self.scope.expression(&assigned.value, pairs)?),
        };
        let index = self.values.len();
        self.values.push(format!("CASE WHEN {PAIR}.a = {clause} THEN {text} END AS v{index}"));
        Ok(index)
    }

    /// Whether rows that are there may change or go.
    fn changes_rows(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Update(_) | Step::Delete))
    }

    /// Whether rows may come with keys that the table did not have.
    fn sets_keys(&self) -> bool {
        let row = &self.table.row;
        let is_key = |index: usize| row.columns.get(index).is_some_and(|column| row.primary_key.contains(&column.name));
        self.steps.iter().any(|step| match step {
            Step::Insert(_) => true,
            Step::Update(values) => values.iter().enumerate().any(|(index, value)| value.is_some() && is_key(index)),
            Step::Delete | Step::Nothing => false,
        })
    }
}

/// The query and its rows.
impl Merging<'_> {
    fn query(&self) -> Result<String> {
        let mut conditions = Vec::with_capacity(self.steps.len());
        let nothing = self.steps.len();
        for (number, (clause, step)) in self.merge.clauses.iter().zip(&self.steps).enumerate() {
            let sides = match clause.pairs {
                Pairs::Matched => format!("{PAIR}.f IS NOT NULL AND {PAIR}.m IS NOT NULL"),
                Pairs::NotMatchedByTarget => format!("{PAIR}.f IS NULL"),
                Pairs::NotMatchedBySource => format!("{PAIR}.m IS NULL"),
            };
            let condition = clause.condition.as_deref();
            let condition = condition.map(|text| self.scope.expression(text, clause.pairs)).transpose()?;
            let condition = condition.map(|condition| format!(" AND ({condition})")).unwrap_or_default();
            let number = if matches!(step, Step::Nothing) { nothing } else { number };
            conditions.push(format!("WHEN {sides}{condition} THEN {number}"));
        }
        let pairs = format!(
            "SELECT {PAIR}.*, CASE {} ELSE {nothing} END AS a FROM ({}) AS {PAIR}",
            conditions.join(" "),
            self.join()
        );
        Ok(format!("SELECT {} FROM ({pairs}) AS {PAIR} WHERE {PAIR}.a < {nothing}", self.list()))
    }

    /// The pairs: where the row of the table lies, whether there is one of the source, and the columns of both.
    fn join(&self) -> String {
        let Merge { source, condition, clauses, .. } = self.merge;
        let (table, join) = (quoted(self.target), self.merge.join());
        let (source, present) = match clauses.iter().any(|clause| clause.pairs == Pairs::NotMatchedBySource) {
            true => (format!("({source} CROSS JOIN (SELECT TRUE AS m) AS {SOURCE})"), format!("{SOURCE}.m")),
            false => (source.clone(), "TRUE".to_string()),
        };
        let columns = self.scope.columns().iter().map(|column| format!("{} AS {}", column.joined, column.stored));
        let columns: Vec<String> = columns.collect();
        format!(
            "SELECT {table}.{FILE_COLUMN} AS f, {table}.{ROW_COLUMN} AS r, {present} AS m, {} FROM {TARGET} AS {table} \
             {join} {source} ON {condition}",
            columns.join(", ")
        )
    }

    /// The select list, as [`Merging::layout`] says.
    fn list(&self) -> String {
        let side = |side| self.scope.columns().iter().filter(move |column| column.side == side);
        let mut list: Vec<String> = PLACE.map(|name| format!("{PAIR}.{name}")).to_vec();
        if self.changes_rows() {
            list.extend(side(Side::Target).map(|column| format!("{PAIR}.{}", column.stored)));
        }
        if self.returning.is_some() {
            list.push(self.action());
            list.extend(side(Side::Source).map(|column| format!("{PAIR}.{}", column.stored)));
        }
        list.extend_from_slice(&self.values);
        list.join(", ")
    }

    fn layout(&self) -> Layout {
        let width = self.table.row.columns.len();
        let old = PLACE.len()..PLACE.len() + if self.changes_rows() { width } else { 0 };
        // The columns of the source, and the word of the action.
        let shown = self.scope.columns().len() - width + 1;
        let beside = old.end..old.end + if self.returning.is_some() { shown } else { 0 };
        Layout { values: beside.end, old, beside }
    }

    /// The word of a pair's action.
    fn action(&self) -> String {
        let word = |(number, step): (usize, &Step)| {
            let word = match step {
                Step::Update(_) => "UPDATE",
                Step::Delete => "DELETE",
                Step::Insert(_) => "INSERT",
                Step::Nothing => "DO NOTHING",
            };
            format!("WHEN {number} THEN '{word}'")
        };
        let words: Vec<String> = self.steps.iter().enumerate().map(word).collect();
        format!("CASE {PAIR}.a {} END AS {ACTION}", words.join(" "))
    }

    /// Stages the rows of a batch, clause by clause.
    async fn stage(&self, batch: &RecordBatch, rewrite: &mut Rewrite<'_>) -> Result<()> {
        let clauses = batch.column(0).as_primitive::<Int64Type>().values();
        for (number, step) in self.steps.iter().enumerate() {
            let wanted: BooleanArray =
                clauses.iter().map(|clause| Some(usize::try_from(*clause) == Ok(number))).collect();
            let rows = filter_record_batch(batch, &wanted).map_err(from_arrow)?;
            let rows = rows.project(&self.columns_of(step)).map_err(from_arrow)?;
            match step {
                Step::Update(_) => rewrite.update(&rows).await?,
                Step::Delete => rewrite.delete(&rows).await?,
                Step::Insert(_) => rewrite.insert(&rows).await?,
                Step::Nothing => {}
            }
        }
        Ok(())
    }

    /// The query's columns that [`Rewrite`] takes for a step.
    fn columns_of(&self, step: &Step) -> Vec<usize> {
        let Layout { old, beside, values: first } = self.layout();
        let mut columns: Vec<usize> = match step {
            Step::Update(_) | Step::Delete => [1, 2].into_iter().chain(old.clone()).collect(),
            Step::Insert(_) | Step::Nothing => Vec::new(),
        };
        match step {
            Step::Update(values) => {
                columns.extend(values.iter().zip(old).map(|(value, old)| value.map_or(old, |value| first + value)));
            }
            Step::Insert(values) => columns.extend(values.iter().map(|value| first + value)),
            Step::Delete | Step::Nothing => {}
        }
        columns.extend(beside);
        columns
    }

    /// RETURNING, over the columns of the table and what the query has beside them.
    fn returning(&self, query: &Schema) -> Option<Returning> {
        let list = self.returning.clone()?;
        let own = self.table.row.columns.iter().enumerate();
        let own = own.map(|(index, column)| Arc::new(arrow_field(&format!("o{index}"), &column.ty, true)));
        let beside = query.fields()[self.layout().beside]
            .iter()
            .map(|field| Arc::new(field.as_ref().clone().with_nullable(true)));
        let fields: Fields = own.chain(beside).collect::<Vec<Arc<Field>>>().into();
        Some(Returning {
            columns: Arc::new(Schema::new(fields)),
            relation: TableReference::bare(PAIR),
            from: PAIR.to_string(),
            list,
        })
    }
}

/// Whether the assigned value is the word DEFAULT.
fn is_default(assigned: &Assignment) -> bool {
    assigned.value.trim().eq_ignore_ascii_case("default")
}
