//! Files of tables into packs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use lakeport_backup::layout::LayerPath;
use lakeport_backup::manifest::Pack;
use lakeport_backup::pack::PackWriter;
use lakeport_backup::{Collection, Protection};
use lakeport_base::limits::cores;
use lakeport_base::{Env, Point, Sqlstate};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::crew::Crew;
use super::cut::TableCut;
use super::meter::Meter;
use crate::error::{Error, Result};
use crate::external::store_error;
use crate::job::{Checkpoint, TaskContext};

/// Files go into one pack up to so many bytes; a larger one has a pack of its own.
const PACK_BYTES: u64 = 64 << 20;
/// Most files of one pack, so that a checkpoint is never far.
const PACK_FILES_MAX: usize = 1000;
/// Bytes of a file read by one request.
const READ_BYTES: u64 = 4 << 20;
/// Requests of one reader under way at a time.
const READS_MAX: usize = 2;
/// Least time between two checkpoints.
const SAVE_PERIOD: Duration = Duration::from_secs(5);
/// Of the time at most one part in so many is spent on checkpoints.
const SAVE_SHARE: u32 = 20;

/// How long a pack that is to stop may take to appear: cut off, it might do so after its job has cleaned up. Less than
/// what a job waits for, so that there is time to give the upload up.
const FINISH_WAIT: Duration = Duration::from_secs(5);

/// A file of a table to copy.
pub(super) struct SourceFile {
    /// Id of the table.
    table: i64,
    store: Arc<dyn ObjectStore>,
    path: String,
    bytes: u64,
}

/// What was copied so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Copied {
    pub packs: Vec<Pack>,
    pub files: Vec<CopiedFile>,
}

/// A file of a table in a pack.
#[derive(Clone, Debug, PartialEq)]
pub struct CopiedFile {
    /// Id of the table.
    pub table: i64,
    pub path: String,
    /// Index in the packs.
    pub pack: usize,
    /// Where its content begins in that of the pack.
    pub offset: u64,
}

impl Copied {
    /// Where each file is, by table and path.
    pub fn by_path(&self) -> HashMap<(i64, &str), &CopiedFile> {
        self.files.iter().map(|file| ((file.table, file.path.as_str()), file)).collect()
    }

    /// Forgets packs, and with them their files; `kept` says which stay.
    pub(super) fn retain(&mut self, kept: &[bool]) {
        let mut next = 0..;
        let places: Vec<Option<usize>> = kept.iter().map(|kept| if *kept { next.next() } else { None }).collect();
        self.files.retain_mut(|file| {
            let place = places.get(file.pack).copied().flatten();
            file.pack = place.unwrap_or_default();
            place.is_some()
        });
        let mut places = places.iter();
        self.packs.retain(|_| places.next().is_some_and(Option::is_some));
    }

    fn add(&mut self, pack: Pack, files: Vec<CopiedFile>) {
        let index = self.packs.len();
        self.packs.push(pack);
        self.files.extend(files.into_iter().map(|file| CopiedFile { pack: index, ..file }));
    }
}

/// Where packs go.
#[derive(Clone)]
pub(super) struct Destination {
    pub collection: Collection,
    pub layer: LayerPath,
    pub protection: Protection,
    pub env: Env,
}

/// Packs that are being made.
pub(super) type Packing = Crew<(Pack, Vec<CopiedFile>)>;

/// Packs that are being made, and files that wait.
struct Copying<'a> {
    waiting: Vec<Vec<SourceFile>>,
    running: &'a mut Packing,
    to: Destination,
    meter: Arc<Meter>,
}

