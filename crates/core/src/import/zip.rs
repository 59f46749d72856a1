//! ZIP archives of one file, unpacked from their beginning, as they come.

use std::io;

use async_compression::tokio::bufread::DeflateDecoder;
use bytes::{Bytes, BytesMut};
use flate2::Crc;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, Take};

use super::bytes::PIECE_BYTES;

const FILE: [u8; 4] = *b"PK\x03\x04";
const DIRECTORY: [u8; 4] = *b"PK\x01\x02";
const DESCRIPTOR: [u8; 4] = *b"PK\x07\x08";
const EMPTY: [u8; 4] = *b"PK\x05\x06";

const ENCRYPTED: u16 = 1;
/// The checksum and the sizes stand behind the content.
const DESCRIBED: u16 = 1 << 3;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// What a size is when the real one does not fit.
const LARGE: u32 = u32::MAX;
/// Mark of the extra field with sizes that did not fit.
const LARGE_SIZES: u16 = 1;

/// The content of the one file of an archive.
pub(super) fn unpacked<R>(reader: R) -> BoxStream<'static, io::Result<Bytes>>
where
    R: AsyncBufRead + Unpin + Send + 'static,
{
    stream::once(Entry::open(reader))
        .flat_map(|opened| match opened {
            Ok(entry) => stream::try_unfold(entry, Entry::next).boxed(),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        })
        .boxed()
}

/// A file in an archive.
struct Entry<R> {
    content: Content<R>,
    /// Of what was read.
    crc: Crc,
    /// The checksum in front of the content.
    told: Option<u32>,
}

enum Content<R> {
    Stored(Take<R>),
    Deflated(DeflateDecoder<R>),
}

impl<R: AsyncBufRead + Unpin> Entry<R> {
    async fn open(mut reader: R) -> io::Result<Entry<R>> {
        match bytes(&mut reader).await? {
            FILE => {}
            EMPTY => return Err(broken("the archive has no file")),
            _ => return Err(broken("not a ZIP archive")),
        }
        let [_version, flags, method, _time, _date] = words(bytes::<10>(&mut reader).await?);
        let [crc, packed, plain] = longs(bytes::<12>(&mut reader).await?);
        let [name_bytes, extra_bytes] = words(bytes::<4>(&mut reader).await?);
        let mut skipped = vec![0; usize::from(name_bytes) + usize::from(extra_bytes)];
        reader.read_exact(&mut skipped).await?;
        let is_described = flags & DESCRIBED != 0;
        let content = match method {
            _ if flags & ENCRYPTED != 0 => return Err(broken("the archive is encrypted")),
            DEFLATED => Content::Deflated(DeflateDecoder::new(reader)),
            STORED if !is_described => {
                let size = if packed == LARGE || plain == LARGE {
                    large_size(&skipped[usize::from(name_bytes)..])?
                } else {
                    u64::from(plain)
                };
                Content::Stored(reader.take(size))
            }
            STORED => return Err(broken("the archive does not tell the size of its file")),
            other => return Err(broken(&format!("the archive's method {other} is not known"))),
        };
        Ok(Entry { content, crc: Crc::new(), told: (!is_described).then_some(crc) })
    }

    async fn next(mut self) -> io::Result<Option<(Bytes, Entry<R>)>> {
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        let read = match &mut self.content {
            Content::Stored(content) => content.read_buf(&mut piece).await?,
            Content::Deflated(content) => content.read_buf(&mut piece).await?,
        };
        if read == 0 {
            self.finish().await?;
            return Ok(None);
        }
        self.crc.update(&piece);
        Ok(Some((piece.freeze(), self)))
    }

    /// # Errors
    /// A wrong checksum, a second file, an end that is missing.
    async fn finish(self) -> io::Result<()> {
        let mut reader = match self.content {
            Content::Stored(content) if content.limit() > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Content::Stored(content) => content.into_inner(),
            Content::Deflated(content) => content.into_inner(),
        };
        let (told, next) = match self.told {
            Some(crc) => (crc, bytes(&mut reader).await?),
            None => described(&mut reader).await?,
        };
        match next {
            _ if told != self.crc.sum() => Err(broken("the file in the archive has another checksum")),
            DIRECTORY => Ok(()),
            FILE => Err(broken("the archive has more than one file")),
            _ => Err(broken("the archive has no directory")),
        }
    }
}

