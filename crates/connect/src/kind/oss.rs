//! `oss://bucket/prefix`: Object Storage Service of Alibaba Cloud.

use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::hmac::HMAC_SHA256;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RANGE};
use lakeport_base::{Env, hex};
use object_store::client::HttpRequest;
use url::Url;

use super::{Access, Capability, Host, Kind, KindSpec, Role, Rule, Unknown, check_bucket};
use crate::aliyun::{self, Sts};
use crate::auth;
use crate::cx::OpenCx;
use crate::error::{Error, Result};
use crate::net::{self, ENDPOINT};
use crate::option::{OptionSpec, OptionType};
use crate::relatives::{self, Keys, Place, Vendor, escaped, keyed, parameters, set};
use crate::role::{self, ROLE_OPTION};
use crate::storage::Storage;
use crate::target::Target;

const KEY_ID: &str = "OSS_ACCESS_KEY_ID";
const SECRET: &str = "OSS_ACCESS_KEY_SECRET";
const TOKEN: &str = "OSS_SESSION_TOKEN";
const REGION: &str = "OSS_REGION";

/// Where the service is.
const DOMAIN: &str = "aliyuncs.com";
/// How the names of its addresses end that only its own network reaches.
const INTERNAL: &str = "-internal";

const OPTIONS: &[OptionSpec] = &[
    auth::STORAGE_AUTH_OPTION,
    OptionSpec::new(KEY_ID, OptionType::Ascii, "The access key.")
        .public()
        .authenticates()
        .databend("access_key_id")
        .materialize("ACCESS KEY ID"),
    OptionSpec::new(SECRET, OptionType::Text, "Its secret.")
        .authenticates()
        .databend("access_key_secret")
        .materialize("ACCESS KEY SECRET"),
    OptionSpec::new(TOKEN, OptionType::Ascii, "The token of temporary keys.")
        .databend("session_token")
        .materialize("SESSION TOKEN"),
    OptionSpec::new(
        REGION,
        OptionType::Text,
        "The bucket's region, as in cn-hangzhou, where ENDPOINT does not tell it.",
    )
    .public()
    .databend("region")
    .materialize("REGION"),
    net::ENDPOINT_OPTION.databend_required(),
    ROLE_OPTION,
    net::CA_CERT_OPTION,
];

static SPEC: KindSpec = KindSpec {
    name: "oss",
    title: "Alibaba Cloud OSS",
    role: Role::Storage,
    schemes: &["oss"],
    schemes_in_role: &[],
    databend_type: Some("oss"),
    materialize_type: Some("OSS"),
    host: Host::Bucket,
    takes_user: false,
    endpoint: Some(ENDPOINT),
    options: OPTIONS,
    rules: &[
        Rule::Needs {
            option: "AUTH",
            value: auth::SPECIFIED,
            needs: KEY_ID,
            refusal: "AUTH is set to 'specified', but OSS_ACCESS_KEY_ID is not set",
        },
        Rule::Needs {
            option: "AUTH",
            value: auth::SPECIFIED,
            needs: SECRET,
            refusal: "AUTH is set to 'specified', but OSS_ACCESS_KEY_SECRET is not set",
        },
        Rule::NoDatabend {
            keyword: "presign_endpoint_url",
            why: "no signed addresses are handed out; lakeport stage puts and gets files through the server",
        },
    ],
    unknown: Unknown::Refused { label: "OSS" },
    capability: Capability { conditional_put: false, ..Capability::ALL },
    help: "A bucket of Alibaba Cloud's Object Storage Service. ENDPOINT is the address of its region, as in \
           https://oss-cn-hangzhou.aliyuncs.com, and may be left out when OSS_REGION is given. The bucket must not keep \
           versions when it is to hold tables: OSS would then let two writers make one file. Requests are signed by \
           version 4 of its rules. Keys come from the URI, or with AUTH=implicit from the server's environment: \
           ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET and, of temporary keys, \
           ALIBABA_CLOUD_SECURITY_TOKEN; the roles of instances and pods are not looked for. ASSUME_ROLE exchanges the \
           keys for those of a role, at sts.<region>.aliyuncs.com; beside an -internal ENDPOINT at \
           sts-vpc.<region>.aliyuncs.com; and at an ENDPOINT outside aliyuncs.com itself.",
};

/// The kind.
pub struct Oss;

impl Kind for Oss {
    fn spec(&self) -> &'static KindSpec {
        &SPEC
    }

    fn check(&self, target: &Target) -> Result<()> {
        check_bucket(&target.uri().host)?;
        role::check(target, "acs:ram::<account>:role/<name>")?;
        region(target)?;
        endpoint(target).map(drop)
    }

    fn access(&self, target: &Target) -> Access {
        auth::access(target)
    }

    fn open<'a>(&'a self, target: &'a Target, cx: &'a OpenCx) -> BoxFuture<'a, Result<Storage>> {
        async move {
            let (region, endpoint, env) = (region(target)?, endpoint(target)?, cx.env.clone());
            let url = token_service(&endpoint, &region)?;
            relatives::open(target, cx, endpoint, |place, client| {
                let sts = Sts { url, client: client.clone(), env: env.clone() };
                let keys = aliyun::keys(target, [KEY_ID, SECRET, TOKEN], &sts)?;
                Ok((Aliyun { place, region, env }, keys))
            })
            .await
        }
        .boxed()
    }
}

