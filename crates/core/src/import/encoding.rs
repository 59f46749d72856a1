//! Text in any encoding of the web, made UTF-8 as it comes.

use bytes::Bytes;
use encoding_rs::{Decoder, DecoderResult, Encoding};
use futures::stream::{self, StreamExt, TryStreamExt};
use lakeport_base::Sqlstate;

use super::bytes::Pieces;
use crate::error::{Error, Result};

/// What text is, and what becomes of bytes that are no characters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decoding {
    pub encoding: &'static Encoding,
    /// They are an error, not U+FFFD.
    pub strict: bool,
}

/// The text of a file; as it is without a decoding.
pub(crate) fn decoded(pieces: Pieces, decoding: Option<Decoding>) -> Pieces {
    let Some(Decoding { encoding, strict }) = decoding else { return pieces };
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(bytes: &'static [u8], piece: usize, label: &str, strict: bool) -> Result<String> {
        let encoding = Encoding::for_label(label.as_bytes()).unwrap();
        let pieces = stream::iter(bytes.chunks(piece).map(|piece| Ok(Bytes::from_static(piece)))).boxed();
        let decoded: Vec<Bytes> = decoded(pieces, Some(Decoding { encoding, strict })).try_collect().await?;
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
}
