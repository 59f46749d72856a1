//! S3 and STS: real servers, and what goes wrong before one answers.

use std::time::Duration;

use crate::peer::Peer;
use crate::scratch::{
    LIMIT, an_upload_goes_on_in_another_opening, conforms, in_bucket, refusal, scratch,
    the_check_and_the_transfer_test_pass, with,
};
use crate::variable;
use lakeport_connect::{Error, Target, probe};
use object_store::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::test]
async fn conformance_on_s3() {
    let peer = Peer::start("s3");
    let own = peer.as_ref().map(|peer| peer.uri("S3_BUCKET", "S3_KEY", "S3_SECRET"));
    let Some(uri) = variable("LAKEPORT_TEST_S3").or(own) else { return };
    conforms(&uri).await;
    an_upload_goes_on_in_another_opening(&uri).await;
    an_upload_may_be_given_up_or_classed(&uri).await;
    the_check_and_the_transfer_test_pass(&uri).await;
    wrong_credentials_are_named(&uri).await;
    implicit_credentials_come_from_the_environment(&uri);
    if let Some(peer) = peer {
        buckets_may_stand_in_host_names_behind_a_private_ca(&peer).await;
        keys_that_may_only_read_fail_the_check(&peer.uri("S3_BUCKET", "S3_READER_KEY", "S3_READER_SECRET")).await;
    }
}

async fn buckets_may_stand_in_host_names_behind_a_private_ca(peer: &Peer) {
    let uri = peer.uri("S3_BUCKET", "S3_KEY", "S3_SECRET");
    let set = |uri: &str, name, value| with(uri, name, value).uri().to_text();
    let stranger = set(&set(&uri, "AWS_ENDPOINT", peer.fact("S3_TLS_ENDPOINT")), "AWS_USE_PATH_STYLE", "false");
    let uri = set(&stranger, "CA_CERT", peer.fact("S3_TLS_CA"));
    conforms(&uri).await;
    an_upload_goes_on_in_another_opening(&uri).await;
    the_check_and_the_transfer_test_pass(&uri).await;
    let error = refusal(&Target::parse(&stranger).unwrap()).await;
    assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
    // The server's certificate is for its buckets, each by its name.
    let error = refusal(&in_bucket(&uri, "nobodys")).await;
    assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
    assert!(error.to_string().contains("not valid for name \"nobodys.localhost\""), "{error}");
}

async fn an_upload_may_be_given_up_or_classed(uri: &str) {
    let (_folder, cx) = scratch();
    let target = Target::parse(uri).unwrap();
    let (one, other) = (target.open_storage(&cx).await.unwrap(), target.open_storage(&cx).await.unwrap());
    let path = Path::from("uploads/given-up");
    let (first, second) = (one.uploads.unwrap(), other.uploads.unwrap());
    let given_up = first.create_multipart(&path).await.unwrap();
    second.abort_multipart(&path, &given_up).await.unwrap();
    assert!(first.put_part(&path, &given_up, 0, "x".into()).await.is_err());
    let classed = with(uri, "S3_STORAGE_CLASS", "STANDARD_IA");
    assert!(classed.open_storage(&cx).await.unwrap().uploads.is_none());
}

async fn wrong_credentials_are_named(uri: &str) {
    let error = refusal(&with(uri, "AWS_SECRET_ACCESS_KEY", "wrong-secret-key")).await;
    assert!(matches!(error, Error::Denied(_)), "{error:?}");
    assert!(error.to_string().starts_with("failed to write a sentinel ExternalStorage file: s3://"), "{error}");
    assert!(error.to_string().contains("SignatureDoesNotMatch"), "{error}");
    let error = refusal(&with(uri, "AWS_ACCESS_KEY_ID", "AKIANOBODY")).await;
    assert!(matches!(error, Error::Denied(_)), "{error:?}");
}

async fn keys_that_may_only_read_fail_the_check(uri: &str) {
    let error = refusal(&Target::parse(uri).unwrap()).await;
    assert!(matches!(error, Error::Denied(_)), "{error:?}");
    assert!(error.to_string().contains("AccessDenied"), "{error}");
}

