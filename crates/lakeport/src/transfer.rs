//! Files on their way between the local disk and a server: one over a session, or many over several.

use std::cell::{Cell, RefCell};
use std::fs::{File, Permissions};
use std::io::{self, BufWriter, IntoInnerError, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;
use std::{fmt, fs};

use anyhow::{Context, Result, bail, ensure};
use futures::TryStreamExt;
use futures::stream::FuturesUnordered;
use lakeport_base::units::format_bytes;
use tempfile::NamedTempFile;
use tokio::time::{Instant, interval_at};
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::client::{Connection, Refusal, ServerArgs, described};
use crate::userfile::shown;

/// Bytes of a file that are read at a time, and in one row of a copy to the server.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes of a file that are written at a time, by the thread that has received them: the processor still has them at hand.
const WRITE_BYTES: usize = 256 << 10;
/// Sessions that copy files at the same time.
const SESSIONS_MAX: usize = 16;
/// How often it is said how far a batch has come.
const REPORT_PERIOD: Duration = Duration::from_secs(5);

/// Which way files go.
#[derive(Clone, Copy)]
pub enum Way {
    Up,
    Down,
}

/// A local file, and what COPY calls the one of the server.
pub struct Transfer {
    pub local: PathBuf,
    pub named: String,
}

/// Files that are copied together. One that fails is told of, and does not stop the others.
struct Batch {
    way: Way,
    files: usize,
    left: RefCell<std::vec::IntoIter<Result<Transfer>>>,
    done: Cell<usize>,
    bytes: Cell<u64>,
}

/// Copies files over as many sessions as they are worth.
///
/// # Errors
/// A session that could not be begun or has ended, an interrupt, and when all is done, that files have failed.
pub async fn copy_all(server: &ServerArgs, way: Way, transfers: Vec<Result<Transfer>>) -> Result<()> {
    let files = transfers.len();
    let left = RefCell::new(transfers.into_iter());
    let batch = Batch { way, files, left, done: Cell::default(), bytes: Cell::default() };
    let copied = batch.copy_over(server).await;
    println!("{batch}");
    copied?;
    match files - batch.done.get() {
        0 => Ok(()),
        failed => bail!("{failed} of {files} files failed"),
    }
}

impl Batch {
    async fn copy_over(&self, server: &ServerArgs) -> Result<()> {
        let sessions: FuturesUnordered<_> = (0..self.files.min(SESSIONS_MAX)).map(|_| self.session(server)).collect();
        let mut work = pin!(sessions.try_collect());
        let mut interrupted = pin!(tokio::signal::ctrl_c());
        let mut report = interval_at(Instant::now() + REPORT_PERIOD, REPORT_PERIOD);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = report.tick() => eprintln!("{self}"),
                _ = &mut interrupted => bail!("interrupted"),
            }
        }
    }

    /// Copies one file after the other until none is left.
    async fn session(&self, server: &ServerArgs) -> Result<()> {
        let (mut connection, _) = server.connect().await?;
        loop {
            let Some(transfer) = self.left.borrow_mut().next() else { return Ok(()) };
            match self.copy(&connection, transfer).await {
                Ok(()) => self.done.set(self.done.get() + 1),
                Err(error) if connection.client.is_closed() => return Err(error),
                Err(error) => {
                    self.check_destination(&error)?;
                    eprintln!("lakeport: error: {error:#}");
                    // The driver ends a COPY that was refused a second time, and takes the answer for that of the next.
                    (connection, _) = server.connect().await?;
                }
            }
        }
    }

    /// # Errors
    /// That of a file which all others would have too: the stage they go to is not there, or not theirs to write to.
    fn check_destination(&self, error: &anyhow::Error) -> Result<()> {
        let of_stage = [SqlState::UNDEFINED_OBJECT, SqlState::INSUFFICIENT_PRIVILEGE];
        match (self.way, error.downcast_ref::<Refusal>()) {
            (Way::Up, Some(refusal)) if of_stage.contains(&refusal.code) => bail!("{refusal}"),
            _ => Ok(()),
        }
    }

    async fn copy(&self, connection: &Connection, transfer: Result<Transfer>) -> Result<()> {
        let Transfer { local, named } = transfer?;
        let own = Cell::new(0);
        let moved = |bytes: usize| {
            own.set(own.get() + bytes as u64);
            self.bytes.set(self.bytes.get() + bytes as u64);
        };
        let copied = match self.way {
            Way::Up => send(connection, &named, &local, moved).await,
            Way::Down => receive(connection, &named, &local, moved).await,
        };
        // What has failed does not count.
        copied.inspect_err(|_| self.bytes.set(self.bytes.get() - own.get())).with_context(|| shown(&local))
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.way {
            Way::Up => "uploaded",
            Way::Down => "downloaded",
        };
        let things = if self.files == 1 { "file" } else { "files" };
        let bytes = format_bytes(self.bytes.get() as f64);
        write!(f, "{verb} {} of {} {things}, {bytes}", self.done.get(), self.files)
    }
}

