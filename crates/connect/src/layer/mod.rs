//! Wrappers around a store, each doing one thing.

mod meter;

pub use meter::{Meter, Usage};
