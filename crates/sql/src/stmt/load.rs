//! `COPY INTO table`: rows from files, each file once.

use std::fmt;

use lakeport_base::QualifiedName;
use lakeport_base::name::quote_literal;
use sqlparser::tokenizer::Token;

use super::Statement;
use super::copy_option::{self, count, file_format, flag, value};
use super::query::selected::{Selected, selected};
use super::stage::location::{Location, Parameter, Pattern, location, named_list_text, pattern};
use super::unload::unload;
use crate::cursor::{Cursor, Result};
use crate::error::SyntaxError;
use crate::print;

/// `COPY INTO table [(columns)] FROM {location | (SELECT list FROM location [alias])} [options]`
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    pub table: QualifiedName,
    /// None: all of the table's.
    pub columns: Vec<String>,
    pub from: Source,
    /// For what follows the location in the files' names.
    pub pattern: Option<Pattern>,
    /// Names of files below the location; none: all of them.
    pub files: Vec<String>,
    pub file_format: Option<Vec<Parameter>>,
    pub options: LoadOptions,
}

/// What becomes rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Files as they are.
    Files(Location),
    /// What is computed from each of their rows.
    Selected(Box<Selected>),
}

impl Source {
    /// Where the files are.
    pub fn location(&self) -> &Location {
        match self {
            Source::Files(location) => location,
            Source::Selected(selected) => &selected.source.location,
        }
    }
}

/// The documented options with their defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadOptions {
    pub on_error: OnError,
    /// No further file is begun once those before have so many bytes; 0 is no limit.
    pub size_limit: u64,
    /// Files to load at most; 0 is no limit.
    pub max_files: u64,
    /// Files that were loaded are deleted.
    pub purge: bool,
    /// Files are loaded again.
    pub force: bool,
    /// The result has the files with errors only.
    pub return_failed_only: bool,
    /// What is no JSON is NULL.
    pub disable_variant_check: bool,
    /// How columns of Parquet files are found.
    pub column_match_mode: Option<ColumnMatch>,
    /// Has no effect: files are cut where that makes sense.
    pub split_size: u64,
    /// Columns that the files have and the table lacks are added to it.
    pub schema_evolution: Option<Sample>,
}

/// How much of files tells which columns they have; none is AUTO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub files: Option<u64>,
    pub records_per_file: Option<u64>,
    pub total_records: Option<u64>,
}

/// What becomes of rows that cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// So many in all make the statement fail; fewer are left out.
    Abort(u64),
    /// They are left out.
    Continue,
    /// A file with so many is left out.
    SkipFile(u64),
}

impl Default for OnError {
    fn default() -> OnError {
        OnError::Abort(1)
    }
}

/// How the name of a column is compared with that of a file's column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnMatch {
    CaseInsensitive,
    CaseSensitive,
    Position,
}

const COLUMN_MATCHES: [(&str, ColumnMatch); 3] = [
    ("CASE_INSENSITIVE", ColumnMatch::CaseInsensitive),
    ("CASE_SENSITIVE", ColumnMatch::CaseSensitive),
    ("POSITION", ColumnMatch::Position),
];

/// After `COPY INTO`.
pub(super) fn copy_into(c: &mut Cursor) -> Result<Statement> {
    if c.is_symbol(&Token::AtSign) || c.is_literal() {
        return unload(c);
    }
    let (table, columns) = (c.name()?, c.column_list()?);
    c.expect("FROM")?;
    let from = match c.is_open() {
        true => Source::Selected(Box::new(c.parenthesised(selected)?)),
        false => Source::Files(location(c)?),
    };
    let (pattern, files, file_format, options) = (None, Vec::new(), None, LoadOptions::default());
    let mut statement = Load { table, columns, from, pattern, files, file_format, options };
    copy_option::read(OPTIONS, &mut statement, c)?;
    Ok(Statement::Load(statement))
}

const OPTIONS: &[copy_option::Row<Load>] = &[
    ("FILE_FORMAT", |load, c| file_format(&mut load.file_format, c)),
    ("FILES", |load, c| value(&mut load.files, c, |c| c.parenthesised(|c| c.comma_list(Cursor::literal)))),
    ("PATTERN", |load, c| value(&mut load.pattern, c, |c| pattern(c).map(Some))),
    ("ON_ERROR", |load, c| value(&mut load.options.on_error, c, on_error)),
    ("SIZE_LIMIT", |load, c| count(&mut load.options.size_limit, c)),
    ("MAX_FILES", |load, c| count(&mut load.options.max_files, c)),
    ("PURGE", |load, c| flag(&mut load.options.purge, c)),
    ("FORCE", |load, c| flag(&mut load.options.force, c)),
    ("RETURN_FAILED_ONLY", |load, c| flag(&mut load.options.return_failed_only, c)),
    ("DISABLE_VARIANT_CHECK", |load, c| flag(&mut load.options.disable_variant_check, c)),
    ("COLUMN_MATCH_MODE", |load, c| value(&mut load.options.column_match_mode, c, |c| column_match(c).map(Some))),
    ("SPLIT_SIZE", |load, c| count(&mut load.options.split_size, c)),
    ("SCHEMA_EVOLUTION", |load, c| value(&mut load.options.schema_evolution, c, |c| sample(c).map(Some))),
    ("VALIDATION_MODE", |_, c| {
        let unsupported = c.unsupported("COPY INTO .. VALIDATION_MODE is not supported");
        Err(unsupported
            .with_hint("SELECT ... FROM the files reads them without loading; ON_ERROR = CONTINUE tells errors"))
    }),
];

