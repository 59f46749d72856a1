//! Table files out of packs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures::TryStreamExt;
use lakeport_backup::manifest::File;
use lakeport_backup::pack::PackReader;
use lakeport_backup::{Chain, Collection, Protection};
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use crate::backup::crew::Crew;
use crate::backup::meter::Meter;
use crate::error::{Error, Result};
use crate::external::store_error;

/// Bytes of one part of a large file, and its memory.
const PART_BYTES: usize = 8 << 20;
/// Most folders in the path of a file, each of which costs a sync to make.
const DEPTH_MAX: usize = 64;
/// Folder of a table's log, where no data file lies.
const LOG_FOLDER: &str = "_delta_log";

/// A file to read and check, and where to put it.
pub(super) struct Wanted {
    file: File,
    path: Path,
    to: Option<Arc<dyn ObjectStore>>,
}

impl Wanted {
    /// # Errors
    /// XX001 for a path that no data file has: the list is a stranger's claim.
    pub fn new(file: &File, to: Option<Arc<dyn ObjectStore>>) -> Result<Wanted> {
        let path = Path::parse(&file.path).ok();
        let is_sane = |path: &Path| !path.as_ref().is_empty() && path.parts().count() <= DEPTH_MAX;
        let path = path.filter(|path| is_sane(path) && !path.prefix_matches(&Path::from(LOG_FOLDER)));
        let path = path.ok_or_else(|| {
            let message = format!("the backup lists a file that no table can have: {:?}", file.path);
            Error::new(lakeport_base::Sqlstate::DATA_CORRUPTED, message)
        })?;
        Ok(Wanted { file: file.clone(), path, to })
    }

    /// What it takes while it is copied, in bytes.
    fn memory(&self) -> u64 {
        self.file.bytes.min(FILE_MEMORY_MAX)
    }
}

/// Most memory that one file takes on its way: reads, a part that fills and parts that are written.
const FILE_MEMORY_MAX: u64 = 32 << 20;
/// Files are begun while those under way take less memory.
const MEMORY_MAX: u64 = 3 * FILE_MEMORY_MAX;
/// Most files under way, so that many small ones share the syncs of a disk.
const FILES_MAX: usize = 16;
/// Parts of one file being written at a time.
const PARTS_MAX: usize = 2;

/// Files that are being read.
#[derive(Default)]
pub(super) struct Unpacking {
    waiting: VecDeque<(Arc<PackReader>, Wanted)>,
    running: Crew<Wanted>,
    /// What the running ones take, in bytes.
    memory: u64,
    meter: Arc<Meter>,
}

impl Unpacking {
    /// Reads the wanted files of each pack, by index of layer and pack.
    pub fn start(
        &mut self,
        wanted: BTreeMap<(usize, usize), Vec<Wanted>>,
        collection: &Collection,
        chain: &Chain,
        protection: &Protection,
        meter: Meter,
    ) -> Result<()> {
        self.meter = Arc::new(meter);
        for ((layer, pack), mut files) in wanted {
            let layer = &chain.layers[layer];
            let pack = &layer.manifest.packs[pack];
            let reader = Arc::new(PackReader::new(collection.store().clone(), &layer.path, protection, pack)?);
            files.sort_by_key(|wanted| wanted.file.offset);
            self.waiting.extend(files.into_iter().map(|file| (reader.clone(), file)));
        }
        self.start_next();
        Ok(())
    }

    /// Stops all work; answers whether no write is under way any more.
    pub async fn stop(&mut self) -> bool {
        self.waiting.clear();
        self.running.stop().await
    }

    /// Waits for the next file; false when all are done.
    pub async fn next(&mut self) -> Result<bool> {
        let Some(wanted) = self.running.next().await.transpose()? else { return Ok(false) };
        self.memory -= wanted.memory();
        self.start_next();
        Ok(true)
    }

    fn start_next(&mut self) {
        while self.memory < MEMORY_MAX && self.running.len() < FILES_MAX {
            let Some((reader, wanted)) = self.waiting.pop_front() else { return };
            self.memory += wanted.memory();
            let meter = self.meter.clone();
            self.running.spawn(|stop| copy(reader, wanted, meter, stop));
        }
    }
}

/// Between two pieces it heeds `stop`; a piece that is being written is written.
async fn copy(reader: Arc<PackReader>, wanted: Wanted, meter: Arc<Meter>, stop: CancellationToken) -> Result<Wanted> {
    let Wanted { file, path, to } = &wanted;
    let writer = |store: &Arc<dyn ObjectStore>| BufWriter::with_capacity(store.clone(), path.clone(), PART_BYTES);
    let mut writer = to.as_ref().map(writer).map(|writer| writer.with_max_concurrency(PARTS_MAX));
    let copied = copy_content(&reader, file, writer.as_mut(), &meter, &stop).await;
    if let (Err(_), Some(writer)) = (&copied, &mut writer) {
        // What cannot be taken back goes with the folder of the table.
        let _ = writer.abort().await;
    }
    copied?;
    if let Some(mut writer) = writer {
        writer.shutdown().await.map_err(crate::export::io_error)?;
    }
    Ok(wanted)
}

async fn copy_content(
    reader: &Arc<PackReader>,
    file: &File,
    mut writer: Option<&mut BufWriter>,
    meter: &Meter,
    stop: &CancellationToken,
) -> Result<()> {
    let end = file.offset.checked_add(file.bytes).ok_or_else(|| beyond(file))?;
    let mut pieces = std::pin::pin!(reader.read(file.offset..end));
    while let Some(piece) = pieces.try_next().await? {
        if stop.is_cancelled() {
            return Err(Error::canceled());
        }
        meter.add(piece.len());
        if let Some(writer) = &mut writer {
            writer.put(piece).await.map_err(store_error)?;
        }
    }
    Ok(())
}

fn beyond(file: &File) -> Error {
    let message = format!("the backup lists {:?} at byte {} with {} bytes", file.path, file.offset, file.bytes);
    Error::new(lakeport_base::Sqlstate::DATA_CORRUPTED, message)
}
