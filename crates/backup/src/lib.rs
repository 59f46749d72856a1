//! The format of backups: where files lie in a collection, how they are sealed, who can open them, what a layer lists.
//!
//! It knows neither catalog nor tables, so a collection can be listed, shown and verified without a server. The format is
//! described for other readers in `docs/format/backup.md`. Reading order: [`layout`], [`sealed`], [`passphrase`], [`keys`],
//! [`room`], [`manifest`], [`collection`], [`chain`], [`pack`], [`retention`].

pub mod chain;
pub mod collection;
pub mod error;
pub mod format;
pub mod keys;
pub mod layout;
pub mod manifest;
pub mod pack;
pub mod passphrase;
pub mod retention;
pub mod room;
pub mod sealed;

#[cfg(test)]
mod tests;

pub use chain::{Chain, Layer};
pub use collection::Collection;
pub use error::{Error, Result};
pub use manifest::Manifest;
pub use sealed::Protection;
