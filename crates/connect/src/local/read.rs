//! Reading files and their metadata.

use std::fs::File;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{Attributes, GetOptions, GetRange, GetResult, GetResultPayload, ObjectMeta, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;

use super::dir::{self, Location, failed, failed_io, refused};
use super::{Root, blocking};
use crate::error::Error as ConnectError;

/// Bytes read at a time.
const CHUNK_BYTES: u64 = 256 << 10;
/// Bytes read at once of a range with an end, which its reader needs as a whole.
const RANGE_BYTES: u64 = 8 << 20;

/// An open file and what it was when it was opened.
pub(super) struct Opened {
    pub file: File,
    meta: ObjectMeta,
}

/// Opens a file for reading.
pub(super) fn open(root: &Root, location: &Location) -> Result<Opened> {
    let folder = dir::open(&root.fd, &location.folder).map_err(|error| location.or_missing(error))?;
    let fail = |errno| failed(location.path(), errno);
    // NONBLOCK: opening a pipe must not wait for its writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = openat(&folder, &location.name, flags, Mode::empty()).map_err(fail)?;
    let stat = fstat(&fd).map_err(fail)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(fail(Errno::NOENT));
    }
    root.require_synced(&folder, location)?;
    Ok(Opened { file: File::from(fd), meta: meta(location.path().clone(), &stat) })
}

/// Fails unless a name is a regular file.
pub(super) fn require_file(folder: impl AsFd, location: &Location) -> Result<()> {
    let stat = statat(folder, &location.name, AtFlags::SYMLINK_NOFOLLOW);
    let stat = stat.map_err(|errno| failed(location.path(), errno))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Symlink => Err(failed(location.path(), Errno::LOOP)),
        _ => Err(failed(location.path(), Errno::NOENT)),
    }
}

/// What a listing says of a file.
pub(super) fn meta(location: Path, stat: &Stat) -> ObjectMeta {
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    ObjectMeta { location, last_modified: modified(stat), size, e_tag: Some(e_tag(stat)), version: None }
}

/// When a file was last written.
pub(super) fn modified(stat: &Stat) -> DateTime<Utc> {
    DateTime::from_timestamp(stat.st_mtime, stat.st_mtime_nsec as u32).unwrap_or_default()
}

/// Changes whenever a file is replaced or written.
pub(super) fn e_tag(stat: &Stat) -> String {
    format!("{:x}-{:x}.{:x}-{:x}", stat.st_ino, stat.st_mtime, stat.st_mtime_nsec, stat.st_size)
}

impl Opened {
    /// Answers a request for the file. The first piece is read at once: most files have no other, and handing work to
    /// another thread costs more than to read it.
    pub(super) fn result(self, options: GetOptions) -> Result<GetResult> {
        options.check_preconditions(&self.meta)?;
        let range = match &options.range {
            _ if options.head => 0..0,
            None => 0..self.meta.size,
            Some(range) => resolve(range, self.meta.size)?,
        };
        let first_bytes = if let Some(GetRange::Bounded(_)) = options.range { RANGE_BYTES } else { CHUNK_BYTES };
        let begin = range.start..range.end.min(range.start + first_bytes);
        let first = read_at(&self.file, &self.meta.location, begin.clone())?;
        let rest = chunks(self.file, self.meta.location.clone(), begin.end..range.end);
        let payload = GetResultPayload::Stream(stream::iter([Ok(first)]).chain(rest).boxed());
        Ok(GetResult { payload, meta: self.meta, range, attributes: Attributes::default() })
    }

    /// One range, which must lie within the file.
    pub(super) fn exactly(&self, range: Range<u64>) -> Result<Bytes> {
        if range.end > self.meta.size || range.start > range.end {
            return Err(beyond(self.meta.size));
        }
        read_at(&self.file, &self.meta.location, range)
    }
}

/// The bytes asked for; an end beyond the file is cut, a start beyond it is an error.
fn resolve(range: &GetRange, size: u64) -> Result<Range<u64>> {
    let range = match range {
        GetRange::Bounded(range) => range.start..range.end.min(size),
        GetRange::Offset(start) => *start..size,
        GetRange::Suffix(length) => size.saturating_sub(*length)..size,
    };
    if range.start >= range.end && size > 0 || range.start > size { Err(beyond(size)) } else { Ok(range) }
}

fn beyond(size: u64) -> object_store::Error {
    refused(ConnectError::invalid(format!("range lies outside of a file of {size} bytes")))
}

fn chunks(file: File, path: Path, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
    let file = Arc::new(file);
    let next = move |at: u64| {
        let (file, path) = (Arc::clone(&file), path.clone());
        let chunk = at..range.end.min(at + CHUNK_BYTES);
        async move {
            if chunk.is_empty() {
                return Ok(None);
            }
            let end = chunk.end;
            let bytes = blocking(move || read_at(&file, &path, chunk)).await?;
            Ok(Some((bytes, end)))
        }
    };
    stream::try_unfold(range.start, next).boxed()
}

fn read_at(file: &File, path: &Path, range: Range<u64>) -> Result<Bytes> {
    let length = usize::try_from(range.end - range.start).map_err(|_| beyond(range.start))?;
    let mut buffer = vec![0; length];
    file.read_exact_at(&mut buffer, range.start).map_err(|error| failed_io(path, &error))?;
    Ok(buffer.into())
}
