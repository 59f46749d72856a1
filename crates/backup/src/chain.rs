//! A chain: a full backup and the layers on top of it, oldest first.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use lakeport_base::hex;
use lakeport_base::limits::BACKUP_LAYERS_MAX;

use crate::error::{Error, Result};
use crate::layout::{LayerPath, Subdir};
use crate::manifest::{File, Manifest, Previous, TableHistory};
use crate::room::Room;
use crate::sealed::{self, Protection};

/// One layer as it was read.
#[derive(Clone, Debug)]
pub struct Layer {
    pub path: LayerPath,
    pub manifest: Manifest,
    /// What the next layer calls it.
    pub link: Previous,
    /// Where in the manifest's list the history of each table is.
    histories: HashMap<i64, usize>,
}

impl Layer {
    /// The layer whose manifest's file has these bytes.
    ///
    /// # Errors
    /// [`Error::Corrupt`] or [`Error::Newer`].
    pub(crate) fn open(path: LayerPath, protection: &Protection, file: Bytes, room: &Room) -> Result<Layer> {
        let name = path.manifest();
        if sealed::is_encrypted(name.as_ref(), &file)? != protection.is_encrypted() {
            return Err(Error::corrupt(name.as_ref(), "it is not protected as the chain's wrapped keys say"));
        }
        let sha256 = hex::encode(&sealed::sha256(&[&file]));
        let manifest = Manifest::open(protection, name.as_ref(), file.into(), room)?;
        let link = Previous { id: manifest.id.clone(), sha256 };
        // Of a table that is listed twice the first counts.
        let listed = manifest.tables.iter().enumerate().rev();
        let histories = listed.map(|(index, history)| (history.table, index)).collect();
        Ok(Layer { path, manifest, link, histories })
    }

    /// What the layer says of a table.
    pub fn history_of(&self, table: i64) -> Option<&TableHistory> {
        self.manifest.tables.get(*self.histories.get(&table)?)
    }
}

/// A full backup and what is on top of it.
#[derive(Clone, Debug)]
pub struct Chain {
    pub subdir: Subdir,
    /// Never empty; the first is the full backup.
    pub layers: Vec<Layer>,
    /// Why there are no more, when there should be: what is above a damaged layer cannot be used.
    pub damage: Option<Damage>,
    /// How much the JSON of the manifest of a layer on top may weigh.
    pub room: u64,
}

/// A file that is not what was written.
#[derive(Clone, Debug)]
pub struct Damage {
    /// Path in the collection.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
}

impl From<&Damage> for Error {
    fn from(Damage { file, what }: &Damage) -> Error {
        Error::corrupt(file, what)
    }
}

/// Where a table file's content is: which layer, which entry.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Index in the chain.
    pub layer: usize,
    pub file: &'a File,
}

/// A table as of a moment.
#[derive(Debug)]
pub struct TableState<'a> {
    /// Number in the log that it was copied from.
    pub version: u64,
    /// Its Delta schema.
    pub schema: &'a str,
    /// By path.
    pub files: BTreeMap<&'a str, Place<'a>>,
}

impl Chain {
    /// A chain of a full backup alone, with this room for more.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for the manifest of another layer.
    pub(crate) fn begin(subdir: Subdir, full: Layer, room: u64) -> Result<Chain> {
        match full.manifest.previous {
            None => Ok(Chain { subdir, layers: vec![full], damage: None, room }),
            Some(_) => Err(Error::corrupt(full.path.manifest().as_ref(), "it is not the manifest of a full backup")),
        }
    }

    /// Puts a layer on top, which leaves this room.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for one that does not belong there.
    pub(crate) fn push(&mut self, layer: Layer, room: u64) -> Result<()> {
        check_link(self.last(), &layer)?;
        self.layers.push(layer);
        self.room = room;
        Ok(())
    }

    /// # Errors
    /// [`Error::Corrupt`] naming the file that is damaged, if one is.
    pub fn check_whole(&self) -> Result<()> {
        self.damage.as_ref().map_or(Ok(()), |damage| Err(damage.into()))
    }

    /// The newest layer.
    pub fn last(&self) -> &Layer {
        self.layers.last().expect("a chain has a full backup")
    }

    /// # Errors
    /// [`Error::Invalid`] when a reader would refuse the chain with one more layer.
    pub fn check_room(&self) -> Result<()> {
        let full = if self.layers.len() >= BACKUP_LAYERS_MAX {
            "as many layers"
        } else if self.room == 0 {
            "manifests as large"
        } else {
            return Ok(());
        };
        let message = format!("the chain in {:?} has {full} as a chain may have", self.subdir.shown());
        Err(Error::invalid(message).with_hint("begin another with BACKUP INTO"))
    }

