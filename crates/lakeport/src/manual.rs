//! Pages of the manual that derive from tables in the code, and the tests that keep them true.
//! `LAKEPORT_WRITE_DOCS=1 cargo test -p lakeport manual` writes them anew.

use std::fmt::Write;
use std::path::Path;

use clap::{Arg, Command};
use lakeport_base::Point;
use lakeport_connect::dialect::KEY_OPTION;
use lakeport_connect::kind::{self, Host, Unknown};
use lakeport_connect::option::Need;
use lakeport_connect::{KINDS, KindSpec, OptionSpec, OptionType, Role};
use lakeport_core::setting::SETTINGS;
use lakeport_core::stage::format::options;
use lakeport_core::variable::{Rule, VARIABLES};

use crate::cli;

#[test]
fn pages_of_kinds_are_current() {
    for kind in KINDS {
        let spec = kind.spec();
        compare(&format!("docs/kinds/{}.md", spec.name), &kind_page(spec));
    }
}

#[test]
fn page_of_purposes_is_current() {
    let mut page = PURPOSES_HEAD.to_string();
    let row = |page: &mut String, purpose: &str, serves: &dyn Fn(&KindSpec) -> bool| {
        let kinds: Vec<String> = KINDS.iter().map(|kind| kind.spec()).filter(|spec| serves(spec)).map(link).collect();
        let _ = writeln!(page, "| {purpose} | {} |", kinds.join(", "));
    };
    for (statement, _) in STATEMENTS {
        row(&mut page, statement, &|spec| spec.role == Role::Storage && takes(spec).any(|taken| taken == *statement));
    }
    row(&mut page, "a key for `BACKUP` and `RESTORE`", &|spec| spec.role == Role::Kms);
    row(&mut page, "folders whose files are found by pattern", &|spec| spec.capability.list);
    page += PURPOSES_FORMS;
    for spec in KINDS.iter().map(|kind| kind.spec()) {
        let databend = spec.databend_type.map(|name| format!("`STORAGE_TYPE = '{name}'`")).unwrap_or_default();
        let (uri, can) = (uri_form(spec).replace('|', "\\|"), capabilities(spec));
        let _ = writeln!(page, "| {} | {} | `{uri}` | {databend} | {can} |", link(spec), spec.title);
    }
    compare("docs/kinds/README.md", &page);
}

const PURPOSES_HEAD: &str = "# Which connection for what

Each kind of connection has its page, with every parameter. What a kind serves for:

| for | kinds |
|---|---|
";

const PURPOSES_FORMS: &str = "
How a connection of each kind is written, as a URI in [CREATE EXTERNAL CONNECTION](../sql/connection.md) and as a type in
CREATE CONNECTION:

| kind | leads to | URI | in Databend's dialect | files can be |
|---|---|---|---|---|
";

fn link(spec: &KindSpec) -> String {
    format!("[{0}]({0}.md)", spec.name)
}

#[test]
fn page_of_configuration_is_current() {
    compare("docs/configuration.md", &configuration_page());
}

#[test]
fn page_of_variables_is_current() {
    let mut page = VARIABLES_HEAD.to_string();
    for variable in VARIABLES {
        let default = if variable.default.is_empty() { String::new() } else { format!("`{}`", variable.default) };
        let _ = writeln!(page, "| `{}` | {default} | {} | {} |", variable.name, values(variable.rule), variable.help);
    }
    compare("docs/variables.md", &page);
}

#[test]
fn page_of_settings_is_current() {
    let mut page = SETTINGS_HEAD.to_string();
    for setting in SETTINGS {
        let _ = writeln!(page, "| `{}` | `{}` | {} |", setting.name, setting.default, setting.help);
    }
    compare("docs/settings.md", &page);
}

