//! `lakeport stage`: files into stages of a server and out of them, over the PostgreSQL protocol.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::pin::pin;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use futures::TryStreamExt;
use lakeport_base::name::printable;

use crate::client::{Connection, ServerArgs, described};
use crate::transfer::{Transfer, Way, copy_all};
use crate::userfile::{file_name, literal, shown};

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
    /// Copies local files and folders into a stage
    ///
    /// Of a folder all files go, at any depth, under the names that they have in it; one without files is an error. A
    /// file that is in the stage already is not replaced: it counts as failed, and the others go on.
    Put {
        /// Local files and folders
        #[arg(required = true, value_name = "FILE|FOLDER")]
        sources: Vec<PathBuf>,
        /// @stage[/path]; a path that ends with / is a folder, and one is needed for more than one file
        destination: String,
    },
    /// Copies files out of a stage
    ///
    /// Of a path that ends with /, or none, all files come, at any depth; one without files is an error. A local file is
    /// never replaced: it counts as failed, and the others go on.
    #[command(override_usage = "lakeport stage get [OPTIONS] <@stage[/path]>... [FILE|FOLDER]")]
    Get {
        /// @stage/path of a file, or @stage[/path/] of a folder; then where to [default: the current folder]
        #[arg(required = true, value_name = "@stage[/path] | FILE | FOLDER")]
        places: Vec<String>,
    },
}

/// Runs one command.
///
/// # Errors
/// The server's or the local disk's, and files that have failed.
pub async fn run(args: StageArgs) -> Result<()> {
    match args.command {
        StageCommand::Put { sources, destination } => {
            let transfers = tokio::task::spawn_blocking(move || to_put(&sources, &destination)).await??;
            copy_all(&args.server, Way::Up, transfers).await
        }
        StageCommand::Get { mut places } => {
            let target = match places.as_slice() {
                [_, .., last] if !last.starts_with('@') => places.pop(),
                _ => None,
            };
            let transfers = to_get(&args.server, &places, &target.unwrap_or_else(|| ".".into())).await?;
            copy_all(&args.server, Way::Down, transfers).await
        }
    }
}

/// Which local files become which in the stage.
fn to_put(sources: &[PathBuf], destination: &str) -> Result<Vec<Result<Transfer>>> {
    check_place(destination)?;
    let folder = folder_of(destination);
    let mut transfers = Vec::new();
    for source in sources {
        let is_folder = fs::metadata(source).with_context(|| shown(source))?.is_dir();
        let place = match &folder {
            Some(folder) if is_folder => {
                let before = transfers.len();
                put_all_below(source, folder, &mut transfers)?;
                ensure!(transfers.len() > before, "there is no file in {}", shown(source));
                continue;
            }
            Some(folder) => format!("{folder}{}", file_name(source)?),
            None if sources.len() == 1 && !is_folder => destination.to_string(),
            None => {
                let destination = printable(destination);
                bail!("{destination} is one file: write {destination}/ for a folder that takes several")
            }
        };
        transfers.push(Ok(Transfer { local: source.clone(), named: literal(&place) }));
    }
    Ok(transfers)
}

/// Adds the files below a local folder. What is no file fails once its turn comes; folders are not looked for behind links,
/// which may lead in circles.
fn put_all_below(source: &Path, place: &str, transfers: &mut Vec<Result<Transfer>>) -> Result<()> {
    let unread = || format!("read folder {}", shown(source));
    for entry in fs::read_dir(source).with_context(unread)? {
        let entry = entry.with_context(unread)?;
        let local = entry.path();
        match entry.file_name().to_str() {
            None => transfers.push(Err(anyhow!("{} has a name that is not UTF-8", shown(&local)))),
            Some(name) if entry.file_type().with_context(unread)?.is_dir() => {
                put_all_below(&local, &format!("{place}{name}/"), transfers)?;
            }
            Some(name) => transfers.push(Ok(Transfer { local, named: literal(&format!("{place}{name}")) })),
        }
    }
    Ok(())
}

/// Which files of stages become which local ones.
async fn to_get(server: &ServerArgs, places: &[String], target: &str) -> Result<Vec<Result<Transfer>>> {
    let folder = Path::new(target);
    let is_folder = places.len() > 1 || target.ends_with('/') || folder.is_dir();
    let is_own = is_folder || places.iter().any(|place| folder_of(place).is_some());
    check_folder(if is_own { Some(folder) } else { folder.parent() })?;
    let mut transfers = Vec::new();
    for place in places {
        check_place(place)?;
        match folder_of(place) {
            Some(place) => {
                let (connection, _) = server.connect().await?;
                get_all_below(&connection, &place, folder, &mut transfers).await?;
            }
            None => {
                let local = if is_folder { folder.join(file_name(Path::new(place))?) } else { folder.to_path_buf() };
                transfers.push(Ok(Transfer { local, named: literal(place) }));
            }
        }
    }
    Ok(transfers)
}

