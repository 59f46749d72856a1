//! Text to lexemes: sqlparser's tokens with their places, cut into statements at semicolons.

use lakeport_base::limits::STATEMENT_BYTES_MAX;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use crate::error::{SyntaxError, SyntaxErrorKind};

/// Highest `$n`; the wire protocol counts parameters in 16 bits.
const PLACEHOLDER_MAX: usize = 65_535;

/// Longest part of a word or a number that an error repeats.
const SHOWN_CHARS_MAX: usize = 80;

/// A token that is neither space nor comment. Literals and quoted names keep their doubled quotes, because
/// sqlparser prints an unescaped `a''b` wrongly.
#[derive(Clone, Debug)]
pub(crate) struct Lexeme {
    pub token: Token,
    /// Byte offsets into the text.
    pub start: usize,
    pub end: usize,
    /// Character offset into the text, from 1.
    pub position: usize,
}

impl Lexeme {
    /// Whether this is the unquoted word, in any case.
    pub fn is_word(&self, word: &str) -> bool {
        matches!(&self.token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
    }

    /// The `n` of `$n`.
    pub fn placeholder(&self) -> Option<usize> {
        let Token::Placeholder(text) = &self.token else { return None };
        text.strip_prefix('$')?.parse().ok().filter(|n| (1..=PLACEHOLDER_MAX).contains(n))
    }

    /// The `name` of `$name`, in lower case.
    pub fn variable(&self) -> Option<String> {
        let Token::Placeholder(text) = &self.token else { return None };
        let name = text.strip_prefix('$')?;
        name.starts_with(|c: char| c.is_alphabetic() || c == '_').then(|| name.to_lowercase())
    }

    /// The token for sqlparser's parser; its "column" is our position, so that errors lead back.
    pub fn for_parser(&self) -> TokenWithSpan {
        let place = Location::new(1, self.position as u64);
        TokenWithSpan::at(self.token.clone(), place, place)
    }

    /// The token as an error shows it. Literals stay hidden: they may hold secrets.
    pub fn shown(&self, text: &str) -> String {
        match &self.token {
            Token::Word(word) if word.value.contains("://") => "\"...\"".into(),
            Token::Word(word) => shortened(&word.value),
            token if is_literal(token) => "'...'".into(),
            _ => shortened(&text[self.start..self.end]),
        }
    }
}

/// The text, or its beginning with dots when it is long.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_string(),
    }
}

fn is_literal(token: &Token) -> bool {
    matches!(
        token,
        Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
    )
}

/// All lexemes of a text, semicolons included.
///
/// # Errors
/// A text that is too long, holds NUL, ends inside a literal or has an impossible placeholder.
pub(crate) fn lexemes(text: &str) -> Result<Vec<Lexeme>, SyntaxError> {
    if text.len() > STATEMENT_BYTES_MAX {
        let message = format!("statement text is longer than {STATEMENT_BYTES_MAX} bytes");
        return Err(SyntaxError { kind: SyntaxErrorKind::TooComplex, ..SyntaxError::syntax(message, 1) });
    }
    if let Some(nul) = text.find('\0') {
        let position = text[..nul].chars().count() + 1;
        return Err(SyntaxError::syntax("statement text must not hold NUL characters", position));
    }
    let dialect = PostgreSqlDialect {};
    let mut places = Places::new(text);
    let tokens = Tokenizer::new(&dialect, text).with_unescape(false).tokenize_with_location().map_err(|error| {
        let (_, position) = Places::new(text).find(error.location);
        SyntaxError::syntax(format!("lexical error: {}", lower_first(&error.message)), position)
    })?;
    let mut lexemes = Vec::new();
    for TokenWithSpan { token, span } in tokens {
        if matches!(token, Token::Whitespace(_) | Token::EOF) {
            continue;
        }
        let (start, position) = places.find(span.start);
        let (end, _) = places.find(span.end);
        let lexeme = checked(Lexeme { token, start, end, position }, &lexemes, text)?;
        lexemes.push(lexeme);
    }
    Ok(lexemes)
}

/// The lexeme, unless it is a placeholder other than `$1` to `$65535`, a variable where none may stand, or a literal with
/// an escaped NUL.
fn checked(lexeme: Lexeme, before: &[Lexeme], text: &str) -> Result<Lexeme, SyntaxError> {
    if let Token::EscapedStringLiteral(value) | Token::UnicodeStringLiteral(value) = &lexeme.token
        && value.contains('\0')
    {
        return Err(SyntaxError::syntax("string literal must not hold NUL characters", lexeme.position));
    }
    if let Token::Placeholder(_) = &lexeme.token
        && lexeme.placeholder().is_none()
    {
        if let Some(name) = lexeme.variable() {
            if is_pattern(before) {
                return Ok(lexeme);
            }
            return Err(misplaced_variable(&name, lexeme.position));
        }
        let message = format!("at or near {:?}: syntax error: expected $1 to ${PLACEHOLDER_MAX}", lexeme.shown(text));
        return Err(SyntaxError::syntax(message, lexeme.position));
    }
    Ok(lexeme)
}

/// What is said of a variable where none can stand.
pub(crate) fn misplaced_variable(name: &str, position: usize) -> SyntaxError {
    let message = format!("the variable ${name} can stand behind PATTERN only");
    SyntaxError::unsupported(message, position).with_hint("write the value itself")
}

/// Whether `PATTERN =` or `PATTERN =>` stands before.
fn is_pattern(before: &[Lexeme]) -> bool {
    matches!(before, [.., word, sign] if word.is_word("PATTERN") && matches!(sign.token, Token::Eq | Token::RArrow))
}

fn lower_first(message: &str) -> String {
    let mut chars = message.trim_end_matches('.').chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Turns the tokenizer's lines and columns, which only grow, into offsets by walking the text once.
struct Places<'a> {
    rest: std::str::CharIndices<'a>,
    line: u64,
    column: u64,
    position: usize,
}

impl<'a> Places<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.char_indices(), line: 1, column: 1, position: 1 }
    }

    /// Byte offset from 0 and character position from 1.
    fn find(&mut self, place: Location) -> (usize, usize) {
        while (self.line, self.column) < (place.line, place.column) {
            match self.rest.next() {
                None => break,
                Some((_, '\n')) => (self.line, self.column) = (self.line + 1, 1),
                Some(_) => self.column += 1,
            }
            self.position += 1;
        }
        (self.rest.offset(), self.position)
    }
}
