//! The files that git tracks or would track.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// A file of the repository: its path from the root, with `/`, and its text.
pub struct Source {
    pub path: String,
    pub text: String,
}

/// Files below the given folders, or all; those that are not text are left out.
pub fn sources(folders: &[&str]) -> Vec<Source> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "-z", "--"];
    let listed = Command::new("git").args(arguments).args(folders).current_dir(root()).output().expect("git to run");
    let paths = String::from_utf8(listed.stdout).expect("paths in UTF-8");
    let read = |path: &str| {
        let text = std::fs::read_to_string(root().join(path)).ok()?;
        Some(Source { path: path.to_string(), text })
    };
    paths.split('\0').filter(|path| !path.is_empty()).filter_map(read).collect()
}

/// Fails with every offence on a line of its own.
pub fn none_of(offences: Vec<String>) {
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}
