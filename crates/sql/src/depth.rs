//! Refuses a statement whose syntax tree would be too deep to walk by recursion, by looking at its tokens only.

use lakeport_base::limits::{CHAIN_TOKENS_MAX, NESTING_DEPTH_MAX, SET_OPERATIONS_MAX};
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
}

/// Checks one statement.
///
/// # Errors
/// Brackets or CASE nested too deeply, an expression of too many tokens, too many set operations.
pub(crate) fn check(lexemes: &[Lexeme]) -> Result<()> {
    let (mut outer, mut level) = (Vec::new(), Level::default());
    let (mut cases, mut chain_outer) = (0_usize, 0);
    for lexeme in lexemes {
        match &lexeme.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                chain_outer += level.chain;
                outer.push(std::mem::take(&mut level));
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
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
        let fault = if outer.len() + cases > NESTING_DEPTH_MAX {
            format!("statement is nested more than {NESTING_DEPTH_MAX} levels deep")
        } else if chain_outer + level.chain > CHAIN_TOKENS_MAX {
            format!("expression of more than {CHAIN_TOKENS_MAX} tokens")
        } else if level.set_operations > SET_OPERATIONS_MAX {
            format!("more than {SET_OPERATIONS_MAX} set operations in one query")
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
