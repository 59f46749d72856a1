//! Azure's clouds, and the identities that its services are asked with: their options, and the tokens they get.

mod token;

pub(crate) use self::token::Identity;
use crate::auth::IMPLICIT;
use crate::error::{Error, Result};
use crate::net::{self, ENDPOINT};
use crate::option::{OptionSpec, OptionType};
use crate::target::Target;

const AUTHORITY: &str = "AZURE_AUTHORITY_HOST";
const CLIENT_ID: &str = "AZURE_CLIENT_ID";
const CLIENT_SECRET: &str = "AZURE_CLIENT_SECRET";
const ENVIRONMENT: &str = "AZURE_ENVIRONMENT";
const TENANT_ID: &str = "AZURE_TENANT_ID";

/// The options that an application is known by.
const APPLICATION: [&str; 3] = [TENANT_ID, CLIENT_ID, CLIENT_SECRET];

/// Who asks.
pub(crate) const CLIENT_ID_OPTION: OptionSpec =
    OptionSpec::new(CLIENT_ID, OptionType::Text, "The application, or with AUTH=implicit one of several identities.")
        .public()
        .databend("client_id")
        .materialize("CLIENT ID");

/// How it proves that.
pub(crate) const CLIENT_SECRET_OPTION: OptionSpec =
    OptionSpec::new(CLIENT_SECRET, OptionType::Text, "A secret of the application.")
        .databend("client_secret")
        .materialize("CLIENT SECRET");

/// Who knows it.
pub(crate) const TENANT_ID_OPTION: OptionSpec =
    OptionSpec::new(TENANT_ID, OptionType::Text, "The directory that the application is registered in.")
        .public()
        .databend("tenant_id")
        .materialize("TENANT ID");

/// Which of the clouds.
pub(crate) const ENVIRONMENT_OPTION: OptionSpec = OptionSpec::new(
    ENVIRONMENT,
    OptionType::Text,
    "AZUREPUBLICCLOUD, AZUREUSGOVERNMENTCLOUD, AZURECHINACLOUD or AZUREGERMANCLOUD, in any case.",
)
.public()
.default(CLOUDS[0].name)
.databend("environment")
.materialize("ENVIRONMENT");

/// Where tokens of a private cloud come from.
pub(crate) const AUTHORITY_OPTION: OptionSpec =
    OptionSpec::new(AUTHORITY, OptionType::Text, "Where tokens are asked for; with ENDPOINT only.")
        .public()
        .databend("authority_host")
        .materialize("AUTHORITY HOST");

/// One of Azure's clouds.
pub(crate) struct Cloud {
    name: &'static str,
    /// The domain of vaults; tokens are for all of them.
    pub vaults: &'static str,
    /// The domain of storage accounts.
    pub blobs: &'static str,
    /// Where tokens are asked for.
    authority: &'static str,
}

const CLOUDS: &[Cloud] = &[
    Cloud {
        name: "AZUREPUBLICCLOUD",
        vaults: "vault.azure.net",
        blobs: "blob.core.windows.net",
        authority: "https://login.microsoftonline.com",
    },
    Cloud {
        name: "AZUREUSGOVERNMENTCLOUD",
        vaults: "vault.usgovcloudapi.net",
        blobs: "blob.core.usgovcloudapi.net",
        authority: "https://login.microsoftonline.us",
    },
    Cloud {
        name: "AZURECHINACLOUD",
        vaults: "vault.azure.cn",
        blobs: "blob.core.chinacloudapi.cn",
        authority: "https://login.chinacloudapi.cn",
    },
    Cloud {
        name: "AZUREGERMANCLOUD",
        vaults: "vault.microsoftazure.de",
        blobs: "blob.core.cloudapi.de",
        authority: "https://login.microsoftonline.de",
    },
];

/// The cloud that a target's options name.
///
/// # Errors
/// A name of none.
pub(crate) fn cloud(target: &Target) -> Result<&'static Cloud> {
    let name = target.options().get(ENVIRONMENT).unwrap_or(CLOUDS[0].name);
    CLOUDS.iter().find(|cloud| cloud.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let name = name.to_ascii_uppercase();
        let known: Vec<&str> = CLOUDS.iter().map(|cloud| cloud.name).collect();
        Error::invalid(format!(
            "azure environment: autorest/azure: There is no cloud environment matching the name {name:?}"
        ))
        .with_hint(format!("use one of: {}", known.join(", ")))
    })
}

/// How many of the options of an application a target has, of three.
pub(crate) fn application_options(target: &Target) -> usize {
    APPLICATION.iter().filter(|option| target.options().get(option).is_some()).count()
}

/// Whether a target has all that an application is known by.
pub(crate) fn has_application(target: &Target) -> bool {
    application_options(target) == APPLICATION.len()
}

/// Checks what the options of a target say of its cloud and of where tokens come from.
pub(crate) fn check(target: &Target) -> Result<()> {
    check_name(target, TENANT_ID, b"-.")?;
    cloud(target)?;
    if net::endpoint(target, AUTHORITY)?.is_some() && target.options().get(ENDPOINT).is_none() {
        return Err(Error::invalid(format!("{AUTHORITY} is given without {ENDPOINT}")));
    }
    Ok(())
}

/// What becomes part of a host name or path holds letters, digits and few other characters.
pub(crate) fn check_name(target: &Target, option: &str, others: &[u8]) -> Result<()> {
    let name = target.options().get(option).unwrap_or("none");
    let plain = |b: u8| b.is_ascii_alphanumeric() || others.contains(&b);
    let valid = name.len() <= 127 && name.bytes().all(plain) && !name.starts_with('.');
    if valid { Ok(()) } else { Err(Error::invalid(format!("invalid {option} {name:?}"))) }
}

/// Where tokens are asked for, when that is no server of Azure's.
pub(crate) fn authority(target: &Target) -> Result<Option<url::Url>> {
    net::endpoint(target, AUTHORITY)
}

/// Whether it is the identity of the server's own machine that asks.
fn is_machine(target: &Target) -> bool {
    target.options().get("AUTH") == Some(IMPLICIT)
}
