//! What the manifests of one chain may take while it is read.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicI64, Ordering};

use lakeport_base::limits::CHAIN_BYTES_MAX;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Most bytes of manifests' files in memory at a time, in KiB. The largest file fits twice.
const FILES_KIB_MAX: u32 = 128 << 10;

/// What a value of a list or an object may take in memory beyond its bytes of JSON: an empty text takes 2 of them, and 24
/// where it is kept.
const VALUE_BYTES: u64 = 24;

/// Memory for the manifests of one chain. They are read side by side, and a few packed bytes may stand for many.
pub struct Room {
    /// Weight of the JSON that may still come; below zero once there was too much.
    left: AtomicI64,
    files: Semaphore,
}

impl Default for Room {
    fn default() -> Room {
        Room::of(CHAIN_BYTES_MAX)
    }
}

impl Room {
    /// Room for JSON of this weight.
    pub(crate) fn of(weight: usize) -> Room {
        Room { left: AtomicI64::new(weight as i64), files: Semaphore::new(FILES_KIB_MAX as usize) }
    }

    /// Waits until there is memory for a file, which it keeps.
    pub(crate) async fn hold(&self, file_bytes: u64) -> Option<SemaphorePermit<'_>> {
        let kib = u32::try_from(file_bytes >> 10).unwrap_or(u32::MAX).min(FILES_KIB_MAX);
        self.files.acquire_many(kib).await.ok()
    }

    /// Reads to the end, as far as there is room.
    pub(crate) fn read(&self, content: impl Read, json: &mut Vec<u8>) -> io::Result<usize> {
        Taking { content, scale: Scale::default(), room: self }.read_to_end(json)
    }

    /// How much the JSON of a layer on top may weigh.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed).max(0).cast_unsigned()
    }

    /// Whether there was too much.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.left.load(Ordering::Relaxed) < 0
    }
}

/// Weighs JSON as it goes by, so that readers and writers agree on what fits.
#[derive(Default)]
pub(crate) struct Scale {
    /// Bytes that went by.
    pub bytes: u64,
    /// These, and [`VALUE_BYTES`] for each comma that is not part of a text.
    pub weight: u64,
    is_text: bool,
    is_escaped: bool,
}

impl Scale {
    /// Puts the next bytes on the scale.
    pub fn add(&mut self, json: &[u8]) {
        let mut commas = 0;
        for &byte in json {
            match (self.is_text, byte) {
                _ if self.is_escaped => self.is_escaped = false,
                (true, b'\\') => self.is_escaped = true,
                (_, b'"') => self.is_text = !self.is_text,
                (false, b',') => commas += 1,
                _ => {}
            }
        }
        self.bytes += json.len() as u64;
        self.weight += json.len() as u64 + commas * VALUE_BYTES;
    }
}

impl Write for Scale {
    fn write(&mut self, json: &[u8]) -> io::Result<usize> {
        self.add(json);
        Ok(json.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Content that takes room as it is read.
struct Taking<'a, R> {
    content: R,
    scale: Scale,
    room: &'a Room,
}

impl<R: Read> Read for Taking<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        let before = self.scale.weight;
        self.scale.add(&buffer[..read]);
        self.room.left.fetch_sub((self.scale.weight - before).cast_signed(), Ordering::Relaxed);
        if self.room.is_exceeded() {
            return Err(io::Error::other("the manifests of its chain are larger than a chain may have"));
        }
        Ok(read)
    }
}
