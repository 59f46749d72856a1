//! Files in a FROM list: `@stage/path` or a URI with options behind, and the functions that tell of files, `INFER_SCHEMA`
//! and `LIST_STAGE`.

use std::fmt;

use lakeport_base::Dialect;
use lakeport_base::name::quote_literal;
use sqlparser::tokenizer::Token;

use crate::cursor::{Cursor, Result, Seen};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::print::list;
use crate::stmt::stage::location::{self, Location, Parameter, Pattern};

/// Files that a query reads where they lie.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSource {
    pub location: Location,
    /// A type such as `csv`, or the name of a file format.
    pub format: Option<String>,
    /// For what follows the location in the files' names.
    pub pattern: Option<Pattern>,
    /// Names of files below the location; none: all of them.
    pub files: Vec<String>,
    pub wanted: Wanted,
    /// Their columns that the query names by position: `$n`, in its text `"$n"`. Ascending.
    pub positions: Vec<usize>,
}

/// What of the files is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Rows,
    /// `INFER_SCHEMA`: their columns, as the first files, and the first records of each, tell.
    Columns {
        files_max: Option<usize>,
        records_max: Option<usize>,
    },
    /// `LIST_STAGE`: what LIST shows of them.
    Names,
}

/// A function of files: its name, and what may stand in its parentheses.
type Function = (&'static str, &'static [&'static str]);

const FUNCTIONS: [Function; 2] = [
    (
        "INFER_SCHEMA",
        &["LOCATION", "CONNECTION_NAME", "PATTERN", "FILE_FORMAT", "MAX_RECORDS_PER_FILE", "MAX_FILE_COUNT"],
    ),
    ("LIST_STAGE", &["LOCATION", "PATTERN"]),
];
/// What may stand behind a location.
const OPTIONS: &[&str] = &["FILE_FORMAT", "PATTERN", "FILES", "CONNECTION", "CASE_SENSITIVE"];

/// Whether files stand next in a FROM list.
pub(super) fn is_next(c: &Cursor) -> bool {
    c.is_symbol(&Token::AtSign) || c.is_literal() || function(c).is_some()
}

fn function(c: &Cursor) -> Option<Function> {
    let is_called = c.rest().get(1).is_some_and(|next| next.token == Token::LParen);
    FUNCTIONS.into_iter().find(|(name, _)| is_called && c.is_next(name))
}

/// `location [(NAME => value [,] ...)]`, or `FUNCTION(NAME => value [,] ...)`
pub(super) fn file_source(c: &mut Cursor) -> Result<FileSource> {
    let source = match function(c) {
        Some(function) => call(c, function),
        None => files(c),
    };
    source.map_err(|error| SyntaxError { dialect: Dialect::Databend, ..error })
}

fn files(c: &mut Cursor) -> Result<FileSource> {
    let location = location::location(c)?;
    let mut given = Given::default();
    if c.is_open() {
        given.read(c, OPTIONS)?;
    }
    Ok(given.source(location, Wanted::Rows))
}

fn call(c: &mut Cursor, (name, options): Function) -> Result<FileSource> {
    let position = c.position();
    c.advance(1);
    let mut given = Given::default();
    let call = format!("write {name}(LOCATION => '@stage/path/')");
    given.read(c, options).map_err(|error| {
        let error = unknown_argument(c, name, options).unwrap_or(error);
        if error.hint.is_some() || given.location.is_some() { error } else { error.with_hint(&call) }
    })?;
    let missing =
        || wrong_argument(format!("{} must specify location", name.to_lowercase()), position).with_hint(&call);
    let location = given.location.take().ok_or_else(missing)?;
    let wanted = match name {
        "LIST_STAGE" => Wanted::Names,
        _ => Wanted::Columns { files_max: given.files_max, records_max: given.records_max },
    };
    Ok(given.source(location, wanted))
}

/// What is wrong with the arguments of a function, when the next one is none of them.
fn unknown_argument(c: &Cursor, function: &'static str, known: &[&str]) -> Option<SyntaxError> {
    let [Token::Word(name), Token::RArrow] = [&c.rest().first()?.token, &c.rest().get(1)?.token] else { return None };
    if known.iter().any(|known| known.eq_ignore_ascii_case(&name.value)) {
        return None;
    }
    let message = format!("unknown param {} for {}", name.value.to_lowercase(), function.to_lowercase());
    let error = wrong_argument(message, c.position()).with_nearest(&name.value, known.iter().copied());
    let near = error.hint.as_ref().map(|hint| format!("{hint} ")).unwrap_or_default();
    Some(error.with_hint(format!("{near}the parameters are {}", known.join(", "))))
}

fn wrong_argument(message: String, position: usize) -> SyntaxError {
    SyntaxError { kind: SyntaxErrorKind::Argument, ..SyntaxError::syntax(message, position) }
}

/// What stands in parentheses.
#[derive(Default)]
struct Given {
    location: Option<Location>,
    connection: Vec<Parameter>,
    format: Option<String>,
    pattern: Option<Pattern>,
    files: Vec<String>,
    files_max: Option<usize>,
    records_max: Option<usize>,
}

/// `=>`
fn arrow(c: &mut Cursor, name: &str) -> Result<()> {
    let has_other = c.is_symbol(&Token::Eq);
    c.expect_symbol(&Token::RArrow).map_err(|error| match has_other {
        true => error.with_hint(format!("behind files in a FROM list write {name} => value")),
        false => error,
    })
}

/// A number of what something is learnt from; `without` says what is looked at when it is left out.
fn some(c: &mut Cursor, name: &str, without: &str) -> Result<usize> {
    let position = c.position();
    match c.count()? {
        0 => {
            let refused = wrong_argument(format!("{name} takes 1 or more, not 0"), position);
            Err(refused.with_hint(format!("leave it out {without}")))
        }
        count => Ok(count),
    }
}

/// A string: options have no place here.
fn format_name(c: &mut Cursor) -> Result<String> {
    let has_options = c.is_open();
    c.literal().map_err(|error| match has_options {
        true => error.with_hint("CREATE FILE FORMAT gives options a name, which can stand here"),
        false => error,
    })
}

impl Given {
    /// `(NAME => value [,] ...)`, perhaps empty.
    fn read(&mut self, c: &mut Cursor, names: &'static [&'static str]) -> Result<()> {
        let mut seen = Seen::default();
        c.parenthesised(|c| {
            while !c.is_symbol(&Token::RParen) {
                let position = c.position();
                let name = c.one_of(names).ok_or_else(|| c.expected_one_of(names))?;
                seen.once(name, position)?;
                arrow(c, name)?;
                self.read_value(c, name)?;
                c.symbol(&Token::Comma);
            }
            Ok(())
        })
    }

    fn read_value(&mut self, c: &mut Cursor, name: &str) -> Result<()> {
        let position = c.position();
        match name {
            "LOCATION" => self.location = Some(location::location(c)?),
            "CONNECTION" => self.connection = location::parameters(c)?,
            "CONNECTION_NAME" => {
                let (name, values) = ("connection_name".to_string(), vec![c.literal()?]);
                self.connection = vec![Parameter { name, values, position }];
            }
            "FILE_FORMAT" => self.format = Some(format_name(c)?),
            "PATTERN" => self.pattern = Some(location::pattern(c)?),
            "FILES" => self.files = c.parenthesised(|c| c.comma_list(Cursor::literal))?,
            "MAX_FILE_COUNT" => self.files_max = Some(some(c, name, "for all files")?),
            "MAX_RECORDS_PER_FILE" => self.records_max = Some(some(c, name, "for the first of each file")?),
            // CASE_SENSITIVE has no effect: names are matched as everywhere.
            _ => drop(c.one_of(&["TRUE", "FALSE"]).ok_or_else(|| c.error())?),
        }
        Ok(())
    }

    /// The files of a location. A stage has a connection of its own.
    fn source(self, location: Location, wanted: Wanted) -> FileSource {
        let location = match location {
            Location::Uri { uri, connection } if connection.is_empty() => {
                Location::Uri { uri, connection: self.connection }
            }
            location => location,
        };
        let Given { format, pattern, files, .. } = self;
        FileSource { location, format, pattern, files, wanted, positions: Vec::new() }
    }
}

impl FileSource {
    /// The rows of a location's files, with these columns by position.
    pub fn of(location: Location, positions: Vec<usize>) -> FileSource {
        FileSource { location, format: None, pattern: None, files: Vec::new(), wanted: Wanted::Rows, positions }
    }

    /// The options that were given, but those of the connection, which stand behind the URI.
    fn options(&self) -> Vec<String> {
        let count = |name, count: Option<usize>| count.map(|count| format!("{name} => {count}"));
        let (files_max, records_max) = match self.wanted {
            Wanted::Columns { files_max, records_max } => (files_max, records_max),
            Wanted::Rows | Wanted::Names => (None, None),
        };
        let files: Vec<String> = self.files.iter().map(|file| quote_literal(file)).collect();
        let options = [
            self.format.as_ref().map(|format| format!("FILE_FORMAT => {}", quote_literal(format))),
            self.pattern.as_ref().map(|pattern| format!("PATTERN => {pattern}")),
            (!files.is_empty()).then(|| format!("FILES => ({})", list(&files))),
            count("MAX_FILE_COUNT", files_max),
            count("MAX_RECORDS_PER_FILE", records_max),
        ];
        options.into_iter().flatten().collect()
    }
}

impl fmt::Display for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut options = self.options();
        let name = match self.wanted {
            Wanted::Rows if options.is_empty() => return self.location.fmt(f),
            Wanted::Rows => return write!(f, "{} ({})", self.location, list(&options)),
            Wanted::Columns { .. } => "INFER_SCHEMA",
            Wanted::Names => "LIST_STAGE",
        };
        options.insert(0, format!("LOCATION => {}", self.location));
        write!(f, "{name}({})", list(&options))
    }
}
