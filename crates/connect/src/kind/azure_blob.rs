//! `azure-blob://container/prefix`: Azure Blob Storage and servers that speak its protocol.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::StaticCredentialProvider;
use object_store::azure::{
    AzureAccessKey, AzureCredential, AzureCredentialProvider, MicrosoftAzure, MicrosoftAzureBuilder,
};
use url::Url;

use super::{Access, Capability, Host, Kind, KindSpec, Role, Unknown};
use crate::auth::{self, ANONYMOUS, IMPLICIT};
use crate::azure::{self, Identity};
use crate::cx::OpenCx;
use crate::error::{Error, Result};
use crate::layer::{Layers, Rooted};
use crate::lease::{Lease, Renewed, Source};
use crate::listing::Listings;
use crate::net::{self, Client, ENDPOINT, Redirects};
use crate::option::{OptionSpec, OptionType};
use crate::storage::Storage;
use crate::target::Target;

const ACCOUNT_NAME: &str = "AZURE_ACCOUNT_NAME";
const ACCOUNT_KEY: &str = "AZURE_ACCOUNT_KEY";

/// What tokens are for, in every cloud.
const RESOURCE: &str = "https://storage.azure.com";

const OPTIONS: &[OptionSpec] = &[
    auth::STORAGE_AUTH_OPTION,
    OptionSpec::new(ACCOUNT_NAME, OptionType::Text, "The storage account.")
        .public()
        .identifying()
        .databend("account_name")
        .materialize("ACCOUNT NAME"),
    OptionSpec::new(ACCOUNT_KEY, OptionType::Text, "One of the account's two keys, in base64.")
        .authenticates()
        .databend("account_key")
        .materialize("ACCOUNT KEY"),
    azure::CLIENT_ID_OPTION,
    azure::CLIENT_SECRET_OPTION.authenticates(),
    azure::TENANT_ID_OPTION,
    azure::ENVIRONMENT_OPTION,
    net::ENDPOINT_OPTION.databend_required(),
    azure::AUTHORITY_OPTION,
    net::CA_CERT_OPTION,
];

static SPEC: KindSpec = KindSpec {
    name: "azure-blob",
    title: "Azure Blob Storage",
    role: Role::Storage,
    schemes: &["azure-blob", "azure", "azure-storage"],
    schemes_in_role: &[],
    databend_type: Some("azblob"),
    materialize_type: Some("AZURE BLOB"),
    host: Host::Bucket,
    takes_user: false,
    endpoint: Some(ENDPOINT),
    options: OPTIONS,
    rules: &[],
    unknown: Unknown::Refused { label: "azure" },
    capability: Capability { suffix_range: false, ..Capability::ALL },
    help: "A container of Azure Blob Storage. AUTH=specified needs AZURE_ACCOUNT_KEY, or AZURE_TENANT_ID, \
           AZURE_CLIENT_ID and AZURE_CLIENT_SECRET of an application that may read and write blobs; AUTH=implicit uses \
           the managed identity of the server's machine. ENDPOINT is the address of the account, as in \
           https://account.blob.core.windows.net; that of an emulator ends in the account's name. A plus sign in a key \
           may be written as it is.",
};

/// The kind.
pub struct AzureBlob;

impl Kind for AzureBlob {
    fn spec(&self) -> &'static KindSpec {
        &SPEC
    }

    fn check(&self, target: &Target) -> Result<()> {
        check_container(&target.uri().host)?;
        check_credentials(target)?;
        azure::check_name(target, ACCOUNT_NAME, b"-")?;
        azure::check(target)?;
        auth::keep_own_token(target, net::endpoint(target, ENDPOINT)?.as_ref(), azure::cloud(target)?.blobs)
    }

    fn access(&self, target: &Target) -> Access {
        auth::access(target)
    }

    fn open<'a>(&'a self, target: &'a Target, cx: &'a OpenCx) -> BoxFuture<'a, Result<Storage>> {
        async move {
            auth::check_policy(target, cx)?;
            let cx = &net::trusting(target, cx)?;
            let client = Client::new(cx, Redirects::Never, false)?;
            for url in [net::endpoint(target, ENDPOINT)?, azure::authority(target)?].into_iter().flatten() {
                client.check(&url).await?;
            }
            let store = store(target, cx, client)?;
            // Blocks belong to the file and the account, whoever sends them.
            Ok(Layers::new(cx, &SPEC).wrap_with_uploads(Rooted::new(store, target.prefix()?)))
        }
        .boxed()
    }
}

