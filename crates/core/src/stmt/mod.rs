//! What each statement does. A topic is one file here and one of the same name in the sql crate's `stmt`.

pub mod backup;
pub mod connection;
pub mod copy;
pub mod database;
pub(crate) mod effect;
pub mod export;
pub mod fetch;
pub mod file_format;
pub mod grant;
pub mod import;
pub mod job;
pub mod load;
pub mod options;
pub mod prepared;
pub mod query;
pub mod role;
pub mod schedule;
pub mod session;
pub mod stage;
pub mod table;
pub mod transaction;
pub mod unload;
pub mod userfile;
pub mod write;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_schema::SchemaRef;
use lakeport_base::name::quote_ident;
use lakeport_base::{QualifiedName, SqlType, Sqlstate};
use lakeport_catalog::Tx;
use lakeport_catalog::model::Table;
use lakeport_sql::stmt::Text;
use lakeport_sql::stmt::stage::location::Pattern;
use lakeport_sql::{Parsed, Statement};

use self::effect::Effect;
use crate::authz::Subject;
use crate::cancel::Cancel;
use crate::databend::Number;
use crate::directory::Directory;
use crate::engine::{Description, QueryContext, Relation, TableHandle, Write};
use crate::error::{Error, Result};
use crate::outcome::{Notice, Outcome};
use crate::relations::SessionRelations;
use crate::server::Server;
use crate::session::{Identity, Session};
use crate::stage::listing::Selection;

/// How often a statement is run when the catalog changes under it.
const RUNS_MAX: usize = 5;

/// A statement on its way: who runs it, in which state of the catalog.
pub(crate) struct Cx<'a> {
    pub session: &'a Session,
    identity: Identity,
    pub server: &'a Arc<Server>,
    /// The catalog when the statement began.
    pub directory: Arc<Directory>,
    pub params: &'a [ArrayRef],
    pub cancel: Cancel,
    /// Microseconds since the epoch; one moment for a whole block.
    pub now: i64,
}

