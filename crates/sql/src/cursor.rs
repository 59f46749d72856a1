//! A place among a statement's lexemes and the few readers every grammar is made of.
//!
//! A reader that returns `bool` or `Option` consumes on success only and notes what it looked for, so that
//! [`Cursor::error`] can say what was expected.

use std::ops::Range;

use lakeport_base::name::{fault_of, is_reserved};
use lakeport_base::{Dialect, QualifiedName};
use sqlparser::tokenizer::{Token, Word};

use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::stmt::{KvOption, Text, Texts};
use crate::token::Lexeme;

pub(crate) type Result<T> = std::result::Result<T, SyntaxError>;

/// Alternatives listed in an error; more would not be read.
const EXPECTED_MAX: usize = 6;

pub(crate) struct Cursor<'a> {
    text: &'a str,
    lexemes: &'a [Lexeme],
    at: usize,
    /// Position of the first character of the outermost statement.
    origin: usize,
    /// Position reported for an error at the end.
    end: usize,
    /// What was looked for at `at` and not found.
    expected: Vec<&'static str>,
    /// In whose words errors are.
    pub dialect: Dialect,
}

impl<'a> Cursor<'a> {
    /// A cursor over the lexemes of one statement of the text.
    pub fn new(text: &'a str, lexemes: &'a [Lexeme]) -> Self {
        let origin = lexemes.first().map_or(1, |first| first.position);
        let end = lexemes.last().map_or(1, |last| last.position + text[last.start..last.end].chars().count());
        Self { text, lexemes, at: 0, origin, end, expected: Vec::new(), dialect: Dialect::Cockroach }
    }

    /// A cursor over some of the lexemes, with the same origin.
    pub fn slice(&self, range: Range<usize>) -> Cursor<'a> {
        Cursor { origin: self.origin, dialect: self.dialect, ..Cursor::new(self.text, &self.lexemes[range]) }
    }

    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Index of the next lexeme.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Goes back to a lexeme.
    pub fn rewind(&mut self, at: usize) {
        self.at = at;
        self.expected.clear();
    }

    pub fn advance(&mut self, count: usize) {
        self.at += count;
        self.expected.clear();
    }

    pub fn peek(&self) -> Option<&'a Lexeme> {
        self.lexemes.get(self.at)
    }

    /// The lexemes not yet read.
    pub fn rest(&self) -> &'a [Lexeme] {
        &self.lexemes[self.at..]
    }

    pub fn is_at_end(&self) -> bool {
        self.at == self.lexemes.len()
    }

    /// Position of the next lexeme in the whole text.
    pub fn position(&self) -> usize {
        self.peek().map_or(self.end, |next| next.position)
    }

    /// Position of the next lexeme in the statement's own text.
    pub fn offset(&self) -> usize {
        self.position() + 1 - self.origin
    }

    /// The source of all lexemes.
    pub fn source(&self) -> &'a str {
        match (self.lexemes.first(), self.lexemes.last()) {
            (Some(first), Some(last)) => &self.text[first.start..last.end],
            _ => "",
        }
    }

    /// Position just after the last lexeme.
    pub fn end(&self) -> usize {
        self.end
    }

    /// The source from a lexeme up to the next one, without the space around it.
    pub fn source_since(&self, from: usize) -> &'a str {
        match (self.lexemes.get(from), self.at.checked_sub(1).and_then(|last| self.lexemes.get(last))) {
            (Some(first), Some(last)) if first.start <= last.end => &self.text[first.start..last.end],
            _ => "",
        }
    }

    /// Index of the lexeme that closes the bracket at `open`, or of the end.
    pub fn closing(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for (i, lexeme) in self.lexemes.iter().enumerate().skip(open) {
            match lexeme.token {
                Token::LParen | Token::LBracket => depth += 1,
                Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return i;
            }
        }
        self.lexemes.len()
    }
}

