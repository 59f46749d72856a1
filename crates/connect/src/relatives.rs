//! Services whose protocol is S3's but for its signature and the names of its headers. The S3 client speaks, unsigned; what
//! it says is put into the vendor's words here, and signed by the vendor's rules.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::hmac;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderName, HeaderValue, Method};
use lakeport_base::Secret;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    CredentialProvider, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::{ClientOptions, StaticCredentialProvider};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::{Url, form_urlencoded};

use crate::auth::{self, ANONYMOUS};
use crate::cx::OpenCx;
use crate::error::{Error, Result};
use crate::layer::{Layers, Rooted};
use crate::listing;
use crate::net::{self, Client, Redirects};
use crate::storage::Storage;
use crate::target::Target;

/// What is never escaped in what is signed.
const SIGNED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The prefix of the S3 client's own headers.
const AMAZON: &str = "x-amz-";

/// What a vendor does otherwise than Amazon.
pub(crate) trait Vendor: Clone + Send + Sync + 'static {
    /// What its own headers begin with.
    const PREFIX: &'static str;

    /// How a file to be copied is named, given `bucket/path`.
    fn copy_source(&self, source: &str) -> String;

    /// Changes what is special in a request.
    ///
    /// # Errors
    /// What cannot be said.
    fn adapt(&self, _: &mut HttpRequest) -> Result<()> {
        Ok(())
    }

    /// Changes what is special in an answer to a listing.
    fn adapt_listing(&self, listing: String) -> String {
        listing
    }

    /// Signs a request with keys.
    ///
    /// # Errors
    /// Keys that no header can hold.
    fn sign(&self, request: &mut HttpRequest, keys: &Keys) -> Result<()>;
}

/// Where a bucket is asked for.
#[derive(Clone)]
pub(crate) struct Place {
    /// The server, without the bucket.
    pub endpoint: Url,
    /// The bucket.
    pub bucket: String,
}

impl Place {
    /// A server with an address in place of a name has its buckets in the path.
    fn in_path(&self) -> bool {
        self.endpoint.host_str().is_some_and(|host| host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok())
    }

    /// The address of the bucket as the storage client wants it.
    fn address(&self) -> String {
        let text = self.endpoint.as_str().trim_end_matches('/');
        match text.split_once("://") {
            Some((scheme, rest)) if !self.in_path() => format!("{scheme}://{}.{rest}", self.bucket),
            _ => text.to_string(),
        }
    }

    /// The host and port that requests go to.
    pub fn host(&self) -> String {
        let host = self.endpoint[url::Position::BeforeHost..url::Position::AfterPort].to_string();
        if self.in_path() { host } else { format!("{}.{host}", self.bucket) }
    }

    /// The bucket as others name it.
    pub fn bucket_address(&self) -> String {
        if self.in_path() { format!("{}/{}", self.host(), self.bucket) } else { self.host() }
    }

    /// The key that a request is about, not escaped; empty for the bucket.
    pub fn key(&self, request: &HttpRequest) -> String {
        let path = percent_decode_str(request.uri().path()).decode_utf8_lossy().into_owned();
        let path = path.strip_prefix('/').unwrap_or(&path);
        let key = path.strip_prefix(&self.bucket).filter(|_| self.in_path());
        key.map_or(path, |key| key.strip_prefix('/').unwrap_or(key)).to_string()
    }

    /// The store of the bucket.
    ///
    /// # Errors
    /// What the storage client cannot be built of.
    fn open(&self, cx: &OpenCx, requests: Requests<impl Vendor>) -> Result<AmazonS3> {
        let builder = AmazonS3Builder::new()
            .with_bucket_name(&self.bucket)
            .with_endpoint(self.address())
            .with_virtual_hosted_style_request(!self.in_path())
            .with_skip_signature(true)
            .with_retry(cx.timeouts.retries())
            .with_http_connector(requests);
        Ok(builder.build()?)
    }
}

/// Opens the bucket of a target whose vendor is at an endpoint. Without keys nothing is signed.
///
/// # Errors
/// An address that the policy refuses; what the storage client cannot be built of.
pub(crate) async fn open<V: Vendor>(
    target: &Target,
    cx: &OpenCx,
    endpoint: Url,
    vendor: impl FnOnce(Place, &Client) -> Result<(V, Option<KeyProvider>)> + Send,
) -> Result<Storage> {
    auth::check_policy(target, cx)?;
    let cx = &net::trusting(target, cx)?;
    let client = Client::new(cx, Redirects::Never, false)?;
    let place = Place { endpoint, bucket: target.uri().host.clone() };
    client.check(&place.endpoint).await?;
    let (vendor, keys) = vendor(place.clone(), &client)?;
    let store = place.open(cx, Requests { client, vendor, keys })?;
    Ok(Layers::new(cx, target.spec()).wrap_with_uploads(Rooted::new(store, target.prefix()?)))
}

/// Who asks.
#[derive(Debug)]
pub(crate) struct Keys {
    /// The public half.
    pub id: String,
    /// The secret half.
    pub secret: Secret<String>,
    /// What comes with keys that end.
    pub token: Option<Secret<String>>,
}

impl Keys {
    /// Those in three options of a target; none for an anonymous one.
    pub fn of(target: &Target, [id, secret, token]: [&str; 3]) -> Option<Keys> {
        let option = |name: &str| target.options().get(name).map(str::to_string);
        if option("AUTH").as_deref() == Some(ANONYMOUS) {
            return None;
        }
        // A plus sign that nobody escaped arrives as a space.
        let secret = Secret::new(option(secret)?.replace(' ', "+"));
        Some(Keys { id: option(id)?, secret, token: option(token).map(Secret::new) })
    }

