//! What sqlparser does not know, rewritten among the lexemes before it reads them: `UPSERT`, `AS OF SYSTEM TIME`,
//! `[SHOW ...]` and files as tables, and `TABLE t`.

use std::collections::HashSet;

use sqlparser::tokenizer::Token;

use super::file_source::{self, FileSource, file_source};
use super::position;
use crate::cursor::{Cursor, Result};
use crate::stmt::{self, Statement, stage};
use crate::token::Lexeme;

/// Words that begin a statement in brackets; others leave the bracket to arrays.
const BRACKETED: &[&str] = &[
    "SHOW",
    "EXPORT",
    "CHECK",
    "PAUSE",
    "RESUME",
    "CANCEL",
    "IMPORT",
    "BACKUP",
    "RESTORE",
    "DESC STAGE",
    "DESCRIBE STAGE",
];

/// Lexemes that sqlparser can read, and what was taken out of them.
#[derive(Default)]
pub(super) struct Rewritten {
    pub lexemes: Vec<Lexeme>,
    pub as_of: Option<String>,
    pub shows: Vec<(String, Statement)>,
    pub files: Vec<(String, FileSource)>,
    /// What the names in `shows` and `files` begin with, once there is one.
    prefix: Option<String>,
    pub placeholder_count: usize,
    places: Places,
}

/// Words after which a FROM list has ended.
const AFTER_FROM: &[&str] = &[
    "WHERE",
    "GROUP",
    "HAVING",
    "WINDOW",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "FETCH",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "RETURNING",
];

/// Where among brackets and FROM lists the rewriting is.
#[derive(Default)]
struct Places {
    outer: Vec<Place>,
    here: Place,
}

/// One pair of brackets, or the outermost statement.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Other FROMs are parts of calls, such as `extract(day FROM x)`.
    is_query: bool,
    in_from: bool,
}

impl Places {
    fn depth(&self) -> usize {
        self.outer.len()
    }

    /// Goes past a lexeme; `last` is the one before.
    fn pass(&mut self, lexeme: &Lexeme, last: Option<&Lexeme>) {
        match &lexeme.token {
            Token::LParen | Token::LBracket => self.outer.push(std::mem::take(&mut self.here)),
            Token::RParen | Token::RBracket => self.here = self.outer.pop().unwrap_or_default(),
            _ if lexeme.is_word("SELECT") => self.here = Place { is_query: true, in_from: false },
            _ if lexeme.is_word("FROM") => {
                let compares = last.is_some_and(|last| last.is_word("DISTINCT"));
                self.here.in_from = self.here.is_query && !compares;
            }
            _ if AFTER_FROM.iter().any(|word| lexeme.is_word(word)) => self.here.in_from = false,
            _ => {}
        }
    }

    /// Whether a relation comes next.
    fn has_relation_next(&self, last: Option<&Lexeme>) -> bool {
        self.here.in_from && last.is_some_and(begins_relation)
    }
}

/// Whether a relation may follow.
fn begins_relation(lexeme: &Lexeme) -> bool {
    lexeme.token == Token::Comma || ["FROM", "JOIN"].iter().any(|word| lexeme.is_word(word))
}

/// Rewrites everything from the cursor to its end.
pub(super) fn rewrite(c: &Cursor) -> Result<Rewritten> {
    let mut out = Rewritten::default();
    let end = c.at() + c.rest().len();
    let mut ahead = c.slice(0..end);
    ahead.advance(c.at());
    while let Some(lexeme) = ahead.peek() {
        if ahead.is_next("AS OF SYSTEM TIME") {
            out.cut_as_of(&mut ahead)?;
        } else if lexeme.token == Token::LBracket && out.is_source(&ahead) {
            out.replace_source(&mut ahead)?;
        } else if out.places.has_relation_next(out.lexemes.last()) && file_source::is_next(&ahead) {
            out.replace_files(&mut ahead)?;
        } else {
            out.places.pass(lexeme, out.lexemes.last());
            out.copy(lexeme, &ahead);
            ahead.advance(1);
        }
    }
    if !out.files.is_empty() {
        out.name_positions();
    }
    Ok(out)
}

impl Rewritten {
    /// Copies a lexeme, with `UPSERT` as `INSERT` and `TABLE t` as `SELECT * FROM t`.
    fn copy(&mut self, lexeme: &Lexeme, c: &Cursor) {
        self.placeholder_count = self.placeholder_count.max(lexeme.placeholder().unwrap_or(0));
        if self.lexemes.is_empty() && lexeme.is_word("UPSERT") {
            self.push_word("INSERT", lexeme);
        } else if lexeme.is_word("TABLE") && self.begins_query(c) {
            self.push_word("SELECT", lexeme);
            self.lexemes.push(Lexeme { token: Token::Mul, ..lexeme.clone() });
            self.push_word("FROM", lexeme);
        } else {
            self.lexemes.push(lexeme.clone());
        }
    }

