//! Time limits: one for a request, one between two pieces of a listing, one for some progress of a body.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use object_store::{Error, Result};
use tokio::time::Instant;

use crate::error::Error as ConnectError;

fn expired(kind: &'static str, limit: Duration) -> Error {
    let error = ConnectError::timeout(format!("no answer from {kind} within {} s", limit.as_secs_f64()));
    Error::Generic { store: kind, source: Box::new(error) }
}

/// Gives a request so long.
pub(super) async fn limit<T>(
    kind: &'static str,
    limit: Duration,
    request: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::time::timeout(limit, request).await.unwrap_or_else(|_| Err(expired(kind, limit)))
}

/// Gives each item of a stream so long; a stream that stalls ends with an error.
pub(super) fn idle<T: Send + 'static>(
    kind: &'static str,
    limit: Duration,
    stream: BoxStream<'static, Result<T>>,
) -> BoxStream<'static, Result<T>> {
    futures::stream::unfold(Some(stream), move |stream| async move {
        let mut stream = stream?;
        match tokio::time::timeout(limit, stream.next()).await {
            Ok(item) => item.map(|item| (item, Some(stream))),
            Err(_) => Some((Err(expired(kind, limit)), None)),
        }
    })
    .fuse()
    .boxed()
}

/// What of a body must come within the idle limit, in bytes: a peer that sends less has as good as stalled.
const PROGRESS_BYTES: usize = 1024;

/// Gives each [`PROGRESS_BYTES`] of a body so long. Only waiting for the peer counts, not what the reader does between.
pub(super) fn steady(
    kind: &'static str,
    limit: Duration,
    body: BoxStream<'static, Result<Bytes>>,
) -> BoxStream<'static, Result<Bytes>> {
    let start = Some((body, Duration::ZERO, 0));
    futures::stream::unfold(start, move |state| async move {
        let (mut body, waited, received) = state?;
        let asked = Instant::now();
        match tokio::time::timeout(limit.saturating_sub(waited), body.next()).await {
            Ok(Some(Ok(bytes))) => {
                let received = received + bytes.len();
                let (waited, received) =
                    if received < PROGRESS_BYTES { (waited + asked.elapsed(), received) } else { (Duration::ZERO, 0) };
                Some((Ok(bytes), Some((body, waited, received))))
            }
            Ok(end) => end.map(|error| (error, None)),
            Err(_) => Some((Err(expired(kind, limit)), None)),
        }
    })
    .fuse()
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stalled_stream_ends() {
        let stalled = futures::stream::iter([Ok(1)]).chain(futures::stream::pending()).boxed();
        let items: Vec<_> = idle("s3", Duration::from_millis(20), stalled).collect().await;
        assert_eq!(items.len(), 2);
        let error = ConnectError::from(items.into_iter().nth(1).unwrap().unwrap_err());
        assert_eq!(error.to_string(), "no answer from s3 within 0.02 s");
    }

    /// A body of so many pieces, one every 5 ms.
    fn dripping(pieces: usize, piece: Bytes) -> BoxStream<'static, Result<Bytes>> {
        let next = move |left: usize| {
            let piece = piece.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                (left > 0).then(|| (Ok(piece), left - 1))
            }
        };
        futures::stream::unfold(pieces, next).boxed()
    }

    #[tokio::test]
    async fn a_body_that_drips_ends() {
        let limit = Duration::from_millis(300);
        let read = |pieces, piece: Bytes| steady("s3", limit, dripping(pieces, piece)).collect::<Vec<_>>();
        let slow = read(1000, Bytes::from_static(b"x")).await;
        assert!(slow.len() < 1000 && slow.last().is_some_and(Result::is_err), "{} pieces", slow.len());
        let steady = read(80, vec![0; PROGRESS_BYTES].into()).await;
        assert_eq!((steady.len(), steady.iter().all(Result::is_ok)), (80, true));
        assert_eq!(read(3, Bytes::from_static(b"x")).await.len(), 3);
    }
}
