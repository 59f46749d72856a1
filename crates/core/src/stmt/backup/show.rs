//! `SHOW BACKUPS`, `SHOW BACKUP`, `SHOW BACKUP ENCRYPTION`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use futures::{StreamExt, TryStreamExt, stream};
use lakeport_backup::keys::{WrappedKey, fingerprint};
use lakeport_backup::layout::Subdir;
use lakeport_backup::manifest::{self, Manifest, Targets};
use lakeport_backup::pack::PackReader;
use lakeport_backup::{Chain, Collection, Layer, Protection};
use lakeport_base::id::{DatabaseId, SchemaId, TableId};
use lakeport_base::{SqlType, Sqlstate};
use lakeport_catalog::model::Table;
use lakeport_connect::Role;
use lakeport_sql::stmt::Texts;
use lakeport_sql::stmt::backup::Encryption;
use lakeport_sql::stmt::backup::show::{ShowBackup, ShowBackupEncryption, ShowBackups};

use super::{Place, query, subdir};
use crate::backup::contents::{restored_columns, restored_key};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::row;
use crate::rows::schema_of;
use crate::show::rows::{Cell, batch_of};
use crate::stmt::Cx;
use crate::stmt::table::show::create_text;

/// Files looked for at a time.
const LOOKS_MAX: usize = 16;
/// Missing files that an error names.
const NAMED_MAX: usize = 10;

pub(crate) fn backups_columns(statement: &ShowBackups) -> SchemaRef {
    let path = ("path", SqlType::Text);
    if !statement.revision_start_time {
        return schema_of(&[path]);
    }
    schema_of(&[path, ("backup_time", SqlType::TimestampTz), ("revision_start_time", SqlType::TimestampTz)])
}

pub(crate) async fn show_backups(cx: &Cx<'_>, statement: &ShowBackups) -> Result<Outcome> {
    let time = |text: &Option<String>| text.as_deref().map(|text| query::past(cx, text)).transpose();
    let (newer, older) = (time(&statement.newer_than)?, time(&statement.older_than)?);
    let (_, collection) = open(cx, &statement.collection, &Encryption::None).await?;
    let is_shown = |subdir: &Subdir| {
        newer.is_none_or(|newer| *subdir > Subdir::of(newer)) && older.is_none_or(|older| *subdir < Subdir::of(older))
    };
    let mut fulls = collection.fulls().await?;
    fulls.retain(is_shown);
    let rows = match statement.revision_start_time {
        false => fulls.iter().map(|subdir| row![subdir.shown()]).collect(),
        true => layer_rows(&collection, &fulls).await?,
    };
    Ok(Outcome::rows("SHOW BACKUPS", batch_of(backups_columns(statement), &rows)?))
}

/// Every layer with the moments that it restores: its end, and all from its revision start on. Those of encrypted chains
/// are known with their keys only, and are NULL.
async fn layer_rows(collection: &Collection, fulls: &[Subdir]) -> Result<Vec<Vec<Cell>>> {
    let mut rows = Vec::new();
    for subdir in fulls {
        if !collection.infos(subdir).await?.is_empty() {
            rows.push(row![subdir.shown(), Cell::Null, Cell::Null]);
            continue;
        }
        for layer in collection.chain(subdir, &Protection::Checksums).await?.layers {
            let since = layer.manifest.revisions_since.map_or(Cell::Null, Cell::Time);
            rows.push(row![subdir.shown(), Cell::Time(layer.manifest.end), since]);
        }
    }
    Ok(rows)
}

pub(crate) fn encryption_columns() -> SchemaRef {
    schema_of(&[
        ("file", SqlType::Text),
        ("method", SqlType::Text),
        ("key_sha256", SqlType::Text),
        ("connection_name", SqlType::Text),
    ])
}

/// Which keys open a chain; those of connections that the user may use with their names.
pub(crate) async fn show_encryption(cx: &Cx<'_>, statement: &ShowBackupEncryption) -> Result<Outcome> {
    let (_, collection) = open(cx, &statement.collection, &Encryption::None).await?;
    let subdir = subdir(cx, &statement.chain, &collection).await?;
    let infos = collection.infos(&subdir).await?;
    let names = if infos.is_empty() { HashMap::new() } else { key_connections(cx).await? };
    let mut rows = Vec::new();
    for (path, info) in infos {
        let file = path.filename().unwrap_or_default().to_string();
        for key in &info.keys {
            rows.push(match key {
                WrappedKey::Passphrase { .. } => row![&file, "passphrase", Cell::Null, Cell::Null],
                WrappedKey::Kms { kind, key_sha256, .. } => row![&file, kind, key_sha256, names.get(key_sha256)],
            });
        }
    }
    Ok(Outcome::rows("SHOW BACKUP ENCRYPTION", batch_of(encryption_columns(), &rows)?))
}