/// Copies a local file to one that a COPY statement names; tells of each piece.
///
/// # Errors
/// The server's or the local disk's, without the file's name.
pub async fn send(connection: &Connection, named: &str, source: &Path, sent: impl Fn(usize)) -> Result<()> {
    let path = source.to_path_buf();
    let (mut file, size, mut chunk) = on_disk(move || open(&path)).await.context("read")?;
    let statement = format!("COPY {named} FROM STDIN WITH (FORMAT binary, SIZE {size})");
    let sink = connection.client.copy_in(&statement).await.map_err(described)?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &[Type::BYTEA]));
    while !chunk.is_empty() {
        writer.as_mut().write(&[&chunk]).await.map_err(described)?;
        sent(chunk.len());
        if chunk.len() < CHUNK_BYTES {
            break;
        }
        (file, chunk) = on_disk(move || read_chunk(&file).map(|chunk| (file, chunk))).await.context("read")?;
    }
    writer.finish().await.map_err(described)?;
    Ok(())
}

/// A file, its size and its first chunk.
fn open(path: &Path) -> io::Result<(File, u64, Vec<u8>)> {
    // Before it is opened: that of a pipe waits for who writes to it.
    let found = fs::metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let file = File::open(path)?;
    let chunk = read_chunk(&file)?;
    Ok((file, found.len(), chunk))
}

/// The next bytes of a file; fewer than a chunk are its last.
fn read_chunk(file: &File) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::new();
    file.take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
    Ok(chunk)
}

/// Copies a file that a COPY statement names to a new local one, which is there once it is whole; tells of each piece.
///
/// # Errors
/// The server's or the local disk's, and a local file that exists; without the file's name.
pub async fn receive(connection: &Connection, named: &str, target: &Path, received: impl Fn(usize)) -> Result<()> {
    let is_there = fs::symlink_metadata(target).is_ok();
    ensure!(!is_there, "already exists\nHINT: delete it, or get the file under another name or into another folder");
    let statement = format!("COPY {named} TO STDOUT WITH (FORMAT binary)");
    let stream = connection.client.copy_out(&statement).await.map_err(described)?;
    let mut rows = pin!(BinaryCopyOutStream::new(stream, &[Type::BYTEA]));
    let mut part = BufWriter::with_capacity(WRITE_BYTES, part_beside(target).context("write")?);
    while let Some(row) = rows.try_next().await.map_err(described)? {
        let piece: &[u8] = row.try_get(0).map_err(described)?;
        part.write_all(piece).context("write")?;
        received(piece.len());
    }
    let part = part.into_inner().map_err(IntoInnerError::into_error).context("write")?;
    part.persist_noclobber(target).map(drop).map_err(|error| error.error).context("write")
}

/// The file that lies beside its target until it is whole.
fn part_beside(target: &Path) -> io::Result<NamedTempFile> {
    let folder = target.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let readable = Permissions::from_mode(0o666);
    tempfile::Builder::new().prefix(".lakeport-").permissions(readable).tempfile_in(folder)
}

/// Runs what may wait for the disk.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await?
}
