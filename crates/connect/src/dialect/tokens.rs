//! The words of an option list as it is stored.

use crate::error::{Error, Result};

/// Words, quoted texts and symbols of an option list.
pub(super) struct Tokens {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Symbol(char),
}

impl Tokens {
    pub fn new(text: &str) -> Result<Tokens> {
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                c if c.is_whitespace() => {}
                '\'' => tokens.push(Token::Text(quoted(&mut chars)?)),
                '=' | ',' | '(' | ')' => tokens.push(Token::Symbol(c)),
                c => {
                    let mut word = String::from(c);
                    while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
                        word.push(c);
                    }
                    tokens.push(Token::Word(word));
                }
            }
        }
        Ok(Tokens { tokens: tokens.into_iter().peekable() })
    }

    pub fn is_empty(&mut self) -> bool {
        self.tokens.peek().is_none()
    }

    /// One or more words, joined by single spaces.
    pub fn words(&mut self) -> Result<String> {
        let mut words = Vec::new();
        while let Some(Token::Word(word)) = self.tokens.next_if(|token| matches!(token, Token::Word(_))) {
            words.push(word);
        }
        if words.is_empty() { Err(Error::invalid("an option name is expected")) } else { Ok(words.join(" ")) }
    }

    pub fn value(&mut self) -> Result<String> {
        match self.tokens.next() {
            Some(Token::Text(text) | Token::Word(text)) => Ok(text),
            _ => Err(Error::invalid("an option value is expected")),
        }
    }

    pub fn symbol(&mut self, symbol: char) -> Result<()> {
        if self.skip(symbol) { Ok(()) } else { Err(Error::invalid(format!("{symbol:?} is expected"))) }
    }

    pub fn skip(&mut self, symbol: char) -> bool {
        self.tokens.next_if_eq(&Token::Symbol(symbol)).is_some()
    }
}

/// The rest of a quoted text; two quotes stand for one.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String> {
    let mut text = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\'' if chars.next_if_eq(&'\'').is_none() => return Ok(text),
            c => text.push(c),
        }
    }
    Err(Error::invalid("unterminated quoted value"))
}
