//! The SQL files of `tests/slt`, each over both protocols on a server of its own. `tests/slt/README.md` tells the format.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Failed, Trial};
use sqllogictest::{MakeConnection, Record, RecordOutput, Runner, default_normalizer, default_validator};

use crate::home;
use crate::peer;
use crate::server::Server;
use crate::session::{FileSession, Letter, Protocol, Stage};

/// Environment variable that makes a run write the results into the files.
const REWRITE: &str = "SLT_REWRITE";

/// Records left out because a service they need is not there.
static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// Two tests for every file.
pub fn trials() -> Vec<Trial> {
    let trial = |file: PathBuf, protocol: Protocol| {
        let name = format!("slt::{}::{}", name_of(&file).replace('/', "::"), protocol.label());
        Trial::test(name, move || run(&file, protocol))
    };
    let both = |file: PathBuf| [trial(file.clone(), Protocol::Simple), trial(file, Protocol::Extended)];
    home::files(&root(), ".slt").into_iter().flat_map(both).collect()
}

fn root() -> PathBuf {
    home::repository().join("tests/slt")
}

/// The path of a file below the root, without what follows the last dot.
fn name_of(file: &Path) -> String {
    file.strip_prefix(root()).expect("a file below the root").with_extension("").display().to_string()
}

/// Says how much was left out, so that an absent service is never silent.
pub fn print_skipped() {
    let count = SKIPPED.load(Ordering::Relaxed);
    if count > 0 {
        println!("slt: {count} records skipped, run `make peers` for the services they need");
    }
}

fn run(file: &Path, protocol: Protocol) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run_file(file, protocol))
}

async fn run_file(file: &Path, protocol: Protocol) -> Result<(), Failed> {
    let secure = file.to_string_lossy().ends_with(".secure.slt");
    let server = if secure { Server::start(&[]) } else { Server::insecure() };
    let stage =
        Arc::new(Stage { server: Mutex::new(server), variables: Mutex::default(), log_allowed: Mutex::default() });
    let session_stage = stage.clone();
    let mut runner = Runner::new(move || {
        let session = FileSession::new(session_stage.clone(), protocol);
        async move { Ok(session) }
    });
    runner.with_column_validator(Letter::agree);
    prepare(&mut runner, file, &stage, protocol)?;
    if std::env::var_os(REWRITE).is_some() {
        return rewrite(&mut runner, file, protocol).await;
    }
    let mut failures = run_records(&mut runner, file).await?;
    runner.shutdown_async().await;
    failures.extend(end(&stage));
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

/// Sets the labels and variables that a file may use.
fn prepare<M>(runner: &mut Runner<FileSession, M>, file: &Path, stage: &Stage, protocol: Protocol) -> Result<(), Failed>
where
    M: MakeConnection<Conn = FileSession>,
{
    runner.add_label(protocol.label());
    let text = std::fs::read_to_string(file)?;
    for label in peer::NAMES {
        let wanted = text.lines().any(|line| line.trim() == format!("onlyif {label}"));
        if let Some(facts) = wanted.then(|| peer::facts(label)).flatten() {
            runner.add_label(label);
            facts.iter().for_each(|(name, value)| stage.set(name, value));
        }
    }
    // Files of one name in two folders run at the same time.
    let unique = format!("{}-{}", name_of(file).replace('/', "-"), protocol.label());
    stage.set("PREFIX", &unique);
    let external_dir = stage.server().external_dir().display().to_string();
    stage.set("EXTERN", &external_dir);
    Ok(())
}

/// Runs all records, also those after a failure.
async fn run_records<M>(runner: &mut Runner<FileSession, M>, file: &Path) -> Result<Vec<String>, Failed>
where
    M: MakeConnection<Conn = FileSession>,
{
    let mut failures = Vec::new();
    for record in sqllogictest::parse_file::<Letter>(file)? {
        if matches!(record, Record::Halt { .. }) {
            break;
        }
        let service = needs_service(&record);
        match runner.run_async(record).await {
            Ok(RecordOutput::Nothing) if service => drop(SKIPPED.fetch_add(1, Ordering::Relaxed)),
            Ok(_) => {}
            Err(error) => failures.push(error.display(false).to_string()),
        }
    }
    Ok(failures)
}

/// Whether a record runs only where a service is.
fn needs_service(record: &Record<Letter>) -> bool {
    use sqllogictest::Condition;
    let conditions = match record {
        Record::Statement { conditions, .. } | Record::Query { conditions, .. } => conditions,
        Record::System { conditions, .. } | Record::Let { conditions, .. } => conditions,
        _ => return false,
    };
    let service = |label: &String| peer::NAMES.contains(&label.as_str());
    conditions.iter().any(|condition| matches!(condition, Condition::OnlyIf { label } if service(label)))
}

/// Stops the server; answers what was wrong with its end and its log.
fn end(stage: &Stage) -> Vec<String> {
    let mut server = stage.server();
    let status = server.terminate();
    let mut failures = Vec::new();
    if !status.success() {
        failures.push(format!("the server stopped with {status}"));
    }
    let allowed = stage.log_allowed.lock().unwrap_or_else(PoisonError::into_inner);
    failures.extend(server.complaints(&allowed).into_iter().map(|line| format!("unlisted line in the log: {line}")));
    failures
}

async fn rewrite<M>(runner: &mut Runner<FileSession, M>, file: &Path, protocol: Protocol) -> Result<(), Failed>
where
    M: MakeConnection<Conn = FileSession>,
{
    if protocol == Protocol::Simple {
        return Ok(());
    }
    let update = runner.update_test_file(file, " ", default_validator, default_normalizer, Letter::agree);
    update.await.map_err(|error| error.to_string().into())
}
