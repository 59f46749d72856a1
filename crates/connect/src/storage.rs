//! A storage that is open.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::multipart::MultipartStore;

/// What opening a target of files gives.
#[derive(Clone)]
pub struct Storage {
    /// Its files.
    pub files: Arc<dyn ObjectStore>,
    /// Uploads in parts by their ids, where the far side keeps them: what one opening has begun another may go on with.
    pub uploads: Option<Arc<dyn MultipartStore>>,
}
