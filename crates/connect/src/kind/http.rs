//! `http(s)://host/path`: files of a web server, read-only.

use std::fmt;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, HeaderValue};
use lakeport_base::Secret;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpService,
};
use object_store::http::HttpBuilder;
use object_store::{ClientOptions, RetryConfig};
use url::{Url, form_urlencoded};

use super::{Access, Capability, Host, Kind, KindSpec, Role, Unknown};
use crate::cx::OpenCx;
use crate::error::{Error, Result};
use crate::layer::{Layers, ReadOnly};
use crate::net::{self, Client, Redirects};
use crate::storage::Storage;
use crate::target::{LOCALITY_PARAM, Target};

static SPEC: KindSpec = KindSpec {
    name: "http",
    title: "Web server",
    role: Role::Storage,
    schemes: &["https", "http", "file-https", "file-http"],
    schemes_in_role: &[],
    databend_type: Some("http"),
    materialize_type: None,
    host: Host::Server,
    takes_user: true,
    endpoint: None,
    options: &[],
    rules: &[],
    unknown: Unknown::PassedOn,
    capability: Capability { suffix_range: true, ..Capability::NO_FILES },
    help: "Reads files from a web server with GET. Files are named one by one: there is no listing, and nothing is \
           written. Parameters are sent to the server as they are and never shown.",
};

/// The kind.
pub struct Http;

impl Kind for Http {
    fn spec(&self) -> &'static KindSpec {
        &SPEC
    }

    fn check(&self, target: &Target) -> Result<()> {
        if target.lacks_bucket() { Ok(()) } else { base_url(target).map(drop) }
    }

    fn access(&self, _: &Target) -> Access {
        Access::Implicit
    }

    fn open<'a>(&'a self, target: &'a Target, cx: &'a OpenCx) -> BoxFuture<'a, Result<Storage>> {
        async move {
            let (client, url) = connect(target, cx).await?;
            let retry = RetryConfig { retry_timeout: cx.timeouts.retry, ..RetryConfig::default() };
            let connector = Signed::new(client, target);
            let store =
                HttpBuilder::new().with_url(url.as_str()).with_retry(retry).with_http_connector(connector).build()?;
            Ok(Layers::new(cx, &SPEC).wrap(ReadOnly::new(store, SPEC.name)))
        }
        .boxed()
    }

    /// The server must answer; what it answers for the base path does not matter.
    fn probe<'a>(&'a self, target: &'a Target, cx: &'a OpenCx) -> BoxFuture<'a, Result<()>> {
        async move {
            let (client, url) = connect(target, cx).await?;
            let request = http::Request::head(url.as_str()).body(HttpRequestBody::empty());
            let request = request.map_err(|_| Error::invalid("invalid address"))?;
            let answer = Signed::new(client, target).call(request).await;
            let answer = answer.map_err(|error| Error::from_source(&error).context(target.address()))?;
            match answer.status().as_u16() {
                401 | 403 => Err(Error::denied(format!("{} answers {}", target.address(), answer.status()))),
                _ => Ok(()),
            }
        }
        .boxed()
    }
}

fn base_url(target: &Target) -> Result<Url> {
    let uri = target.uri();
    let scheme = uri.scheme.trim_start_matches("file-");
    let invalid = |_| Error::invalid(format!("invalid host in {} URI", uri.scheme));
    let mut url = Url::parse(&format!("{scheme}://{}", uri.host)).map_err(invalid)?;
    let (host, _port) = uri.host.rsplit_once(':').filter(|(_, port)| is_port(port)).unwrap_or((&uri.host, ""));
    // What is shown and logged is the host as written: it must be the one that is reached.
    let understood = url.host_str().unwrap_or_default();
    if !understood.eq_ignore_ascii_case(host) {
        return Err(Error::invalid(format!("invalid host in {} URI", uri.scheme))
            .with_hint(format!("it would be understood as {understood:?}; write that if it is meant")));
    }
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().extend(uri.path.split('/').filter(|segment| !segment.is_empty()));
    }
    Ok(url)
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

async fn connect(target: &Target, cx: &OpenCx) -> Result<(Client, Url)> {
    net::check_switches(&cx.policy)?;
    if cx.policy.http_disabled {
        return Err(Error::forbidden("external http access disabled"));
    }
    let url = base_url(target)?;
    let client = Client::new(cx, Redirects::SameHost, false)?;
    client.check(&url).await?;
    Ok((client, url))
}

/// Adds to every request what the URI carries beside its path: parameters and a user with password.
#[derive(Clone)]
struct Signed {
    client: Client,
    query: Option<Secret<String>>,
    authorization: Option<HeaderValue>,
}

impl Signed {
    fn new(client: Client, target: &Target) -> Signed {
        let uri = target.uri();
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(uri.params.iter().filter(|(key, _)| key != LOCALITY_PARAM));
        let query = Some(query.finish()).filter(|query| !query.is_empty()).map(Secret::new);
        let authorization = uri.user.as_ref().and_then(|user| {
            let pair = format!("{user}:{}", uri.password.as_deref().unwrap_or_default());
            let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        Signed { client, query, authorization }
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signed")
    }
}

impl HttpConnector for Signed {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Signed {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if let Some(query) = &self.query {
            let uri = format!("{}?{}", request.uri(), query.expose());
            let invalid = |_| HttpError::new(HttpErrorKind::Unknown, Error::invalid("invalid address"));
            *request.uri_mut() = uri.parse().map_err(invalid)?;
        }
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        self.client.http().execute(request).await
    }
}
