//! Refuses a statement whose syntax tree would be too deep to walk by recursion, or too wide to plan in a moment, by
//! looking at its tokens only.

use lakeport_base::limits::{
    CALL_COST_MAX, CHAIN_TOKENS_MAX, COLUMNS_MAX, CUBE_COLUMNS_MAX, LIST_VALUES_MAX, NESTING_DEPTH_MAX,
    SET_OPERATIONS_MAX,
};
use sqlparser::tokenizer::Token;

use crate::cursor::Result;
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::token::Lexeme;

/// What stands between an opening bracket (or the start) and here, on one level.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Tokens since the last comma: `a + b + c` leans to the left, one level of tree for each operator.
    chain: usize,
    /// `UNION` and its kin, which commas do not end.
    set_operations: usize,
    /// Whether the bracket holds the arguments of a function.
    is_call: bool,
    /// What the level lists, and the commas since the list began.
    list: List,
    commas: usize,
}

/// Words before a parenthesis that are no function's name.
const NO_CALLS: &[&str] = &[
    "ALL",
    "AND",
    "ANY",
    "AS",
    "BY",
    "ELSE",
    "EXCEPT",
    "EXISTS",
    "FROM",
    "IN",
    "INTERSECT",
    "INTO",
    "JOIN",
    "NOT",
    "ON",
    "OR",
    "OVER",
    "SELECT",
    "SET",
    "THEN",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
];

/// How often sqlparser reads a token inside so many calls, beyond the first two times: it reads each argument once
/// to see whether it is a named one, and again.
fn call_cost(depth: usize) -> u64 {
    if depth < 2 { 0 } else { 1 << depth.min(60) }
}

/// What the commas of a level part.
#[derive(Clone, Copy, Default, PartialEq)]
enum List {
    /// Rows of VALUES, files, names: work in proportion to their number.
    #[default]
    Plain,
    /// The columns of a result or a table, the columns of one row, arguments.
    Columns,
    /// The values after IN or of an array.
    Values,
    Cube,
}

impl List {
    /// The list that a word begins, on its own level.
    fn after_word(lexeme: &Lexeme) -> Option<List> {
        let any = |words: &[&str]| words.iter().any(|word| lexeme.is_word(word));
        if any(&["SELECT", "BY", "RETURNING", "SET"]) {
            Some(List::Columns)
        } else {
            any(&["FROM", "VALUES", "USING", "WINDOW"]).then_some(List::Plain)
        }
    }

    /// The list that a bracket begins.
    fn in_bracket(before: Option<&Lexeme>, bracket: &Token) -> List {
        let is_after = |word| before.is_some_and(|lexeme| lexeme.is_word(word));
        match bracket {
            Token::LParen if is_after("IN") => List::Values,
            Token::LParen if is_after("CUBE") => List::Cube,
            Token::LParen if is_after("DATA") => List::Plain,
            Token::LParen => List::Columns,
            _ => List::Values,
        }
    }

    fn items_max(self) -> usize {
        match self {
            List::Plain => usize::MAX,
            List::Columns => COLUMNS_MAX,
            List::Values => LIST_VALUES_MAX,
            List::Cube => CUBE_COLUMNS_MAX,
        }
    }
}

/// A statement read up to some token.
#[derive(Default)]
struct Scan<'a> {
    /// The levels around the current one.
    outer: Vec<Level>,
    level: Level,
    /// CASE without its END.
    cases: usize,
    /// Tokens of the outer levels' chains.
    chain_outer: usize,
    /// Calls around the current token, and what they cost so far.
    calls: usize,
    cost: u64,
    before: Option<&'a Lexeme>,
}

/// Checks one statement.
///
/// # Errors
/// Brackets or CASE nested too deeply, an expression of too many tokens, too many set operations, a list too long.
pub(crate) fn check(lexemes: &[Lexeme]) -> Result<()> {
    let mut scan = Scan::default();
    for lexeme in lexemes {
        scan.take(lexeme);
        if let Some((kind, fault)) = scan.fault() {
            return Err(SyntaxError { kind, ..SyntaxError::syntax(fault, lexeme.position) });
        }
    }
    Ok(())
}

impl<'a> Scan<'a> {
    fn take(&mut self, lexeme: &'a Lexeme) {
        match &lexeme.token {
            Token::LParen | Token::LBracket | Token::LBrace => self.open(&lexeme.token),
            Token::RParen | Token::RBracket | Token::RBrace => self.close(),
            Token::Comma => {
                self.level.chain = 0;
                self.level.commas += 1;
            }
            Token::Word(_) => self.word(lexeme),
            _ => {}
        }
        self.level.chain += 1;
        self.cost = self.cost.saturating_add(call_cost(self.calls));
        self.before = Some(lexeme);
    }

    fn open(&mut self, bracket: &Token) {
        let after_name = self.before.is_some_and(|before| {
            matches!(before.token, Token::Word(_)) && !NO_CALLS.iter().any(|word| before.is_word(word))
        });
        let inner = Level {
            is_call: after_name && *bracket == Token::LParen,
            list: List::in_bracket(self.before, bracket),
            ..Level::default()
        };
        self.chain_outer += self.level.chain;
        self.calls += usize::from(inner.is_call);
        self.outer.push(std::mem::replace(&mut self.level, inner));
    }

    fn close(&mut self) {
        self.calls -= usize::from(self.level.is_call);
        self.level = self.outer.pop().unwrap_or_default();
        self.chain_outer -= self.level.chain;
    }

    fn word(&mut self, word: &Lexeme) {
        if word.is_word("CASE") {
            self.cases += 1;
        } else if word.is_word("END") {
            self.cases = self.cases.saturating_sub(1);
        } else if is_set_operator(word) {
            self.level.set_operations += 1;
        } else if let Some(list) = List::after_word(word) {
            (self.level.list, self.level.commas) = (list, 0);
        }
    }

    fn fault(&self) -> Option<(SyntaxErrorKind, String)> {
        let list = self.level.list;
        let fault = if self.outer.len() + self.cases > NESTING_DEPTH_MAX {
            format!("statement is nested more than {NESTING_DEPTH_MAX} levels deep")
        } else if self.chain_outer + self.level.chain > CHAIN_TOKENS_MAX {
            format!("expression of more than {CHAIN_TOKENS_MAX} tokens")
        } else if self.level.set_operations > SET_OPERATIONS_MAX {
            format!("more than {SET_OPERATIONS_MAX} set operations in one query")
        } else if self.cost > CALL_COST_MAX {
            "function calls are nested too deeply".to_string()
        } else if self.level.commas < list.items_max() {
            return None;
        } else if list == List::Columns {
            return Some((SyntaxErrorKind::TooManyColumns, format!("list of more than {COLUMNS_MAX} columns")));
        } else {
            format!("list of more than {} values", list.items_max())
        };
        Some((SyntaxErrorKind::TooComplex, fault))
    }
}

fn is_set_operator(lexeme: &Lexeme) -> bool {
    ["UNION", "INTERSECT", "EXCEPT"].iter().any(|word| lexeme.is_word(word))
}
