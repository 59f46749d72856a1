//! How the files of an import are cut into parts, each read and staged by itself.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use lakeport_base::limits::{IMPORT_PARTS_MAX, IMPORT_READERS_MAX, cores};
use lakeport_catalog::model::Column;

use super::batch::Target;
use super::options::{Decompress, Format, ImportOptions};
use super::source::SourceFile;

/// Input worth a part of its own, in bytes. Tests cut small files.
const PART_BYTES_MIN: u64 = if cfg!(test) { 64 } else { 16 << 20 };
/// Input that makes a part full, in bytes: what a restart reads again at most, for each reader.
const PART_BYTES_MAX: u64 = if cfg!(test) { 512 } else { 128 << 20 };

/// What one reader reads and stages by itself.
#[derive(Clone)]
pub(crate) enum Part {
    /// Whole files.
    Files(Vec<SourceFile>),
    /// The records of a file that start in a range of its bytes.
    Range(SourceFile, Range<u64>),
}

/// Where reading starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// At a record, after so many of the file.
    Known { offset: u64, records: u64 },
    /// At the first end of a line from here on, which may stand in the middle of a quoted field.
    Guess { offset: u64 },
}

impl Start {
    /// The start of a file.
    pub const OF_FILE: Start = Start::Known { offset: 0, records: 0 };
}

/// What was read of a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Of the first record, in bytes.
    pub start: u64,
    /// After the last record, in bytes.
    pub end: u64,
    /// Records of the file before `end`; before it is known where reading started, those of the range.
    pub records: u64,
}

impl Part {
    /// Size of the input in bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Part::Files(files) => files.iter().map(|file| file.meta.size).sum(),
            Part::Range(_, range) => range.end - range.start,
        }
    }

    /// The files that it is of.
    pub fn files(&self) -> &[SourceFile] {
        match self {
            Part::Files(files) => files,
            Part::Range(file, _) => std::slice::from_ref(file),
        }
    }
}

/// Readers that work at a time.
pub(super) fn readers() -> usize {
    cores().clamp(2, IMPORT_READERS_MAX)
}

/// Cuts files into parts. A row limit takes the first rows in the order of the files, so that there is one part then.
pub(crate) fn parts(files: Vec<SourceFile>, options: &ImportOptions) -> Vec<Part> {
    if options.row_limit.is_some() {
        return vec![Part::Files(files)];
    }
    let full = part_bytes(files.iter().map(|file| file.meta.size).sum());
    let mut parts = Vec::new();
    let (mut together, mut bytes) = (Vec::new(), 0);
    for file in files {
        if bytes >= full {
            parts.push(Part::Files(std::mem::take(&mut together)));
            bytes = 0;
        }
        if file.meta.size > full && can_be_cut(&file, options) {
            parts.extend(ranges(file.meta.size, full).map(|range| Part::Range(file.clone(), range)));
        } else {
            bytes += file.meta.size;
            together.push(file);
        }
    }
    if !together.is_empty() {
        parts.push(Part::Files(together));
    }
    parts
}

fn part_bytes(total: u64) -> u64 {
    let even = total.div_ceil(readers() as u64).clamp(PART_BYTES_MIN, PART_BYTES_MAX);
    even.max(total.div_ceil(IMPORT_PARTS_MAX))
}

/// Compressed or encoded text has no middle to start from, and one file of rejected rows comes from one reader.
fn can_be_cut(file: &SourceFile, options: &ImportOptions) -> bool {
    let is_packed = options.decompress.of_file(file.meta.location.as_ref()) != Decompress::None;
    let plain = !is_packed && options.charset.is_none();
    let fits = match options.format {
        Format::Avro(_) | Format::Other(_) => false,
        Format::Parquet { .. } => true,
        Format::Csv(_) | Format::Delimited(_) | Format::Ndjson { .. } => plain,
    };
    file.ranged && !options.save_rejected && fits
}

fn ranges(size: u64, full: u64) -> impl Iterator<Item = Range<u64>> {
    let step = size.div_ceil(size.div_ceil(full));
    (0..size.div_ceil(step)).map(move |index| index * step..((index + 1) * step).min(size))
}

/// Tells whether parts staged earlier are parts of this import still: a number that differs when a file, a column or an
/// option does.
pub(super) fn source_of(options: &ImportOptions, target: &Target, columns: &[Column], parts: &[Part]) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{options:?} {:?} {columns:?}", target.columns).hash(&mut hasher);
    let mut file = |file: &SourceFile| {
        let meta = &file.meta;
        (&file.name, meta.size, meta.last_modified, &meta.e_tag, &meta.version).hash(&mut hasher);
    };
    parts.iter().flat_map(Part::files).for_each(&mut file);
    parts.len().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_a_file_without_gaps() {
        for (size, full) in [(1, 1), (10, 3), (100, 99), (1000, 7), (1001, 1000)] {
            let ranges: Vec<_> = ranges(size, full).collect();
            assert_eq!((ranges[0].start, ranges[ranges.len() - 1].end), (0, size));
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert!(ranges.iter().all(|range| !range.is_empty() && range.end - range.start <= full), "{ranges:?}");
        }
    }

    #[test]
    fn parts_are_never_too_many() {
        assert!((1_u64 << 50).div_ceil(part_bytes(1 << 50)) <= IMPORT_PARTS_MAX);
        assert_eq!(part_bytes(1), PART_BYTES_MIN);
        assert_eq!(part_bytes(100 << 30), (100_u64 << 30).div_ceil(IMPORT_PARTS_MAX));
    }
}
