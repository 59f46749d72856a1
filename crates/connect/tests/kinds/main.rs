//! Every kind, opened and used. See `s3` for the variables that name servers.

mod s3;
mod scratch;
mod storage;
mod web;
