//! Every kind, opened and used. See `s3` for the variables that name servers.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod s3;
mod scratch;
mod storage;
mod web;