/// Set for the child process that has credentials of its own.
const CHILD: &str = "LAKEPORT_TEST_IMPLICIT";

/// Does nothing unless another test runs it in a child process.
#[tokio::test]
async fn child_with_credentials_of_its_own() {
    let Some(uri) = variable(CHILD) else { return };
    let (_folder, cx) = scratch();
    probe(&Target::parse(&uri).unwrap(), &cx, LIMIT).await.unwrap();
}

/// What a URI with keys opens is opened without them by a process that has them in its environment.
pub fn implicit_credentials_come_from_the_environment(uri: &str) {
    let target = Target::parse(uri).unwrap();
    let mut implicit = with(uri, "AUTH", "implicit").uri().clone();
    implicit.params.retain(|(key, _)| ["AUTH", "AWS_ENDPOINT", "REGION"].contains(&key.as_str()));
    let key = |name| target.options().get(name).unwrap().replace(' ', "+");
    for (secret, passes) in [(key("AWS_SECRET_ACCESS_KEY"), true), ("wrong".to_string(), false)] {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "s3::child_with_credentials_of_its_own"])
            .env(CHILD, implicit.to_text())
            .env("AWS_ACCESS_KEY_ID", key("AWS_ACCESS_KEY_ID"))
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .output()
            .unwrap();
        assert_eq!(child.status.success(), passes, "{}", String::from_utf8_lossy(&child.stdout));
    }
}

#[tokio::test]
async fn roles_are_assumed() {
    let Some(peer) = Peer::start("sts") else { return };
    let uri = peer.uri("STS_BUCKET", "STS_KEY", "STS_SECRET");
    let [plain, guarded, relay] = ["STS_ROLE", "STS_GUARDED_ROLE", "STS_RELAY_ROLE"].map(|role| peer.fact(role));
    let guarded_by = |id: &str| format!("{guarded};external_id={id}");
    let with_id = guarded_by(peer.fact("STS_EXTERNAL_ID"));
    for roles in [plain, &with_id, &format!("{relay},{with_id}")] {
        let (_folder, cx) = scratch();
        let target = with(&uri, "ASSUME_ROLE", roles);
        probe(&target, &cx, LIMIT).await.unwrap_or_else(|error| panic!("{roles}: {error}"));
    }
    let session = peer.uri("STS_BUCKET", "STS_SESSION_KEY", "STS_SESSION_SECRET");
    let whole = with(&session, "AWS_SESSION_TOKEN", peer.fact("STS_SESSION_TOKEN"));
    probe(&whole, &scratch().1, LIMIT).await.unwrap();
    let error = refusal(&Target::parse(&session).unwrap()).await;
    assert!(matches!(error, Error::Denied(_)), "{error:?}");

    let error = refusal(&with(&uri, "ASSUME_ROLE", &guarded_by("wrong"))).await;
    assert!(matches!(error, Error::Denied(_)), "{error:?}");
    assert!(error.to_string().contains(&format!("cannot assume role {guarded}: AccessDenied")), "{error}");

    let mut no_keys = with(&uri, "ASSUME_ROLE", plain).uri().clone();
    no_keys.params.retain(|(key, _)| key != "AWS_SECRET_ACCESS_KEY");
    no_keys.params.push(("AWS_SECRET_ACCESS_KEY".into(), "wrong-secret-key".into()));
    let error = refusal(&Target::from_uri(no_keys).unwrap()).await;
    assert!(error.to_string().contains("SignatureDoesNotMatch"), "{error}");

    // This server, unlike the other, does not make a bucket for a writer who names a new one.
    let mut absent = with(&uri, "ASSUME_ROLE", plain).uri().clone();
    absent.host = "no-such-bucket".into();
    let error = refusal(&Target::from_uri(absent).unwrap()).await;
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");
}

