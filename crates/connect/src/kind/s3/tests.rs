use super::*;

fn refusal(uri: &str) -> String {
    Target::parse(uri).unwrap_err().to_string()
}

const KEYS: &str = "AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=s";

#[test]
fn documented_refusals() {
    for (uri, text) in [
        (format!("s3:///x?{KEYS}"), "empty host component; s3 URI must specify a target bucket"),
        (format!("s3://b/x?{KEYS}&INVALIDPARAM=1"), "unknown S3 query parameters: INVALIDPARAM"),
        (format!("s3://b/x?{KEYS}&B=1&A=2"), "unknown S3 query parameters: B, A"),
        ("s3://b/x?AUTH=specified".into(), "AUTH is set to 'specified', but AWS_ACCESS_KEY_ID is not set"),
        ("s3://b/x?AWS_ACCESS_KEY_ID=k".into(), "AUTH is set to 'specified', but AWS_SECRET_ACCESS_KEY is not set"),
        ("s3://b/x?AUTH=maybe".into(), "unsupported value maybe for AUTH"),
        (
            format!("s3://b/x?{KEYS}&AWS_SERVER_ENC_MODE=rot13"),
            "unsupported server encryption mode rot13. Supported values are `aws:kms` and `AES256`.",
        ),
        (
            format!("s3://b/x?{KEYS}&AWS_SERVER_ENC_MODE=aws:kms"),
            "AWS_SERVER_KMS_ID param must be set when using aws:kms server side encryption mode.",
        ),
        (format!("s3://b/x?{KEYS}&AWS_REGION=a&AWS_REGION=b"), "parameter AWS_REGION is given more than once"),
        ("s3://b/x?AWS_ACCESS_KEY_ID=&AWS_SECRET_ACCESS_KEY=s".into(), "parameter AWS_ACCESS_KEY_ID must not be empty"),
    ] {
        assert_eq!(refusal(&uri), text);
    }
    assert!(
        refusal(&format!("s3://b?{KEYS}&AWS_USE_PATH_STYLE=maybe"))
            .starts_with("cannot parse AWS_USE_PATH_STYLE as bool: ")
    );
}

#[test]
fn a_misspelt_parameter_has_a_hint() {
    for (wrong, right) in [("AWS_REGOIN", "AWS_REGION"), ("aws_endpoint", "AWS_ENDPOINT")] {
        let error = Target::parse(&format!("s3://b?{KEYS}&{wrong}=x")).unwrap_err();
        assert_eq!(error.to_string(), format!("unknown S3 query parameters: {wrong}"));
        assert!(error.hint().unwrap().contains(right), "{error:?}");
    }
}

#[test]
fn what_becomes_part_of_a_host_holds_nothing_else() {
    for uri in [
        format!("s3://evil.example%2F?{KEYS}"),
        format!("s3://b%40evil.example?{KEYS}"),
        format!("s3://b:80?{KEYS}"),
        format!("s3://a..b?{KEYS}"),
        format!("s3://b?{KEYS}&AWS_REGION=x.evil.example%2F"),
        format!("s3://b?{KEYS}&AWS_ENDPOINT=file:%2F%2F%2Fetc%2Fpasswd"),
        format!("s3://b?{KEYS}&AWS_ENDPOINT=http:%2F%2Fu:p%40h"),
        format!("s3://b?{KEYS}&AWS_ENDPOINT=http:%2F%2Fh%3Fq=1"),
    ] {
        Target::parse(&uri).expect_err(&uri);
    }
}

#[test]
fn redaction_sorts_and_hides() {
    let target = Target::parse(
        "s3://b/p?AWS_SECRET_ACCESS_KEY=s%2Bs&AWS_ACCESS_KEY_ID=k&ASSUME_ROLE=r1;external_id=x,r2&AUTH=specified",
    );
    assert_eq!(
        target.unwrap().redacted(),
        "s3://b/p?ASSUME_ROLE=r1%3Bexternal_id%3Dredacted%2Cr2&AUTH=specified&AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=redacted"
    );
}

#[test]
fn access_follows_the_documented_rule() {
    let access = |rest: &str| Target::parse(&format!("s3://b?{rest}")).unwrap().access();
    assert_eq!(access(KEYS), Access::Explicit);
    assert_eq!(access("AUTH=implicit"), Access::Implicit);
    assert_eq!(access(&format!("{KEYS}&AWS_ENDPOINT=http://h")), Access::Implicit);
}

#[test]
fn endpoints_carry_the_bucket_as_asked() {
    let url = Url::parse("http://h:9000/").unwrap();
    assert_eq!(bucket_endpoint(&url, "b", true), "http://h:9000");
    assert_eq!(bucket_endpoint(&url, "b", false), "http://b.h:9000");
}
