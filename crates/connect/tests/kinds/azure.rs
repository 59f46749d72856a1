//! Azure Blob Storage: a real emulator with TLS that checks account keys and tokens.

use lakeport_connect::{Error, Target, probe};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::peer::Peer;
use crate::scratch::{
    LIMIT, an_upload_goes_on_in_another_opening, conforms, in_bucket, open, refusal, scratch,
    the_check_and_the_transfer_test_pass, with,
};

/// A URI on the emulator, with credentials.
fn uri(peer: &Peer, credentials: &str) -> String {
    let [container, account, endpoint, ca] =
        ["BLOB_CONTAINER", "BLOB_ACCOUNT", "BLOB_ENDPOINT", "BLOB_CA"].map(|name| peer.fact(name));
    format!(
        "azure-blob://{container}/connect?AZURE_ACCOUNT_NAME={account}&ENDPOINT={endpoint}&CA_CERT={ca}&{credentials}"
    )
}

fn key(peer: &Peer, name: &str) -> String {
    uri(peer, &format!("AZURE_ACCOUNT_KEY={}", peer.fact(name)))
}

fn application(peer: &Peer) -> String {
    let [tenant, client, secret, authority] =
        ["BLOB_TENANT", "BLOB_CLIENT", "BLOB_SECRET", "BLOB_AUTHORITY"].map(|name| peer.fact(name));
    let credentials = format!(
        "AZURE_TENANT_ID={tenant}&AZURE_CLIENT_ID={client}&AZURE_CLIENT_SECRET={secret}&AZURE_AUTHORITY_HOST={authority}"
    );
    uri(peer, &credentials)
}

#[tokio::test]
async fn conformance_on_azure() {
    let Some(peer) = Peer::start("azure") else { return };
    for uri in [key(&peer, "BLOB_KEY"), application(&peer)] {
        conforms(&uri).await;
        the_check_and_the_transfer_test_pass(&uri).await;
        an_upload_goes_on_in_another_opening(&uri).await;
    }
    both_keys_open_the_same_files(&peer).await;
    what_is_wrong_is_named(&peer).await;
    public_containers_are_read_without_a_key(&peer).await;
}

async fn both_keys_open_the_same_files(peer: &Peer) {
    let (_folder, cx) = scratch();
    let path = Path::from("keys/file");
    open(&key(peer, "BLOB_KEY"), &cx).await.put(&path, "x".into()).await.unwrap();
    open(&key(peer, "BLOB_NEXT_KEY"), &cx).await.get(&path).await.unwrap();
}

async fn what_is_wrong_is_named(peer: &Peer) {
    let error = refusal(&with(&key(peer, "BLOB_KEY"), "AZURE_ACCOUNT_KEY", "d3JvbmcgYWNjb3VudCBrZXk=")).await;
    assert!(matches!(error, Error::Denied(_)), "{error:?}");
    assert!(error.to_string().starts_with("failed to write a sentinel ExternalStorage file: azure-blob://lake"));
    assert!(error.to_string().contains("InvalidAuthenticationInfo"), "{error}");
    let error = refusal(&with(&application(peer), "AZURE_CLIENT_SECRET", "stale")).await;
    assert!(matches!(error, Error::Denied(_)), "{error:?}");
    assert!(error.to_string().contains("invalid_client: AADSTS7000215"), "{error}");
    let error = refusal(&in_bucket(&key(peer, "BLOB_KEY"), "absent")).await;
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");
    assert!(error.to_string().contains("ContainerNotFound"), "{error}");
    let error = refusal(&with(&key(peer, "BLOB_KEY"), "ENDPOINT", "https://127.0.0.1:1/lakeport")).await;
    assert!(matches!(error, Error::Unreachable(_)), "{error:?}");
}

async fn public_containers_are_read_without_a_key(peer: &Peer) {
    let (_folder, cx) = scratch();
    let anonymous = in_bucket(&uri(peer, "AUTH=anonymous"), peer.fact("BLOB_PUBLIC_CONTAINER"));
    let hello = anonymous.open(&cx).await.unwrap().get(&Path::from("hello")).await.unwrap();
    assert_eq!(hello.bytes().await.unwrap(), "hello");
    probe(&anonymous, &cx, LIMIT).await.unwrap_err();
    let private = Target::parse(&uri(peer, "AUTH=anonymous")).unwrap();
    let error = private.open(&cx).await.unwrap().get(&Path::from("keys/file")).await.unwrap_err();
    assert!(matches!(Error::from(error), Error::Denied(_)));
}
