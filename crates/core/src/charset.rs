//! Text in any encoding of the web, made UTF-8 as it comes, and made of UTF-8 as it goes.

use bytes::Bytes;
use encoding_rs::{Decoder, DecoderResult, EncoderResult, Encoding, UTF_16BE, UTF_16LE};
use futures::stream::{self, StreamExt, TryStreamExt};
use lakeport_base::Sqlstate;

use crate::error::{Error, Result};
use crate::import::bytes::Pieces;

/// What text is, and what becomes of bytes that are no characters, and of characters that have no bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Charset {
    pub encoding: &'static Encoding,
    /// They are an error, not U+FFFD and `?`.
    pub strict: bool,
}

/// The text of a file; as it is where that is UTF-8.
pub(crate) fn decoded(pieces: Pieces, charset: Option<Charset>) -> Pieces {
    let Some(Charset { encoding, strict }) = charset else { return pieces };
    let mut text = Text { decoder: encoding.new_decoder_without_bom_handling(), strict, read_bytes: 0 };
    let end = stream::once(std::future::ready(Ok(None)));
    pieces.map_ok(Some).chain(end).map(move |piece| text.decode(piece?)).boxed()
}

struct Text {
    decoder: Decoder,
    strict: bool,
    read_bytes: u64,
}

impl Text {
    /// A piece as UTF-8; `None` is the end.
    ///
    /// # Errors
    /// 22021
    fn decode(&mut self, piece: Option<Bytes>) -> Result<Bytes> {
        let (bytes, last) = (piece.as_deref().unwrap_or_default(), piece.is_none());
        let capacity = self.decoder.max_utf8_buffer_length(bytes.len());
        let mut text = String::with_capacity(capacity.ok_or_else(|| Error::internal("a piece of a file is too long"))?);
        if self.strict {
            let (result, read) = self.decoder.decode_to_string_without_replacement(bytes, &mut text, last);
            if let DecoderResult::Malformed(length, after) = result {
                let at = (self.read_bytes + read as u64).saturating_sub(u64::from(length) + u64::from(after)) + 1;
                let message = format!("invalid {} at byte {at} of the file", self.decoder.encoding().name());
                return Err(Error::new(Sqlstate::CHARACTER_NOT_IN_REPERTOIRE, message)
                    .with_hint("ENCODING_ERROR_MODE = REPLACE reads them as U+FFFD"));
            }
        } else {
            // The buffer is as large as the text can be.
            let _ = self.decoder.decode_to_string(bytes, &mut text, last);
        }
        self.read_bytes += bytes.len() as u64;
        Ok(Bytes::from(text))
    }
}

/// Makes bytes of text.
pub(crate) struct Encoder {
    to: To,
    strict: bool,
}

enum To {
    Utf16(fn(u16) -> [u8; 2]),
    /// What the web encodes; it does not know how to write UTF-16.
    Other(encoding_rs::Encoder),
}

impl Encoder {
    pub fn new(Charset { encoding, strict }: Charset) -> Encoder {
        let to = match encoding {
            _ if encoding == UTF_16LE => To::Utf16(u16::to_le_bytes),
            _ if encoding == UTF_16BE => To::Utf16(u16::to_be_bytes),
            _ => To::Other(encoding.new_encoder()),
        };
        Encoder { to, strict }
    }

