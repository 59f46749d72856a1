//! The PostgreSQL protocol, version 3: sockets and messages on one side, [`lakeport_core::Session`] on the other.
//!
//! A client's way: [`serve`] accepts it, `startup` leads it through encryption and authentication, `connection` takes
//! its messages one by one. `simple` runs texts, `extended` prepared statements and portals, `copy` bulk rows.
//! `message` and `reply` are the bytes; `encode` turns Arrow batches into rows without a copy of each value.
//!
//! Whatever a client sends ends in an answer or a closed connection: lengths are checked before anything is read or
//! reserved, a panic in a statement is an XX000 of that statement, and every wait watches for the client leaving.

mod auth;
mod cancel;
mod connection;
mod copy;
mod encode;
mod extended;
mod fault;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod link;
mod message;
mod params;
mod places;
mod portal;
mod reply;
mod server;
mod simple;
mod socket;
mod startup;
mod types;

pub use server::{Options, serve};
