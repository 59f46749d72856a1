//! What every crate may use: names, ids, secrets, URIs, SQLSTATEs, column types, limits and the
//! environment. Depends on nothing of ours and does no I/O.
//!
//! Reading order: [`name`], [`sqltype`], [`uri`], [`secret`], [`sqlstate`], [`env`], [`fault`].

pub mod dialect;
pub mod env;
pub mod fault;
pub mod hex;
pub mod id;
pub mod limits;
pub mod name;
pub mod nearest;
pub mod retry;
pub mod scram;
pub mod secret;
pub mod sqlstate;
pub mod sqltype;
pub mod units;
pub mod uri;

pub use dialect::Dialect;
pub use env::Env;
pub use fault::Point;
pub use name::QualifiedName;
pub use retry::Retry;
pub use secret::Secret;
pub use sqlstate::Sqlstate;
pub use sqltype::SqlType;
pub use uri::Uri;
