//! `lakeport backup`: a collection of backups without a server.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use futures::{StreamExt, TryStreamExt, stream};
use lakeport_backup::chain::shown;
use lakeport_backup::keys::Keys;
use lakeport_backup::layout::Subdir;
use lakeport_backup::pack::PackReader;
use lakeport_backup::passphrase::Passphrase;
use lakeport_backup::{Chain, Collection, Protection};
use lakeport_base::{Env, Secret};
use lakeport_connect::{Clients, OpenCx, OutboundPolicy, Target, Timeouts, redact};
use object_store::memory::InMemory;

/// For one request, without its body. What fails is tried again for half as long.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);
/// Packs read at a time.
const READS_MAX: usize = 4;

/// The flags of `lakeport backup`.
#[derive(Args)]
pub struct BackupArgs {
    #[command(subcommand)]
    command: BackupCommand,
}

#[derive(Subcommand)]
enum BackupCommand {
    /// Lists the full backups of a collection
    List(Place),
    /// Shows the layers of a chain and what each adds to its tables
    Show(ChainArgs),
    /// Reads every file of a chain and checks it
    Verify(ChainArgs),
}

/// Where a collection lies.
#[derive(Args)]
struct Place {
    /// Collection, such as 's3://bucket/path?AWS_ACCESS_KEY_ID=...' or a folder of this machine
    #[arg(value_name = "URI", env = "LAKEPORT_COLLECTION", hide_env_values = true)]
    collection: String,
}

/// A chain and what opens it.
#[derive(Args)]
struct ChainArgs {
    #[command(flatten)]
    place: Place,

    /// Full backup that the chain begins with, as `list` prints it
    #[arg(default_value = "LATEST")]
    subdir: String,

    /// File with the passphrase of an encrypted chain; a line break at its end does not count
    #[arg(long, env = "LAKEPORT_PASSPHRASE_FILE", value_name = "FILE", conflicts_with = "kms")]
    passphrase_file: Option<PathBuf>,

    /// URI of a key that opens an encrypted chain, such as 'aws-kms:///key?REGION=...'
    #[arg(long, env = "LAKEPORT_KMS", value_name = "URI", hide_env_values = true)]
    kms: Option<String>,
}

/// Runs one command.
///
/// # Errors
/// What is wrong with the collection, or with the keys.
pub async fn run(args: BackupArgs) -> Result<()> {
    lakeport_connect::install_tls_provider();
    args.command.run().await.map_err(|error| error.downcast().map_or_else(|other| other, told))
}

/// A failure of a storage or a key service said once, though its client repeats it layer by layer, and with its remedy.
/// Other remedies speak of statements.
fn told(error: lakeport_backup::Error) -> anyhow::Error {
    let error = match error {
        lakeport_backup::Error::Storage(error) => lakeport_connect::Error::from(error),
        lakeport_backup::Error::Kms(error) => error,
        error => return anyhow!("{error}"),
    };
    match error.hint() {
        Some(hint) => anyhow!("{error}\nhint: {hint}"),
        None => anyhow!("{error}"),
    }
}

impl BackupCommand {
    async fn run(self) -> Result<()> {
        match self {
            BackupCommand::List(place) => {
                let fulls = place.open().await?.fulls().await?;
                ensure!(!fulls.is_empty(), "there is no backup in {}", redact(&place.collection));
                fulls.iter().for_each(|subdir| println!("{}", subdir.shown()));
                Ok(())
            }
            BackupCommand::Show(args) => {
                let (_, chain, _) = args.open().await?;
                show(&chain);
                Ok(chain.check_whole()?)
            }
            BackupCommand::Verify(args) => {
                let (collection, chain, protection) = args.open().await?;
                verify(&collection, &chain, &protection).await
            }
        }
    }
}

impl Place {
    async fn open(&self) -> Result<Collection> {
        require_reachable(&self.collection)?;
        let (uri, external_io_dir) = match self.collection.contains("://") {
            true => (self.collection.clone(), None),
            false => ("nodelocal://self/".to_string(), Some(PathBuf::from(&self.collection))),
        };
        if let Some(folder) = &external_io_dir {
            ensure!(folder.is_dir(), "{} is not a folder", folder.display());
        }
        let target = Target::parse(&uri).context("the collection's URI")?;
        Ok(Collection::new(target.open(&surroundings(external_io_dir)).await?))
    }
}

/// # Errors
/// What stands for a place on a server's side only.
fn require_reachable(uri: &str) -> Result<()> {
    let scheme = uri.split("://").next().unwrap_or_default();
    let instead = match scheme.to_ascii_lowercase().as_str() {
        "external" => "give the URI that it stands for, which SHOW CREATE EXTERNAL CONNECTION tells",
        "nodelocal" => "give the folder itself, which lies below the server's --external-io-dir",
        "userfile" => "give the folder itself, which lies below the server's --warehouse",
        _ => return Ok(()),
    };
    bail!("{scheme}:// is a place of a server, and this command asks none: {instead}")
}

