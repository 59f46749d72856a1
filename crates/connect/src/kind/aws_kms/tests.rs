use super::*;

const KEYS: &str = "AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=s";

#[test]
fn documented_refusals() {
    let empty = "path component of the KMS cannot be empty; must contain the Customer Managed Key";
    for (uri, text) in [
        (format!("aws-kms:///?{KEYS}&REGION=r"), empty),
        (format!("aws://?{KEYS}&REGION=r"), empty),
        (format!("aws:///key?{KEYS}"), "could not find the aws kms region"),
        (format!("aws://key?{KEYS}&REGION=r"), "host component of the KMS must be empty"),
        (format!("aws-kms:///key?{KEYS}&REGION=r&AWS_REGION=r"), "unknown KMS query parameters: AWS_REGION"),
        ("aws-kms:///key?REGION=r".into(), "AUTH is set to 'specified', but AWS_ACCESS_KEY_ID is not set"),
        (format!("aws-kms:///key?{KEYS}&REGION=a%2Fb"), "invalid REGION \"a/b\""),
        ("aws-kms:///key?AUTH=maybe&REGION=r".into(), "unsupported value maybe for AUTH"),
    ] {
        assert_eq!(Target::parse(&uri).unwrap_err().to_string(), text, "{uri}");
    }
}

#[test]
fn a_key_is_an_id_an_alias_or_an_arn() {
    let arn = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    for key in ["1234abcd-12ab-34cd-56ef-1234567890ab", "alias/backups", arn] {
        let target = Target::parse(&format!("aws-kms:///{key}?{KEYS}&REGION=us-east-1")).unwrap();
        assert_eq!(kms::key_id(&target).unwrap(), key);
    }
}

#[test]
fn redaction_hides_the_key_too() {
    let target = Target::parse(&format!("aws:///alias/a?{KEYS}&REGION=r&ASSUME_ROLE=arn;external_id=x"));
    assert_eq!(
        target.unwrap().redacted(),
        "aws:///redacted?ASSUME_ROLE=arn%3Bexternal_id%3Dredacted&AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=redacted&REGION=r"
    );
}

#[test]
fn access_follows_the_rule_of_storage() {
    let access = |rest: &str| Target::parse(&format!("aws-kms:///k?REGION=r&{rest}")).unwrap().access();
    assert_eq!(access(KEYS), Access::Explicit);
    assert_eq!(access("AUTH=implicit"), Access::Implicit);
    assert_eq!(access(&format!("{KEYS}&AWS_ENDPOINT=http://h")), Access::Implicit);
}
