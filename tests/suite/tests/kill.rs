//! SIGKILL at random moments: what was acknowledged is there afterwards, and nothing is there by half.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use libtest_mimic::{Failed, Trial};
use tokio_postgres::{Client, NoTls};

use crate::server::Server;

const ROUNDS: u64 = 20;
const WRITERS: u64 = 3;
const IMPORT_ROWS: i64 = 200_000;
/// How long adopted jobs may take after a restart.
const ADOPT_LIMIT: Duration = Duration::from_secs(60);

/// The kill tests.
pub fn trials() -> Vec<Trial> {
    vec![Trial::test("kill::inserts_and_imports", || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(rounds())
    })]
}

/// What the server has acknowledged: rows by batch, and imports.
#[derive(Default)]
struct Acknowledged {
    batches: BTreeMap<i64, i64>,
    imports: Vec<i64>,
}

/// Pseudo-random numbers; the seed is printed with a failure.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

async fn rounds() -> Result<(), Failed> {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64 | 1;
    let mut dice = Dice(seed);
    let mut server = Server::insecure();
    let client = connect(&server).await?;
    client
        .batch_execute(
            "CREATE TABLE batches (batch INT8, item INT8, note STRING, PRIMARY KEY (batch, item));
             CREATE TABLE imported (run INT8, item INT8);
             CREATE EXTERNAL CONNECTION files AS 'nodelocal://1/files'",
        )
        .await?;
    let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
    for round in 0..ROUNDS {
        one_round(&mut server, &mut dice, round, &acknowledged)
            .await
            .map_err(|error| format!("round {round}, seed {seed}: {error:?}"))?;
    }
    let acknowledged = acknowledged.lock().expect("no panic");
    let (batches, imports) = (acknowledged.batches.len(), acknowledged.imports.len());
    println!("{batches} inserts and {imports} of {ROUNDS} imports were acknowledged before their server was killed");
    if batches > ROUNDS as usize { Ok(()) } else { Err("the server was killed before it did anything".into()) }
}

async fn one_round(
    server: &mut Server,
    dice: &mut Dice,
    round: u64,
    acknowledged: &Arc<Mutex<Acknowledged>>,
) -> Result<(), Failed> {
    let mut tasks = Vec::new();
    for writer in 0..WRITERS {
        let first = (round * WRITERS + writer) * 1_000_000;
        tasks.push(tokio::spawn(write_batches(connect(server).await?, first as i64, acknowledged.clone())));
    }
    write_import_file(server, round as i64)?;
    tasks.push(tokio::spawn(import(connect(server).await?, round as i64, acknowledged.clone())));
    tokio::time::sleep(Duration::from_millis(20 + dice.roll(600))).await;
    server.kill();
    for task in tasks {
        task.await?;
    }
    server.resume();
    verify(&connect(server).await?, acknowledged).await
}

async fn connect(server: &Server) -> Result<Client, Failed> {
    let text = format!("host={} port={} user=root dbname=defaultdb", server.pg.ip(), server.pg.port());
    let (client, connection) = tokio_postgres::connect(&text, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Inserts batches of one to five rows until the server is gone.
async fn write_batches(client: Client, first: i64, acknowledged: Arc<Mutex<Acknowledged>>) {
    for batch in first.. {
        let rows = 1 + batch % 5;
        let values: Vec<String> = (0..rows).map(|item| format!("({batch}, {item}, 'note {item}')")).collect();
        if client.batch_execute(&format!("INSERT INTO batches VALUES {}", values.join(", "))).await.is_err() {
            return;
        }
        acknowledged.lock().expect("no panic").batches.insert(batch, rows);
    }
}

fn write_import_file(server: &Server, run: i64) -> Result<(), Failed> {
    let folder = server.external_dir().join("files");
    std::fs::create_dir_all(&folder)?;
    let rows: String = (0..IMPORT_ROWS).map(|item| format!("{run},{item}\n")).collect();
    Ok(std::fs::write(folder.join(format!("run-{run}.csv")), rows)?)
}

async fn import(client: Client, run: i64, acknowledged: Arc<Mutex<Acknowledged>>) {
    let statement = format!("IMPORT INTO imported CSV DATA ('external://files/run-{run}.csv')");
    if client.simple_query(&statement).await.is_ok() {
        acknowledged.lock().expect("no panic").imports.push(run);
    }
}

async fn verify(client: &Client, acknowledged: &Mutex<Acknowledged>) -> Result<(), Failed> {
    jobs_end(client).await?;
    let batches = counts(client, "SELECT batch, count(*) FROM batches GROUP BY batch").await?;
    let imports = counts(client, "SELECT run, count(*) FROM imported GROUP BY run").await?;
    let acknowledged = acknowledged.lock().expect("no panic");
    for (batch, rows) in &acknowledged.batches {
        if batches.get(batch) != Some(rows) {
            return Err(format!("batch {batch} had {rows} rows, now {:?}", batches.get(batch)).into());
        }
    }
    if let Some((batch, rows)) = batches.iter().find(|(batch, rows)| **rows != 1 + **batch % 5) {
        return Err(format!("half a statement: batch {batch} has {rows} rows").into());
    }
    if let Some(run) = acknowledged.imports.iter().find(|run| !imports.contains_key(run)) {
        return Err(format!("import {run} was acknowledged and is gone").into());
    }
    match imports.iter().find(|(_, rows)| **rows != IMPORT_ROWS) {
        Some((run, rows)) => Err(format!("import {run} has {rows} of {IMPORT_ROWS} rows").into()),
        None => Ok(()),
    }
}

/// Waits until no job is under way: the restarted server adopts those it was killed in.
async fn jobs_end(client: &Client) -> Result<(), Failed> {
    let deadline = Instant::now() + ADOPT_LIMIT;
    let open = "SELECT job_id, status, error FROM [SHOW JOBS] WHERE status NOT IN ('succeeded', 'failed', 'canceled')";
    loop {
        let rows = client.query(open, &[]).await?;
        if rows.is_empty() {
            break;
        }
        if Instant::now() > deadline {
            return Err(format!("{} jobs were not adopted, such as {:?}", rows.len(), rows[0]).into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let failed = client.query("SELECT error FROM [SHOW JOBS] WHERE status <> 'succeeded'", &[]).await?;
    match failed.first() {
        Some(row) => Err(format!("an adopted job failed: {:?}", row.get::<_, Option<String>>(0)).into()),
        None => Ok(()),
    }
}

async fn counts(client: &Client, query: &str) -> Result<BTreeMap<i64, i64>, Failed> {
    Ok(client.query(query, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
}
