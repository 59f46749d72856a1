//! Credentials that end, renewed in time.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use lakeport_base::Env;
use object_store::client::CredentialProvider;
use tokio::sync::Mutex;

use crate::error::Result;

/// Credentials are renewed so long before they end.
const RENEWED_BEFORE: TimeDelta = TimeDelta::minutes(5);

/// A credential and when it ends.
pub(crate) struct Lease<T> {
    /// What requests are signed with.
    pub credential: Arc<T>,
    /// Never, when it is not told.
    pub ends: Option<DateTime<Utc>>,
}

/// Where credentials that end come from.
#[async_trait]
pub(crate) trait Source: Send + Sync {
    /// What is obtained.
    type Credential: Send + Sync;

    /// Obtains a new one.
    async fn obtain(&self) -> Result<Lease<Self::Credential>>;
}

/// Keeps a credential until shortly before it ends.
pub(crate) struct Renewed<S: Source> {
    source: S,
    env: Env,
    lease: Mutex<Option<Lease<S::Credential>>>,
}

impl<S: Source> Renewed<S> {
    /// Obtains the first credential when it is first asked for.
    pub(crate) fn new(source: S, env: Env) -> Self {
        Self { source, env, lease: Mutex::new(None) }
    }

    /// The credential to use now.
    pub(crate) async fn current(&self) -> Result<Arc<S::Credential>> {
        let mut lease = self.lease.lock().await;
        let fresh = |lease: &&Lease<_>| lease.ends.is_none_or(|ends| ends - RENEWED_BEFORE > self.env.now());
        if let Some(lease) = lease.as_ref().filter(fresh) {
            return Ok(Arc::clone(&lease.credential));
        }
        Ok(Arc::clone(&lease.insert(self.source.obtain().await?).credential))
    }
}

impl<S: Source> fmt::Debug for Renewed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewed")
    }
}

/// Hands out the credentials to the storage client.
#[async_trait]
impl<S: Source + 'static> CredentialProvider for Renewed<S>
where
    S::Credential: fmt::Debug + 'static,
{
    type Credential = S::Credential;

    async fn get_credential(&self) -> object_store::Result<Arc<S::Credential>> {
        let failed = |error| object_store::Error::Generic { store: "credentials", source: Box::new(error) };
        self.current().await.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    struct Counted(AtomicI64, DateTime<Utc>);

    #[async_trait]
    impl Source for Counted {
        type Credential = i64;

        async fn obtain(&self) -> Result<Lease<i64>> {
            let nth = self.0.fetch_add(1, Ordering::SeqCst);
            Ok(Lease { credential: Arc::new(nth), ends: Some(self.1 + TimeDelta::hours(nth + 1)) })
        }
    }

    #[tokio::test]
    async fn credentials_are_renewed_before_they_end() {
        let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let minutes = Arc::new(AtomicI64::new(0));
        let clock = Arc::clone(&minutes);
        let env = Env::with_clock(move || start + TimeDelta::minutes(clock.load(Ordering::SeqCst)));
        let renewed = Renewed::new(Counted(Default::default(), start), env);
        for (minute, nth) in [(0, 0), (54, 0), (55, 1), (114, 1), (116, 2)] {
            minutes.store(minute, Ordering::SeqCst);
            assert_eq!(*renewed.current().await.unwrap(), nth, "minute {minute}");
        }
    }
}
