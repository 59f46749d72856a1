//! Amazon credentials: written in the URI, taken from the server's environment, or those of an assumed role. And the
//! options in which kinds of Amazon's services say which.

mod sts;

use std::sync::Arc;

use async_trait::async_trait;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use chrono::DateTime;
use lakeport_base::Env;
use object_store::StaticCredentialProvider;
use object_store::aws::{AwsCredential, AwsCredentialProvider};
use url::Url;

use self::sts::Sts;
use crate::auth::{ANONYMOUS, SPECIFIED};
use crate::cx::OpenCx;
use crate::error::{Error, Result};
use crate::kind::Rule;
use crate::lease::{Lease, Renewed, Source};
use crate::net::{self, Client};
use crate::option::{OptionSpec, OptionType};
use crate::role;
use crate::target::Target;

/// The option that holds the address of a private server.
pub(crate) const ENDPOINT: &str = "AWS_ENDPOINT";

/// The public half of the keys.
pub(crate) const KEY_ID_OPTION: OptionSpec = OptionSpec::new("AWS_ACCESS_KEY_ID", OptionType::Ascii, "The access key.")
    .public()
    .authenticates()
    .databend("access_key_id")
    .databend_aliases(&["aws_key_id"])
    .materialize("ACCESS KEY ID");

/// The secret half.
pub(crate) const SECRET_KEY_OPTION: OptionSpec =
    OptionSpec::new("AWS_SECRET_ACCESS_KEY", OptionType::Text, "The secret key.")
        .authenticates()
        .databend("secret_access_key")
        .databend_aliases(&["aws_secret_key"])
        .materialize("SECRET ACCESS KEY");

/// What comes with keys that end.
pub(crate) const SESSION_TOKEN_OPTION: OptionSpec =
    OptionSpec::new("AWS_SESSION_TOKEN", OptionType::Ascii, "The token of temporary keys.")
        .databend("session_token")
        .databend_aliases(&["aws_token", "security_token"])
        .materialize("SESSION TOKEN");

/// A chain of roles, by further names.
pub(crate) const ROLE_OPTION: OptionSpec =
    role::ROLE_OPTION.databend_aliases(&["aws_role_arn"]).databend_after(&["external_id", "aws_external_id"]);

/// `AUTH=specified` comes with an access key.
pub(crate) const NEEDS_KEY_ID: Rule = Rule::Needs {
    option: "AUTH",
    value: SPECIFIED,
    needs: "AWS_ACCESS_KEY_ID",
    refusal: "AUTH is set to 'specified', but AWS_ACCESS_KEY_ID is not set",
};

/// `AUTH=specified` comes with a secret key.
pub(crate) const NEEDS_SECRET_KEY: Rule = Rule::Needs {
    option: "AUTH",
    value: SPECIFIED,
    needs: "AWS_SECRET_ACCESS_KEY",
    refusal: "AUTH is set to 'specified', but AWS_SECRET_ACCESS_KEY is not set",
};

/// Checks what the options of a target say of region, endpoint and roles.
pub(crate) fn check(target: &Target, region_option: &str) -> Result<()> {
    if let Some(region) = target.options().get(region_option).filter(|region| !is_region(region)) {
        return Err(Error::invalid(format!("invalid {region_option} {region:?}")));
    }
    role::check(target, "arn:aws:iam::<account>:role/<name>")?;
    net::endpoint(target, ENDPOINT).map(drop)
}

/// A region becomes part of a host name, so it may hold nothing else.
pub(crate) fn is_region(region: &str) -> bool {
    region.len() <= 64 && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The credentials of a target, after all roles.
pub(crate) async fn credentials(
    target: &Target,
    cx: &OpenCx,
    client: &Client,
    endpoint: Option<&Url>,
    region: &str,
) -> Result<AwsCredentialProvider> {
    let options = target.options();
    let source = match (options.get("AUTH"), options.get("AWS_ACCESS_KEY_ID"), options.get("AWS_SECRET_ACCESS_KEY")) {
        (Some(SPECIFIED), Some(key_id), Some(secret_key)) => {
            // A plus sign that nobody escaped arrives as a space.
            let plus = |text: &str| text.replace(' ', "+");
            static_keys(key_id, &plus(secret_key), options.get("AWS_SESSION_TOKEN").map(plus))
        }
        (Some(ANONYMOUS), ..) => static_keys("", "", None),
        _ => implicit(&cx.env, region).await?,
    };
    let amazon = || Url::parse(&format!("https://sts.{region}.amazonaws.com"));
    let url = endpoint.cloned().map_or_else(amazon, Ok).map_err(|_| Error::invalid("invalid region"))?;
    let sts = Sts { url, region: region.to_string(), client: client.clone(), env: cx.env.clone() };
    Ok(sts::assume_roles(source, role::roles(target)?, &sts))
}

/// Keys written in a URI.
fn static_keys(key_id: &str, secret_key: &str, token: Option<String>) -> AwsCredentialProvider {
    let credential = AwsCredential { key_id: key_id.to_string(), secret_key: secret_key.to_string(), token };
    Arc::new(StaticCredentialProvider::new(credential))
}

/// The server's own credentials: environment, profile, workload identity, instance.
async fn implicit(env: &Env, region: &str) -> Result<AwsCredentialProvider> {
    // Without a region the loader would ask the metadata service for one, and wait.
    let region = aws_config::Region::new(region.to_string());
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest()).region(region).load().await;
    let provider = config.credentials_provider();
    let provider = provider.ok_or_else(|| Error::denied("this server has no AWS credentials of its own"))?;
    Ok(Arc::new(Renewed::new(Ambient(provider), env.clone())))
}

struct Ambient(SharedCredentialsProvider);

#[async_trait]
impl Source for Ambient {
    type Credential = AwsCredential;

    async fn obtain(&self) -> Result<Lease<AwsCredential>> {
        let found = self.0.provide_credentials().await;
        let found = found.map_err(|_| {
            Error::denied("this server has no AWS credentials of its own").with_hint(
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in its environment, or give it an instance role",
            )
        })?;
        let credential = AwsCredential {
            key_id: found.access_key_id().to_string(),
            secret_key: found.secret_access_key().to_string(),
            token: found.session_token().map(str::to_string),
        };
        Ok(Lease { credential: Arc::new(credential), ends: found.expiry().map(DateTime::from) })
    }
}
