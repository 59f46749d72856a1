//! What a server is told: flags as typed ([`StartArgs`]), and what they mean ([`Config`]).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use clap::builder::BoolishValueParser;
use lakeport_base::fault::Plan;
use lakeport_base::{Uri, units};
use lakeport_connect::Target;

use crate::log::LogFormat;

/// The flags of `lakeport start`. Each is also the environment variable `LAKEPORT_<FLAG>` and a key of `--config`. No
/// `Debug`: a URI may hold secrets.
#[derive(Args, Clone)]
pub struct StartArgs {
    /// TOML file with flags' names as keys; flags and the environment win over it
    #[arg(long, env = "LAKEPORT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Folder of all that the server keeps; made if missing
    #[arg(long, env = "LAKEPORT_STORE", value_name = "DIR", default_value = "./lakeport-data")]
    pub store: PathBuf,

    /// Catalog: sqlite:PATH [default: catalog.db in the store]
    #[arg(long, env = "LAKEPORT_CATALOG", value_name = "URL")]
    pub catalog: Option<String>,

    /// Where tables and users' files lie: a folder, file:// or s3:// URI [default: warehouse in the store]
    #[arg(long, env = "LAKEPORT_WAREHOUSE", value_name = "URI", hide_env_values = true)]
    pub warehouse: Option<String>,

    /// Address of the PostgreSQL protocol; port 0 takes a free one
    #[arg(long, env = "LAKEPORT_LISTEN_ADDR", value_name = "HOST:PORT", default_value = "127.0.0.1:5437")]
    pub listen_addr: String,

    /// Address of /health and /metrics; port 0 takes a free one
    #[arg(long, env = "LAKEPORT_HTTP_ADDR", value_name = "HOST:PORT", default_value = "127.0.0.1:8437")]
    pub http_addr: String,

    /// Number of this node, from 1; the host of nodelocal:// URIs
    #[arg(long, env = "LAKEPORT_NODE_ID", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..))]
    pub node_id: i64,

    /// Folder that nodelocal:// URIs reach, or "disabled" [default: extern in the store]
    #[arg(long, env = "LAKEPORT_EXTERNAL_IO_DIR", value_name = "DIR")]
    pub external_io_dir: Option<PathBuf>,

    /// Refuse http:// and https:// URIs and custom endpoints
    #[arg(long, env = "LAKEPORT_EXTERNAL_IO_DISABLE_HTTP", value_parser = BoolishValueParser::new())]
    pub external_io_disable_http: bool,

    /// Refuse AUTH=implicit: no connection uses the server's own cloud credentials
    #[arg(long, env = "LAKEPORT_EXTERNAL_IO_DISABLE_IMPLICIT_CREDENTIALS", value_parser = BoolishValueParser::new())]
    pub external_io_disable_implicit_credentials: bool,

    /// Let URIs reach link-local and cloud metadata addresses
    #[arg(long, env = "LAKEPORT_EXTERNAL_IO_ALLOW_METADATA_ADDRESSES", value_parser = BoolishValueParser::new())]
    pub external_io_allow_metadata_addresses: bool,

    /// File of the key that seals secrets in the catalog; made if missing [default: master.key in the store]
    #[arg(long, env = "LAKEPORT_MASTER_KEY", value_name = "FILE")]
    pub master_key: Option<String>,

    /// Folder with node.crt and node.key (PEM); clients may then use TLS
    #[arg(long, env = "LAKEPORT_CERTS_DIR", value_name = "DIR")]
    pub certs_dir: Option<PathBuf>,

    /// No passwords: whoever reaches the port is the user they name. Loopback addresses only
    #[arg(long, env = "LAKEPORT_INSECURE", value_parser = BoolishValueParser::new())]
    pub insecure: bool,

    /// What queries together may hold in memory before they spill to the store; an eighth as much is kept of remote files
    /// that they read in place. A size such as 512MiB or 4GiB
    /// [default: half of the machine's]
    #[arg(long, env = "LAKEPORT_MEMORY_LIMIT", value_name = "SIZE", value_parser = parse_bytes)]
    pub memory_limit: Option<u64>,