/// Words and signs.
impl Cursor<'_> {
    /// Whether the phrase comes next, without reading it.
    pub fn is_next(&self, phrase: &str) -> bool {
        let mut rest = self.rest().iter();
        phrase.split(' ').all(|word| rest.next().is_some_and(|lexeme| lexeme.is_word(word)))
    }

    /// Reads the phrase, one or more words, if it comes next.
    pub fn keywords(&mut self, phrase: &'static str) -> bool {
        let found = self.is_next(phrase);
        if found {
            self.advance(phrase.split(' ').count());
        } else if !self.expected.contains(&phrase) {
            self.expected.push(phrase);
        }
        found
    }

    /// Reads the phrase or fails.
    pub fn expect(&mut self, phrase: &'static str) -> Result<()> {
        if self.keywords(phrase) { Ok(()) } else { Err(self.error()) }
    }

    /// Reads the first of the phrases that comes next.
    pub fn one_of(&mut self, phrases: &[&'static str]) -> Option<&'static str> {
        phrases.iter().copied().find(|phrase| self.keywords(phrase))
    }

    pub fn is_symbol(&self, symbol: &Token) -> bool {
        self.peek().is_some_and(|next| next.token == *symbol)
    }

    /// Whether a parenthesis opens next.
    pub fn is_open(&self) -> bool {
        self.is_symbol(&Token::LParen)
    }

    /// Reads the sign if it comes next.
    pub fn symbol(&mut self, symbol: &Token) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.advance(1);
        } else {
            self.expected.push(spelling(symbol));
        }
        found
    }

    pub fn expect_symbol(&mut self, symbol: &Token) -> Result<()> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.error()) }
    }

    /// Reads any unquoted word, reserved or not, in upper case.
    pub fn any_word(&mut self) -> Result<String> {
        match self.peek().map(|next| &next.token) {
            Some(Token::Word(word)) if word.quote_style.is_none() => {
                let word = word.value.to_ascii_uppercase();
                self.advance(1);
                Ok(word)
            }
            _ => Err(self.expected("a word")),
        }
    }

    /// Fails unless everything was read.
    pub fn expect_end(&mut self) -> Result<()> {
        if self.is_at_end() { Ok(()) } else { Err(self.error()) }
    }
}

