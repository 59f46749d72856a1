//! The one HTTP client behind every kind: it refuses addresses that a user's URI must not reach.

mod address;
pub mod clients;
mod json;

use std::fmt;
use std::net::IpAddr;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect;
use url::{Host, Url};

use self::clients::Terms;
pub(crate) use self::json::{call_json, post_json};
use crate::cx::{OpenCx, OutboundPolicy};
use crate::error::{Error, Result, Unanswered, chain};
use crate::option::{OptionSpec, OptionType};
use crate::target::Target;

/// Redirects followed on one host before giving up.
const REDIRECTS_MAX: usize = 5;

/// Headers whose values no log may print.
const SECRET_HEADERS: [&str; 6] = [
    "authorization",
    "x-amz-security-token",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-oss-security-token",
    "x-cos-security-token",
    "x-acs-security-token",
];

/// Chooses the process's cryptography for TLS. A later call finds the first one's choice, which is the same.
pub fn install_tls_provider() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// An extension of a request that is not made again when its answer is lost: the second would find what the first did.
#[derive(Clone, Copy, Debug)]
pub struct Unrepeated;

/// How a client treats redirects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// Answers of their own, as signed requests need.
    Never,
    /// Followed while scheme, host and port stay the same.
    SameHost,
}

/// A client with the time limits, certificates and address rules of this server.
#[derive(Clone)]
pub(crate) struct Client {
    client: reqwest::Client,
    guard: Guard,
}

impl Client {
    /// A client of this server. `skip_tls_verify` is for test servers whose owner asked for it.
    pub(crate) fn new(cx: &OpenCx, redirects: Redirects, skip_tls_verify: bool) -> Result<Client> {
        cx.clients.client(Terms {
            connect: cx.timeouts.connect,
            idle: cx.timeouts.idle,
            redirects,
            skip_tls_verify,
            allow_metadata: cx.policy.allow_metadata_addresses,
            custom_ca: cx.policy.custom_ca.clone(),
        })
    }

    /// Refuses an address before the first request, with a clear error instead of a failed connection.
    ///
    /// # Errors
    /// A forbidden address, or a name without one.
    pub(crate) async fn check(&self, url: &Url) -> Result<()> {
        let host = url.host().ok_or_else(|| Error::invalid("the address has no host"))?;
        match host {
            Host::Domain(name) => self.guard.resolve_all(name).await.map(drop),
            Host::Ipv4(ip) => self.guard.check(IpAddr::V4(ip), &ip.to_string()),
            Host::Ipv6(ip) => self.guard.check(IpAddr::V6(ip), &ip.to_string()),
        }
    }

    /// As object_store's client.
    pub(crate) fn http(&self) -> HttpClient {
        HttpClient::new(self.clone())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl HttpConnector for Client {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.http())
    }
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        for name in SECRET_HEADERS {
            if let Some(value) = request.headers_mut().get_mut(name) {
                value.set_sensitive(true);
            }
        }
        if let Err(error) = self.guard.check_literal(&request.uri().to_string()) {
            return Err(HttpError::new(HttpErrorKind::Unknown, error));
        }
        let authority = request.uri().authority().cloned();
        let unrepeated = request.extensions().get::<Unrepeated>().is_some();
        self.client.call(request).await.map_err(|error| {
            // A refused address stays refused: not a connection failure to be retried.
            let refusal = chain(&error).find_map(|cause| cause.downcast_ref::<Error>());
            let refusal = refusal.filter(|refusal| matches!(refusal, Error::Forbidden(_))).cloned();
            match (refusal, error.kind()) {
                (Some(refusal), _) => HttpError::new(HttpErrorKind::Unknown, refusal),
                // The client leaves the address out of its own errors.
                (None, kind @ (HttpErrorKind::Connect | HttpErrorKind::Timeout)) => {
                    let address = authority.map(|authority| authority.to_string()).unwrap_or_default();
                    HttpError::new(kind, Unanswered { address, source: error })
                }
                // A connection that ends before the answer counts as one on which nothing was sent.
                (None, HttpErrorKind::Request) if unrepeated => HttpError::new(HttpErrorKind::Interrupted, error),
                (None, _) => error,
            }
        })
    }
}

/// Decides which addresses may be reached, and resolves names to those only.
#[derive(Clone, Copy, Debug)]
struct Guard {
    allow_metadata: bool,
}

impl Guard {
    fn check(self, ip: IpAddr, name: &str) -> Result<()> {
        if self.allow_metadata || !address::is_metadata(ip) {
            return Ok(());
        }
        Err(Error::forbidden(format!("{name} is a link-local or metadata address"))
            .with_hint("the operator can allow it with --external-io-allow-metadata-addresses"))
    }

