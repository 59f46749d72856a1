//! COPY INTO a table: files to rows, in one append, each file once.
//!
//! `history` tells which files are in the table already. The readers of IMPORT read the others and stage their rows; what a
//! statement computes from rows, and what only the engine can read, comes through `query`. `evolution` tells which columns
//! of theirs the table lacks. `staging` keeps account of rows and errors, file by file, and leaves out the files that are
//! to be.

pub(crate) mod evolution;
pub(crate) mod history;
pub(crate) mod query;
pub(crate) mod reading;
pub(crate) mod staging;

#[cfg(test)]
mod tests;
