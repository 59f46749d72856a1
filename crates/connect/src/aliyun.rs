//! Keys of Alibaba Cloud: written in the URI, taken from the server's environment, or those of an assumed role.

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::hmac::HMAC_SHA256;
use chrono::DateTime;
use http::header::{ACCEPT, AUTHORIZATION, HOST};
use lakeport_base::{Env, Secret, hex};
use object_store::client::{HttpRequest, HttpRequestBody};
use serde_json::Value;
use url::Url;

use crate::auth::IMPLICIT;
use crate::error::{Error, Result, scrub};
use crate::lease::{Lease, Renewed, Source};
use crate::net::{self, Client};
use crate::relatives::{KeyProvider, Keys, escaped, keyed, parameters, set, set_parameters};
use crate::role::{self, RoleStep};
use crate::target::Target;

/// What of the environment holds the server's own keys: id, secret, and the token of temporary ones.
const OWN_KEYS: [&str; 3] =
    ["ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"];

/// What the vendor's own headers begin with.
const PREFIX: &str = "x-acs-";

/// Where and how roles are assumed.
#[derive(Clone)]
pub(crate) struct Sts {
    /// The server.
    pub url: Url,
    /// Sends the requests.
    pub client: Client,
    /// Clock and randomness.
    pub env: Env,
}

/// The keys of a target, after all roles; none for an anonymous one. Those written in it are in three options.
///
/// # Errors
/// Keys of this server's own that it does not have.
pub(crate) fn keys(target: &Target, written: [&str; 3], sts: &Sts) -> Result<Option<KeyProvider>> {
    let source = match target.options().get("AUTH") {
        Some(IMPLICIT) => Some(own_keys()?.fixed()),
        _ => Keys::of(target, written).map(Keys::fixed),
    };
    let Some(source) = source else { return Ok(None) };
    let assumed = role::roles(target)?.into_iter().fold(source, |source, role| -> KeyProvider {
        Arc::new(Renewed::new(AssumedRole { source, role, sts: sts.clone() }, sts.env.clone()))
    });
    Ok(Some(assumed))
}

fn own_keys() -> Result<Keys> {
    #[expect(clippy::disallowed_methods, reason = "where the vendor's tools look for the keys of their user")]
    let found = OWN_KEYS.map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let [Some(id), Some(secret), token] = found else {
        return Err(Error::denied("this server has no Alibaba Cloud keys of its own")
            .with_hint(format!("set {} and {} in its environment", OWN_KEYS[0], OWN_KEYS[1])));
    };
    Ok(Keys { id, secret: Secret::new(secret), token: token.map(Secret::new) })
}

struct AssumedRole {
    source: KeyProvider,
    role: RoleStep,
    sts: Sts,
}

#[async_trait]
impl Source for AssumedRole {
    type Credential = Keys;

    async fn obtain(&self) -> Result<Lease<Keys>> {
        let doing = || format!("cannot assume role {}", self.role.arn);
        let keys = self.source.get_credential().await?;
        let answer = net::call_json(&self.sts.client, self.request(&keys)?).await;
        match answer.map_err(|error| error.context(doing()))? {
            (200, answer) => lease_in(&answer).ok_or_else(|| Error::io("unexpected answer").context(doing())),
            (status, answer) => Err(refusal(status, &answer).context(doing())),
        }
    }
}

impl AssumedRole {
    fn request(&self, keys: &Keys) -> Result<HttpRequest> {
        let Sts { url, env, .. } = &self.sts;
        let request = http::Request::post(url.as_str()).header(ACCEPT, "application/json");
        let request = request.header(HOST, &url[url::Position::BeforeHost..url::Position::AfterPort]);
        let request = request.body(HttpRequestBody::empty());
        let mut request = request.map_err(|_| Error::invalid("invalid address of the token service"))?;
        let mut parameters = vec![
            ("RoleArn".to_string(), self.role.arn.clone()),
            ("RoleSessionName".to_string(), format!("lakeport-{}", env.random_hex(8))),
        ];
        parameters.extend(self.role.external_id.clone().map(|id| ("ExternalId".to_string(), id)));
        set_parameters(&mut request, &parameters)?;
        set(&mut request, "x-acs-action", "AssumeRole")?;
        set(&mut request, "x-acs-version", "2015-04-01")?;
        set(&mut request, "x-acs-date", &env.now().format("%Y-%m-%dT%H:%M:%SZ").to_string())?;
        set(&mut request, "x-acs-signature-nonce", &env.random_hex(16))?;
        if let Some(token) = &keys.token {
            set(&mut request, "x-acs-security-token", token.expose())?;
        }
        sign(&mut request, keys)?;
        Ok(request)
    }
}

