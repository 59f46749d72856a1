//! What sqlparser does not know, rewritten among the lexemes before it reads them: `UPSERT`, `AS OF SYSTEM TIME`,
//! `[SHOW ...]` as a table and `TABLE t`.

use std::collections::HashSet;

use sqlparser::tokenizer::Token;

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
    /// What the names in `shows` begin with, once there is one.
    prefix: Option<String>,
    pub placeholder_count: usize,
}

/// Rewrites everything from the cursor to its end.
pub(super) fn rewrite(c: &Cursor) -> Result<Rewritten> {
    let mut out = Rewritten::default();
    let end = c.at() + c.rest().len();
    let mut ahead = c.slice(0..end);
    ahead.advance(c.at());
    let mut depth = 0_usize;
    while let Some(lexeme) = ahead.peek() {
        match &lexeme.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            _ => {}
        }
        if ahead.is_next("AS OF SYSTEM TIME") {
            out.cut_as_of(&mut ahead, depth)?;
        } else if lexeme.token == Token::LBracket && out.is_source(&ahead) {
            depth -= 1;
            out.replace_source(&mut ahead)?;
        } else {
            out.copy(lexeme, &ahead);
            ahead.advance(1);
        }
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
    fn cut_as_of(&mut self, c: &mut Cursor, depth: usize) -> Result<()> {
        if depth > 0 {
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
        let after_from = self
            .lexemes
            .last()
            .is_some_and(|last| last.token == Token::Comma || ["FROM", "JOIN"].iter().any(|word| last.is_word(word)));
        let inside = c.rest().get(1..).unwrap_or_default();
        let begins = |phrase: &&str| {
            let mut lexemes = inside.iter();
            phrase.split(' ').all(|word| lexemes.next().is_some_and(|next| next.is_word(word)))
        };
        after_from && (BRACKETED.iter().any(begins) || stage::is_list(inside))
    }

    /// Replaces `[statement]` by a table name.
    fn replace_source(&mut self, c: &mut Cursor) -> Result<()> {
        let (open, close) = (c.at(), c.closing(c.at()));
        let mut inside = c.slice(open + 1..close);
        let statement = stmt::statement(&mut inside)?;
        let place = &c.rest()[0];
        let name = self.unused_name(c.source());
        self.lexemes.push(Lexeme { token: Token::make_word(&name, None), ..place.clone() });
        self.shows.push((name, statement));
        c.advance(close - open);
        c.expect_symbol(&Token::RBracket)
    }

    /// `show_1`, `show_2`, ...: the next that is nowhere in the text, not even as the beginning of a name.
    fn unused_name(&mut self, text: &str) -> String {
        let prefix = self.prefix.get_or_insert_with(|| unused_prefix(text));
        format!("{prefix}{}", self.shows.len() + 1)
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