    /// The bytes of a text; after the `last`, also those that end a file.
    ///
    /// # Errors
    /// 22P05
    pub fn encode(&mut self, text: &str, last: bool) -> Result<Vec<u8>> {
        let encoder = match &mut self.to {
            To::Utf16(bytes) => return Ok(text.encode_utf16().flat_map(*bytes).collect()),
            To::Other(encoder) => encoder,
        };
        let (mut bytes, mut rest) = (Vec::new(), text);
        loop {
            let room = encoder.max_buffer_length_from_utf8_without_replacement(rest.len());
            bytes.reserve(room.ok_or_else(|| Error::internal("a piece of a file is too long"))?);
            let (result, read) = encoder.encode_from_utf8_to_vec_without_replacement(rest, &mut bytes, last);
            rest = &rest[read..];
            match result {
                EncoderResult::InputEmpty => return Ok(bytes),
                EncoderResult::OutputFull => {}
                EncoderResult::Unmappable(c) if self.strict => {
                    let message = format!("{} has no character {c:?} (U+{:04X})", encoder.encoding().name(), c as u32);
                    return Err(Error::new(Sqlstate::UNTRANSLATABLE_CHARACTER, message)
                        .with_hint("ENCODING_ERROR_MODE = REPLACE writes a question mark for it"));
                }
                // ASCII is what it is in every encoding that lacks characters.
                EncoderResult::Unmappable(_) => bytes.push(b'?'),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(bytes: &'static [u8], piece: usize, label: &str, strict: bool) -> Result<String> {
        let encoding = Encoding::for_label(label.as_bytes()).unwrap();
        let pieces = stream::iter(bytes.chunks(piece).map(|piece| Ok(Bytes::from_static(piece)))).boxed();
        let decoded: Vec<Bytes> = decoded(pieces, Some(Charset { encoding, strict })).try_collect().await?;
        Ok(String::from_utf8(decoded.concat()).unwrap())
    }

    #[tokio::test]
    async fn characters_may_lie_across_pieces() {
        for piece in 1..4 {
            assert_eq!(text(b"a\xD6\xD0b", piece, "gbk", true).await.unwrap(), "a中b");
            assert_eq!(text(b"a\0\xE9\0", piece, "utf-16le", true).await.unwrap(), "aé");
            assert_eq!(text(b"\xE9\x80", piece, "latin1", true).await.unwrap(), "é€");
            assert_eq!(text(b"a\xFFb\xC3", piece, "utf-8", false).await.unwrap(), "a\u{FFFD}b\u{FFFD}");
            for (broken, at) in [(b"a\xFFb".as_slice(), 2), (b"ab\xC3", 3)] {
                let error = text(broken, piece, "utf-8", true).await.unwrap_err();
                assert_eq!(error.code(), Sqlstate::CHARACTER_NOT_IN_REPERTOIRE);
                assert_eq!(error.message(), format!("invalid UTF-8 at byte {at} of the file"));
            }
        }
    }

    fn bytes(pieces: &[&str], label: &str, strict: bool) -> Result<Vec<u8>> {
        let mut encoder = Encoder::new(Charset { encoding: Encoding::for_label(label.as_bytes()).unwrap(), strict });
        let mut bytes = Vec::new();
        for piece in pieces {
            bytes.extend(encoder.encode(piece, false)?);
        }
        bytes.extend(encoder.encode("", true)?);
        Ok(bytes)
    }

    #[tokio::test]
    async fn what_is_written_can_be_read() {
        for label in ["gbk", "gb18030", "utf-16le", "utf-16be", "shift_jis", "euc-jp", "iso-2022-jp", "big5", "utf-8"] {
            let written = bytes(&["a,", "中", "\n中b"], label, true).unwrap();
            assert_eq!(text(written.leak(), 3, label, true).await.unwrap(), "a,中\n中b", "{label}");
        }
        assert_eq!(bytes(&["é€"], "latin1", true).unwrap(), b"\xE9\x80");
    }

    #[tokio::test]
    async fn characters_that_an_encoding_lacks_are_refused_or_replaced() {
        let error = bytes(&["a", "b中"], "latin1", true).unwrap_err();
        assert_eq!(error.code(), Sqlstate::UNTRANSLATABLE_CHARACTER);
        assert_eq!(error.message(), "windows-1252 has no character '中' (U+4E2D)");
        assert_eq!(bytes(&["a中中", "中b"], "latin1", false).unwrap(), b"a???b");
        let written = bytes(&["日é", "日"], "iso-2022-jp", false).unwrap();
        assert_eq!(text(written.leak(), 2, "iso-2022-jp", true).await.unwrap(), "日?日");
    }
}
