//! Roles assumed one after the other, by asking STS for their credentials.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::DateTime;
use futures::TryStreamExt;
use lakeport_base::Env;
use object_store::aws::{AwsAuthorizer, AwsCredential, AwsCredentialProvider};
use object_store::client::{HttpRequest, HttpRequestBody, HttpService};
use url::{Url, form_urlencoded};

use crate::body;
use crate::error::{Error, Result, answer_of, element};
use crate::lease::{Lease, Renewed, Source};
use crate::net::Client;
use crate::role::RoleStep;

/// Most that is read of an answer of STS, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

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

/// The credentials at the end of a chain of roles.
pub(crate) fn assume_roles(source: AwsCredentialProvider, roles: Vec<RoleStep>, sts: &Sts) -> AwsCredentialProvider {
    roles.into_iter().fold(source, |source, role| {
        Arc::new(Renewed::new(AssumedRole { source, role, sts: sts.clone() }, sts.env.clone()))
    })
}

struct AssumedRole {
    source: AwsCredentialProvider,
    role: RoleStep,
    sts: Sts,
}

#[async_trait]
impl Source for AssumedRole {
    type Credential = AwsCredential;

    async fn obtain(&self) -> Result<Lease<AwsCredential>> {
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

fn lease_in(body: &str) -> Option<Lease<AwsCredential>> {
    let credential = AwsCredential {
        key_id: element(body, "AccessKeyId")?.to_string(),
        secret_key: element(body, "SecretAccessKey")?.to_string(),
        token: Some(element(body, "SessionToken")?.to_string()),
    };
    let ends = DateTime::parse_from_rfc3339(element(body, "Expiration")?).ok()?;
    Some(Lease { credential: Arc::new(credential), ends: Some(ends.to_utc()) })
}