impl<'a> Cx<'a> {
    async fn new(session: &'a Session, params: &'a [ArrayRef], cancel: Cancel) -> Result<Cx<'a>> {
        let server = &session.server;
        let now = session.open_block().map_or_else(|| server.config.env.now_micros(), |block| block.now);
        let directory = server.directory().await?;
        Ok(Cx { session, identity: session.identity(), server, directory, params, cancel, now })
    }

    /// The same statement on the catalog as it is now.
    async fn renewed(&self) -> Result<Cx<'a>> {
        Cx::new(self.session, self.params, self.cancel.clone()).await
    }

    /// The user, for authorisation.
    pub fn subject(&self) -> Subject<'_> {
        Subject { directory: &self.directory, user: self.user() }
    }

    /// Whose privileges count. Who has logged in, which audit events name, is the session's affair.
    pub fn user(&self) -> &str {
        &self.identity.user
    }

    /// The owner of what the statement makes, who will use what that leads to.
    pub fn owning_subject(&self) -> Subject<'_> {
        Subject { directory: &self.directory, user: self.owner() }
    }

    /// Who owns what the statement makes.
    pub fn owner(&self) -> &str {
        &self.identity.role
    }

    /// The value of a literal or of a parameter.
    ///
    /// # Errors
    /// 42P02 for a parameter not given, 22023 for NULL.
    pub fn string(&self, text: &Text) -> Result<String> {
        let number = match text {
            Text::Literal(literal) => return Ok(literal.clone()),
            Text::Placeholder(number) => *number,
        };
        let missing = || Error::new(Sqlstate::UNDEFINED_PARAMETER, format!("there is no parameter ${number}"));
        let param = number.checked_sub(1).and_then(|index| self.params.get(index)).ok_or_else(missing)?;
        if param.is_empty() || param.is_null(0) {
            return Err(Error::invalid(format!("parameter ${number} must not be NULL")));
        }
        arrow_cast::display::array_value_to_string(param, 0).map_err(Error::internal)
    }

    /// As [`Cx::string`] for each.
    pub fn strings(&self, texts: &[Text]) -> Result<Vec<String>> {
        texts.iter().map(|text| self.string(text)).collect()
    }

    /// The files that `PATTERN` and `FILES` pick.
    ///
    /// # Errors
    /// [1006] for a variable that is not set, [1005] for what is no regular expression.
    pub fn selection(&self, pattern: Option<&Pattern>, files: &[String]) -> Result<Selection> {
        match pattern {
            Some(Pattern::Variable(name)) => {
                let unset = || {
                    Error::databend(Number::BAD_ARGUMENTS, "invalid pattern expr: NULL")
                        .with_detail(format!("the variable ${name} is not set"))
                        .with_hint(format!("SET VARIABLE {} = 'regex' sets it in this session", quote_ident(name)))
                };
                Selection::new(Some(&self.session.own_variable(name).ok_or_else(unset)?), files)
            }
            Some(Pattern::Written(pattern)) => Selection::new(Some(pattern), files),
            None => Selection::new(None, files),
        }
    }

    /// The table of a name.
    ///
    /// # Errors
    /// 42P01
    pub fn table(&self, name: &QualifiedName) -> Result<Arc<Table>> {
        let database = self.session.variable("database");
        let found = self.directory.find_table(name, &database, &self.session.search_path());
        found.cloned().ok_or_else(|| Error::undefined_table(name))
    }

    /// A table with its storage.
    pub async fn handle(&self, table: &Arc<Table>) -> Result<TableHandle> {
        self.server.table_handle(&self.directory, table).await
    }

    /// What the engine needs to know, with what the statement itself has put in the place of names.
    pub fn query_context(&self, as_of: Option<i64>, own: HashMap<String, Relation>) -> QueryContext {
        let session = self.session;
        let database = session.variable("database");
        let search_path = session.search_path();
        let id = self.directory.databases.get(&database).map(|database| database.id);
        let exists = |schema: &&String| id.is_some_and(|id| self.directory.schema(id, schema).is_some());
        let schema = search_path.iter().find(exists).cloned().unwrap_or_default();
        QueryContext {
            relations: Arc::new(SessionRelations {
                server: self.server.clone(),
                directory: self.directory.clone(),
                session: session.shared(),
                user: self.user().to_string(),
                database: database.clone(),
                search_path,
                own,
            }),
            user: self.user().to_string(),
            role: self.owner().to_string(),
            session_user: session.user.clone(),
            database,
            schema,
            zone: session.zone(),
            now: self.now,
            as_of,
            transaction: session.open_block().map(|block| block.id),
            cancel: self.cancel.clone(),
        }
    }

    /// The outcome of a statement with IF [NOT] EXISTS for which there is nothing to do; the client is told why.
    pub fn skipped(&self, tag: impl Into<String>, why: &Error) -> Outcome {
        self.session.notice(Notice::new(format!("{}, skipping", why.message())));
        Outcome::done(tag)
    }

    /// Commits what the statement changes in the catalog.
    pub async fn commit(&self, tx: Box<dyn Tx>) -> Result<()> {
        self.cancel.commit(async { Ok(tx.commit().await?) }).await
    }

    /// # Errors
    /// 25001 inside a transaction block, for statements that cannot be undone with it.
    pub fn refuse_in_block(&self, message: impl Into<String>) -> Result<()> {
        match self.session.open_block() {
            None => Ok(()),
            Some(_) => Err(Error::new(Sqlstate::ACTIVE_SQL_TRANSACTION, message)),
        }
    }
}

/// # Errors
/// 42501 for a statement other than those that end a block or lead out of the role, when the user no longer has it.
fn check_role(cx: &Cx<'_>, statement: &Statement) -> Result<()> {
    use Statement as S;
    match statement {
        S::Transaction(_) | S::Set(_) | S::SetOwn(_) | S::Reset(_) | S::Discard | S::Show(_) => Ok(()),
        _ => cx.session.check_role(&cx.directory),
    }
}

