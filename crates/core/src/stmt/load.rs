//! `COPY INTO table`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use futures::StreamExt;
use futures::stream;
use lakeport_base::limits::LOAD_FILES_MAX;
use lakeport_base::{Point, SqlType, Sqlstate};
use lakeport_catalog::model::{Column, Table};
use lakeport_sql::stmt::load::{ColumnMatch, Load, LoadOptions, Source};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use super::Cx;
use super::table::{alter, columns_named};
use crate::databend::Number;
use crate::engine::{Marks, Once, RowsAlong, TableHandle};
use crate::error::{Error, Result};
use crate::external::store_error;
use crate::import::bytes::ReadMeter;
use crate::import::options::OtherRows;
use crate::import::part;
use crate::import::read::Plan;
use crate::import::rules::{FieldDefault, Rules};
use crate::import::source::SourceFile;
use crate::import::staging::Stager;
use crate::import::tally::Tally;
use crate::import::{ByName, Decompress, Format, ImportOptions, Missing};
use crate::in_place::{self, FileSet, PlacedFile};
use crate::load::query::FileQuery;
use crate::load::staging::{Loading, errors_max};
use crate::load::{evolution, history, reading};
use crate::outcome::{Notice, Outcome};
use crate::row;
use crate::rows::{schema_of, sql_type};
use crate::show::rows::{Cell, batch_of};
use crate::stage::format::options::{LOAD, NULL_IF};
use crate::stage::format::{FileFormat, FormatType};
use crate::stage::listing::Selection;
use crate::stage::place::{StageAccess, StagedPlace};
use crate::value::TextColumn;

/// Files deleted at the same time.
const DELETIONS_MAX: usize = 8;
/// Errors after which no commit is under way.
const REFUSALS: &[Sqlstate] = &[
    Sqlstate::SERIALIZATION_FAILURE,
    Sqlstate::UNIQUE_VIOLATION,
    Sqlstate::NOT_NULL_VIOLATION,
    Sqlstate::QUERY_CANCELED,
];
/// Random bytes in the key under which a statement stages rows.
const KEY_BYTES: usize = 16;

pub(crate) fn columns() -> SchemaRef {
    schema_of(&[
        ("File", SqlType::Text),
        ("Rows_loaded", SqlType::Int4),
        ("Errors_seen", SqlType::Int4),
        ("First_error", SqlType::Text),
        ("First_error_line", SqlType::Int4),
    ])
}

pub(crate) async fn load(cx: &Cx<'_>, statement: &Load) -> Result<Outcome> {
    cx.refuse_in_block("COPY INTO a table cannot be used inside a multi-statement transaction")?;
    let mut load = Loader::new(cx, statement).await?;
    let selection = cx.selection(statement.pattern.as_ref(), &statement.files)?;
    let files = load.files(&selection).await?;
    let rows = if files.is_empty() { Vec::new() } else { load.run(&selection, files).await? };
    Ok(Outcome::rows("COPY", batch_of(columns(), &rows)?))
}

/// A statement whose user may do what it says.
struct Loader<'a> {
    cx: &'a Cx<'a>,
    statement: &'a Load,
    options: &'a LoadOptions,
    table: TableHandle,
    /// The table as it is as long as the files' rows are not its own, if it is to have further columns then.
    before: Option<TableHandle>,
    /// Those that the files fill.
    columns: Vec<Column>,
    place: StagedPlace,
    format: FileFormat,
    /// Files that were loaded since this moment are not loaded again, in microseconds since the epoch.
    since: i64,
}