    /// How long running statements may go on after SIGTERM; a duration such as 500ms, 10s or 2m
    #[arg(long, env = "LAKEPORT_SHUTDOWN_GRACE", value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub shutdown_grace: Duration,

    /// Form of the log on standard error
    #[arg(long, env = "LAKEPORT_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// What is logged: error, warn, info, debug or trace, also per crate as in warn,lakeport_core=debug
    #[arg(
        long,
        env = "LAKEPORT_LOG",
        value_name = "FILTER",
        default_value = "info,buoyant_kernel=warn,deltalake_core=warn,object_store=warn"
    )]
    pub log: String,

    /// What happens at fault points, for tests: docs/faults.md
    #[arg(long, env = "LAKEPORT_FAULT", value_name = "POINT:ACTION[:NTH]", hide = true)]
    pub fault: Option<String>,
}

// What a store holds.
const CATALOG_FILE: &str = "catalog.db";
const WAREHOUSE_DIR: &str = "warehouse";
const EXTERNAL_IO_DIR: &str = "extern";
const MASTER_KEY_FILE: &str = "master.key";

fn parse_bytes(text: &str) -> Result<u64, String> {
    units::parse_bytes(text).ok_or_else(|| "expected a size such as 512MiB or 4GiB".to_string())
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    units::parse_duration(text).ok_or_else(|| "expected a duration such as 500ms, 10s or 2m".to_string())
}

/// Where tables and users' files lie.
#[derive(Clone, Debug)]
pub enum Warehouse {
    Folder(PathBuf),
    Bucket(Target),
}

/// What a server runs with: every path settled, every rule checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub store: PathBuf,
    pub catalog: PathBuf,
    pub warehouse: Warehouse,
    pub listen_addr: SocketAddr,
    pub http_addr: SocketAddr,
    pub node_id: i64,
    /// `None` disables nodelocal.
    pub external_io_dir: Option<PathBuf>,
    pub external_io_http_disabled: bool,
    pub external_io_implicit_disabled: bool,
    pub external_io_metadata_allowed: bool,
    pub master_key: PathBuf,
    pub certs_dir: Option<PathBuf>,
    pub insecure: bool,
    pub memory_limit_bytes: u64,
    pub shutdown_grace: Duration,
    pub log_format: LogFormat,
    pub log_filter: String,
    /// What fails on purpose.
    pub faults: Option<Arc<Plan>>,
}

impl Config {
    /// Checks the flags against each other and fills in what they leave out. Resolves host names; makes nothing.
    ///
    /// # Errors
    /// Names the flag and its value.
    pub fn check(args: StartArgs) -> Result<Config> {
        let store = std::path::absolute(&args.store).context("--store")?;
        let config = Config {
            catalog: catalog_file(args.catalog.as_deref(), &store)?,
            warehouse: warehouse(args.warehouse.as_deref(), &store)?,
            listen_addr: address("--listen-addr", &args.listen_addr)?,
            http_addr: address("--http-addr", &args.http_addr)?,
            node_id: args.node_id,
            external_io_dir: external_io_dir(args.external_io_dir, &store)?,
            external_io_http_disabled: args.external_io_disable_http,
            external_io_implicit_disabled: args.external_io_disable_implicit_credentials,
            external_io_metadata_allowed: args.external_io_allow_metadata_addresses,
            master_key: master_key_file(args.master_key.as_deref(), &store)?,
            certs_dir: args.certs_dir,
            insecure: args.insecure,
            memory_limit_bytes: args.memory_limit.unwrap_or_else(half_of_memory),
            shutdown_grace: args.shutdown_grace,
            log_format: args.log_format,
            log_filter: args.log,
            faults: fault_plan(args.fault.as_deref())?,
            store,
        };
        config.check_insecure()?;
        Ok(config)
    }

