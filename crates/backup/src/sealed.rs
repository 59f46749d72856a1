//! Sealed files: content in segments, each with a tag, under a key of the file's own.
//!
//! | bytes | meaning |
//! |---|---|
//! | 4 | `LKPB` |
//! | 1 | version of this layout, 1 |
//! | 1 | protection: 0 checksums, 1 AES-256-GCM |
//! | 2 | zero |
//! | 32 | salt, random for each file ever written |
//! | 32 | commitment to the file's key; zero without one |
//! | rest | segments: up to 65,536 bytes of content and a tag of 16; only the last may be shorter, or empty |
//!
//! A segment's nonce is its number (8 bytes, big endian), 3 bytes of zero, and 1 for the last segment, else 0. So what is
//! cut off, repeated or put elsewhere does not open. With a chain key the file's key and commitment are 64 bytes of
//! HKDF-SHA256 (RFC 5869) of the chain key, with the salt, and `lakeport backup 1` NUL path as info. Without one a tag is
//! the beginning of SHA-256 over SHA-256(`lakeport backup 1` NUL path NUL salt), nonce and content: it finds damage, and
//! stops nobody.

use std::ops::Range;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::{constant_time, hkdf};
use bytes::{Bytes, BytesMut};
use lakeport_base::{Env, Secret};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Bytes of content in every segment but the last.
pub const SEGMENT_BYTES: usize = 64 << 10;
/// Bytes of a segment's tag.
pub const TAG_BYTES: usize = 16;
/// Bytes before the first segment.
pub const HEADER_BYTES: usize = 72;
/// Bytes of a file's salt.
pub const SALT_BYTES: usize = 32;
/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

const MAGIC: &[u8; 4] = b"LKPB";
const LAYOUT_VERSION: u8 = 1;
const CONTEXT: &[u8] = b"lakeport backup 1\0";
const NONCE_BYTES: usize = 12;
/// Marks of the two protections.
const CHECKSUMS: u8 = 0;
const ENCRYPTED: u8 = 1;

/// The salt of a file.
pub type Salt = [u8; SALT_BYTES];

/// The key of a chain.
#[derive(Clone)]
pub struct ChainKey(Secret<[u8; KEY_BYTES]>);

impl ChainKey {
    /// A new random key.
    pub fn generate(env: &Env) -> ChainKey {
        let mut key = [0; KEY_BYTES];
        env.random(&mut key);
        ChainKey(Secret::new(key))
    }

    /// The key of these bytes, if they are as many as a key has.
    pub fn from_bytes(bytes: &[u8]) -> Option<ChainKey> {
        Some(ChainKey(Secret::new(bytes.try_into().ok()?)))
    }

    /// The bytes, to be wrapped.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.expose()
    }

    /// 64 bytes that only holders of the key can tell, for a salt and a purpose.
    pub(crate) fn derive(&self, salt: &[u8], info: &[&[u8]]) -> Zeroizing<[u8; 2 * KEY_BYTES]> {
        struct Wanted;
        impl hkdf::KeyType for Wanted {
            fn len(&self) -> usize {
                2 * KEY_BYTES
            }
        }
        let mut derived = Zeroizing::new([0; 2 * KEY_BYTES]);
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(self.expose());
        let filled = extracted.expand(info, Wanted).and_then(|okm| okm.fill(derived.as_mut_slice()));
        filled.expect("HKDF-SHA256 gives up to 8160 bytes");
        derived
    }
}

/// How the files of a chain are protected.
#[derive(Clone)]
pub enum Protection {
    /// Against accidents.
    Checksums,
    /// Against everybody without the key.
    Encrypted(ChainKey),
}

impl Protection {
    /// Whether a key is needed to read.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Protection::Encrypted(_))
    }

    fn mark(&self) -> u8 {
        if self.is_encrypted() { ENCRYPTED } else { CHECKSUMS }
    }
}

/// What seals the segments of one file.
enum FileKey {
    Checksums { base: [u8; 32] },
    Encrypted { key: LessSafeKey, commitment: [u8; KEY_BYTES] },
}

impl FileKey {
    fn new(protection: &Protection, path: &str, salt: &Salt) -> FileKey {
        match protection {
            Protection::Checksums => {
                FileKey::Checksums { base: sha256(&[CONTEXT, path.as_bytes(), &[0], salt.as_slice()]) }
            }
            Protection::Encrypted(chain) => {
                let derived = chain.derive(salt, &[CONTEXT, path.as_bytes()]);
                let (key, commitment) = derived.split_at(KEY_BYTES);
                let key = UnboundKey::new(&AES_256_GCM, key).expect("a key has 32 bytes");
                let commitment = commitment.try_into().expect("the other half has 32 bytes");
                FileKey::Encrypted { key: LessSafeKey::new(key), commitment }
            }
        }
    }

    fn commitment(&self) -> [u8; KEY_BYTES] {
        match self {
            FileKey::Checksums { .. } => [0; KEY_BYTES],
            FileKey::Encrypted { commitment, .. } => *commitment,
        }
    }

