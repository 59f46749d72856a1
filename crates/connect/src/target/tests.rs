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
fn patterns_split_off_their_folder() {
    let (folder, pattern) = Target::parse("nodelocal://1/a/f-*.csv").unwrap().split_pattern().unwrap();
    assert_eq!((folder.to_text().as_str(), pattern.as_str()), ("nodelocal://1/a", "f-*.csv"));
    assert_eq!(
        Target::parse("nodelocal://1").unwrap().split_pattern().unwrap_err().to_string(),
        "nodelocal://1 names no file"
    );
}
