//! The servers that tests share. Each is started when first asked for and ends with this process.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::home;

/// What a test must know of a peer, by name: endpoint, keys, buckets.
pub type Facts = BTreeMap<String, String>;

static STARTED: Mutex<BTreeMap<&str, Option<Peer>>> = Mutex::new(BTreeMap::new());

struct Peer {
    child: Child,
    facts: Facts,
}

/// The peers: an S3 server that checks keys and signatures, a simulator of S3, STS and KMS that checks policies and
/// external ids, what stands in for the key management of Google and Azure, and emulators of the storage of other clouds.
pub const NAMES: [&str; 7] = ["s3", "sts", "keys", "azure", "gs", "oss", "cos"];

/// Ends all peers.
pub fn stop() {
    for peer in std::mem::take(&mut *STARTED.lock().unwrap_or_else(PoisonError::into_inner)).into_values().flatten() {
        let mut child = peer.child;
        drop(child.stdin.take());
        child.wait().ok();
    }
}

/// What to know of a peer, which is started if it is not there yet; `None` when it is not installed.
pub fn facts(name: &'static str) -> Option<Facts> {
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    started.entry(name).or_insert_with(|| start(name)).as_ref().map(|peer| peer.facts.clone())
}

/// The script prints one line `NAME=VALUE ...` when the peer answers, and ends the peer when its input closes.
fn start(name: &str) -> Option<Peer> {
    let (environment, script) = match name {
        "s3" | "sts" => ("aws", "serve.py"),
        "keys" => ("keys", "keys.py"),
        _ => ("clouds", "clouds.py"),
    };
    let python = home::peer_program(environment, "python")?;
    let script = home::repository().join("tests/peers").join(script);
    let mut command = Command::new(python);
    command.arg(script).arg(name).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the peer to start");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("the peer's line");
    let facts: Facts = line
        .split_whitespace()
        .filter_map(|fact| fact.split_once('='))
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    assert!(!facts.is_empty(), "the {name} peer did not start");
    Some(Peer { child, facts })
}
