//! Roles, memberships, grants, settings and audit events.

use lakeport_base::Secret;
use lakeport_base::id::{ConnectionId, DatabaseId, SchemaId, StageId, TableId};

use super::{expect_exists, expect_missing, role};
use crate::Catalog;
use crate::error::Result;
use crate::model::{AuditEvent, Grant, Membership, Object};

pub(super) async fn roles_and_memberships(catalog: &dyn Catalog) -> Result<()> {
    let mut tx = catalog.write().await?;
    let mut ann = role("ann");
    ann.verifier = Some(Secret::new("SCRAM-SHA-256$4096:salt$stored:server".into()));
    ann.valid_until = Some(8);
    ann.options = vec!["CREATEDB".into(), "CREATEROLE".into()];
    ann.defaults = vec![("timezone".into(), "UTC".into())];
    tx.insert_role(&ann).await?;
    expect_exists(tx.insert_role(&role("ann")).await, "ann");
    assert_eq!(tx.find_role("ann").await?, Some(ann.clone()));
    tx.insert_role(&role("bob")).await?;

    let mut membership = Membership { role: "admin".into(), member: "ann".into(), admin_option: false };
    tx.put_membership(&membership).await?;
    membership.admin_option = true;
    tx.put_membership(&membership).await?;
    assert!(tx.memberships().await?.contains(&membership), "put replaces");
    let nested = Membership { role: "ann".into(), member: "bob".into(), admin_option: false };
    tx.put_membership(&nested).await?;
    tx.delete_membership("ann", "bob").await?;
    expect_missing(tx.delete_membership("ann", "bob").await);
    tx.put_membership(&nested).await?;

    ann = role("ann");
    ann.login = false;
    tx.update_role(&ann).await?;
    assert_eq!(tx.find_role("ann").await?, Some(ann));
    tx.delete_role("ann").await?;
    assert_eq!(tx.memberships().await?.len(), 1, "a role takes its memberships with it");
    expect_missing(tx.delete_role("ann").await);
    expect_missing(tx.update_role(&role("ann")).await);
    tx.delete_role("bob").await?;
    tx.commit().await
}

pub(super) async fn grants(catalog: &dyn Catalog) -> Result<()> {
    let objects = [
        Object::System,
        Object::Connection(ConnectionId(500)),
        Object::EVERY_CONNECTION,
        Object::Database(DatabaseId(500)),
        Object::Schema(SchemaId(500)),
        Object::Table(TableId(500)),
        Object::Stage(StageId(500)),
    ];
    let mut tx = catalog.write().await?;
    tx.insert_role(&role("grantee")).await?;
    let before = tx.grants().await?;
    for object in objects {
        for privilege in ["USAGE", "ALL"] {
            tx.put_grant(&grant(object, privilege)).await?;
        }
        let granted = tx.grants_on(object).await?;
        assert_eq!(granted, [grant(object, "ALL"), grant(object, "USAGE")], "by privilege");
    }
    let mut beside = tx.grants().await?;
    assert_eq!(beside.len(), before.len() + 2 * objects.len());
    let on_one = |object| matches!(object, Object::Connection(_)) && object != Object::EVERY_CONNECTION;
    beside.retain(|grant| !on_one(grant.object));
    assert_eq!(tx.grants_beside_connections().await?, beside);

    let with_option = Grant { grant_option: true, ..grant(Object::System, "ALL") };
    tx.put_grant(&with_option).await?;
    tx.delete_grant(Object::System, "grantee", "USAGE").await?;
    expect_missing(tx.delete_grant(Object::System, "grantee", "USAGE").await);
    assert_eq!(tx.grants_on(Object::System).await?, [with_option]);

    assert!(tx.delete_role("grantee").await.is_err(), "a role with grants stays");
    for object in objects {
        tx.delete_grants_on(object).await?;
        tx.delete_grants_on(object).await?;
    }
    assert_eq!(tx.grants().await?, before);
    tx.delete_role("grantee").await?;
    tx.commit().await
}

fn grant(object: Object, privilege: &str) -> Grant {
    Grant { object, grantee: "grantee".into(), privilege: privilege.into(), grant_option: false }
}

pub(super) async fn settings(catalog: &dyn Catalog) -> Result<()> {
    let mut tx = catalog.write().await?;
    tx.put_setting("b", "1").await?;
    tx.put_setting("a", "").await?;
    tx.put_setting("b", "2").await?;
    assert_eq!(tx.settings().await?, [("a".into(), String::new()), ("b".into(), "2".into())]);
    tx.delete_setting("a").await?;
    tx.delete_setting("b").await?;
    expect_missing(tx.delete_setting("b").await);
    tx.commit().await
}

pub(super) async fn events(catalog: &dyn Catalog) -> Result<()> {
    let mut tx = catalog.write().await?;
    let event = |at| AuditEvent {
        at,
        user: "root".into(),
        event: "create_external_connection".into(),
        object: "lake".into(),
        detail: "s3".into(),
    };
    for at in [10, 30, 20] {
        tx.insert_event(&event(at)).await?;
    }
    assert_eq!(tx.events(2).await?, [event(20), event(30)], "the last inserted first");
    assert_eq!(tx.events(100).await?.len(), 3);
    assert_eq!(tx.events(0).await?, []);
    assert_eq!(tx.events(-1).await?, []);
    Ok(())
}
