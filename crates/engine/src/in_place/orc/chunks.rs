//! The chunks of which the streams of a compressed ORC file consist. The decoder takes their sizes at their word, so they
//! are looked at first.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

use flate2::read::DeflateDecoder;
use orc_rust::proto::{CompressionKind, PostScript};

/// Largest block that a file may be compressed in, in bytes.
const BLOCK_BYTES_MAX: u64 = 16 << 20;
/// Block of a file that does not tell its own, in bytes.
const BLOCK_BYTES: u64 = 256 << 10;
const HEADER_BYTES: usize = 3;

/// How the streams of a file are compressed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codec {
    kind: CompressionKind,
    /// Most that a chunk may become, in bytes.
    block: usize,
}

/// A piece of a stream.
enum Chunk<'a> {
    Plain(&'a [u8]),
    Compressed(&'a [u8]),
}

/// What is wrong with a file.
pub(super) fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

impl Codec {
    /// # Errors
    /// A codec whose chunks cannot be bounded, blocks too large to be held.
    pub fn of(postscript: &PostScript) -> io::Result<Codec> {
        let kind = postscript.compression();
        if kind == CompressionKind::Lzo {
            return Err(invalid("files of LZO compression are not read"));
        }
        let block = postscript.compression_block_size.unwrap_or(BLOCK_BYTES);
        if block > BLOCK_BYTES_MAX {
            return Err(invalid(format!("blocks of {block} bytes, more than {BLOCK_BYTES_MAX}")));
        }
        Ok(Codec { kind, block: block as usize })
    }

    /// # Errors
    /// A stream that is cut off, or a chunk that becomes more than a block.
    pub fn check(self, mut stream: &[u8]) -> io::Result<()> {
        while !stream.is_empty() {
            let Chunk::Compressed(chunk) = self.split(&mut stream)? else { continue };
            match self.kind {
                CompressionKind::Snappy => drop(self.snappy_bytes(chunk)?),
                // Its decoder knows the block and has no more room.
                CompressionKind::Lz4 => {}
                _ => drop(io::copy(&mut self.inflated(chunk)?, &mut io::sink())?),
            }
        }
        Ok(())
    }

    /// The content of a short stream.
    ///
    /// # Errors
    /// As [`Codec::check`]; content of more than `bytes_max`.
    pub fn content(self, stream: &[u8], bytes_max: usize) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        self.reader(stream).take(bytes_max as u64 + 1).read_to_end(&mut content)?;
        match content.len() > bytes_max {
            true => Err(invalid(format!("a footer of more than {bytes_max} bytes"))),
            false => Ok(content),
        }
    }

    /// The content of a stream of any length, of which a chunk is in memory at a time.
    pub fn reader(self, stream: &[u8]) -> Content<'_> {
        Content { codec: self, stream, chunk: Cow::Borrowed(&[]), at: 0 }
    }

    /// Bytes as a stream of chunks that are not compressed.
    pub fn stream(self, content: &[u8]) -> Vec<u8> {
        if self.kind == CompressionKind::None {
            return content.to_vec();
        }
        let mut stream = Vec::with_capacity(content.len() + HEADER_BYTES);
        // A header has 23 bits for the length.
        for chunk in content.chunks((1 << 23) - 1) {
            let header = (chunk.len() as u32) << 1 | 1;
            stream.extend_from_slice(&header.to_le_bytes()[..HEADER_BYTES]);
            stream.extend_from_slice(chunk);
        }
        stream
    }

    /// The first chunk of what is left of a stream.
    fn split<'a>(self, stream: &mut &'a [u8]) -> io::Result<Chunk<'a>> {
        if self.kind == CompressionKind::None {
            return Ok(Chunk::Plain(std::mem::take(stream)));
        }
        let (chunk, rest) = split_chunk(stream)?;
        *stream = rest;
        Ok(chunk)
    }

    fn decompressed(self, chunk: &[u8]) -> io::Result<Vec<u8>> {
        match self.kind {
            CompressionKind::Snappy => {
                self.snappy_bytes(chunk)?;
                Ok(snap::raw::Decoder::new().decompress_vec(chunk)?)
            }
            CompressionKind::Lz4 => {
                lz4_flex::block::decompress(chunk, self.block).map_err(|error| invalid(error.to_string()))
            }
            _ => {
                let mut content = Vec::new();
                self.inflated(chunk)?.read_to_end(&mut content)?;
                Ok(content)
            }
        }
    }

    fn snappy_bytes(self, chunk: &[u8]) -> io::Result<usize> {
        let bytes = snap::raw::decompress_len(chunk)?;
        if bytes > self.block { Err(self.too_large()) } else { Ok(bytes) }
    }

    /// Decompresses a chunk of a codec that does not tell how much it becomes.
    fn inflated<'a>(self, chunk: &'a [u8]) -> io::Result<Bounded<Box<dyn Read + 'a>>> {
        let content: Box<dyn Read + 'a> = match self.kind {
            CompressionKind::Zstd => Box::new(zstd::Decoder::new(chunk)?),
            _ => Box::new(DeflateDecoder::new(chunk)),
        };
        Ok(Bounded { content, codec: self, left: self.block })
    }

    fn too_large(self) -> io::Error {
        invalid(format!("a chunk of more than {} bytes", self.block))
    }
}

/// What a stream holds.
pub(super) struct Content<'a> {
    codec: Codec,
    /// What is left of it.
    stream: &'a [u8],
    chunk: Cow<'a, [u8]>,
    /// How much of the chunk has been read.
    at: usize,
}

impl BufRead for Content<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.chunk.len() && !self.stream.is_empty() {
            self.chunk = match self.codec.split(&mut self.stream)? {
                Chunk::Plain(chunk) => Cow::Borrowed(chunk),
                Chunk::Compressed(chunk) => Cow::Owned(self.codec.decompressed(chunk)?),
            };
            self.at = 0;
        }
        Ok(&self.chunk[self.at..])
    }

    fn consume(&mut self, bytes: usize) {
        self.at += bytes;
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

fn split_chunk(stream: &[u8]) -> io::Result<(Chunk<'_>, &[u8])> {
    let cut = || invalid("a stream is cut off");
    let (header, rest) = stream.split_first_chunk::<HEADER_BYTES>().ok_or_else(cut)?;
    let header = u32::from_le_bytes([header[0], header[1], header[2], 0]);
    let (chunk, rest) = rest.split_at_checked((header >> 1) as usize).ok_or_else(cut)?;
    Ok((if header & 1 == 1 { Chunk::Plain(chunk) } else { Chunk::Compressed(chunk) }, rest))
}

/// Fails where a chunk becomes more than a block.
struct Bounded<R> {
    content: R,
    codec: Codec,
    left: usize,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.left = self.left.checked_sub(read).ok_or_else(|| self.codec.too_large())?;
        Ok(read)
    }
}
