//! Packs: contents of table files, one after the other, in sealed files of a layer.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use lakeport_base::{Env, hex};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt};
use tokio::sync::oneshot::{self, error::RecvError};
use tokio::task::{JoinError, JoinSet};

use crate::error::{Error, Result};
use crate::layout::LayerPath;
use crate::manifest::Pack;
use crate::sealed::{HEADER_BYTES, Opener, Protection, SALT_BYTES, SEGMENT_BYTES, Sealer};

/// Random bytes in the name of a pack.
const ID_BYTES: usize = 16;
/// Bytes of one part of an upload, and its memory.
const PART_BYTES: usize = 8 << 20;
/// Room for a part and for what the last piece of content had too much.
const OUT_BYTES: usize = PART_BYTES + PART_BYTES / 2;
/// Content read by one request.
const READ_BYTES: u64 = 64 * SEGMENT_BYTES as u64;
/// Requests of one reader under way at a time.
const READS_MAX: usize = 2;

/// A pack being written.
pub struct PackWriter {
    id: String,
    salt: [u8; SALT_BYTES],
    sealer: Sealer,
    /// Sealed and not yet sent.
    out: Vec<u8>,
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// Begun when there is more than one part.
    parts: Option<Parts>,
    content_bytes: u64,
    file_bytes: u64,
}

impl PackWriter {
    /// Begins a pack of a layer, under a new name.
    pub fn new(store: Arc<dyn ObjectStore>, layer: &LayerPath, protection: &Protection, env: &Env) -> PackWriter {
        let id = env.random_hex(ID_BYTES);
        let path = layer.pack(&id);
        let mut salt = [0; SALT_BYTES];
        env.random(&mut salt);
        let mut out = Vec::with_capacity(OUT_BYTES);
        let sealer = Sealer::new(protection, path.as_ref(), &salt, &mut out);
        PackWriter { id, salt, sealer, out, store, path, parts: None, content_bytes: 0, file_bytes: 0 }
    }

    /// Where the next content will begin.
    pub fn offset(&self) -> u64 {
        self.content_bytes
    }

    /// Adds content.
    pub async fn add(&mut self, content: &[u8]) -> Result<()> {
        self.sealer.push(content, &mut self.out);
        self.content_bytes += content.len() as u64;
        while self.out.len() >= PART_BYTES {
            self.send().await?;
        }
        Ok(())
    }

    /// Makes the file appear. Nothing can be added after that.
    pub async fn finish(&mut self) -> Result<Pack> {
        self.sealer.finish(&mut self.out);
        let last = std::mem::take(&mut self.out);
        self.file_bytes += last.len() as u64;
        match &mut self.parts {
            None => drop(self.store.put(&self.path, last.into()).await?),
            Some(parts) => {
                parts.send(last).await?;
                parts.complete().await?;
            }
        }
        Ok(Pack { id: self.id.clone(), bytes: self.file_bytes, salt: hex::encode(&self.salt) })
    }

    /// Gives the upload up. Parts that cannot be taken back are left to the storage's own rules.
    pub async fn abort(mut self) {
        if let Some(parts) = &mut self.parts {
            parts.abort().await;
        }
    }

    /// Sends one part.
    async fn send(&mut self) -> Result<()> {
        let parts = match &mut self.parts {
            Some(parts) => parts,
            none => none.insert(Parts::begin(&self.store, &self.path).await?),
        };
        let mut rest = Vec::with_capacity(OUT_BYTES);
        rest.extend_from_slice(&self.out[PART_BYTES..]);
        self.out.truncate(PART_BYTES);
        let part = std::mem::replace(&mut self.out, rest);
        self.file_bytes += part.len() as u64;
        Ok(parts.send(part).await?)
    }
}

/// An upload in parts, one of them under way: a storage that refuses a key costs no more than that. The next is sealed
/// meanwhile.
struct Parts {
    upload: Box<dyn MultipartUpload>,
    under_way: JoinSet<object_store::Result<()>>,
}

impl Parts {
    /// Whoever stops waiting for the answer leaves no upload behind.
    async fn begin(store: &Arc<dyn ObjectStore>, path: &Path) -> object_store::Result<Parts> {
        let (store, path) = (store.clone(), path.clone());
        let (hand_over, begun) = oneshot::channel();
        tokio::spawn(async move {
            let upload = store.put_multipart(&path).await;
            if let Err(Ok(mut upload)) = hand_over.send(upload) {
                let _ = upload.abort().await;
            }
        });
        let failed = |error: RecvError| object_store::Error::Generic { store: "upload", source: error.into() };
        Ok(Parts { upload: begun.await.map_err(failed)??, under_way: JoinSet::new() })
    }

    /// Hands in a part; waits for the one before.
    async fn send(&mut self, part: Vec<u8>) -> object_store::Result<()> {
        self.wait().await?;
        self.under_way.spawn(self.upload.put_part(part.into()));
        Ok(())
    }

