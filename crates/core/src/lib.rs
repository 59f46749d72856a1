//! What Lakeport does with a statement, whatever the wire and whatever the engine.
//!
//! The life of a statement:
//! 1. `wire` hands text to [`Session::parse`]; `lakeport_sql::parse` reads it.
//! 2. [`Session::execute`] opens a statement: a cancel token, a time limit, one [`directory::Directory`] (the catalog
//!    as of now: databases, tables, roles, grants, settings).
//! 3. [`stmt::run`] picks the statement's function by topic.
//! 4. The function asks [`authz`] before it does anything, and [`external`] for whatever lies outside.
//! 5. Catalog statements are one catalog transaction; checks that touch the outside come before it. Queries and writes
//!    go to [`engine::Engine`]; long work becomes a [`job`].
//! 6. The [`Outcome`] (rows, a tag, a copy) goes back to `wire`, which encodes it. Errors carry their SQLSTATE from where
//!    they arise.

mod admission;
mod advisory;
pub mod authz;
pub mod backup;
pub mod cancel;
mod charset;
pub mod databend;
pub mod directory;
pub mod engine;
#[cfg(test)]
pub(crate) mod engine_stub;
pub mod error;
pub mod export;
pub mod external;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod import;
pub mod in_place;
pub mod job;
mod leftover;
mod load;

pub mod outcome;
pub mod relations;
pub mod rows;
mod running;
pub mod schedule;
pub mod server;
pub mod session;
pub mod setting;
pub mod show;
pub mod stage;
pub mod stmt;
pub mod upkeep;
pub mod value;
pub mod variable;

pub use error::{Error, Result};
pub use outcome::{CopyIn, Notice, Outcome, SessionEvent};
pub use server::{Server, ServerConfig};
pub use session::{Block, Session, Startup, writes_rows};