/// Runs a statement.
pub(crate) async fn run(session: &Session, parsed: &Parsed, params: &[ArrayRef], cancel: Cancel) -> Result<Outcome> {
    let mut cx = Cx::new(session, params, cancel).await?;
    check_role(&cx, &parsed.statement)?;
    let effect = Effect::of(&parsed.statement);
    effect::refuse_in_read_only(&cx, effect)?;
    if let Some(block) = session.open_block() {
        if block.implicit && (effect.changes_catalog() || effect.stands_alone()) {
            transaction::commit_first(&cx, block).await?;
        } else if effect.changes_catalog() {
            transaction::commit_before_ddl(&cx).await?;
            cx = cx.renewed().await?;
        }
    }
    let mut runs = 1..RUNS_MAX;
    loop {
        match dispatch(&cx, &parsed.statement).await {
            Err(error)
                if effect.may_run_again(&parsed.statement)
                    && is_overtaken(&cx, &error).await
                    && runs.next().is_some() =>
            {
                cx = cx.renewed().await?;
            }
            outcome => return outcome,
        }
    }
}

/// Whether a statement failed because the catalog that it was planned on has changed, or its table was dropped. A block
/// keeps what it has seen.
async fn is_overtaken(cx: &Cx<'_>, error: &Error) -> bool {
    let is_now = |now: Arc<Directory>| now.generation == cx.directory.generation;
    [Sqlstate::SERIALIZATION_FAILURE, Sqlstate::UNDEFINED_TABLE].contains(&error.code())
        && cx.session.open_block().is_none()
        && !cx.server.directory().await.map_or(true, is_now)
}

/// Runs a statement that stands in brackets inside another.
pub(crate) async fn run_nested(cx: &Cx<'_>, statement: &Statement) -> Result<Outcome> {
    effect::refuse_in_read_only(cx, Effect::of(statement))?;
    dispatch(cx, statement).await
}