    /// A server for one run on loopback without passwords, with everything in `store`.
    pub fn throwaway(store: PathBuf, listen_addr: SocketAddr, http_addr: SocketAddr, log_filter: String) -> Config {
        Config {
            catalog: store.join(CATALOG_FILE),
            warehouse: Warehouse::Folder(store.join(WAREHOUSE_DIR)),
            listen_addr,
            http_addr,
            node_id: 1,
            external_io_dir: Some(store.join(EXTERNAL_IO_DIR)),
            external_io_http_disabled: false,
            external_io_implicit_disabled: false,
            external_io_metadata_allowed: false,
            master_key: store.join(MASTER_KEY_FILE),
            certs_dir: None,
            insecure: true,
            memory_limit_bytes: half_of_memory(),
            shutdown_grace: Duration::from_secs(1),
            log_format: LogFormat::Text,
            log_filter,
            faults: None,
            store,
        }
    }

    fn check_insecure(&self) -> Result<()> {
        for (flag, addr) in [("--listen-addr", self.listen_addr), ("--http-addr", self.http_addr)] {
            ensure!(
                !self.insecure || addr.ip().is_loopback(),
                "--insecure needs a loopback address, and {flag} is {addr}: without passwords anyone who reaches it is root"
            );
        }
        Ok(())
    }
}

/// Half of the machine's memory, in bytes; of 4 GiB where it cannot be told.
fn half_of_memory() -> u64 {
    let total = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().strip_suffix(" kB")?;
        kib.parse::<u64>().ok()
    });
    total.map_or(4 << 30, |kib| kib * 1024) / 2
}

fn fault_plan(text: Option<&str>) -> Result<Option<Arc<Plan>>> {
    let plan = text.map(|text| Plan::parse(text).map(Arc::new)).transpose();
    plan.map_err(|error| anyhow!("LAKEPORT_FAULT: {error}"))
}

fn address(flag: &str, text: &str) -> Result<SocketAddr> {
    use std::net::ToSocketAddrs;
    let mut found = text.to_socket_addrs().with_context(|| format!("{flag} {text:?}: expected HOST:PORT"))?;
    found.next().with_context(|| format!("{flag} {text:?}: the host has no address"))
}

fn catalog_file(url: Option<&str>, store: &Path) -> Result<PathBuf> {
    let Some(url) = url else { return Ok(store.join(CATALOG_FILE)) };
    let (scheme, path) = url.split_once(':').unwrap_or(("", url));
    match scheme {
        "sqlite" if !path.trim_start_matches('/').is_empty() => {
            Ok(std::path::absolute(path.strip_prefix("//").unwrap_or(path)).context("--catalog")?)
        }
        "sqlite" => bail!("--catalog: a sqlite URL names a file, as in sqlite:/var/lib/lakeport/catalog.db"),
        "postgres" | "postgresql" => {
            bail!("--catalog: a catalog in PostgreSQL is not supported; use sqlite:PATH")
        }
        _ => bail!("--catalog: expected sqlite:PATH"),
    }
}

fn warehouse(uri: Option<&str>, store: &Path) -> Result<Warehouse> {
    match uri {
        None => Ok(Warehouse::Folder(store.join(WAREHOUSE_DIR))),
        Some(text) if text.starts_with("s3://") => Ok(Warehouse::Bucket(Target::parse(text).context("--warehouse")?)),
        Some(text) => local_path("--warehouse", text, "a folder, a file:// or an s3:// URI").map(Warehouse::Folder),
    }
}

fn master_key_file(file: Option<&str>, store: &Path) -> Result<PathBuf> {
    match file {
        None => Ok(store.join(MASTER_KEY_FILE)),
        Some(text) => local_path("--master-key", text, "a file"),
    }
}

/// A path written as such or as a `file://` URI. Other schemes are named in the error, and nothing else of the
/// text is, since it may hold a secret.
fn local_path(flag: &str, text: &str, expected: &str) -> Result<PathBuf> {
    if !text.contains("://") {
        return std::path::absolute(text).with_context(|| flag.to_string());
    }
    let uri = Uri::parse(text).with_context(|| flag.to_string())?;
    ensure!(uri.scheme == "file", "{flag}: {}:// is not supported; expected {expected}", uri.scheme);
    ensure!(uri.host.is_empty() && uri.params.is_empty(), "{flag}: expected file:///PATH");
    ensure!(uri.path.len() > 1, "{flag}: the path is empty");
    Ok(PathBuf::from(uri.path))
}

