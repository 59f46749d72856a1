use super::databend::masked_parameters;
use super::*;

const URI: &str =
    "s3://?AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=it%27s&AWS_REGION=eu-west-1&AWS_ENDPOINT=http%3A//h%3A9000";

/// The same connection, written by hand in each dialect.
const DATABEND: &str = "STORAGE_TYPE = 's3' access_key_id = 'k' secret_access_key = 'it''s' region = 'eu-west-1' \
                        endpoint_url = 'http://h:9000'";
const MATERIALIZE: &str = "TO AWS (ACCESS KEY ID = 'k', SECRET ACCESS KEY = 'it''s', REGION = 'eu-west-1', \
                           ENDPOINT = 'http://h:9000')";

fn uri() -> Target {
    Target::without_bucket(Uri::parse(URI).unwrap()).unwrap()
}

#[test]
fn one_kind_in_three_dialects() {
    assert_eq!(render(&uri(), Dialect::Cockroach).unwrap(), URI);
    assert_eq!(render(&uri(), Dialect::Databend).unwrap(), DATABEND);
    assert_eq!(render(&uri(), Dialect::Materialize).unwrap(), MATERIALIZE);
    for target in [parse_databend(DATABEND).unwrap(), parse_materialize(MATERIALIZE).unwrap()] {
        assert_eq!(target.to_text(), URI);
        assert_eq!(target.options().get("AUTH"), Some("specified"), "defaults are those of the table");
        assert_eq!(target.redacted(), uri().redacted());
    }
}

/// Each kind of key by hand in each dialect.
const KEYS: &[(&str, &str, &str)] = &[
    (
        "aws-kms:///alias/a%20b?AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=s&REGION=eu-west-1",
        "STORAGE_TYPE = 'aws-kms' key = 'alias/a b' access_key_id = 'k' secret_access_key = 's' region = 'eu-west-1'",
        "TO AWS KMS (key = 'alias/a b', ACCESS KEY ID = 'k', SECRET ACCESS KEY = 's', REGION = 'eu-west-1')",
    ),
    (
        "gcp-kms:///projects/p/locations/l/keyRings/r/cryptoKeys/k?BEARER_TOKEN=t&ASSUME_ROLE=a%40p.iam",
        "STORAGE_TYPE = 'gcp-kms' key = 'projects/p/locations/l/keyRings/r/cryptoKeys/k' bearer_token = 't' \
         role_arn = 'a@p.iam'",
        "TO GCP KMS (key = 'projects/p/locations/l/keyRings/r/cryptoKeys/k', BEARER TOKEN = 't', \
         ASSUME ROLE = 'a@p.iam')",
    ),
    (
        "azure-kms:///k/1?AZURE_VAULT_NAME=v&AZURE_TENANT_ID=t&AZURE_CLIENT_ID=c&AZURE_CLIENT_SECRET=s",
        "STORAGE_TYPE = 'azure-kms' key = 'k/1' vault_name = 'v' tenant_id = 't' client_id = 'c' client_secret = 's'",
        "TO AZURE KMS (key = 'k/1', VAULT NAME = 'v', TENANT ID = 't', CLIENT ID = 'c', CLIENT SECRET = 's')",
    ),
];

#[test]
fn keys_in_three_dialects() {
    for (uri, databend, materialize) in KEYS {
        for target in [Target::parse(uri), parse_databend(databend), parse_materialize(materialize)] {
            let target = target.unwrap();
            assert_eq!(render(&target, Dialect::Cockroach).unwrap(), *uri);
            assert_eq!(render(&target, Dialect::Databend).unwrap(), *databend);
            assert_eq!(render(&target, Dialect::Materialize).unwrap(), *materialize);
        }
        let without = databend.replacen("key =", "ky =", 1);
        assert_eq!(parse_databend(&without).unwrap_err().hint(), Some("did you mean key?"), "{without}");
        let again = format!(
            "{} KEY = '{}'",
            databend.replacen("key = '", "key = 'old", 1),
            Target::parse(uri).unwrap().uri().path
        );
        assert_eq!(parse_databend(&again).unwrap().to_text(), *uri, "the last one counts");
        let twice = materialize.replacen("(key", "(KEY = 'x', key", 1);
        assert_eq!(parse_materialize(&twice).unwrap_err().to_string(), "option key is given more than once");
    }
    let error = parse_databend("STORAGE_TYPE = 'aws-kms' access_key_id = 'k' secret_access_key = 's' region = 'r'");
    assert!(error.unwrap_err().to_string().starts_with("path component of the KMS cannot be empty"));
}