    /// Seals a segment in place; answers its tag.
    fn seal(&self, nonce: [u8; NONCE_BYTES], segment: &mut [u8]) -> [u8; TAG_BYTES] {
        match self {
            FileKey::Checksums { base } => checksum(base, &nonce, segment),
            FileKey::Encrypted { key, .. } => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), segment);
                let tag = tag.expect("a segment is far below the limit of AES-GCM");
                tag.as_ref().try_into().expect("a tag has 16 bytes")
            }
        }
    }

    /// Opens a segment with its tag in place; `None` when they do not match.
    fn open(&self, nonce: [u8; NONCE_BYTES], sealed: &mut [u8]) -> Option<()> {
        match self {
            FileKey::Checksums { base } => {
                let (content, tag) = sealed.split_at(sealed.len().checked_sub(TAG_BYTES)?);
                (checksum(base, &nonce, content) == tag).then_some(())
            }
            FileKey::Encrypted { key, .. } => {
                let opened = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), sealed);
                opened.ok().map(drop)
            }
        }
    }
}

fn checksum(base: &[u8; 32], nonce: &[u8], content: &[u8]) -> [u8; TAG_BYTES] {
    sha256(&[base, nonce, content])[..TAG_BYTES].try_into().expect("a digest is longer than a tag")
}

/// SHA-256 of these parts, one after the other.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn nonce_of(segment: u64, is_last: bool) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[..8].copy_from_slice(&segment.to_be_bytes());
    nonce[NONCE_BYTES - 1] = u8::from(is_last);
    nonce
}

/// Seals one file from its beginning to its end.
pub struct Sealer {
    key: FileKey,
    segment: u64,
    /// Content that may be the last segment's.
    held: Vec<u8>,
}

impl Sealer {
    /// Begins a file; its header is put into `out`.
    pub fn new(protection: &Protection, path: &str, salt: &Salt, out: &mut Vec<u8>) -> Sealer {
        let key = FileKey::new(protection, path, salt);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[LAYOUT_VERSION, protection.mark(), 0, 0]);
        out.extend_from_slice(salt);
        out.extend_from_slice(&key.commitment());
        Sealer { key, segment: 0, held: Vec::with_capacity(SEGMENT_BYTES) }
    }

    /// Takes more content; what is sealed of it is added to `out`.
    pub fn push(&mut self, mut content: &[u8], out: &mut Vec<u8>) {
        while self.held.len() + content.len() > SEGMENT_BYTES {
            let (now, later) = content.split_at(SEGMENT_BYTES - self.held.len());
            content = later;
            let start = out.len();
            out.extend_from_slice(&self.held);
            out.extend_from_slice(now);
            self.held.clear();
            self.seal(start, false, out);
        }
        self.held.extend_from_slice(content);
    }

    /// Ends the file: nothing comes after.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.held);
        self.seal(start, true, out);
    }

    fn seal(&mut self, start: usize, is_last: bool, out: &mut Vec<u8>) {
        let tag = self.key.seal(nonce_of(self.segment, is_last), &mut out[start..]);
        out.extend_from_slice(&tag);
        self.segment += 1;
    }
}

/// Opens parts of one file.
pub struct Opener {
    path: String,
    key: FileKey,
    mark: u8,
    salt: Salt,
    content_bytes: u64,
    last_segment: u64,
}

impl Opener {
    /// For a file of so many bytes, header and tags included, that was sealed under this path with this salt.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a size that no sealed file has.
    pub fn new(protection: &Protection, path: &str, salt: &Salt, file_bytes: u64) -> Result<Opener> {
        const STRIDE: u64 = (SEGMENT_BYTES + TAG_BYTES) as u64;
        let body = file_bytes.checked_sub(HEADER_BYTES as u64).filter(|body| *body >= TAG_BYTES as u64);
        let body = body.ok_or_else(|| Error::corrupt(path, format!("it ends after {file_bytes} bytes")))?;
        let segments = body.div_ceil(STRIDE);
        let last_bytes = body - (segments - 1) * STRIDE;
        if last_bytes < TAG_BYTES as u64 {
            return Err(Error::corrupt(path, "it ends inside a segment"));
        }
        Ok(Opener {
            path: path.to_string(),
            key: FileKey::new(protection, path, salt),
            mark: protection.mark(),
            salt: *salt,
            content_bytes: body - segments * TAG_BYTES as u64,
            last_segment: segments - 1,
        })
    }

    /// Bytes of the whole content.
    pub fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// Checks the first [`HEADER_BYTES`] of the file.
    ///
    /// # Errors
    /// [`Error::Corrupt`] or [`Error::Newer`].
    pub fn check_header(&self, header: &[u8]) -> Result<()> {
        let Header { mark, salt, commitment } = Header::parse(&self.path, header)?;
        if mark != self.mark || salt != self.salt {
            return Err(Error::corrupt(&self.path, "it is not the file that the backup lists"));
        }
        match constant_time::verify_slices_are_equal(&commitment, &self.key.commitment()) {
            Ok(()) => Ok(()),
            Err(_) => Err(Error::corrupt(&self.path, "it was sealed under another key")),
        }
    }

