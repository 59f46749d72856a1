//! Comments on databases, tables and columns.

use super::oid;
use crate::row;
use crate::show::rows::Cell;
use crate::show::{Rows, Source, Viewer};

pub(super) const SOURCES: &[Source] = &[("pg_description", descriptions), ("pg_shdescription", shared_descriptions)];

fn descriptions(viewer: Viewer<'_>) -> Rows {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for table in viewer.tables() {
        rows.extend(table.comment.iter().map(|comment| row![oid::table(table.id), oid::PG_CLASS, 0, comment]));
        for (column, number) in table.columns.iter().zip(1i64..) {
            rows.extend(
                column.comment.iter().map(|comment| row![oid::table(table.id), oid::PG_CLASS, number, comment]),
            );
        }
    }
    Rows::new(&["objoid", "classoid", "objsubid", "description"], rows)
}

fn shared_descriptions(viewer: Viewer<'_>) -> Rows {
    let databases = viewer.directory.databases.values();
    let rows = databases.filter_map(|row| Some(row![oid::database(row.id), oid::PG_DATABASE, row.comment.as_ref()?]));
    Rows::new(&["objoid", "classoid", "description"], rows)
}