async fn dispatch(cx: &Cx<'_>, statement: &Statement) -> Result<Outcome> {
    use Statement as S;
    match statement {
        S::CreateConnection(statement) => connection::create(cx, statement).await,
        S::AlterConnection(statement) => connection::alter(cx, statement).await,
        S::DropConnection(statement) => connection::drop(cx, statement).await,
        S::ShowConnections(statement) => connection::show(cx, statement).await,
        S::ShowCreateConnection(statement) => connection::show_create(cx, statement).await,
        S::CheckConnection(statement) => connection::check(cx, statement).await,
        S::Grant(statement) => grant::grant(cx, statement).await,
        S::Revoke(statement) => grant::revoke(cx, statement).await,
        S::GrantOwnership(statement) => grant::databend::grant_ownership(cx, statement).await,
        S::GrantRole(statement) => grant::grant_role(cx, statement).await,
        S::RevokeRole(statement) => grant::revoke_role(cx, statement).await,
        S::ShowGrants(statement) => grant::show(cx, statement).await,
        S::ShowSystemGrants(statement) => grant::show_system(cx, statement),
        S::CreateRole(statement) => role::create(cx, statement).await,
        S::AlterRole(statement) => role::alter(cx, statement).await,
        S::AlterRoleSet(statement) => role::alter_set(cx, statement).await,
        S::DropRole(statement) => role::drop(cx, statement).await,
        S::ShowRoles(_) => role::show(cx),
        S::ShowJobs(statement) => job::show_jobs(cx, statement).await,
        S::ShowJob(statement) => job::show_job(cx, statement).await,
        S::ControlJob(statement) => job::control(cx, statement).await,
        S::Import(statement) => import::import(cx, statement).await,
        S::Export(statement) => export::export(cx, statement).await,
        S::Backup(statement) => backup::backup(cx, statement).await,
        S::ShowBackups(statement) => backup::show_backups(cx, statement).await,
        S::ShowBackup(statement) => backup::show_backup(cx, statement).await,
        S::ShowBackupEncryption(statement) => backup::show_encryption(cx, statement).await,
        S::Restore(statement) => backup::restore(cx, statement).await,
        S::AlterBackup(statement) => backup::alter(cx, statement).await,
        S::CreateSchedule(statement) => schedule::create(cx, statement).await,
        S::AlterSchedule(statement) => schedule::alter(cx, statement).await,
        S::ControlSchedules(statement) => schedule::control(cx, statement).await,
        S::ShowSchedules(statement) => schedule::show::show(cx, statement).await,
        S::ShowCreateSchedules(statement) => schedule::show::show_create(cx, statement).await,
        S::CreateDatabase(statement) => database::create(cx, statement).await,
        S::DropDatabase(statement) => database::drop(cx, statement).await,
        S::RenameDatabase(statement) => database::rename(cx, statement).await,
        S::CreateSchema(statement) => database::create_schema(cx, statement).await,
        S::DropSchema(statement) => database::drop_schema(cx, statement).await,
        S::ShowDatabases => database::show(cx),
        S::ShowSchemas(statement) => database::show_schemas(cx, statement),
        S::CreateTable(statement) => table::create(cx, statement).await,
        S::DropTable(statement) => table::drop(cx, statement).await,
        S::AlterTable(statement) => table::alter::alter(cx, statement).await,
        S::Truncate(statement) => table::truncate(cx, statement).await,
        S::Comment(statement) => table::comment(cx, statement).await,
        S::ShowTables(statement) => table::show::show(cx, statement),
        S::ShowColumns(statement) => table::show::show_columns(cx, statement),
        S::ShowCreateTable(statement) => table::show::show_create(cx, statement),
        S::Insert(statement) => write::write(cx, Write::Insert(statement)).await,
        S::Update(statement) => write::write(cx, Write::Update(statement)).await,
        S::Delete(statement) => write::write(cx, Write::Delete(statement)).await,
        S::Merge(statement) => write::write(cx, Write::Merge(statement)).await,
        S::Query(statement) => query::query(cx, statement).await,
        S::Copy(statement) => copy::copy(cx, statement).await,
        S::CopyUserfile(statement) => userfile::copy(cx, statement).await,
        S::ShowUserfiles(_) => userfile::show(cx).await,
        S::DropUserfile(statement) => userfile::drop(cx, statement).await,
        S::CreateStage(statement) => stage::create(cx, statement).await,
        S::AlterStage(statement) => stage::alter(cx, statement).await,
        S::DropStage(statement) => stage::drop(cx, statement).await,
        S::DescribeStage(statement) => stage::describe(cx, statement).await,
        S::ShowStages(statement) => stage::show(cx, statement).await,
        S::ListFiles(statement) => stage::list(cx, statement).await,
        S::RemoveFiles(statement) => stage::remove(cx, statement).await,
        S::CopyFile(statement) => stage::copy(cx, statement).await,
        S::Unload(statement) => unload::unload(cx, statement).await,
        S::Load(statement) => load::load(cx, statement).await,
        S::CreateFileFormat(statement) => file_format::create(cx, statement).await,
        S::DropFileFormat(statement) => file_format::drop(cx, statement).await,
        S::ShowFileFormats => file_format::show(cx).await,
        S::Transaction(statement) => transaction::transaction(cx, statement).await,
        S::Set(statement) => self::session::set(cx, statement),
        S::Show(statement) => self::session::show(cx, statement),
        S::SetOwn(statement) => self::session::set_own(cx, statement),
        S::Reset(statement) => self::session::reset(cx, statement),
        S::SetClusterSetting(statement) => self::session::set_cluster_setting(cx, statement).await,
        S::ShowClusterSetting(statement) => self::session::show_cluster_setting(cx, statement),
        S::Discard => self::session::discard(cx),
        S::Prepare(statement) => prepared::prepare(cx, statement),
        S::Execute(statement) => Box::pin(prepared::execute(cx, statement)).await,
        S::Deallocate(statement) => prepared::deallocate(cx, statement),
        S::Declare(statement) => fetch::declare(cx, statement).await,
        S::Fetch(statement) => fetch::fetch(cx, statement).await,
        S::Close(statement) => fetch::close(cx, statement),
        S::Nothing(tag) => Ok(self::session::nothing(cx, tag)),
    }
}