/// Letters, digits and hyphens; those with a dollar sign are the service's own. Empty for a connection without one.
fn check_container(container: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let name = container.strip_prefix('$').unwrap_or(container);
    let valid = container.len() <= 63 && name.bytes().all(plain);
    if valid { Ok(()) } else { Err(Error::invalid(format!("invalid container name {container:?}"))) }
}

fn check_credentials(target: &Target) -> Result<()> {
    let options = target.options();
    let is_anonymous = options.get("AUTH") == Some(ANONYMOUS);
    if options.get(ACCOUNT_NAME).is_none() && !(is_anonymous && options.get(ENDPOINT).is_some()) {
        return Err(Error::invalid(format!("azure uri missing {ACCOUNT_NAME:?} parameter")));
    }
    let has_key = options.get(ACCOUNT_KEY).map(account_key).transpose()?.is_some();
    let one_method = match azure::application_options(target) {
        0 => has_key,
        _ => azure::has_application(target) && !has_key,
    };
    if is_anonymous || options.get("AUTH") == Some(IMPLICIT) || one_method {
        return Ok(());
    }
    Err(Error::invalid(
        "explicit azure uri requires exactly one authentication method: \"AZURE_ACCOUNT_KEY\" OR all three of \
         \"AZURE_TENANT_ID\", \"AZURE_CLIENT_ID\", and \"AZURE_CLIENT_SECRET\"",
    )
    .with_hint("AUTH=implicit uses the identity of the server's machine"))
}

fn account_key(text: &str) -> Result<AzureAccessKey> {
    let unfit = || {
        Error::invalid(format!("param {ACCOUNT_KEY} must be base 64 encoded"))
            .with_hint("write the key as Azure shows it, + perhaps as %2B")
    };
    // A plus sign that nobody escaped arrives as a space.
    let text = text.replace(' ', "+");
    STANDARD.decode(&text).map_err(|_| unfit())?;
    AzureAccessKey::try_new(&text).map_err(|_| unfit())
}

fn store(target: &Target, cx: &OpenCx, client: Client) -> Result<MicrosoftAzure> {
    let options = target.options();
    let store = MicrosoftAzureBuilder::new()
        .with_account(options.get(ACCOUNT_NAME).unwrap_or_default())
        .with_container_name(&target.uri().host)
        .with_endpoint(account(target)?.as_str().trim_end_matches('/').to_string())
        .with_skip_signature(options.get("AUTH") == Some(ANONYMOUS))
        .with_credentials(credentials(target, cx, &client)?)
        .with_retry(cx.timeouts.retries())
        .with_http_connector(Listings(client));
    Ok(store.build()?)
}

/// The address of the account.
fn account(target: &Target) -> Result<Url> {
    if let Some(endpoint) = net::endpoint(target, ENDPOINT)? {
        return Ok(endpoint);
    }
    let name = target.options().get(ACCOUNT_NAME).unwrap_or_default();
    let url = Url::parse(&format!("https://{name}.{}", azure::cloud(target)?.blobs));
    url.map_err(|_| Error::invalid(format!("invalid {ACCOUNT_NAME} {name:?}")))
}

fn credentials(target: &Target, cx: &OpenCx, client: &Client) -> Result<AzureCredentialProvider> {
    let key = target.options().get(ACCOUNT_KEY).filter(|_| target.options().get("AUTH") != Some(IMPLICIT));
    if let Some(key) = key {
        let key = AzureCredential::AccessKey(account_key(key)?);
        return Ok(Arc::new(StaticCredentialProvider::new(key)));
    }
    let identity = Identity::of(target, cx, client, RESOURCE)?;
    Ok(Arc::new(Renewed::new(Bearer(identity), cx.env.clone())))
}

/// An identity's tokens, as the storage client takes them.
struct Bearer(Identity);

#[async_trait]
impl Source for Bearer {
    type Credential = AzureCredential;

    async fn obtain(&self) -> Result<Lease<AzureCredential>> {
        let Lease { credential, ends } = self.0.obtain().await?;
        Ok(Lease { credential: Arc::new(AzureCredential::BearerToken(credential.expose().clone())), ends })
    }
}

#[cfg(test)]
mod tests;
