//! What holds for every URI and option list; for fuzzers and tests.

use lakeport_base::{Dialect, Uri};

use crate::dialect::databend::masked_parameters;
use crate::dialect::{self, render, render_redacted};
use crate::error::{Error, scrub};
use crate::kind::{KindSpec, Unknown, kind_of_scheme};
use crate::path;
use crate::target::LOCALITY_PARAM;
use crate::{ExternalRef, Target, redact};

/// Put where a secret may stand: nothing that is shown may hold it.
const SECRET: &str = "hunter2hunter2";
/// Parameters that are tried as places of a secret, so that the work stays in proportion to the text.
const PLACES_MAX: usize = 16;

/// Reads a text as a URI. Printed and read again it is the same, paths joined to it lie below it, and a secret in any
/// of its places shows up neither in its redacted form nor in an error.
///
/// # Panics
/// When that does not hold.
pub fn uris(text: &str) {
    redact(text);
    if text.contains(SECRET) {
        return;
    }
    scrubs(text);
    refuses_in_silence(text);
    let Ok(uri) = Uri::parse(text) else { return };
    let printed = uri.to_text();
    // Lower case and decoded parts may spell it too.
    if printed.len() > lakeport_base::limits::URI_BYTES_MAX || printed.contains(SECRET) {
        return;
    }
    assert!(Uri::parse(&printed) == Ok(uri.clone()), "{text:?} prints as {printed:?}");
    if let Ok(target) = Target::parse(text) {
        assert!(Target::parse(&printed).is_ok(), "{text:?} prints as {printed:?}");
        stays_below(&target, &uri.path);
        let _ = target.split_pattern();
    }
    with_secrets(&uri).iter().for_each(hides);
}

/// Reads a text as an option list of each dialect. Printed and read again it is the same, and a secret in any of its
/// places shows up nowhere.
///
/// # Panics
/// When that does not hold.
pub fn option_lists(text: &str) {
    for dialect in [Dialect::Databend, Dialect::Materialize] {
        let Ok(target) = dialect::parse(dialect, text) else { continue };
        prints_back(&target);
        if !text.contains(SECRET) {
            with_secrets(target.uri()).iter().for_each(hides);
        }
    }
}

/// A target without host and path reads back in every dialect that has words for it.
fn prints_back(target: &Target) {
    for dialect in [Dialect::Databend, Dialect::Materialize] {
        let Ok(printed) = render(target, dialect) else { continue };
        let again = dialect::parse(dialect, &printed).unwrap_or_else(|error| panic!("{printed:?}: {error}"));
        assert_eq!(render(&again, dialect).ok().as_deref(), Some(printed.as_str()));
        assert_eq!(again.redacted(), target.redacted(), "{printed:?}");
    }
}

/// URLs lose what may be secret, whatever stands before them.
fn scrubs(text: &str) {
    for between in [" ", ""] {
        let shown = scrub(&format!("{text}{between}https://u:{SECRET}@h/x?k={SECRET}"));
        assert!(!shown.contains(SECRET), "{text:?} before a URL: {shown:?}");
    }
}

/// What is no URI is not repeated after its scheme.
fn refuses_in_silence(text: &str) {
    let Some((scheme, rest)) = text.split_once("://") else { return };
    let middle = rest.floor_char_boundary(rest.len() / 2);
    let (before, after) = rest.split_at(middle);
    if let Err(error) = Uri::parse(&format!("{scheme}://{before}{SECRET}{after}")) {
        assert_hidden(&error.to_string(), text);
    }
}

fn stays_below(target: &Target, sub_path: &str) {
    if target.lacks_bucket() {
        return;
    }
    let base = path::join(&target.uri().path, "").unwrap_or_default();
    if let Ok(joined) = target.join(sub_path) {
        let below = joined.uri().path.strip_prefix(&base);
        let below = below.unwrap_or_else(|| panic!("{:?} is not below {base:?}", joined.uri().path));
        assert!(below.split('/').all(|segment| segment != ".."), "{below:?} climbs out of {base:?}");
    }
}

/// The URI once for each place where a secret may stand, with the secret there.
fn with_secrets(uri: &Uri) -> Vec<Uri> {
    let spec = kind_of_scheme(&uri.scheme).map(|kind| kind.spec());
    let user = Some(uri.user.clone().unwrap_or_default());
    let mut variants = vec![
        Uri { user, password: Some(SECRET.to_string()), ..uri.clone() },
        Uri { user: Some(SECRET.to_string()), password: None, ..uri.clone() },
    ];
    for (at, (key, value)) in uri.params.iter().enumerate().take(PLACES_MAX) {
        for pair in secret_pairs(spec, key, value) {
            let mut variant = uri.clone();
            variant.params[at] = pair;
            variants.push(variant);
        }
    }
    variants
}

