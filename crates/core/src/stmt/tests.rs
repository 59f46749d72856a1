//! Statements under which the catalog changes.

use std::time::Duration;

use lakeport_base::id::{DatabaseId, TableId};
use lakeport_catalog::Tx;
use lakeport_catalog::model::{Database, Table};

use crate::directory::Directory;
use crate::engine_stub::{Client, StubServer};

#[tokio::test]
async fn a_truncate_that_is_overtaken_empties_no_table_twice() {
    let stub = StubServer::without_jobs().await;
    let root = stub.session("root").await;
    root.ok("CREATE TABLE a (id INT8); CREATE TABLE b (id INT8); CREATE TABLE c (id INT8)").await;
    *stub.engine.overtaken.lock().unwrap() = Some(("b".to_string(), stub.server.config.catalog.clone()));
    root.ok("TRUNCATE a, b, c").await;
    assert_eq!(*stub.engine.truncated.lock().unwrap(), ["a", "b", "b", "c"]);
}

/// Makes a table and a database named `new`, as `old` are.
async fn take_names(directory: &Directory, tx: &mut dyn Tx) {
    let table = directory.tables.values().find(|table| table.name == "old").unwrap();
    let id = TableId(tx.next_id().await.unwrap());
    tx.insert_table(&Table { id, name: "new".to_string(), ..table.as_ref().clone() }).await.unwrap();
    let id = DatabaseId(tx.next_id().await.unwrap());
    let database = directory.databases["old"].clone();
    tx.insert_database(&Database { id, name: "new".to_string(), ..database }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_taken_meanwhile_has_the_code_of_its_kind() {
    let stub = StubServer::without_jobs().await;
    stub.session("root").await.ok("CREATE TABLE old (id INT8); CREATE DATABASE old").await;
    let clients: [Client; 2] = [stub.session("root").await, stub.session("root").await];
    let mut other = stub.server.config.catalog.write().await.unwrap();
    take_names(&stub.server.directory().await.unwrap(), other.as_mut()).await;
    // They look before the other transaction is committed, and write after it.
    let statements = ["ALTER TABLE old RENAME TO new", "ALTER DATABASE old RENAME TO new"];
    let waiting =
        clients.into_iter().zip(statements).map(|(client, sql)| tokio::spawn(async move { client.error(sql).await.0 }));
    let waiting: Vec<_> = waiting.collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    other.commit().await.unwrap();
    let codes = futures::future::join_all(waiting).await;
    assert_eq!(codes.into_iter().map(Result::unwrap).collect::<Vec<_>>(), ["42P07", "42P04"]);
}