/// Names of the key connections that the user may use, by what backups know their keys by.
async fn key_connections(cx: &Cx<'_>) -> Result<HashMap<String, String>> {
    let mut tx = cx.server.config.catalog.read().await?;
    let mut names = HashMap::new();
    for connection in tx.connections().await? {
        let is_key = lakeport_connect::kind_named(&connection.kind).is_some_and(|kind| kind.spec().role == Role::Kms);
        if is_key && cx.subject().has_on_connection(tx.as_mut(), connection.id, "USAGE").await? {
            let target = lakeport_connect::Target::parse(connection.definition.expose())?;
            names.insert(fingerprint(target.uri().path.trim_start_matches('/')), connection.name);
        }
    }
    Ok(names)
}

async fn open(cx: &Cx<'_>, collection: &Texts, encryption: &Encryption) -> Result<(Place, Collection)> {
    let place = Place::read(cx, collection, encryption).await?;
    let collection = cx.server.open_collection(&cx.session.user, &place.uri).await?;
    Ok((place, collection))
}

pub(crate) fn backup_columns(statement: &ShowBackup) -> SchemaRef {
    let options = &statement.options;
    if options.as_json {
        return schema_of(&[("manifest", SqlType::Jsonb)]);
    }
    let ids = options.debug_ids;
    let columns = [
        (true, "database_name", SqlType::Text),
        (ids, "database_id", SqlType::Int8),
        (true, "parent_schema_name", SqlType::Text),
        (ids, "parent_schema_id", SqlType::Int8),
        (true, "object_name", SqlType::Text),
        (ids, "object_id", SqlType::Int8),
        (true, "object_type", SqlType::Text),
        (true, "backup_type", SqlType::Text),
        (true, "start_time", SqlType::TimestampTz),
        (true, "end_time", SqlType::TimestampTz),
        (true, "size_bytes", SqlType::Int8),
        (true, "rows", SqlType::Int8),
        (statement.schemas, "create_statement", SqlType::Text),
        (true, "is_full_cluster", SqlType::Bool),
        (true, "regions", SqlType::Text),
        (options.check_files, "file_bytes", SqlType::Int8),
        (options.privileges, "privileges", SqlType::Text),
        (options.privileges, "owner", SqlType::Text),
    ];
    let shown: Vec<_> =
        columns.into_iter().filter(|(is_shown, ..)| *is_shown).map(|(_, name, ty)| (name, ty)).collect();
    schema_of(&shown)
}

pub(crate) async fn show_backup(cx: &Cx<'_>, statement: &ShowBackup) -> Result<Outcome> {
    let (place, collection) = open(cx, &statement.collection, &statement.options.encryption).await?;
    let subdir = subdir(cx, &statement.chain, &collection).await?;
    let protection = collection.protection(&subdir, &place.keys).await?;
    let chain = collection.chain(&subdir, &protection).await?;
    if statement.options.check_files {
        check_files(&collection, &chain, &protection).await?;
    }
    let mut rows = Vec::new();
    for layer in &chain.layers {
        if statement.options.as_json {
            rows.push(row![json(&layer.manifest)?]);
        } else {
            Listing { cx, statement, chain: &chain, layer }.rows(&mut rows)?;
        }
    }
    Ok(Outcome::rows("SHOW BACKUP", batch_of(backup_columns(statement), &rows)?))
}

/// The manifest without what it keeps secret.
fn json(manifest: &Manifest) -> Result<String> {
    let mut shown = manifest.clone();
    shown.catalog.roles.iter_mut().for_each(|role| role.verifier = None);
    shown.catalog.connections.iter_mut().for_each(|connection| connection.definition = None);
    serde_json::to_string(&shown).map_err(Error::internal)
}

/// # Errors
/// 58P01 naming files that are missing, or have another size.
async fn check_files(collection: &Collection, chain: &Chain, protection: &Protection) -> Result<()> {
    let packs = chain.layers.iter().flat_map(|layer| layer.manifest.packs.iter().map(move |pack| (layer, pack)));
    let readers = packs
        .map(|(layer, pack)| PackReader::new(collection.store().clone(), &layer.path, protection, pack))
        .collect::<lakeport_backup::Result<Vec<_>>>()?;
    let checks = stream::iter(readers).map(|reader| async move {
        match reader.check_size().await {
            Ok(()) => Ok(None),
            Err(lakeport_backup::Error::Corrupt { file, what }) => Ok(Some(format!("{file}: {what}"))),
            Err(error) => Err(Error::from(error)),
        }
    });
    let bad: Vec<Option<String>> = checks.buffered(LOOKS_MAX).try_collect().await?;
    let bad: Vec<String> = bad.into_iter().flatten().collect();
    if bad.is_empty() {
        return Ok(());
    }
    let named = bad.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join("; ");
    let message = format!("{} files of the backup are missing or have another size", bad.len());
    Err(Error::new(Sqlstate::UNDEFINED_FILE, message).with_detail(named))
}

/// The rows of one layer.
struct Listing<'a> {
    cx: &'a Cx<'a>,
    statement: &'a ShowBackup,
    chain: &'a Chain,
    layer: &'a Layer,
}

