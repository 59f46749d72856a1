//! `aws-kms:///key`: keys of Amazon's key management service and of servers that speak its protocol.

mod transport;

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_kms::Client as Service;
use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::config::retry::{ReconnectMode, RetryConfig};
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{BehaviorVersion, Config, IdentityCache, Region, StalledStreamProtectionConfig};
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use futures::FutureExt;
use futures::future::BoxFuture;
use lakeport_base::Secret;

use self::transport::{Keys, Transport};
use super::{Access, Capability, Host, Kind, KindSpec, Role, Unknown};
use crate::auth;
use crate::aws;
use crate::cx::OpenCx;
use crate::error::{Error, Result, answer_of, scrub};
use crate::kms::{self, Cipher, Kms};
use crate::layer::watch_key;
use crate::net::{self, Client, Redirects};
use crate::option::{OptionSpec, OptionType};
use crate::target::Target;

const OPTIONS: &[OptionSpec] = &[
    auth::AUTH_OPTION,
    aws::KEY_ID_OPTION,
    aws::SECRET_KEY_OPTION,
    aws::SESSION_TOKEN_OPTION,
    OptionSpec::new("REGION", OptionType::Text, "The region of the key; required.")
        .public()
        .identifying()
        .databend("region")
        .materialize("REGION"),
    OptionSpec::new(aws::ENDPOINT, OptionType::Text, "The address of another server that speaks the protocol.")
        .public()
        .databend("endpoint_url")
        .materialize("ENDPOINT"),
    aws::ROLE_OPTION,
];

static SPEC: KindSpec = KindSpec {
    name: "aws-kms",
    title: "AWS KMS",
    role: Role::Kms,
    schemes: &["aws-kms", "aws"],
    schemes_in_role: &[],
    databend_type: Some("aws-kms"),
    materialize_type: Some("AWS KMS"),
    host: Host::Nothing,
    takes_user: false,
    endpoint: Some(aws::ENDPOINT),
    options: OPTIONS,
    rules: &[aws::NEEDS_KEY_ID, aws::NEEDS_SECRET_KEY],
    unknown: Unknown::Refused { label: "KMS" },
    capability: Capability::NO_FILES,
    help: "A key of Amazon's key management service: its id, its ARN, or an alias such as alias/backups. It must be a \
           symmetric key for encryption. Credentials come from the URI, or with AUTH=implicit from the server's \
           environment; ASSUME_ROLE exchanges them for those of a role.",
};

/// The kind.
pub struct AwsKms;

impl Kind for AwsKms {
    fn spec(&self) -> &'static KindSpec {
        &SPEC
    }

    fn check(&self, target: &Target) -> Result<()> {
        kms::key_id(target)?;
        region(target)?;
        aws::check(target, "REGION")
    }

    fn access(&self, target: &Target) -> Access {
        auth::access(target)
    }

    fn open_kms<'a>(&'a self, target: &'a Target, cx: &'a OpenCx) -> BoxFuture<'a, Result<Arc<dyn Kms>>> {
        async move {
            auth::check_policy(target, cx)?;
            let client = Client::new(cx, Redirects::Never, false)?;
            let endpoint = net::endpoint(target, aws::ENDPOINT)?;
            if let Some(endpoint) = &endpoint {
                client.check(endpoint).await?;
            }
            let region = region(target)?;
            let keys = aws::credentials(target, cx, &client, endpoint.as_ref(), region).await?;
            let config = Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new(region.to_string()))
                .credentials_provider(Keys(keys))
                .identity_cache(IdentityCache::no_cache())
                // Connections are the HTTP client's: the library would look for them, and complain of each failure.
                .retry_config(RetryConfig::disabled().with_reconnect_mode(ReconnectMode::ReuseAllConnections))
                .timeout_config(TimeoutConfig::disabled())
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
                .http_client(Transport(client));
            let config = match endpoint {
                Some(endpoint) => config.endpoint_url(endpoint),
                None => config,
            };
            let key = Key { service: Service::from_conf(config.build()), id: kms::key_id(target)?.to_string() };
            watch_key(target, cx, key)
        }
        .boxed()
    }
}

fn region(target: &Target) -> Result<&str> {
    let region = target.options().get("REGION");
    region.ok_or_else(|| {
        Error::invalid("could not find the aws kms region").with_hint("add REGION=<region>, such as REGION=us-east-1")
    })
}

struct Key {
    service: Service,
    id: String,
}

#[async_trait]
impl Cipher for Key {
    async fn encrypt(&self, plaintext: &Secret<Vec<u8>>) -> Result<Vec<u8>> {
        let request = self.service.encrypt().key_id(&self.id).plaintext(Blob::new(plaintext.expose().clone()));
        let answer = request.send().await.map_err(|error| self.failure(&error))?;
        answer.ciphertext_blob.map(Blob::into_inner).ok_or_else(kms::incomplete_answer)
    }

    async fn decrypt(&self, ciphertext: &[u8]) -> Result<Secret<Vec<u8>>> {
        let request = self.service.decrypt().key_id(&self.id).ciphertext_blob(Blob::new(ciphertext));
        let answer = request.send().await.map_err(|error| self.failure(&error))?;
        answer.plaintext.map(Blob::into_inner).map(Secret::new).ok_or_else(kms::incomplete_answer)
    }
}

impl Key {
    /// Classifies an answer by its code; one that is not of the service by its status; what is no answer by what kept
    /// it away.
    fn failure<E>(&self, error: &SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let Some(code) = error.as_service_error().and_then(ProvideErrorMetadata::code) else {
            return match error.raw_response() {
                Some(answer) => {
                    let body = String::from_utf8_lossy(answer.body().bytes().unwrap_or_default());
                    kms::refused(answer.status().as_u16(), answer_of(&body))
                }
                None => Error::from_source(error),
            };
        };
        let message = error.message().unwrap_or_default();
        let text = scrub(&if message.is_empty() { code.to_string() } else { format!("{code}: {message}") });
        // The same failures are called with and without "Exception", by service and version.
        match code.trim_end_matches("Exception") {
            "Disabled" | "KMSInvalidState" => Error::disabled(text),
            "NotFound" => Error::not_found(text).with_hint("check the key, REGION and AWS_ENDPOINT"),
            "InvalidCiphertext" | "IncorrectKey" => kms::foreign_ciphertext(&self.id),
            "InvalidKeyUsage" => Error::invalid(text).with_hint("use a symmetric key for encryption"),
            "Throttling" | "LimitExceeded" | "RequestLimitExceeded" | "TooManyRequests" => Error::throttled(text),
            "DependencyTimeout" | "KMSInternal" | "KeyUnavailable" | "InternalFailure" | "ServiceUnavailable" => {
                Error::io(text)
            }
            "Validation" | "InvalidArn" => Error::invalid(text),
            _ => kms::denied(text),
        }
    }
}

#[cfg(test)]
mod tests;