#[test]
fn page_of_file_formats_is_current() {
    let mut page = FORMATS_HEAD.to_string();
    for option in options::OPTIONS {
        let types: Vec<_> =
            option.types.iter().map(|(ty, default)| format!("{} {}", ty.name(), shown(default))).collect();
        let name = option.name.to_uppercase();
        let _ = writeln!(page, "| `{name}` | {} | {} | {} |", types.join(", "), taken(option.takes), option.help);
    }
    let _ = write!(page, "{FORMATS_FOOT}\n{}.\n", option_names(options::DEFAULTS_ONLY));
    let _ = write!(page, "\n{FORMATS_OF_LOADS}\n{}.\n", option_names(options::LOAD.heeds));
    let _ = write!(page, "\n{FORMATS_OF_QUERIES}\n{}.\n", option_names(options::QUERY.heeds));
    compare("docs/file_formats.md", &page);
}

/// Each once.
fn option_names(options: &[&options::FormatOption]) -> String {
    let mut names: Vec<_> = options.iter().map(|option| format!("`{}`", option.name.to_uppercase())).collect();
    names.dedup();
    names.join(", ")
}

const FORMATS_OF_LOADS: &str =
    "[COPY INTO a table](sql/load.md) heeds these of them, and there `FIELD_DEFAULT` is the default of the column:";

const FORMATS_OF_QUERIES: &str = "[Queries](sql/files.md) heed these:";

const FORMATS_FOOT: &str = "
A format keeps these options, and files are read and written with their defaults only; another value is refused with `[1002]`
when a file is read or written:";

/// A default in a cell, with its escapes; two quotes for none.
fn shown(default: &str) -> String {
    let escaped = default.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n");
    if default.is_empty() { "`''`".to_string() } else { format!("`{escaped}`") }
}

/// What an option takes, in a cell.
fn taken(takes: options::Takes) -> String {
    match takes {
        options::Takes::Flag => "true or false".to_string(),
        options::Takes::Count => "a whole number".to_string(),
        options::Takes::Word(words) => words.join(", "),
        options::Takes::Text(_, what) | options::Takes::Name(_, what) => what.replace('`', "a backtick"),
        options::Takes::List => "texts in parentheses".to_string(),
    }
}

const FORMATS_HEAD: &str = "# Options of file formats

Types: CSV, TEXT (TSV, TABSEPARATED), NDJSON (JSONEACHROW), JSON, PARQUET, ORC, AVRO, ARROW, ARROW_STREAM; LANCE only where files
are written. Names and words may be in any case. In texts, `\\t`, `\\n`, `\\r`, `\\0` and `\\\\` stand for characters. Where they
are written: [stages](sql/stage.md), [formats under names](sql/file_format.md).

| option | of, and what it is when it is left out | takes | meaning |
|---|---|---|---|
";

#[test]
fn page_of_limits_is_current() {
    let mut page = LIMITS_HEAD.to_string();
    for (what, most, code) in limit_rows() {
        let _ = writeln!(page, "| {what} | {most} | {code} |");
    }
    compare("docs/limits.md", &(page + LIMITS_FOOT));
}

const LIMITS_HEAD: &str = "# Limits

What a client may send, hold and take, so that none of it hangs the server, fills its memory or keeps others out. What is
refused says so with the code and, in its hint, what to do instead. Storage and memory that run out answer `53100` and
`53200`; the statement fails, the server goes on.

| what | at most | beyond it |
|---|---|---|
";

const LIMITS_FOOT: &str = "
Statements that read or write rows take places. One whose client takes no rows, or sends none to `COPY`, gives its place
to a waiting one after a second and waits for another when the client goes on; open cursors, suspended portals and open
blocks hold none. `SHOW`, `SET`, `BEGIN`, `COMMIT`, `ROLLBACK`, statements about the catalog, logins and cancel requests
never wait. When too many clients are connecting, or too many HTTP connections are open, the one that has taken longest
makes room.

`statement_timeout`, `idle_session_timeout` and `idle_in_transaction_session_timeout` ([variables](variables.md)) set further
limits; the first covers waiting for a place, planning and every row sent or copied. A client whose machine has vanished is
noticed within 30 seconds, since the server asks (TCP keepalive).
";

