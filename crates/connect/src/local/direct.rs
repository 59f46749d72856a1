//! Writes past the page cache: no copy into it, and nothing that queries read is pushed out of it.

use std::fs::File;
use std::io::{ErrorKind, Result};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use object_store::PutPayload;
use rustix::fs::{Mode, OFlags, openat};

/// Place, length and memory of such a write are multiples of this many bytes, whatever the disk.
const BLOCK_BYTES: usize = 4096;
/// Bytes of one write.
const WRITE_BYTES: usize = 1 << 20;

/// An open file whose writes go past the page cache.
pub(super) struct DirectFile(File);

impl DirectFile {
    /// Opens a file that exists; `None` where the file system has no such writes.
    pub(super) fn open(folder: &OwnedFd, name: &str) -> Option<DirectFile> {
        let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(folder, name, flags, Mode::empty()).ok().map(|fd| DirectFile(File::from(fd)))
    }

    /// Writes the whole blocks of `data` at `at`; answers how many bytes that were. The rest is for an ordinary write.
    pub(super) fn write(&self, data: &PutPayload, at: u64) -> Result<usize> {
        if !at.is_multiple_of(BLOCK_BYTES as u64) {
            return Ok(0);
        }
        let mut memory = vec![0; WRITE_BYTES + BLOCK_BYTES];
        let aligned = memory.as_ptr().align_offset(BLOCK_BYTES);
        let memory = &mut memory[aligned..aligned + WRITE_BYTES];
        let (mut filled, mut written) = (0, 0);
        for chunk in data {
            let mut chunk = &chunk[..];
            while !chunk.is_empty() {
                let (now, later) = chunk.split_at(chunk.len().min(WRITE_BYTES - filled));
                memory[filled..filled + now.len()].copy_from_slice(now);
                (filled, chunk) = (filled + now.len(), later);
                if filled == WRITE_BYTES {
                    if !self.write_blocks(memory, at + written as u64)? {
                        return Ok(written);
                    }
                    (written, filled) = (written + WRITE_BYTES, 0);
                }
            }
        }
        let rest = filled / BLOCK_BYTES * BLOCK_BYTES;
        let is_written = rest > 0 && self.write_blocks(&memory[..rest], at + written as u64)?;
        Ok(if is_written { written + rest } else { written })
    }

    /// False when the file system refuses such a write after all.
    fn write_blocks(&self, blocks: &[u8], at: u64) -> Result<bool> {
        match self.0.write_all_at(blocks, at) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(false),
            Err(error) => Err(error),
        }
    }
}
