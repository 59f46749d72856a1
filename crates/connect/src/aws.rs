//! Amazon credentials: written in the URI, taken from the server's environment, or those of an assumed role.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt;
use lakeport_base::Env;
use object_store::aws::{AwsAuthorizer, AwsCredential, AwsCredentialProvider};
use object_store::client::{CredentialProvider, HttpRequest, HttpRequestBody, HttpService};
use object_store::{Result as StoreResult, StaticCredentialProvider};
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};

use crate::body;
use crate::error::{Error, Result, answer_of, element};
use crate::net::Client;

/// Most that is read of an answer of STS, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Credentials are renewed so long before they end.
const RENEWED_BEFORE: TimeDelta = TimeDelta::minutes(5);

/// One step of `ASSUME_ROLE`: `arn[;external_id=id]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoleStep {
    /// The role to become.
    pub arn: String,
    /// The secret word its owner agreed on.
    pub external_id: Option<String>,
}

/// Parses a comma-separated chain of roles, first step first.
///
/// # Errors
/// A step without a role, or with something other than an external id.
pub(crate) fn parse_roles(text: &str) -> Result<Vec<RoleStep>> {
    text.split(',').map(parse_role).collect()
}

fn parse_role(text: &str) -> Result<RoleStep> {
    const EXTERNAL_ID: &str = "external_id=";
    let (arn, rest) = text.split_once(';').map_or((text, None), |(arn, rest)| (arn, Some(rest)));
    if arn.is_empty() || arn.contains(char::is_whitespace) {
        return Err(Error::invalid("ASSUME_ROLE must be a comma-separated list of roles")
            .with_hint("write each as arn:aws:iam::<account>:role/<name>, or with ;external_id=<id> after it"));
    }
    let external_id = match rest.map(|rest| rest.strip_prefix(EXTERNAL_ID)) {
        None => None,
        Some(Some(id)) if !id.is_empty() => Some(id.to_string()),
        Some(_) => return Err(Error::invalid(format!("role {arn} may be followed by ;{EXTERNAL_ID}<id> only"))),
    };
    Ok(RoleStep { arn: arn.to_string(), external_id })
}

/// Where and how roles are assumed.
#[derive(Clone)]
pub(crate) struct Sts {
    /// The STS server.
    pub url: Url,
    /// The region requests are signed for.
    pub region: String,
    /// Sends the requests.
    pub client: Client,
    /// Clock and randomness.
    pub env: Env,
}

/// Keys written in a URI.
pub(crate) fn static_keys(key_id: &str, secret_key: &str, token: Option<&str>) -> AwsCredentialProvider {
    let credential = AwsCredential {
        key_id: key_id.to_string(),
        secret_key: secret_key.to_string(),
        token: token.map(str::to_string),
    };
    Arc::new(StaticCredentialProvider::new(credential))
}

/// The server's own credentials: environment, profile, workload identity, instance.
pub(crate) async fn implicit(env: &Env, region: &str) -> Result<AwsCredentialProvider> {
    // Without a region the loader would ask the metadata service for one, and wait.
    let region = aws_config::Region::new(region.to_string());
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest()).region(region).load().await;
    let provider = config.credentials_provider();
    let provider = provider.ok_or_else(|| Error::denied("this server has no AWS credentials of its own"))?;
    Ok(Arc::new(Renewed::new(Ambient(provider), env.clone())))
}

/// The credentials at the end of a chain of roles.
pub(crate) fn assume_roles(source: AwsCredentialProvider, roles: Vec<RoleStep>, sts: &Sts) -> AwsCredentialProvider {
    roles.into_iter().fold(source, |source, role| {
        Arc::new(Renewed::new(AssumedRole { source, role, sts: sts.clone() }, sts.env.clone()))
    })
}

/// A credential and when it ends.
struct Lease {
    credential: Arc<AwsCredential>,
    ends: Option<DateTime<Utc>>,
}

/// Where credentials that end come from.
#[async_trait]
trait Source: Send + Sync {
    async fn obtain(&self) -> Result<Lease>;
}

/// Keeps a credential until shortly before it ends.
struct Renewed<S> {
    source: S,
    env: Env,
    lease: Mutex<Option<Lease>>,
}

impl<S> Renewed<S> {
    fn new(source: S, env: Env) -> Self {
        Self { source, env, lease: Mutex::new(None) }
    }
}

impl<S> fmt::Debug for Renewed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewed")
    }
}

#[async_trait]
impl<S: Source> CredentialProvider for Renewed<S> {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> StoreResult<Arc<AwsCredential>> {
        let mut lease = self.lease.lock().await;
        let fresh = |lease: &&Lease| lease.ends.is_none_or(|ends| ends - RENEWED_BEFORE > self.env.now());
        if let Some(lease) = lease.as_ref().filter(fresh) {
            return Ok(Arc::clone(&lease.credential));
        }
        let obtained = self.source.obtain().await;
        let obtained =
            obtained.map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) })?;
        Ok(Arc::clone(&lease.insert(obtained).credential))
    }
}