impl<'a> Loader<'a> {
    async fn new(cx: &'a Cx<'a>, statement: &'a Load) -> Result<Loader<'a>> {
        let options = &statement.options;
        let table = cx.table(&statement.table)?;
        cx.subject().require_table(&table, "INSERT")?;
        let columns = columns_of(&table, statement)?;
        let location = statement.from.location();
        let place = cx.server.staged_place(cx.subject(), location, StageAccess::Read).await?;
        if options.purge {
            cx.server.staged_place(cx.subject(), location, StageAccess::Write).await?;
        }
        let format = match &statement.file_format {
            Some(list) => FileFormat::read(&cx.server.format_options(list).await?)?,
            None => place.file_format.clone().unwrap_or_else(|| FileFormat::of_type(FormatType::Parquet)),
        };
        format.require_known_values(&LOAD)?;
        check(options, &format)?;
        if options.schema_evolution.is_some() {
            cx.subject().require_table(&table, "CREATE")?;
            evolution::check(statement, &format)?;
        }
        let since = if options.force { i64::MAX } else { history::since(cx.server.config.env.now_micros()) };
        let table = cx.handle(&table).await?;
        Ok(Loader { cx, statement, options, table, before: None, columns, place, format, since })
    }

    /// The files to load, each held to what it is now. Where there are none the client is told why.
    ///
    /// # Errors
    /// [3001] and [1006] for names, [1001] for too many.
    async fn files(&self, selection: &Selection) -> Result<Vec<ObjectMeta>> {
        let engine = &self.cx.server.config.engine;
        let known = if self.options.force { Default::default() } else { engine.marks(&self.table, self.since).await? };
        let is_known = |file: &ObjectMeta| history::mark(&self.place, file).is_some_and(|mark| known.contains(&mark));
        let (mut loaded, mut has_empty) = (0, false);
        let is_new = |file: &ObjectMeta| {
            let is_known = file.size > 0 && !known.is_empty() && is_known(file);
            loaded += u64::from(is_known);
            has_empty |= file.size == 0;
            file.size > 0 && !is_known
        };
        let first = match self.options.max_files {
            0 => usize::MAX,
            files => usize::try_from(files).unwrap_or(usize::MAX),
        };
        let mut found = in_place::found(self.cx, &self.place, selection, first, is_new).await?;
        if found.is_empty() {
            self.cx.session.notice(nothing_new(&self.place.shown(selection), loaded, has_empty));
        }
        if self.options.size_limit > 0 {
            let mut bytes = 0;
            let begins = found.iter().take_while(|file| {
                let begins = bytes < self.options.size_limit;
                bytes += file.size;
                begins
            });
            found.truncate(begins.count());
        }
        if found.len() > LOAD_FILES_MAX && !takes_any_number(self.options) {
            let message = "Commit limit reached: 15,000 files for 'copy into table'. To handle more files, adjust \
                           'CopyOption' with 'max_files=<num>' and run the statement several times";
            return Err(Error::databend(Number::COMMIT_LIMIT, message));
        }
        Ok(found)
    }

    /// Loads files; answers the rows of the result.
    async fn run(&mut self, selection: &Selection, found: Vec<ObjectMeta>) -> Result<Vec<Vec<Cell>>> {
        let positions = match &self.statement.from {
            Source::Files(_) => Vec::new(),
            Source::Selected(selected) => selected.source.positions.clone(),
        };
        let set = Arc::new(FileSet::of(&self.place, selection, found, self.format.clone(), positions));
        self.evolve(&set).await?;
        let sources: Vec<SourceFile> = (0..set.files.len())
            .map(|file| SourceFile { ranged: self.place.capability.list, ..set.source(file) })
            .collect();
        let stager = self.stager(&set, &sources).await?;
        let mut loading = Loading::new(Arc::clone(&stager), self.options.on_error, &sources);
        let parts = part::parts(sources, &stager.plan.options);
        self.cx.cancel.until_cancelled(loading.stage(parts)).await?;
        let read: Vec<Read> = set.files.iter().zip(loading.tallies()).map(Read::new).collect();
        let loaded: Vec<&PlacedFile> = read.iter().filter(|read| read.is_loaded).map(|read| read.file).collect();
        if !loaded.is_empty() {
            self.append(&stager, loading, &loaded).await?;
            self.cx.server.config.env.fault(Point::CopyAppended)?;
        }
        if self.options.purge {
            self.purge(&loaded).await;
        }
        Ok(self.result(&read))
    }

    /// Plans for the table as it is to be, with the columns of the files that it lacks.
    async fn evolve(&mut self, set: &Arc<FileSet>) -> Result<()> {
        let Some(sample) = self.options.schema_evolution else { return Ok(()) };
        let found =
            evolution::new_columns(self.cx.server.config.engine.as_ref(), set, sample, &self.table.row, self.names());
        let added = self.cx.cancel.until_cancelled(found).await?;
        if !added.is_empty() {
            let row = Arc::new(alter::with_columns(self.cx, &self.table, added).await?);
            self.columns.clone_from(&row.columns);
            let evolved = TableHandle { row, ..self.table.clone() };
            self.before = Some(std::mem::replace(&mut self.table, evolved));
        }
        Ok(())
    }

    /// How the columns of files become those of the table: where that takes their columns, none need have all.
    fn names(&self) -> ByName {
        let names = reading::names(&self.format, self.options.column_match_mode);
        match names.missing {
            Missing::Refused if self.options.schema_evolution.is_some() => ByName { missing: Missing::Null, ..names },
            _ => names,
        }
    }

    async fn stager(&self, set: &Arc<FileSet>, sources: &[SourceFile]) -> Result<Arc<Stager>> {
        let config = &self.cx.server.config;
        let (key, cancel) = (config.env.random_hex(KEY_BYTES), self.cx.cancel.clone());
        let rules = Rules {
            in_databend: true,
            lax_json: self.options.disable_variant_check,
            null_if: self.null_if().to_vec(),
            defaults: self.defaults().await?,
        };
        let target = reading::target(&self.format, self.columns.clone(), rules);
        let total_bytes = sources.iter().map(|file| file.meta.size).sum();
        let plan = Plan {
            options: self.import_options(set)?,
            target,
            meter: Arc::new(ReadMeter::new(Arc::default(), total_bytes)),
            errors_max: Some(errors_max(self.options.on_error)),
        };
        let (engine, table) = (config.engine.clone(), self.table.clone());
        Ok(Arc::new(Stager { engine, table, plan: Arc::new(plan), key, cancel }))
    }

    fn import_options(&self, set: &Arc<FileSet>) -> Result<ImportOptions> {
        let names = self.names();
        let known = reading::options(&self.format, names)?;
        let (engine, context) = (self.cx.server.config.engine.clone(), self.cx.query_context(None, HashMap::new()));
        let query = match (&self.statement.from, known) {
            (Source::Files(_), Some(options)) => return Ok(options),
            (Source::Files(_), None) => FileQuery::of_columns(engine, context, set.clone(), names),
            (Source::Selected(selected), _) => FileQuery::of_list(engine, context, set.clone(), selected, names),
        };
        Ok(reading::with_format(Format::Other(OtherRows(Arc::new(query))), Decompress::None))
    }

    /// Texts that mean NULL; what is computed is computed of NULL already.
    fn null_if(&self) -> &[String] {
        match &self.statement.from {
            Source::Files(_) => NULL_IF.list(&self.format),
            Source::Selected(_) => &[],
        }
    }

    /// The defaults of the columns, where something in the files may stand for them.
    async fn defaults(&self) -> Result<Vec<FieldDefault>> {
        if !reading::takes_defaults(&self.format) {
            return Ok(Vec::new());
        }
        let mut defaults = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            defaults.push(self.default_of(column).await?);
        }
        Ok(defaults)
    }

