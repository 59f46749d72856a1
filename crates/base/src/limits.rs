//! Every limit on what a client may send or the server may hold, with its unit and reason.

/// Longest name of an object, in bytes. Names become file and URL parts.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest statement text, in bytes.
pub const STATEMENT_BYTES_MAX: usize = 16 << 20;
/// Longest URI, in bytes.
pub const URI_BYTES_MAX: usize = 64 << 10;
/// Deepest nesting of parentheses in one statement, so that recursion stays on the stack.
pub const NESTING_DEPTH_MAX: usize = 64;
/// Most tokens in one expression, counted between commas: `1 + 1 + ...` becomes a tree as deep as it is long.
pub const CHAIN_TOKENS_MAX: usize = 4096;
/// Most `UNION`, `INTERSECT` and `EXCEPT` in one query, for the same reason.
pub const SET_OPERATIONS_MAX: usize = 256;
/// Rows in one Arrow batch between operators.
pub const BATCH_ROWS: usize = 8192;
/// Longest row of an imported text file, in bytes.
pub const IMPORT_ROW_BYTES_MAX: usize = 64 << 20;
/// Files one IMPORT may read.
pub const IMPORT_FILES_MAX: usize = 100_000;
/// Progress notices waiting for a slow client.
pub const NOTICE_QUEUE_MAX: usize = 64;
