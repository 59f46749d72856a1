use super::*;

const KEY: &str = "gcp-kms:///projects/p/locations/l/keyRings/r/cryptoKeys/k";

fn refusal(uri: &str) -> String {
    Target::parse(uri).unwrap_err().to_string()
}

#[test]
fn documented_refusals() {
    let empty = "path component of the KMS cannot be empty; must contain the Customer Managed Key";
    for (uri, text) in [
        ("gcp-kms:///?BEARER_TOKEN=x".to_string(), empty),
        (format!("{KEY}?BEARER_TOKEN=x&REGION=r"), "unknown KMS query parameters: REGION"),
        (format!("{KEY}?AUTH=specified"), "AUTH is set to 'specified', but CREDENTIALS is not set"),
        (
            format!("{KEY}?CREDENTIALS=%21"),
            "error getting credentials from CREDENTIALS: illegal base64 data at input byte 0",
        ),
        (format!("{KEY}?CREDENTIALS=e30%3D"), "error getting credentials from CREDENTIALS: client_email is missing"),
        (
            format!("{KEY}?CREDENTIALS=e30%3D&BEARER_TOKEN=x"),
            "only one of the parameters CREDENTIALS, BEARER_TOKEN may be given",
        ),
        (
            format!("{KEY}?AUTH=implicit&ENDPOINT=http://x.googleapis.com"),
            "AUTH=implicit is only for https endpoints below googleapis.com",
        ),
        ("gcp-kms:///a/../b?BEARER_TOKEN=x".to_string(), "invalid key \"a/../b\""),
    ] {
        assert_eq!(refusal(&uri), text, "{uri}");
    }
}

#[test]
fn the_storage_scheme_means_a_key_only_in_its_place() {
    let uri = format!("{}?BEARER_TOKEN=x", KEY.replace("gcp-kms", "gs"));
    assert_eq!(Target::parse_kms(&uri).unwrap().spec().name, "gcp-kms");
    assert_eq!(refusal(&uri), "empty host component; gs URI must specify a target bucket");
}

#[test]
fn redaction_hides_the_key_too() {
    let target = Target::parse("gcp-kms:///cmk?AUTH=specified&BEARER_TOKEN=c29tZXRoaW5nCg==").unwrap();
    assert_eq!(target.redacted(), "gcp-kms:///redacted?AUTH=specified&BEARER_TOKEN=redacted");
    assert_eq!(target.access(), Access::Explicit);
}

#[test]
fn checksums_are_those_of_the_interface() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    let mut answer = summed("plaintext", b"data key");
    assert_eq!(taken(&answer, "plaintext").unwrap(), b"data key");
    answer["plaintextCrc32c"] = "1".into();
    assert!(matches!(taken(&answer, "plaintext"), Err(Error::Io(_))));
}