    async fn default_of(&self, column: &Column) -> Result<FieldDefault> {
        let Some(expression) = &column.default else { return Ok(FieldDefault::Null) };
        if calls(expression) {
            return Ok(FieldDefault::Computed);
        }
        let context = self.cx.query_context(None, HashMap::new());
        let text = format!("SELECT CAST(({expression}) AS {})", column.ty);
        let mut rows = self.cx.server.config.engine.query(&context, &text, &[]).await?;
        let Some(batch) = rows.batches.next().await.transpose()? else { return Ok(FieldDefault::Null) };
        let values = TextColumn::new(batch.column(0), &sql_type(batch.schema_ref().field(0)));
        if values.is_null(0) {
            return Ok(FieldDefault::Null);
        }
        let mut text = String::new();
        values.write(0, &mut text).map_err(Error::internal)?;
        Ok(FieldDefault::Text(text))
    }

    /// Makes all staged rows those of the table, with the marks of their files. A table that is to have further columns has them
    /// a moment before.
    async fn append(&self, stager: &Stager, loading: Loading, files: &[&PlacedFile]) -> Result<()> {
        let Stager { engine, table, .. } = stager;
        let rows = loading.into_rows();
        let mark = |file: &&PlacedFile| history::mark(&self.place, &file.meta);
        let names = if takes_any_number(self.options) { Vec::new() } else { files.iter().filter_map(mark).collect() };
        let marks = Marks { names, since: self.since };
        let appended = match &self.before {
            None => engine.append_staged(table, &rows, &Once::Marks(marks), &self.cx.cancel).await.map(drop),
            Some(before) => {
                let rows = RowsAlong { parts: &rows, marks: &marks };
                alter::change_columns(self.cx, before, &table.row, Some(rows)).await
            }
        };
        // After another error of the storage the commit may be made, or may still come: then the rows' files must stay.
        if appended.as_ref().is_err_and(|error| REFUSALS.contains(&error.code())) {
            stager.discard(&rows).await;
        }
        appended
    }

