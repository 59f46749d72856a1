//! `cos://bucket/prefix`: Cloud Object Storage of Tencent Cloud.

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY};
use aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, HOST};
use lakeport_base::{Env, hex};
use object_store::client::HttpRequest;
use percent_encoding::percent_decode_str;
use url::Url;

use super::{Access, Capability, Host, Kind, KindSpec, Role, Rule, Unknown, check_bucket};
use crate::auth;
use crate::cx::OpenCx;
use crate::error::{Error, Result};
use crate::net::{self, ENDPOINT};
use crate::option::{Need, OptionSpec, OptionType};
use crate::relatives::{self, Keys, Place, Vendor, escaped, keyed, parameters, set, set_parameters};
use crate::storage::Storage;
use crate::target::Target;

const SECRET_ID: &str = "COS_SECRET_ID";
const SECRET_KEY: &str = "COS_SECRET_KEY";
const TOKEN: &str = "COS_SESSION_TOKEN";

/// How long a signature is good for, and how far clocks may differ, in seconds.
const GOOD_SECONDS: i64 = 900;
const DRIFT_SECONDS: i64 = 60;

const OPTIONS: &[OptionSpec] = &[
    auth::KEYS_AUTH_OPTION,
    // The name of a key, and none that opens anything; hidden for what its name says.
    OptionSpec::new(SECRET_ID, OptionType::Ascii, "The name of the key.")
        .authenticates()
        .databend("secret_id")
        .materialize("SECRET ID"),
    OptionSpec::new(SECRET_KEY, OptionType::Text, "The key.")
        .authenticates()
        .databend("secret_key")
        .materialize("SECRET KEY"),
    OptionSpec::new(TOKEN, OptionType::Ascii, "The token of temporary keys.")
        .databend("session_token")
        .materialize("SESSION TOKEN"),
    OptionSpec { need: Need::Required, ..net::ENDPOINT_OPTION.databend_required() },
    net::CA_CERT_OPTION,
];

static SPEC: KindSpec = KindSpec {
    name: "cos",
    title: "Tencent Cloud COS",
    role: Role::Storage,
    schemes: &["cos"],
    schemes_in_role: &[],
    databend_type: Some("cos"),
    materialize_type: Some("COS"),
    host: Host::Bucket,
    takes_user: false,
    endpoint: Some(ENDPOINT),
    options: OPTIONS,
    rules: &[
        Rule::Needs {
            option: "AUTH",
            value: auth::SPECIFIED,
            needs: SECRET_ID,
            refusal: "AUTH is set to 'specified', but COS_SECRET_ID is not set",
        },
        Rule::Needs {
            option: "AUTH",
            value: auth::SPECIFIED,
            needs: SECRET_KEY,
            refusal: "AUTH is set to 'specified', but COS_SECRET_KEY is not set",
        },
    ],
    unknown: Unknown::Refused { label: "COS" },
    capability: Capability { conditional_put: false, ..Capability::ALL },
    help: "A bucket of Tencent Cloud's Cloud Object Storage, named with its account's number, as in lake-1250000000. \
           ENDPOINT is the address of its region, as in https://cos.ap-guangzhou.myqcloud.com. The bucket must not keep \
           versions when it is to hold tables: COS would then let two writers make one file.",
};

/// The kind.
pub struct Cos;

impl Kind for Cos {
    fn spec(&self) -> &'static KindSpec {
        &SPEC
    }

    fn check(&self, target: &Target) -> Result<()> {
        check_bucket(&target.uri().host)?;
        endpoint(target).map(drop)
    }

    fn access(&self, target: &Target) -> Access {
        auth::access(target)
    }

    fn open<'a>(&'a self, target: &'a Target, cx: &'a OpenCx) -> BoxFuture<'a, Result<Storage>> {
        async move {
            let keys = Keys::of(target, [SECRET_ID, SECRET_KEY, TOKEN]).map(Keys::fixed);
            let env = cx.env.clone();
            relatives::open(target, cx, endpoint(target)?, |place, _| Ok((Tencent { place, env }, keys))).await
        }
        .boxed()
    }
}

