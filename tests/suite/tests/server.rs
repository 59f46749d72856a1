//! The built server as a child process.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// What the catalog's library says of statements that took a second.
const SLOW: &[&str] = &["sqlx::query: slow statement", "sqlx::pool::acquire: acquired connection"];

/// One server on a store of its own, which goes when this is dropped.
pub struct Server {
    child: Child,
    /// Address of the PostgreSQL protocol.
    pub pg: SocketAddr,
    /// Address of health and metrics.
    pub http: SocketAddr,
    folder: TempDir,
    flags: Vec<String>,
}

impl Server {
    /// Starts a server on an empty store; `flags` are added to those every test server has.
    pub fn start(flags: &[&str]) -> Server {
        let folder = TempDir::with_prefix("lakeport-test-").expect("a folder");
        let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        let (child, pg, http) = spawn(folder.path(), &flags);
        Server { child, pg, http, folder, flags }
    }

    /// Starts a server without passwords.
    pub fn insecure() -> Server {
        Server::start(&["--insecure"])
    }

    /// The folder of the catalog, the tables and the keys.
    pub fn store(&self) -> PathBuf {
        store(self.folder.path())
    }

    /// The folder behind `nodelocal://1/`.
    pub fn external_dir(&self) -> PathBuf {
        self.store().join("extern")
    }

    /// All that the server has logged, over all its lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_file(self.folder.path())).expect("the log")
    }

    /// Lines that tell of something wrong and match none of `allowed`. A machine that is slow is nothing wrong.
    pub fn complaints(&self, allowed: &[regex::Regex]) -> Vec<String> {
        let is_slow = |line: &&str| SLOW.iter().any(|mark| line.contains(mark));
        let wrong =
            |line: &&str| ["WARN", "ERROR", "panicked"].iter().any(|mark| line.contains(mark)) && !is_slow(line);
        let listed = |line: &str| allowed.iter().any(|pattern| pattern.is_match(line));
        self.log().lines().filter(wrong).filter(|line| !listed(line)).map(str::to_string).collect()
    }

    /// Stops the server as an operator would and starts it on the same store, with `flags` instead of the old ones if
    /// there are any.
    pub fn restart(&mut self, flags: &[&str]) {
        assert!(self.terminate().success(), "the server stopped with a failure:\n{}", self.log());
        if !flags.is_empty() {
            self.flags = flags.iter().map(ToString::to_string).collect();
        }
        self.resume();
    }

    /// SIGKILL: nothing gets the chance to be finished.
    pub fn kill(&mut self) {
        self.child.kill().expect("to kill the server");
        self.child.wait().expect("the server's end");
    }

    /// Starts a stopped or killed server on its store.
    pub fn resume(&mut self) {
        (self.child, self.pg, self.http) = spawn(self.folder.path(), &self.flags);
    }

    /// SIGTERM, then waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill to run");
        let deadline = Instant::now() + STOP_LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("the server's state") {
                return status;
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.kill();
        panic!("the server did not stop in {STOP_LIMIT:?}:\n{}", self.log());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

/// The built binary: `LAKEPORT_BINARY`, else the one beside this test's folder in the target directory.
pub fn binary() -> PathBuf {
    std::env::var_os("LAKEPORT_BINARY").map_or_else(
        || {
            let own = std::env::current_exe().expect("the path of this test");
            own.ancestors().nth(2).expect("a target directory").join("lakeport")
        },
        PathBuf::from,
    )
}

/// A command of the built binary.
pub fn lakeport() -> Command {
    let mut command = Command::new(binary());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
    command
}

fn store(folder: &Path) -> PathBuf {
    folder.join("store")
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

fn spawn(folder: &Path, flags: &[String]) -> (Child, SocketAddr, SocketAddr) {
    let log = File::options().create(true).append(true).open(log_file(folder)).expect("the log");
    let mut command = lakeport();
    command.arg("start").arg("--store").arg(store(folder));
    command.args(["--listen-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"]).args(flags);
    command.stdout(Stdio::piped()).stderr(log.try_clone().expect("the log"));
    let mut child = command.spawn().expect("the server to start");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    match read_ready_line(lines, log) {
        Some((pg, http)) => (child, pg, http),
        None => {
            child.kill().ok();
            panic!("the server is not ready:\n{}", std::fs::read_to_string(log_file(folder)).unwrap_or_default());
        }
    }
}

/// Waits for `lakeport: ready pg=HOST:PORT http=HOST:PORT`; everything printed goes to the log as well.
fn read_ready_line(
    lines: impl Iterator<Item = std::io::Result<String>> + Send + 'static,
    mut log: File,
) -> Option<(SocketAddr, SocketAddr)> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            writeln!(log, "{line}").ok();
            sender.send(line).ok();
        }
    });
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let line = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        if let Some(rest) = line.strip_prefix("lakeport: ready ") {
            let (pg, http) = rest.split_once(' ')?;
            return Some((pg.strip_prefix("pg=")?.parse().ok()?, http.strip_prefix("http=")?.parse().ok()?));
        }
    }
}