impl ChainArgs {
    async fn open(&self) -> Result<(Collection, Chain, Protection)> {
        let collection = self.place.open().await?;
        let subdir = match self.subdir.eq_ignore_ascii_case("latest") {
            true => collection.latest().await?,
            false => Subdir::parse(&self.subdir)?,
        };
        let keys = self.keys().await?;
        let protection = match collection.protection(&subdir, &keys).await {
            Err(lakeport_backup::Error::Key { message, .. }) => {
                let is_encrypted = !collection.infos(&subdir).await?.is_empty();
                bail!("{}", with_flags(&message, &keys, is_encrypted));
            }
            protection => protection?,
        };
        let chain = collection.chain(&subdir, &protection).await?;
        Ok((collection, chain, protection))
    }

    async fn keys(&self) -> Result<Keys> {
        if let Some(file) = &self.passphrase_file {
            let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
            let text = Secret::new(text.trim_end_matches(['\r', '\n']).to_string());
            return Ok(Keys::Passphrase(Arc::new(Passphrase::new(text))));
        }
        match &self.kms {
            None => Ok(Keys::None),
            Some(uri) => {
                let target = Target::parse_kms(uri).context("--kms")?;
                Ok(Keys::Kms(vec![target.open_kms(&surroundings(None)).await.context("--kms")?]))
            }
        }
    }
}

/// Why keys do not open a chain. Where SQL would have its options named, this command has its flags.
fn with_flags(message: &str, keys: &Keys, is_encrypted: bool) -> String {
    let hint = match keys {
        Keys::None => return "file appears encrypted: give --passphrase-file or --kms".to_string(),
        _ if !is_encrypted => "leave out --passphrase-file and --kms",
        Keys::Passphrase(_) => "give the file of another passphrase, or --kms",
        Keys::Kms(_) => "give the URI of another key, or --passphrase-file",
    };
    format!("{message}\nhint: {hint}")
}

/// Whoever runs the command may reach what he can reach.
fn surroundings(external_io_dir: Option<PathBuf>) -> OpenCx {
    OpenCx {
        env: Env::system(),
        node_id: 0,
        external_io_dir,
        userfiles: Arc::new(InMemory::new()),
        user: String::new(),
        policy: OutboundPolicy::default(),
        timeouts: Timeouts::within(REQUEST_LIMIT),
        meter: lakeport_connect::layer::Meter::default(),
        clients: Clients::default(),
    }
}

fn show(chain: &Chain) {
    for layer in &chain.layers {
        let manifest = &layer.manifest;
        let kind = if manifest.previous.is_none() { "full" } else { "incremental" };
        println!("{kind} backup of {}", shown(manifest.end));
        if let Some(since) = manifest.revisions_since {
            println!("    every moment from {} on can be restored", shown(since));
        }
        let known = manifest.catalog.by_id();
        for table in &manifest.catalog.tables {
            let database = known.databases.get(&table.database).map_or("", |database| &database.name);
            let schema = known.schemas.get(&table.schema).map_or("", |schema| &schema.name);
            let versions = layer.history_of(table.id).map_or(&[][..], |history| &history.versions);
            let files = || versions.iter().flat_map(|version| &version.added);
            let rows = files().map(|file| file.rows).fold(0, u64::saturating_add);
            let bytes = files().map(|file| file.bytes).fold(0, u64::saturating_add);
            println!("    {database}.{schema}.{}: {rows} rows, {} files, {bytes} bytes", table.name, files().count());
        }
    }
}

/// Reads every pack of the chain. All that is wrong is listed.
async fn verify(collection: &Collection, chain: &Chain, protection: &Protection) -> Result<()> {
    let mut readers = Vec::new();
    for layer in &chain.layers {
        for pack in &layer.manifest.packs {
            readers.push(Arc::new(PackReader::new(collection.store().clone(), &layer.path, protection, pack)?));
        }
    }
    let (packs, bytes) = (readers.len(), readers.iter().map(|reader| reader.content_bytes()).sum::<u64>());
    let checks = stream::iter(readers).map(|reader| async move {
        match reader.verify().await {
            Ok(()) => Ok(None),
            Err(error @ lakeport_backup::Error::Storage(_)) => Err(error),
            Err(damage) => Ok(Some(damage)),
        }
    });
    let found: Vec<Option<lakeport_backup::Error>> = checks.buffered(READS_MAX).try_collect().await?;
    let of_chain = chain.check_whole().err();
    let damaged: Vec<lakeport_backup::Error> = of_chain.into_iter().chain(found.into_iter().flatten()).collect();
    for damage in &damaged {
        println!("{damage}");
    }
    let files = packs + chain.layers.len() + usize::from(chain.damage.is_some());
    ensure!(damaged.is_empty(), "{} of {files} files are damaged", damaged.len());
    println!("{} layers, {packs} packs, {bytes} bytes: all as written", chain.layers.len());
    Ok(())
}
