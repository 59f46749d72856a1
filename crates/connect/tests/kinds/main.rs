//! Every kind, opened and used.
//!
//! The S3 tests start their own servers. `LAKEPORT_TEST_S3` may name another S3 server instead, as an
//! `s3://bucket/path?...` URI with keys that may write to that scratch path.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod azure;
mod gs;
mod keys;
mod peer;
mod relatives;
mod s3;
mod scratch;
mod storage;
mod web;

/// A setting of the test run.
#[expect(clippy::disallowed_methods, reason = "tests are configured by whoever runs them")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