/// What SHOW BACKUP tells of one object.
struct Shown<'a> {
    database: Option<&'a manifest::Database>,
    schema: Option<&'a manifest::Schema>,
    name: &'a str,
    id: i64,
    ty: &'static str,
    owner: &'a str,
    object: manifest::Object,
    table: Option<&'a manifest::Table>,
}

impl<'a> Listing<'a> {
    fn rows(&self, rows: &mut Vec<Vec<Cell>>) -> Result<()> {
        let catalog = &self.layer.manifest.catalog;
        let database = |id: i64| catalog.databases.iter().find(|row| row.id == id);
        for row in &catalog.databases {
            let object = manifest::Object::Database(row.id);
            let (name, owner) = (&row.name, &row.owner);
            let shown =
                Shown { database: None, schema: None, name, id: row.id, ty: "database", owner, object, table: None };
            rows.push(self.row(&shown)?);
        }
        for row in &catalog.schemas {
            let object = manifest::Object::Schema(row.id);
            let (name, owner, database) = (&row.name, &row.owner, database(row.database));
            rows.push(self.row(&Shown {
                database,
                schema: None,
                name,
                id: row.id,
                ty: "schema",
                owner,
                object,
                table: None,
            })?);
        }
        for row in &catalog.tables {
            let object = manifest::Object::Table(row.id);
            let schema = catalog.schemas.iter().find(|schema| schema.id == row.schema);
            let (name, owner, database) = (&row.name, &row.owner, database(row.database));
            rows.push(self.row(&Shown {
                database,
                schema,
                name,
                id: row.id,
                ty: "table",
                owner,
                object,
                table: Some(row),
            })?);
        }
        Ok(())
    }

    fn row(&self, shown: &Shown<'_>) -> Result<Vec<Cell>> {
        let options = &self.statement.options;
        let manifest = &self.layer.manifest;
        let (bytes, rows) = shown.table.map(|table| added(manifest, table.id)).unzip();
        let size =
            |value: Option<u64>| if options.skip_size { None } else { value.and_then(|size| i64::try_from(size).ok()) };
        let mut cells = Vec::new();
        let mut put = |is_shown: bool, cell: Cell| {
            if is_shown {
                cells.push(cell);
            }
        };
        let ids = options.debug_ids;
        put(true, shown.database.map(|row| row.name.as_str()).into());
        put(ids, shown.database.map(|row| row.id).into());
        put(true, shown.schema.map(|row| row.name.as_str()).into());
        put(ids, shown.schema.map(|row| row.id).into());
        put(true, shown.name.into());
        put(ids, shown.id.into());
        put(true, shown.ty.into());
        put(true, if manifest.previous.is_none() { "full" } else { "incremental" }.into());
        put(true, manifest.start.map_or(Cell::Null, Cell::Time));
        put(true, Cell::Time(manifest.end));
        put(true, size(bytes).into());
        put(true, size(rows).into());
        put(self.statement.schemas, self.create_statement(shown)?.into());
        put(true, (manifest.targets == Targets::Cluster).into());
        put(true, Cell::Null);
        put(options.check_files, size(bytes).into());
        put(options.privileges, self.privileges(shown.object).into());
        put(options.privileges, shown.owner.into());
        Ok(cells)
    }

    fn create_statement(&self, shown: &Shown<'_>) -> Result<Option<String>> {
        if !self.statement.schemas {
            return Ok(None);
        }
        let Some(table) = shown.table else {
            let keyword = shown.ty.to_uppercase();
            return Ok(Some(format!("CREATE {keyword} {}", lakeport_base::name::quote_ident(shown.name))));
        };
        let Some(state) = self.chain.table_at(table.id, self.chain.layers.len(), self.layer.manifest.end)? else {
            return Ok(None);
        };
        let columns = restored_columns(self.cx.server.config.engine.columns_of(state.schema)?, table);
        let row = Table {
            id: TableId(table.id),
            schema: SchemaId(table.schema),
            database: DatabaseId(table.database),
            name: table.name.clone(),
            owner: table.owner.clone(),
            version: 1,
            primary_key: restored_key(&columns, table),
            columns,
            comment: table.comment.clone(),
            created: 0,
        };
        Ok(Some(create_text(shown.schema.map_or("public", |schema| &schema.name), &Arc::new(row))))
    }

    fn privileges(&self, object: manifest::Object) -> String {
        let grants = self.layer.manifest.catalog.grants.iter().filter(|grant| grant.object == object);
        let lines: Vec<String> =
            grants.map(|grant| format!("GRANT {} TO {}", grant.privilege, grant.grantee)).collect();
        lines.join("; ")
    }
}

/// Bytes and rows that a layer adds to a table.
fn added(manifest: &Manifest, table: i64) -> (u64, u64) {
    let versions = manifest.history_of(table).map_or(&[][..], |history| &history.versions);
    let files = versions.iter().flat_map(|version| &version.added);
    let add = |(bytes, rows): (u64, u64), file: &manifest::File| {
        (bytes.saturating_add(file.bytes), rows.saturating_add(file.rows))
    };
    files.fold((0, 0), add)
}