/// Names, strings and lists.
impl Cursor<'_> {
    /// An identifier: unquoted ones fold to lower case.
    pub fn ident(&mut self) -> Result<String> {
        let position = self.position();
        let Some(Token::Word(word)) = self.peek().map(|next| &next.token) else {
            return Err(self.expected("a name"));
        };
        let name = folded(word);
        if word.quote_style.is_none() && is_reserved(&name) {
            return Err(self.expected("a name"));
        }
        check_name(&name, position)?;
        self.advance(1);
        Ok(name)
    }

    /// A name of up to three parts.
    pub fn name(&mut self) -> Result<QualifiedName> {
        let mut parts = vec![self.ident()?];
        while parts.len() < 3 && self.symbol(&Token::Period) {
            parts.push(self.ident()?);
        }
        Ok(QualifiedName { parts })
    }

    /// A string literal, a bare word or `$n`: `string_or_placeholder`.
    pub fn text_value(&mut self) -> Result<Text> {
        let Some(next) = self.peek() else { return Err(self.expected("a string")) };
        let value = match (&next.token, next.placeholder()) {
            (_, Some(n)) => Text::Placeholder(n),
            (Token::Word(word), _) if word.quote_style.is_none() && is_reserved(&folded(word)) => {
                return Err(self.expected("a string"));
            }
            (Token::Word(word), _) => Text::Literal(folded(word)),
            (token, _) => Text::Literal(literal(token).ok_or_else(|| self.expected("a string"))?),
        };
        self.advance(1);
        Ok(value)
    }

    /// A [`text_value`](Self::text_value) that is no bare word.
    pub fn quoted_text(&mut self) -> Result<Text> {
        match self.peek() {
            Some(next) if matches!(next.token, Token::Word(_)) => {
                Err(self.expected("a string").with_hint("put it in single quotes"))
            }
            _ => self.text_value(),
        }
    }

    /// A [`text_value`](Self::text_value), or several in parentheses.
    pub fn texts(&mut self) -> Result<Texts> {
        if self.is_open() {
            return self.parenthesised(|c| c.comma_list(Self::text_value)).map(Texts);
        }
        Ok(Texts(vec![self.text_value()?]))
    }

    /// Whether a string literal comes next.
    pub fn is_literal(&self) -> bool {
        self.peek().is_some_and(|next| literal(&next.token).is_some())
    }

    /// A string literal only.
    pub fn literal(&mut self) -> Result<String> {
        match self.peek().and_then(|next| literal(&next.token)) {
            Some(text) => {
                self.advance(1);
                Ok(text)
            }
            None => Err(self.expected("a string")),
        }
    }

    /// A [`text_value`](Self::text_value) that names an object.
    pub fn text_name(&mut self) -> Result<Text> {
        let position = self.position();
        let name = self.text_value()?;
        if let Text::Literal(name) = &name {
            check_name(name, position)?;
        }
        Ok(name)
    }

    /// A setting's or an option's value: a string, `$n`, a number or any word.
    pub fn scalar(&mut self) -> Result<Text> {
        let negative = self.is_symbol(&Token::Minus);
        let offset = usize::from(negative);
        if let Some(Token::Number(digits, _)) = self.rest().get(offset).map(|next| &next.token) {
            let value = format!("{}{digits}", if negative { "-" } else { "" });
            self.advance(1 + offset);
            return Ok(Text::Literal(value));
        }
        match self.peek().map(|next| &next.token) {
            Some(Token::Word(word)) => {
                let value = folded(word);
                self.advance(1);
                Ok(Text::Literal(value))
            }
            _ => self.text_value().map_err(|_| self.expected("a value")),
        }
    }

    /// A whole number, not negative.
    pub fn count(&mut self) -> Result<usize> {
        let digits = match self.peek().map(|next| &next.token) {
            Some(Token::Number(digits, _)) => digits.parse().ok(),
            _ => None,
        };
        let count = digits.ok_or_else(|| self.expected("a whole number"))?;
        self.advance(1);
        Ok(count)
    }

    /// One or more items with commas between.
    pub fn comma_list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.symbol(&Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `( inside )`
    pub fn parenthesised<T>(&mut self, inside: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.expect_symbol(&Token::LParen)?;
        let value = inside(self)?;
        self.expect_symbol(&Token::RParen)?;
        Ok(value)
    }

    /// `[(name, ...)]`
    pub fn column_list(&mut self) -> Result<Vec<String>> {
        if !self.is_symbol(&Token::LParen) {
            return Ok(Vec::new());
        }
        self.parenthesised(|c| c.comma_list(Cursor::ident))
    }

    /// `[WITH option, ... | WITH OPTIONS (option, ...)]`
    pub fn options(&mut self) -> Result<Vec<KvOption>> {
        self.with_list(Cursor::option)
    }

    /// `[WITH item, ... | WITH OPTIONS (item, ...)]`
    pub fn with_list<T>(&mut self, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        if self.keywords("WITH OPTIONS") {
            return self.parenthesised(|c| c.comma_list(item));
        }
        if self.keywords("WITH") { self.comma_list(item) } else { Ok(Vec::new()) }
    }

    /// `name [= value]`, the name a word or a string.
    fn option(&mut self) -> Result<KvOption> {
        let position = self.offset();
        let name = match self.peek().map(|next| &next.token) {
            Some(Token::Word(word)) => folded(word),
            Some(token) => literal(token).ok_or_else(|| self.expected("an option"))?,
            None => return Err(self.expected("an option")),
        };
        self.advance(1);
        let value = if self.symbol(&Token::Eq) { Some(self.scalar()?) } else { None };
        Ok(KvOption { name, value, position })
    }
}