    /// A word of ours in the place of a lexeme.
    fn push_word(&mut self, word: &str, place: &Lexeme) {
        self.lexemes.push(Lexeme { token: Token::make_keyword(word), ..place.clone() });
    }

    /// Whether `TABLE` here is a query: a name follows, and no `INTO` comes before.
    fn begins_query(&self, c: &Cursor) -> bool {
        let named = c.rest().get(1).is_some_and(|next| matches!(next.token, Token::Word(_)));
        named && !self.lexemes.last().is_some_and(|last| last.is_word("INTO"))
    }

    /// Reads `AS OF SYSTEM TIME expr` into `as_of`.
    fn cut_as_of(&mut self, c: &mut Cursor) -> Result<()> {
        if self.places.depth() > 0 {
            return Err(c.unsupported("AS OF SYSTEM TIME must be provided on a top-level statement"));
        }
        if self.as_of.is_some() {
            return Err(c.unsupported("AS OF SYSTEM TIME can be given once only"));
        }
        c.advance(4);
        self.as_of = Some(time(c)?);
        Ok(())
    }

    /// Whether the bracket here is a table: after FROM, JOIN or a comma, with a statement inside.
    fn is_source(&self, c: &Cursor) -> bool {
        let inside = c.rest().get(1..).unwrap_or_default();
        let begins = |phrase: &&str| {
            let mut lexemes = inside.iter();
            phrase.split(' ').all(|word| lexemes.next().is_some_and(|next| next.is_word(word)))
        };
        let after_from = self.lexemes.last().is_some_and(begins_relation);
        after_from && (BRACKETED.iter().any(begins) || stage::is_list(inside))
    }

    /// Replaces `[statement]` by a table name.
    fn replace_source(&mut self, c: &mut Cursor) -> Result<()> {
        let (open, close) = (c.at(), c.closing(c.at()));
        let mut inside = c.slice(open + 1..close);
        let statement = stmt::statement(&mut inside)?;
        let name = self.push_relation(&c.rest()[0], c.source());
        self.shows.push((name, statement));
        c.advance(close - open);
        c.expect_symbol(&Token::RBracket)
    }

    /// Replaces files by a table name.
    fn replace_files(&mut self, c: &mut Cursor) -> Result<()> {
        let place = c.rest()[0].clone();
        let source = file_source(c)?;
        let name = self.push_relation(&place, c.source());
        self.files.push((name, source));
        Ok(())
    }

    /// Puts `show_1`, `show_2`, ... in the place of a lexeme: the next that is nowhere in the text, not even as the
    /// beginning of a name.
    fn push_relation(&mut self, place: &Lexeme, text: &str) -> String {
        let prefix = self.prefix.get_or_insert_with(|| unused_prefix(text));
        let name = format!("{prefix}{}", self.shows.len() + self.files.len() + 1);
        self.lexemes.push(Lexeme { token: Token::make_word(&name, None), ..place.clone() });
        name
    }

    /// Where files are read `$n` is a column of theirs, never a parameter.
    fn name_positions(&mut self) {
        self.lexemes = position::named(&self.lexemes);
        self.placeholder_count = 0;
    }
}

/// The first of `show_`, `show1_`, `show2_`, ... that is nowhere in the text.
fn unused_prefix(text: &str) -> String {
    let text = text.to_lowercase();
    let used: HashSet<&str> =
        text.split("show").skip(1).filter_map(|after| after.split_once('_')).map(|(number, _)| number).collect();
    let mut number = String::new();
    for next in 1.. {
        if !used.contains(number.as_str()) {
            break;
        }
        number = next.to_string();
    }
    format!("show{number}_")
}

/// A point in time: a string, a number, `$n` or a call such as `follower_read_timestamp()`, with an optional sign
/// before and casts after. Gives its text.
pub(in crate::stmt) fn time(c: &mut Cursor) -> Result<String> {
    let start = c.at();
    let _ = c.symbol(&Token::Minus) || c.symbol(&Token::Plus);
    c.keywords("INTERVAL");
    match c.peek().map(|next| &next.token) {
        Some(Token::Number(..) | Token::Placeholder(_)) => c.advance(1),
        Some(Token::Word(_)) => call(c)?,
        _ => drop(c.literal().map_err(|_| c.expected("a time"))?),
    }
    while c.symbol(&Token::DoubleColon) {
        c.any_word()?;
    }
    Ok(c.source_since(start).to_string())
}

/// `name(...)`
fn call(c: &mut Cursor) -> Result<()> {
    c.name()?;
    if !c.is_open() {
        return Err(c.expected("("));
    }
    let close = c.closing(c.at());
    c.advance(close - c.at());
    c.expect_symbol(&Token::RParen)
}
