//! What a layer lists: objects of the catalog, and for each table which files came and which went.
//!
//! A manifest is JSON, compressed with gzip, in a sealed file. Times are microseconds since the epoch. Whatever it says
//! is taken for the claim of a stranger: sizes are capped, paths are checked by those who use them.

use std::collections::HashMap;
use std::fmt;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use lakeport_base::{Env, limits};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::format::check_format;
use crate::room::{Room, Scale};
use crate::sealed::{self, Protection};

/// Most bytes of a manifest, uncompressed.
const JSON_BYTES_MAX: u64 = limits::MANIFEST_BYTES_MAX as u64;
/// Most bytes of a manifest's file.
pub(crate) const FILE_BYTES_MAX: u64 = limits::MANIFEST_FILE_BYTES_MAX as u64;
/// Most that it may weigh, whatever its chain has room for.
const WEIGHT_MAX: u64 = limits::CHAIN_BYTES_MAX as u64;
/// A few bytes of a file may not stand for much memory: how often what is packed may repeat itself, and from which size on.
const UNPACKING_MAX: u64 = 100;
const UNPACKED_BYTES_FREE: u64 = 1 << 20;

/// One layer of a chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`](crate::format::FORMAT) of its writer.
    pub format: u64,
    /// Tells the layer from all others; random.
    pub id: String,
    /// The layer below; none below a full backup.
    pub previous: Option<Previous>,
    /// What it covers begins after the end of the layer below.
    pub start: Option<i64>,
    /// The moment that it shows.
    pub end: i64,
    /// From which moment on every moment until `end` can be restored; none when only `end` can.
    pub revisions_since: Option<i64>,
    /// The job that wrote it.
    pub job: i64,
    /// Version of the server that wrote it.
    pub server: String,
    /// What tells the catalog of that server from all others; none in layers of servers that did not know theirs.
    #[serde(default)]
    pub cluster: Option<String>,
    /// What was asked for.
    pub targets: Targets,
    /// What there was at the end.
    pub catalog: Catalog,
    /// Files with the contents of table files.
    pub packs: Vec<Pack>,
    /// The history of each table since the layer below.
    pub tables: Vec<TableHistory>,
}

/// The layer below, as it was when this one was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its id.
    pub id: String,
    /// SHA-256 of its manifest file, hex.
    pub sha256: String,
}

/// What a chain is a backup of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Targets {
    /// Everything.
    Cluster,
    /// Databases by name, with whatever comes into them.
    Databases(Vec<String>),
    /// Tables by id, with their names of then.
    Tables(Vec<(i64, String)>),
}

impl Targets {
    /// Whether others mean the same objects, whatever tables are called by now.
    pub fn covers_as(&self, others: &Targets) -> bool {
        let ids = |tables: &[(i64, String)]| tables.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        match (self, others) {
            (Targets::Tables(ours), Targets::Tables(theirs)) => ids(ours) == ids(theirs),
            (ours, theirs) => ours == theirs,
        }
    }
}

/// Objects of the catalog. Ids are those of the server that was backed up; they tie the lists together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    pub databases: Vec<Database>,
    pub schemas: Vec<Schema>,
    pub tables: Vec<Table>,
    /// Of cluster backups.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// Of cluster backups.
    #[serde(default)]
    pub memberships: Vec<Membership>,
    #[serde(default)]
    pub grants: Vec<Grant>,
    /// Of cluster backups: cluster settings by name.
    #[serde(default)]
    pub settings: Vec<(String, String)>,
    /// Of cluster backups.
    #[serde(default)]
    pub connections: Vec<Connection>,
    /// Of cluster backups. Files in stages are not held.
    #[serde(default)]
    pub stages: Vec<Stage>,
    /// Of cluster backups: file formats under names.
    #[serde(default)]
    pub file_formats: Vec<FileFormat>,
    /// Of cluster backups.
    #[serde(default)]
    pub schedules: Vec<Schedule>,
    /// Of layers with history: drops within it. What was dropped is missing at the moments before.
    #[serde(default)]
    pub drops: Vec<LastDrop>,
}

/// A database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Database {
    pub id: i64,
    pub name: String,
    pub owner: String,
    pub comment: Option<String>,
}

/// A schema of a database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    pub id: i64,
    pub database: i64,
    pub name: String,
    pub owner: String,
}

