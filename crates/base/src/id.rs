//! Ids of catalog objects. Databases, schemas, tables, connections and stages draw from one sequence,
//! so an id is also a PostgreSQL OID.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A database; also the first folder of its tables in the warehouse.
    DatabaseId
);
id!(
    /// A schema of a database.
    SchemaId
);
id!(
    /// A table; also its folder in the warehouse.
    TableId
);
id!(
    /// An external connection.
    ConnectionId
);
id!(
    /// A stage; also the folder of its files when they lie in the warehouse.
    StageId
);
id!(
    /// A job. Unique over the life of a catalog and increasing with time.
    JobId
);
id!(
    /// A schedule. From the sequence of jobs.
    ScheduleId
);