    async fn complete(&mut self) -> object_store::Result<()> {
        self.wait().await?;
        self.upload.complete().await.map(drop)
    }

    async fn abort(&mut self) {
        self.under_way.shutdown().await;
        let _ = self.upload.abort().await;
    }

    async fn wait(&mut self) -> object_store::Result<()> {
        let failed = |error: JoinError| object_store::Error::Generic { store: "upload", source: error.into() };
        self.under_way.join_next().await.map_or(Ok(()), |sent| sent.map_err(failed).flatten())
    }
}

/// Reads the content of a pack.
pub struct PackReader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    file_bytes: u64,
    opener: Opener,
}

impl PackReader {
    /// A reader of a pack that a layer lists.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the listing cannot be true.
    pub fn new(
        store: Arc<dyn ObjectStore>,
        layer: &LayerPath,
        protection: &Protection,
        pack: &Pack,
    ) -> Result<PackReader> {
        let listed = || layer.manifest().to_string();
        // A name of a stranger's choice could lead anywhere.
        hex::decode::<ID_BYTES>(&pack.id)
            .ok_or_else(|| Error::corrupt(listed(), "it lists a pack without a proper id"))?;
        let salt = hex::decode(&pack.salt).ok_or_else(|| Error::corrupt(listed(), "it lists a pack without a salt"))?;
        let path = layer.pack(&pack.id);
        let opener = Opener::new(protection, path.as_ref(), &salt, pack.bytes)?;
        Ok(PackReader { store, path, file_bytes: pack.bytes, opener })
    }

    /// Bytes of content.
    pub fn content_bytes(&self) -> u64 {
        self.opener.content_bytes()
    }

    /// A range of the content, in order, in verified pieces of at most [`SEGMENT_BYTES`].
    ///
    /// # Errors
    /// [`Error::Corrupt`] naming the pack, and the place of a segment that does not match.
    pub fn read(self: &Arc<Self>, content: Range<u64>) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        let reader = Arc::clone(self);
        let starts = (content.start / READ_BYTES..content.end.div_ceil(READ_BYTES)).map(|number| number * READ_BYTES);
        let pieces =
            starts.map(move |start| start.max(content.start)..start.saturating_add(READ_BYTES).min(content.end));
        stream::iter(pieces)
            .map(move |piece| {
                let reader = Arc::clone(&reader);
                async move { reader.pieces(piece).await }
            })
            .buffered(READS_MAX)
            .map_ok(|pieces| stream::iter(pieces.into_iter().map(Ok)))
            .try_flatten()
    }

    /// Reads and verifies all of it, header included.
    ///
    /// # Errors
    /// As [`PackReader::read`].
    pub async fn verify(self: &Arc<Self>) -> Result<()> {
        self.check_size().await?;
        if self.content_bytes() == 0 {
            self.pieces(0..0).await?;
        }
        self.read(0..self.content_bytes()).try_for_each(|_| std::future::ready(Ok(()))).await
    }

    /// Whether the file is there with its size.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it is not.
    pub async fn check_size(&self) -> Result<()> {
        match self.store.head(&self.path).await {
            Ok(found) if found.size == self.file_bytes => Ok(()),
            Ok(found) => Err(self.wrong_size(found.size)),
            Err(object_store::Error::NotFound { .. }) => Err(Error::corrupt(self.path.as_ref(), "it is missing")),
            Err(error) => Err(error.into()),
        }
    }

    /// What one request brings of a range.
    async fn pieces(&self, content: Range<u64>) -> Result<Vec<Bytes>> {
        let (first, range) = self.opener.locate(&content)?;
        // The header comes along with the first segment.
        let header = if first == 0 { HEADER_BYTES } else { 0 };
        let mut sealed = BytesMut::from(self.get(range.start - header as u64..range.end).await?);
        let segments = sealed.split_off(header);
        if first == 0 {
            self.opener.check_header(&sealed)?;
        }
        let mut pieces = self.opener.open(first, segments)?;
        let before = content.start - first * SEGMENT_BYTES as u64;
        pieces[0].advance(usize::try_from(before).unwrap_or(usize::MAX).min(SEGMENT_BYTES));
        let mut left = usize::try_from(content.end - content.start).unwrap_or(usize::MAX);
        for piece in &mut pieces {
            piece.truncate(left);
            left -= piece.len();
        }
        Ok(pieces)
    }

    async fn get(&self, range: Range<u64>) -> Result<Bytes> {
        let wanted = range.end - range.start;
        match self.store.get_range(&self.path, range).await {
            Ok(found) if found.len() as u64 == wanted => Ok(found),
            Ok(_) => Err(Error::corrupt(self.path.as_ref(), "it is shorter than listed")),
            // A storage answers in its own way to a range that lies beyond the end.
            Err(error) => Err(self.check_size().await.err().unwrap_or(error.into())),
        }
    }

    fn wrong_size(&self, found: u64) -> Error {
        Error::corrupt(self.path.as_ref(), format!("it has {found} bytes, not {}", self.file_bytes))
    }
}
