//! What a file looks like that cannot be read as what it should be, by its first bytes.

use lakeport_base::Sqlstate;
use object_store::ObjectStoreExt;
use serde::de::IgnoredAny;

use super::format::FormatType;
use crate::error::Error;
use crate::import::Decompress;
use crate::import::source::SourceFile;

/// First bytes that are looked at.
const HEAD_BYTES: u64 = 64;
/// Errors that a file may cause by being another one than it should.
const DOUBTS: [Sqlstate; 3] =
    [Sqlstate::BAD_COPY_FILE_FORMAT, Sqlstate::CHARACTER_NOT_IN_REPERTOIRE, Sqlstate::INVALID_TEXT_REPRESENTATION];

/// How a file was read.
#[derive(Clone, Copy)]
pub(crate) struct ReadAs {
    pub ty: FormatType,
    /// As made out for the file.
    pub decompress: Decompress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    /// Of text that is no JSON, CSV.
    Like(FormatType),
    /// JSON whose first line is not an object as a whole.
    Spread,
    Packed(Decompress),
}

/// What files begin with that are no text.
const MAGIC: &[(&[u8], Looks)] = &[
    (b"PAR1", Looks::Like(FormatType::Parquet)),
    (b"ORC", Looks::Like(FormatType::Orc)),
    (b"Obj\x01", Looks::Like(FormatType::Avro)),
    (b"\x1F\x8B", Looks::Packed(Decompress::Gzip)),
    (b"\x28\xB5\x2F\xFD", Looks::Packed(Decompress::Zstd)),
    (b"BZh", Looks::Packed(Decompress::Bzip2)),
    (b"\xFD7zXZ\0", Looks::Packed(Decompress::Xz)),
    (b"PK\x03\x04", Looks::Packed(Decompress::Zip)),
    (b"\xFF\x06\0\0sNaPpY", Looks::Packed(Decompress::Snappy)),
];

/// The words of COMPRESSION.
const PACKINGS: &[(Decompress, &str)] = &[
    (Decompress::Gzip, "GZIP"),
    (Decompress::Zstd, "ZSTD"),
    (Decompress::Bzip2, "BZ2"),
    (Decompress::Xz, "XZ"),
    (Decompress::Zip, "ZIP"),
    (Decompress::Snappy, "SNAPPY"),
];

/// The remedy for an error of a file that looks like another than it was read as; `None` for others.
pub(crate) async fn remedy(code: Sqlstate, file: &SourceFile, read_as: ReadAs) -> Option<String> {
    if !DOUBTS.contains(&code) {
        return None;
    }
    let head = file.store.get_range(&file.meta.location, 0..file.meta.size.min(HEAD_BYTES)).await.ok()?;
    Looks::of(&head)?.remedy(read_as)
}

/// An error of a file with its remedy.
pub(crate) async fn explained(error: Error, file: &SourceFile, read_as: ReadAs) -> Error {
    let remedy = remedy(error.code(), file, read_as).await;
    error.with_hint_opt(remedy)
}

impl Looks {
    fn of(head: &[u8]) -> Option<Looks> {
        let text = match str::from_utf8(head) {
            Ok(text) => Some(text),
            // The last character may go on behind.
            Err(error) if error.error_len().is_none() => str::from_utf8(&head[..error.valid_up_to()]).ok(),
            Err(_) => None,
        };
        let is_plain = |c: char| !c.is_control() || c.is_whitespace();
        let text = text.map(|text| text.trim_start_matches(['\u{FEFF}', ' ', '\n', '\r']));
        match text.filter(|text| text.chars().all(is_plain)) {
            Some(text) if begins_spread(text) => Some(Looks::Spread),
            Some(text) if text.starts_with('{') => Some(Looks::Like(FormatType::Ndjson)),
            Some(_) => Some(Looks::Like(FormatType::Csv)),
            None => MAGIC.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, looks)| *looks),
        }
    }

    fn remedy(self, read_as: ReadAs) -> Option<String> {
        match self {
            Looks::Packed(found) => read_as.remedy_of_packing(found),
            Looks::Like(found) => read_as.remedy_of_type(found),
            Looks::Spread => Some(
                "the file looks like a JSON document over several lines, or an array: NDJSON has one object on each line"
                    .to_string(),
            ),
        }
    }
}

/// Whether a text begins with an array, or with an object that its first line does not end.
fn begins_spread(text: &str) -> bool {
    let is_cut = |line: &str| serde_json::from_str::<IgnoredAny>(line).is_err_and(|error| error.is_eof());
    match text.as_bytes().first() {
        Some(b'{') => text.split_once('\n').is_some_and(|(line, _)| is_cut(line)),
        Some(b'[') => serde_json::from_str::<IgnoredAny>(text).map_or_else(|error| error.is_eof(), |_| true),
        _ => false,
    }
}

