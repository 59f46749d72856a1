//! `lakeport userfile`: a user's own files on a server, over the PostgreSQL protocol.

use std::path::{Path, PathBuf};
use std::pin::pin;

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use futures::TryStreamExt;
use globset::Glob;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
use tokio_postgres::types::Type;

use crate::client::{Connection, ServerArgs, described};

/// Bytes of a file sent as one row of the copy.
const CHUNK_BYTES: usize = 1 << 20;

/// The flags of `lakeport userfile`.
#[derive(Args)]
pub struct UserfileArgs {
    #[command(flatten)]
    server: ServerArgs,

    #[command(subcommand)]
    command: FileCommand,
}

#[derive(Subcommand)]
enum FileCommand {
    /// Copies a local file to the server
    Upload {
        /// Local file
        source: PathBuf,
        /// Path in your area [default: the file's name]
        destination: Option<String>,
    },
    /// Lists your files
    List {
        /// Only paths that match, such as 'logs/*.csv'
        pattern: Option<String>,
    },
    /// Copies a file from the server
    Get {
        /// Path in your area
        source: String,
        /// Local file [default: the path's last part]
        destination: Option<PathBuf>,
    },
    /// Deletes a file
    Delete {
        /// Path in your area
        path: String,
    },
}

/// Runs one file command.
///
/// # Errors
/// The server's or the local disk's.
pub async fn run(args: UserfileArgs) -> Result<()> {
    let (connection, user) = args.server.connect().await?;
    let area = format!("userfile://defaultdb.public.userfiles_{user}");
    match args.command {
        FileCommand::Upload { source, destination } => {
            let path = match destination {
                Some(destination) => path_in(&area, &destination).to_string(),
                None => file_name(&source)?,
            };
            upload(&connection, &area, &source, &path).await
        }
        FileCommand::List { pattern } => list(&connection, &area, pattern.as_deref()).await,
        FileCommand::Get { source, destination } => download(&connection, path_in(&area, &source), destination).await,
        FileCommand::Delete { path } => delete(&connection, path_in(&area, &path)).await,
    }
}

async fn upload(connection: &Connection, area: &str, source: &Path, path: &str) -> Result<()> {
    send(connection, &format!("USERFILE {}", literal(path)), source).await?;
    println!("successfully uploaded to {area}/{}", path.trim_start_matches('/'));
    Ok(())
}

/// Copies a local file to one that a COPY statement names.
///
/// # Errors
/// The server's or the local disk's.
pub async fn send(connection: &Connection, named: &str, source: &Path) -> Result<()> {
    let mut file = File::open(source).await.with_context(|| format!("open {}", source.display()))?;
    let statement = format!("COPY {named} FROM STDIN WITH (FORMAT binary)");
    let sink = connection.client.copy_in(&statement).await.map_err(described)?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &[Type::BYTEA]));
    loop {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let mut limited = (&mut file).take(CHUNK_BYTES as u64);
        let read = limited.read_to_end(&mut chunk).await.with_context(|| format!("read {}", source.display()))?;
        if read == 0 {
            break;
        }
        writer.as_mut().write(&[&chunk]).await.map_err(described)?;
    }
    writer.finish().await.map_err(described)?;
    Ok(())
}

async fn list(connection: &Connection, area: &str, pattern: Option<&str>) -> Result<()> {
    let pattern = path_in(area, pattern.unwrap_or("**")).trim_start_matches('/');
    let pattern = Glob::new(pattern).with_context(|| format!("pattern {pattern:?}"))?.compile_matcher();
    for row in connection.client.query("SHOW USERFILES", &[]).await.map_err(described)? {
        let path = row.try_get::<_, &str>("path").map_err(described)?.trim_start_matches('/');
        if pattern.is_match(path) {
            println!("{area}/{path}");
        }
    }
    Ok(())
}

async fn download(connection: &Connection, source: &str, destination: Option<PathBuf>) -> Result<()> {
    let target = match destination {
        Some(target) => target,
        None => PathBuf::from(file_name(Path::new(source))?),
    };
    let bytes = receive(connection, &format!("USERFILE {}", literal(source)), &target).await?;
    println!("downloaded {source} to {} ({bytes} bytes)", target.display());
    Ok(())
}

/// Copies a file that a COPY statement names to a new local one; answers its bytes.
///
/// # Errors
/// The server's or the local disk's, and a local file that exists.
pub async fn receive(connection: &Connection, named: &str, target: &Path) -> Result<usize> {
    ensure!(!target.exists(), "{} already exists", target.display());
    let statement = format!("COPY {named} TO STDOUT WITH (FORMAT binary)");
    let stream = connection.client.copy_out(&statement).await.map_err(described)?;
    let written = write_rows(BinaryCopyOutStream::new(stream, &[Type::BYTEA]), target).await;
    if written.is_err() {
        // Half a file is worse than none.
        let _ = tokio::fs::remove_file(target).await;
    }
    written
}

/// Writes the chunks to a new file; answers their bytes.
async fn write_rows(rows: BinaryCopyOutStream, target: &Path) -> Result<usize> {
    let mut rows = pin!(rows);
    let mut file = File::create_new(target).await.with_context(|| format!("create {}", target.display()))?;
    let mut bytes = 0;
    while let Some(row) = rows.try_next().await.map_err(described)? {
        let chunk: &[u8] = row.try_get(0).map_err(described)?;
        file.write_all(chunk).await.with_context(|| format!("write {}", target.display()))?;
        bytes += chunk.len();
    }
    file.sync_all().await.with_context(|| format!("write {}", target.display()))?;
    Ok(bytes)
}

async fn delete(connection: &Connection, path: &str) -> Result<()> {
    let statement = format!("DROP USERFILE {}", literal(path));
    connection.client.execute(&statement, &[]).await.map_err(described)?;
    println!("successfully deleted {path}");
    Ok(())
}

/// The path of a file, given as such or as the URI that the commands print.
fn path_in<'a>(area: &str, text: &'a str) -> &'a str {
    text.strip_prefix(area).or_else(|| text.strip_prefix("userfile://")).unwrap_or(text)
}

/// The last part of a path.
///
/// # Errors
/// A path without one.
pub fn file_name(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(name.with_context(|| format!("{} has no file name", path.display()))?.to_string())
}

/// A text as an SQL literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_names_and_literals() {
        let area = "userfile://defaultdb.public.userfiles_root";
        let uris = ["userfile://defaultdb.public.userfiles_root/a/b.csv", "userfile:///a/b.csv", "/a/b.csv"];
        assert_eq!(uris.map(|uri| path_in(area, uri)), ["/a/b.csv"; 3]);
        assert_eq!(literal("it's.csv"), "'it''s.csv'");
        assert_eq!(file_name(Path::new("/data/a.csv")).unwrap(), "a.csv");
        assert!(file_name(Path::new("/data/..")).is_err());
    }
}
