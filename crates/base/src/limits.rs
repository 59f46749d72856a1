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
/// Most readings of tokens inside nested function calls: sqlparser's work doubles with each level.
pub const CALL_COST_MAX: u64 = 1 << 19;
/// Deepest nesting of arrays and objects in a JSON value; serde_json reads no deeper ones.
pub const JSON_DEPTH_MAX: usize = 127;
/// Rows in one Arrow batch between operators.
pub const BATCH_ROWS: usize = 8192;
/// Longest row of an imported text file, in bytes.
pub const IMPORT_ROW_BYTES_MAX: usize = 64 << 20;
/// Largest block of an imported Avro file, in bytes, before and after decompression; a reader holds one.
pub const IMPORT_BLOCK_BYTES_MAX: usize = 128 << 20;
/// Files one IMPORT may read.
pub const IMPORT_FILES_MAX: usize = 100_000;
/// Progress notices waiting for a slow client.
pub const NOTICE_QUEUE_MAX: usize = 64;
/// Longest message of a client, in bytes: a statement or all parameters of one.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Jobs one node runs at a time; more wait as pending.
pub const JOBS_RUNNING_MAX: usize = 8;
/// Runs of a job after its first, when it fails for a reason that may pass.
pub const JOB_RETRIES_MAX: u32 = 3;
/// Parts of its files that one IMPORT reads and stages at a time; each holds a row group in memory.
pub const IMPORT_READERS_MAX: usize = 8;
/// Parts of one IMPORT: its progress, rewritten after each of them, names the files of all.
pub const IMPORT_PARTS_MAX: u64 = 256;
/// Batches that wait between a reader of an IMPORT and its writer.
pub const IMPORT_QUEUE_BATCHES: usize = 4;
/// Open cursors of one session; each holds the state of a running query.
pub const CURSORS_MAX: usize = 64;
/// Stack of a thread, in bytes: plans of deeply nested queries recurse.
pub const WORKER_STACK_BYTES: usize = 8 << 20;
