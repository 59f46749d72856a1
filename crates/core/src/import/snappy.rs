//! Snappy's frames, unpacked one by one as they come.

use std::io::{self, Cursor, Read};

use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::{self, BoxStream, StreamExt};
use snap::read::FrameDecoder;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The kind of a frame, then its length.
const HEADER_BYTES: usize = 4;

/// The content of all frames.
pub(super) fn unpacked<R>(reader: R) -> BoxStream<'static, io::Result<Bytes>>
where
    R: AsyncRead + Unpin + Send + 'static,
{
    let frames = Frames { reader, decoder: FrameDecoder::new(Cursor::default()) };
    // That of some frames is none of the content.
    stream::try_unfold(frames, Frames::next).try_filter(|content| std::future::ready(!content.is_empty())).boxed()
}

struct Frames<R> {
    reader: R,
    /// Sees one whole frame after another.
    decoder: FrameDecoder<Cursor<Vec<u8>>>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let mut frame = vec![0; HEADER_BYTES];
        if self.reader.read(&mut frame[..1]).await? == 0 {
            return Ok(None);
        }
        self.reader.read_exact(&mut frame[1..]).await?;
        let length = u32::from_le_bytes([frame[1], frame[2], frame[3], 0]);
        (&mut self.reader).take(length.into()).read_to_end(&mut frame).await?;
        *self.decoder.get_mut() = Cursor::new(frame);
        let mut content = Vec::new();
        self.decoder.read_to_end(&mut content)?;
        Ok(Some((content.into(), self)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut encoder = snap::write::FrameEncoder::new(Vec::new());
        encoder.write_all(content).unwrap();
        encoder.into_inner().unwrap()
    }

    async fn content(file: Vec<u8>) -> io::Result<Vec<u8>> {
        let pieces: Vec<Bytes> = unpacked(Cursor::new(file)).try_collect().await?;
        Ok(pieces.concat())
    }

    #[tokio::test]
    async fn frames_become_their_content() {
        let long = b"1,one\n2,two\n".repeat(50_000);
        assert_eq!(content(packed(&long)).await.unwrap(), long);
        // Files that follow each other, with padding between them.
        let joined = [packed(b"a"), vec![0xFE, 3, 0, 0, 9, 9, 9], packed(b"b")].concat();
        assert_eq!(content(joined).await.unwrap(), b"ab");
        assert_eq!(content(Vec::new()).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn broken_frames_are_refused() {
        let whole = packed(&b"1,one\n".repeat(20_000));
        for length in [1, 3, 9, 12, 30, whole.len() - 1] {
            assert!(content(whole[..length].to_vec()).await.is_err(), "{length}");
        }
        let mut changed = whole.clone();
        changed[14] ^= 1;
        assert!(content(changed).await.unwrap_err().to_string().contains("checksum"));
        assert!(content(b"1,one\n2,two\n".to_vec()).await.is_err());
        let huge = [&whole[..10], &[0, 0xFF, 0xFF, 0xFF], &[0; 100]].concat();
        assert!(content(huge).await.is_err());
    }
}