fn limit_rows() -> Vec<(&'static str, String, &'static str)> {
    use lakeport_base::limits as l;
    let bytes = |count: usize| match count {
        count if count % (1 << 20) == 0 => format!("{} MiB", count >> 20),
        count => format!("{} KiB", count >> 10),
    };
    let time = |limit: std::time::Duration| format!("{} s", limit.as_secs());
    let connections = format!("{}, of them {} for admins only", l::CONNECTIONS_MAX, l::CONNECTIONS_RESERVED);
    let running = format!("{} for each processor", l::STATEMENTS_PER_PROCESSOR);
    let plans = format!("{}, of texts up to {}", l::PLANS_KEPT_MAX, bytes(l::PLAN_TEXT_BYTES_MAX));
    let prepared = format!("{}, {} of text and parameters", l::PREPARED_MAX, bytes(l::PREPARED_BYTES_MAX));
    let own = format!("{}, {} each", l::OWN_VARIABLES_MAX, bytes(l::OWN_VARIABLE_BYTES_MAX));
    let list = format!("{} of JSON, packed {}", bytes(l::MANIFEST_BYTES_MAX), bytes(l::MANIFEST_FILE_BYTES_MAX));
    vec![
        ("sessions", connections, "`53300`"),
        ("clients between connecting and their first statement", l::HANDSHAKES_MAX.to_string(), "`53300`"),
        ("time from connecting to the first statement", time(l::HANDSHAKE_TIME_MAX), "the connection closes"),
        ("statements that run at once", running, "the statement waits"),
        ("statements that wait", l::STATEMENTS_WAITING_MAX.to_string(), "`53000`"),
        ("time that a statement waits", time(l::STATEMENT_WAIT_MAX), "`53000`"),
        ("time that a client takes not one byte", time(l::CLIENT_STALL_MAX), "the connection closes"),
        ("prepared statements and portals of a session", prepared, "`53400`"),
        ("variables that a session makes", own, "`53400`"),
        ("cursors of a session", l::CURSORS_MAX.to_string(), "`53400`"),
        ("savepoints of a transaction block", l::SAVEPOINTS_MAX.to_string(), "`53400`"),
        ("message before the login", bytes(l::HANDSHAKE_MESSAGE_BYTES_MAX), "`08P01`"),
        ("message", bytes(l::MESSAGE_BYTES_MAX), "`08P01`"),
        ("statement text", bytes(l::STATEMENT_BYTES_MAX), "`54001`"),
        ("nesting of brackets and CASE", l::NESTING_DEPTH_MAX.to_string(), "`54001`"),
        ("tokens of one expression", l::CHAIN_TOKENS_MAX.to_string(), "`54001`"),
        ("set operations of a query", l::SET_OPERATIONS_MAX.to_string(), "`54001`"),
        ("relations of a query, each use of a WITH counted", l::RELATIONS_MAX.to_string(), "`54001`"),
        ("values of an IN list or array", l::LIST_VALUES_MAX.to_string(), "`54001`"),
        ("columns of a result, a row, a grouping", l::COLUMNS_MAX.to_string(), "`54011`"),
        ("columns of a table", l::TABLE_COLUMNS_MAX.to_string(), "`54000`"),
        ("WHEN clauses of a MERGE", l::MERGE_CLAUSES_MAX.to_string(), "`54001`"),
        ("values that the clauses of a MERGE compute for a pair of rows", l::MERGE_VALUES_MAX.to_string(), "`54001`"),
        ("columns under CUBE", l::CUBE_COLUMNS_MAX.to_string(), "`54001`"),
        ("row of COPY or of an imported text file", bytes(l::IMPORT_ROW_BYTES_MAX), "`22P04`"),
        ("layers of a chain of backups", l::BACKUP_LAYERS_MAX.to_string(), "`22023`"),
        ("list of files of a backup", list, "`22023`"),
        (
            "lists of files of all backups of a chain, as JSON, and 24 bytes for each value",
            bytes(l::CHAIN_BYTES_MAX),
            "`22023`",
        ),
        ("HTTP connections", l::HTTP_CONNECTIONS_MAX.to_string(), "the oldest closes"),
        ("plans kept for statements that come again", plans, "the one unused for longest is made anew"),
        ("memory of which keys files do not hold", bytes(l::KEY_FILTERS_BYTES_MAX), "more files are read"),
        ("memory of what SELECTs by key have read", bytes(l::LOOKUP_PAGES_BYTES_MAX), "files are read again"),
    ]
}