    /// Hands out these, always.
    pub fn fixed(self) -> KeyProvider {
        Arc::new(StaticCredentialProvider::new(self))
    }
}

/// Hands out the keys to use now.
pub(crate) type KeyProvider = Arc<dyn CredentialProvider<Credential = Keys>>;

/// Text as it is signed: all but letters, digits and `-_.~` is escaped.
pub(crate) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, SIGNED).to_string()
}

/// The parameters of a request, not escaped.
pub(crate) fn parameters(request: &HttpRequest) -> Vec<(String, String)> {
    form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).into_owned().collect()
}

/// A keyed checksum.
pub(crate) fn keyed(algorithm: hmac::Algorithm, key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(algorithm, key), text.as_bytes()).as_ref().to_vec()
}

/// Gives a request other parameters.
///
/// # Errors
/// An address that is none with them.
pub(crate) fn set_parameters(request: &mut HttpRequest, parameters: &[(String, String)]) -> Result<()> {
    let list: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    let query = list.join("&");
    let mut url = Url::parse(&request.uri().to_string()).map_err(|_| Error::invalid("invalid address"))?;
    url.set_query(Some(query.as_str()).filter(|query| !query.is_empty()));
    *request.uri_mut() = url.as_str().parse().map_err(|_| Error::invalid("invalid address"))?;
    Ok(())
}

/// Sends the S3 client's requests in a vendor's words.
#[derive(Clone)]
struct Requests<V> {
    client: Client,
    vendor: V,
    keys: Option<KeyProvider>,
}

impl<V: Vendor> fmt::Debug for Requests<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Requests({})", V::PREFIX)
    }
}

impl<V: Vendor> HttpConnector for Requests<V> {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl<V: Vendor> HttpService for Requests<V> {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let refused = |error| HttpError::new(HttpErrorKind::Unknown, error);
        let is_listing = parameters(&request).iter().any(|(name, _)| name == "list-type");
        let is_creation = request.method() == Method::PUT && request.headers().contains_key(IF_NONE_MATCH);
        self.translate(&mut request).map_err(refused)?;
        self.sign(&mut request).await.map_err(refused)?;
        let answer = self.client.http().execute(request).await?;
        if is_creation && answer.status().is_success() && answer.headers().contains_key(named::<V>("version-id")) {
            return Err(refused(overwritten()));
        }
        if is_listing && answer.status().is_success() {
            let listing = |text: String| self.vendor.adapt_listing(listing::marked(&text));
            return listing::adapted(answer, listing).await;
        }
        Ok(answer)
    }
}

impl<V: Vendor> Requests<V> {
    fn translate(&self, request: &mut HttpRequest) -> Result<()> {
        let headers = std::mem::take(request.headers_mut());
        let is_put = request.method() == Method::PUT;
        for (name, value) in headers.iter() {
            match name.as_str().strip_prefix(AMAZON) {
                _ if is_put && name == IF_NONE_MATCH => set(request, &named::<V>("forbid-overwrite"), "true")?,
                _ if is_put && name == IF_MATCH => {
                    return Err(Error::unsupported("this service does not overwrite on a condition"));
                }
                Some("copy-source") => {
                    let source = self.vendor.copy_source(value.to_str().unwrap_or_default());
                    set(request, &named::<V>("copy-source"), &source)?;
                }
                // Checksums of Amazon's.
                Some(_) => {}
                None => drop(request.headers_mut().append(name, value.clone())),
            }
        }
        self.vendor.adapt(request)
    }

    async fn sign(&self, request: &mut HttpRequest) -> Result<()> {
        let Some(keys) = &self.keys else { return Ok(()) };
        let keys = keys.get_credential().await?;
        self.vendor.sign(request, &keys)
    }
}

/// A header of a vendor's own.
fn named<V: Vendor>(name: &str) -> String {
    format!("{}{name}", V::PREFIX)
}

/// Sets a header to what was made of a target's options.
///
/// # Errors
/// A value that no header can hold.
pub(crate) fn set(request: &mut HttpRequest, name: &str, value: &str) -> Result<()> {
    let unfit = || Error::invalid(format!("{name} cannot hold its value"));
    let name_of = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
    request.headers_mut().insert(name_of, HeaderValue::from_str(value).map_err(|_| unfit())?);
    Ok(())
}

/// In a bucket that keeps versions these services look at no condition.
fn overwritten() -> Error {
    Error::unsupported("the bucket keeps versions: no file in it can be made only if it is not there")
        .with_hint("use a bucket without versions")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_stand_before_a_name_and_after_an_address() {
        for (endpoint, address, host) in [
            ("https://oss.example", "https://lake.oss.example", "lake.oss.example"),
            ("https://oss.example:8443/", "https://lake.oss.example:8443", "lake.oss.example:8443"),
            ("http://127.0.0.1:1", "http://127.0.0.1:1", "127.0.0.1:1"),
            ("http://[::1]:1", "http://[::1]:1", "[::1]:1"),
        ] {
            let place = Place { endpoint: Url::parse(endpoint).unwrap(), bucket: "lake".into() };
            assert_eq!((place.address().as_str(), place.host().as_str()), (address, host));
        }
    }
}
