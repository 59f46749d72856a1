//! What the jobs of RESTORE store.

use lakeport_backup::layout::Subdir;
use lakeport_base::Secret;
use serde::{Deserialize, Serialize};

use crate::backup::restore::{RestoredDatabase, RestoredTable, SystemPart};
use crate::backup::{KeyTexts, RestoreOrder};

#[derive(Serialize, Deserialize)]
pub(super) struct StoredRestore {
    subdir: String,
    layer_end: i64,
    moment: i64,
    /// Id in the backup, name here.
    databases: Vec<(i64, String)>,
    /// Id in the backup, database and schema here.
    tables: Vec<(i64, String, String)>,
    schema_only: bool,
    verify: bool,
    grants: bool,
    system: StoredSystem,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredSystem {
    Nothing,
    Users,
    All,
}

impl StoredRestore {
    pub fn of(order: &RestoreOrder) -> StoredRestore {
        let table = |table: &RestoredTable| (table.id, table.database.clone(), table.schema.clone());
        StoredRestore {
            subdir: order.subdir.to_string(),
            layer_end: order.layer_end,
            moment: order.moment,
            databases: order.databases.iter().map(|database| (database.id, database.name.clone())).collect(),
            tables: order.tables.iter().map(table).collect(),
            schema_only: order.schema_only,
            verify: order.verify,
            grants: order.grants,
            system: match order.system {
                SystemPart::Nothing => StoredSystem::Nothing,
                SystemPart::Users => StoredSystem::Users,
                SystemPart::All => StoredSystem::All,
            },
        }
    }

    /// `None` for a folder that is none.
    pub fn into_order(self, collection: Secret<String>, keys: KeyTexts) -> Option<RestoreOrder> {
        let table = |(id, database, schema)| RestoredTable { id, database, schema };
        Some(RestoreOrder {
            collection,
            keys,
            subdir: Subdir::parse(&self.subdir).ok()?,
            layer_end: self.layer_end,
            moment: self.moment,
            databases: self.databases.into_iter().map(|(id, name)| RestoredDatabase { id, name }).collect(),
            tables: self.tables.into_iter().map(table).collect(),
            schema_only: self.schema_only,
            verify: self.verify,
            grants: self.grants,
            system: match self.system {
                StoredSystem::Nothing => SystemPart::Nothing,
                StoredSystem::Users => SystemPart::Users,
                StoredSystem::All => SystemPart::All,
            },
        })
    }
}
