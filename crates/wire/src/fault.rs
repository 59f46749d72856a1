//! What can go wrong while a client is served, and what becomes of the connection then.

use std::any::Any;
use std::io;

use lakeport_base::{Env, Sqlstate};
use lakeport_core::Error;

/// A failure on the way of a message.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The statement failed; the connection goes on.
    Statement(Error),
    /// The connection ends with this error.
    Fatal(Error),
    /// The client is gone or said goodbye.
    Gone,
}

pub(crate) type Flow<T = ()> = Result<T, Fault>;

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Statement(error)
    }
}

impl From<io::Error> for Fault {
    fn from(_: io::Error) -> Fault {
        Fault::Gone
    }
}

impl Fault {
    /// The same, its position counted in the whole text in which the statement starts at `start`.
    pub(crate) fn moved(self, start: usize) -> Fault {
        match self {
            Fault::Statement(error) => Fault::Statement(match error.position() {
                Some(position) => error.with_position((start + position).saturating_sub(1)),
                None => error,
            }),
            other => other,
        }
    }
}

/// 57P01
pub(crate) fn shutdown() -> Fault {
    Fault::Fatal(Error::new(Sqlstate::ADMIN_SHUTDOWN, "terminating connection due to administrator command"))
}

/// The error of a statement that panicked.
pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Error {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    Error::internal(format!("panic: {}", text.unwrap_or("without a message")))
}

/// Logs a fault of ours with its causes under an id, and shows the client that id only.
pub(crate) fn logged(error: Error, env: &Env) -> Error {
    if !error.is_internal() {
        return error;
    }
    let id = env.random_hex(4);
    tracing::error!(id, error = %error, causes = causes(&error), "statement failed");
    error.with_detail(format!("the server's log has the cause under id {id}"))
}

fn causes(error: &Error) -> String {
    let first = std::error::Error::source(error);
    let chain = std::iter::successors(first, |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
