//! Files that statements name: `@stage/path`, or a URI with parameters beside it.
//!
//! [`Server::staged_place`](crate::server::Server::staged_place) turns a location into a store and a prefix for a user
//! who may use it; [`place::StagedPlace::list`] finds the files. What is in them, [`format::FileFormat`] says.

pub mod format;
pub mod listing;
pub(crate) mod looks;
pub(crate) mod open;
pub mod place;
pub(crate) mod reading;
