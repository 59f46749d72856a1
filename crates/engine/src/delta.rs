//! Tables as Delta logs and Parquet files.

pub(crate) mod as_of;
pub(crate) mod entry;
pub(crate) mod files;
pub(crate) mod floats;
pub(crate) mod footer;
pub(crate) mod log;
pub(crate) mod marks;
pub(crate) mod pattern;
pub(crate) mod prune;
pub(crate) mod scan;
pub(crate) mod schema;
mod simple_like;
pub(crate) mod snapshot;
pub(crate) mod staging;
