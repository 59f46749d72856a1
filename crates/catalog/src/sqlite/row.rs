//! From rows to structs, and the outcome of statements that change rows.

use lakeport_base::Dialect;
use lakeport_base::id::{ConnectionId, DatabaseId, JobId, ScheduleId, SchemaId, StageId, TableId};
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};
use sqlx::{Decode, Row, SqliteConnection, Type};

use crate::error::{Error, Result};
use crate::model::JobState;

/// A statement with its arguments.
pub(super) type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// A value kept in one column.
pub(super) trait Field: Sized {
    /// What SQLite holds.
    type Stored: for<'r> Decode<'r, Sqlite> + Type<Sqlite>;

    /// The value, unless nothing of ours is stored so.
    fn from_stored(stored: Self::Stored) -> Option<Self>;
}

macro_rules! plain_fields {
    ($($ty:ty),*) => {
        $(impl Field for $ty {
            type Stored = $ty;
            fn from_stored(stored: $ty) -> Option<Self> {
                Some(stored)
            }
        })*
    };
}

macro_rules! id_fields {
    ($($ty:ident),*) => {
        $(impl Field for $ty {
            type Stored = i64;
            fn from_stored(stored: i64) -> Option<Self> {
                Some($ty(stored))
            }
        })*
    };
}

plain_fields!(bool, i64, f64, String, Vec<u8>, Option<i64>, Option<String>, Option<Vec<u8>>);
id_fields!(ConnectionId, DatabaseId, JobId, ScheduleId, SchemaId, StageId, TableId);

impl Field for Dialect {
    type Stored = String;

    fn from_stored(stored: String) -> Option<Self> {
        Dialect::of_name(&stored)
    }
}

impl Field for JobState {
    type Stored = String;

    fn from_stored(stored: String) -> Option<Self> {
        JobState::ALL.into_iter().find(|state| state.as_str() == stored)
    }
}

/// The value of one column.
pub(super) fn field<F: Field>(row: &SqliteRow, what: &'static str, column: &'static str) -> Result<F> {
    let corrupt = |detail| Error::Corrupt { what, detail };
    let stored = row.try_get(column).map_err(|error| corrupt(error.to_string()))?;
    F::from_stored(stored).ok_or_else(|| corrupt(format!("column {column:?} holds an unknown value")))
}

/// Builds a struct whose listed fields have columns of the same names; the fields after `..` are given.
macro_rules! decode {
    ($row:expr, $what:literal => $ty:ident { $($field:ident),* $(; $given:ident $(: $value:expr)?)* }) => {
        Ok($ty {
            $($field: $crate::sqlite::row::field($row, $what, stringify!($field))?,)*
            $($given $(: $value)?,)*
        })
    };
}
pub(super) use decode;

/// Every row of a query.
pub(super) async fn all<T>(
    db: &mut SqliteConnection,
    query: Query<'_>,
    decode: impl Fn(&SqliteRow) -> Result<T>,
) -> Result<Vec<T>> {
    query.fetch_all(db).await?.iter().map(decode).collect()
}

/// The row of a query that has at most one.
pub(super) async fn one<T>(
    db: &mut SqliteConnection,
    query: Query<'_>,
    decode: impl Fn(&SqliteRow) -> Result<T>,
) -> Result<Option<T>> {
    query.fetch_optional(db).await?.as_ref().map(decode).transpose()
}

/// Changes the row of one object: [`Error::Exists`] when its name is taken, [`Error::NotFound`] when no row changed.
pub(super) async fn change(
    db: &mut SqliteConnection,
    query: Query<'_>,
    what: &'static str,
    name: impl ToString,
) -> Result<()> {
    match query.execute(db).await {
        Ok(done) if done.rows_affected() == 0 => Err(Error::NotFound { what, name: name.to_string() }),
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
            Err(Error::Exists { what, name: name.to_string() })
        }
        Err(error) => Err(error.into()),
    }
}