impl<'a> Copying<'a> {
    /// Copies what is not copied yet.
    fn start(
        sources: Vec<SourceFile>,
        copied: &Copied,
        to: Destination,
        meter: Meter,
        running: &'a mut Packing,
    ) -> Copying<'a> {
        let known: HashSet<(i64, &str)> = copied.by_path().into_keys().collect();
        let left = sources.into_iter().filter(|source| !known.contains(&(source.table, source.path.as_str())));
        let mut waiting = grouped(left);
        waiting.reverse();
        let mut copying = Copying { waiting, running, to, meter: Arc::new(meter) };
        // One more than cores: while one is synced the others work.
        for _ in 0..=cores() {
            copying.start_next();
        }
        copying
    }

    /// Waits for the next pack and adds it to `copied`; false when all are done.
    async fn next(&mut self, copied: &mut Copied) -> Result<bool> {
        let Some((pack, files)) = self.running.next().await.transpose()? else { return Ok(false) };
        self.start_next();
        copied.add(pack, files);
        Ok(true)
    }

    /// Waits for the packs under way and begins no other: their uploads may be waiting for another key, and go on with it.
    async fn finish_running(&mut self, copied: &mut Copied) {
        while let Some(made) = self.running.next().await {
            if let Ok((pack, files)) = made {
                copied.add(pack, files);
            }
        }
    }

    fn start_next(&mut self) {
        if let Some(sources) = self.waiting.pop() {
            let (to, meter) = (self.to.clone(), self.meter.clone());
            self.running.spawn(|stop| pack(sources, to, meter, stop));
        }
    }
}

/// Copies files into packs, with a checkpoint now and then.
pub(super) async fn copy_all(
    cx: &TaskContext,
    sources: Vec<SourceFile>,
    copied: &mut Copied,
    to: Destination,
    running: &mut Packing,
) -> Result<()> {
    let total: u64 = sources.iter().map(|source| source.bytes).sum();
    let bytes: u64 = copied.packs.iter().map(|pack| pack.bytes).sum();
    let meter = Meter::new(cx.progress.clone(), bytes, total);
    let tables: HashSet<i64> = sources.iter().map(|source| source.table).collect();
    cx.progress.set_status(format!("writing {} files of {} tables", sources.len(), tables.len()));
    let mut copying = Copying::start(sources, copied, to, meter, running);
    let (mut saved, mut period) = (Instant::now(), SAVE_PERIOD);
    loop {
        match copying.next(copied).await {
            Ok(false) => return cx.save(&Checkpoint::Backup(copied.clone())).await,
            Ok(true) => {}
            Err(error) => {
                if error.code() == Sqlstate::INVALID_AUTHORIZATION {
                    copying.finish_running(copied).await;
                }
                // The next run sends again no more than what was under way.
                cx.save(&Checkpoint::Backup(copied.clone())).await?;
                return Err(error);
            }
        }
        cx.fault(Point::BackupPacked)?;
        if saved.elapsed() >= period {
            let begun = Instant::now();
            cx.save(&Checkpoint::Backup(copied.clone())).await?;
            saved = Instant::now();
            period = period_after(saved - begun);
        }
    }
}

/// How long to wait after a checkpoint that took so long. It tells of all that is copied, so it takes longer each time.
fn period_after(taken: Duration) -> Duration {
    SAVE_PERIOD.max(taken * SAVE_SHARE)
}

/// The files that the cuts add.
pub(super) fn source_files(cuts: &[TableCut]) -> Vec<SourceFile> {
    let mut wanted = Vec::new();
    for TableCut { table, versions } in cuts {
        let files = versions.iter().flat_map(|version| &version.added);
        wanted.extend(files.map(|file| SourceFile {
            table: table.row.id.0,
            store: table.store.clone(),
            path: file.path.clone(),
            bytes: file.bytes,
        }));
    }
    wanted
}

/// Files in groups, each for one pack.
fn grouped(sources: impl Iterator<Item = SourceFile>) -> Vec<Vec<SourceFile>> {
    let mut groups: Vec<Vec<SourceFile>> = Vec::new();
    let mut bytes = 0;
    for source in sources {
        let fits = bytes + source.bytes <= PACK_BYTES;
        match groups.last_mut() {
            Some(group) if fits && group.len() < PACK_FILES_MAX => {
                bytes += source.bytes;
                group.push(source);
            }
            _ => {
                bytes = source.bytes;
                groups.push(vec![source]);
            }
        }
    }
    groups
}

/// Makes one pack, or leaves nothing of it.
async fn pack(
    sources: Vec<SourceFile>,
    to: Destination,
    meter: Arc<Meter>,
    stop: CancellationToken,
) -> Result<(Pack, Vec<CopiedFile>)> {
    to.env.fault(Point::BackupPack)?;
    let mut writer = PackWriter::new(to.collection.store().clone(), &to.layer, &to.protection, &to.env);
    let filled = fill(&mut writer, sources, &meter, &stop).await;
    if filled.is_err() {
        writer.abort().await;
    }
    filled
}

