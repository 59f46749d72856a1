//! Connections: the kinds, their option tables, and the storage and keys they open.
//!
//! Everything storage is an [`object_store::ObjectStore`]; what this crate adds are wrappers of that trait. A key of
//! somebody's key management service is a [`Kms`]. Reading order: [`option`], [`kind`], [`target`], [`cx`], then one file
//! of `kind/`.

mod aliyun;
mod auth;
mod aws;
mod azure;
mod body;
#[cfg(feature = "testing")]
pub mod conformance;
pub mod cx;
pub mod dialect;
pub mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod glob;
mod google;
pub mod kind;
pub mod kms;
pub mod layer;
mod lease;
mod listing;
pub mod local;
mod net;
pub mod option;
mod path;
pub mod probe;
mod relatives;
mod role;
mod storage;
pub mod target;
pub mod transfer;

pub use cx::{OpenCx, OutboundPolicy, Timeouts};
pub use error::{Error, Result};
pub use glob::expand;
pub use kind::{Access, Capability, KINDS, Kind, KindSpec, Role, kind_named, kind_of_scheme, scheme_hint};
pub use kms::Kms;
pub use listing::unfit_name;
pub use local::LocalStore;
pub use net::clients::Clients;
pub use net::{Unrepeated, install_tls_provider};
pub use option::{OptionSpec, OptionType, Options};
pub use probe::probe;
pub use storage::Storage;
pub use target::{ExternalRef, Target, redact};
pub use transfer::{Transfer, transfer_test};
