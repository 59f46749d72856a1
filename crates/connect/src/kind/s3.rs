//! `s3://bucket/prefix`: Amazon S3 and everything that speaks its protocol.

use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{HttpRequestBody, HttpService};
use url::Url;

use super::{Access, Capability, Host, Kind, KindSpec, Role, Rule, Unknown};
use crate::auth::{self, ANONYMOUS};
use crate::aws;
use crate::cx::OpenCx;
use crate::error::{Error, Result};
use crate::layer::{Layers, Rooted};
use crate::listing::Listings;
use crate::net::{self, Client, Redirects};
use crate::option::{OptionSpec, OptionType};
use crate::storage::Storage;
use crate::target::Target;

/// Signed for when an endpoint is given without a region; most S3 servers take any.
const ENDPOINT_REGION: &str = "default-region";
/// Where a bucket is looked up, and the region of one whose region is not told.
const HOME_REGION: &str = "us-east-1";

const AES256: &str = "AES256";
const AWS_KMS: &str = "aws:kms";

const OPTIONS: &[OptionSpec] = &[
    auth::STORAGE_AUTH_OPTION,
    aws::KEY_ID_OPTION,
    aws::SECRET_KEY_OPTION,
    aws::SESSION_TOKEN_OPTION,
    OptionSpec::new("AWS_REGION", OptionType::Text, "The bucket's region; looked up when left out.")
        .public()
        .databend("region")
        .materialize("REGION"),
    OptionSpec::new("AWS_ENDPOINT", OptionType::Text, "The address of an S3-compatible server.")
        .public()
        .databend("endpoint_url")
        .materialize("ENDPOINT"),
    OptionSpec::new(
        "AWS_USE_PATH_STYLE",
        OptionType::Bool,
        "Puts the bucket into the path instead of the host name; the default with AWS_ENDPOINT.",
    )
    .public()
    .databend_not("enable_virtual_host_style"),
    OptionSpec::new("AWS_SKIP_CHECKSUM", OptionType::Bool, "Sends bodies without a checksum.").public(),
    OptionSpec::new("AWS_SKIP_TLS_VERIFY", OptionType::Bool, "Trusts any certificate; for test servers only.").public(),
    aws::ROLE_OPTION,
    OptionSpec::new(
        "AWS_SERVER_ENC_MODE",
        OptionType::Choice(
            &[AES256, AWS_KMS],
            "unsupported server encryption mode {}. Supported values are `aws:kms` and `AES256`.",
        ),
        "How the server encrypts files.",
    )
    .public(),
    OptionSpec::new("AWS_SERVER_KMS_ID", OptionType::Ascii, "The key for the mode aws:kms."),
    OptionSpec::new("S3_STORAGE_CLASS", OptionType::Ascii, "The storage class of files written.").public(),
    net::CA_CERT_OPTION,
];

static SPEC: KindSpec = KindSpec {
    name: "s3",
    title: "Amazon S3 and compatible servers",
    role: Role::Storage,
    schemes: &["s3"],
    schemes_in_role: &[],
    databend_type: Some("s3"),
    materialize_type: Some("AWS"),
    host: Host::Bucket,
    takes_user: false,
    endpoint: Some("AWS_ENDPOINT"),
    options: OPTIONS,
    rules: &[
        aws::NEEDS_KEY_ID,
        aws::NEEDS_SECRET_KEY,
        Rule::Needs {
            option: "AWS_SERVER_ENC_MODE",
            value: AWS_KMS,
            needs: "AWS_SERVER_KMS_ID",
            refusal: "AWS_SERVER_KMS_ID param must be set when using aws:kms server side encryption mode.",
        },
        Rule::NoDatabend {
            keyword: "master_key",
            why: "Databend keeps it and encrypts nothing with it; AWS_SERVER_ENC_MODE in the URI form makes the server encrypt",
        },
    ],
    unknown: Unknown::Refused { label: "S3" },
    capability: Capability::ALL,
    help: "A bucket of Amazon S3 or of a server that speaks its protocol, given by AWS_ENDPOINT. Keys come from the URI, \
           or with AUTH=implicit from the server's environment; ASSUME_ROLE exchanges them for those of a role.",
};

/// The kind.
pub struct S3;

