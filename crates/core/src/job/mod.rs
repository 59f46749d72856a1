//! Jobs: long work that survives its session and its server.
//!
//! A job is a row of the catalog. A node takes a lease on it, runs its [`Task`], saves progress as it goes and writes its
//! outcome. A node that dies loses its leases; any node adopts the job and goes on from its checkpoint.
//!
//! The life of a job:
//! 1. A statement inserts a row in state `pending` ([`Jobs::submit`]) and, unless DETACHED, waits ([`Jobs::run_to_end`]).
//! 2. The node's runner ([`Jobs::run`]) leases the row and gives it to a `supervisor`, which sets it to `running`.
//! 3. The supervisor runs the [`Task`] of the row's [`Payload`], renews the lease, writes progress, and heeds what
//!    PAUSE and CANCEL write into the row ([`state`]).
//! 4. It writes the outcome. What failed or was cancelled is `reverting` until the task has undone what it left.
//!
//! A stopping server leaves its jobs `running` without a lease: the next one goes on.

pub mod payload;
pub mod runner;
pub mod state;
mod supervisor;
pub mod task;
pub mod wait;

#[cfg(test)]
mod tests;

pub use payload::{Checkpoint, Payload};
pub use runner::{Jobs, NewJob};
pub(crate) use supervisor::may_pass;
pub use task::{Done, Progress, Task, TaskContext};