const SAMPLES: &[copy_option::Row<Sample>] = &[
    ("SAMPLE_FILES", |sample, c| value(&mut sample.files, c, sampled)),
    ("SAMPLE_RECORDS_PER_FILE", |sample, c| value(&mut sample.records_per_file, c, sampled)),
    ("SAMPLE_TOTAL_RECORDS", |sample, c| value(&mut sample.total_records, c, sampled)),
];

/// `(SAMPLE_FILES = {AUTO | n} [,] ...)`, perhaps empty.
fn sample(c: &mut Cursor) -> Result<Sample> {
    if !c.is_open() {
        let hint =
            "SCHEMA_EVOLUTION = () adds columns; in the brackets may stand how much is looked at, SAMPLE_FILES = n";
        return Err(c.expected("(").with_hint(hint));
    }
    let mut sample = Sample::default();
    c.parenthesised(|c| copy_option::read(SAMPLES, &mut sample, c))?;
    Ok(sample)
}

/// `AUTO`, or a number: of no rows nothing is learnt, and what they have beside the table would be lost.
fn sampled(c: &mut Cursor) -> Result<Option<u64>> {
    if c.keywords("AUTO") {
        return Ok(None);
    }
    let error = c.expected("1 or more, or AUTO");
    match c.count()? {
        0 => Err(error),
        count => Ok(Some(count as u64)),
    }
}

/// A word, in quotes or without, in upper case.
fn word(c: &mut Cursor) -> Result<String> {
    if c.is_literal() { Ok(c.literal()?.to_uppercase()) } else { c.any_word() }
}

fn on_error(c: &mut Cursor) -> Result<OnError> {
    let position = c.position();
    let word = word(c)?;
    let count = |prefix: &str| word.strip_prefix(prefix)?.parse().ok().filter(|count| *count > 0);
    Ok(match word.as_str() {
        "ABORT" => OnError::Abort(1),
        "CONTINUE" => OnError::Continue,
        "SKIP_FILE" => OnError::SkipFile(1),
        _ => {
            let counted = count("ABORT_").map(OnError::Abort).or_else(|| count("SKIP_FILE_").map(OnError::SkipFile));
            counted.ok_or_else(|| {
                let words = "CONTINUE | SKIP_FILE | SKIP_FILE_<num> | ABORT | ABORT_<num>";
                SyntaxError::syntax(format!("OnError must one of {{{{ {words} }}}}"), position)
            })?
        }
    })
}

fn column_match(c: &mut Cursor) -> Result<ColumnMatch> {
    let error = c.expected("CASE_INSENSITIVE, CASE_SENSITIVE or POSITION");
    // The manual has a dash in them.
    let word = word(c)?.replace('-', "_");
    COLUMN_MATCHES.iter().find(|(name, _)| *name == word).map(|(_, mode)| *mode).ok_or(error)
}

impl fmt::Display for OnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OnError::Abort(1) => f.write_str("ABORT"),
            OnError::Abort(count) => write!(f, "ABORT_{count}"),
            OnError::Continue => f.write_str("CONTINUE"),
            OnError::SkipFile(1) => f.write_str("SKIP_FILE"),
            OnError::SkipFile(count) => write!(f, "SKIP_FILE_{count}"),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Files(location) => location.fmt(f),
            Source::Selected(selected) => write!(f, "({selected})"),
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Load { table, columns, from, pattern, files, file_format, options } = self;
        write!(f, "COPY INTO {table}{} FROM {from}", print::columns(columns))?;
        if !files.is_empty() {
            let files: Vec<String> = files.iter().map(|file| quote_literal(file)).collect();
            write!(f, " FILES = ({})", print::list(&files))?;
        }
        f.write_str(&print::optional(" PATTERN = ", pattern.as_ref()))?;
        write!(f, "{}{options}", named_list_text("FILE_FORMAT", file_format.as_deref()))
    }
}

/// Those that are not as they are by default.
impl fmt::Display for LoadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.on_error != OnError::default() {
            write!(f, " ON_ERROR = {}", self.on_error)?;
        }
        for (name, count) in
            [("SIZE_LIMIT", self.size_limit), ("MAX_FILES", self.max_files), ("SPLIT_SIZE", self.split_size)]
        {
            if count > 0 {
                write!(f, " {name} = {count}")?;
            }
        }
        f.write_str(print::when(self.purge, " PURGE = TRUE"))?;
        f.write_str(print::when(self.force, " FORCE = TRUE"))?;
        f.write_str(print::when(self.return_failed_only, " RETURN_FAILED_ONLY = TRUE"))?;
        f.write_str(print::when(self.disable_variant_check, " DISABLE_VARIANT_CHECK = TRUE"))?;
        let written = COLUMN_MATCHES.iter().find(|(_, mode)| Some(*mode) == self.column_match_mode);
        f.write_str(&print::optional(" COLUMN_MATCH_MODE = ", written.map(|(name, _)| name)))?;
        f.write_str(&print::optional(" SCHEMA_EVOLUTION = ", self.schema_evolution.as_ref()))
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [self.files, self.records_per_file, self.total_records];
        let written = SAMPLES.iter().zip(counts).filter_map(|((name, _), count)| Some(format!("{name} = {}", count?)));
        write!(f, "({})", written.collect::<Vec<_>>().join(", "))
    }
}