fn external_io_dir(dir: Option<PathBuf>, store: &Path) -> Result<Option<PathBuf>> {
    match dir {
        None => Ok(Some(store.join(EXTERNAL_IO_DIR))),
        Some(dir) if dir == Path::new("disabled") => Ok(None),
        Some(dir) => Ok(Some(std::path::absolute(dir).context("--external-io-dir")?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Start {
        #[command(flatten)]
        args: StartArgs,
    }

    fn check(flags: &[&str]) -> Result<Config> {
        let flags = ["start", "--store", "/s"].iter().chain(flags);
        Config::check(Start::try_parse_from(flags)?.args)
    }

    fn refusal(flags: &[&str]) -> String {
        format!("{:#}", check(flags).unwrap_err())
    }

    #[test]
    fn defaults_lie_in_the_store() {
        let config = check(&[]).unwrap();
        assert_eq!(config.catalog, Path::new("/s/catalog.db"));
        assert!(matches!(config.warehouse, Warehouse::Folder(folder) if folder == Path::new("/s/warehouse")));
        assert_eq!(config.external_io_dir.as_deref(), Some(Path::new("/s/extern")));
        assert_eq!(config.master_key, Path::new("/s/master.key"));
        assert_eq!(config.shutdown_grace, Duration::from_secs(10));
    }

    #[test]
    fn insecure_is_for_loopback() {
        assert!(check(&["--insecure"]).is_ok());
        assert!(check(&["--insecure", "--listen-addr", "[::1]:0"]).is_ok());
        assert!(
            refusal(&["--insecure", "--listen-addr", "0.0.0.0:5437"]).contains("--insecure needs a loopback address")
        );
        assert!(refusal(&["--insecure", "--http-addr", "0.0.0.0:1"]).contains("--http-addr is 0.0.0.0:1"));
    }

    #[test]
    fn places_as_paths_and_uris() {
        let warehouse = |uri: &str| check(&["--warehouse", uri]).unwrap().warehouse;
        assert!(matches!(warehouse("file:///w/a%20b"), Warehouse::Folder(folder) if folder == Path::new("/w/a b")));
        assert!(matches!(warehouse("s3://lake/tables?AUTH=implicit"), Warehouse::Bucket(_)));
        assert_eq!(check(&["--catalog", "sqlite:///c.db"]).unwrap().catalog, Path::new("/c.db"));
        assert_eq!(check(&["--external-io-dir", "disabled"]).unwrap().external_io_dir, None);
    }

    #[test]
    fn what_is_not_supported_says_so_without_quoting_secrets() {
        let error = refusal(&["--master-key", "aws-kms:///key?AWS_SECRET_ACCESS_KEY=hush"]);
        assert_eq!(error, "--master-key: aws-kms:// is not supported; expected a file");
        let error = refusal(&["--catalog", "postgres://u:hush@db/lakeport"]);
        assert_eq!(error, "--catalog: a catalog in PostgreSQL is not supported; use sqlite:PATH");
    }

    #[test]
    fn an_unknown_fault_is_refused() {
        assert!(check(&["--fault", "log.commit:kill:2"]).unwrap().faults.is_some());
        assert!(refusal(&["--fault", "nowhere:kill"]).starts_with("LAKEPORT_FAULT: unknown fault point \"nowhere\""));
    }

    #[test]
    fn every_flag_has_its_environment_variable() {
        use clap::CommandFactory;
        for arg in Start::command().get_arguments().filter(|arg| arg.get_id() != "help") {
            let flag = arg.get_long().expect("flags only");
            let expected = format!("LAKEPORT_{}", flag.to_uppercase().replace('-', "_"));
            assert_eq!(arg.get_env().and_then(|env| env.to_str()), Some(expected.as_str()), "--{flag}");
            assert!(arg.get_help().is_some(), "--{flag}");
        }
    }
}