    /// Where in the file the segments lie that hold a range of content, and the number of the first.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a range beyond the content.
    pub fn locate(&self, content: &Range<u64>) -> Result<(u64, Range<u64>)> {
        if content.start > content.end || content.end > self.content_bytes {
            let what = format!("it has {} bytes of content, not {}", self.content_bytes, content.end);
            return Err(Error::corrupt(&self.path, what));
        }
        let segment_bytes = SEGMENT_BYTES as u64;
        let first = content.start / segment_bytes;
        let last = content.end.saturating_sub(1).max(content.start) / segment_bytes;
        let place = |segment: u64| HEADER_BYTES as u64 + segment * (segment_bytes + TAG_BYTES as u64);
        let end_of_content = ((last + 1) * segment_bytes).min(self.content_bytes);
        let bytes = end_of_content - last.min(self.last_segment) * segment_bytes;
        let (first, last) = (first.min(self.last_segment), last.min(self.last_segment));
        Ok((first, place(first)..place(last) + bytes + TAG_BYTES as u64))
    }

    /// Opens whole segments where they lie, from number `first` on; answers their contents.
    ///
    /// # Errors
    /// [`Error::Corrupt`] naming the file and the place.
    pub fn open(&self, first: u64, mut sealed: BytesMut) -> Result<Vec<Bytes>> {
        for (segment, sealed) in (first..).zip(sealed.chunks_mut(SEGMENT_BYTES + TAG_BYTES)) {
            let nonce = nonce_of(segment, segment == self.last_segment);
            self.key.open(nonce, sealed).ok_or_else(|| {
                let at = segment * SEGMENT_BYTES as u64;
                Error::corrupt(&self.path, format!("the segment at byte {at} does not match its tag"))
            })?;
        }
        let opened = sealed.freeze();
        let starts = (0..opened.len()).step_by(SEGMENT_BYTES + TAG_BYTES);
        let end = |start: usize| (start + SEGMENT_BYTES).min(opened.len() - TAG_BYTES);
        Ok(starts.map(|start| opened.slice(start..end(start))).collect())
    }
}

/// What a file says of itself.
struct Header {
    mark: u8,
    salt: Salt,
    commitment: [u8; KEY_BYTES],
}

impl Header {
    fn parse(path: &str, header: &[u8]) -> Result<Header> {
        let part = |range: Range<usize>| header.get(range).unwrap_or_default();
        if part(0..4) != MAGIC {
            return Err(Error::corrupt(path, "it does not begin as a file of a backup does"));
        }
        if part(4..5) != [LAYOUT_VERSION] {
            return Err(Error::Newer { file: path.into(), version: part(4..5).first().copied().unwrap_or(0).into() });
        }
        let array = |range| part(range).try_into().map_err(|_| Error::corrupt(path, "its header is cut off"));
        match part(5..8) {
            [mark @ (CHECKSUMS | ENCRYPTED), 0, 0] => {
                Ok(Header { mark: *mark, salt: array(8..40)?, commitment: array(40..72)? })
            }
            _ => Err(Error::corrupt(path, "its header has a protection that does not exist")),
        }
    }
}

/// Whether the file at `path` needs a key.
///
/// # Errors
/// [`Error::Corrupt`] when it is no sealed file.
pub fn is_encrypted(path: &str, file: &[u8]) -> Result<bool> {
    Ok(Header::parse(path, file)?.mark == ENCRYPTED)
}

/// The salt that a file says it was sealed with.
///
/// # Errors
/// [`Error::Corrupt`] when it is no sealed file.
pub fn salt_of(path: &str, file: &[u8]) -> Result<Salt> {
    Ok(Header::parse(path, file)?.salt)
}

/// Seals a whole small file.
pub fn seal(protection: &Protection, path: &str, env: &Env, content: &[u8]) -> Vec<u8> {
    let mut salt = [0; SALT_BYTES];
    env.random(&mut salt);
    let segments = content.len() / SEGMENT_BYTES + 1;
    let mut out = Vec::with_capacity(HEADER_BYTES + content.len() + segments * TAG_BYTES);
    let mut sealer = Sealer::new(protection, path, &salt, &mut out);
    sealer.push(content, &mut out);
    sealer.finish(&mut out);
    out
}

/// Opens a whole small file.
///
/// # Errors
/// [`Error::Corrupt`] or [`Error::Newer`].
pub fn open(protection: &Protection, path: &str, file: Vec<u8>) -> Result<Vec<u8>> {
    let opener = Opener::new(protection, path, &salt_of(path, &file)?, file.len() as u64)?;
    opener.check_header(&file)?;
    let segments = BytesMut::from(Bytes::from(file).slice(HEADER_BYTES..));
    Ok(opener.open(0, segments)?.concat())
}
