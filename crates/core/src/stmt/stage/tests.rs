use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::engine_stub::StubServer;

async fn put(stub: &StubServer, path: &str) {
    stub.server.config.warehouse.put(&Path::from(path), "x".into()).await.unwrap();
}

async fn files(stub: &StubServer) -> Vec<String> {
    let found: Vec<_> = stub.server.config.warehouse.list(None).try_collect().await.unwrap();
    let mut names: Vec<_> = found.into_iter().map(|file| file.location.to_string()).collect();
    names.sort();
    names
}

async fn id(stub: &StubServer, name: &str) -> String {
    let stage = stub.server.config.catalog.read().await.unwrap().find_stage(name).await.unwrap();
    stage.unwrap().id.to_string()
}

#[tokio::test]
async fn files_go_with_their_stage() {
    let stub = StubServer::without_jobs().await;
    let root = stub.session("root").await;
    for end in ["CREATE OR REPLACE STAGE s", "DROP STAGE s"] {
        root.ok("CREATE STAGE IF NOT EXISTS s").await;
        root.ok("CREATE STAGE IF NOT EXISTS other").await;
        let kept = format!("stages/{}/kept", id(&stub, "other").await);
        put(&stub, &kept).await;
        put(&stub, &format!("stages/{}/a/b", id(&stub, "s").await)).await;
        root.ok(end).await;
        assert_eq!(files(&stub).await, [kept], "{end}");
    }
}

#[tokio::test]
async fn files_go_with_their_user() {
    let stub = StubServer::without_jobs().await;
    let root = stub.session("root").await;
    root.ok("CREATE USER ann").await;
    for path in ["stages/users/ann/a", "stages/users/annie/a"] {
        put(&stub, path).await;
    }
    root.ok("DROP USER ann").await;
    assert_eq!(files(&stub).await, ["stages/users/annie/a"]);
}

#[tokio::test]
async fn an_upload_needs_to_know_that_nothing_is_there() {
    let stub = StubServer::without_jobs().await;
    let root = stub.session("root").await;
    root.ok("CREATE STAGE s URL = 'fs:///s/'").await;
    stub.write("s/there", "x");
    let upload = |name: &str| format!("COPY '@s/{name}' FROM STDIN WITH (FORMAT binary)");
    root.ok(&upload("new")).await;
    assert_eq!(root.error(&upload("there")).await.0, "42710");
    // No file system has names of this length, nor says that there is none.
    let (_, message) = root.error(&upload(&"n".repeat(300))).await;
    assert!(message.starts_with("access to @s failed"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_undoes_no_other_one() {
    let stub = StubServer::without_jobs().await;
    let (owner, writer) = (stub.session("root").await, stub.session("root").await);
    owner.ok("CREATE STAGE s; CREATE ROLE r0; CREATE ROLE r1").await;
    let transfers = tokio::spawn(async move {
        for turn in 0..100 {
            let role = format!("r{}", turn % 2);
            owner.ok(&format!("GRANT OWNERSHIP ON STAGE s TO ROLE {role}")).await;
            let stage = owner.session.server.config.catalog.read().await.unwrap().find_stage("s").await.unwrap();
            assert_eq!(stage.unwrap().owner, role);
        }
    });
    while !transfers.is_finished() {
        if let Err(error) = writer.run("ALTER STAGE s SET COMMENT = 'changed'").await {
            assert_eq!(error.code().code(), "40001");
        }
    }
    transfers.await.unwrap();
}

#[tokio::test]
async fn nobody_inherits_the_files_of_a_namesake() {
    let stub = StubServer::without_jobs().await;
    let root = stub.session("root").await;
    put(&stub, "stages/users/ann/left").await;
    root.ok("CREATE USER ann").await;
    assert_eq!(files(&stub).await, Vec::<String>::new());
    put(&stub, "userfiles/ann/defaultdb.public.userfiles_ann/a").await;
    let (code, _) = root.error("DROP USER ann").await;
    assert_eq!(code, "2BP01");
    root.ok("SET ROLE ann; DROP USERFILE 'a'; RESET ROLE; DROP USER ann").await;
}
