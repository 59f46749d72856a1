//! `lakeport userfile`: a user's own files on a server, over the PostgreSQL protocol.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use globset::Glob;
use lakeport_base::name::printable;

use crate::client::{Connection, ServerArgs, described};
use crate::transfer::{receive, send};

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
    let sent = send(connection, &format!("USERFILE {}", literal(path)), source, drop).await;
    sent.with_context(|| shown(source))?;
    println!("successfully uploaded to {area}/{}", path.trim_start_matches('/'));
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
    let bytes = Cell::new(0);
    let received = |piece| bytes.set(bytes.get() + piece);
    let copied = receive(connection, &format!("USERFILE {}", literal(source)), &target, received).await;
    copied.with_context(|| shown(&target))?;
    println!("downloaded {} to {} ({} bytes)", printable(source), shown(&target), bytes.get());
    Ok(())
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
    Ok(name.with_context(|| format!("{} has no file name", shown(path)))?.to_string())
}

/// A path for messages.
pub fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
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
