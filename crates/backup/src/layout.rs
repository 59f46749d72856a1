//! Where files lie in a collection. Every time in a path is UTC.
//!
//! ```text
//! 2022/09/19-134559.68/BACKUP_MANIFEST        a full backup, named by its end
//! 2022/09/19-134559.68/ENCRYPTION-INFO[-n]    who opens the chain that begins with it
//! 2022/09/19-134559.68/data/<id>.pack
//! incrementals/2022/09/19-134559.68/20220920/010203.04-20220919-134559.68/BACKUP_MANIFEST
//!                                             a layer on top of it: end, and start, which is the end before
//! metadata/latest/LATEST-<16 hex digits>      one for each finished full backup, the newest first
//! ```

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use object_store::path::Path;

use crate::error::{Error, Result};

/// What a layer consists of. Written last, so that what has none is no layer.
pub const MANIFEST: &str = "BACKUP_MANIFEST";
/// Keeps two backups from writing one layer or continuing one chain at the same time.
pub const LOCK: &str = "BACKUP-LOCK";
/// Wrapped keys; further files have a number from 2 behind.
pub const ENCRYPTION_INFO: &str = "ENCRYPTION-INFO";
/// Folder of the marks of finished full backups.
pub const LATEST_FOLDER: &str = "metadata/latest";

const LATEST_PREFIX: &str = "LATEST-";
const INCREMENTALS: &str = "incrementals";
const DATA: &str = "data";

/// The folder of a full backup, such as `2022/09/19-134559.68`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subdir(String);

impl Subdir {
    /// The folder of a full backup that ends at a moment (microseconds since the epoch).
    pub fn of(end: i64) -> Subdir {
        Subdir(format!("{}-{}", time(end).format("%Y/%m/%d"), clock(end)))
    }

    /// A folder as a statement names it; a leading slash is optional.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other text, so that no path leads out of the collection.
    pub fn parse(text: &str) -> Result<Subdir> {
        let plain = text.strip_prefix('/').unwrap_or(text).trim_end_matches('/');
        if has_shape(plain, "0000/00/00-000000.00") {
            return Ok(Subdir(plain.to_string()));
        }
        let error = Error::invalid(format!("{text:?} is not the subdirectory of a full backup"));
        Err(if plain.starts_with(INCREMENTALS) || has_shape(plain, "00000000/000000.00") {
            error.with_hint("name the full backup of the chain; SHOW BACKUPS IN lists them")
        } else {
            error.with_hint("a subdirectory looks like 2022/09/19-134559.68; SHOW BACKUPS IN lists them")
        })
    }

    /// The last moment that may have given the folder its name.
    pub fn latest_end(&self) -> i64 {
        end_of_hundredth(&self.0, "%Y/%m/%d-%H%M%S")
    }

    /// The text with a leading slash, as results show it.
    pub fn shown(&self) -> String {
        format!("/{}", self.0)
    }

    /// The layer of the full backup itself.
    pub fn full(&self) -> LayerPath {
        LayerPath(self.0.clone())
    }

    /// The layer on top that covers what happened after `start` and until `end` (microseconds).
    pub fn incremental(&self, start: i64, end: i64) -> LayerPath {
        let (day, now) = (time(end).format("%Y%m%d"), clock(end));
        let since = time(start).format("%Y%m%d");
        LayerPath(format!("{INCREMENTALS}/{}/{day}/{now}-{since}-{}", self.0, clock(start)))
    }

    /// The folder of the layers on top.
    pub fn incrementals(&self) -> Path {
        Path::from(format!("{INCREMENTALS}/{}", self.0))
    }

    /// A file that belongs to the chain as a whole.
    pub fn file(&self, name: &str) -> Path {
        self.full().file(name)
    }

    /// The n-th file of wrapped keys, from 1.
    pub fn encryption_info(&self, number: usize) -> Path {
        match number {
            0 | 1 => self.file(ENCRYPTION_INFO),
            number => self.file(&format!("{ENCRYPTION_INFO}-{number}")),
        }
    }
}

impl fmt::Display for Subdir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The folder of a layer, relative to the collection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerPath(String);

impl LayerPath {
    /// The layer on top of `full` that a listed file belongs to; `None` for other files.
    pub fn of_file(full: &Subdir, file: &Path) -> Option<LayerPath> {
        const SHAPE: &str = "00000000/000000.00-00000000-000000.00";
        let folder = full.incrementals();
        let inside = file.as_ref().strip_prefix(folder.as_ref())?.strip_prefix('/')?;
        let (layer, rest) = inside.split_at_checked(SHAPE.len())?;
        (has_shape(layer, SHAPE) && rest.starts_with('/')).then(|| LayerPath(format!("{folder}/{layer}")))
    }

    /// The last moment at which a layer on top of a full backup may end, by its name.
    pub fn latest_end(&self) -> i64 {
        let mut parts = self.0.rsplit('/');
        let (clock, day) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let clock = clock.split('-').next().unwrap_or_default();
        end_of_hundredth(&format!("{day}-{clock}"), "%Y%m%d-%H%M%S")
    }

    /// A file of the layer.
    pub fn file(&self, name: &str) -> Path {
        Path::from(format!("{}/{name}", self.0))
    }

    /// The layer's list of its contents.
    pub fn manifest(&self) -> Path {
        self.file(MANIFEST)
    }

    /// The folder of the packs.
    pub fn data(&self) -> Path {
        self.file(DATA)
    }

    /// The layer's folder.
    pub fn folder(&self) -> Path {
        Path::from(self.0.as_str())
    }

    /// A pack by its id.
    pub fn pack(&self, id: &str) -> Path {
        self.file(&format!("{DATA}/{id}.pack"))
    }
}

impl fmt::Display for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The mark of a finished full backup. Later ends sort first.
pub fn latest_mark(end: i64) -> Path {
    Path::from(format!("{LATEST_FOLDER}/{LATEST_PREFIX}{:016x}", !end.cast_unsigned()))
}

/// The end of the full backup that a mark stands for; `None` for other files.
pub fn end_of_mark(mark: &Path) -> Option<i64> {
    let digits = mark.filename()?.strip_prefix(LATEST_PREFIX)?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?.map(|end| (!end).cast_signed())
}

/// Whether a text has digits where the shape has zeros, and is the shape elsewhere.
fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(found, wanted): (u8, u8)| if wanted == b'0' { found.is_ascii_digit() } else { found == wanted };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

/// `134559.68`: hours to hundredths of a second.
fn clock(at: i64) -> String {
    let time = time(at);
    format!("{}.{:02}", time.format("%H%M%S"), time.timestamp_subsec_micros() / 10_000)
}

/// The last microsecond of a hundredth of a second such as `20220920-010203.04`; the end of time for what is none, so that
/// nothing is taken for old by mistake.
fn end_of_hundredth(text: &str, format: &str) -> i64 {
    let parsed = text.rsplit_once('.').and_then(|(seconds, hundredths)| {
        let seconds = NaiveDateTime::parse_from_str(seconds, format).ok()?.and_utc().timestamp_micros();
        Some(seconds + hundredths.parse::<i64>().ok()? * 10_000 + 9_999)
    });
    parsed.unwrap_or(i64::MAX)
}

fn time(at: i64) -> DateTime<Utc> {
    let earliest = NaiveDate::MIN.and_time(chrono::NaiveTime::MIN);
    DateTime::from_timestamp_micros(at).unwrap_or_else(|| NaiveDateTime::and_utc(&earliest))
}
