//! What sources say and must not say, and what must stand beside them.

use std::path::Path;

use crate::files::{Source, none_of, root, sources};

/// Words no source holds, except below the given paths, and why. `TESTS` stands for all files of tests.
const BANNED: &[(&str, &[&str], &str)] = &[
    (concat!("TO", "DO"), &[], "do it, or leave it out"),
    (concat!("FIX", "ME"), &[], "do it, or leave it out"),
    (
        concat!("std::", "env::"),
        &["crates/lakeport/", "crates/connect/src/aliyun.rs", TESTS],
        "settings come from the binary's configuration, the server's own credentials from the clouds' SDKs or aliyun.rs",
    ),
    (concat!("print", "ln!"), &["crates/lakeport/", TESTS], "a library writes to the log"),
    (concat!("allow(clippy::", "unwrap_used"), &[], "use ?, or expect with the reason why it holds"),
    (
        concat!("Serialize", ", Deser"),
        STORED,
        "stored and sent shapes have their own files, so that they cannot change by accident",
    ),
    (concat!("pub use ", "self::"), &[], "one path to each item"),
];

const TESTS: &str = "/tests";

/// Where serde shapes live.
const STORED: &[&str] = &[
    "crates/backup/src/keys.rs",
    "crates/backup/src/manifest.rs",
    "crates/catalog/src/stored",
    "crates/core/src/job/payload",
    "crates/lakeport/src/config",
    "tests/tidy/",
];

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &["common", "helper", "helpers", "manager", "misc", "util", "utils"];

fn rust() -> Vec<Source> {
    sources(&["crates", "tests"]).into_iter().filter(|source| source.path.ends_with(".rs")).collect()
}

fn is_test(home: &str, path: &str) -> bool {
    home == TESTS && (path.contains("/tests/") || path.ends_with("/tests.rs") || path.starts_with("tests/"))
}

#[test]
fn no_banned_words() {
    let mut offences = Vec::new();
    for source in rust() {
        for (number, line) in source.text.lines().enumerate() {
            let found = BANNED.iter().filter(|(word, homes, _)| {
                line.contains(word)
                    && !homes.iter().any(|home| source.path.starts_with(home) || is_test(home, &source.path))
            });
            offences.extend(found.map(|(word, _, reason)| format!("{}:{}: {word}: {reason}", source.path, number + 1)));
        }
    }
    none_of(offences);
}

#[test]
fn modules_say_what_they_are() {
    let mut offences = Vec::new();
    for source in rust() {
        let stem = Path::new(&source.path).file_stem().unwrap_or_default().to_string_lossy().to_string();
        if EMPTY_NAMES.contains(&stem.as_str()) {
            offences.push(format!("{}: a domain word says more", source.path));
        }
        if !source.text.starts_with("//!") && !stem.ends_with("tests") {
            offences.push(format!("{}: begins with no sentence on what it is", source.path));
        }
    }
    none_of(offences);
}

#[test]
fn statements_have_a_page() {
    let topics = std::fs::read_to_string(root().join("crates/sql/src/stmt/mod.rs")).expect("the list of topics");
    let public = topics.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let missing = public.filter(|topic| !root().join(format!("docs/sql/{topic}.md")).exists());
    none_of(missing.map(|topic| format!("docs/sql/{topic}.md is missing")).collect());
}

#[test]
fn kinds_have_a_page_and_a_story() {
    let stories: Vec<String> = sources(&["tests/slt"]).into_iter().map(|source| source.path).collect();
    let mut offences = Vec::new();
    let list = std::fs::read_to_string(root().join("crates/connect/src/kind/mod.rs")).expect("the list of kinds");
    for kind in list.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')) {
        let page = format!("docs/kinds/{}.md", kind.replace('_', "-"));
        if !root().join(&page).exists() {
            offences.push(format!("{page} is missing"));
        }
        if !stories.iter().any(|path| path.contains(&format!("/kinds/{kind}"))) {
            offences.push(format!("tests/slt has no kinds/{kind}.slt"));
        }
    }
    none_of(offences);
}

#[test]
fn no_test_data_is_orphaned() {
    let picked_up = |path: &str| path.ends_with(".slt") || path.ends_with(".slt.part") || path.ends_with("README.md");
    let stray = sources(&["tests/slt"]).into_iter().filter(|source| !picked_up(&source.path));
    let (scripts, programs): (Vec<_>, Vec<_>) =
        sources(&["tests/clients"]).into_iter().partition(|source| source.path.ends_with(".py"));
    // A program in another language is run by a script that names it.
    let named = |program: &Source| {
        let name = program.path.rsplit('/').next().unwrap_or_default();
        scripts.iter().any(|script| script.text.contains(name))
    };
    let programs = programs.into_iter().filter(|program| !named(program));
    none_of(stray.chain(programs).map(|source| format!("{} is run by nothing", source.path)).collect());
}

#[test]
fn links_between_pages_hold() {
    let mut offences = Vec::new();
    for page in sources(&[]).iter().filter(|source| source.path.ends_with(".md")) {
        let folder = root().join(&page.path).parent().expect("a folder").to_path_buf();
        for link in page.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !folder.join(target).exists() {
                offences.push(format!("{}: link to {target}, which is not there", page.path));
            }
        }
    }
    none_of(offences);
}
