//! Files that queries read where they lie.
//!
//! `find` turns what a statement names into a [`FileSet`]: files that exist, held to what they were then by `pinned`.
//! Files that describe themselves are the engine's to read by columns; `rows` reads all others, with the readers of
//! IMPORT, and rows of any file as JSON.

pub mod documents;
mod find;
pub(crate) mod infer;
mod pinned;
mod rows;

use std::fmt;
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use lakeport_base::SqlType;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};

pub(crate) use self::find::{found, no_files, relation};
pub(crate) use self::pinned::tag;
use crate::rows::arrow_field;
use crate::stage::format::{FileFormat, FormatType};

/// The files of one location that a statement reads.
pub struct FileSet {
    /// Has the files, and fails for one that is no longer what it was when the statement began.
    pub store: Arc<dyn ObjectStore>,
    /// Tells the store from all others, whatever they are called; without secrets.
    pub identity: Arc<str>,
    /// Where they were looked for, for messages.
    pub location: String,
    /// Whether others were left out that are empty.
    pub has_empty: bool,
    /// In the order of their paths.
    pub files: Vec<PlacedFile>,
    pub format: FileFormat,
    /// The columns that the statement names by position, from 1, ascending.
    pub positions: Vec<usize>,
}

/// A file as it was when the statement began.
#[derive(Clone, Debug)]
pub struct PlacedFile {
    pub meta: ObjectMeta,
    /// Its name below the location, as `metadata$filename` has it.
    pub name: String,
    /// Names it in messages, without secrets.
    pub uri: String,
}

impl fmt::Debug for FileSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileSet({}, {} files)", self.identity, self.files.len())
    }
}

impl FileSet {
    /// What is said when there is no file to read.
    pub fn absence(&self) -> String {
        no_files(&self.location, self.has_empty)
    }

    /// What messages call a file; its path when it is none of these.
    pub fn uri_of<'a>(&'a self, path: &'a Path) -> &'a str {
        let found = self.files.binary_search_by(|file| file.meta.location.cmp(path));
        found.map_or(path.as_ref(), |index| &self.files[index].uri)
    }

    /// The columns by position: fields of text files, or the one that holds a whole row as JSON.
    pub fn position_schema(&self) -> SchemaRef {
        let ty = match self.format.ty {
            FormatType::Csv | FormatType::Text => SqlType::Text,
            _ => SqlType::Jsonb,
        };
        let field = |position: &usize| arrow_field(&format!("${position}"), &ty, true);
        Arc::new(Schema::new(self.positions.iter().map(field).collect::<Vec<_>>()))
    }
}
