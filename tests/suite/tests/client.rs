//! Real clients: the scripts of `tests/clients`, each against a server of its own.
//!
//! Comment lines at the head of a script say what it needs: `# flags: --insecure ...`, `# peer: s3`,
//! `# needs: ...` for programs and files that must be there, and `# log: REGEX` for lines that the server's log may hold.

use std::path::Path;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::home;
use crate::peer;
use crate::server::Server;

/// One test for every script.
pub fn trials() -> Vec<Trial> {
    let python = home::peer_program("clients", "python");
    let scripts = home::files(&home::repository().join("tests/clients"), ".py");
    let trial = |script: std::path::PathBuf| {
        let name = format!("client::{}", script.file_stem().unwrap_or_default().display());
        let python = python.clone();
        let absent = python.is_none() || !needs_met(&script);
        Trial::test(name, move || run(&python.ok_or("no Python environment")?, &script)).with_ignored_flag(absent)
    };
    scripts.into_iter().map(trial).collect()
}

fn needs_met(script: &Path) -> bool {
    heads(script, "# needs:").iter().flat_map(|names| names.split_whitespace()).all(home::is_there)
}

/// What the comment lines at the head of a script say after a mark.
fn heads(script: &Path, mark: &str) -> Vec<String> {
    let text = std::fs::read_to_string(script).unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    let lines = text.lines().take_while(|line| line.starts_with('#'));
    lines.filter_map(|line| Some(line.strip_prefix(mark)?.trim().to_string())).collect()
}

fn run(python: &Path, script: &Path) -> Result<(), Failed> {
    let flags = heads(script, "# flags:").join(" ");
    let mut server = Server::start(&flags.split_whitespace().collect::<Vec<_>>());
    let mut command = Command::new(python);
    command.arg(script).env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONPATH", home::repository().join("tests"));
    command.env("PGHOST", server.pg.ip().to_string()).env("PGPORT", server.pg.port().to_string());
    command.env("PGUSER", "root").env("PGDATABASE", "defaultdb");
    command.env("TEST_HTTP", server.http.to_string()).env("TEST_BINARY", crate::server::binary());
    command
        .env("TEST_PEERS", home::peers())
        .env("TEST_STORE", server.store())
        .env("TEST_EXTERN", server.external_dir());
    command.env("TEST_LOG", server.store().with_file_name("server.log"));
    for name in heads(script, "# peer:") {
        let peer = peer::NAMES.into_iter().find(|peer| *peer == name).ok_or("an unknown peer")?;
        command.envs(peer::facts(peer).ok_or("the peer is not installed")?);
    }
    let output = command.output()?;
    let mut failures = Vec::new();
    if !output.status.success() {
        let (printed, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        failures.push(format!("{}\n{printed}{complained}", output.status));
    }
    if !server.terminate().success() {
        failures.push("the server stopped with a failure".to_string());
    }
    let allowed: Vec<regex::Regex> =
        heads(script, "# log:").iter().map(|text| regex::Regex::new(text)).collect::<Result<_, _>>()?;
    failures.extend(server.complaints(&allowed).into_iter().map(|line| format!("unlisted line in the log: {line}")));
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}
