use super::*;

const APPLICATION: &str = "AZURE_TENANT_ID=t&AZURE_CLIENT_ID=c&AZURE_CLIENT_SECRET=s";

#[test]
fn documented_refusals() {
    let empty = "path component of the KMS cannot be empty; must contain the Customer Managed Key";
    let neither = "azure kms requires explicit auth (RBAC) or implicit auth";
    let whole = format!("AZURE_VAULT_NAME=v&{APPLICATION}");
    for (uri, text) in [
        (format!("azure-kms:///?{whole}"), empty),
        (format!("azure-kms:///k?{whole}"), "azure kms key must be of form 'id/version'"),
        (format!("azure-kms:///k/1/2?{whole}"), "azure kms key must be of form 'id/version'"),
        ("azure-kms:///k/1?AZURE_VAULT_NAME=v".into(), neither),
        ("azure-kms:///k/1?AZURE_VAULT_NAME=v&AZURE_TENANT_ID=t&AZURE_CLIENT_ID=c".into(), neither),
        (format!("azure-kms:///k/1?{APPLICATION}"), "parameter AZURE_VAULT_NAME is required"),
        (format!("azure-kms:///k/1?{whole}&REGION=r"), "unknown KMS query parameters: REGION"),
        (
            format!("azure-kms:///k/1?{whole}&AZURE_ENVIRONMENT=random-env"),
            "azure environment: autorest/azure: There is no cloud environment matching the name \"RANDOM-ENV\"",
        ),
        (
            "azure-kms:///k/1?AZURE_VAULT_NAME=v&AUTH=implicit&ENDPOINT=https://vault.azure.net.example".into(),
            "AUTH=implicit is only for https endpoints below vault.azure.net",
        ),
        (format!("azure-kms:///k/1?AZURE_VAULT_NAME=v.x%2F&{APPLICATION}"), "invalid AZURE_VAULT_NAME \"v.x/\""),
        (
            format!("azure-kms:///k/1?{whole}&AZURE_AUTHORITY_HOST=http://h"),
            "AZURE_AUTHORITY_HOST is given without ENDPOINT",
        ),
    ] {
        assert_eq!(Target::parse(&uri).unwrap_err().to_string(), text, "{uri}");
    }
}

#[test]
fn vaults_lie_in_their_cloud() {
    let vault = |rest: &str| {
        let uri = format!("azure-kms:///k/1?AZURE_VAULT_NAME=v&AUTH=implicit{rest}");
        vault(&Target::parse(&uri).unwrap()).unwrap().to_string()
    };
    assert_eq!(vault(""), "https://v.vault.azure.net/");
    assert_eq!(vault("&AZURE_ENVIRONMENT=azureusgovernmentcloud"), "https://v.vault.usgovcloudapi.net/");
    assert_eq!(vault("&ENDPOINT=https://v.private.vault.azure.net:1"), "https://v.private.vault.azure.net:1/");
}

#[test]
fn redaction_hides_the_key_too() {
    let target = Target::parse(&format!("azure-kms:///k/1?AZURE_VAULT_NAME=v&{APPLICATION}")).unwrap();
    assert_eq!(
        target.redacted(),
        "azure-kms:///redacted?AZURE_CLIENT_ID=c&AZURE_CLIENT_SECRET=redacted&AZURE_TENANT_ID=t&AZURE_VAULT_NAME=v"
    );
    assert_eq!(kms::key_id(&target).unwrap(), "k/1");
}
