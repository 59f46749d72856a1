//! Which crate may use which, and where versions stand.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::files::{none_of, root, sources};

/// The crates of the workspace and what each may depend on; no edge leads upwards.
const EDGES: &[(&str, &[&str])] = &[
    ("lakeport-base", &[]),
    ("lakeport-sql", &["base"]),
    ("lakeport-catalog", &["base"]),
    ("lakeport-connect", &["base"]),
    ("lakeport-backup", &["base", "connect"]),
    ("lakeport-core", &["base", "sql", "catalog", "connect", "backup"]),
    ("lakeport-engine", &["base", "sql", "catalog", "connect", "core"]),
    ("lakeport-wire", &["base", "sql", "core"]),
    ("lakeport", &["base", "sql", "catalog", "connect", "backup", "core", "engine", "wire"]),
    ("lakeport-suite", &[]),
    ("lakeport-tidy", &[]),
];

/// Foreign crates, by the beginning of their names, that are used in one place only, so that they can be exchanged there.
const HOMES: &[(&str, &[&str])] = &[
    ("aws-config", &["lakeport-connect"]),
    ("aws-credential", &["lakeport-connect"]),
    ("aws-lc-rs", &["lakeport-backup", "lakeport-connect"]),
    ("aws-sdk", &["lakeport-connect"]),
    ("aws-smithy", &["lakeport-connect"]),
    ("axum", &["lakeport"]),
    ("clap", &["lakeport"]),
    ("datafusion", &["lakeport-engine"]),
    ("deltalake", &["lakeport-engine"]),
    ("pgwire", &["lakeport-wire"]),
    ("reqwest", &["lakeport-connect"]),
    ("sqlparser", &["lakeport-sql", "lakeport-engine"]),
    ("sqlx", &["lakeport-catalog"]),
    ("tokio-postgres", &["lakeport", "lakeport-suite"]),
];

/// Crates whose types cross crate borders: two copies would not fit together.
const ONE_COPY: &[&str] =
    &["arrow", "datafusion", "deltalake", "object_store", "parquet", "pgwire", "rustls", "sqlparser", "sqlx-core"];

/// Names that begin like one of [`ONE_COPY`] and are crates of their own.
const APART: &[&str] = &["rustls-"];

fn packages() -> Vec<Value> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().expect("cargo to run");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo's description of the workspace");
    metadata["packages"].as_array().expect("packages").clone()
}

/// Name of a package and those of all its dependencies.
fn uses(package: &Value) -> (String, Vec<String>) {
    let text = |value: &Value| value["name"].as_str().expect("a name").to_string();
    (text(package), package["dependencies"].as_array().expect("dependencies").iter().map(text).collect())
}

#[test]
fn crates_depend_downwards_only() {
    let mut offences = Vec::new();
    for (name, dependencies) in packages().iter().map(uses) {
        let Some((_, allowed)) = EDGES.iter().find(|(listed, _)| *listed == name) else {
            offences.push(format!("{name} is not in the list of crates"));
            continue;
        };
        // A crate may take itself with the features of its tests.
        let others = dependencies.iter().filter(|dependency| **dependency != name);
        let ours = others.filter_map(|dependency| dependency.strip_prefix("lakeport-"));
        offences
            .extend(ours.filter(|other| !allowed.contains(other)).map(|other| format!("{name} must not use {other}")));
    }
    none_of(offences);
}

#[test]
fn foreign_crates_stay_at_home() {
    let mut offences = Vec::new();
    for (name, dependencies) in packages().iter().map(uses) {
        for dependency in dependencies {
            let strays =
                |(prefix, homes): &&(&str, &[&str])| dependency.starts_with(prefix) && !homes.contains(&&*name);
            offences.extend(
                HOMES
                    .iter()
                    .filter(strays)
                    .map(|(_, homes)| format!("{name} uses {dependency}, which belongs to {homes:?}")),
            );
        }
    }
    none_of(offences);
}

#[test]
fn pinned_crates_have_one_version() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut name = "";
    for line in lock.lines() {
        if let Some(text) = line.strip_prefix("name = ") {
            name = text.trim_matches('"');
        } else if let Some(text) = line.strip_prefix("version = ") {
            versions.entry(name).or_default().insert(text.trim_matches('"'));
        }
    }
    let pinned = |name: &str| {
        let family = |crate_name: &&str| name == *crate_name || name.starts_with(&format!("{crate_name}-"));
        ONE_COPY.iter().any(family) && !APART.iter().any(|apart| name.starts_with(apart))
    };
    let doubled = versions.iter().filter(|(name, versions)| pinned(name) && versions.len() > 1);
    none_of(doubled.map(|(name, versions)| format!("{name} is there as {versions:?}")).collect());
    assert!(!versions.contains_key("openssl-sys"), "TLS is rustls");
}

fn names_version(line: &str) -> bool {
    line.contains("version = ") || line.split_once(" = ").is_some_and(|(_, value)| value.starts_with('"'))
}

#[test]
fn versions_stand_in_the_root_only() {
    let mut offences = Vec::new();
    for manifest in sources(&["crates", "tests"]).iter().filter(|source| source.path.ends_with("Cargo.toml")) {
        let mut section = "";
        for line in manifest.text.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
            } else if section.contains("dependencies") && names_version(line) {
                offences.push(format!("{}: {line}: take it from the workspace", manifest.path));
            }
        }
        if !manifest.text.contains("[lints]\nworkspace = true") {
            offences.push(format!("{}: does not take the lints of the workspace", manifest.path));
        }
    }
    none_of(offences);
}
