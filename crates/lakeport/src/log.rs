//! Structured logs on standard error, and panics in them.

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One readable line per event.
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging for the rest of the process. `filter` is in the syntax of tracing's `EnvFilter`, such as
/// `info` or `warn,lakeport_core=debug`.
///
/// # Errors
/// A filter that cannot be parsed.
pub fn init(format: LogFormat, filter: &str) -> Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("log filter {filter:?}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    log_panics();
    Ok(())
}

/// What the Delta kernel panics with, on a thread of its own, when the runtime ends before a read of a log has: at stop,
/// for reads whose statement or upkeep was given up.
const READ_GIVEN_UP: &str = "TokioMultiThreadExecutor has crashed";

fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        if message.starts_with(READ_GIVEN_UP) {
            tracing::debug!(place, message, "read given up");
        } else {
            tracing::error!(place, message, "panic");
        }
    }));
}