async fn fill(
    writer: &mut PackWriter,
    sources: Vec<SourceFile>,
    meter: &Meter,
    stop: &CancellationToken,
) -> Result<(Pack, Vec<CopiedFile>)> {
    let mut files = Vec::with_capacity(sources.len());
    for source in sources {
        files.push(add(writer, &source, meter, stop).await?);
    }
    let stopped = async {
        stop.cancelled().await;
        tokio::time::sleep(FINISH_WAIT).await;
    };
    tokio::select! {
        finished = writer.finish() => Ok((finished?, files)),
        () = stopped => Err(Error::canceled()),
    }
}

async fn add(
    writer: &mut PackWriter,
    source: &SourceFile,
    meter: &Meter,
    stop: &CancellationToken,
) -> Result<CopiedFile> {
    let offset = writer.offset();
    let starts = (0..source.bytes.div_ceil(READ_BYTES)).map(|number| number * READ_BYTES);
    let path = Path::parse(&source.path).map_err(Error::internal)?;
    let pieces = stream::iter(starts).map(|start| {
        let range = start..(start + READ_BYTES).min(source.bytes);
        let (store, path) = (source.store.clone(), path.clone());
        async move { store.get_range(&path, range).await }
    });
    let mut pieces = pieces.buffered(READS_MAX);
    while let Some(piece) = pieces.try_next().await.map_err(|error| unreadable(source, error))? {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Error::canceled()),
            // What is cut off here is given up.
            added = writer.add(&piece) => added?,
        }
        meter.add(piece.len());
    }
    let copied = writer.offset() - offset;
    if copied != source.bytes {
        let message = format!("{} of table {} has {copied} bytes, not {}", source.path, source.table, source.bytes);
        return Err(Error::new(Sqlstate::DATA_CORRUPTED, message));
    }
    Ok(CopiedFile { table: source.table, path: source.path.clone(), pack: 0, offset })
}

fn unreadable(source: &SourceFile, error: object_store::Error) -> Error {
    store_error(error).prefixed(&format!("cannot read {} of table {}", source.path, source.table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    fn sources(bytes: &[u64]) -> impl Iterator<Item = SourceFile> {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let source = move |(index, bytes): (usize, u64)| SourceFile {
            table: 1,
            store: store.clone(),
            path: index.to_string(),
            bytes,
        };
        bytes.iter().copied().enumerate().map(source)
    }

    #[test]
    fn packs_that_are_gone_are_forgotten_with_their_files() {
        let pack = |id: &str| Pack { id: id.to_string(), bytes: 1, salt: String::new() };
        let file = |path: &str| CopiedFile { table: 1, path: path.to_string(), pack: 0, offset: 0 };
        let mut copied = Copied::default();
        for (id, path) in [("1", "a"), ("2", "b"), ("3", "c")] {
            copied.add(pack(id), vec![file(path)]);
        }
        copied.retain(&[true, false, true]);
        let left: Vec<_> =
            copied.files.iter().map(|file| (file.path.as_str(), copied.packs[file.pack].id.as_str())).collect();
        assert_eq!((left, copied.packs.len()), (vec![("a", "1"), ("c", "3")], 2));
    }

    #[test]
    fn checkpoints_that_take_long_are_made_seldom() {
        assert_eq!(period_after(Duration::from_millis(3)), SAVE_PERIOD);
        assert_eq!(period_after(Duration::from_secs(3)), Duration::from_secs(60));
    }

    #[test]
    fn small_files_share_a_pack() {
        let groups = |bytes: &[u64]| grouped(sources(bytes)).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(groups(&[]), [0; 0]);
        assert_eq!(groups(&[1000; 10]), [10]);
        assert_eq!(groups(&[PACK_BYTES * 2, 1000, 1000]), [1, 2]);
        assert_eq!(groups(&[PACK_BYTES / 2; 5]), [2, 2, 1]);
        assert_eq!(groups(&[1; PACK_FILES_MAX + 1]), [PACK_FILES_MAX, 1]);
    }
}
