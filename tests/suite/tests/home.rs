//! Where things lie in the repository and on the machine.

use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// Where `tests/install peers` puts its packages.
pub fn peers() -> PathBuf {
    std::env::var_os("PEERS_DIR").map_or_else(|| repository().join(".peers"), PathBuf::from)
}

/// Whether a program is on the path, or a file of that absolute path there.
pub fn is_there(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// A program of a Python environment that `tests/install peers` has made; `None` when it has not.
pub fn peer_program(environment: &str, program: &str) -> Option<PathBuf> {
    let path = peers().join(environment).join("bin").join(program);
    path.exists().then_some(path)
}

/// Every file below `folder` whose name ends in `suffix`, by path.
pub fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            found.extend(files(&path, suffix));
        } else if path.to_string_lossy().ends_with(suffix) {
            found.push(path);
        }
    }
    found.sort();
    found
}