#[test]
fn page_of_faults_is_current() {
    let mut page = FAULTS_HEAD.to_string();
    for point in Point::ALL {
        let _ = writeln!(page, "| `{}` | {} |", point.name(), point.help());
    }
    compare("docs/faults.md", &page);
}

const FAULTS_HEAD: &str = "# Faults

What makes sure that nothing acknowledged is lost and nothing is done by half: points in the server at which tests make it
fail, and walks that kill it there and look. A server with `LAKEPORT_FAULT=POINT:ACTION[:NTH]` in its environment (several
with commas) does the action when it reaches the point for the NTH time, or each time when no number is given; without the
variable a point costs nothing. It is for tests only: such a server says so in its log.

| action | what happens |
|---|---|
| `kill` | the process ends at once: nothing is flushed, nothing unwound |
| `error` | the step fails as with a broken disk |
| `disk-full` | the step fails as with a full disk |
| `panic` | the thread panics |
| `delay` | the thread waits 200 ms |

After a kill a start deletes what was left half written, and the folders of tables that were never finished, or dropped.
Files of a table that no commit names go with its upkeep, a day later. When a folder of the local disk cannot be synced
after a log entry got its name, nothing in it is read before it is; a statement that cannot make sure answers 58030, that
its commit may have been made.

`make soak` walks through all points and through random moments, kills the server there, starts it again and compares what
it finds with what was acknowledged; the [last result](soak.md). A short walk is part of `make test`. Torn files, full
disks and failing storage have tests of their own: `tests/clients/faults_*.py`, with what they share in `tests/faults/`; so
have backups: `backup_storage_faults.py`, `backup_rotation.py`. `backup_faults.py`, `backup_kms_faults.py` and
`schedule_faults.py` kill a server, and let it fail and panic, at each point of `backup`, `restore`, `alter`, `kms` and
`schedule`, and fail when one of them is not reached.

| point | reached |
|---|---|
";

const VARIABLES_HEAD: &str = "# Session variables

`SET name = value` changes one for the session, `SET LOCAL` for the transaction block, `ALTER ROLE r SET name = value` for
the sessions that a role opens from then on. [Statements](sql/session.md).

| variable | default | values | meaning |
|---|---|---|---|
";

const SETTINGS_HEAD: &str = "# Cluster settings

`SET CLUSTER SETTING name = value` changes one for the server, at once and for good; RESET CLUSTER SETTING goes back to the
default. [Statements](sql/session.md).

| setting | default | meaning |
|---|---|---|
";

fn values(rule: Rule) -> String {
    match rule {
        Rule::Text => "text".to_string(),
        Rule::Bool => "on, off".to_string(),
        Rule::OverSetting(_) => "on, off; while it is not set, the [cluster setting](settings.md)".to_string(),
        Rule::Duration => "milliseconds, or a duration such as 10s".to_string(),
        Rule::Choice(choices) => choices.join(", "),
        Rule::TimeZone => "a time zone or offset".to_string(),
        Rule::Encoding => "UTF8, however spelt".to_string(),
        Rule::ReadOnly => "read-only".to_string(),
    }
}

#[expect(clippy::disallowed_methods, reason = "a switch of this test")]
fn compare(page: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page);
    if std::env::var_os("LAKEPORT_WRITE_DOCS").is_some() {
        std::fs::write(&file, expected).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == expected, "{page} is not current; LAKEPORT_WRITE_DOCS=1 cargo test -p lakeport manual writes it");
}

