//! What the manifests of one chain may take while it is read.

use std::io::{self, Read};
use std::sync::atomic::{AtomicI64, Ordering};

use lakeport_base::limits::CHAIN_BYTES_MAX;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Most bytes of manifests' files in memory at a time, in KiB. The largest file fits twice.
const FILES_KIB_MAX: u32 = 128 << 10;

/// Memory for the manifests of one chain. They are read side by side, and a few packed bytes may stand for many.
pub struct Room {
    /// Bytes of JSON that may still come; below zero once there were too many.
    left: AtomicI64,
    files: Semaphore,
}

impl Default for Room {
    fn default() -> Room {
        Room::of(CHAIN_BYTES_MAX)
    }
}

impl Room {
    /// Room for so many bytes of JSON.
    pub(crate) fn of(bytes: usize) -> Room {
        Room { left: AtomicI64::new(bytes as i64), files: Semaphore::new(FILES_KIB_MAX as usize) }
    }

    /// Waits until there is memory for a file, which it keeps.
    pub(crate) async fn hold(&self, file_bytes: u64) -> Option<SemaphorePermit<'_>> {
        let kib = u32::try_from(file_bytes >> 10).unwrap_or(u32::MAX).min(FILES_KIB_MAX);
        self.files.acquire_many(kib).await.ok()
    }

    /// Reads to the end, as far as there is room.
    pub(crate) fn read(&self, content: impl Read, json: &mut Vec<u8>) -> io::Result<usize> {
        Taking { content, room: self }.read_to_end(json)
    }

    /// Bytes of JSON that a layer on top may take.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed).max(0).cast_unsigned()
    }

    /// Whether there were too many.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.left.load(Ordering::Relaxed) < 0
    }
}

/// Content that takes room as it is read.
struct Taking<'a, R> {
    content: R,
    room: &'a Room,
}

impl<R: Read> Read for Taking<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.room.left.fetch_sub(read as i64, Ordering::Relaxed);
        if self.room.is_exceeded() {
            return Err(io::Error::other("the manifests of its chain are larger than a chain may have"));
        }
        Ok(read)
    }
}
