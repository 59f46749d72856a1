//! The examples of the manual: every block fenced as `sql run` on a page of `docs/`, in order, on a fresh server.

use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};
use tokio_postgres::NoTls;

use crate::home;
use crate::server::Server;

const FENCE: &str = "```sql run";

/// One test for every page that has examples.
pub fn trials() -> Vec<Trial> {
    let root = home::repository().join("docs");
    let has_examples = |page: &PathBuf| std::fs::read_to_string(page).is_ok_and(|text| text.contains(FENCE));
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
    for statement in statements(&std::fs::read_to_string(page)?) {
        let said = |error: tokio_postgres::Error| format!("{statement}\n{error}: {:?}", error.as_db_error());
        client.simple_query(&statement).await.map_err(said)?;
    }
    drop(client);
    let complaints = server.complaints(&[]);
    if server.terminate().success() && complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n").into()) }
}

/// The statements of all such blocks; each ends with a semicolon at the end of a line.
fn statements(text: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line.trim_end() == FENCE;
        } else if inside {
            let open = found.last_mut().expect("never empty");
            *open += line;
            *open += "\n";
            if line.trim_end().ends_with(';') {
                found.push(String::new());
            }
        }
    }
    found.retain(|statement| !statement.trim().is_empty());
    found
}
