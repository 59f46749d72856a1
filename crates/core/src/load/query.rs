//! Rows of files that the engine reads or computes, one file at a time.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use lakeport_base::{QualifiedName, Sqlstate};
use lakeport_sql::stmt::query::selected::Selected;

use crate::databend::Number;
use crate::engine::{Engine, QueryContext, Relation, Relations};
use crate::error::{Error, Result};
use crate::import::ByName;
use crate::import::batch::{Sink, Target, Wanted};
use crate::import::columns::{Matched, converted};
use crate::import::options::ReadRows;
use crate::import::source::SourceFile;
use crate::in_place::FileSet;
use crate::show::function::{CatalogFunction, Pending};
use crate::show::rows::Cell;

/// A column that each row of files has. Beside it nothing can be computed over several rows.
const ROW: &str = "\"metadata$file_row_number\"";

/// `SELECT list FROM files`, asked of each file.
pub(crate) struct FileQuery {
    engine: Arc<dyn Engine>,
    context: QueryContext,
    files: Arc<FileSet>,
    /// The name that stands for a file.
    name: String,
    text: String,
    names: ByName,
    /// Whether columns are found by their names, and not in their order.
    is_by_name: bool,
}

impl FileQuery {
    /// All columns of files, by name.
    pub fn of_columns(engine: Arc<dyn Engine>, context: QueryContext, files: Arc<FileSet>, names: ByName) -> FileQuery {
        let (name, text) = ("files".to_string(), "SELECT * FROM files".to_string());
        FileQuery { engine, context, files, name, text, names, is_by_name: true }
    }

    /// The items of a list, in their order.
    pub fn of_list(
        engine: Arc<dyn Engine>,
        context: QueryContext,
        files: Arc<FileSet>,
        selected: &Selected,
        names: ByName,
    ) -> FileQuery {
        let Selected { list, relation, name, .. } = selected;
        let text = format!("SELECT {list}, {ROW} FROM {relation}");
        FileQuery { engine, context, files, name: name.clone(), text, names, is_by_name: false }
    }

    fn context_of(&self, file: &SourceFile) -> Result<QueryContext> {
        let files = &self.files.files;
        let found = files.binary_search_by(|placed| placed.meta.location.cmp(&file.meta.location));
        let placed = found.map(|index| &files[index]);
        let placed = placed.map_err(|_| Error::internal(format!("{} is no file of the statement", file.name)))?;
        let files = FileSet {
            store: self.files.store.clone(),
            identity: self.files.identity.clone(),
            location: self.files.location.clone(),
            has_empty: self.files.has_empty,
            files: vec![placed.clone()],
            format: self.files.format.clone(),
            positions: self.files.positions.clone(),
        };
        let own = HashMap::from([(self.name.clone(), Relation::Files(Arc::new(files)))]);
        let relations = OwnRelations { own, session: self.context.relations.clone() };
        Ok(QueryContext { relations: Arc::new(relations), ..self.context.clone() })
    }
}

#[async_trait]
impl ReadRows for FileQuery {
    async fn read(&self, file: &SourceFile, target: &Target, sink: &Sink) -> Result<()> {
        let mut rows = self.engine.query(&self.context_of(file)?, &self.text, &[]).await.map_err(not_over_rows)?;
        let matched = if self.is_by_name {
            Matched::new(rows.schema.fields(), target, self.names)?
        } else {
            require_count(rows.schema.fields().len() - 1, target)?;
            Matched::in_order(target)
        };
        while let Some(batch) = rows.batches.next().await {
            if sink.send(converted(&batch?, matched.all(), target, self.names)?).await == Wanted::Enough {
                break;
            }
        }
        Ok(())
    }
}

/// What the engine says of an aggregate beside [`ROW`], which nobody has written, as the statement's user understands it.
fn not_over_rows(error: Error) -> Error {
    if error.code() != Sqlstate::GROUPING_ERROR {
        return error;
    }
    let message = "COPY INTO a table computes each row from one row of the files, not from several";
    Error::new(Sqlstate::GROUPING_ERROR, message)
        .with_hint("INSERT INTO table SELECT ... FROM @stage/path takes any query")
}

/// # Errors
/// [1006]
fn require_count(items: usize, target: &Target) -> Result<()> {
    let columns = target.columns.len();
    if items == columns {
        return Ok(());
    }
    let message = format!(
        "Number of columns in select list ({items}) does not match that of the corresponding table ({columns})"
    );
    Err(Error::databend(Number::BAD_ARGUMENTS, message))
}

/// The relations of a session, and those of a statement before them.
struct OwnRelations {
    own: HashMap<String, Relation>,
    session: Arc<dyn Relations>,
}

#[async_trait]
impl Relations for OwnRelations {
    async fn find(&self, name: &QualifiedName) -> Result<Option<Relation>> {
        match (name.qualifiers(), self.own.get(name.name())) {
            ([], Some(own)) => Ok(Some(own.clone())),
            _ => self.session.find(name).await,
        }
    }

    fn answer(&self, function: &CatalogFunction, arguments: &[Cell]) -> Result<Cell> {
        self.session.answer(function, arguments)
    }

    fn answer_in_time(&self, function: &CatalogFunction, arguments: &[Cell]) -> Result<Pending> {
        self.session.answer_in_time(function, arguments)
    }
}