/// # Errors
/// A file in the place of a folder, or of one that it lies in.
fn check_folder(folder: Option<&Path>) -> Result<()> {
    let is_file = |path: &&Path| fs::metadata(path).is_ok_and(|found| !found.is_dir());
    match folder.and_then(|folder| folder.ancestors().find(is_file)) {
        Some(file) => bail!("{} is a file, and a folder is needed in its place", shown(file)),
        None => Ok(()),
    }
}

/// Adds the files below a folder of a stage.
async fn get_all_below(
    connection: &Connection,
    place: &str,
    folder: &Path,
    transfers: &mut Vec<Result<Transfer>>,
) -> Result<()> {
    let before = transfers.len();
    let (stage, path) = place.split_once('/').unwrap_or((place, ""));
    let statement = format!("LIST {}", literal(place));
    let no_parameters: [&str; 0] = [];
    let mut rows = pin!(connection.client.query_raw(&statement, no_parameters).await.map_err(described)?);
    while let Some(row) = rows.try_next().await.map_err(described)? {
        let name: &str = row.try_get("name").map_err(described)?;
        let named = literal(&format!("{stage}/{name}"));
        transfers.push(local_name(name, path).map(|local| Transfer { local: folder.join(local), named }));
    }
    ensure!(transfers.len() > before, "there is no file in {}", printable(place));
    Ok(())
}

/// What a file of a stage is called below the local folder that stands for one of the stage; never what lies elsewhere.
fn local_name(name: &str, folder: &str) -> Result<PathBuf> {
    let local = name.strip_prefix(folder).map(PathBuf::from).unwrap_or_default();
    let leads_down = local.components().all(|part| matches!(part, Component::Normal(_)));
    ensure!(leads_down && local.file_name().is_some(), "{name:?} in the stage is no name of a file below a folder");
    Ok(local)
}

/// A folder of a stage as the server lists it, with a slash at its end; `None` for what is a file.
fn folder_of(place: &str) -> Option<String> {
    let (stage, path) = place.split_once('/').unwrap_or((place, "/"));
    let (path, is_folder) = (format!("/{path}"), path.is_empty() || path.ends_with('/'));
    let parts = path.split('/').filter(|part| !["", "."].contains(part));
    is_folder.then(|| std::iter::once(stage).chain(parts).map(|part| format!("{part}/")).collect())
}

fn check_place(text: &str) -> Result<()> {
    let is_place = text.starts_with('@');
    ensure!(is_place, "{} is no place in a stage: write @stage/path, or @~/path for your own", printable(text));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_end_with_a_slash() {
        let folders = ["@s", "@s/", "@~/", "@s//in/./", "@s/b.csv"].map(folder_of);
        assert_eq!(
            folders.each_ref().map(Option::as_deref),
            [Some("@s/"), Some("@s/"), Some("@~/"), Some("@s/in/"), None]
        );
    }

    #[test]
    fn one_file_may_get_another_name() {
        let place = |destination| to_put(&["Cargo.toml".into()], destination).unwrap().remove(0).unwrap().named;
        assert_eq!(["@s", "@s/in/", "@s/b"].map(place), ["'@s/Cargo.toml'", "'@s/in/Cargo.toml'", "'@s/b'"]);
        for (sources, destination) in
            [(["Cargo.toml", "Cargo.toml"].as_slice(), "@s/b"), (&["src"], "@s/b"), (&["src"], "s/")]
        {
            let sources: Vec<PathBuf> = sources.iter().map(PathBuf::from).collect();
            assert!(to_put(&sources, destination).is_err(), "{sources:?} {destination}");
        }
        let empty = tempfile::tempdir().unwrap();
        fs::create_dir(empty.path().join("below")).unwrap();
        let refused = to_put(&[empty.path().to_path_buf()], "@s/").map(drop).unwrap_err().to_string();
        assert_eq!(refused, format!("there is no file in {}", empty.path().display()));
    }

    #[test]
    fn names_lead_nowhere_else() {
        assert_eq!(local_name("in/a/b.csv", "in/").unwrap(), Path::new("a/b.csv"));
        for name in ["in/", "in/../../etc/passwd", "in//etc/passwd", "in/a/../b", "a", "/etc/passwd"] {
            assert!(local_name(name, "in/").is_err(), "{name}");
        }
        assert!(local_name("/etc/passwd", "").is_err());
    }
}
