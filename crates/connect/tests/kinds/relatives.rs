//! OSS and COS: S3's emulator behind servers that check each vendor's signatures and rules.

use lakeport_connect::{Error, Target, probe};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutOptions};

use crate::peer::Peer;
use crate::scratch::{
    LIMIT, an_upload_goes_on_in_another_opening, conforms, in_bucket, open, refusal, scratch,
    the_check_and_the_transfer_test_pass, with,
};

/// One vendor's scheme and options.
struct Vendor {
    scheme: &'static str,
    key: &'static str,
    secret: &'static str,
    token: &'static str,
    /// What every URI has.
    also: &'static str,
}

const OSS: Vendor = Vendor {
    scheme: "oss",
    key: "OSS_ACCESS_KEY_ID",
    secret: "OSS_ACCESS_KEY_SECRET",
    token: "OSS_SESSION_TOKEN",
    also: "&OSS_REGION=cn-test",
};

const COS: Vendor =
    Vendor { scheme: "cos", key: "COS_SECRET_ID", secret: "COS_SECRET_KEY", token: "COS_SESSION_TOKEN", also: "" };

impl Vendor {
    /// A fact of the vendor's peer; escaped already.
    fn fact<'a>(&self, peer: &'a Peer, name: &str) -> &'a str {
        peer.fact(&format!("{}_{name}", self.scheme.to_ascii_uppercase()))
    }

    fn uri(&self, peer: &Peer, credentials: &str) -> String {
        let (bucket, endpoint) = (self.fact(peer, "BUCKET"), self.fact(peer, "ENDPOINT"));
        format!("{}://{bucket}/connect?ENDPOINT={endpoint}{}&{credentials}", self.scheme, self.also)
    }

    /// A URI with the keys of a name.
    fn keyed(&self, peer: &Peer, name: &str) -> String {
        let (key, secret) = (self.fact(peer, &format!("{name}KEY")), self.fact(peer, &format!("{name}SECRET")));
        self.uri(peer, &format!("{}={key}&{}={secret}", self.key, self.secret))
    }
}

async fn conformance(vendor: &Vendor) {
    let Some(peer) = Peer::start(vendor.scheme) else { return };
    let uri = vendor.keyed(&peer, "");
    conforms(&uri).await;
    the_check_and_the_transfer_test_pass(&uri).await;
    an_upload_goes_on_in_another_opening(&uri).await;
    other_keys_open_the_same_files(vendor, &peer).await;
    what_is_wrong_is_named(vendor, &peer).await;
    public_buckets_are_read_without_keys(vendor, &peer).await;
    buckets_with_versions_hold_nothing_that_is_made_once(vendor, &peer).await;
}

#[tokio::test]
async fn conformance_on_oss() {
    conformance(&OSS).await;
}

#[tokio::test]
async fn roles_are_assumed_on_oss() {
    let Some(peer) = Peer::start("oss") else { return };
    let fact = |name| OSS.fact(&peer, name);
    let vault = |keys: &str| in_bucket(&OSS.keyed(&peer, keys), fact("VAULT_BUCKET")).to_text();
    let [plain, guarded, relay] = ["PLAIN_ROLE", "GUARDED_ROLE", "RELAY_ROLE"].map(fact);
    let with_id = format!("{guarded};external_id={}", fact("EXTERNAL_ID"));
    // The keys of the last end before they can be renewed in time, and are good for one request each.
    for roles in [plain, &with_id, &format!("{relay},{with_id}"), fact("FLEETING_ROLE")] {
        the_check_and_the_transfer_test_pass(&with(&vault(""), "ASSUME_ROLE", roles).to_text()).await;
    }
    let temporary = with(&vault("STS_"), OSS.token, fact("STS_TOKEN")).to_text();
    probe(&with(&temporary, "ASSUME_ROLE", plain), &scratch().1, LIMIT).await.unwrap();

    let refused = format!("cannot assume role {plain}: ");
    let with_wrong_id = format!("{guarded};external_id=tenant-8");
    for (uri, roles, text) in [
        (vault("NEXT_"), plain, format!("{refused}NoPermission: You are not authorized to do this action")),
        (vault("STS_"), plain, format!("{refused}InvalidSecurityToken: ")),
        (vault(""), with_wrong_id.as_str(), format!("cannot assume role {guarded}: NoPermission: ")),
        (vault(""), fact("ABSENT_ROLE"), format!("cannot assume role {}: EntityNotExist.Role: ", fact("ABSENT_ROLE"))),
        (vault(""), relay, "AccessDenied".to_string()),
        (with(&vault(""), OSS.secret, "wrong-secret").to_text(), &with_id, "SignatureDoesNotMatch".to_string()),
    ] {
        let error = refusal(&with(&uri, "ASSUME_ROLE", roles)).await;
        assert!(matches!(error, Error::Denied(_)) && error.to_string().contains(&text), "{roles}: {error:?}");
        assert!(!error.to_string().contains("tenant-"), "{error}");
    }
}

