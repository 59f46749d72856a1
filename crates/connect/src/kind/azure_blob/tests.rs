use super::*;

const KEY: &str = "AZURE_ACCOUNT_NAME=lake&AZURE_ACCOUNT_KEY=a2V5";
const APPLICATION: &str = "AZURE_ACCOUNT_NAME=lake&AZURE_TENANT_ID=t&AZURE_CLIENT_ID=c&AZURE_CLIENT_SECRET=s";

#[test]
fn documented_refusals() {
    let one_method = "explicit azure uri requires exactly one authentication method: \"AZURE_ACCOUNT_KEY\" OR all three \
                      of \"AZURE_TENANT_ID\", \"AZURE_CLIENT_ID\", and \"AZURE_CLIENT_SECRET\"";
    for (uri, text) in [
        (format!("azure-blob:///p?{KEY}"), "empty host component; azure-blob URI must specify a target bucket"),
        ("azure://c/p?AZURE_ACCOUNT_KEY=a2V5".into(), "azure uri missing \"AZURE_ACCOUNT_NAME\" parameter"),
        ("azure://c/p?AZURE_ACCOUNT_NAME=lake".into(), one_method),
        (format!("azure://c/p?{APPLICATION}&AZURE_ACCOUNT_KEY=a2V5"), one_method),
        (format!("azure://c/p?{KEY}&AZURE_CLIENT_ID=c"), one_method),
        ("azure://c/p?AZURE_ACCOUNT_NAME=lake&AZURE_TENANT_ID=t&AZURE_CLIENT_ID=c".into(), one_method),
        (
            "azure://c/p?AZURE_ACCOUNT_NAME=lake&AZURE_ACCOUNT_KEY=-".into(),
            "param AZURE_ACCOUNT_KEY must be base 64 encoded",
        ),
        (format!("azure://c/p?{KEY}&AUTH=none"), "unsupported value none for AUTH"),
        (format!("azure://c/p?{KEY}&REGION=r"), "unknown azure query parameters: REGION"),
        (
            format!("azure://c/p?{KEY}&AZURE_ENVIRONMENT=random-env"),
            "azure environment: autorest/azure: There is no cloud environment matching the name \"RANDOM-ENV\"",
        ),
        (
            "azure://c/p?AZURE_ACCOUNT_NAME=lake&AUTH=implicit&ENDPOINT=https://blob.core.windows.net.example".into(),
            "AUTH=implicit is only for https endpoints below blob.core.windows.net",
        ),
    ] {
        assert_eq!(Target::parse(&uri).unwrap_err().to_string(), text, "{uri}");
    }
}

#[test]
fn accounts_lie_in_their_cloud() {
    let account = |rest: &str| account(&Target::parse(&format!("azure://c?{KEY}{rest}")).unwrap()).unwrap().to_string();
    assert_eq!(account(""), "https://lake.blob.core.windows.net/");
    assert_eq!(account("&AZURE_ENVIRONMENT=AzureChinaCloud"), "https://lake.blob.core.chinacloudapi.cn/");
    assert_eq!(account("&ENDPOINT=http://127.0.0.1:1/lake"), "http://127.0.0.1:1/lake");
}

#[test]
fn a_key_may_be_written_as_it_is_shown() {
    for key in ["%2BKey/w==", "+Key/w=="] {
        Target::parse(&format!("azure://c?AZURE_ACCOUNT_NAME=lake&AZURE_ACCOUNT_KEY={key}")).expect(key);
    }
}

#[test]
fn another_account_is_another_place() {
    let place = |name: &str| {
        let uri = format!("azure://c/p?AZURE_ACCOUNT_NAME={name}&AZURE_ACCOUNT_KEY=a2V5");
        Target::parse(&uri).unwrap().place()
    };
    assert_eq!(place("one"), place("one"));
    assert_ne!(place("one"), place("other"));
}

#[test]
fn redaction_shows_who_but_not_how() {
    let target = Target::parse(&format!("azure-storage://c/p?{APPLICATION}")).unwrap();
    assert_eq!(
        target.redacted(),
        "azure-storage://c/p?AZURE_ACCOUNT_NAME=lake&AZURE_CLIENT_ID=c&AZURE_CLIENT_SECRET=redacted&AZURE_TENANT_ID=t"
    );
    let target = Target::parse(&format!("azure://c/p?{KEY}")).unwrap();
    assert_eq!(target.redacted(), "azure://c/p?AZURE_ACCOUNT_KEY=redacted&AZURE_ACCOUNT_NAME=lake");
}
