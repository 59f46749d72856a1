//! Rules of the repository, as tests: what depends on what, one copy of each pinned crate, what no source may say.
//!
//! A rule that clippy can hold is in `clippy.toml` instead.

#![cfg(test)]

mod dependencies;
mod files;
mod sources;
