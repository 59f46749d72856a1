//! What the jobs of BACKUP store.

use lakeport_backup::layout::Subdir;
use lakeport_backup::manifest::Targets;
use lakeport_base::Secret;
use lakeport_base::id::TableId;
use serde::{Deserialize, Serialize};

use crate::backup::{BackupOrder, CopiedFile, KeyTexts};

#[derive(Serialize, Deserialize)]
pub(super) struct StoredBackup {
    subdir: String,
    start: Option<i64>,
    end: i64,
    revision_history: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retain_micros: Option<i64>,
    targets: Targets,
    tables: Vec<i64>,
}

impl StoredBackup {
    pub fn of(order: &BackupOrder) -> StoredBackup {
        StoredBackup {
            subdir: order.subdir.to_string(),
            start: order.start,
            end: order.end,
            revision_history: order.revision_history,
            retain_micros: order.retain_micros,
            targets: order.targets.clone(),
            tables: order.tables.iter().map(|table| table.0).collect(),
        }
    }

    /// `None` for a folder that is none.
    pub fn into_order(self, collection: Secret<String>, keys: KeyTexts) -> Option<BackupOrder> {
        let StoredBackup { subdir, start, end, revision_history, retain_micros, targets, tables } = self;
        let subdir = Subdir::parse(&subdir).ok()?;
        let tables = tables.into_iter().map(TableId).collect();
        Some(BackupOrder { collection, keys, subdir, start, end, revision_history, retain_micros, targets, tables })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredFile {
    table: i64,
    path: String,
    pack: usize,
    offset: u64,
}

impl StoredFile {
    pub fn of(file: &CopiedFile) -> StoredFile {
        let CopiedFile { table, path, pack, offset } = file.clone();
        StoredFile { table, path, pack, offset }
    }

    pub fn into_file(self) -> CopiedFile {
        let StoredFile { table, path, pack, offset } = self;
        CopiedFile { table, path, pack, offset }
    }
}
