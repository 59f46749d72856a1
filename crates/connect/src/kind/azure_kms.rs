//! `azure-kms:///key/version`: keys of Azure Key Vault, through its REST interface.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::FutureExt;
use futures::future::BoxFuture;
use lakeport_base::Secret;
use serde_json::{Value, json};
use url::Url;

use super::{Access, Capability, Host, Kind, KindSpec, Role, Unknown};
use crate::auth::{self, IMPLICIT};
use crate::azure::{self, Identity};
use crate::cx::OpenCx;
use crate::error::{Error, Result, scrub};
use crate::kms::{self, Cipher, Kms};
use crate::layer::watch_key;
use crate::lease::Renewed;
use crate::net::{self, Client, ENDPOINT, Redirects};
use crate::option::{Need, OptionSpec, OptionType};
use crate::target::Target;

const VAULT_NAME: &str = "AZURE_VAULT_NAME";

/// How keys encrypt: RSA with padding that every key size from 2048 bits on has room for.
const ALGORITHM: &str = "RSA-OAEP-256";
/// The version of the interface.
const API_VERSION: &str = "7.4";

const OPTIONS: &[OptionSpec] = &[
    auth::AUTH_OPTION,
    OptionSpec {
        need: Need::Required,
        ..OptionSpec::new(VAULT_NAME, OptionType::Text, "The name of the vault.")
            .public()
            .identifying()
            .databend("vault_name")
            .materialize("VAULT NAME")
    },
    azure::CLIENT_ID_OPTION,
    azure::CLIENT_SECRET_OPTION,
    azure::TENANT_ID_OPTION,
    azure::ENVIRONMENT_OPTION,
    net::ENDPOINT_OPTION,
    azure::AUTHORITY_OPTION,
    net::CA_CERT_OPTION,
];

static SPEC: KindSpec = KindSpec {
    name: "azure-kms",
    title: "Azure KMS",
    role: Role::Kms,
    schemes: &["azure-kms"],
    schemes_in_role: &[],
    databend_type: Some("azure-kms"),
    materialize_type: Some("AZURE KMS"),
    host: Host::Nothing,
    takes_user: false,
    endpoint: Some(ENDPOINT),
    options: OPTIONS,
    rules: &[],
    unknown: Unknown::Refused { label: "KMS" },
    capability: Capability::NO_FILES,
    help: "A version of an RSA key in Azure Key Vault, as in <key>/<version>; it wraps with RSA-OAEP-256. \
           AUTH=specified needs AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET; AUTH=implicit uses the \
           managed identity of the server's machine. Either needs the rights to wrap and unwrap keys.",
};

/// The kind.
pub struct AzureKms;

impl Kind for AzureKms {
    fn spec(&self) -> &'static KindSpec {
        &SPEC
    }

    fn check(&self, target: &Target) -> Result<()> {
        let options = target.options();
        if kms::key_segments(target)?.len() != 2 {
            return Err(Error::invalid("azure kms key must be of form 'id/version'")
                .with_hint("write azure-kms:///<key>/<version>"));
        }
        if options.get("AUTH") != Some(IMPLICIT) && !azure::has_application(target) {
            return Err(Error::invalid("azure kms requires explicit auth (RBAC) or implicit auth")
                .with_hint("add AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or AUTH=implicit"));
        }
        azure::check_name(target, VAULT_NAME, b"-")?;
        azure::check(target)?;
        auth::keep_own_token(target, net::endpoint(target, ENDPOINT)?.as_ref(), azure::cloud(target)?.vaults)
    }

    fn access(&self, target: &Target) -> Access {
        auth::access(target)
    }

    fn open_kms<'a>(&'a self, target: &'a Target, cx: &'a OpenCx) -> BoxFuture<'a, Result<Arc<dyn Kms>>> {
        async move {
            auth::check_policy(target, cx)?;
            let cx = &net::trusting(target, cx)?;
            let client = Client::new(cx, Redirects::Never, false)?;
            for url in [net::endpoint(target, ENDPOINT)?, azure::authority(target)?].into_iter().flatten() {
                client.check(&url).await?;
            }
            let resource = format!("https://{}", azure::cloud(target)?.vaults);
            let identity = Identity::of(target, cx, &client, &resource)?;
            let tokens = Renewed::new(identity, cx.env.clone());
            let key = Key { vault: vault(target)?, client, tokens, id: kms::key_id(target)?.to_string() };
            watch_key(target, cx, key)
        }
        .boxed()
    }
}

fn vault(target: &Target) -> Result<Url> {
    if let Some(endpoint) = net::endpoint(target, ENDPOINT)? {
        return Ok(endpoint);
    }
    let name = target.options().get(VAULT_NAME).unwrap_or_default();
    let url = Url::parse(&format!("https://{name}.{}", azure::cloud(target)?.vaults));
    url.map_err(|_| Error::invalid(format!("invalid {VAULT_NAME} {name:?}")))
}

struct Key {
    vault: Url,
    client: Client,
    tokens: Renewed<Identity>,
    id: String,
}

#[async_trait]
impl Cipher for Key {
    async fn encrypt(&self, plaintext: &Secret<Vec<u8>>) -> Result<Vec<u8>> {
        let refused = |status, error: &Value| refusal(status, error);
        self.ask("wrapkey", plaintext.expose(), refused).await
    }

    async fn decrypt(&self, ciphertext: &[u8]) -> Result<Secret<Vec<u8>>> {
        // The vault does not say what is wrong with a parameter; of these only the ciphertext can be.
        let refused = |status, error: &Value| match error["code"].as_str() {
            Some("BadParameter") => kms::foreign_ciphertext(&self.id),
            _ => refusal(status, error),
        };
        self.ask("unwrapkey", ciphertext, refused).await.map(Secret::new)
    }
}

impl Key {
    async fn ask(&self, verb: &str, value: &[u8], refused: impl Fn(u16, &Value) -> Error) -> Result<Vec<u8>> {
        let mut url = self.vault.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("keys").extend(self.id.split('/')).push(verb);
        }
        url.set_query(Some(&format!("api-version={API_VERSION}")));
        let token = self.tokens.current().await?;
        let body = json!({ "alg": ALGORITHM, "value": URL_SAFE_NO_PAD.encode(value) });
        match net::post_json(&self.client, &url, token.expose(), &body).await? {
            (200, answer) => self.taken(&answer).ok_or_else(kms::incomplete_answer),
            (status, answer) => Err(refused(status, &answer["error"])),
        }
    }

    /// The bytes of an answer of this version of this key.
    fn taken(&self, answer: &Value) -> Option<Vec<u8>> {
        let of_key = answer["kid"].as_str()?.strip_suffix(&self.id)?.ends_with("/keys/");
        let bytes = URL_SAFE_NO_PAD.decode(answer["value"].as_str()?.trim_end_matches('=')).ok()?;
        of_key.then_some(bytes)
    }
}

/// Classifies an answer by the vault's names of the failure, or by its HTTP status.
fn refusal(status: u16, error: &Value) -> Error {
    let Some(code) = error["code"].as_str() else { return kms::refused(status, None) };
    let inner = error["innererror"]["code"].as_str().unwrap_or_default();
    let text = scrub(&format!("{code}: {}", error["message"].as_str().unwrap_or_default()));
    // Keys outside the time that they are set to be used in answer like disabled ones.
    if matches!(inner, "KeyDisabled" | "KeyNotYetValid" | "KeyExpired") || text.contains("disabled key") {
        return Error::disabled(text);
    }
    kms::refused(status, Some(text))
}

#[cfg(test)]
mod tests;