/// The parameter with a secret in it, in every way that its table calls secret.
fn secret_pairs(spec: Option<&KindSpec>, key: &str, value: &str) -> Vec<(String, String)> {
    let row = spec.and_then(|spec| spec.options.iter().find(|row| row.name == key));
    let with = |value: String| (key.to_string(), value);
    let values = || vec![with(format!("{value}{SECRET}")), with(SECRET.to_string())];
    match row {
        None if key == LOCALITY_PARAM => Vec::new(),
        None if spec.is_some_and(|spec| spec.unknown == Unknown::PassedOn) => {
            values().into_iter().chain([(SECRET.to_string(), value.to_string())]).collect()
        }
        None => values(),
        Some(row) if !row.public => values(),
        Some(row) => row.secret_after.map(|mark| with(format!("{value}{mark}{SECRET}"))).into_iter().collect(),
    }
}

/// Whatever becomes of a URI with a secret, the secret is not shown.
fn hides(uri: &Uri) {
    let text = uri.to_text();
    assert_hidden(&redact(&text), &text);
    assert_hidden(&format!("{:?} {:?}", uri, ExternalRef::parse(&text)), &text);
    match Target::without_bucket(uri.clone()) {
        Ok(target) => {
            let shown = [target.redacted(), target.address(), format!("{target:?} {:?}", target.options())];
            let redacted = Dialect::ALL.into_iter().filter_map(|dialect| render_redacted(&target, dialect).ok());
            let shown = shown.into_iter().chain(redacted).chain([masked_parameters(&target)]);
            shown.for_each(|shown| assert_hidden(&shown, &text));
            cut_short(&target);
        }
        Err(error) => assert_error_hides(&error, &text),
    }
}

/// An option list that ends too early is refused without its secrets.
fn cut_short(target: &Target) {
    for dialect in [Dialect::Databend, Dialect::Materialize] {
        let Ok(printed) = render(target, dialect) else { continue };
        for third in 1..=3 {
            let end = printed.floor_char_boundary((printed.len() * third / 3).saturating_sub(1));
            if let Err(error) = dialect::parse(dialect, &printed[..end]) {
                assert_error_hides(&error, &printed);
            }
        }
    }
}

fn assert_error_hides(error: &Error, text: &str) {
    assert_hidden(&format!("{error} {error:?}"), text);
}

fn assert_hidden(shown: &str, text: &str) {
    assert!(!shown.contains(SECRET), "{text:?} shows its secret: {shown:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_keeps_its_secrets() {
        for text in [
            "s3://b/p?AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=s&ASSUME_ROLE=arn:a;external_id=x,arn:b&AUTH=specified",
            "oss://b/p?AUTH=implicit&OSS_REGION=r&ASSUME_ROLE=acs:a;external_id=x",
            "s3://b?AUTH=implicit&AWS_ENDPOINT=http://h:9000&S3_STORAGE_CLASS=x&COCKROACH_LOCALITY=default",
            "https://u:p@h.example:8443/a/b?token=x",
            "nodelocal://1/a/../b?COCKROACH_LOCALITY=x",
            "userfile://defaultdb.public.x/a%20b",
            "aws-kms:///alias/k?AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=s&REGION=r&ASSUME_ROLE=arn:a;external_id=x",
            "gcp-kms:///projects/p/k?BEARER_TOKEN=t&ENDPOINT=https://h:1&CA_CERT=AAAA",
            "azure-kms:///k/1?AZURE_VAULT_NAME=v&AZURE_TENANT_ID=t&AZURE_CLIENT_ID=c&AZURE_CLIENT_SECRET=s",
            "external://c/a/*.csv?k=v",
            "sftp://u:p@h/x?k=v",
            "s3://b/%zz",
            "not a URI",
        ] {
            uris(text);
        }
    }

    #[test]
    fn every_dialect_keeps_its_secrets() {
        option_lists(
            "STORAGE_TYPE = 's3' access_key_id = 'k' secret_access_key = 'it''s' enable_virtual_host_style = t",
        );
        option_lists("STORAGE_TYPE = 'gcp-kms' key = 'projects/p/k' bearer_token = 't' ca_cert = 'AAAA'");
        option_lists("TO AWS (ACCESS KEY ID = 'k', SECRET ACCESS KEY 's', ASSUME ROLE ARN = 'arn:a;external_id=x')");
    }
}