/// A table as the catalog has it. Its columns are in its [`TableHistory`]; here is what the catalog adds to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    pub id: i64,
    pub schema: i64,
    pub database: i64,
    pub name: String,
    pub owner: String,
    /// Stored names of the key's columns, in key order.
    pub primary_key: Vec<String>,
    pub columns: Vec<Column>,
    pub comment: Option<String>,
}

/// What the catalog adds to a column of the table's Delta schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The column's name in the Delta schema.
    pub stored_name: String,
    /// Whether the catalog takes NULLs.
    pub nullable: bool,
    /// SQL expression.
    pub default: Option<String>,
    pub comment: Option<String>,
}

/// A role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Role {
    pub name: String,
    pub login: bool,
    /// SCRAM verifier; in encrypted backups only.
    pub verifier: Option<String>,
    pub valid_until: Option<i64>,
    pub options: Vec<String>,
    pub defaults: Vec<(String, String)>,
}

/// A membership of roles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Membership {
    pub role: String,
    pub member: String,
    pub admin_option: bool,
}

/// A privilege on an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    pub object: Object,
    pub grantee: String,
    pub privilege: String,
    pub grant_option: bool,
}

/// What a grant is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Object {
    System,
    Connection(i64),
    Database(i64),
    Schema(i64),
    Table(i64),
    Stage(i64),
}

/// The last time that something of an object was dropped: of the system a database, of a database a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastDrop {
    pub object: Object,
    pub at: i64,
}

/// An external connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    pub id: i64,
    pub name: String,
    pub kind: String,
    pub dialect: String,
    /// With its secrets; in encrypted backups only.
    pub definition: Option<String>,
    pub redacted: String,
    pub owner: String,
    /// Starts at 1; grows by one with every ALTER.
    #[serde(default = "first_version")]
    pub version: i64,
}

/// Of a connection whose layer does not tell it.
fn first_version() -> i64 {
    1
}

/// A stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    pub id: i64,
    pub name: String,
    pub place: StagePlace,
    pub file_format: FormatOptions,
    pub comment: String,
    pub owner: String,
    pub creator: String,
}

/// Where the files of a stage lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StagePlace {
    /// With the server.
    Internal,
    /// At a URI with parameters of its own.
    Copied {
        /// With its secrets; in encrypted backups only.
        uri: Option<String>,
        redacted: String,
        /// Name and version of the connection that the parameters were copied from.
        from: Option<(String, i64)>,
    },
    /// At an `external://` URI.
    Follows { uri: String },
}

/// Names of options in lower case, with their values.
pub type FormatOptions = Vec<(String, Vec<String>)>;

/// Options of a file format under a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileFormat {
    pub name: String,
    pub options: FormatOptions,
    pub owner: String,
}

/// A schedule of backups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    pub id: i64,
    pub label: String,
    pub owner: String,
    /// A cron expression in UTC.
    pub recurrence: String,
    /// What it runs; it holds no secrets.
    pub statement: String,
    /// Session variables that names are looked up with.
    pub variables: Vec<(String, String)>,
    /// Word of the option `on_execution_failure`.
    pub on_failure: String,
    /// Word of the option `on_previous_running`.
    pub on_running: String,
    /// The schedule made by the same statement.
    pub partner: Option<i64>,
    pub ignores_existing: bool,
}

/// A file in the layer's `data` folder: contents of table files, one after the other, in a sealed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// Its name without `.pack`.
    pub id: String,
    /// Size of the sealed file.
    pub bytes: u64,
    /// The salt that it was sealed with, hex.
    pub salt: String,
}

/// The versions of one table that a layer adds, oldest first. Without revisions it is at most one, the state at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableHistory {
    /// Id of the table.
    pub table: i64,
    pub versions: Vec<Version>,
}

/// What a table became.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Number in the table's log.
    pub version: u64,
    /// When it was committed.
    pub at: i64,
    /// The table's Delta schema (`schemaString` of the Delta protocol) when it is not that of the version before.
    pub schema: Option<String>,
    pub added: Vec<File>,
    /// Paths of files that are not part of the table any more.
    pub removed: Vec<String>,
}

/// A Parquet file of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct File {
    /// Path in the table's folder.
    pub path: String,
    pub bytes: u64,
    pub rows: u64,
    /// `stats` of the Delta protocol.
    pub stats: Option<String>,
    /// Index in the layer's packs.
    pub pack: usize,
    /// Where in the content of the pack it begins.
    pub offset: u64,
}

