//! This server's HTTP client and credentials as Amazon's client takes them, so that its requests keep to the same rules
//! of addresses, certificates and time as all others.

use std::fmt;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use futures::TryStreamExt;
use object_store::aws::AwsCredentialProvider;
use object_store::client::{HttpRequestBody, HttpService};

use crate::body;
use crate::error::{Error, Result};
use crate::kms::ANSWER_BYTES_MAX;
use crate::net::Client;

/// Sends the requests of Amazon's client.
#[derive(Clone, Debug)]
pub(super) struct Transport(pub Client);

impl HttpClient for Transport {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Transport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            send(&client, request).await.map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

async fn send(client: &Client, request: HttpRequest) -> Result<HttpResponse> {
    let unfit = || Error::invalid("invalid address");
    let request = request.try_into_http1x().map_err(|_| unfit())?;
    let (head, body) = request.into_parts();
    let body = HttpRequestBody::from(body.bytes().unwrap_or_default().to_vec());
    let answer = client.call(http::Request::from_parts(head, body)).await;
    let (head, body) = answer.map_err(|error| Error::from_source(&error))?.into_parts();
    let pieces = body.bytes_stream().map_err(|error| Error::from_source(&error));
    let body = body::read_whole(pieces, ANSWER_BYTES_MAX).await?;
    let answer = http::Response::from_parts(head, SdkBody::from(body));
    answer.try_into().map_err(|_| Error::io("unexpected answer"))
}

/// Hands out credentials that are kept and renewed elsewhere.
pub(super) struct Keys(pub AwsCredentialProvider);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl ProvideCredentials for Keys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            let keys = self.0.get_credential().await;
            let keys = keys.map_err(|error| CredentialsError::provider_error(Error::from(error)))?;
            Ok(Credentials::new(&keys.key_id, &keys.secret_key, keys.token.clone(), None, "lakeport"))
        })
    }
}
