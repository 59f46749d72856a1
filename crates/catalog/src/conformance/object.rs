//! Databases, schemas, tables, connections, stages and file formats.

use lakeport_base::id::{ConnectionId, DatabaseId, SchemaId, TableId};
use lakeport_base::{Dialect, Secret, SqlType};

use super::{connection, database, defaultdb, expect_exists, expect_missing, schema, table};
use crate::Catalog;
use crate::error::{Error, Result};
use crate::model::{
    Check, Column, FileFormat, FormatOptions, LastDrop, Leftover, Membership, Object, Stage, StagePlace, Table,
};

pub(super) async fn first_rows(catalog: &dyn Catalog) -> Result<()> {
    let mut tx = catalog.write().await?;
    let database = defaultdb(&mut *tx).await?;
    assert_eq!((database.id, database.owner.as_str()), (DatabaseId(100), "root"));
    let schemas = tx.schemas(database.id).await?;
    assert_eq!(schemas.iter().map(|schema| schema.name.as_str()).collect::<Vec<_>>(), ["public"]);
    let roles = tx.roles().await?;
    let logins = roles.iter().map(|role| (role.name.as_str(), role.login)).collect::<Vec<_>>();
    assert_eq!(logins, [("admin", false), ("public", false), ("root", true)]);
    let root_is_admin = Membership { role: "admin".into(), member: "root".into(), admin_option: true };
    assert_eq!(tx.memberships().await?, [root_is_admin]);
    assert!(tx.next_id().await? > schemas[0].id.0);
    Ok(())
}

pub(super) async fn databases_and_schemas(catalog: &dyn Catalog) -> Result<()> {
    let mut tx = catalog.write().await?;
    let mut movr = database(tx.next_id().await?, "movr");
    tx.insert_database(&movr).await?;
    expect_exists(tx.insert_database(&database(9000, "movr")).await, "movr");
    movr.owner = "admin".into();
    movr.comment = Some("rides".into());
    movr.location = None;
    tx.update_database(&movr).await?;
    assert_eq!(tx.find_database("movr").await?, Some(movr.clone()));
    movr.name = "defaultdb".into();
    expect_exists(tx.update_database(&movr).await, "defaultdb");
    expect_missing(tx.update_database(&database(9000, "nowhere")).await);

    let rides = schema(tx.next_id().await?, movr.id, "rides");
    tx.insert_schema(&rides).await?;
    expect_exists(tx.insert_schema(&schema(9001, movr.id, "rides")).await, "rides");
    assert_eq!(tx.find_schema(movr.id, "rides").await?, Some(rides.clone()));
    assert_eq!(tx.find_schema(DatabaseId(9000), "rides").await?, None);
    assert!(tx.delete_database(movr.id).await.is_err(), "a database with schemas stays");

    tx.delete_schema(rides.id).await?;
    expect_missing(tx.delete_schema(rides.id).await);
    tx.delete_database(movr.id).await?;
    expect_missing(tx.delete_database(movr.id).await);
    assert_eq!(tx.databases().await?.len(), 1);
    tx.commit().await
}

pub(super) async fn tables(catalog: &dyn Catalog) -> Result<()> {
    let mut tx = catalog.write().await?;
    let database = defaultdb(&mut *tx).await?.id;
    let public = tx.find_schema(database, "public").await?.expect("a new database has it");
    let second = schema(tx.next_id().await?, database, "alpha");
    tx.insert_schema(&second).await?;

    let mut rides = table(tx.next_id().await?, &public, "rides");
    rides.columns = vec![
        column("id", SqlType::Int8, None),
        column("fare", SqlType::Decimal(10, 2), Some("0.00")),
        column("tags", SqlType::Array(Box::new(SqlType::Varchar(20))), None),
    ];
    rides.primary_key = vec!["id".into()];
    tx.insert_table(&rides).await?;
    expect_exists(tx.insert_table(&table(9000, &public, "rides")).await, "rides");
    assert_eq!(tx.table(rides.id).await?, Some(rides.clone()));
    assert_eq!(tx.find_table(public.id, "rides").await?, Some(rides.clone()));
    assert_eq!(tx.find_table(SchemaId(9000), "rides").await?, None);

    rides.version = 2;
    rides.columns.remove(1);
    rides.name = "trips".into();
    rides.comment = Some("renamed".into());
    tx.update_table(&rides).await?;
    assert_eq!(tx.find_table(public.id, "trips").await?, Some(rides.clone()));
    assert_eq!(tx.find_table(public.id, "rides").await?, None);
    for version in [1, 2, 4] {
        let outcome = tx.update_table(&Table { version, ..rides.clone() }).await;
        assert!(matches!(outcome, Err(Error::Conflict { .. })), "version {version}: {outcome:?}");
    }

    let zoo = table(tx.next_id().await?, &second, "zoo");
    tx.insert_table(&zoo).await?;
    assert_eq!(tx.tables(database).await?, [zoo.clone(), rides.clone()], "by schema, then name");

    tx.delete_table(zoo.id).await?;
    tx.delete_table(rides.id).await?;
    tx.delete_schema(second.id).await?;
    expect_missing(tx.delete_table(TableId(9000)).await);
    expect_missing(tx.update_table(&rides).await);
    tx.commit().await
}

