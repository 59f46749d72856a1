//! `gcp-kms:///projects/.../cryptoKeys/key`: keys of Google's key management service, through its REST interface.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc::{CRC_32_ISCSI, Crc};
use futures::FutureExt;
use futures::future::BoxFuture;
use lakeport_base::Secret;
use object_store::gcp::GcpCredentialProvider;
use serde_json::{Value, json};
use url::Url;

use super::{Access, Capability, Host, Kind, KindSpec, Role, Unknown};
use crate::auth;
use crate::cx::OpenCx;
use crate::error::{Error, Result, scrub};
use crate::google;
use crate::kms::{self, Cipher, Kms};
use crate::layer::watch_key;
use crate::net::{self, Client, ENDPOINT, Redirects};
use crate::option::OptionSpec;
use crate::target::Target;

/// Where keys are asked for without an endpoint.
const GOOGLE: &str = "https://cloudkms.googleapis.com";

const OPTIONS: &[OptionSpec] = &[
    auth::AUTH_OPTION,
    google::CREDENTIALS_OPTION,
    google::BEARER_TOKEN_OPTION,
    google::ASSUME_ROLE_OPTION,
    net::ENDPOINT_OPTION,
    net::CA_CERT_OPTION,
];

static SPEC: KindSpec = KindSpec {
    name: "gcp-kms",
    title: "GCP KMS",
    role: Role::Kms,
    schemes: &["gcp-kms"],
    schemes_in_role: &["gs"],
    databend_type: Some("gcp-kms"),
    materialize_type: Some("GCP KMS"),
    host: Host::Nothing,
    takes_user: false,
    endpoint: Some(ENDPOINT),
    options: OPTIONS,
    rules: &[google::ONE_CREDENTIAL],
    unknown: Unknown::Refused { label: "KMS" },
    capability: Capability::NO_FILES,
    help: "A key of Google's key management service, as in \
           projects/<project>/locations/<location>/keyRings/<ring>/cryptoKeys/<key>. It must be a symmetric key for \
           encryption; its primary version encrypts, and every enabled version decrypts. In the kms option of a \
           statement the scheme may also be gs; a connection of that scheme would be storage. AUTH=specified needs \
           CREDENTIALS or BEARER_TOKEN.",
};

/// The kind.
pub struct GcpKms;

impl Kind for GcpKms {
    fn spec(&self) -> &'static KindSpec {
        &SPEC
    }

    fn check(&self, target: &Target) -> Result<()> {
        kms::key_segments(target)?;
        google::check(target)
    }

    fn access(&self, target: &Target) -> Access {
        auth::access(target)
    }

    fn open_kms<'a>(&'a self, target: &'a Target, cx: &'a OpenCx) -> BoxFuture<'a, Result<Arc<dyn Kms>>> {
        async move {
            auth::check_policy(target, cx)?;
            let cx = &net::trusting(target, cx)?;
            let client = Client::new(cx, Redirects::Never, false)?;
            let endpoint = net::endpoint(target, ENDPOINT)?;
            if let Some(endpoint) = &endpoint {
                client.check(endpoint).await?;
            }
            let base = endpoint.clone().map_or_else(|| Url::parse(GOOGLE), Ok);
            let base = base.map_err(|_| Error::invalid("invalid ENDPOINT"))?;
            let tokens = google::tokens(target, cx, &client, endpoint.as_ref())?;
            let key = Key { client, base, tokens, id: kms::key_id(target)?.to_string() };
            watch_key(target, cx, key)
        }
        .boxed()
    }
}

struct Key {
    client: Client,
    base: Url,
    tokens: GcpCredentialProvider,
    id: String,
}

#[async_trait]
impl Cipher for Key {
    async fn encrypt(&self, plaintext: &Secret<Vec<u8>>) -> Result<Vec<u8>> {
        let answer = self.ask("encrypt", summed("plaintext", plaintext.expose())).await?;
        let of_key = answer["name"].as_str().and_then(|version| version.strip_prefix(&self.id));
        if answer["verifiedPlaintextCrc32c"] != true || !of_key.is_some_and(|version| version.starts_with('/')) {
            return Err(damaged());
        }
        taken(&answer, "ciphertext")
    }

    async fn decrypt(&self, ciphertext: &[u8]) -> Result<Secret<Vec<u8>>> {
        let answer = self.ask("decrypt", summed("ciphertext", ciphertext)).await?;
        taken(&answer, "plaintext").map(Secret::new)
    }
}

impl Key {
    async fn ask(&self, verb: &str, body: Value) -> Result<Value> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(format!("{}:{verb}", self.id).split('/'));
        }
        let token = google::token(&self.tokens).await?;
        match net::post_json(&self.client, &url, &token.bearer, &body).await? {
            (200, answer) => Ok(answer),
            (status, answer) => Err(self.failure(status, &answer["error"])),
        }
    }

    /// Classifies an answer by Google's name of the failure, or by its HTTP status.
    fn failure(&self, status: u16, error: &Value) -> Error {
        let message = error["message"].as_str().unwrap_or_default();
        let Some(name) = error["status"].as_str() else { return kms::refused(status, None) };
        let text = scrub(&format!("{name}: {message}"));
        match name {
            // A key version that is disabled or destroyed, or on its way to be.
            "FAILED_PRECONDITION" if message.contains("current state") => Error::disabled(text),
            "INVALID_ARGUMENT" if message.starts_with("Decryption failed") => kms::foreign_ciphertext(&self.id),
            "FAILED_PRECONDITION" => Error::invalid(text),
            _ => kms::refused(status, Some(text)),
        }
    }
}

/// A field of bytes, and its checksum beside it.
fn summed(field: &str, bytes: &[u8]) -> Value {
    json!({ field: STANDARD.encode(bytes), format!("{field}Crc32c"): crc32c(bytes).to_string() })
}

/// The bytes of a field that match the checksum beside it.
fn taken(answer: &Value, field: &str) -> Result<Vec<u8>> {
    let bytes =
        answer[field].as_str().and_then(|text| STANDARD.decode(text).ok()).ok_or_else(kms::incomplete_answer)?;
    let sum = answer[format!("{field}Crc32c")].as_str().and_then(|sum| sum.parse().ok());
    if sum == Some(crc32c(&bytes)) { Ok(bytes) } else { Err(damaged()) }
}

fn crc32c(bytes: &[u8]) -> u32 {
    const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
    CRC32C.checksum(bytes)
}

fn damaged() -> Error {
    Error::io("what was encrypted or decrypted was damaged on its way to or from the key management service")
}

#[cfg(test)]
mod tests;
