use super::*;

fn refusal(uri: &str) -> String {
    Target::parse(uri).unwrap_err().to_string()
}

#[test]
fn nodelocal_hosts_and_paths() {
    assert_eq!(
        refusal("nodelocal:///foo"),
        "invalid `nodelocal` URI: host component of nodelocal URI must be a node ID (use 'self' to specify each node \
         should access its own local filesystem): nodelocal:///foo"
    );
    assert_eq!(
        refusal("nodelocal://a/foo"),
        "invalid `nodelocal` URI: host component of nodelocal URI must be a node ID: nodelocal://a/foo"
    );
    assert_eq!(
        refusal("nodelocal://1/../x"),
        "local file access to paths outside of external-io-dir is not allowed: ../x"
    );
    assert_eq!(Target::parse("nodelocal://1/a/../b").unwrap().prefix().unwrap().as_ref(), "b");
    assert_eq!(refusal("nodelocal://1/a?X=1"), "unknown nodelocal query parameters: X");
}

#[test]
fn unknown_schemes_name_themselves() {
    assert_eq!(
        refusal("sftp://host/x"),
        "unsupported storage scheme: \"sftp\" - refer to docs to find supported storage schemes"
    );
}

#[test]
fn references() {
    assert_eq!(ExternalRef::parse("nodelocal://1/x").unwrap(), None);
    let reference = ExternalRef::parse("external://store/a/b?X=1").unwrap().unwrap();
    assert_eq!((reference.name.as_str(), reference.path.as_str()), ("store", "/a/b"));
    assert_eq!(
        ExternalRef::parse("external:///x").unwrap_err().to_string(),
        "host component of an external URI must refer to an existing External Connection object: external:///x"
    );
}

#[test]
fn what_is_not_understood_is_not_shown() {
    assert_eq!(redact("sftp://user:pw@host/x?key=1"), "sftp://redacted");
    assert_eq!(redact("no uri"), "redacted");
    assert_eq!(redact("external://c/a?AWS_SECRET_ACCESS_KEY=x"), "external://c/a");
    assert_eq!(redact("nodelocal://1/a?COCKROACH_LOCALITY=default"), "nodelocal://1/a?COCKROACH_LOCALITY=default");
}

#[test]
fn a_user_stands_only_where_a_kind_reads_it() {
    for uri in ["nodelocal://k:s@1/a", "userfile://k@/a", "s3://k:s@b/p?AUTH=implicit"] {
        let scheme = uri.split_once(':').unwrap().0;
        assert_eq!(refusal(uri), format!("{scheme} URIs hold no user or password before the host"));
    }
    assert!(ExternalRef::parse("external://k:s@c/a").is_err());
    let target = Target::parse("https://token:pw@h.example/a").unwrap();
    assert_eq!(target.redacted(), "https://token:redacted@h.example/a");
    assert_eq!(redact("https://token@h.example/a"), "https://redacted@h.example/a");
    let reference = ExternalRef::parse("external://c/a?K=hunter2").unwrap();
    assert!(!format!("{reference:?}").contains("hunter2"));
}

#[test]
fn a_web_host_is_the_one_that_is_written() {
    for host in ["h.example", "H.Example:8443", "127.0.0.1:80", "[::1]:8080", "[::1]"] {
        Target::parse(&format!("http://{host}/a")).expect(host);
    }
    for host in
        ["good%23.evil", "good%3F.evil", "good%2F.evil", "u%40evil", "0x7f.1", "2130706433", "b%C3%BCcher.example"]
    {
        Target::parse(&format!("http://{host}/a")).expect_err(host);
    }
}

#[test]
fn patterns_split_off_their_folder() {
    let (folder, pattern) = Target::parse("nodelocal://1/a/f-*.csv").unwrap().split_pattern().unwrap();
    assert_eq!((folder.to_text().as_str(), pattern.as_str()), ("nodelocal://1/a", "f-*.csv"));
    assert_eq!(
        Target::parse("nodelocal://1").unwrap().split_pattern().unwrap_err().to_string(),
        "nodelocal://1 names no file"
    );
}

#[test]
fn rules_over_several_options() {
    use crate::option::{OptionSpec, OptionType};
    static TABLE: &[OptionSpec] =
        &[OptionSpec::new("CERT", OptionType::Text, ""), OptionSpec::new("KEY", OptionType::Text, "")];
    let options = |names: &[&str]| {
        let params: Vec<_> = names.iter().map(|name| (name.to_string(), "x".to_string())).collect();
        Options::parse("test", TABLE, &params).unwrap()
    };
    let together = Rule::Together(&["CERT", "KEY"]);
    let exclusive = Rule::Exclusive(&["CERT", "KEY"]);
    for (names, is_together, is_exclusive) in
        [(&[][..], true, true), (&["CERT"], false, true), (&["KEY"], false, true), (&["CERT", "KEY"], true, false)]
    {
        assert_eq!(check_rule(&together, &options(names)).is_ok(), is_together, "{names:?}");
        assert_eq!(check_rule(&exclusive, &options(names)).is_ok(), is_exclusive, "{names:?}");
    }
}

