//! Time limits: one for a request, one between two pieces of a body or listing.

use std::future::Future;
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt};
use object_store::{Error, Result};

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
}