/// Objects of a catalog by their ids. Of those that are listed twice the first counts.
pub struct ById<'a> {
    /// The databases.
    pub databases: HashMap<i64, &'a Database>,
    /// The schemas of all databases.
    pub schemas: HashMap<i64, &'a Schema>,
    /// The tables of all schemas.
    pub tables: HashMap<i64, &'a Table>,
}

impl Catalog {
    /// Its objects by their ids.
    pub fn by_id(&self) -> ById<'_> {
        ById {
            databases: self.databases.iter().rev().map(|row| (row.id, row)).collect(),
            schemas: self.schemas.iter().rev().map(|row| (row.id, row)).collect(),
            tables: self.tables.iter().rev().map(|row| (row.id, row)).collect(),
        }
    }
}

impl Manifest {
    /// Whether it can be sealed, as far as that is known before it is: it may tell of files that are not copied yet.
    ///
    /// # Errors
    /// As [`Manifest::seal`].
    pub fn check_size(&self, room: u64) -> Result<()> {
        let mut json = Scale::default();
        serde_json::to_writer(&mut json, self).map_err(unwritable)?;
        let file_bytes = match json.bytes > FILE_BYTES_MAX {
            false => 0,
            true => {
                let mut gzip = GzEncoder::new(Counted(0), Compression::default());
                serde_json::to_writer(&mut gzip, self).map_err(unwritable)?;
                gzip.finish().map_err(unwritable)?.0
            }
        };
        check_sizes(&json, file_bytes, room)
    }

    /// The manifest as the file at `path`, of a chain with room for JSON of so much weight.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is larger than a manifest may be.
    pub fn seal(&self, protection: &Protection, path: &str, env: &Env, room: u64) -> Result<Vec<u8>> {
        let json = serde_json::to_vec(self).map_err(unwritable)?;
        let mut scale = Scale::default();
        scale.add(&json);
        let mut packed = packed(&json, Compression::default());
        if json.len() as u64 > unpacked_max(&packed) {
            packed = self::packed(&json, Compression::none());
        }
        let file = sealed::seal(protection, path, env, &packed);
        check_sizes(&scale, file.len() as u64, room)?;
        Ok(file)
    }

    /// The manifest in the file at `path`, whose JSON takes of the room that its chain has.
    ///
    /// # Errors
    /// [`Error::Corrupt`] or [`Error::Newer`].
    pub fn open(protection: &Protection, path: &str, file: Vec<u8>, room: &Room) -> Result<Manifest> {
        let packed = sealed::open(protection, path, file)?;
        let (mut json, bytes_max) = (Vec::new(), unpacked_max(&packed));
        let unpacked = room.read(GzDecoder::new(packed.as_slice()).take(bytes_max + 1), &mut json);
        unpacked.map_err(|error| Error::corrupt(path, error.to_string()))?;
        if json.len() as u64 > bytes_max {
            return Err(Error::corrupt(path, "it is larger than a manifest may be"));
        }
        check_format(path, &json)?;
        serde_json::from_slice(&json).map_err(|error| Error::corrupt(path, error.to_string()))
    }
}

/// # Errors
/// [`Error::Invalid`] for what a reader would not read.
fn check_sizes(json: &Scale, file_bytes: u64, room: u64) -> Result<()> {
    let Scale { bytes, weight, .. } = json;
    let fits_alone = *bytes <= JSON_BYTES_MAX && *weight <= WEIGHT_MAX && file_bytes <= FILE_BYTES_MAX;
    if fits_alone && *weight <= room {
        return Ok(());
    }
    let hint = match fits_alone {
        true => "its chain has no room for that any more: begin another with BACKUP INTO",
        false => "back up fewer tables at a time, or let small files be merged first",
    };
    let message = format!("the backup's list of files takes {bytes} bytes, packed {file_bytes}, in memory {weight}");
    Err(Error::invalid(message).with_hint(hint))
}

fn unwritable(error: impl fmt::Display) -> Error {
    Error::invalid(format!("the backup's list of files cannot be written: {error}"))
}

/// Bytes that were written nowhere.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn packed(json: &[u8], compression: Compression) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), compression);
    gzip.write_all(json).expect("memory takes all bytes");
    gzip.finish().expect("memory takes all bytes")
}

/// How many bytes a reader unpacks.
fn unpacked_max(packed: &[u8]) -> u64 {
    (packed.len() as u64 * UNPACKING_MAX + UNPACKED_BYTES_FREE).min(JSON_BYTES_MAX)
}