struct Ambient(SharedCredentialsProvider);

#[async_trait]
impl Source for Ambient {
    async fn obtain(&self) -> Result<Lease> {
        let found = self.0.provide_credentials().await;
        let found = found.map_err(|_| {
            Error::denied("this server has no AWS credentials of its own").with_hint(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in its environment, or give it an instance role",
            )
        })?;
        let credential = AwsCredential {
            key_id: found.access_key_id().to_string(),
            secret_key: found.secret_access_key().to_string(),
            token: found.session_token().map(str::to_string),
        };
        Ok(Lease { credential: Arc::new(credential), ends: found.expiry().map(DateTime::from) })
    }
}

struct AssumedRole {
    source: AwsCredentialProvider,
    role: RoleStep,
    sts: Sts,
}

#[async_trait]
impl Source for AssumedRole {
    async fn obtain(&self) -> Result<Lease> {
        let credential = self.source.get_credential().await?;
        let request = self.request(&credential)?;
        let doing = || format!("cannot assume role {}", self.role.arn);
        let answer = self.sts.client.call(request).await;
        let (head, body) = answer.map_err(|error| Error::from_source(&error).context(doing()))?.into_parts();
        let pieces = body.bytes_stream().map_err(|error| Error::from_source(&error));
        let body = body::read_whole(pieces, ANSWER_BYTES_MAX).await.map_err(|error| error.context(doing()))?;
        let body = String::from_utf8_lossy(&body);
        if !head.status.is_success() {
            let cause = answer_of(&body).unwrap_or_else(|| format!("{} answers {}", self.sts.url, head.status));
            return Err(Error::denied(cause).context(doing()));
        }
        lease_in(&body).ok_or_else(|| Error::io("unexpected answer").context(doing()))
    }
}

impl AssumedRole {
    fn request(&self, credential: &AwsCredential) -> Result<HttpRequest> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", "AssumeRole");
        form.append_pair("Version", "2011-06-15");
        form.append_pair("RoleArn", &self.role.arn);
        form.append_pair("RoleSessionName", &format!("lakeport-{}", self.sts.env.random_hex(8)));
        if let Some(id) = &self.role.external_id {
            form.append_pair("ExternalId", id);
        }
        let body = HttpRequestBody::from(form.finish());
        let request = http::Request::post(self.sts.url.as_str());
        let request = request.header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        let mut request = request.map_err(|_| Error::invalid("invalid STS address"))?;
        AwsAuthorizer::new(credential, "sts", &self.sts.region).authorize(&mut request, None);
        Ok(request)
    }
}

fn lease_in(body: &str) -> Option<Lease> {
    let credential = AwsCredential {
        key_id: element(body, "AccessKeyId")?.to_string(),
        secret_key: element(body, "SecretAccessKey")?.to_string(),
        token: Some(element(body, "SessionToken")?.to_string()),
    };
    let ends = DateTime::parse_from_rfc3339(element(body, "Expiration")?).ok()?;
    Some(Lease { credential: Arc::new(credential), ends: Some(ends.to_utc()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_roles() {
        let roles = parse_roles("arn:aws:iam::1:role/A;external_id=x y,arn:aws:iam::2:role/B").unwrap();
        assert_eq!(roles[0], RoleStep { arn: "arn:aws:iam::1:role/A".into(), external_id: Some("x y".into()) });
        assert_eq!(roles[1], RoleStep { arn: "arn:aws:iam::2:role/B".into(), external_id: None });
        for wrong in ["", "arn:a,,arn:b", "arn:a;id=1", "arn:a;external_id=", "arn:a b"] {
            assert!(parse_roles(wrong).is_err(), "{wrong}");
        }
    }

    struct Counted(std::sync::atomic::AtomicI64, DateTime<Utc>);

    #[async_trait]
    impl Source for Counted {
        async fn obtain(&self) -> Result<Lease> {
            let nth = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let credential = AwsCredential { key_id: nth.to_string(), secret_key: String::new(), token: None };
            Ok(Lease { credential: Arc::new(credential), ends: Some(self.1 + TimeDelta::hours(nth + 1)) })
        }
    }

    #[tokio::test]
    async fn credentials_are_renewed_before_they_end() {
        let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let minutes = Arc::new(std::sync::atomic::AtomicI64::new(0));
        let clock = Arc::clone(&minutes);
        let env = Env::with_clock(move || start + TimeDelta::minutes(clock.load(std::sync::atomic::Ordering::SeqCst)));
        let renewed = Renewed::new(Counted(Default::default(), start), env);
        for (minute, key) in [(0, "0"), (54, "0"), (55, "1"), (114, "1"), (116, "2")] {
            minutes.store(minute, std::sync::atomic::Ordering::SeqCst);
            assert_eq!(renewed.get_credential().await.unwrap().key_id, key, "minute {minute}");
        }
    }
}