#[tokio::test]
async fn unreachable_servers_are_given_up_in_time() {
    let uri = "s3://bucket/x?AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=topsecret";
    // Nothing listens on port 1; the second address is kept for documentation and answers nothing.
    for endpoint in ["http://127.0.0.1:1", "http://192.0.2.1"] {
        let error = refusal(&with(uri, "AWS_ENDPOINT", endpoint)).await;
        assert!(matches!(error, Error::Unreachable(_) | Error::Timeout(_)), "{error:?}");
        assert!(error.to_string().contains(endpoint), "{error}");
    }
    let error = refusal(&with(uri, "AWS_ENDPOINT", "http://no-such-host.invalid")).await;
    assert_eq!(error.to_string(), "host \"no-such-host.invalid\" is not known");
}

#[tokio::test]
async fn metadata_addresses_are_refused_unless_allowed() {
    let uri = "s3://bucket/x?AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=s";
    let (_folder, mut cx) = scratch();
    for host in ["169.254.169.254", "2852039166", "[fe80::1]", "[::ffff:a9fe:a9fe]", "100.100.100.200"] {
        let target = with(uri, "AWS_ENDPOINT", &format!("http://{host}/"));
        let error = target.open(&cx).await.unwrap_err();
        assert!(matches!(error, Error::Forbidden(_)), "{host}: {error:?}");
        assert!(error.to_string().ends_with("is a link-local or metadata address"), "{error}");
    }
    cx.policy.allow_metadata_addresses = true;
    with(uri, "AWS_ENDPOINT", "http://169.254.169.254").open(&cx).await.unwrap();
}

#[tokio::test]
async fn the_operator_can_forbid() {
    let uri = "s3://bucket/x?AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=s&AWS_ENDPOINT=http://127.0.0.1:1";
    let (_folder, cx) = scratch();
    let refusal = async |uri: &str, change: fn(&mut lakeport_connect::OutboundPolicy)| {
        let mut cx = cx.clone();
        change(&mut cx.policy);
        Target::parse(uri).unwrap().open(&cx).await.unwrap_err().to_string()
    };
    assert_eq!(refusal(uri, |policy| policy.disabled = true).await, "external network access is disabled");
    assert_eq!(
        refusal(uri, |policy| policy.http_disabled = true).await,
        "custom endpoints disallowed for s3 due to --external-io-disable-http flag"
    );
    assert_eq!(
        refusal("s3://bucket/x?AUTH=implicit", |policy| policy.implicit_disabled = true).await,
        "implicit credentials disallowed for s3 due to --external-io-disable-implicit-credentials flag"
    );
}

/// Answers every request alike; tells its address.
async fn always(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = vec![0; 1 << 16];
            let _ = stream.read(&mut buffer).await;
            let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn answers_are_understood() {
    let uri = "s3://bucket/x?AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=topsecret&AWS_REGION=us-east-1";
    let wrong_region = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region 'us-east-1' is wrong; \
                        expecting 'eu-west-1'</Message><Region>eu-west-1</Region></Error>";
    let endpoint = always("400 Bad Request", wrong_region).await;
    let error = refusal(&with(uri, "AWS_ENDPOINT", &endpoint)).await;
    assert!(matches!(error, Error::Invalid(_)), "{error:?}");
    assert!(error.to_string().ends_with("the region 'us-east-1' is wrong; expecting 'eu-west-1'"), "{error}");

    let endpoint = always("301 Moved Permanently", "").await;
    let error = refusal(&with(uri, "AWS_ENDPOINT", &endpoint)).await;
    assert_eq!(error.hint(), Some("set AWS_REGION to its region"), "{error:?}");

    let endpoint = always("503 Slow Down", "<Error><Code>SlowDown</Code><Message>less</Message></Error>").await;
    let error = refusal(&with(uri, "AWS_ENDPOINT", &endpoint)).await;
    assert!(matches!(error, Error::Throttled(_)), "{error:?}");
}

#[tokio::test]
async fn a_silent_server_is_given_up_at_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let uri = "s3://bucket/x?AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=s";
    let (_folder, cx) = scratch();
    let target = with(uri, "AWS_ENDPOINT", &endpoint);
    let error = probe(&target, &cx, Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(_)), "{error:?}");
    assert!(error.to_string().contains(&endpoint), "{error}");
}
