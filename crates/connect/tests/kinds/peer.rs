//! The servers of the tests, started by the scripts of `tests/peers` and ended with the value that stands for them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running server.
pub struct Peer {
    child: Child,
    facts: BTreeMap<String, String>,
}

impl Peer {
    /// Starts the server of a name; `None` when `tests/install peers` has not been run.
    pub fn start(name: &str) -> Option<Peer> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let home = super::variable("PEERS_DIR").map_or_else(|| repository.join(".peers"), PathBuf::from);
        let (environment, script) = match name {
            "s3" | "sts" => ("aws", "serve.py"),
            "keys" => ("keys", "keys.py"),
            _ => ("clouds", "clouds.py"),
        };
        let python = home.join(environment).join("bin/python");
        if !python.exists() {
            eprintln!("skipped: {} is not installed", python.display());
            return None;
        }
        let mut command = Command::new(python);
        command.arg(repository.join("tests/peers").join(script)).arg(name).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // One line NAME=VALUE ... once the server answers.
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let facts = line.split_whitespace().filter_map(|fact| fact.split_once('='));
        let facts: BTreeMap<_, _> = facts.map(|(name, value)| (name.to_string(), value.to_string())).collect();
        assert!(!facts.is_empty(), "the {name} peer did not start");
        Some(Peer { child, facts })
    }

    /// What the server's script tells of it.
    pub fn fact(&self, name: &str) -> &str {
        &self.facts[name]
    }

    /// A URI of a bucket on the server.
    pub fn uri(&self, bucket: &str, key: &str, secret: &str) -> String {
        let endpoint = self.facts.iter().find(|(name, _)| name.ends_with("_ENDPOINT")).unwrap().1;
        let [bucket, key, secret] = [bucket, key, secret].map(|name| self.fact(name));
        let keys = format!("AWS_ACCESS_KEY_ID={key}&AWS_SECRET_ACCESS_KEY={secret}");
        format!("s3://{bucket}/connect?AWS_ENDPOINT={endpoint}&AWS_REGION=us-east-1&{keys}")
    }
}

impl Drop for Peer {
    /// The script ends the server when its input closes.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