/// The checksum behind a file, and what follows its description.
async fn described(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<(u32, [u8; 4])> {
    let mut crc = bytes(reader).await?;
    if crc == DESCRIPTOR {
        crc = bytes(reader).await?;
    }
    let _sizes: [u8; 8] = bytes(reader).await?;
    let mut next = bytes(reader).await?;
    if ![DIRECTORY, FILE].contains(&next) {
        // The sizes were large ones.
        let _rest: [u8; 4] = bytes(reader).await?;
        next = bytes(reader).await?;
    }
    Ok((u32::from_le_bytes(crc), next))
}

/// The size of the content, among the extra fields of a file.
fn large_size(mut fields: &[u8]) -> io::Result<u64> {
    while let Some((&[mark, mark_high, length, length_high], rest)) = fields.split_first_chunk::<4>() {
        let length = usize::from(u16::from_le_bytes([length, length_high]));
        let field = rest.get(..length).ok_or_else(|| broken("the archive has a broken field"))?;
        if let (LARGE_SIZES, Some(size)) = (u16::from_le_bytes([mark, mark_high]), field.first_chunk()) {
            return Ok(u64::from_le_bytes(*size));
        }
        fields = &rest[length..];
    }
    Err(broken("the archive does not tell the size of its file"))
}

async fn bytes<const N: usize>(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn words<const N: usize, const BYTES: usize>(bytes: [u8; BYTES]) -> [u16; N] {
    std::array::from_fn(|at| u16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]]))
}

fn longs<const N: usize, const BYTES: usize>(bytes: [u8; BYTES]) -> [u32; N] {
    std::array::from_fn(|at| u32::from_le_bytes(std::array::from_fn(|byte| bytes[4 * at + byte])))
}

fn broken(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::DeflateEncoder;
    use futures::TryStreamExt;
    use tokio_util::io::StreamReader;

    use super::*;

    /// An archive of these files; `described`: as one that was written without going back.
    fn archive(files: &[&str], method: u16, described: bool) -> Vec<u8> {
        let mut archive = Vec::new();
        for content in files {
            let mut crc = Crc::new();
            crc.update(content.as_bytes());
            let mut packer = DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            packer.write_all(content.as_bytes()).unwrap();
            let packed = if method == DEFLATED { packer.finish().unwrap() } else { content.as_bytes().to_vec() };
            let [sum, packed_size, size] = [crc.sum(), packed.len() as u32, content.len() as u32].map(u32::to_le_bytes);
            let sizes = [sum, packed_size, size].concat();
            archive.extend_from_slice(&FILE);
            for word in [20, if described { DESCRIBED } else { 0 }, method, 0, 0] {
                archive.extend_from_slice(&u16::to_le_bytes(word));
            }
            archive.extend_from_slice(if described { &[0; 12] } else { &sizes });
            archive.extend_from_slice(b"\x01\0\x04\0nXXXX");
            archive.extend_from_slice(&packed);
            if described {
                archive.extend_from_slice(&[DESCRIPTOR.as_slice(), &sizes].concat());
            }
        }
        archive.extend_from_slice(if files.is_empty() { &EMPTY } else { &DIRECTORY });
        archive
    }

    async fn read(archive: Vec<u8>) -> io::Result<String> {
        let pieces = stream::iter(archive.chunks(7).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect::<Vec<_>>());
        let reader = StreamReader::new(pieces.map(|piece: io::Result<Bytes>| piece));
        let pieces: Vec<Bytes> = unpacked(reader).try_collect().await?;
        Ok(String::from_utf8(pieces.concat()).unwrap())
    }

    #[tokio::test]
    async fn one_file_is_read_whatever_the_way_it_was_packed() {
        let content = "1,2\n".repeat(1000);
        for (method, described) in [(DEFLATED, false), (DEFLATED, true), (STORED, false)] {
            assert_eq!(read(archive(&[&content], method, described)).await.unwrap(), content);
            assert_eq!(read(archive(&[""], method, described)).await.unwrap(), "");
        }
    }

    #[tokio::test]
    async fn what_is_no_archive_of_one_file_is_refused() {
        let refusal = async |archive: Vec<u8>| read(archive).await.unwrap_err().to_string();
        let whole = archive(&["1,2\n"], DEFLATED, true);
        let mut changed = whole.clone();
        *changed.iter_mut().rev().nth(4 + 8).unwrap() ^= 1;
        for (archive, expected) in [
            (archive(&[], DEFLATED, false), "the archive has no file"),
            (archive(&["a", "b"], DEFLATED, true), "the archive has more than one file"),
            (archive(&["a", "b"], STORED, false), "the archive has more than one file"),
            (archive(&["a"], STORED, true), "the archive does not tell the size of its file"),
            (archive(&["a"], 12, false), "the archive's method 12 is not known"),
            (changed, "the file in the archive has another checksum"),
            (b"plain text".to_vec(), "not a ZIP archive"),
        ] {
            assert_eq!(refusal(archive).await, expected);
        }
        for kept in 0..whole.len() {
            refusal(whole[..kept].to_vec()).await;
        }
    }
}
