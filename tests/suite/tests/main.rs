//! Tests of the built server from outside: SQL files over the wire, real clients, secrets, kills.
//!
//! Every test starts its own server on its own store. Those that need a bucket share one S3 server.

#![allow(clippy::disallowed_methods, reason = "a test reads its environment and the clock of the machine")]

mod client;
mod home;
mod kill;
mod manual;
mod peer;
mod server;
mod session;
mod slt;
mod text;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let trials: Vec<Trial> =
        [slt::trials(), manual::trials(), client::trials(), kill::trials()].into_iter().flatten().collect();
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    slt::print_skipped();
    peer::stop();
    conclusion.exit_code()
}
