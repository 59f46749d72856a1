//! The command line: which command runs, and what a failed one says.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use lakeport_base::limits::WORKER_STACK_BYTES;

use crate::backup::BackupArgs;
use crate::config::{Config, StartArgs};
use crate::demo::DemoArgs;
use crate::stage::StageArgs;
use crate::userfile::UserfileArgs;
use crate::{backup, config_file, demo, node, stage, userfile};

/// A SQL lakehouse server built around named external connections.
#[derive(Parser)]
#[command(name = "lakeport", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a server.
    Start(Box<StartArgs>),
    /// Runs a server on a temporary store with a sample database and shows what it can do.
    Demo(DemoArgs),
    /// Puts files into your area of a server, lists, fetches and deletes them.
    Userfile(UserfileArgs),
    /// Puts files into stages of a server and fetches them.
    Stage(StageArgs),
    /// Lists, shows and verifies backups without a server.
    Backup(BackupArgs),
}

/// Runs the command of the process's arguments.
pub fn run() -> ExitCode {
    match parse().and_then(execute) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lakeport: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The table of commands and flags.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Flags win over the environment, the environment over `--config`, that over the defaults.
fn parse() -> Result<Command> {
    let matches = command().get_matches();
    let file = matches.subcommand_matches("start").and_then(config_file::path);
    let cli = match file {
        None => Cli::from_arg_matches(&matches)?,
        Some(path) => {
            let command = config_file::with_defaults(command(), "start", &path)?;
            Cli::from_arg_matches(&command.get_matches())?
        }
    };
    Ok(cli.command)
}

fn execute(command: Command) -> Result<()> {
    let mut threads = match command {
        // One thread waits for many answers with the least effort.
        Command::Userfile(_) | Command::Stage(_) => tokio::runtime::Builder::new_current_thread(),
        Command::Start(_) | Command::Demo(_) | Command::Backup(_) => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = threads.enable_all().thread_stack_size(WORKER_STACK_BYTES).build().context("start the runtime")?;
    let outcome = match command {
        Command::Start(args) => Config::check(*args).and_then(|config| runtime.block_on(node::run(config))),
        Command::Demo(args) => runtime.block_on(demo::run(args)),
        Command::Userfile(args) => runtime.block_on(userfile::run(args)),
        Command::Stage(args) => runtime.block_on(stage::run(args)),
        Command::Backup(args) => runtime.block_on(backup::run(args)),
    };
    // A query that was given up may still be busy between two of its yields: do not wait for it.
    runtime.shutdown_background();
    outcome
}
