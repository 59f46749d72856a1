//! Refuses a statement whose syntax tree would be too deep to walk by recursion, by looking at its tokens only.

use lakeport_base::limits::{CALL_COST_MAX, CHAIN_TOKENS_MAX, NESTING_DEPTH_MAX, SET_OPERATIONS_MAX};
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

/// Checks one statement.
///
/// # Errors
/// Brackets or CASE nested too deeply, an expression of too many tokens, too many set operations.
pub(crate) fn check(lexemes: &[Lexeme]) -> Result<()> {
    let (mut outer, mut level) = (Vec::new(), Level::default());
    let (mut cases, mut chain_outer, mut calls, mut cost) = (0_usize, 0, 0_usize, 0_u64);
    let mut after_name = false;
    for lexeme in lexemes {
        match &lexeme.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                chain_outer += level.chain;
                let inner = Level { is_call: after_name && lexeme.token == Token::LParen, ..Level::default() };
                calls += usize::from(inner.is_call);
                outer.push(std::mem::replace(&mut level, inner));
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                calls -= usize::from(level.is_call);
                level = outer.pop().unwrap_or_default();
                chain_outer -= level.chain;
            }
            Token::Comma => level.chain = 0,
            Token::Word(_) if lexeme.is_word("CASE") => cases += 1,
            Token::Word(_) if lexeme.is_word("END") => cases = cases.saturating_sub(1),
            Token::Word(_) if is_set_operator(lexeme) => level.set_operations += 1,
            _ => {}
        }
        level.chain += 1;
        cost = cost.saturating_add(call_cost(calls));
        after_name = matches!(lexeme.token, Token::Word(_)) && !NO_CALLS.iter().any(|word| lexeme.is_word(word));
        let fault = if outer.len() + cases > NESTING_DEPTH_MAX {
            format!("statement is nested more than {NESTING_DEPTH_MAX} levels deep")
        } else if chain_outer + level.chain > CHAIN_TOKENS_MAX {
            format!("expression of more than {CHAIN_TOKENS_MAX} tokens")
        } else if level.set_operations > SET_OPERATIONS_MAX {
            format!("more than {SET_OPERATIONS_MAX} set operations in one query")
        } else if cost > CALL_COST_MAX {
            "function calls are nested too deeply".to_string()
        } else {
            continue;
        };
        return Err(SyntaxError { kind: SyntaxErrorKind::TooComplex, ..SyntaxError::syntax(fault, lexeme.position) });
    }
    Ok(())
}

fn is_set_operator(lexeme: &Lexeme) -> bool {
    ["UNION", "INTERSECT", "EXCEPT"].iter().any(|word| lexeme.is_word(word))
}
