//! `CREATE | ALTER | DROP | DESCRIBE STAGE`, `SHOW STAGES`, `LIST`, `REMOVE`, `COPY @stage/file`: files that
//! a name stands for.

pub mod location;

use std::fmt;

use lakeport_base::name::quote_literal;
use sqlparser::tokenizer::Token;

use self::location::{
    Location, Parameter, Pattern, StageName, StagePath, named_list_text, parameters, stage_name, staged,
};
use super::copy::CopyOptions;
use super::{Statement, userfile};
use crate::cursor::{Cursor, Result};
use crate::print;
use crate::token::Lexeme;

/// `CREATE [OR REPLACE] STAGE [IF NOT EXISTS] name [[URL =] 'uri' [CONNECTION = (...)]] [FILE_FORMAT = (...)]
/// [COMMENT = 'text']`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateStage {
    pub name: StageName,
    pub or_replace: bool,
    pub if_not_exists: bool,
    pub description: Description,
}

/// The clauses that describe a stage, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// Never of a stage.
    pub location: Option<Location>,
    pub file_format: Option<Vec<Parameter>>,
    pub comment: Option<String>,
}

/// `ALTER STAGE [IF EXISTS] name change`
#[derive(Clone, Debug, PartialEq)]
pub struct AlterStage {
    pub name: StageName,
    pub if_exists: bool,
    pub change: StageChange,
}

/// What ALTER STAGE changes.
#[derive(Clone, Debug, PartialEq)]
pub enum StageChange {
    /// `SET clause ...`; perhaps none
    Set(Description),
    /// `UNSET {FILE_FORMAT | COMMENT}, ...`
    Unset { file_format: bool, comment: bool },
    /// `REFRESH CONNECTION`: copies the parameters of its connection again; our extension.
    RefreshConnection,
}

/// `DROP STAGE [IF EXISTS] name`
#[derive(Clone, Debug, PartialEq)]
pub struct DropStage {
    pub name: StageName,
    pub if_exists: bool,
}

/// `{DESC | DESCRIBE} STAGE name`
#[derive(Clone, Debug, PartialEq)]
pub struct DescribeStage {
    pub name: StageName,
}

/// `SHOW STAGES [LIKE 'pattern'] [LIMIT n]`
#[derive(Clone, Debug, PartialEq)]
pub struct ShowStages {
    pub like: Option<String>,
    pub limit: Option<usize>,
}

/// `LIST @stage/path [PATTERN = 'regex']`
#[derive(Clone, Debug, PartialEq)]
pub struct ListFiles {
    pub files: StagedFiles,
}

/// `REMOVE @stage/path [PATTERN = 'regex']`
#[derive(Clone, Debug, PartialEq)]
pub struct RemoveFiles {
    pub files: StagedFiles,
}

/// `COPY @stage/path {FROM STDIN | TO STDOUT} WITH (FORMAT binary [, SIZE bytes])`: one column `content BYTES`, a row a
/// piece; our extension.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyFile {
    pub path: StagePath,
    /// `FROM STDIN`
    pub upload: bool,
    pub options: CopyOptions,
}

/// Files of a stage.
#[derive(Clone, Debug, PartialEq)]
pub struct StagedFiles {
    pub path: StagePath,
    pub pattern: Option<Pattern>,
}

/// After `CREATE STAGE`, or after `CREATE OR REPLACE STAGE`.
pub(super) fn create(or_replace: bool, c: &mut Cursor) -> Result<Statement> {
    if or_replace && c.is_next("IF NOT EXISTS") {
        return Err(c.expected("a name").with_hint("OR REPLACE and IF NOT EXISTS exclude each other"));
    }
    let if_not_exists = c.keywords("IF NOT EXISTS");
    let name = stage_name(c)?;
    let description = description(c)?;
    Ok(Statement::CreateStage(CreateStage { name, or_replace, if_not_exists, description }))
}

/// `[[URL =] 'uri' [CONNECTION = (...)]] [FILE_FORMAT = (...)] [COMMENT = 'text']`, each once, commas optional.
fn description(c: &mut Cursor) -> Result<Description> {
    let mut found = Description::default();
    while !c.is_at_end() {
        let clause = if c.is_literal() { Some("URL") } else { c.one_of(&CLAUSES) };
        match clause {
            Some("URL") if found.location.is_none() => found.location = Some(url(c)?),
            Some("FILE_FORMAT") if found.file_format.is_none() => found.file_format = Some(file_format(c)?),
            Some("COMMENT" | "COMMENTS") if found.comment.is_none() => found.comment = Some(comment(c)?),
            Some(_) => return Err(c.expected("each clause once")),
            None => return Err(c.error()),
        }
        c.symbol(&Token::Comma);
    }
    Ok(found)
}

/// The words that clauses begin with; a string begins one as URL does.
const CLAUSES: [&str; 4] = ["URL", "FILE_FORMAT", "COMMENT", "COMMENTS"];

/// `[=] 'uri' [CONNECTION = (...)]`: a location that is no stage's.
fn url(c: &mut Cursor) -> Result<Location> {
    c.symbol(&Token::Eq);
    let error = c.expected("a URI in quotes");
    match location::location(c)? {
        Location::Stage(_) => Err(error),
        uri => Ok(uri),
    }
}

fn file_format(c: &mut Cursor) -> Result<Vec<Parameter>> {
    c.expect_symbol(&Token::Eq)?;
    parameters(c)
}

fn comment(c: &mut Cursor) -> Result<String> {
    c.expect_symbol(&Token::Eq)?;
    c.literal()
}

