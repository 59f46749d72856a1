//! Google credentials: a service account or a token written in the URI, the server's own, or those of a service account
//! that these may act as.

use std::sync::Arc;

use async_trait::async_trait;
use base64::DecodeError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use object_store::StaticCredentialProvider;
use object_store::client::CredentialProvider;
use object_store::gcp::{GcpCredential, GcpCredentialProvider, GoogleCloudStorageBuilder};
use serde_json::{Value, json};
use url::Url;

use crate::auth::{self, ANONYMOUS, SPECIFIED};
use crate::cx::OpenCx;
use crate::error::{Error, Result, scrub};
use crate::kind::Rule;
use crate::lease::{Lease, Renewed, Source};
use crate::net::{self, Client, ENDPOINT};
use crate::option::{OptionSpec, OptionType};
use crate::role::ASSUME_ROLE;
use crate::target::Target;

const CREDENTIALS: &str = "CREDENTIALS";
const BEARER_TOKEN: &str = "BEARER_TOKEN";

/// A service account.
pub(crate) const CREDENTIALS_OPTION: OptionSpec =
    OptionSpec::new(CREDENTIALS, OptionType::Text, "The key file of a service account, in base64.")
        .authenticates()
        .databend("credential")
        .materialize("CREDENTIALS");

/// What a service account has got already.
pub(crate) const BEARER_TOKEN_OPTION: OptionSpec =
    OptionSpec::new(BEARER_TOKEN, OptionType::Ascii, "An access token, in place of CREDENTIALS.")
        .authenticates()
        .databend("bearer_token")
        .materialize("BEARER TOKEN");

/// Who to become.
pub(crate) const ASSUME_ROLE_OPTION: OptionSpec = OptionSpec::new(
    ASSUME_ROLE,
    OptionType::Text,
    "Service accounts to act as, separated by commas: the last one, through those before it.",
)
.public()
.databend("role_arn")
.materialize("ASSUME ROLE");

/// A key file gets its own tokens.
pub(crate) const ONE_CREDENTIAL: Rule = Rule::Exclusive(&[CREDENTIALS, BEARER_TOKEN]);

/// Where Google's servers are.
const DOMAIN: &str = "googleapis.com";

/// Where tokens of other service accounts are asked for without an endpoint.
const IAM: &str = "https://iamcredentials.googleapis.com";
/// What tokens are for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Checks what the options of a target say of credentials, and of where they are sent.
pub(crate) fn check(target: &Target) -> Result<()> {
    let options = target.options();
    let (key, token) = (options.get(CREDENTIALS), options.get(BEARER_TOKEN));
    if let Some(key) = key {
        key_file(key)?;
    }
    if options.get("AUTH") == Some(SPECIFIED) && key.is_none() && token.is_none() {
        return Err(Error::invalid(format!("AUTH is set to 'specified', but {CREDENTIALS} is not set")).with_hint(
            "write the service account's key file in base64, or AUTH=implicit for the server's own account",
        ));
    }
    if let Some(accounts) = options.get(ASSUME_ROLE) {
        parse_accounts(accounts)?;
        if options.get("AUTH") == Some(ANONYMOUS) {
            return Err(Error::invalid(format!("{ASSUME_ROLE} is set, but AUTH is set to 'anonymous'")));
        }
    }
    auth::keep_own_token(target, net::endpoint(target, ENDPOINT)?.as_ref(), DOMAIN)
}

/// The key file of a service account as JSON.
fn key_file(text: &str) -> Result<String> {
    let refuse = |why: String| {
        Error::invalid(format!("error getting credentials from {CREDENTIALS}: {why}"))
            .with_hint("give the JSON key file of a service account in base64, with + written as %2B")
    };
    // A plus sign that nobody escaped arrives as a space.
    let bytes = STANDARD.decode(text.replace(' ', "+")).map_err(|error| {
        let at = match error {
            DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
            DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => text.len(),
        };
        refuse(format!("illegal base64 data at input byte {at}"))
    })?;
    let json: Value = serde_json::from_slice(&bytes).map_err(|_| refuse("no JSON in it".to_string()))?;
    match ["client_email", "private_key", "private_key_id"].into_iter().find(|field| !json[field].is_string()) {
        None => Ok(json.to_string()),
        Some(field) => Err(refuse(format!("{field} is missing"))),
    }
}

/// The last account is acted as, through those before it.
fn parse_accounts(text: &str) -> Result<(Vec<&str>, &str)> {
    let mut accounts: Vec<&str> = text.split(',').collect();
    let plain = |account: &&str| account.bytes().all(|b| b.is_ascii_alphanumeric() || b"@.-_:".contains(&b));
    match accounts.pop() {
        Some(last) if !last.is_empty() && accounts.iter().chain([&last]).all(|a| plain(a) && !a.is_empty()) => {
            Ok((accounts, last))
        }
        _ => Err(Error::invalid(format!("{ASSUME_ROLE} must be a comma-separated list of service accounts"))
            .with_hint("write each by its address, as in backup@project.iam.gserviceaccount.com")),
    }
}

