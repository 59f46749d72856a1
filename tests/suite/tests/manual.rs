//! The examples of the manual: every block fenced as `sql run` or `sh run` on a page of `docs/`, in order, on a fresh
//! server. Commands run in the folder of its store.

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use tokio_postgres::{Client, NoTls};

use crate::home;
use crate::server::{Server, binary};

/// What a block of examples is written in.
#[derive(Clone, Copy)]
enum Language {
    Sql,
    Shell,
}

const FENCES: [(&str, Language); 2] = [("```sql run", Language::Sql), ("```sh run", Language::Shell)];

/// One test for every page that has examples.
pub fn trials() -> Vec<Trial> {
    let root = home::repository().join("docs");
    let has_examples = |page: &PathBuf| std::fs::read_to_string(page).is_ok_and(|text| !blocks(&text).is_empty());
    let trial = |page: PathBuf| {
        let name = page.strip_prefix(&root).expect("a page below docs").with_extension("").display().to_string();
        Trial::test(format!("manual::{}", name.replace('/', "::")), move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(run(&page))
        })
    };
    home::files(&root, ".md").into_iter().filter(has_examples).map(trial).collect()
}

async fn run(page: &Path) -> Result<(), Failed> {
    let mut server = Server::insecure();
    let text = format!("host={} port={} user=root dbname=defaultdb", server.pg.ip(), server.pg.port());
    let (client, connection) = tokio_postgres::connect(&text, NoTls).await?;
    tokio::spawn(connection);
    for (language, block) in blocks(&std::fs::read_to_string(page)?) {
        match language {
            Language::Sql => run_statements(&client, &block).await?,
            Language::Shell => run_commands(&server, &block)?,
        }
    }
    drop(client);
    let complaints = server.complaints(&[]);
    if server.terminate().success() && complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n").into()) }
}

/// The blocks that are examples, in order.
fn blocks(text: &str) -> Vec<(Language, String)> {
    let mut found: Vec<(Language, String)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            let fence = FENCES.iter().find(|(fence, _)| line.trim_end() == *fence);
            found.extend(fence.map(|(_, language)| (*language, String::new())));
            inside = fence.is_some();
        } else if let Some((_, block)) = found.last_mut().filter(|_| inside) {
            *block += line;
            *block += "\n";
        }
    }
    found
}

/// Each statement ends with a semicolon at the end of a line.
async fn run_statements(client: &Client, block: &str) -> Result<(), Failed> {
    for statement in block.split_inclusive(";\n").filter(|statement| !statement.trim().is_empty()) {
        let said = |error: tokio_postgres::Error| format!("{statement}\n{error}: {:?}", error.as_db_error());
        client.simple_query(statement).await.map_err(said)?;
    }
    Ok(())
}

/// Each command must succeed.
fn run_commands(server: &Server, block: &str) -> Result<(), Failed> {
    let mut path = binary().parent().expect("the folder of the binary").as_os_str().to_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let script = Command::new("sh").args(["-euc", block]).current_dir(server.store()).env("PATH", path).output()?;
    if script.status.success() {
        return Ok(());
    }
    Err(format!("{block}\n{}\n{}", script.status, String::from_utf8_lossy(&script.stderr)).into())
}
