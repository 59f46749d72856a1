//! The tour: `tour.sql` is a psql script. Of psql's commands it uses `\connect` and `\gset`, of its variables `:'name'`.

use std::collections::HashMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use tokio_postgres::{Config, SimpleQueryMessage};

use super::answer;
use crate::client::{Connection, described};

const SCRIPT: &str = include_str!("tour.sql");

/// The comment over a statement that the server must refuse.
const REFUSED: &str = "-- (refused)";

/// A piece of the script.
#[derive(Debug, PartialEq)]
enum Step<'a> {
    /// A comment or an empty line, for the reader.
    Text(&'a str),
    /// `\connect DATABASE USER`
    Connect { database: &'a str, user: &'a str },
    /// A statement up to its semicolon, which is printed with its answer.
    Print(&'a str),
    /// A statement up to `\gset`: the columns of its one row become variables.
    Keep(&'a str),
    /// A statement under [`REFUSED`].
    Refused(&'a str),
}

/// How root connects.
pub fn root(addr: SocketAddr, database: &str) -> Config {
    login(addr, database, "root")
}

fn login(addr: SocketAddr, database: &str, user: &str) -> Config {
    let mut config = Config::new();
    config.host(addr.ip().to_string()).port(addr.port()).dbname(database).user(user).application_name("lakeport demo");
    config
}

/// Runs the script and prints every statement with its answer.
///
/// # Errors
/// A statement failing that should not, or one going through that should be refused.
pub async fn run(addr: SocketAddr) -> Result<()> {
    let connection = Connection::open(&root(addr, "movr")).await?;
    let mut tour = Tour { addr, connection, variables: HashMap::new() };
    for step in steps(SCRIPT) {
        tour.take(&step).await?;
    }
    Ok(())
}

struct Tour {
    addr: SocketAddr,
    connection: Connection,
    variables: HashMap<String, String>,
}

impl Tour {
    async fn take(&mut self, step: &Step<'_>) -> Result<()> {
        match *step {
            Step::Text(text) => println!("{text}"),
            Step::Connect { database, user } => {
                println!("\\connect {database} {user}");
                self.connection = Connection::open(&login(self.addr, database, user)).await?;
            }
            Step::Print(sql) => {
                println!("{sql}");
                let messages = self.send(sql).await?.with_context(|| sql.to_string())?;
                print!("{}", answer::print(&messages));
            }
            Step::Keep(sql) => {
                println!("{sql} \\gset");
                let messages = self.send(sql).await?.with_context(|| sql.to_string())?;
                self.keep(&messages);
            }
            Step::Refused(sql) => {
                println!("{sql}");
                match self.send(sql).await? {
                    Ok(_) => bail!("went through and should be refused: {sql}"),
                    Err(error) => println!("refused: {error:#}"),
                }
            }
        }
        Ok(())
    }

    /// Runs a statement and prints the notices that come before its answer.
    async fn send(&mut self, sql: &str) -> Result<Result<Vec<SimpleQueryMessage>>> {
        let mut sql = sql.to_string();
        for (name, value) in &self.variables {
            sql = sql.replace(&format!(":'{name}'"), &format!("'{value}'"));
        }
        let answered = self.connection.client.simple_query(&sql).await;
        for notice in self.connection.take_notices() {
            println!("{}: {}", notice.severity(), notice.message());
        }
        match answered {
            Err(error) if self.connection.client.is_closed() => Err(described(error)),
            answered => Ok(answered.map_err(described)),
        }
    }

    fn keep(&mut self, messages: &[SimpleQueryMessage]) {
        for message in messages {
            let SimpleQueryMessage::Row(row) = message else { continue };
            let named = row.columns().iter().enumerate();
            self.variables.extend(
                named.map(|(i, column)| (column.name().to_string(), row.get(i).unwrap_or_default().to_string())),
            );
        }
    }
}

fn steps(script: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut refused = false;
    let mut rest = script;
    while !rest.is_empty() {
        let line = rest.lines().next().unwrap_or_default();
        let taken = match line.strip_prefix("\\connect ").and_then(|words| words.split_once(' ')) {
            Some((database, user)) => {
                steps.push(Step::Connect { database, user });
                line.len()
            }
            None if line.is_empty() || line.starts_with("--") => {
                refused = line == REFUSED;
                steps.push(Step::Text(line));
                line.len()
            }
            None => {
                let (step, length) = statement(rest, refused);
                steps.push(step);
                length
            }
        };
        rest = rest[taken..].strip_prefix('\n').unwrap_or(&rest[taken..]);
    }
    steps
}

/// The statement that a text starts with, and its bytes.
fn statement(text: &str, refused: bool) -> (Step<'_>, usize) {
    const GSET: &str = " \\gset";
    let end = text.find(";\n").map_or(text.len(), |end| end + 1);
    match text.find(GSET) {
        Some(gset) if gset < end => (Step::Keep(&text[..gset]), gset + GSET.len()),
        _ if refused => (Step::Refused(&text[..end]), end),
        _ => (Step::Print(&text[..end]), end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_in_steps() {
        let script =
            "-- One.\nSELECT 1,\n  2;\n\nSELECT now() AS t \\gset\n\\connect movr maya\n-- (refused)\nSELECT 3;\n";
        let expected = [
            Step::Text("-- One."),
            Step::Print("SELECT 1,\n  2;"),
            Step::Text(""),
            Step::Keep("SELECT now() AS t"),
            Step::Connect { database: "movr", user: "maya" },
            Step::Text("-- (refused)"),
            Step::Refused("SELECT 3;"),
        ];
        assert_eq!(steps(script), expected);
    }
}