/// The token to use now.
pub(crate) async fn token(provider: &GcpCredentialProvider) -> Result<Arc<GcpCredential>> {
    let doing = "cannot get a Google access token";
    provider.get_credential().await.map_err(|error| Error::from(error).context(doing))
}

/// Hands out the tokens of a target. Those of other accounts are asked of the endpoint too, when there is one.
pub(crate) fn tokens(
    target: &Target,
    cx: &OpenCx,
    client: &Client,
    endpoint: Option<&Url>,
) -> Result<GcpCredentialProvider> {
    let source = Arc::new(Fit(provider(target, cx, client)?));
    let Some(accounts) = target.options().get(ASSUME_ROLE) else { return Ok(source) };
    let (delegates, account) = parse_accounts(accounts)?;
    let base = endpoint.map_or(IAM, Url::as_str).trim_end_matches('/');
    let resource = |account: &&str| format!("projects/-/serviceAccounts/{account}");
    let assumed = AssumedAccount {
        source,
        account: account.to_string(),
        delegates: delegates.iter().map(resource).collect(),
        url: Url::parse(&format!("{base}/v1/{}:generateAccessToken", resource(&account)))
            .map_err(|_| Error::invalid(format!("invalid {ASSUME_ROLE}")))?,
        client: client.clone(),
    };
    Ok(Arc::new(Renewed::new(assumed, cx.env.clone())))
}

fn provider(target: &Target, cx: &OpenCx, client: &Client) -> Result<GcpCredentialProvider> {
    let options = target.options();
    let (builder, whose) = match (options.get("AUTH"), options.get(BEARER_TOKEN), options.get(CREDENTIALS)) {
        (Some(ANONYMOUS), ..) => {
            return Ok(Arc::new(StaticCredentialProvider::new(GcpCredential { bearer: String::new() })));
        }
        (Some(SPECIFIED), Some(token), _) => {
            return Ok(Arc::new(StaticCredentialProvider::new(GcpCredential { bearer: token.to_string() })));
        }
        (Some(SPECIFIED), None, Some(key)) => {
            let builder = GoogleCloudStorageBuilder::new().with_service_account_key(key_file(key)?);
            (builder.with_http_connector(client.clone()), "the URI's")
        }
        _ => {
            // The server's own credentials may come from a metadata address, which no user's URI reaches.
            let mut cx = cx.clone();
            cx.policy.allow_metadata_addresses = true;
            let client = Client::new(&cx, net::Redirects::Never, false)?;
            (GoogleCloudStorageBuilder::from_env().with_http_connector(client), "this server's")
        }
    };
    let unfit = |_| {
        Error::denied(format!("{whose} Google credentials are not understood"))
            .with_hint("give the JSON key file of a service account")
    };
    // Only the credentials are used of it: nothing is stored in a bucket.
    let store = builder.with_bucket_name("none").build().map_err(unfit)?;
    Ok(Arc::clone(store.credentials()))
}

/// Tokens that a header can hold.
#[derive(Debug)]
struct Fit(GcpCredentialProvider);

#[async_trait]
impl CredentialProvider for Fit {
    type Credential = GcpCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<GcpCredential>> {
        let credential = self.0.get_credential().await?;
        if net::fits_header(&credential.bearer) {
            return Ok(credential);
        }
        let unfit = Error::io("the access token is no header value");
        Err(object_store::Error::Generic { store: "credentials", source: Box::new(unfit) })
    }
}

/// A service account that the source may act as.
struct AssumedAccount {
    source: GcpCredentialProvider,
    account: String,
    delegates: Vec<String>,
    url: Url,
    client: Client,
}

#[async_trait]
impl Source for AssumedAccount {
    type Credential = GcpCredential;

    async fn obtain(&self) -> Result<Lease<GcpCredential>> {
        let doing = || format!("cannot act as service account {}", self.account);
        let token = self.source.get_credential().await?;
        let body = json!({ "delegates": self.delegates, "scope": [SCOPE], "lifetime": "3600s" });
        let answer = net::post_json(&self.client, &self.url, &token.bearer, &body).await;
        let (status, answer) = answer.map_err(|error| error.context(doing()))?;
        match status {
            200 => lease_in(&answer).ok_or_else(|| Error::io("unexpected answer").context(doing())),
            429 | 500.. => Err(Error::throttled(format!("the answer is {status}")).context(doing())),
            _ => {
                let message = answer["error"]["message"].as_str().unwrap_or("refused");
                Err(Error::denied(scrub(message)).context(doing()))
            }
        }
    }
}

fn lease_in(answer: &Value) -> Option<Lease<GcpCredential>> {
    let credential =
        GcpCredential { bearer: answer["accessToken"].as_str().filter(|token| net::fits_header(token))?.to_string() };
    let ends = DateTime::parse_from_rfc3339(answer["expireTime"].as_str()?).ok()?;
    Some(Lease { credential: Arc::new(credential), ends: Some(ends.to_utc()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_a_list() {
        assert_eq!(parse_accounts("a@p.iam,b@p.iam").unwrap(), (vec!["a@p.iam"], "b@p.iam"));
        for wrong in ["", "a@p,", ",a@p", "a@p/../b", "a b"] {
            assert!(parse_accounts(wrong).is_err(), "{wrong}");
        }
    }
}