#[test]
fn a_connection_without_a_bucket_takes_it_from_the_path() {
    let connection = parse_databend(DATABEND).unwrap();
    let target = connection.join("/bucket/a/b.csv").unwrap();
    assert_eq!((target.uri().host.as_str(), target.uri().path.as_str()), ("bucket", "/a/b.csv"));
    assert_eq!(connection.join("bucket").unwrap().uri().path, "");
    let web = parse_databend("STORAGE_TYPE = 'HTTP'").unwrap();
    assert_eq!(web.join("h.example:8443/a/b.csv").unwrap().to_text(), "https://h.example:8443/a/b.csv");
    assert_eq!(web.join("").unwrap_err().to_string(), "https URI must name a host");
    let error = connection.join("").unwrap_err();
    assert_eq!(error.to_string(), "empty host component; s3 URI must specify a target bucket");
}

#[test]
fn keywords_are_read_in_any_case_and_may_mean_the_opposite() {
    let text = "storage_type='S3', ACCESS_KEY_ID='k', secret_access_key='s', Enable_Virtual_Host_Style='true'";
    let target = parse_databend(text).unwrap();
    assert!(!target.options().flag("AWS_USE_PATH_STYLE"));
    assert!(render(&target, Dialect::Databend).unwrap().ends_with("enable_virtual_host_style = 'true'"));
    let error = render(&target, Dialect::Materialize).unwrap_err();
    assert_eq!(error.to_string(), "option AWS_USE_PATH_STYLE has no name in this dialect");
}

#[test]
fn wrong_lists_are_refused() {
    for (text, message) in [
        ("STORAGE_TYPE = 's4' CONNECTION_NAME = 'c'", "protocol s4 is not supported yet."),
        ("STORAGE_TYPE = 's3' connection_name = 'c'", "can not use connection_name when create connection"),
        ("access_key_id = 'k'", "STORAGE_TYPE is required"),
        ("STORAGE_TYPE = 'fs' b = '1' a = ''", "connection params invalid: expected [], got [a, b]"),
        (
            "STORAGE_TYPE = 's3' access_key_id = 'k' secret_access_key = 's' ENABLE_virtual_host_style = 'maybe'",
            "value for enable_virtual_host_style is invalid: \"maybe\"",
        ),
        ("STORAGE_TYPE = 's3' access_key_id = 'k'", "secret_access_key is required for storage s3"),
        ("STORAGE_TYPE = 's3' secret_access_key = 's'", "access_key_id is required for storage s3"),
        (
            "STORAGE_TYPE = 's3' endpoint_url = 'ftp://h.example'",
            "endpoint_url must be an http or https URL of a server",
        ),
        ("STORAGE_TYPE = 's3' region = 'x", "unterminated quoted value"),
        ("STORAGE_TYPE = 's3' region", "'=' is expected"),
        ("STORAGE_TYPE = 's3' = 'x'", "an option name is expected"),
    ] {
        assert_eq!(parse_databend(text).unwrap_err().to_string(), message, "{text}");
    }
    assert!(
        parse_databend("STORAGE_TYPE='s3' acces_key_id='k'").unwrap_err().hint().unwrap().contains("access_key_id")
    );
    for text in ["AWS (REGION = 'x')", "TO AWS", "TO AWS (REGION = )", "TO AWS (REGION = 'x'"] {
        parse_materialize(text).expect_err(text);
    }
}

#[test]
fn every_value_is_masked() {
    for (value, shown) in
        [("", "***"), ("auto", "***"), ("12345", "12***45"), ("minioadmin", "mi***in"), ("äöüßx", "äö***ßx")]
    {
        assert_eq!(mask(value), shown);
    }
    let shown = masked_parameters(&parse_databend(DATABEND).unwrap());
    assert_eq!(shown, "access_key_id=*** endpoint_url=ht***00 region=eu***-1 secret_access_key=***");
    let target = Target::parse("s3://bucket/path?AUTH=implicit&S3_STORAGE_CLASS=GLACIER").unwrap();
    assert_eq!(masked_parameters(&target), "auth=im***it s3_storage_class=GL***ER url=s3***th");
    let target = Target::parse("https://h.example/x?token=hunter2").unwrap();
    assert_eq!(masked_parameters(&target), "redacted=*** url=ht***/x");
}

#[test]
fn redacted_text_keeps_what_is_public() {
    let shown = render_redacted(&uri(), Dialect::Databend).unwrap();
    assert_eq!(shown, DATABEND.replace("it''s", "redacted"));
}
