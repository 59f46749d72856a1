use object_store::memory::InMemory;
use tokio::task::JoinHandle;

use super::*;
use crate::engine_stub::StubServer;
use crate::external::{Storage, store_error};

/// A storage that takes uploads and refuses the key of every part.
struct Refusing;

#[async_trait]
impl MultipartStore for Refusing {
    async fn create_multipart(&self, _: &Path) -> Result<MultipartId> {
        Ok("upload".to_string())
    }

    async fn put_part(&self, path: &Path, _: &MultipartId, _: usize, _: PutPayload) -> Result<PartId> {
        Err(object_store::Error::PermissionDenied { path: path.to_string(), source: "expired".into() })
    }

    async fn complete_multipart(&self, _: &Path, _: &MultipartId, _: Vec<PartId>) -> Result<PutResult> {
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort_multipart(&self, _: &Path, _: &MultipartId) -> Result<()> {
        Ok(())
    }
}

/// A server with a connection, and a part that waits for it to be altered.
async fn waiting() -> (StubServer, Arc<Reference>, JoinHandle<Result<()>>) {
    let stub = StubServer::start().await;
    stub.session("root").await.ok("CREATE EXTERNAL CONNECTION files AS 'nodelocal://1/x'").await;
    let uri = "external://files/sub".to_string();
    let resolved = stub.server.resolve(&uri).await.unwrap();
    let storage = Storage { files: Arc::new(InMemory::new()), uploads: Some(Arc::new(Refusing)) };
    let generation = stub.server.config.catalog.generation();
    let current = Current { generation, version: resolved.connection, place: "here".into(), storage };
    let reference = Arc::new(Reference {
        server: stub.server.clone(),
        user: "root".to_string(),
        uri,
        current: tokio::sync::Mutex::new(current),
        waiting: tokio::sync::Mutex::default(),
        progress: Arc::default(),
        is_bound: false,
    });
    reference.progress.set_status("writing");
    let mut upload = begin(&reference, &Path::from("file"), PutMultipartOptions::default()).await.unwrap();
    let part = tokio::spawn(upload.put_part("content".into()));
    let refused = "waiting for ALTER EXTERNAL CONNECTION: access to external://files/sub failed: expired";
    while status(&reference).as_deref() != Some(refused) {
        assert!(!part.is_finished(), "{:?}", status(&reference));
        tokio::task::yield_now().await;
    }
    (stub, reference, part)
}

fn status(reference: &Reference) -> Option<String> {
    reference.progress.snapshot().status
}

async fn failure(part: JoinHandle<Result<()>>) -> Error {
    store_error(part.await.unwrap().unwrap_err())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_does_not_go_on_elsewhere() {
    let (stub, reference, part) = waiting().await;
    stub.session("root").await.ok("ALTER EXTERNAL CONNECTION files AS 'nodelocal://1/y'").await;
    let error = failure(part).await;
    assert_eq!(error.code(), Sqlstate::IO_ERROR);
    assert_eq!(error.message(), "external://files/sub leads elsewhere since files were written there");
    assert_eq!(status(&reference).as_deref(), Some("writing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_ends_with_its_connection() {
    let (stub, _, part) = waiting().await;
    stub.session("root").await.ok("DROP EXTERNAL CONNECTION files").await;
    assert_eq!(failure(part).await.code(), Sqlstate::UNDEFINED_OBJECT);
}