impl Kind for S3 {
    fn spec(&self) -> &'static KindSpec {
        &SPEC
    }

    fn check(&self, target: &Target) -> Result<()> {
        super::check_bucket(&target.uri().host)?;
        aws::check(target, "AWS_REGION")
    }

    fn access(&self, target: &Target) -> Access {
        auth::access(target)
    }

    fn open<'a>(&'a self, target: &'a Target, cx: &'a OpenCx) -> BoxFuture<'a, Result<Storage>> {
        async move {
            auth::check_policy(target, cx)?;
            let cx = &net::trusting(target, cx)?;
            let options = target.options();
            let client = Client::new(cx, Redirects::Never, options.flag("AWS_SKIP_TLS_VERIFY"))?;
            let endpoint = net::endpoint(target, aws::ENDPOINT)?;
            if let Some(endpoint) = &endpoint {
                client.check(endpoint).await?;
            }
            let region = region(target, &client, endpoint.as_ref()).await?;
            let credentials = aws::credentials(target, cx, &client, endpoint.as_ref(), &region).await?;
            let store = builder(target, cx, endpoint.as_ref(), &region)
                .with_credentials(credentials)
                .with_http_connector(Listings(client))
                .build()?;
            let layers = Layers::new(cx, &SPEC).storage_class(options.get("S3_STORAGE_CLASS"));
            Ok(layers.wrap_with_uploads(Rooted::new(store, target.prefix()?)))
        }
        .boxed()
    }
}

async fn region(target: &Target, client: &Client, endpoint: Option<&Url>) -> Result<String> {
    if let Some(region) = target.options().get("AWS_REGION") {
        return Ok(region.to_string());
    }
    match endpoint {
        Some(_) => Ok(ENDPOINT_REGION.to_string()),
        None => bucket_region(client, &target.uri().host).await,
    }
}

/// Asks S3 for a bucket's region; it tells without credentials.
async fn bucket_region(client: &Client, bucket: &str) -> Result<String> {
    let request = http::Request::head(format!("https://s3.{HOME_REGION}.amazonaws.com/{bucket}"));
    let request = request.body(HttpRequestBody::empty()).map_err(|_| Error::invalid("invalid bucket name"))?;
    let answer = client.call(request).await;
    let answer = answer.map_err(|error| Error::from_source(&error).context("cannot look up the bucket's region"))?;
    if answer.status().as_u16() == 404 {
        return Err(Error::not_found(format!("bucket {bucket:?} does not exist")));
    }
    let told = answer.headers().get("x-amz-bucket-region").and_then(|region| region.to_str().ok());
    Ok(told.filter(|region| aws::is_region(region)).unwrap_or(HOME_REGION).to_string())
}

fn builder(target: &Target, cx: &OpenCx, endpoint: Option<&Url>, region: &str) -> AmazonS3Builder {
    let options = target.options();
    let bucket = &target.uri().host;
    let path_style = match options.get("AWS_USE_PATH_STYLE") {
        Some(_) => options.flag("AWS_USE_PATH_STYLE"),
        // A dot in the bucket would not match the certificate of the host name it becomes part of.
        None => endpoint.is_some() || bucket.contains('.'),
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(region)
        .with_virtual_hosted_style_request(!path_style)
        .with_allow_http(true)
        .with_skip_signature(options.get("AUTH") == Some(ANONYMOUS))
        .with_unsigned_payload(options.flag("AWS_SKIP_CHECKSUM"))
        .with_retry(cx.timeouts.retries());
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(bucket_endpoint(endpoint, bucket, path_style));
    }
    for (option, key) in
        [("AWS_SERVER_ENC_MODE", "aws_server_side_encryption"), ("AWS_SERVER_KMS_ID", "aws_sse_kms_key_id")]
    {
        if let (Some(value), Ok(key)) = (options.get(option), key.parse::<AmazonS3ConfigKey>()) {
            builder = builder.with_config(key, value);
        }
    }
    builder
}

/// The endpoint as the storage client wants it: with the bucket in the host name, or without it.
fn bucket_endpoint(endpoint: &Url, bucket: &str, path_style: bool) -> String {
    let text = endpoint.as_str().trim_end_matches('/');
    match text.split_once("://") {
        Some((scheme, rest)) if !path_style => format!("{scheme}://{bucket}.{rest}"),
        _ => text.to_string(),
    }
}

#[cfg(test)]
mod tests;