/// Whether a statement computes over rows, so that only a bounded number of its kind may run at once. What ends
/// statements, and what asks the catalog, never waits.
pub(crate) fn needs_place(statement: &Statement) -> bool {
    use Statement as S;
    Effect::of(statement).is_of_rows()
        || matches!(
            statement,
            S::CreateTable(_) | S::Declare(_) | S::Fetch(_) | S::Execute(_) | S::Export(_) | S::Unload(_) | S::Load(_)
        )
}

/// Parameter types and result columns of a statement.
pub(crate) async fn describe(
    session: &Session,
    parsed: &Parsed,
    declared: &[Option<SqlType>],
    cancel: Cancel,
) -> Result<Description> {
    let cx = Cx::new(session, &[], cancel).await?;
    check_role(&cx, &parsed.statement)?;
    match &parsed.statement {
        Statement::Query(statement) => query::describe(&cx, statement, declared).await,
        Statement::Insert(statement) => write::describe(&cx, Write::Insert(statement), declared).await,
        Statement::Update(statement) => write::describe(&cx, Write::Update(statement), declared).await,
        Statement::Delete(statement) => write::describe(&cx, Write::Delete(statement), declared).await,
        Statement::Merge(statement) => write::describe(&cx, Write::Merge(statement), declared).await,
        Statement::Execute(statement) => Box::pin(prepared::describe(&cx, statement)).await,
        Statement::Declare(statement) => fetch::describe_declare(&cx, statement, declared).await,
        Statement::Fetch(statement) => fetch::describe_fetch(&cx, statement),
        // Its placeholders are the prepared statement's own.
        Statement::Prepare(_) => Ok(Description { params: Vec::new(), columns: None }),
        statement => {
            let params = vec![SqlType::Text; parsed.placeholder_count];
            Ok(Description { params, columns: columns(statement) })
        }
    }
}

/// The result columns of a statement of ours.
fn columns(statement: &Statement) -> Option<SchemaRef> {
    use Statement as S;
    Some(match statement {
        S::ShowConnections(statement) => connection::show_columns(statement),
        S::ShowCreateConnection(_) => connection::show_create_columns(),
        S::CheckConnection(_) => connection::check_columns(),
        S::ShowGrants(statement) => grant::show_columns(statement),
        S::ShowSystemGrants(_) => grant::show_system_columns(),
        S::ShowRoles(_) => role::show_columns(),
        S::ShowJobs(_) | S::ShowJob(_) => job::show_columns(),
        S::Import(statement) => import::columns(statement),
        S::Export(_) => export::columns(),
        S::Unload(statement) => unload::columns(&statement.options),
        S::Load(_) => load::columns(),
        S::Backup(statement) => backup::columns(statement),
        S::Restore(statement) => backup::restore_columns(statement),
        S::ShowBackups(statement) => backup::show_backups_columns(statement),
        S::ShowBackup(statement) => backup::show_backup_columns(statement),
        S::ShowBackupEncryption(_) => backup::encryption_columns(),
        S::CreateSchedule(_) => schedule::columns(),
        S::ShowSchedules(_) => schedule::show::columns(),
        S::ShowCreateSchedules(_) => schedule::show::create_columns(),
        S::ShowDatabases => database::show_columns(),
        S::ShowSchemas(_) => database::show_schemas_columns(),
        S::ShowTables(_) => table::show::show_tables_columns(),
        S::ShowColumns(_) => table::show::show_columns_columns(),
        S::ShowCreateTable(_) => table::show::show_create_columns(),
        S::ShowUserfiles(_) => userfile::show_columns(),
        S::DescribeStage(_) | S::ShowStages(_) => stage::columns(),
        S::ListFiles(_) => stage::list_columns(),
        S::ShowFileFormats => file_format::columns(),
        S::Show(statement) => self::session::show_columns(statement),
        S::ShowClusterSetting(statement) => self::session::show_cluster_setting_columns(statement),
        _ => return None,
    })
}