fn column(name: &str, ty: SqlType, default: Option<&str>) -> Column {
    Column {
        name: name.into(),
        stored_name: format!("{name}_1"),
        ty,
        nullable: default.is_none(),
        default: default.map(str::to_string),
        comment: None,
    }
}

pub(super) async fn leftovers(catalog: &dyn Catalog) -> Result<()> {
    let generation = catalog.generation();
    let mut tx = catalog.write().await?;
    let leftover = |id, location: Option<&str>| Leftover {
        id: TableId(id),
        database: DatabaseId(9000),
        owner: "root".into(),
        location: location.map(str::to_string),
    };
    let (first, second) = (leftover(9001, None), leftover(9002, Some("external://lake/movr")));
    tx.insert_leftover(&second).await?;
    tx.insert_leftover(&first).await?;
    expect_exists(tx.insert_leftover(&first).await, "9001");
    assert_eq!(tx.leftovers().await?, [first.clone(), second.clone()]);
    tx.delete_leftover(first.id).await?;
    expect_missing(tx.delete_leftover(first.id).await);
    let last = second.id;
    assert_eq!(tx.leftovers().await?, [second]);
    tx.delete_leftover(last).await?;
    tx.commit().await?;
    assert_eq!(catalog.generation(), generation, "nobody remembers leftovers");
    Ok(())
}

pub(super) async fn drops(catalog: &dyn Catalog) -> Result<()> {
    let mut tx = catalog.write().await?;
    let database = DatabaseId(tx.next_id().await?);
    tx.insert_database(&super::database(database.0, "dropped")).await?;
    let of_system = |at| LastDrop { object: Object::System, at };
    let of_database = |at| LastDrop { object: Object::Database(database), at };
    for drop in [of_database(7), of_system(5), of_database(6), of_database(9)] {
        tx.record_drop(drop).await?;
    }
    assert_eq!(tx.drops().await?, [of_database(9), of_system(5)], "the last of each");
    tx.delete_database(database).await?;
    assert_eq!(tx.drops().await?, [of_system(5)], "nothing is known of what is gone");
    tx.commit().await
}

pub(super) async fn connections(catalog: &dyn Catalog) -> Result<()> {
    let mut tx = catalog.write().await?;
    let mut lake = connection(ConnectionId(tx.next_id().await?), "lake");
    tx.insert_connection(&lake).await?;
    expect_exists(tx.insert_connection(&connection(ConnectionId(9000), "lake")).await, "lake");
    assert_eq!(tx.find_connection("lake").await?, Some(lake.clone()));

    for (name, dialect) in [("broker", Dialect::Materialize), ("stage", Dialect::Databend)] {
        let mut other = connection(ConnectionId(tx.next_id().await?), name);
        other.dialect = dialect;
        other.last_check = Some(Check { at: 6, error: Some("connection refused".into()) });
        tx.insert_connection(&other).await?;
        assert_eq!(tx.find_connection(name).await?, Some(other));
    }
    let names = tx.connections().await?.into_iter().map(|connection| connection.name).collect::<Vec<_>>();
    assert_eq!(names, ["broker", "lake", "stage"]);
    for (after, limit, expected) in
        [("", 2, &["broker", "lake"][..]), ("broker", 9, &["lake", "stage"]), ("stage", 1, &[])]
    {
        let page = tx.connections_after(after, limit).await?;
        assert_eq!(page.into_iter().map(|connection| connection.name).collect::<Vec<_>>(), expected);
    }

    let passed = Check { at: 7, error: None };
    tx.record_check(lake.id, &passed).await?;
    lake.last_check = Some(passed.clone());
    assert_eq!(tx.find_connection("lake").await?, Some(lake.clone()), "a check changes no version");
    expect_missing(tx.record_check(ConnectionId(9000), &passed).await);

    for connection in tx.connections().await? {
        tx.delete_connection(connection.id).await?;
    }
    expect_missing(tx.delete_connection(lake.id).await);
    assert_eq!(tx.find_connection("lake").await?, None);
    tx.commit().await
}

