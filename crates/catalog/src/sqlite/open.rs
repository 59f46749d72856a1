//! Making, locking and migrating the files of a catalog, and its first rows.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use lakeport_base::Env;
use lakeport_base::id::{DatabaseId, SchemaId};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, Row, SqlSafeStr, SqliteConnection, SqlitePool};

use super::{READERS_MAX, TURN_WAIT, database, grant, role, tx};
use crate::error::{Error, Result};
use crate::model::{Database, Grant, Membership, Role, Schema};
use crate::seal::{DataKey, MasterKey};

/// Takes the write lock at once, so that a writer never fails halfway for want of it.
pub(super) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// How long SQLite itself waits for a lock held by a checkpoint or a backup tool.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// Random bytes of an identity.
const IDENTITY_BYTES: usize = 16;

/// Every migration: version, name, SQL. Applied in order, once; never changed after a release.
pub(super) const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "catalog", include_str!("migrations/0001_catalog.sql")),
    (2, "job_secrets", include_str!("migrations/0002_job_secrets.sql")),
    (3, "table_version", include_str!("migrations/0003_table_version.sql")),
    (4, "public_grants", include_str!("migrations/0004_public_grants.sql")),
    (5, "leftovers", include_str!("migrations/0005_leftovers.sql")),
    (6, "schedules", include_str!("migrations/0006_schedules.sql")),
    (7, "identity", include_str!("migrations/0007_identity.sql")),
    (8, "drops", include_str!("migrations/0008_drops.sql")),
    (9, "stages", include_str!("migrations/0009_stages.sql")),
    (10, "job_hints", include_str!("migrations/0010_job_hints.sql")),
];

/// The absolute form of a path, which the process's directory does not change.
pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(cannot_open(path, "it is no path"))
}

/// Makes the directory (mode 0700) and the file (mode 0600) if they are missing, and keeps other processes out.
/// SQLite gives its side files the mode of the file.
pub(super) fn make_and_lock(path: &Path) -> Result<File> {
    if let Some(directory) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(cannot_open(directory, "the directory cannot be made"))?;
    }
    let lock_path = path.with_added_extension("lock");
    let open = |path: &Path| {
        let options = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
        options.map_err(cannot_open(path, "the file cannot be opened for writing"))
    };
    let lock = open(&lock_path)?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => {
            cannot_open(path, "another process has this catalog open")(std::io::ErrorKind::WouldBlock.into())
        }
        TryLockError::Error(error) => cannot_open(&lock_path, "the file cannot be locked")(error),
    })?;
    open(path)?;
    Ok(lock)
}

fn cannot_open(path: &Path, reason: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Open { path, reason, source }
}

/// The pool of the one connection that writes.
pub(super) async fn writer_pool(path: &Path) -> Result<SqlitePool> {
    let options = connect_options(path).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
    Ok(pool_options(1).before_acquire(|connection, _| is_free(connection)).connect_with(options).await?)
}

/// Whether a connection can begin a transaction. A commit that fails on a full disk has ended its own, which the client
/// library does not notice: such a connection is replaced.
fn is_free(connection: &SqliteConnection) -> Pin<Box<dyn Future<Output = sqlx::Result<bool>> + Send>> {
    let is_free = !connection.is_in_transaction();
    Box::pin(std::future::ready(Ok(is_free)))
}

/// The pool of connections that cannot write.
pub(super) async fn reader_pool(path: &Path) -> Result<SqlitePool> {
    let options = connect_options(path).pragma("query_only", "ON");
    Ok(pool_options(READERS_MAX).connect_with(options).await?)
}

fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).foreign_keys(true).busy_timeout(BUSY_WAIT)
}

fn pool_options(connections_max: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(TURN_WAIT)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// Applies the migrations that are missing.
pub(super) async fn migrate(writer: &SqlitePool) -> Result<()> {
    let migrations = MIGRATIONS.iter().map(|(version, name, sql)| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    let migrator = Migrator::with_migrations(migrations.collect());
    migrator.run(writer).await.map_err(|error| Error::Store(error.into()))
}

/// The data key. The first call makes it, together with the rows that every catalog starts with.
pub(super) async fn data_key(
    writer: &SqlitePool,
    master: impl FnOnce(bool) -> Result<MasterKey>,
    env: &Env,
) -> Result<DataKey> {
    let mut transaction = writer.begin_with(BEGIN_WRITE).await?;
    let stored = sqlx::query("SELECT wrapped FROM data_key").fetch_optional(&mut *transaction).await?;
    let master = master(stored.is_some())?;
    if let Some(row) = stored {
        return DataKey::unwrap(row.try_get("wrapped")?, &master);
    }
    let key = DataKey::generate(env);
    let insert = sqlx::query("INSERT INTO data_key (id, wrapped) VALUES (1, ?)").bind(key.wrap(&master, env));
    insert.execute(&mut *transaction).await?;
    insert_first_rows(&mut transaction, &key, env).await?;
    transaction.commit().await?;
    Ok(key)
}

/// What tells the catalog from all others. The first call draws it.
pub(super) async fn identity(writer: &SqlitePool, env: &Env) -> Result<String> {
    let mut transaction = writer.begin_with(BEGIN_WRITE).await?;
    let stored = sqlx::query("SELECT value FROM identity").fetch_optional(&mut *transaction).await?;
    if let Some(row) = stored {
        return Ok(row.try_get("value")?);
    }
    let drawn = env.random_hex(IDENTITY_BYTES);
    sqlx::query("INSERT INTO identity (id, value) VALUES (1, ?)").bind(&drawn).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(drawn)
}

/// Roles `admin`, `root` and `public`; database `defaultdb` with schema `public`, open to everybody.
async fn insert_first_rows(db: &mut SqliteConnection, key: &DataKey, env: &Env) -> Result<()> {
    for (name, login) in [("admin", false), ("root", true), ("public", false)] {
        let role = Role {
            name: name.into(),
            login,
            verifier: None,
            valid_until: None,
            options: Vec::new(),
            defaults: Vec::new(),
        };
        role::insert(db, key, env, &role).await?;
    }
    let root_is_admin = Membership { role: "admin".into(), member: "root".into(), admin_option: true };
    role::put_membership(db, &root_is_admin).await?;
    let id = DatabaseId(tx::next_id(db).await?);
    let owner = String::from("root");
    let database = Database {
        id,
        name: "defaultdb".into(),
        owner: owner.clone(),
        location: None,
        comment: None,
        created: env.now_micros(),
    };
    database::insert(db, &database).await?;
    let schema = Schema { id: SchemaId(tx::next_id(db).await?), database: id, name: "public".into(), owner };
    database::insert_schema(db, &schema).await?;
    for open_to_all in Grant::of_everybody(id, schema.id) {
        grant::put(db, &open_to_all).await?;
    }
    Ok(())
}
