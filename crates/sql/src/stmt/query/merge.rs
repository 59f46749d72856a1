//! MERGE, read with sqlparser's readers of expressions: its own grammar of the statement knows no DO NOTHING.

use std::ops::ControlFlow;

use lakeport_base::limits::MERGE_CLAUSES_MAX;
use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{self, VisitMut, VisitorMut};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{IsOptional, Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::dml::{assignments, refuse_sources};
use super::rewrite::Rewritten;
use super::with::Queries;
use super::{Merge, MergeAction, MergeClause, Pairs, ident, qualified, refuse};
use crate::cursor::Result;
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::print;
use crate::stmt::Statement;

type Parsed<T> = std::result::Result<T, ParserError>;

/// The statement in sqlparser's trees.
pub(super) struct Tree {
    with: Option<ast::With>,
    table: ast::ObjectName,
    alias: Option<ast::Ident>,
    source: ast::TableWithJoins,
    condition: ast::Expr,
    clauses: Vec<Clause>,
    returning: Option<Vec<ast::SelectItem>>,
}

struct Clause {
    pairs: Pairs,
    condition: Option<ast::Expr>,
    action: Action,
}

enum Action {
    Update(Vec<ast::Assignment>),
    Delete,
    Insert(Vec<ast::Ident>, Option<Vec<ast::Expr>>),
    Nothing,
}

/// Reads the statement, WITH included.
pub(super) fn tree(parser: &mut Parser) -> Parsed<Tree> {
    let with = with(parser)?;
    parser.expect_keywords(&[Keyword::MERGE, Keyword::INTO])?;
    let table = parser.parse_object_name(false)?;
    let is_named = parser.parse_keyword(Keyword::AS) || !parser.peek_keyword(Keyword::USING);
    let alias = if is_named { Some(parser.parse_identifier()?) } else { None };
    parser.expect_keyword_is(Keyword::USING)?;
    let source = parser.parse_table_and_joins()?;
    parser.expect_keyword_is(Keyword::ON)?;
    let condition = parser.parse_expr()?;
    let mut clauses = Vec::new();
    while clauses.is_empty() || parser.peek_keyword(Keyword::WHEN) {
        clauses.push(clause(parser)?);
    }
    let returning = if parser.parse_keyword(Keyword::RETURNING) { Some(parser.parse_projection()?) } else { None };
    Ok(Tree { with, table, alias, source, condition, clauses, returning })
}

fn with(parser: &mut Parser) -> Parsed<Option<ast::With>> {
    if !parser.parse_keyword(Keyword::WITH) {
        return Ok(None);
    }
    let recursive = parser.parse_keyword(Keyword::RECURSIVE);
    let cte_tables = parser.parse_comma_separated(Parser::parse_cte)?;
    Ok(Some(ast::With { with_token: AttachedToken::empty(), recursive, cte_tables }))
}

fn clause(parser: &mut Parser) -> Parsed<Clause> {
    parser.expect_keyword_is(Keyword::WHEN)?;
    let negated = parser.parse_keyword(Keyword::NOT);
    parser.expect_keyword_is(Keyword::MATCHED)?;
    let pairs = if !negated {
        Pairs::Matched
    } else if parser.parse_keywords(&[Keyword::BY, Keyword::SOURCE]) {
        Pairs::NotMatchedBySource
    } else {
        let _ = parser.parse_keywords(&[Keyword::BY, Keyword::TARGET]);
        Pairs::NotMatchedByTarget
    };
    let condition = if parser.parse_keyword(Keyword::AND) { Some(parser.parse_expr()?) } else { None };
    parser.expect_keyword_is(Keyword::THEN)?;
    Ok(Clause { pairs, condition, action: action(parser, pairs)? })
}

fn action(parser: &mut Parser, pairs: Pairs) -> Parsed<Action> {
    if parser.parse_keywords(&[Keyword::DO, Keyword::NOTHING]) {
        return Ok(Action::Nothing);
    }
    if pairs == Pairs::NotMatchedByTarget {
        parser.expect_keyword_is(Keyword::INSERT)?;
        return insert(parser);
    }
    if parser.parse_keyword(Keyword::DELETE) {
        return Ok(Action::Delete);
    }
    parser.expect_keywords(&[Keyword::UPDATE, Keyword::SET])?;
    Ok(Action::Update(parser.parse_comma_separated(Parser::parse_assignment)?))
}

fn insert(parser: &mut Parser) -> Parsed<Action> {
    if parser.parse_keywords(&[Keyword::DEFAULT, Keyword::VALUES]) {
        return Ok(Action::Insert(Vec::new(), None));
    }
    let columns = parser.parse_parenthesized_column_list(IsOptional::Optional, false)?;
    parser.expect_keyword_is(Keyword::VALUES)?;
    parser.expect_token(&Token::LParen)?;
    let values = parser.parse_comma_separated(Parser::parse_expr)?;
    parser.expect_token(&Token::RParen)?;
    Ok(Action::Insert(columns, Some(values)))
}

/// The statement of a tree.
pub(super) fn statement(mut tree: Tree, rewritten: &Rewritten, start: usize) -> Result<Statement> {
    if rewritten.as_of.is_some() {
        return Err(SyntaxError::unsupported("AS OF SYSTEM TIME in MERGE is not supported", start));
    }
    refuse_sources(rewritten, start)?;
    refuse_clauses(&tree.clauses, start)?;
    if refuse::has_subquery(&tree.returning) {
        return Err(SyntaxError::unsupported("a subquery in RETURNING of MERGE is not supported", start));
    }
    tree.fill_in(start)?;
    tree.refuse_unfit(start)?;
    let clauses = tree.clauses.into_iter().map(|clause| clause.ours(start));
    Ok(Statement::Merge(Merge {
        table: qualified(&tree.table),
        alias: tree.alias.as_ref().map(ident),
        source: table_factor(&tree.source),
        condition: tree.condition.to_string(),
        clauses: clauses.collect::<Result<_>>()?,
        returning: tree.returning.as_deref().map(print::list),
        placeholder_count: rewritten.placeholder_count,
    }))
}

/// The source as one item of a join.
fn table_factor(source: &ast::TableWithJoins) -> String {
    if source.joins.is_empty() { source.to_string() } else { format!("({source})") }
}

/// # Errors
/// A clause behind one that takes all its pairs, and too many clauses.
fn refuse_clauses(clauses: &[Clause], start: usize) -> Result<()> {
    if clauses.len() > MERGE_CLAUSES_MAX {
        let message = format!("MERGE of more than {MERGE_CLAUSES_MAX} WHEN clauses");
        return Err(SyntaxError { kind: SyntaxErrorKind::TooComplex, ..SyntaxError::syntax(message, start) });
    }
    let takes_all = |earlier: &Clause, pairs: Pairs| earlier.condition.is_none() && earlier.pairs == pairs;
    let hidden =
        |(index, clause): (usize, &Clause)| clauses[..index].iter().any(|earlier| takes_all(earlier, clause.pairs));
    if clauses.iter().enumerate().any(hidden) {
        let message = "unreachable WHEN clause specified after unconditional WHEN clause";
        return Err(SyntaxError::syntax(message, start));
    }
    Ok(())
}

impl Tree {
    /// Puts the queries of WITH where their names are.
    fn fill_in(&mut self, start: usize) -> Result<()> {
        Queries::of(self.with.take(), start)?.put_into(self);
        Ok(())
    }

    fn refuse_unfit(&self, start: usize) -> Result<()> {
        refuse::unfit(&self.source, start)?;
        refuse::unfit(&self.condition, start)?;
        for clause in &self.clauses {
            refuse::unfit(&clause.condition, start)?;
            match &clause.action {
                Action::Update(assignments) => refuse::unfit(assignments, start)?,
                Action::Insert(_, values) => refuse::unfit(values, start)?,
                Action::Delete | Action::Nothing => {}
            }
        }
        Ok(())
    }
}

impl VisitMut for Tree {
    fn visit<V: VisitorMut>(&mut self, visitor: &mut V) -> ControlFlow<V::Break> {
        self.with.visit(visitor)?;
        self.source.visit(visitor)?;
        self.condition.visit(visitor)?;
        for clause in &mut self.clauses {
            clause.condition.visit(visitor)?;
            match &mut clause.action {
                Action::Update(assignments) => assignments.visit(visitor)?,
                Action::Insert(_, values) => values.visit(visitor)?,
                Action::Delete | Action::Nothing => {}
            }
        }
        self.returning.visit(visitor)
    }
}

impl Clause {
    fn ours(self, start: usize) -> Result<MergeClause> {
        let action = match self.action {
            Action::Update(written) => MergeAction::Update(assignments(&written, start)?),
            Action::Delete => MergeAction::Delete,
            Action::Insert(columns, values) => MergeAction::Insert {
                columns: columns.iter().map(ident).collect(),
                values: values.map(|values| values.iter().map(ast::Expr::to_string).collect()),
            },
            Action::Nothing => MergeAction::Nothing,
        };
        let condition = self.condition.as_ref().map(ast::Expr::to_string);
        Ok(MergeClause { pairs: self.pairs, condition, action })
    }
}