    /// The layer to restore a moment from; without one, the newest.
    ///
    /// # Errors
    /// [`Error::Invalid`] in the documented words for a moment that the chain cannot show; [`Error::Corrupt`] for one that a
    /// damaged layer may have shown.
    pub fn layer_at(&self, moment: Option<i64>) -> Result<usize> {
        let covers = |layer: &Layer| moment.is_some_and(|moment| moment <= layer.manifest.end);
        let found = self.layers.iter().position(covers);
        if found.is_none() {
            self.check_whole()?;
        }
        let Some(moment) = moment else { return Ok(self.layers.len() - 1) };
        let Some(index) = found else {
            return Err(uncovered(&format!("the newest layer ends at {}", shown(self.last().manifest.end))));
        };
        let manifest = &self.layers[index].manifest;
        if moment == manifest.end || manifest.revisions_since.is_some_and(|since| since <= moment) {
            return Ok(index);
        }
        if let (0, Some(since)) = (index, manifest.revisions_since) {
            return Err(uncovered(&format!("the oldest moment of the chain is {}", shown(since))));
        }
        let nearest = match index.checked_sub(1) {
            None => format!("nearest backup time is {}", shown(manifest.end)),
            Some(below) => format!(
                "nearest BACKUP times are {} or {}",
                shown(self.layers[below].manifest.end),
                shown(manifest.end)
            ),
        };
        Err(Error::invalid(format!(
            "invalid RESTORE timestamp: restoring to arbitrary time requires that BACKUP for requested time be created \
             with 'revision_history' option. {nearest}"
        )))
    }

    /// A table as the first `layers` of the chain show it at a moment; `None` before its first version.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the layers contradict each other.
    pub fn table_at(&self, table: i64, layers: usize, moment: i64) -> Result<Option<TableState<'_>>> {
        let mut state: Option<TableState<'_>> = None;
        for (index, layer) in self.layers[..layers].iter().enumerate() {
            if let Some(history) = layer.history_of(table) {
                replay(&mut state, index, layer, history, moment)?;
            }
        }
        Ok(state)
    }
}

/// The tables of a chain as they were at the end of one layer after the other.
#[derive(Default)]
pub struct Replay<'a> {
    /// How many layers are replayed.
    layers: usize,
    tables: HashMap<i64, Option<TableState<'a>>>,
}

impl<'a> Replay<'a> {
    /// Goes on to the next layer of the chain.
    ///
    /// # Errors
    /// As [`Chain::table_at`].
    pub fn add(&mut self, layer: &'a Layer) -> Result<()> {
        for history in layer.histories.values().map(|index| &layer.manifest.tables[*index]) {
            replay(self.tables.entry(history.table).or_default(), self.layers, layer, history, layer.manifest.end)?;
        }
        self.layers += 1;
        Ok(())
    }

    /// A table at the end of the last layer; `None` before its first version.
    pub fn table(&self, id: i64) -> Option<&TableState<'a>> {
        self.tables.get(&id)?.as_ref()
    }
}

/// What a layer, which has an index in its chain, makes of a table until a moment.
fn replay<'a>(
    state: &mut Option<TableState<'a>>,
    index: usize,
    layer: &'a Layer,
    TableHistory { table, versions }: &'a TableHistory,
    moment: i64,
) -> Result<()> {
    let broken = |what: String| Error::corrupt(layer.path.manifest().as_ref(), what);
    for version in versions.iter().filter(|version| version.at <= moment) {
        let now = match (state.as_mut(), version.schema.as_deref()) {
            (None, None) => return Err(broken(format!("table {table} has no schema"))),
            (None, Some(schema)) => {
                state.insert(TableState { version: version.version, schema, files: BTreeMap::new() })
            }
            (Some(now), schema) => {
                now.schema = schema.unwrap_or(now.schema);
                now
            }
        };
        now.version = version.version;
        for path in &version.removed {
            if now.files.remove(path.as_str()).is_none() {
                return Err(broken(format!("it removes {path:?}, which table {table} does not have")));
            }
        }
        for file in &version.added {
            if file.pack >= layer.manifest.packs.len() {
                return Err(broken(format!("{:?} is in a pack that is not listed", file.path)));
            }
            now.files.insert(&file.path, Place { layer: index, file });
        }
    }
    Ok(())
}

/// The documented text.
fn uncovered(hint: &str) -> Error {
    Error::invalid("invalid RESTORE timestamp: supplied backups do not cover requested time")
        .with_hint(format!("{hint}; SHOW BACKUPS IN lists the chains"))
}

fn check_link(below: &Layer, layer: &Layer) -> Result<()> {
    if layer.manifest.previous.as_ref() == Some(&below.link) && layer.manifest.start == Some(below.manifest.end) {
        return Ok(());
    }
    let known = layer.manifest.previous.as_ref().is_some_and(|previous| previous.id == below.link.id);
    let what = if known {
        format!("the layer below it, {}, was exchanged", below.path)
    } else {
        format!("it is not on top of {}: a layer between them is missing, or it belongs to another chain", below.path)
    };
    Err(Error::corrupt(layer.path.manifest().as_ref(), what))
}

/// A moment as results show it.
pub fn shown(moment: i64) -> String {
    let time = chrono::DateTime::from_timestamp_micros(moment);
    time.map_or_else(|| moment.to_string(), |time| time.format("%Y-%m-%d %H:%M:%S%.6f+00:00").to_string())
}
