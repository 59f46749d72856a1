//! Text to statements: tokens, grammar, AST and printing of every dialect. No I/O; never panics on input.
//!
//! [`parse`] splits a text at its semicolons and reads each statement. The leading words decide: what the table
//! in [`stmt`] knows is read by our grammar, everything else by sqlparser's PostgreSQL dialect and classified in
//! [`stmt::query`]. Printing a statement gives text that parses to the same statement.

pub mod error;
pub mod stmt;

pub use error::SyntaxError;
pub use stmt::Statement;
