//! What the jobs of IMPORT store.

use lakeport_base::Secret;
use lakeport_base::id::TableId;
use serde::{Deserialize, Serialize};

use crate::engine::StagedRows;
use crate::import::{Extent, ImportOrder, StagedPart};

#[derive(Serialize, Deserialize)]
pub(super) struct StoredImport {
    table: i64,
    columns: Vec<String>,
    format: String,
    options: Vec<(String, Option<String>)>,
}

impl StoredImport {
    pub fn of(order: &ImportOrder) -> StoredImport {
        StoredImport {
            table: order.table.0,
            columns: order.columns.clone(),
            format: order.format.clone(),
            options: order.options.clone(),
        }
    }

    pub fn into_order(self, uris: Vec<String>) -> ImportOrder {
        let StoredImport { table, columns, format, options } = self;
        ImportOrder { table: TableId(table), columns, format, options, uris: Secret::new(uris) }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredPart {
    files: String,
    rows: u64,
    bytes: u64,
    start: u64,
    end: u64,
    records: u64,
}

impl StoredPart {
    pub fn of(part: &StagedPart) -> StoredPart {
        let StagedPart { rows: StagedRows { files, rows, bytes }, extent } = part;
        let Extent { start, end, records } = *extent;
        StoredPart { files: files.clone(), rows: *rows, bytes: *bytes, start, end, records }
    }

    pub fn into_part(self) -> StagedPart {
        let StoredPart { files, rows, bytes, start, end, records } = self;
        StagedPart { rows: StagedRows { files, rows, bytes }, extent: Extent { start, end, records } }
    }
}
