//! What holds for every stored job; for fuzzers and tests.

use lakeport_base::Secret;
use lakeport_base::id::JobId;
use lakeport_catalog::model::Job;

use crate::job::payload::{decode_done, encode_done};
use crate::job::{Checkpoint, Payload};

/// Reads a text as a job's payload, its secrets on the second line, as a checkpoint and as a result. What can be read is
/// stored and read again as the same.
///
/// # Panics
/// When that does not hold.
pub fn jobs(text: &str) {
    let (plain, secrets) = text.split_once('\n').unzip();
    if let Ok(payload) = Payload::decode(&job(plain.unwrap_or(text), secrets)) {
        let (plain, secrets) = payload.encode().expect("what was read can be stored");
        let stored = job(&plain, secrets.as_ref().map(|secrets| secrets.expose().as_str()));
        assert_eq!(Payload::decode(&stored).expect("what was stored can be read"), payload);
    }
    if let Ok(checkpoint) = Checkpoint::decode(text) {
        let stored = checkpoint.encode().expect("what was read can be stored");
        assert_eq!(Checkpoint::decode(&stored).expect("what was stored can be read"), checkpoint);
    }
    if let Ok(done) = decode_done(text) {
        let stored = encode_done(done).expect("what was read can be stored");
        assert_eq!(decode_done(&stored).expect("what was stored can be read"), done);
    }
}

fn job(payload: &str, secrets: Option<&str>) -> Job {
    let secrets = secrets.map(|secrets| Secret::new(secrets.to_string()));
    Job { payload: payload.to_string(), secrets, ..Job::pending(JobId(1), "", 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_read_back_and_rubbish_does_no_harm() {
        let import = include_str!("../tests/payloads/import_1.json").trim_end();
        jobs(&format!("{import}\n{}", include_str!("../tests/payloads/import_secrets_1.json")));
        jobs(import);
        jobs(include_str!("../tests/payloads/checkpoint_2.json"));
        jobs(include_str!("../tests/payloads/done_1.json"));
        jobs("{\"version\":\"1\"}");
    }
}
