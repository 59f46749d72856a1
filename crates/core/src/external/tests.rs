use std::sync::Arc;

use lakeport_base::Sqlstate;
use lakeport_connect::Kms;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::store_error;
use crate::engine_stub::StubServer;
use crate::error::Error;

const KEY: &str = "aws-kms:///k?AWS_ACCESS_KEY_ID=k&AWS_SECRET_ACCESS_KEY=s&REGION=r";

async fn server() -> StubServer {
    let stub = StubServer::start().await;
    let root = stub.session("root").await;
    root.ok("CREATE USER ann").await;
    root.ok(&format!("CREATE EXTERNAL CONNECTION key AS '{KEY}' WITH (VALIDATE = false)")).await;
    root.ok("CREATE EXTERNAL CONNECTION files AS 'nodelocal://1/x'").await;
    stub
}

async fn open(stub: &StubServer, user: &str, uri: &str) -> Result<Arc<dyn Kms>, Error> {
    stub.server.open_kms(user, uri).await
}

async fn refusal(stub: &StubServer, user: &str, uri: &str) -> (String, String) {
    let error = open(stub, user, uri).await.unwrap_err();
    (error.code().code().to_string(), error.message().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_opened_for_who_may_use_it() {
    let stub = server().await;
    let denied = |name: &str| {
        ("42501".to_string(), format!("user ann does not have USAGE privilege on external_connection {name}"))
    };
    for name in ["key", "absent"] {
        assert_eq!(refusal(&stub, "ann", &format!("external://{name}")).await, denied(name));
    }
    stub.session("root").await.ok("GRANT USAGE ON EXTERNAL CONNECTION key TO ann").await;
    for uri in ["external://key", "external://key/ignored/../path", KEY] {
        let key = open(&stub, "ann", uri).await.unwrap();
        assert_eq!((key.kind(), key.key_name()), ("aws-kms", "k?REGION=r"), "{uri}");
    }
    stub.session("root").await.ok("REVOKE USAGE ON EXTERNAL CONNECTION key FROM ann").await;
    assert_eq!(refusal(&stub, "ann", "external://key").await, denied("key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_own_access_is_asked_for() {
    let stub = server().await;
    let (state, text) = refusal(&stub, "ann", "aws-kms:///k?AUTH=implicit&REGION=r").await;
    assert_eq!(state, "42501");
    assert!(text.ends_with("are allowed to access the specified aws-kms URI"), "{text}");
    let (state, _) = refusal(&stub, "ann", &format!("{KEY}&AWS_ENDPOINT=http://127.0.0.1:1")).await;
    assert_eq!(state, "42501");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_is_refused() {
    let stub = server().await;
    for (uri, state, text) in [
        ("external://files", "42809", "KMS cannot use object of type STORAGE"),
        ("external://absent", "42704", "failed to load external connection object: "),
        ("external://key?REGION=r", "22023", "parameter \"REGION\" cannot be written on external://key"),
        ("nodelocal://1/x", "0A000", "no factory method found for scheme nodelocal"),
        ("not a URI", "22023", "missing scheme"),
    ] {
        let (found, message) = refusal(&stub, "root", uri).await;
        assert_eq!(found, state, "{uri}: {message}");
        assert!(message.starts_with(text), "{uri}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_connection_is_followed_as_an_altered_one() {
    let stub = server().await;
    let file = Path::from("file");
    let following = stub.server.open_storage("root", "external://files").await.unwrap();
    following.put(&file, "content".into()).await.unwrap();
    let root = stub.session("root").await;
    root.ok("CREATE OR REPLACE CONNECTION files STORAGE_TYPE = 'fs' WITH (VALIDATE = false)").await;
    assert!(matches!(following.get(&file).await, Err(object_store::Error::NotFound { .. })));
    let moved = following.get(&Path::from("x/file")).await.unwrap();
    assert_eq!(moved.bytes().await.unwrap(), "content");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_together_is_written_to_one_place() {
    let stub = server().await;
    let (uri, file) = ("external://files/sub", Path::from("file"));
    let bound = stub.server.open_bound_storage("root", uri, Arc::default()).await.unwrap();
    let following = stub.server.open_storage("root", uri).await.unwrap();
    let root = stub.session("root").await;
    root.ok("ALTER EXTERNAL CONNECTION files AS 'nodelocal://1/x' WITH (VALIDATE = false)").await;
    bound.put(&file, "content".into()).await.unwrap();
    root.ok("ALTER EXTERNAL CONNECTION files AS 'nodelocal://1/y'").await;
    let error = store_error(bound.get(&file).await.unwrap_err());
    assert_eq!(error.code(), Sqlstate::IO_ERROR);
    assert!(matches!(following.get(&file).await, Err(object_store::Error::NotFound { .. })));
}