fn kind_page(spec: &KindSpec) -> String {
    let mut page = format!("# {}\n\n{}\n\n", spec.title, spec.help);
    let _ = write!(page, "```\n{}\n```\n\n| | |\n|---|---|\n", uri_form(spec));
    let schemes: Vec<String> = spec.schemes.iter().map(|scheme| format!("`{scheme}`")).collect();
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(page, "| {name} | {value} |");
        }
    };
    fact("schemes", schemes.join(", "));
    fact("`connection_type`", format!("`{}`", spec.role));
    fact("used by", takes(spec).collect::<Vec<_>>().join(", "));
    fact("can be", capabilities(spec));
    if !spec.options.is_empty() {
        page += "\nA parameter that is not shown is replaced by `redacted` wherever a connection is printed.\n";
        page += "\n| parameter | value | shown | meaning |\n|---|---|---|---|\n";
        for option in spec.options {
            page += &option_row(option);
        }
    }
    if spec.unknown == Unknown::PassedOn {
        page += "\nParameters other than these are sent on to the server and never shown.\n";
    }
    if !spec.rules.is_empty() {
        page += "\n## Rules\n\n";
        for rule in spec.rules {
            page += &rule_line(rule);
        }
    }
    page + &spellings(spec)
}

fn uri_form(spec: &KindSpec) -> String {
    let host = match spec.host {
        Host::Bucket => "<bucket>",
        Host::Node => "<node id | self>",
        Host::Server => "<host>[:<port>]",
        Host::FileSet => "[<database>.<schema>.<set>]",
        Host::Nothing => return format!("{}:///<key>[?<parameter>=<value>&...]", spec.schemes[0]),
    };
    let parameters = if spec.options.is_empty() { "" } else { "[?<parameter>=<value>&...]" };
    format!("{}://{host}[/<path>]{parameters}", spec.schemes[0])
}

/// The statements that use storage, and which only read it.
const STATEMENTS: &[(&str, bool)] = &[
    ("`CREATE STAGE`", true),
    ("queries of files", true),
    ("`COPY INTO` a table", true),
    ("`COPY INTO` a location", false),
    ("`IMPORT INTO`", true),
    ("`EXPORT INTO`", false),
    ("`BACKUP`", false),
    ("`RESTORE`", false),
    ("`CHECK EXTERNAL CONNECTION`", false),
];

/// The statements that take the kind.
fn takes(spec: &KindSpec) -> impl Iterator<Item = &'static str> {
    let of_keys = ["`BACKUP`", "`RESTORE`"];
    let is_taken = move |statement: &&str, only_reads: bool| match spec.role {
        Role::Storage => only_reads || spec.capability.write,
        Role::Kms => of_keys.contains(statement),
        Role::ForeignData => false,
    };
    STATEMENTS
        .iter()
        .filter(move |(statement, only_reads)| is_taken(statement, *only_reads))
        .map(|(statement, _)| *statement)
}

fn capabilities(spec: &KindSpec) -> String {
    if spec.role != Role::Storage {
        return String::new();
    }
    let can = &spec.capability;
    let words = [(true, "read"), (can.write, "written"), (can.list, "listed"), (can.delete, "deleted from")];
    words.iter().filter(|(able, _)| *able).map(|(_, word)| *word).collect::<Vec<_>>().join(", ")
}

fn option_row(option: &OptionSpec) -> String {
    let value = match option.ty {
        OptionType::Text => "text".to_string(),
        OptionType::Ascii => "printable ASCII".to_string(),
        OptionType::Bool => "`true` or `false`".to_string(),
        OptionType::Int => "whole number".to_string(),
        OptionType::Duration => "duration such as `10s`".to_string(),
        OptionType::Base64 => "base64".to_string(),
        OptionType::Choice(words, _) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
    };
    let need = match (option.need, option.default) {
        (Need::Required, _) => "; required".to_string(),
        (Need::Optional, Some(default)) => format!("; default `{default}`"),
        (Need::Optional, None) => String::new(),
    };
    let shown = if option.public { "yes" } else { "no" };
    let alter = if option.alterable { "" } else { " ALTER cannot change it." };
    format!("| `{}` | {value}{need} | {shown} | {}{alter} |\n", option.name, option.help)
}