    /// Deletes files that were loaded and are what they were. The rows are there whatever becomes of it.
    async fn purge(&self, files: &[&PlacedFile]) {
        let store = &self.place.store;
        let files: Vec<PlacedFile> = files.iter().copied().cloned().collect();
        let mut outcomes = stream::iter(files).map(|file| delete(store, file)).buffer_unordered(DELETIONS_MAX);
        let (mut failed, mut first) = (0, None);
        while let Some(outcome) = outcomes.next().await {
            if let Err(error) = outcome {
                failed += 1;
                first.get_or_insert(error);
            }
        }
        if let Some(error) = first {
            let message = format!("PURGE: {failed} files that were loaded are not deleted");
            let detail = Some(error.message().to_string());
            self.cx.session.notice(Notice { detail, ..Notice::warning(Sqlstate::WARNING, message) });
        }
    }

    /// A row for each file that had rows or errors.
    fn result(&self, read: &[Read<'_>]) -> Vec<Vec<Cell>> {
        let count = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
        let row = |Read { file, tally, .. }: &Read<'_>| {
            let record = tally.first.as_ref().and_then(|first| first.record).map(count);
            let message = tally.first.as_ref().map(|first| first.message.clone());
            row![file.name.clone(), count(tally.rows), count(tally.errors), message, record]
        };
        let is_shown =
            |read: &&Read<'_>| read.tally.errors > 0 || (read.tally.rows > 0 && !self.options.return_failed_only);
        read.iter().filter(is_shown).map(row).collect()
    }
}

/// A file that was read.
struct Read<'a> {
    file: &'a PlacedFile,
    /// Whether what was found in it becomes part of the table.
    is_loaded: bool,
    tally: Tally,
}

impl<'a> Read<'a> {
    fn new((file, (is_loaded, tally)): (&'a PlacedFile, (bool, Tally))) -> Read<'a> {
        Read { file, is_loaded, tally }
    }
}

/// Why there is no file to load.
fn nothing_new(location: &str, loaded: u64, has_empty: bool) -> Notice {
    if loaded == 0 {
        return Notice::new(in_place::no_files(location, has_empty));
    }
    let message = match loaded {
        1 => format!("the file in {location} was loaded before"),
        _ => format!("the {loaded} files in {location} were loaded before"),
    };
    Notice { hint: Some("FORCE = TRUE loads files again".to_string()), ..Notice::new(message) }
}

/// Whether an expression may be another one for each row: it has a bracket outside of texts.
fn calls(expression: &str) -> bool {
    expression.split('\'').step_by(2).any(|code| code.contains('('))
}

/// The columns that are named, or all.
fn columns_of(table: &Table, statement: &Load) -> Result<Vec<Column>> {
    let missing = statement.columns.iter().find(|name| !table.columns.iter().any(|column| column.name == **name));
    if let Some(name) = missing {
        let message = format!("Table \"{}\" does not have a column with name \"{name}\"", statement.table);
        return Err(Error::new(Sqlstate::UNDEFINED_COLUMN, message).numbered(Number::BAD_ARGUMENTS));
    }
    columns_named(table, &statement.columns)
}

/// Whether the files that were loaded need not be known: they are gone, and would be loaded again.
fn takes_any_number(options: &LoadOptions) -> bool {
    options.purge && options.force
}

/// # Errors
/// [2004] and [1006] for options that do not fit.
fn check(options: &LoadOptions, format: &FileFormat) -> Result<()> {
    let max_files = options.max_files;
    if max_files > LOAD_FILES_MAX as u64 && !takes_any_number(options) {
        let message = format!("max_files {max_files} is too large, max_files should be less than {LOAD_FILES_MAX}");
        return Err(Error::databend(Number::INVALID_ARGUMENT, message));
    }
    let refused = |message: &str| Err(Error::databend(Number::BAD_ARGUMENTS, message));
    match options.column_match_mode {
        Some(_) if format.ty != FormatType::Parquet => refused("COLUMN_MATCH_MODE can only apply to Parquet for now."),
        Some(ColumnMatch::Position) => refused("COLUMN_MATCH_MODE=POSITION not supported yet."),
        _ => Ok(()),
    }
}

async fn delete(store: &Arc<dyn ObjectStore>, file: PlacedFile) -> Result<()> {
    let path = &file.meta.location;
    let found = match store.head(path).await {
        Err(object_store::Error::NotFound { .. }) => return Ok(()),
        found => found.map_err(|error| store_error(error).prefixed(&file.uri))?,
    };
    if !file.is(&found) {
        let message = format!("the file {} has changed since it was loaded", file.uri);
        return Err(Error::new(Sqlstate::SERIALIZATION_FAILURE, message));
    }
    store.delete(path).await.map_err(|error| store_error(error).prefixed(&file.uri))
}
