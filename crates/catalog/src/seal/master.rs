//! The master key and its file.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lakeport_base::Env;
use zeroize::Zeroizing;

use super::{KEY_BYTES, Key};
use crate::error::{Error, Result};

/// Longest key file worth reading, in bytes: base64 of a key with line ends, with room to spare.
const FILE_BYTES_MAX: u64 = 256;

/// The key that wraps the data key of a catalog. Never stored with the catalog's rows.
pub struct MasterKey(pub(super) Key);

impl MasterKey {
    /// A key from its 32 bytes, as a key service or a test gives it.
    ///
    /// # Errors
    /// [`Error::MasterKey`] for any other length.
    pub fn from_bytes(bytes: &[u8]) -> Result<MasterKey> {
        let wrong_length = || Error::MasterKey(format!("it has {} bytes, not {KEY_BYTES}", bytes.len()));
        Key::from_bytes(bytes).map(MasterKey).ok_or_else(wrong_length)
    }

    /// The key in a file: 32 raw bytes, or their base64 form with or without a line end.
    ///
    /// # Errors
    /// [`Error::MasterKey`] when the file is missing or cannot be read, when its group or others may read it, or when
    /// it holds no key.
    pub fn load(path: &Path) -> Result<MasterKey> {
        load(path).map_err(|error| error.describe(path))
    }

    /// As [`MasterKey::load`]; a missing file is made with a new random key in base64, mode 0600.
    ///
    /// # Errors
    /// [`Error::MasterKey`], also when the file cannot be made.
    pub fn load_or_create(path: &Path, env: &Env) -> Result<MasterKey> {
        match load(path) {
            Err(LoadError::Missing) => {
                create(path, env)?;
                MasterKey::load(path)
            }
            loaded => loaded.map_err(|error| error.describe(path)),
        }
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[master key]")
    }
}

/// Why a key file gives no key.
enum LoadError {
    Missing,
    Io(std::io::Error),
    /// Its mode bits.
    Exposed(u32),
    NotAKey,
}

impl LoadError {
    fn describe(self, path: &Path) -> Error {
        Error::MasterKey(match self {
            LoadError::Missing => format!("{path:?} does not exist"),
            LoadError::Io(error) => format!("cannot read {path:?}: {error}"),
            LoadError::Exposed(mode) => {
                format!("{path:?} has mode {mode:04o}; only its owner may have access to it (chmod 600)")
            }
            LoadError::NotAKey => format!("{path:?} holds neither {KEY_BYTES} bytes nor their base64 form"),
        })
    }
}

fn load(path: &Path) -> std::result::Result<MasterKey, LoadError> {
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => LoadError::Missing,
        _ => LoadError::Io(error),
    })?;
    let mode = file.metadata().map_err(LoadError::Io)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(LoadError::Exposed(mode));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize));
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(LoadError::Io)?;
    parse(&bytes).map(MasterKey).ok_or(LoadError::NotAKey)
}

fn parse(bytes: &[u8]) -> Option<Key> {
    Key::from_bytes(bytes).or_else(|| {
        let decoded = Zeroizing::new(STANDARD.decode(bytes.trim_ascii()).ok()?);
        Key::from_bytes(&decoded)
    })
}

/// Writes a new key beside `path` and links it in place, so that no crash leaves half a key and no race replaces one.
fn create(path: &Path, env: &Env) -> Result<()> {
    let draft = path.with_added_extension(env.random_hex(8));
    let created = write_draft(&draft, env).and_then(|()| match std::fs::hard_link(&draft, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => sync_directory(path),
    });
    // A draft that stays behind is a key nobody uses.
    let removed = std::fs::remove_file(&draft);
    created.and(removed).map_err(|error| Error::MasterKey(format!("cannot make {path:?}: {error}")))
}

fn write_draft(path: &Path, env: &Env) -> std::io::Result<()> {
    let text = Zeroizing::new(STANDARD.encode(Key::generate(env).0.as_slice()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn sync_directory(path: &Path) -> std::io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}
