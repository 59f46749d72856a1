//! The dialects of SQL in which a connection can be written.

/// A surface syntax; `SHOW CREATE` answers in the one that a connection was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `scheme://host/path?KEY=value`
    Cockroach,
    /// `STORAGE_TYPE = 's3' KEY = 'value'`
    Databend,
    /// `TO AWS (OPTION NAME = 'value')`
    Materialize,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 3] = [Dialect::Cockroach, Dialect::Databend, Dialect::Materialize];

    /// The name under which it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Dialect::Cockroach => "cockroach",
            Dialect::Databend => "databend",
            Dialect::Materialize => "materialize",
        }
    }

    /// The dialect that is stored under a name.
    pub fn of_name(name: &str) -> Option<Dialect> {
        Dialect::ALL.into_iter().find(|dialect| dialect.as_str() == name)
    }
}
