//! A store on local disk.

pub use object_store::local::LocalFileSystem as LocalStore;
