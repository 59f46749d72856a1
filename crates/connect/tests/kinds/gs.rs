//! Google Cloud Storage: Google's emulator behind a server that speaks the XML interface and checks tokens.

use lakeport_connect::{Error, probe};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::peer::Peer;
use crate::scratch::{
    LIMIT, an_upload_goes_on_in_another_opening, conforms, in_bucket, refusal, scratch,
    the_check_and_the_transfer_test_pass, with,
};

/// A URI on the emulator, with credentials. The values of facts are escaped already.
fn uri(peer: &Peer, credentials: &str) -> String {
    let [bucket, endpoint, ca] = ["GS_BUCKET", "GS_ENDPOINT", "GS_CA"].map(|name| peer.fact(name));
    format!("gs://{bucket}/connect?ENDPOINT={endpoint}&CA_CERT={ca}&{credentials}")
}

#[tokio::test]
async fn conformance_on_gs() {
    let Some(peer) = Peer::start("gs") else { return };
    let key_file = uri(&peer, &format!("CREDENTIALS={}", peer.fact("GS_CREDENTIALS")));
    conforms(&key_file).await;
    the_check_and_the_transfer_test_pass(&key_file).await;
    an_upload_goes_on_in_another_opening(&key_file).await;
    whoever_may_is_let_in(&peer, &key_file).await;
    what_is_wrong_is_named(&peer, &key_file).await;
    public_buckets_are_read_without_a_token(&peer).await;
}

/// Other keys of the account, a token, accounts that it may act as, and a project that pays.
async fn whoever_may_is_let_in(peer: &Peer, key_file: &str) {
    let (_folder, cx) = scratch();
    let (relay, vault) = (peer.fact("GS_RELAY"), peer.fact("GS_VAULT"));
    let mut paid = in_bucket(key_file, peer.fact("GS_PAID_BUCKET"));
    let error = refusal(&paid).await;
    assert!(matches!(error, Error::Invalid(_)) && error.to_string().contains("UserProjectMissing"), "{error:?}");
    paid = with(&paid.to_text(), "GOOGLE_BILLING_PROJECT", peer.fact("GS_PROJECT"));
    let token = in_bucket(&uri(peer, &format!("BEARER_TOKEN={}", peer.fact("GS_TOKEN"))), "lake");
    let acting = with(key_file, "ASSUME_ROLE", &format!("{relay},{vault}"));
    let next = in_bucket(&uri(peer, &format!("CREDENTIALS={}", peer.fact("GS_NEXT_CREDENTIALS"))), "lake");
    for target in [paid, token, acting, next] {
        probe(&target, &cx, LIMIT).await.unwrap_or_else(|error| panic!("{}: {error}", target.redacted()));
    }
}

async fn what_is_wrong_is_named(peer: &Peer, key_file: &str) {
    let stranger = in_bucket(&uri(peer, &format!("CREDENTIALS={}", peer.fact("GS_STRANGER_CREDENTIALS"))), "lake");
    let stale = in_bucket(&uri(peer, "BEARER_TOKEN=stale-token"), "lake");
    for (target, text) in [(stranger, "AccessDenied"), (stale, "AuthenticationRequired")] {
        let error = refusal(&target).await;
        assert!(matches!(error, Error::Denied(_)), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
    }
    let error = refusal(&with(key_file, "ASSUME_ROLE", peer.fact("GS_VAULT"))).await;
    assert!(error.to_string().contains("cannot act as service account vault@"), "{error}");
    let error = refusal(&in_bucket(key_file, "absent")).await;
    assert!(matches!(error, Error::NotFound(_)) && error.to_string().contains("NoSuchBucket"), "{error:?}");
}

async fn public_buckets_are_read_without_a_token(peer: &Peer) {
    let (_folder, cx) = scratch();
    let anonymous = in_bucket(&uri(peer, "AUTH=anonymous"), peer.fact("GS_PUBLIC_BUCKET"));
    let hello = anonymous.open(&cx).await.unwrap().get(&Path::from("hello")).await.unwrap();
    assert_eq!(hello.bytes().await.unwrap(), "hello");
    let error = refusal(&anonymous).await;
    assert!(matches!(error, Error::Denied(_)), "{error:?}");
}