/// Signs a request without a body by version 3 of the vendor's rules.
fn sign(request: &mut HttpRequest, keys: &Keys) -> Result<()> {
    let sum = |text: &str| hex::encode(digest::digest(&SHA256, text.as_bytes()).as_ref());
    set(request, "x-acs-content-sha256", &sum(""))?;
    let mut query: Vec<String> =
        parameters(request).iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    query.sort();
    let is_signed = |name: &str| name.starts_with(PREFIX) || name == HOST;
    let headers = request.headers().iter().filter(|(name, _)| is_signed(name.as_str()));
    let mut headers: Vec<_> =
        headers.map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect();
    headers.sort();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let (method, path, query) = (request.method(), request.uri().path(), query.join("&"));
    let whole = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{}", sum(""));
    let text = format!("ACS3-HMAC-SHA256\n{}", sum(&whole));
    let signature = hex::encode(&keyed(HMAC_SHA256, keys.secret.expose().as_bytes(), &text));
    let value = format!("ACS3-HMAC-SHA256 Credential={},SignedHeaders={names},Signature={signature}", keys.id);
    set(request, AUTHORIZATION.as_str(), &value)
}

fn lease_in(answer: &Value) -> Option<Lease<Keys>> {
    let text = |name: &str| answer["Credentials"][name].as_str().map(str::to_string);
    let keys = Keys {
        id: text("AccessKeyId")?,
        secret: Secret::new(text("AccessKeySecret")?),
        token: Some(Secret::new(text("SecurityToken")?)),
    };
    let ends = DateTime::parse_from_rfc3339(&text("Expiration")?).ok()?;
    Some(Lease { credential: Arc::new(keys), ends: Some(ends.to_utc()) })
}

fn refusal(status: u16, answer: &Value) -> Error {
    let code = answer["Code"].as_str().unwrap_or_default();
    if status == 429 || status >= 500 || code.starts_with("Throttling") {
        return Error::throttled(scrub(&format!("the answer is {status} {code}")));
    }
    // What follows the first sentence may repeat what was signed, tokens and external ids included.
    let message = answer["Message"].as_str().and_then(|text| text.split(". ").next()).unwrap_or("refused");
    Error::denied(scrub(&format!("{code}: {message}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The worked example of the vendor's documentation.
    #[test]
    fn signatures_are_those_of_the_vendor() {
        let secret = Secret::new("YourAccessKeySecret".to_string());
        let keys = Keys { id: "YourAccessKeyId".into(), secret, token: None };
        let request = http::Request::post(
            "https://ecs.cn-shanghai.aliyuncs.com/?RegionId=cn-shanghai&ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd",
        );
        let request = request
            .header(HOST, "ecs.cn-shanghai.aliyuncs.com")
            .header(ACCEPT, "application/json")
            .header("x-acs-action", "RunInstances")
            .header("x-acs-version", "2014-05-26")
            .header("x-acs-date", "2023-10-26T10:22:32Z")
            .header("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d");
        let mut request = request.body(HttpRequestBody::empty()).unwrap();
        sign(&mut request, &keys).unwrap();
        assert_eq!(
            request.headers()[AUTHORIZATION].to_str().unwrap(),
            "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;\
             x-acs-signature-nonce;x-acs-version,\
             Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
        );
    }

    #[test]
    fn refusals_repeat_nothing_that_was_signed() {
        let answer = json!({ "Code": "SignatureDoesNotMatch",
            "Message": "Specified signature does not match our calculation. server CanonicalRequest is [ExternalId=x]" });
        let error = refusal(400, &answer);
        assert_eq!(error.to_string(), "SignatureDoesNotMatch: Specified signature does not match our calculation");
        assert!(matches!(error, Error::Denied(_)));
        for (status, code) in [(503, "ServiceUnavailable"), (400, "Throttling.User")] {
            assert!(matches!(refusal(status, &json!({ "Code": code })), Error::Throttled(_)), "{code}");
        }
    }
}
