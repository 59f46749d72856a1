//! Bodies of answers, read whole: a far side may send more than it should.

use bytes::Bytes;
use futures::{Stream, TryStreamExt};

use crate::error::{Error, Result};

/// The pieces of a body in one.
///
/// # Errors
/// That of a piece, or more than `bytes_max`.
pub(crate) async fn read_whole(pieces: impl Stream<Item = Result<Bytes>>, bytes_max: usize) -> Result<Vec<u8>> {
    let append = |mut whole: Vec<u8>, piece: Bytes| async move {
        if piece.len() > bytes_max - whole.len() {
            return Err(Error::limit(format!("the answer is longer than {bytes_max} bytes")));
        }
        whole.extend_from_slice(&piece);
        Ok(whole)
    };
    pieces.try_fold(Vec::new(), append).await
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn a_long_body_is_not_read_to_its_end() {
        let pieces = |count| stream::iter(vec![Ok(Bytes::from_static(b"abc")); count]);
        assert_eq!(read_whole(pieces(2), 6).await.unwrap(), b"abcabc");
        let endless = stream::repeat_with(|| Ok(Bytes::from_static(b"abc")));
        assert!(matches!(read_whole(endless, 7).await, Err(Error::Limit(_))));
    }
}