/// The region that a target's options tell.
fn region(target: &Target) -> Result<String> {
    let endpoint = net::endpoint(target, ENDPOINT)?;
    let told = endpoint.as_ref().and_then(vendors_name).and_then(|name| name.strip_prefix("oss-"));
    let told = told.map(|region| region.strip_suffix(INTERNAL).unwrap_or(region));
    let region = target.options().get(REGION).or(told).ok_or_else(|| {
        Error::invalid(format!("{REGION} is not set, and {ENDPOINT} does not tell the region"))
            .with_hint("set it to the bucket's region, as in cn-hangzhou")
    })?;
    let plain = region.len() <= 64 && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if plain { Ok(region.to_string()) } else { Err(Error::invalid(format!("invalid {REGION} {region:?}"))) }
}

fn endpoint(target: &Target) -> Result<Url> {
    if let Some(endpoint) = net::endpoint(target, ENDPOINT)? {
        return Ok(endpoint);
    }
    at_vendor(&format!("oss-{}", region(target)?))
}

/// Where roles for a bucket at an endpoint are assumed: who is not the vendor is asked itself.
fn token_service(endpoint: &Url, region: &str) -> Result<Url> {
    match vendors_name(endpoint) {
        Some(name) if name.ends_with(INTERNAL) => at_vendor(&format!("sts-vpc.{region}")),
        Some(_) => at_vendor(&format!("sts.{region}")),
        None => Ok(endpoint.clone()),
    }
}

/// What stands before the vendor's domain in an address.
fn vendors_name(endpoint: &Url) -> Option<&str> {
    endpoint.host_str()?.strip_suffix(DOMAIN)?.strip_suffix('.')
}

fn at_vendor(name: &str) -> Result<Url> {
    Url::parse(&format!("https://{name}.{DOMAIN}")).map_err(|_| Error::invalid(format!("invalid {REGION}")))
}

/// Version 4 of the service's signatures.
#[derive(Clone)]
struct Aliyun {
    place: Place,
    region: String,
    env: Env,
}

/// What is signed in place of a body.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

impl Vendor for Aliyun {
    const PREFIX: &'static str = "x-oss-";

    fn copy_source(&self, source: &str) -> String {
        format!("/{source}")
    }

    fn adapt(&self, request: &mut HttpRequest) -> Result<()> {
        // Without it a range beyond the end is answered with the whole file.
        if request.headers().contains_key(RANGE) {
            set(request, "x-oss-range-behavior", "standard")?;
        }
        // It is signed, so that no other server can be shown the request.
        set(request, HOST.as_str(), &self.place.host())
    }

    fn sign(&self, request: &mut HttpRequest, keys: &Keys) -> Result<()> {
        let time = self.env.now().format("%Y%m%dT%H%M%SZ").to_string();
        set(request, "x-oss-date", &time)?;
        set(request, "x-oss-content-sha256", UNSIGNED)?;
        if let Some(token) = &keys.token {
            set(request, "x-oss-security-token", token.expose())?;
        }
        let date = &time[..8];
        let scope = format!("{date}/{}/oss/aliyun_v4_request", self.region);
        let sum = hex::encode(digest::digest(&SHA256, self.canonical(request).as_bytes()).as_ref());
        let text = format!("OSS4-HMAC-SHA256\n{time}\n{scope}\n{sum}");
        let first = format!("aliyun_v4{}", keys.secret.expose()).into_bytes();
        let key = [date, &self.region, "oss", "aliyun_v4_request"]
            .into_iter()
            .fold(first, |key, step| keyed(HMAC_SHA256, &key, step));
        let signature = hex::encode(&keyed(HMAC_SHA256, &key, &text));
        let additional = if request.headers().contains_key(HOST) { "AdditionalHeaders=host," } else { "" };
        let value = format!("OSS4-HMAC-SHA256 Credential={}/{scope},{additional}Signature={signature}", keys.id);
        set(request, AUTHORIZATION.as_str(), &value)
    }
}

impl Aliyun {
    /// What of a request is signed.
    fn canonical(&self, request: &HttpRequest) -> String {
        let path = format!("/{}/{}", self.place.bucket, self.place.key(request));
        let path: Vec<String> = path.split('/').map(escaped).collect();
        let mut query: Vec<String> = parameters(request)
            .iter()
            .map(|(name, value)| match value.as_str() {
                "" => escaped(name),
                value => format!("{}={}", escaped(name), escaped(value)),
            })
            .collect();
        query.sort();
        let is_signed = |name: &str| {
            name.starts_with(Self::PREFIX) || name == CONTENT_TYPE || name == "content-md5" || name == HOST
        };
        let additional = if request.headers().contains_key(HOST) { HOST.as_str() } else { "" };
        let headers = request.headers().iter().filter(|(name, _)| is_signed(name.as_str()));
        let mut headers: Vec<String> =
            headers.map(|(name, value)| format!("{name}:{}\n", String::from_utf8_lossy(value.as_bytes()))).collect();
        headers.sort();
        let (method, path, query, headers) = (request.method(), path.join("/"), query.join("&"), headers.concat());
        format!("{method}\n{path}\n{query}\n{headers}\n{additional}\n{UNSIGNED}")
    }
}

#[cfg(test)]
mod tests;
