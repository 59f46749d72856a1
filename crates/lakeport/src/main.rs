//! The `lakeport` command.

mod cli;
mod client;
mod config;
mod config_file;
mod demo;
mod http;
mod log;
mod metrics;
mod node;
mod password;
mod tls;
mod userfile;

fn main() -> std::process::ExitCode {
    cli::run()
}
