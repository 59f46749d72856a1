//! `--config FILE`: TOML whose keys are the flags' names. Its values become the defaults of the flags,
//! so that names, types and checks stay those of the command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{ArgMatches, Command};
use lakeport_base::nearest::nearest;
use toml::{Table, Value};

/// The file named by the flag or the environment.
pub fn path(matches: &ArgMatches) -> Option<PathBuf> {
    matches.get_one::<PathBuf>("config").cloned()
}

/// The command with the defaults of `subcommand` taken from a file.
///
/// # Errors
/// Names the key that is unknown or of the wrong type.
pub fn with_defaults(command: Command, subcommand: &str, path: &Path) -> Result<Command> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let table: Table = text.parse().with_context(|| format!("parse {}", path.display()))?;
    let defaults = defaults(&command, subcommand, &table).with_context(|| path.display().to_string())?;
    Ok(command.mut_subcommand(subcommand, |mut start| {
        for (id, value) in defaults {
            start = start.mut_arg(id, |arg| arg.default_value(value));
        }
        start
    }))
}

/// Argument ids and values.
fn defaults(command: &Command, subcommand: &str, table: &Table) -> Result<Vec<(String, String)>> {
    let known = known_keys(command, subcommand);
    let mut defaults = Vec::new();
    for (key, value) in table {
        let Some((_, id)) = known.iter().find(|(name, _)| name == key) else {
            let hint = nearest(key, known.iter().map(|(name, _)| name.as_str()));
            bail!("unknown key {key:?}{}", hint.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default());
        };
        defaults.push((id.clone(), text_of(key, value)?));
    }
    Ok(defaults)
}

/// Flag name and argument id of each flag that a file may set.
fn known_keys(command: &Command, subcommand: &str) -> Vec<(String, String)> {
    let start = command.get_subcommands().find(|candidate| candidate.get_name() == subcommand);
    let arguments = start.into_iter().flat_map(Command::get_arguments);
    arguments
        .filter(|arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "config" | "help"))
        .filter_map(|arg| Some((arg.get_long()?.to_string(), arg.get_id().to_string())))
        .collect()
}

fn text_of(key: &str, value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Boolean(flag) => Ok(flag.to_string()),
        other => bail!("key {key:?} holds a {}; expected a string, an integer or a boolean", other.type_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn command() -> Command {
        #[derive(clap::Parser)]
        struct Root {
            #[command(subcommand)]
            _command: Sub,
        }
        #[derive(clap::Subcommand)]
        enum Sub {
            Start(Box<crate::config::StartArgs>),
        }
        Root::command()
    }

    fn defaults_of(text: &str) -> Result<Vec<(String, String)>> {
        defaults(&command(), "start", &text.parse().unwrap())
    }

    #[test]
    fn a_key_is_a_flag() {
        let found = defaults_of("node-id = 7\ninsecure = true\nstore = '/data'").unwrap();
        let expected = [("insecure", "true"), ("node_id", "7"), ("store", "/data")];
        assert_eq!(found, expected.map(|(id, value)| (id.to_string(), value.to_string())));
    }

    #[test]
    fn a_misspelt_key_names_the_nearest() {
        let error = defaults_of("listen-adr = '127.0.0.1:1'").unwrap_err().to_string();
        assert_eq!(error, "unknown key \"listen-adr\"; did you mean \"listen-addr\"?");
    }

    #[test]
    fn a_table_is_no_value() {
        let error = defaults_of("[store]\ndir = 'x'").unwrap_err().to_string();
        assert_eq!(error, "key \"store\" holds a table; expected a string, an integer or a boolean");
    }
}