fn endpoint(target: &Target) -> Result<Url> {
    net::endpoint(target, ENDPOINT)?.ok_or_else(|| Error::invalid(format!("parameter {ENDPOINT} is required")))
}

/// The service's signatures and listings.
#[derive(Clone)]
struct Tencent {
    place: Place,
    env: Env,
}

impl Vendor for Tencent {
    const PREFIX: &'static str = "x-cos-";

    fn copy_source(&self, source: &str) -> String {
        let key = source.split_once('/').map_or("", |(_, key)| key);
        format!("{}/{key}", self.place.bucket_address())
    }

    /// Listings go on after a marker.
    fn adapt(&self, request: &mut HttpRequest) -> Result<()> {
        let given = parameters(request);
        if !given.iter().any(|(name, _)| name == "list-type") {
            return Ok(());
        }
        let has_token = given.iter().any(|(name, _)| name == "continuation-token");
        let kept = given.into_iter().filter_map(|(name, value)| match name.as_str() {
            "list-type" => None,
            "start-after" if has_token => None,
            "start-after" | "continuation-token" => Some(("marker".to_string(), value)),
            _ => Some((name, value)),
        });
        set_parameters(request, &kept.collect::<Vec<_>>())
    }

    fn adapt_listing(&self, listing: String) -> String {
        let marked = listing.replace("<NextMarker>", "<NextContinuationToken>");
        marked.replace("</NextMarker>", "</NextContinuationToken>").replace("<NextMarker/>", "")
    }

    fn sign(&self, request: &mut HttpRequest, keys: &Keys) -> Result<()> {
        set(request, HOST.as_str(), &self.place.host())?;
        if let Some(token) = &keys.token {
            set(request, "x-cos-security-token", token.expose())?;
        }
        let now = self.env.now().timestamp();
        let time = format!("{};{}", now - DRIFT_SECONDS, now + GOOD_SECONDS);
        set(request, AUTHORIZATION.as_str(), &authorization(keys, &time, request))
    }
}

/// The signature of a request for a span of time, with what it covers.
fn authorization(keys: &Keys, time: &str, request: &HttpRequest) -> String {
    let (header_names, headers) = listed(signed_headers(request));
    let (parameter_names, parameters) = listed(parameters(request));
    let path = percent_decode_str(request.uri().path()).decode_utf8_lossy().into_owned();
    let method = request.method().as_str().to_ascii_lowercase();
    let whole = format!("{method}\n{path}\n{parameters}\n{headers}\n");
    let sum = hex::encode(digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, whole.as_bytes()).as_ref());
    let checksum = |key: &str, text: &str| hex::encode(&keyed(HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes(), text));
    let signature = checksum(&checksum(keys.secret.expose(), time), &format!("sha1\n{time}\n{sum}\n"));
    format!(
        "q-sign-algorithm=sha1&q-ak={}&q-sign-time={time}&q-key-time={time}&q-header-list={header_names}\
         &q-url-param-list={parameter_names}&q-signature={signature}",
        keys.id
    )
}

/// The headers that say what is asked for.
fn signed_headers(request: &HttpRequest) -> Vec<(String, String)> {
    const OTHERS: [&str; 6] = ["content-length", "content-md5", "content-type", "date", "host", "range"];
    let is_signed = |name: &str| name.starts_with(Tencent::PREFIX) || OTHERS.contains(&name);
    let headers = request.headers().iter().filter(|(name, _)| is_signed(name.as_str()));
    headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect()
}

/// Names, and names with values, in order.
fn listed(pairs: Vec<(String, String)>) -> (String, String) {
    let escape = |(name, value): &(String, String)| (escaped(name).to_ascii_lowercase(), escaped(value));
    let mut pairs: Vec<_> = pairs.iter().map(escape).collect();
    pairs.sort();
    let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    let values: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    (names.join(";"), values.join("&"))
}

#[cfg(test)]
mod tests;
