//! What stands around every key: failure points, time limits, counters, and retries, which its service's clients are told not to do.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lakeport_base::{Env, Point, Retry, Secret};
use tokio::time::Instant;

use super::Meter;
use crate::cx::OpenCx;
use crate::error::{Error, Result};
use crate::kms::{self, Cipher, Kms};
use crate::target::Target;

/// The pause before the second attempt; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest pause between attempts.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Most that one attempt takes: what is asked of a key is a few bytes, and somebody waits for the answer.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);
/// After that no further attempt is begun, so that a service which is down is given up within half a minute.
const ATTEMPTS_TIME_MAX: Duration = Duration::from_secs(15);

/// Puts time limits, counters and retries around the key of a target.
pub(crate) fn watch_key(target: &Target, cx: &OpenCx, key: impl Cipher + 'static) -> Result<Arc<dyn Kms>> {
    Ok(Arc::new(WatchedKey {
        kind: target.spec().name,
        name: kms::key_name(target)?,
        key,
        env: cx.env.clone(),
        meter: cx.meter.clone(),
        request: cx.timeouts.request.min(ATTEMPT_MAX),
        retry: cx.timeouts.retry.min(ATTEMPTS_TIME_MAX),
    }))
}

struct WatchedKey<K> {
    kind: &'static str,
    name: String,
    key: K,
    env: Env,
    meter: Meter,
    /// For one attempt.
    request: Duration,
    /// For all attempts.
    retry: Duration,
}

impl<K: Cipher> WatchedKey<K> {
    async fn ask<T, F: Future<Output = Result<T>>>(&self, point: Point, request: impl Fn() -> F) -> Result<T> {
        self.env.fault(point).map_err(|error| Error::from_source(&error))?;
        let started = Instant::now();
        let mut pause = PAUSE_MIN;
        loop {
            let outcome = self.attempt(request()).await;
            match outcome {
                Err(error) if error.retry() == Retry::Later && started.elapsed() + pause < self.retry => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                outcome => return outcome,
            }
        }
    }

    async fn attempt<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        let kind = self.kind;
        let expired = |_| Err(Error::timeout(format!("no answer from {kind} within {} s", self.request.as_secs_f64())));
        let outcome = tokio::time::timeout(self.request, request).await.unwrap_or_else(expired);
        self.meter.count(kind, |usage| {
            usage.requests += 1;
            usage.errors += u64::from(outcome.is_err());
        });
        outcome
    }
}

impl<K> fmt::Debug for WatchedKey<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WatchedKey({})", self.kind)
    }
}

#[async_trait]
impl<K: Cipher> Kms for WatchedKey<K> {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn key_name(&self) -> &str {
        &self.name
    }

    async fn encrypt(&self, plaintext: &Secret<Vec<u8>>) -> Result<Vec<u8>> {
        self.ask(Point::KmsWrap, || self.key.encrypt(plaintext)).await
    }

    async fn decrypt(&self, ciphertext: &[u8]) -> Result<Secret<Vec<u8>>> {
        self.ask(Point::KmsUnwrap, || self.key.decrypt(ciphertext)).await
    }
}
