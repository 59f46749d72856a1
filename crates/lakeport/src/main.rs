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
mod stage;
mod tls;
mod transfer;
mod userfile;

fn main() -> std::process::ExitCode {
    cli::run()
}