pub(super) async fn connection_versions(catalog: &dyn Catalog) -> Result<()> {
    let mut tx = catalog.write().await?;
    let mut lake = connection(ConnectionId(tx.next_id().await?), "versioned");
    tx.insert_connection(&lake).await?;
    tx.commit().await?;

    let mut tx = catalog.write().await?;
    let stale = lake.clone();
    lake.version = 2;
    lake.definition = Secret::new("s3://bucket?AWS_SECRET_ACCESS_KEY=second".into());
    tx.update_connection(&lake).await?;
    for version in [1, 2, 4] {
        let outcome = tx.update_connection(&crate::model::Connection { version, ..stale.clone() }).await;
        assert!(matches!(outcome, Err(Error::Conflict { .. })), "version {version}: {outcome:?}");
    }
    assert_eq!(tx.find_connection("versioned").await?, Some(lake.clone()));
    tx.delete_connection(lake.id).await?;
    lake.version = 3;
    expect_missing(tx.update_connection(&lake).await);
    tx.commit().await
}

pub(super) async fn stages(catalog: &dyn Catalog) -> Result<()> {
    let mut tx = catalog.write().await?;
    let mut stage = super::stage(tx.next_id().await?, "photos");
    tx.insert_stage(&stage).await?;
    expect_exists(tx.insert_stage(&super::stage(9000, "photos")).await, "photos");
    assert_eq!(tx.find_stage("photos").await?, Some(stage.clone()));
    for (version, place) in [
        (2, StagePlace::Internal),
        (3, StagePlace::Follows { uri: "external://lake/photos/".into(), connection: "lake".into() }),
    ] {
        stage = Stage { version, place, comment: "moved".into(), ..stage };
        tx.update_stage(&stage).await?;
        assert_eq!(tx.find_stage("photos").await?, Some(stage.clone()));
        let outcome = tx.update_stage(&stage).await;
        assert!(matches!(outcome, Err(Error::Conflict { .. })), "{outcome:?}");
    }
    let copy = super::stage(tx.next_id().await?, "a_copy");
    tx.insert_stage(&copy).await?;
    assert_eq!(tx.stages_following("lake").await?, [stage.clone()], "a copy follows nothing");
    assert_eq!(tx.stages().await?, [copy.clone(), stage.clone()]);
    for id in [copy.id, stage.id] {
        tx.delete_stage(id).await?;
        expect_missing(tx.delete_stage(id).await);
    }
    expect_missing(tx.update_stage(&stage).await);
    tx.commit().await
}

pub(super) async fn file_formats(catalog: &dyn Catalog) -> Result<()> {
    let mut tx = catalog.write().await?;
    let format = |name: &str, created| FileFormat {
        name: name.into(),
        options: FormatOptions(vec![("type".into(), vec!["csv".into()])]),
        owner: "root".into(),
        created,
    };
    for row in [format("tabs", 1), format("commas", 2), format("tabs", 3)] {
        tx.put_file_format(&row).await?;
        assert_eq!(tx.find_file_format(&row.name).await?, Some(row));
    }
    assert_eq!(tx.file_formats().await?, [format("commas", 2), format("tabs", 3)]);
    tx.delete_file_format("tabs").await?;
    expect_missing(tx.delete_file_format("tabs").await);
    assert_eq!(tx.find_file_format("tabs").await?, None);
    tx.commit().await
}