fn rule_line(rule: &kind::Rule) -> String {
    let list = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match rule {
        kind::Rule::Together(names) => format!("* All of {} or none.\n", list(names)),
        kind::Rule::Exclusive(names) => format!("* At most one of {}.\n", list(names)),
        kind::Rule::Needs { option, value, needs, .. } => format!("* `{option}={value}` needs `{needs}`.\n"),
        kind::Rule::NoDatabend { keyword, why } => format!("* Databend's `{keyword}` is refused: {why}.\n"),
    }
}

/// The options' names in the other two option grammars.
fn spellings(spec: &KindSpec) -> String {
    if spec.databend_type.is_none() && spec.materialize_type.is_none() || spec.options.is_empty() {
        return String::new();
    }
    let mut text =
        "\n## In other dialects\n\nThe same option table under the names of Databend and Materialize.\n".to_string();
    let cell = |name: Option<&str>| name.map(|name| format!("`{name}`")).unwrap_or_default();
    text += "\n| parameter | Databend | Materialize |\n|---|---|---|\n";
    let _ = writeln!(text, "| type | {} | {} |", cell(spec.databend_type), cell(spec.materialize_type));
    if spec.host == Host::Nothing {
        let _ = writeln!(text, "| the key | {0} | {0} |", cell(Some(KEY_OPTION)));
    }
    for option in spec.options.iter().filter(|option| option.databend.is_some() || option.materialize.is_some()) {
        let _ = writeln!(text, "| `{}` | {} | {} |", option.name, databend_cell(option), cell(option.materialize));
    }
    text
}

fn databend_cell(option: &OptionSpec) -> String {
    let code = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
    let Some(keyword) = option.databend else { return String::new() };
    let mut notes = Vec::new();
    notes.extend(option.databend_negated.then(|| "the opposite".to_string()));
    notes.extend(option.databend_required.then(|| "required".to_string()));
    notes.extend(
        (!option.databend_aliases.is_empty()).then(|| format!("or {}", code(option.databend_aliases).join(", "))),
    );
    notes.extend(option.databend_after.first().map(|keyword| format!("an external id as `{keyword}`")));
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
    format!("`{keyword}`{notes}")
}

const CONFIGURATION: &str = "# Configuration of `lakeport start`

Each setting is a flag, an environment variable and a key of the TOML file that `--config` names; a flag wins over the
environment, the environment over the file, the file over the default. In the file a key is the flag without its dashes:

```toml
store = \"/var/lib/lakeport\"
listen-addr = \"0.0.0.0:5437\"
certs-dir = \"/etc/lakeport/certs\"
shutdown-grace = \"30s\"
```

An unknown key is an error that names the nearest known one. Relative paths start at the working directory.

| flag | environment | default | meaning |
|---|---|---|---|
";

fn configuration_page() -> String {
    let command = cli::command();
    let start = command.find_subcommand("start").expect("the command has a start");
    let rows: String =
        start.get_arguments().filter(|arg| !arg.is_hide_set() && arg.get_id() != "help").map(flag_row).collect();
    CONFIGURATION.to_string() + &rows
}

fn flag_row(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let (meaning, noted) = match help.split_once(" [default: ") {
        Some((meaning, default)) => (meaning.to_string(), default.trim_end_matches(']').to_string()),
        None => (help, String::new()),
    };
    let given: Vec<String> = arg.get_default_values().iter().map(|value| format!("`{}`", value.display())).collect();
    let default = if given.is_empty() { noted } else { given.join(", ") };
    let value = arg.get_value_names().filter(|_| arg.get_action().takes_values()).and_then(|names| names.first());
    let value = value.map(|name| format!(" {name}")).unwrap_or_default();
    let environment = arg.get_env().map(|name| name.display().to_string()).unwrap_or_default();
    format!("| `--{}{value}` | `{environment}` | {default} | {meaning} |\n", arg.get_long().unwrap_or_default())
}

/// The commands a page may speak of.
#[test]
fn every_command_has_help() {
    let undocumented = |command: &&Command| command.get_about().is_none();
    assert_eq!(cli::command().get_subcommands().find(undocumented).map(Command::get_name), None);
}