const CHILD: &str = "LAKEPORT_TEST_OWN_OSS_KEYS";

/// Does nothing unless another test runs it in a child process.
#[tokio::test]
async fn child_with_keys_of_its_own() {
    let Some(uri) = crate::variable(CHILD) else { return };
    probe(&Target::parse(&uri).unwrap(), &scratch().1, LIMIT).await.unwrap();
}

/// With a role and without, and those that are temporary.
#[tokio::test]
async fn own_keys_of_oss_come_from_the_environment() {
    let Some(peer) = Peer::start("oss") else { return };
    let own = with(&OSS.uri(&peer, "AUTH=implicit"), "OSS_REGION", OSS.fact(&peer, "REGION"));
    let role = with(&own.to_text(), "ASSUME_ROLE", OSS.fact(&peer, "PLAIN_ROLE"));
    let role = in_bucket(&role.to_text(), OSS.fact(&peer, "VAULT_BUCKET"));
    let plus = |name: &str| OSS.fact(&peer, name).replace("%2B", "+");
    for (target, key, secret, token, complaint) in [
        (&own, "KEY", plus("SECRET"), None, None),
        (&role, "KEY", plus("SECRET"), None, None),
        (&role, "STS_KEY", plus("STS_SECRET"), Some(plus("STS_TOKEN")), None),
        (&role, "KEY", "wrong".to_string(), None, Some("cannot assume role")),
        (&role, "KEY", String::new(), None, Some("this server has no Alibaba Cloud keys of its own")),
    ] {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "relatives::child_with_keys_of_its_own"])
            .env(CHILD, target.to_text())
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", OSS.fact(&peer, key))
            .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret)
            .env("ALIBABA_CLOUD_SECURITY_TOKEN", token.unwrap_or_default())
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
        assert_eq!(child.status.success(), complaint.is_none(), "{printed}");
        assert!(complaint.is_none_or(|complaint| printed.contains(complaint)), "{printed}");
    }
}

#[tokio::test]
async fn conformance_on_cos() {
    conformance(&COS).await;
}

/// Keys that came later, and temporary ones with their token.
async fn other_keys_open_the_same_files(vendor: &Vendor, peer: &Peer) {
    let (_folder, cx) = scratch();
    let path = Path::from("keys/file");
    open(&vendor.keyed(peer, ""), &cx).await.put(&path, "x".into()).await.unwrap();
    let temporary = with(&vendor.keyed(peer, "STS_"), vendor.token, vendor.fact(peer, "STS_TOKEN"));
    for target in [Target::parse(&vendor.keyed(peer, "NEXT_")).unwrap(), temporary] {
        target.open(&cx).await.unwrap().get(&path).await.unwrap();
    }
}

async fn what_is_wrong_is_named(vendor: &Vendor, peer: &Peer) {
    let uri = vendor.keyed(peer, "");
    let stolen = Target::parse(&vendor.keyed(peer, "STS_")).unwrap();
    for (target, text) in [
        (with(&uri, vendor.secret, "wrong-secret"), "SignatureDoesNotMatch"),
        (with(&uri, vendor.key, "AKNOBODY"), "InvalidAccessKeyId"),
        (stolen, "InvalidSecurityToken"),
    ] {
        let error = refusal(&target).await;
        assert!(matches!(error, Error::Denied(_)), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
    }
    let error = refusal(&in_bucket(&uri, "absent-1250000000")).await;
    assert!(matches!(error, Error::NotFound(_)) && error.to_string().contains("NoSuchBucket"), "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.starts_with("no bucket of this name is there")), "{error:?}");
}

async fn public_buckets_are_read_without_keys(vendor: &Vendor, peer: &Peer) {
    let (_folder, cx) = scratch();
    let anonymous = in_bucket(&vendor.uri(peer, "AUTH=anonymous"), vendor.fact(peer, "PUBLIC_BUCKET"));
    let hello = anonymous.open(&cx).await.unwrap().get(&Path::from("hello")).await.unwrap();
    assert_eq!(hello.bytes().await.unwrap(), "hello");
    let error = refusal(&anonymous).await;
    assert!(matches!(error, Error::Denied(_)), "{error:?}");
}

async fn buckets_with_versions_hold_nothing_that_is_made_once(vendor: &Vendor, peer: &Peer) {
    let (_folder, cx) = scratch();
    let versioned = in_bucket(&vendor.keyed(peer, ""), vendor.fact(peer, "VERSIONED_BUCKET"));
    probe(&versioned, &cx, LIMIT).await.unwrap();
    let store = versioned.open(&cx).await.unwrap();
    let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    let error = store.put_opts(&Path::from("once"), "x".into(), create).await.unwrap_err();
    let error = Error::from(error);
    assert!(matches!(error, Error::Unsupported(_)), "{error:?}");
    assert!(error.to_string().starts_with("the bucket keeps versions"), "{error}");
}