impl ReadAs {
    fn remedy_of_packing(self, found: Decompress) -> Option<String> {
        let is_other = |known: Decompress| known == found && found != self.decompress;
        let (_, compression) = PACKINGS.iter().find(|(known, _)| is_other(*known))?;
        let with = match self.ty {
            FormatType::Parquet | FormatType::Orc => ", with the TYPE of what it holds,",
            _ => "",
        };
        let remedy = format!("COMPRESSION = {compression} in FILE_FORMAT{with} unpacks it");
        Some(format!("the file looks like one of {compression} compression: {remedy}"))
    }

    fn remedy_of_type(self, found: FormatType) -> Option<String> {
        use FormatType::{Csv, Ndjson, Text};
        let (looks, remedy) = match found {
            Csv | Ndjson if self.decompress != Decompress::None => {
                ("text that is not compressed", "COMPRESSION = NONE".to_string())
            }
            Csv if self.ty == Text => return None,
            _ if found == self.ty => return None,
            Csv => ("text", "TYPE = CSV or TEXT".to_string()),
            _ => (found.name(), format!("TYPE = {}", found.name())),
        };
        Some(format!("the file looks like {looks}: {remedy} in FILE_FORMAT reads it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell() {
        use FormatType::{Avro, Csv, Ndjson, Orc, Parquet};
        for (head, expected) in [
            (b"PAR1\x15\x04\x15".as_slice(), Some(Looks::Like(Parquet))),
            (b"ORC\x0A\x06\x12", Some(Looks::Like(Orc))),
            (b"Obj\x01\x04\x16avro.schema", Some(Looks::Like(Avro))),
            (b"\x1F\x8B\x08\0", Some(Looks::Packed(Decompress::Gzip))),
            (b"BZh91AY&SY\xFF", Some(Looks::Packed(Decompress::Bzip2))),
            (b"PK\x03\x04\x14\0", Some(Looks::Packed(Decompress::Zip))),
            // Texts that begin like another file.
            (b"ORCHID,1\n", Some(Looks::Like(Csv))),
            (b"PAR1,BZh\r\n", Some(Looks::Like(Csv))),
            ("ORC\t\u{20AC}".as_bytes().split_last().unwrap().1, Some(Looks::Like(Csv))),
            (b"\n {\"a\": 1}", Some(Looks::Like(Ndjson))),
            ("\u{FEFF}{".as_bytes(), Some(Looks::Like(Ndjson))),
            (b"{\n  \"a\": 1\n}\n", Some(Looks::Spread)),
            (b"{\"a\": 1}\n{\n", Some(Looks::Like(Ndjson))),
            (b"{\"a\": x}\n", Some(Looks::Like(Ndjson))),
            (b"[{\"a\": 1},\n {\"a\"", Some(Looks::Spread)),
            (b"[1]", Some(Looks::Spread)),
            (b"[draft],1\n", Some(Looks::Like(Csv))),
            (b"a\0b\0", None),
            (b"caf\xE9,1", None),
        ] {
            assert_eq!(Looks::of(head), expected, "{head:?}");
        }
    }

    #[test]
    fn the_remedy_is_another_reading() {
        let read_as = |ty, decompress| ReadAs { ty, decompress };
        for ty in [FormatType::Csv, FormatType::Text] {
            assert_eq!(Looks::Like(FormatType::Csv).remedy(read_as(ty, Decompress::None)), None);
        }
        assert_eq!(Looks::Like(FormatType::Orc).remedy(read_as(FormatType::Orc, Decompress::None)), None);
        assert_eq!(Looks::Packed(Decompress::Gzip).remedy(read_as(FormatType::Csv, Decompress::Gzip)), None);
        for (looks, ty, decompress, expected) in [
            (Looks::Like(FormatType::Csv), FormatType::Parquet, Decompress::None, "TYPE = CSV or TEXT"),
            (Looks::Like(FormatType::Csv), FormatType::Ndjson, Decompress::None, "TYPE = CSV or TEXT"),
            (Looks::Like(FormatType::Ndjson), FormatType::Csv, Decompress::None, "TYPE = NDJSON"),
            (Looks::Like(FormatType::Avro), FormatType::Csv, Decompress::None, "TYPE = AVRO"),
            (Looks::Like(FormatType::Csv), FormatType::Csv, Decompress::Gzip, "COMPRESSION = NONE"),
            (Looks::Packed(Decompress::Zip), FormatType::Csv, Decompress::None, "COMPRESSION = ZIP"),
        ] {
            let remedy = looks.remedy(read_as(ty, decompress)).unwrap();
            assert!(remedy.contains(expected), "{remedy}");
        }
    }
}