    fn check_literal(self, url: &str) -> Result<()> {
        let url = Url::parse(url).map_err(|error| Error::invalid(format!("invalid address: {error}")))?;
        match url.host() {
            Some(Host::Ipv4(ip)) => self.check(IpAddr::V4(ip), &ip.to_string()),
            Some(Host::Ipv6(ip)) => self.check(IpAddr::V6(ip), &ip.to_string()),
            Some(Host::Domain(_)) => Ok(()),
            None => Err(Error::invalid("the address has no host")),
        }
    }

    /// The addresses of a name, all of which must be allowed.
    async fn resolve_all(self, name: &str) -> Result<Vec<std::net::SocketAddr>> {
        // Names below localhost are this machine (RFC 6761), whether or not a resolver knows them.
        let known = if name.ends_with(".localhost") { "localhost" } else { name };
        let found = tokio::net::lookup_host((known, 0)).await;
        let found: Vec<_> = found.map_err(|_| Error::unreachable(format!("host {name:?} is not known")))?.collect();
        for socket in &found {
            self.check(socket.ip(), name)?;
        }
        Ok(found)
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = *self;
        Box::pin(async move {
            let addresses = guard.resolve_all(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn redirect_policy(redirects: Redirects) -> redirect::Policy {
    match redirects {
        Redirects::Never => redirect::Policy::none(),
        Redirects::SameHost => redirect::Policy::custom(|attempt| {
            let same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
            if !same {
                attempt.error(Error::forbidden("a redirect to another host is not followed"))
            } else if attempt.previous().len() > REDIRECTS_MAX {
                attempt.error(Error::io("too many redirects"))
            } else {
                attempt.follow()
            }
        }),
    }
}

fn certificates(pem: &str) -> Result<Vec<reqwest::Certificate>> {
    reqwest::Certificate::from_pem_bundle(pem.as_bytes())
        .map_err(|_| Error::invalid("failed to parse certificate data"))
}

/// Whether a header can hold a text: the storage clients panic over tokens that none can.
pub(crate) fn fits_header(text: &str) -> bool {
    HeaderValue::from_str(text).is_ok()
}

/// The address of a private server that an option holds; https when it names no scheme.
pub(crate) fn endpoint(target: &Target, option: &str) -> Result<Option<Url>> {
    let Some(text) = target.options().get(option) else { return Ok(None) };
    let text = if text.contains("://") { text.to_string() } else { format!("https://{text}") };
    let refuse = || {
        Error::invalid(format!("{option} must be an http or https URL of a server"))
            .with_hint("as in https://server.example:9000")
    };
    let url = Url::parse(&text).map_err(|_| refuse())?;
    let plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if matches!(url.scheme(), "http" | "https") && url.has_host() && plain { Ok(Some(url)) } else { Err(refuse()) }
}

/// The option that holds the address of a private server, where the kind has no older name for it.
pub(crate) const ENDPOINT: &str = "ENDPOINT";

/// That address.
pub(crate) const ENDPOINT_OPTION: OptionSpec =
    OptionSpec::new(ENDPOINT, OptionType::Text, "The address of another server that speaks the protocol.")
        .public()
        .databend("endpoint_url")
        .materialize("ENDPOINT");

/// Certificates that a target trusts beside the server's, for private endpoints.
pub(crate) const CA_CERT_OPTION: OptionSpec =
    OptionSpec::new("CA_CERT", OptionType::Base64, "PEM certificates to trust beside the system's, in base64.")
        .databend("ca_cert")
        .materialize("CA CERT");

/// The surroundings in which the certificates of a target's CA_CERT are trusted too.
///
/// # Errors
/// A value that holds no certificates.
pub(crate) fn trusting(target: &Target, cx: &OpenCx) -> Result<OpenCx> {
    let Some(pem) = target.options().get(CA_CERT_OPTION.name) else { return Ok(cx.clone()) };
    let unfit = || Error::invalid("failed to parse certificate data in CA_CERT").with_hint("base64 of a PEM file");
    let pem = STANDARD.decode(pem.replace(' ', "+")).map_err(|_| unfit())?;
    let pem = String::from_utf8(pem).map_err(|_| unfit())?;
    if certificates(&pem)?.is_empty() {
        return Err(unfit());
    }
    let mut cx = cx.clone();
    cx.policy.custom_ca = Some(cx.policy.custom_ca.unwrap_or_default() + &pem);
    Ok(cx)
}

/// The policy switches that forbid a kind as a whole.
pub(crate) fn check_switches(policy: &OutboundPolicy) -> Result<()> {
    if policy.disabled {
        return Err(Error::forbidden("external network access is disabled"));
    }
    Ok(())
}
