//! `lakeport stage`: files into stages of a server and out of them, over the PostgreSQL protocol.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};

use crate::client::ServerArgs;
use crate::userfile::{file_name, literal, receive, send};

/// The flags of `lakeport stage`.
#[derive(Args)]
pub struct StageArgs {
    #[command(flatten)]
    server: ServerArgs,

    #[command(subcommand)]
    command: StageCommand,
}

#[derive(Subcommand)]
enum StageCommand {
    /// Copies a local file into a stage
    Put {
        /// Local file
        source: PathBuf,
        /// @stage[/path]; a path that ends with / is a folder
        destination: String,
    },
    /// Copies a file out of a stage
    Get {
        /// @stage/path
        source: String,
        /// Local file [default: the path's last part]
        destination: Option<PathBuf>,
    },
}

/// Runs one command.
///
/// # Errors
/// The server's or the local disk's.
pub async fn run(args: StageArgs) -> Result<()> {
    match args.command {
        StageCommand::Put { source, destination } => {
            let place = file_of(&destination, &source)?;
            let (connection, _) = args.server.connect().await?;
            send(&connection, &literal(&place), &source).await?;
            println!("uploaded {} to {place}", source.display());
        }
        StageCommand::Get { source, destination } => {
            check_place(&source)?;
            let target = match destination {
                Some(target) => target,
                None => PathBuf::from(file_name(Path::new(&source))?),
            };
            let (connection, _) = args.server.connect().await?;
            let bytes = receive(&connection, &literal(&source), &target).await?;
            println!("downloaded {source} to {} ({bytes} bytes)", target.display());
        }
    }
    Ok(())
}

/// The staged file that a local one becomes: of its own name where only a folder is given.
fn file_of(destination: &str, source: &Path) -> Result<String> {
    check_place(destination)?;
    Ok(match destination.contains('/') {
        true if destination.ends_with('/') => format!("{destination}{}", file_name(source)?),
        true => destination.to_string(),
        false => format!("{destination}/{}", file_name(source)?),
    })
}

fn check_place(text: &str) -> Result<()> {
    ensure!(text.starts_with('@'), "{text} is no place in a stage: write @stage/path, or @~/path for your own");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_takes_the_files_name() {
        let place = |destination| file_of(destination, Path::new("/data/a.csv")).unwrap();
        assert_eq!(["@s", "@~/", "@s/in/", "@s/b.csv"].map(place), ["@s/a.csv", "@~/a.csv", "@s/in/a.csv", "@s/b.csv"]);
        assert!(file_of("s/b.csv", Path::new("a.csv")).is_err());
    }
}
