//! Table files out of packs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use lakeport_backup::manifest::File;
use lakeport_backup::pack::PackReader;
use lakeport_backup::sealed::ContentHash;
use lakeport_backup::{Chain, Collection, Protection};
use lakeport_base::limits::cores;
use object_store::ObjectStore;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

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

    pub fn bytes(&self) -> u64 {
        self.file.bytes
    }
}

/// How long work under way may take to stop.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// Packs that are being read.
#[derive(Default)]
pub(super) struct Unpacking {
    waiting: Vec<(Arc<PackReader>, Vec<Wanted>)>,
    running: JoinSet<Result<u64>>,
    stop: CancellationToken,
}

impl Unpacking {
    /// Reads the wanted files of each pack, by index of layer and pack.
    pub fn start(
        &mut self,
        wanted: BTreeMap<(usize, usize), Vec<Wanted>>,
        collection: &Collection,
        chain: &Chain,
        protection: &Protection,
    ) -> Result<()> {
        for ((layer, pack), mut files) in wanted.into_iter().rev() {
            let layer = &chain.layers[layer];
            let pack = &layer.manifest.packs[pack];
            let reader = PackReader::new(collection.store().clone(), &layer.path, protection, pack)?;
            files.sort_by_key(|wanted| wanted.file.offset);
            self.waiting.push((Arc::new(reader), files));
        }
        for _ in 0..cores() {
            self.start_next();
        }
        Ok(())
    }

    /// Stops all work; answers whether no write is under way any more.
    pub async fn stop(&mut self) -> bool {
        self.waiting.clear();
        self.stop.cancel();
        let ended = async { while self.running.join_next().await.is_some() {} };
        tokio::time::timeout(STOP_WAIT, ended).await.is_ok()
    }

    /// Waits for the next pack; answers the bytes of its files, or `None` when all are done.
    pub async fn next(&mut self) -> Result<Option<u64>> {
        let Some(ended) = self.running.join_next().await else { return Ok(None) };
        let bytes = ended.map_err(Error::internal)??;
        self.start_next();
        Ok(Some(bytes))
    }

    fn start_next(&mut self) {
        if let Some((reader, files)) = self.waiting.pop() {
            self.running.spawn(unpack(reader, files, self.stop.clone()));
        }
    }
}

async fn unpack(reader: Arc<PackReader>, files: Vec<Wanted>, stop: CancellationToken) -> Result<u64> {
    let mut bytes = 0;
    for wanted in files {
        bytes = u64::saturating_add(bytes, wanted.bytes());
        copy(&reader, wanted, &stop).await?;
    }
    Ok(bytes)
}

/// Between two pieces it heeds `stop`; a piece that is being written is written.
async fn copy(reader: &Arc<PackReader>, Wanted { file, path, to }: Wanted, stop: &CancellationToken) -> Result<()> {
    let mut writer = to.map(|store| BufWriter::with_capacity(store, path, PART_BYTES));
    let mut hash = ContentHash::default();
    let end = file.offset.checked_add(file.bytes).ok_or_else(|| damaged(&file))?;
    let mut pieces = std::pin::pin!(reader.read(file.offset..end));
    while let Some(piece) = pieces.try_next().await? {
        hash.update(&piece);
        if stop.is_cancelled() {
            return Err(Error::canceled());
        }
        if let Some(writer) = &mut writer {
            writer.put(piece).await.map_err(store_error)?;
        }
    }
    if hash.finish() != file.sha256 {
        return Err(damaged(&file));
    }
    match writer {
        Some(mut writer) => writer.shutdown().await.map_err(crate::export::io_error),
        None => Ok(()),
    }
}

fn damaged(file: &File) -> Error {
    let message = format!("the content of {:?} in the backup is not what it was when it was backed up", file.path);
    Error::new(lakeport_base::Sqlstate::DATA_CORRUPTED, message)
        .with_hint("restore from another backup, or an earlier layer of this one")
}
