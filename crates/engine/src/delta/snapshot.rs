//! A table as of one version.

use std::collections::HashSet;
use std::sync::Arc;

use deltalake::kernel::transaction::PROTOCOL;
use deltalake::kernel::{Metadata, StructField, Version};
use deltalake::table::state::DeltaTableState;
use lakeport_base::Sqlstate;
use lakeport_catalog::model::Column;
use lakeport_core::{Error, Result};

use super::entry::Changes;
use super::files::{DataFile, files_of};
use super::schema::columns_of;
use crate::error::from_delta;

/// A table as of one version.
#[derive(Clone)]
pub(crate) struct Snapshot {
    version: Version,
    /// The last version that changed rows or columns; later ones only arranged the same rows in other files.
    changed: Version,
    shape: Arc<Shape>,
    pub files: Arc<[DataFile]>,
}

/// What a log says of a table besides its files.
#[derive(Clone)]
struct Shape {
    metadata: Metadata,
    fields: Vec<StructField>,
    /// Why commits are refused: what other writers made of the table.
    read_only: Option<String>,
    append_only: bool,
}

impl Shape {
    /// The shape with another schema; configuration and protocol stay.
    fn with(&self, metadata: &Metadata) -> Result<Shape> {
        let schema = metadata.parse_schema().map_err(|error| from_delta(error.into()))?;
        Ok(Shape { metadata: metadata.clone(), fields: schema.fields().cloned().collect(), ..self.clone() })
    }
}

impl Snapshot {
    /// The snapshot that a replay of the log gave.
    pub fn of(state: &DeltaTableState) -> Result<Snapshot> {
        let read_only = PROTOCOL.can_write_to(state).err().map(|error| error.to_string());
        let shape = Shape {
            metadata: state.metadata().clone(),
            fields: state.schema().fields().cloned().collect(),
            read_only,
            append_only: state.table_config().append_only == Some(true),
        };
        let version = state.version();
        Ok(Snapshot { version, changed: version, shape: Arc::new(shape), files: files_of(state)?.into() })
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether rows or columns have changed since a version.
    pub fn changed_since(&self, version: Version) -> bool {
        self.changed > version
    }

    pub fn metadata(&self) -> &Metadata {
        &self.shape.metadata
    }

    /// The fields of the Delta schema.
    pub fn fields(&self) -> &[StructField] {
        &self.shape.fields
    }

    /// The columns of the version, under their names of then.
    pub fn columns(&self) -> Vec<Column> {
        columns_of(self.shape.fields.iter())
    }

    /// Whether a later version still has the columns of `other`.
    pub fn has_columns_of(&self, other: &Snapshot) -> bool {
        self.shape.fields == other.shape.fields
    }

    /// The next version. Costs one pass over the list of files, which shares the files themselves.
    ///
    /// # Errors
    /// Deletion vectors of another writer, a schema that cannot be read.
    pub fn after(&self, changes: &Changes) -> Result<Snapshot> {
        let added = changes.adds.iter().map(DataFile::of).collect::<Result<Vec<_>>>()?;
        let version = self.version + 1;
        let changed = if changes.changes_rows() { version } else { self.changed };
        let gone: HashSet<&str> = changes.removes.iter().map(|remove| remove.path.as_str()).collect();
        let stays = |file: &&DataFile| gone.is_empty() || !gone.contains(&*file.path);
        let files = self.files.iter().filter(stays).cloned().chain(added).collect();
        let shape = match &changes.metadata {
            Some(metadata) => Arc::new(self.shape.with(metadata)?),
            None => Arc::clone(&self.shape),
        };
        Ok(Snapshot { version, changed, shape, files })
    }

    /// # Errors
    /// 40001 when the changes take away a file that is no longer there; 0A000 and 55000 when another writer has made
    /// the table one that cannot be written here.
    pub fn check_fits(&self, changes: &Changes) -> Result<()> {
        if let Some(reason) = &self.shape.read_only {
            let message = format!("another writer made the table one that cannot be written here: {reason}");
            return Err(Error::unsupported(message));
        }
        if changes.removes.is_empty() {
            return Ok(());
        }
        if self.shape.append_only && changes.changes_rows() {
            let message = "the table takes new rows only: another writer set delta.appendOnly";
            return Err(Error::new(Sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        let present: HashSet<&str> = self.files.iter().map(|file| &*file.path).collect();
        match changes.removes.iter().all(|remove| present.contains(remove.path.as_str())) {
            true => Ok(()),
            false => Err(crate::error::conflict()),
        }
    }
}
