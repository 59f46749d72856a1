//! `gs://bucket/prefix`: Google Cloud Storage, through its XML interface.

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::HeaderValue;
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService};
use object_store::gcp::GoogleCloudStorageBuilder;

use super::{Access, Capability, Host, Kind, KindSpec, Role, Unknown, check_bucket};
use crate::auth;
use crate::cx::OpenCx;
use crate::error::{Error, Result};
use crate::google;
use crate::layer::{Layers, Rooted};
use crate::listing::Listings;
use crate::net::{self, Client, ENDPOINT, Redirects};
use crate::option::{OptionSpec, OptionType};
use crate::storage::Storage;
use crate::target::Target;

const BILLING_PROJECT: &str = "GOOGLE_BILLING_PROJECT";

/// The generation that a file must have: 0 when there must be none.
const PRECONDITION: &str = "x-goog-if-generation-match";

/// Where buckets are without an endpoint.
const GOOGLE: &str = "https://storage.googleapis.com";

const OPTIONS: &[OptionSpec] = &[
    auth::STORAGE_AUTH_OPTION,
    google::CREDENTIALS_OPTION,
    google::BEARER_TOKEN_OPTION,
    google::ASSUME_ROLE_OPTION,
    OptionSpec::new(BILLING_PROJECT, OptionType::Ascii, "The project that pays for the requests.")
        .public()
        .databend("billing_project")
        .materialize("BILLING PROJECT"),
    net::ENDPOINT_OPTION,
    net::CA_CERT_OPTION,
];

static SPEC: KindSpec = KindSpec {
    name: "gs",
    title: "Google Cloud Storage",
    role: Role::Storage,
    schemes: &["gs"],
    schemes_in_role: &[],
    databend_type: Some("gcs"),
    materialize_type: Some("GCS"),
    host: Host::Bucket,
    takes_user: false,
    endpoint: Some(ENDPOINT),
    options: OPTIONS,
    rules: &[google::ONE_CREDENTIAL],
    unknown: Unknown::Refused { label: "GS" },
    capability: Capability::ALL,
    help: "A bucket of Google Cloud Storage. AUTH=specified needs CREDENTIALS or BEARER_TOKEN; AUTH=implicit uses the \
           server's own account, from its environment or its machine; ASSUME_ROLE exchanges either for another \
           account's. In the kms option of a statement gs means a key: see gcp-kms.",
};

/// The kind.
pub struct Gs;

impl Kind for Gs {
    fn spec(&self) -> &'static KindSpec {
        &SPEC
    }

    fn check(&self, target: &Target) -> Result<()> {
        check_bucket(&target.uri().host)?;
        google::check(target)
    }

    fn access(&self, target: &Target) -> Access {
        auth::access(target)
    }

    fn open<'a>(&'a self, target: &'a Target, cx: &'a OpenCx) -> BoxFuture<'a, Result<Storage>> {
        async move {
            auth::check_policy(target, cx)?;
            let cx = &net::trusting(target, cx)?;
            let client = Client::new(cx, Redirects::Never, false)?;
            let endpoint = net::endpoint(target, ENDPOINT)?;
            if let Some(endpoint) = &endpoint {
                client.check(endpoint).await?;
            }
            let tokens = google::tokens(target, cx, &client, endpoint.as_ref())?;
            let store = GoogleCloudStorageBuilder::new()
                .with_bucket_name(&target.uri().host)
                .with_base_url(endpoint.as_ref().map_or(GOOGLE, |url| url.as_str().trim_end_matches('/')))
                .with_credentials(tokens)
                .with_skip_signature(target.options().get("AUTH") == Some(auth::ANONYMOUS))
                .with_retry(cx.timeouts.retries())
                .with_http_connector(Requests { client: Listings(client), project: billing_project(target)? })
                .build()?;
            Ok(Layers::new(cx, &SPEC).wrap_with_uploads(Rooted::new(store, target.prefix()?)))
        }
        .boxed()
    }
}

fn billing_project(target: &Target) -> Result<Option<HeaderValue>> {
    let header = |project| {
        HeaderValue::from_str(project).map_err(|_| Error::invalid(format!("invalid {BILLING_PROJECT} {project:?}")))
    };
    target.options().get(BILLING_PROJECT).map(header).transpose()
}

/// Sends the storage client's requests, with what it does not know of or puts wrong.
#[derive(Clone, Debug)]
struct Requests {
    client: Listings,
    /// Who pays for them.
    project: Option<HeaderValue>,
}

impl HttpConnector for Requests {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Requests {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let headers = request.headers_mut();
        if let Some(project) = &self.project {
            headers.insert("x-goog-user-project", project.clone());
        }
        // The client takes the two modes of a copy for each other: that which may overwrite has the precondition.
        if headers.contains_key("x-goog-copy-source") && headers.remove(PRECONDITION).is_none() {
            headers.insert(PRECONDITION, HeaderValue::from_static("0"));
        }
        self.client.call(request).await
    }
}
