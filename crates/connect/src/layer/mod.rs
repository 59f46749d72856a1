//! What stands around every store: fault points, time limits and counters, each in its own file, applied to every
//! request by one wrapper. Retries are the storage client's own. Around keys stands a wrapper of their own.

mod fault;
mod key;
mod meter;
mod read_only;
mod rooted;
mod timeout;
mod watched;

pub(crate) use key::watch_key;
pub use meter::{Meter, Usage};
pub(crate) use read_only::ReadOnly;
pub(crate) use rooted::Rooted;
pub(crate) use watched::Layers;