/// After `ALTER STAGE`.
pub(super) fn alter(c: &mut Cursor) -> Result<Statement> {
    let if_exists = c.keywords("IF EXISTS");
    let name = stage_name(c)?;
    let change = match c.one_of(&["SET", "UNSET", "REFRESH CONNECTION"]) {
        Some("SET") => StageChange::Set(description(c)?),
        Some("UNSET") => unset(c)?,
        Some(_) => StageChange::RefreshConnection,
        None => return Err(c.error()),
    };
    Ok(Statement::AlterStage(AlterStage { name, if_exists, change }))
}

fn unset(c: &mut Cursor) -> Result<StageChange> {
    let words = c.comma_list(|c| {
        let word = c.one_of(&["FILE_FORMAT", "COMMENT", "COMMENTS"]);
        word.ok_or_else(|| c.error())
    })?;
    let file_format = words.contains(&"FILE_FORMAT");
    Ok(StageChange::Unset { file_format, comment: words.iter().any(|word| *word != "FILE_FORMAT") })
}

/// After `DROP STAGE`.
pub(super) fn drop(c: &mut Cursor) -> Result<Statement> {
    let if_exists = c.keywords("IF EXISTS");
    Ok(Statement::DropStage(DropStage { name: stage_name(c)?, if_exists }))
}

/// After `DESCRIBE STAGE`.
pub(super) fn describe(c: &mut Cursor) -> Result<Statement> {
    Ok(Statement::DescribeStage(DescribeStage { name: stage_name(c)? }))
}

/// After `SHOW STAGES`.
pub(super) fn show(c: &mut Cursor) -> Result<Statement> {
    if c.is_next("WHERE") {
        let error = c.unsupported("SHOW STAGES .. WHERE is not supported");
        return Err(error.with_hint("write SELECT * FROM [SHOW STAGES] WHERE ..."));
    }
    let like = if c.keywords("LIKE") { Some(c.literal()?) } else { None };
    let limit = if c.keywords("LIMIT") { Some(c.count()?) } else { None };
    Ok(Statement::ShowStages(ShowStages { like, limit }))
}

/// Whether `LIST` and a location come first: the word alone is a name like any other.
pub(super) fn is_list(lexemes: &[Lexeme]) -> bool {
    let is_place = |token: &Token| matches!(token, Token::AtSign | Token::SingleQuotedString(_));
    matches!(lexemes, [list, place, ..] if list.is_word("LIST") && is_place(&place.token))
}

/// After `LIST`.
pub(super) fn list(c: &mut Cursor) -> Result<Statement> {
    Ok(Statement::ListFiles(ListFiles { files: staged_files(c)? }))
}

/// After `REMOVE`.
pub(super) fn remove(c: &mut Cursor) -> Result<Statement> {
    Ok(Statement::RemoveFiles(RemoveFiles { files: staged_files(c)? }))
}

/// After `COPY`, at a location.
pub(super) fn copy(c: &mut Cursor) -> Result<Statement> {
    let path = staged(c)?;
    let (upload, options) = userfile::pieces("COPY of a staged file", c)?;
    Ok(Statement::CopyFile(CopyFile { path, upload, options }))
}

fn staged_files(c: &mut Cursor) -> Result<StagedFiles> {
    let path = staged(c)?;
    let pattern = if c.keywords("PATTERN") {
        c.expect_symbol(&Token::Eq)?;
        Some(location::pattern(c)?)
    } else {
        None
    };
    Ok(StagedFiles { path, pattern })
}

impl fmt::Display for CreateStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let replace = print::when(self.or_replace, "OR REPLACE ");
        let condition = print::when(self.if_not_exists, "IF NOT EXISTS ");
        write!(f, "CREATE {replace}STAGE {condition}{}{}", self.name, self.description)
    }
}

/// Each clause with a space in front.
impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comment = self.comment.as_deref().map(quote_literal);
        f.write_str(&print::optional(" URL = ", self.location.as_ref()))?;
        f.write_str(&named_list_text("FILE_FORMAT", self.file_format.as_deref()))?;
        f.write_str(&print::optional(" COMMENT = ", comment.as_ref()))
    }
}

impl fmt::Display for AlterStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ALTER STAGE {}{} ", print::when(self.if_exists, "IF EXISTS "), self.name)?;
        match &self.change {
            StageChange::Set(description) => write!(f, "SET{description}"),
            StageChange::Unset { file_format, comment } => {
                let words = [(*file_format, "FILE_FORMAT"), (*comment, "COMMENT")];
                let words: Vec<_> = words.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect();
                write!(f, "UNSET {}", words.join(", "))
            }
            StageChange::RefreshConnection => f.write_str("REFRESH CONNECTION"),
        }
    }
}

impl fmt::Display for DropStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DROP STAGE {}{}", print::when(self.if_exists, "IF EXISTS "), self.name)
    }
}

impl fmt::Display for DescribeStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DESCRIBE STAGE {}", self.name)
    }
}

impl fmt::Display for ShowStages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let like = self.like.as_deref().map(quote_literal);
        let limit = print::optional(" LIMIT ", self.limit.as_ref());
        write!(f, "SHOW STAGES{}{limit}", print::optional(" LIKE ", like.as_ref()))
    }
}

impl fmt::Display for ListFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LIST {}", self.files)
    }
}

impl fmt::Display for RemoveFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "REMOVE {}", self.files)
    }
}

impl fmt::Display for CopyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.upload { "FROM STDIN" } else { "TO STDOUT" };
        write!(f, "COPY {} {direction} {}", quote_literal(&self.path.to_string()), self.options)
    }
}

impl fmt::Display for StagedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = quote_literal(&self.path.to_string());
        write!(f, "{path}{}", print::optional(" PATTERN = ", self.pattern.as_ref()))
    }
}
