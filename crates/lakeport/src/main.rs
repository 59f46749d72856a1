//! The `lakeport` command.

mod backup;
mod cli;
mod client;
mod client_tls;
mod config;
mod config_file;
mod demo;
mod http;
mod log;
#[cfg(test)]
mod manual;
mod metrics;
mod node;
mod password;
mod tls;
mod userfile;

/// Gives memory back that a large statement has freed; the C library keeps it in the arenas of its threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::run()
}