#[test]
fn tables_and_kinds_are_well_formed() {
    let mut names: Vec<&str> = crate::KINDS.iter().map(|kind| kind.spec().name).collect();
    let mut schemes: Vec<&str> = crate::KINDS.iter().flat_map(|kind| kind.spec().schemes).copied().collect();
    for list in [&mut names, &mut schemes] {
        let count = list.len();
        list.sort();
        list.dedup();
        assert_eq!(list.len(), count, "a name or scheme is taken twice: {list:?}");
    }
    for row in crate::KINDS.iter().flat_map(|kind| kind.spec().options) {
        let sounds_secret = ["SECRET", "TOKEN", "PASSWORD", "CREDENTIALS"].iter().any(|word| row.name.contains(word));
        assert!(!(sounds_secret && row.public), "{} is shown", row.name);
        assert!(row.help.ends_with('.'), "{}", row.name);
    }
}

/// Names that would lead elsewhere if they became part of an address: as they stand, and escaped.
const ELSEWHERE: [&str; 13] = [
    "evil.example/",
    "b/../c",
    "b?x=1",
    "b#c",
    "u@evil.example",
    "b:80",
    "b\\c",
    "b\r\nx-header: 1",
    "b\tc",
    "b c",
    "b%2fc",
    "..",
    "b\u{e9}",
];

#[test]
fn names_that_would_lead_elsewhere_are_refused() {
    const AWS: &str = "AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=s";
    const AZURE: &str = "AZURE_ACCOUNT_NAME=a&AZURE_ACCOUNT_KEY=a2V5";
    const OSS: &str = "OSS_ACCESS_KEY_ID=k&OSS_ACCESS_KEY_SECRET=s";
    const COS: &str = "COS_SECRET_ID=i&COS_SECRET_KEY=k&ENDPOINT=h.example";
    for (before, after) in [
        ("s3://", format!("/p?{AWS}")),
        ("s3://b/p?AWS_REGION=", format!("&{AWS}")),
        ("gs://", "/p?BEARER_TOKEN=t".to_string()),
        ("azure-blob://", format!("/p?{AZURE}")),
        ("azure-blob://c/p?AZURE_ACCOUNT_NAME=", "&AZURE_ACCOUNT_KEY=a2V5".to_string()),
        ("azure-blob://c/p?AZURE_TENANT_ID=", "&AZURE_ACCOUNT_NAME=a&AUTH=implicit".to_string()),
        ("oss://", format!("/p?OSS_REGION=r&{OSS}")),
        ("oss://b/p?OSS_REGION=", format!("&{OSS}")),
        ("cos://", format!("/p?{COS}")),
        ("aws-kms:///k?REGION=", format!("&{AWS}")),
        ("azure-kms:///k/1?AZURE_VAULT_NAME=", "&AUTH=implicit".to_string()),
    ] {
        for name in ELSEWHERE {
            let escaped: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let uri = format!("{before}{escaped}{after}");
            assert!(Target::parse(&uri).is_err(), "{name:?} in {before}");
        }
        Target::parse(&format!("{before}lake-1{after}")).unwrap_or_else(|error| panic!("{before}: {error}"));
    }
}

#[test]
fn what_no_header_can_hold_is_refused() {
    for uri in [
        "s3://b?AWS_ACCESS_KEY_ID=k%0A&AWS_SECRET_ACCESS_KEY=s",
        "s3://b?AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=s&AWS_SESSION_TOKEN=t%0D%0A",
        "s3://b?AUTH=implicit&S3_STORAGE_CLASS=%C3%A9",
        "gs://b?BEARER_TOKEN=t%7F",
        "gs://b?AUTH=implicit&GOOGLE_BILLING_PROJECT=p%0A",
        "oss://b?OSS_REGION=r&OSS_ACCESS_KEY_ID=k%0A&OSS_ACCESS_KEY_SECRET=s",
        "cos://b?ENDPOINT=h&COS_SECRET_ID=i%7F&COS_SECRET_KEY=k",
    ] {
        assert!(refusal(uri).ends_with("may hold printable ASCII characters only"), "{uri}");
    }
}

#[test]
fn a_store_is_one_however_its_address_is_spelt() {
    let store = |endpoint: &str| {
        let uri = format!("s3://b/p?AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=s&AWS_ENDPOINT={endpoint}");
        Target::parse(&uri).unwrap().store("u")
    };
    let expected = store("https://minio.example");
    assert_eq!(expected, "s3://b at https://minio.example");
    for endpoint in
        ["https://minio.example/", "https://MinIO.example:443", "minio.example", "HTTPS://minio.example:443/"]
    {
        assert_eq!(store(endpoint), expected, "{endpoint}");
    }
    for endpoint in ["http://minio.example", "https://minio.example:9000", "https://minio.example/s3"] {
        assert_ne!(store(endpoint), expected, "{endpoint}");
    }
    let server = |uri: &str| Target::parse(uri).unwrap().store("u");
    assert_eq!(server("https://Files.example:443/a"), server("https://files.example/b"));
    assert_ne!(server("https://files.example:444/a"), server("https://files.example/a"));
}