/// The options of a list that were read; each may be given once.
#[derive(Default)]
pub(crate) struct Seen(Vec<&'static str>);

impl Seen {
    /// # Errors
    /// 42601 for one that was read before.
    pub fn once(&mut self, name: &'static str, position: usize) -> Result<()> {
        if self.0.contains(&name) {
            let message = format!("option {} is given more than once", name.to_ascii_lowercase());
            return Err(SyntaxError::syntax(message, position));
        }
        self.0.push(name);
        Ok(())
    }
}

/// Errors.
impl Cursor<'_> {
    /// The error at the next lexeme, naming what was looked for there.
    pub fn error(&self) -> SyntaxError {
        let mut message = self.fault();
        if !self.expected.is_empty() && self.expected.len() <= EXPECTED_MAX {
            message += &format!(": expected {}", alternatives(&self.expected));
        }
        let words = self.expected.iter().filter_map(|phrase| phrase.split(' ').next());
        SyntaxError::syntax(message, self.position()).with_nearest(&self.found(), words)
    }

    /// How the text of an error at the next lexeme begins.
    fn fault(&self) -> String {
        match self.dialect {
            Dialect::Databend if self.is_at_end() => "unexpected end of input".to_string(),
            _ => format!("at or near \"{}\": syntax error", self.found()),
        }
    }

    /// The next lexeme as errors show it.
    fn found(&self) -> String {
        self.peek().map_or_else(|| "EOF".to_string(), |next| next.shown(self.text))
    }

    /// The error at the next lexeme when one of some words should have come.
    pub fn expected_one_of(&mut self, words: &[&'static str]) -> SyntaxError {
        self.expected = words.to_vec();
        self.error()
    }

    /// As [`Cursor::expected_one_of`], for options: more than an error lists are in the hint.
    pub fn expected_option(&mut self, names: &[&'static str]) -> SyntaxError {
        let error = self.expected_one_of(names);
        if error.hint.is_some() || names.len() <= EXPECTED_MAX {
            return error;
        }
        error.with_hint(format!("the options are {}", names.join(", ").to_ascii_lowercase()))
    }

    /// The error at the next lexeme when only one thing could have come.
    pub fn expected(&self, what: &'static str) -> SyntaxError {
        SyntaxError::syntax(format!("{}: expected {what}", self.fault()), self.position())
    }

    /// Something understood and not supported, at the next lexeme.
    pub fn unsupported(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError::unsupported(message, self.position())
    }
}

/// `A`, `A or B`, `A, B or C`
fn alternatives(items: &[&str]) -> String {
    match items {
        [] => String::new(),
        [one] => (*one).to_string(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}

fn spelling(symbol: &Token) -> &'static str {
    match symbol {
        Token::LParen => "(",
        Token::RParen => ")",
        Token::Comma => ",",
        Token::Eq => "=",
        Token::Period => ".",
        Token::RArrow => "=>",
        _ => "a sign",
    }
}

/// The name a word stands for: lower case unless it is quoted.
pub(crate) fn folded(word: &Word) -> String {
    match word.quote_style {
        Some(quote) => word.value.replace(&format!("{quote}{quote}"), &quote.to_string()),
        None => word.value.to_lowercase(),
    }
}

/// The text of a string literal.
fn literal(token: &Token) -> Option<String> {
    match token {
        Token::SingleQuotedString(text) | Token::NationalStringLiteral(text) => Some(text.replace("''", "'")),
        Token::EscapedStringLiteral(text) | Token::UnicodeStringLiteral(text) => Some(text.clone()),
        Token::DollarQuotedString(text) => Some(text.value.clone()),
        _ => None,
    }
}

/// Checks the name of an object.
///
/// # Errors
/// A name that is empty, too long or holds NUL.
pub(crate) fn check_name(name: &str, position: usize) -> Result<()> {
    let Some(fault) = fault_of(name) else { return Ok(()) };
    Err(SyntaxError { kind: SyntaxErrorKind::Name, ..SyntaxError::syntax(fault, position) })
}
