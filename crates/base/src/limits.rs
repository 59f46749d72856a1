//! Every limit on what a client may send or the server may hold, with its unit and reason.

use std::time::Duration;

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
/// Most columns of a table, as in PostgreSQL.
pub const TABLE_COLUMNS_MAX: usize = 1600;
/// Most columns of a result and most items of a list that a query computes, as in PostgreSQL: planning takes
/// time in the square of them.
pub const COLUMNS_MAX: usize = 1664;
/// Most values of one IN list, array or row constructor.
pub const LIST_VALUES_MAX: usize = 65_535;
/// Most columns under CUBE: each doubles the groupings.
pub const CUBE_COLUMNS_MAX: usize = 12;
/// Most WHEN clauses of one MERGE, and most values that all of them compute for a pair of rows.
pub const MERGE_CLAUSES_MAX: usize = 64;
pub const MERGE_VALUES_MAX: usize = 4 * COLUMNS_MAX;
/// Most relations of one query once every WITH is written out, and most joined by one FROM list.
pub const RELATIONS_MAX: usize = 256;
/// Rows in one Arrow batch between operators.
pub const BATCH_ROWS: usize = 8192;
/// Bytes of text that make a batch of COPY or IMPORT full before it has [`BATCH_ROWS`]; a column counts them in 32 bits.
pub const BATCH_BYTES_MAX: usize = 8 << 20;
/// Longest row of an imported text file, in bytes.
pub const IMPORT_ROW_BYTES_MAX: usize = 64 << 20;
/// Largest block of an imported Avro file, in bytes, before and after decompression; a reader holds one.
pub const IMPORT_BLOCK_BYTES_MAX: usize = 128 << 20;
/// Files one IMPORT may read.
pub const IMPORT_FILES_MAX: usize = 100_000;
/// Files one COPY INTO a table may load: each leaves a mark in the table's log.
pub const LOAD_FILES_MAX: usize = 15_000;
/// Days for which a table knows which files were loaded into it, so that its log does not grow with them for ever.
pub const MARKS_DAYS: u16 = 7;
/// Progress notices waiting for a slow client.
pub const NOTICE_QUEUE_MAX: usize = 64;
/// Longest message of a client, in bytes: a statement or all parameters of one.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Longest message that holds neither a statement nor data, in bytes.
pub const SMALL_MESSAGE_BYTES_MAX: usize = 16 << 10;
/// Longest message of a client that has not proved who it is, in bytes.
pub const HANDSHAKE_MESSAGE_BYTES_MAX: usize = 8 << 10;
/// Clients between connecting and their first statement; a newcomer puts out the one that has taken longest.
pub const HANDSHAKES_MAX: usize = 256;
/// From connecting to the first statement, encryption included.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Advisory locks that all sessions together may hold.
pub const ADVISORY_LOCKS_MAX: usize = 100_000;
/// SQL sessions; each may hold a socket and a batch of rows.
pub const CONNECTIONS_MAX: usize = 1000;
/// Sessions among [`CONNECTIONS_MAX`] that only members of admin get.
pub const CONNECTIONS_RESERVED: usize = 3;
/// HTTP connections; a newcomer puts out the oldest.
pub const HTTP_CONNECTIONS_MAX: usize = 64;
/// How long a client may take not one byte of what waits for it. Longer than any pause between two pages of rows.
pub const CLIENT_STALL_MAX: Duration = Duration::from_secs(600);
/// Variables that a client makes in a session, and the bytes of the value of each.
pub const OWN_VARIABLES_MAX: usize = 1000;
pub const OWN_VARIABLE_BYTES_MAX: usize = 64 << 10;
/// Statements and portals that a session keeps, and the bytes of their texts and parameters.
pub const PREPARED_MAX: usize = 10_000;
pub const PREPARED_BYTES_MAX: usize = 64 << 20;
/// Statements that read or write rows at once, for each processor: some compute while others wait for storage.
pub const STATEMENTS_PER_PROCESSOR: usize = 16;
/// Statements that wait for their turn; more are refused at once.
pub const STATEMENTS_WAITING_MAX: usize = 128;
/// Longest wait of a statement for its turn.
pub const STATEMENT_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a statement keeps its turn while its client takes no rows or sends none.
pub const STATEMENT_REST_MAX: Duration = Duration::from_secs(1);
/// Jobs one node runs at a time; more wait as pending.
pub const JOBS_RUNNING_MAX: usize = 8;
/// Runs of a job after its first, when it fails for a reason that may pass.
pub const JOB_RETRIES_MAX: u32 = 3;
/// Runs of a job after its first, when storage refuses credentials that it took before: some four minutes to rotate them.
pub const JOB_RETRIES_DENIED_MAX: u32 = 8;
/// How long an upload in parts whose key storage refuses on the way waits for its connection to be altered.
pub const UPLOAD_RENEWAL_WAIT: Duration = Duration::from_secs(600);
/// Parts of its files that one IMPORT reads and stages at a time; each holds a row group in memory.
pub const IMPORT_READERS_MAX: usize = 8;
/// Parts of one IMPORT: its progress, rewritten after each of them, names the files of all.
pub const IMPORT_PARTS_MAX: u64 = 256;
/// Batches that wait between a reader of an IMPORT and its writer.
pub const IMPORT_QUEUE_BATCHES: usize = 4;
/// Texts of statements and plans of queries that are kept for when they come again, each.
pub const PLANS_KEPT_MAX: usize = 256;
/// Longest text among them, in bytes.
pub const PLAN_TEXT_BYTES_MAX: usize = 4 << 10;
/// Memory of which keys the files of tables do not hold, in bytes: enough for about fifty million keys.
pub const KEY_FILTERS_BYTES_MAX: usize = 64 << 20;
/// Memory of values that SELECTs by primary key have read, in bytes.
pub const LOOKUP_PAGES_BYTES_MAX: usize = 64 << 20;
/// Pages of files that such a SELECT looks into; a query that has to search more is planned.
pub const LOOKUP_PAGES_MAX: usize = 16;
/// Dictionary of a column of numbers in a Parquet file, in bytes: one of more numbers takes longer to make, and to read
/// for one row, than it saves.
pub const NUMBER_DICTIONARY_BYTES_MAX: usize = 64 << 10;
/// Memory of the footers of files that queries have read in place, in bytes.
pub const FOOTERS_BYTES_MAX: usize = 128 << 20;
/// Memory of what queries have read of remote files in place, as a fraction of what queries may hold.
pub const PIECES_FRACTION: usize = 8;
/// Savepoints of one transaction block.
pub const SAVEPOINTS_MAX: usize = 10_000;
/// Open cursors of one session; each holds the state of a running query.
pub const CURSORS_MAX: usize = 64;
/// Layers of a chain of backups.
pub const BACKUP_LAYERS_MAX: usize = 10_000;
/// File of the manifest of a layer, and its JSON, in bytes.
pub const MANIFEST_FILE_BYTES_MAX: usize = 64 << 20;
pub const MANIFEST_BYTES_MAX: usize = 256 << 20;
/// What all manifests of a chain take, in bytes of JSON and 24 for each value: whoever opens the chain has them in memory.
pub const CHAIN_BYTES_MAX: usize = 512 << 20;
/// Stack of a thread, in bytes: plans of deeply nested queries recurse.
pub const WORKER_STACK_BYTES: usize = 32 << 20;

/// Processors that this process may use; 1 when that is not known.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
