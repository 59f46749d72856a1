//! `CREATE | ALTER | DROP | SHOW | CHECK EXTERNAL CONNECTION`.

use super::{KvOption, Text};

/// `CREATE EXTERNAL CONNECTION [IF NOT EXISTS] name AS uri`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateConnection {
    pub name: Text,
    pub if_not_exists: bool,
    pub uri: Text,
    /// `WITH (VALIDATE = false)` skips the check; our extension in this dialect.
    pub validate: bool,
}

/// `ALTER EXTERNAL CONNECTION [IF EXISTS] name AS uri`
#[derive(Clone, Debug, PartialEq)]
pub struct AlterConnection {
    pub name: Text,
    pub if_exists: bool,
    pub uri: Text,
    pub validate: bool,
}

/// `DROP EXTERNAL CONNECTION name [CASCADE | RESTRICT]`
#[derive(Clone, Debug, PartialEq)]
pub struct DropConnection {
    pub name: Text,
    pub cascade: bool,
}

/// `SHOW EXTERNAL CONNECTIONS` (no name) or `SHOW EXTERNAL CONNECTION name`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowConnections {
    pub name: Option<Text>,
}

/// `SHOW CREATE ALL EXTERNAL CONNECTIONS` (no name) or `SHOW CREATE EXTERNAL CONNECTION name`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowCreateConnection {
    pub name: Option<Text>,
}

/// `CHECK EXTERNAL CONNECTION uri [WITH TRANSFER = .., TIME = .., CONCURRENTLY = ..]`
#[derive(Clone, Debug, PartialEq)]
pub struct CheckConnection {
    pub uri: Text,
    pub options: Vec<KvOption>,
}
