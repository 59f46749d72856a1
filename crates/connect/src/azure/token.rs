//! Access tokens of Azure: those of an application by its secret, or those of the machine's managed identity.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use http::header::CONTENT_TYPE;
use lakeport_base::{Env, Secret};
use object_store::client::{HttpRequest, HttpRequestBody};
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::{AUTHORITY, CLIENT_ID, CLIENT_SECRET, TENANT_ID, authority, cloud, is_machine};
use crate::cx::OpenCx;
use crate::error::{Error, Result, scrub};
use crate::lease::{Lease, Source};
use crate::net::{self, Client, Redirects};
use crate::target::Target;

/// The service of every machine that hands out tokens of its identities.
const MACHINE: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

/// Who asks for tokens, and where.
pub(crate) struct Identity {
    client: Client,
    env: Env,
    url: Url,
    /// An application's request; without one it is the machine's identity that is asked for.
    form: Option<Secret<String>>,
}

impl Identity {
    /// The identity that the options of a target tell. Its tokens are for a resource, as in `https://vault.azure.net`.
    pub(crate) fn of(target: &Target, cx: &OpenCx, client: &Client, resource: &str) -> Result<Identity> {
        let env = cx.env.clone();
        if is_machine(target) {
            // No user's URI reaches the machine's service; this server asks it in its own name.
            let mut cx = cx.clone();
            cx.policy.allow_metadata_addresses = true;
            let client = Client::new(&cx, Redirects::Never, false)?;
            return Ok(Identity { client, env, url: of_machine(target, resource)?, form: None });
        }
        let (url, form) = of_application(target, resource)?;
        Ok(Identity { client: client.clone(), env, url, form: Some(form) })
    }

    fn request(&self) -> Result<HttpRequest> {
        let request = match &self.form {
            Some(form) => http::Request::post(self.url.as_str())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(HttpRequestBody::from(form.expose().clone())),
            None => http::Request::get(self.url.as_str()).header("metadata", "true").body(HttpRequestBody::empty()),
        };
        request.map_err(|_| Error::invalid(format!("invalid {AUTHORITY}")))
    }
}

fn of_machine(target: &Target, resource: &str) -> Result<Url> {
    let mut params = vec![("api-version", "2018-02-01"), ("resource", resource)];
    params.extend(target.options().get(CLIENT_ID).map(|id| ("client_id", id)));
    Url::parse_with_params(MACHINE, params).map_err(|_| Error::invalid(format!("invalid {CLIENT_ID}")))
}

/// Where an application asks, and with what.
fn of_application(target: &Target, resource: &str) -> Result<(Url, Secret<String>)> {
    let option = |name: &str| target.options().get(name).unwrap_or_default();
    let mut url = match authority(target)? {
        Some(url) => url,
        None => Url::parse(cloud(target)?.authority).map_err(|_| Error::invalid(format!("invalid {AUTHORITY}")))?,
    };
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend([option(TENANT_ID), "oauth2", "v2.0", "token"]);
    }
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    form.append_pair("client_id", option(CLIENT_ID));
    form.append_pair("client_secret", option(CLIENT_SECRET));
    form.append_pair("scope", &format!("{resource}/.default"));
    Ok((url, Secret::new(form.finish())))
}

#[async_trait]
impl Source for Identity {
    type Credential = Secret<String>;

    async fn obtain(&self) -> Result<Lease<Secret<String>>> {
        let doing = "cannot get an Azure access token";
        let asked = self.env.now();
        let (status, answer) =
            net::call_json(&self.client, self.request()?).await.map_err(|error| error.context(doing))?;
        if status != 200 {
            return Err(refusal(status, &answer).context(doing));
        }
        let token = answer["access_token"].as_str().filter(|token| net::fits_header(token));
        let token = token.ok_or_else(|| Error::io("unexpected answer").context(doing))?;
        // The machine's service writes the number as text.
        let seconds = answer["expires_in"].as_i64().or_else(|| answer["expires_in"].as_str()?.parse().ok());
        let ends = seconds.and_then(TimeDelta::try_seconds).map(|lifetime| asked + lifetime);
        Ok(Lease { credential: Arc::new(Secret::new(token.to_string())), ends })
    }
}

fn refusal(status: u16, answer: &Value) -> Error {
    let name = answer["error"].as_str().unwrap_or("no token");
    let description = answer["error_description"].as_str().unwrap_or_default();
    // The lines after the first are for Azure's support.
    let text = scrub(&format!("{name}: {}", description.lines().next().unwrap_or_default()));
    match status {
        429 | 503 => Error::throttled(text),
        500.. => Error::io(text),
        _ => Error::denied(text).with_hint("check AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"),
    }
}
