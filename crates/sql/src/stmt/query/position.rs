//! `$1`, `$2`, ... of a query that reads files: the columns of the files, and `$1:a.b` or `name:a.b`, what lies inside of one.

use std::ops::ControlFlow;

use sqlparser::ast::{self, Visit, Visitor};
use sqlparser::tokenizer::Token;

use super::file_source::FileSource;
use super::ident;
use crate::token::Lexeme;

/// The lexemes with names in the place of positions, and with `->` in that of paths.
pub(super) fn named(lexemes: &[Lexeme]) -> Vec<Lexeme> {
    let mut out = Vec::with_capacity(lexemes.len());
    let mut rest = lexemes;
    // In brackets a colon stands between the bounds of a slice.
    let mut brackets = 0_usize;
    while let [lexeme, after @ ..] = rest {
        rest = after;
        brackets = match lexeme.token {
            Token::LBracket => brackets + 1,
            Token::RBracket => brackets.saturating_sub(1),
            _ => brackets,
        };
        let column = match (position(lexeme), &lexeme.token) {
            (Some(position), _) => Token::make_word(&format!("${position}"), Some('"')),
            (None, word @ Token::Word(_)) if brackets == 0 => word.clone(),
            _ => {
                out.push(lexeme.clone());
                continue;
            }
        };
        let begin = if is_qualified(&out) { out.len() - 2 } else { out.len() };
        out.push(Lexeme { token: column, ..lexeme.clone() });
        rest = inside(rest, begin, &mut out);
    }
    out
}

/// The `n` of `$n`, or of `"$n"` as a name.
fn position(lexeme: &Lexeme) -> Option<usize> {
    match &lexeme.token {
        Token::Word(word) if word.quote_style == Some('"') => position_of_name(&word.value),
        _ => lexeme.placeholder(),
    }
}

fn position_of_name(name: &str) -> Option<usize> {
    let digits = name.strip_prefix('$')?;
    digits.parse().ok().filter(|position: &usize| *position > 0 && position.to_string() == digits)
}

/// Tells each of the files, by the name that stands for them, which of their columns the query names by position.
pub(super) fn assign(query: &ast::Query, files: &mut [(String, FileSource)]) {
    if !files.is_empty() {
        let _ = query.visit(&mut Assigner { files, scopes: Vec::new() });
    }
}

/// Relations of one query or one SELECT: names with aliases.
type Scope = Vec<(String, String)>;

struct Assigner<'a> {
    files: &'a mut [(String, FileSource)],
    /// Innermost last.
    scopes: Vec<Scope>,
}

impl Assigner<'_> {
    /// A column of the files of an alias, or of all in the innermost scope that has some.
    fn add(&mut self, alias: Option<&str>, position: usize) {
        let is_meant = |(_, own): &&(String, String)| alias.is_none_or(|alias| alias == own);
        let meant: Vec<&String> = self
            .scopes
            .iter()
            .rev()
            .map(|scope| scope.iter().filter(is_meant).map(|(name, _)| name).collect())
            .find(|names: &Vec<&String>| self.files.iter().any(|(name, _)| names.contains(&name)))
            .unwrap_or_default();
        for (_, source) in self.files.iter_mut().filter(|(name, _)| meant.contains(&name)) {
            if let Err(at) = source.positions.binary_search(&position) {
                source.positions.insert(at, position);
            }
        }
    }
}

impl Visitor for Assigner<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        self.scopes.push(of_body(&query.body));
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &ast::Select) -> ControlFlow<()> {
        self.scopes.push(select.from.iter().flat_map(of_joins).collect());
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &ast::Select) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        let (alias, name) = match expr {
            ast::Expr::Identifier(name) => (None, name),
            ast::Expr::CompoundIdentifier(names) => match names.as_slice() {
                [.., alias, name] => (Some(ident(alias)), name),
                _ => return ControlFlow::Continue(()),
            },
            _ => return ControlFlow::Continue(()),
        };
        if let Some(position) = position_of_name(&name.value).filter(|_| name.quote_style.is_some()) {
            self.add(alias.as_deref(), position);
        }
        ControlFlow::Continue(())
    }
}

fn of_body(body: &ast::SetExpr) -> Scope {
    match body {
        ast::SetExpr::Select(select) => select.from.iter().flat_map(of_joins).collect(),
        ast::SetExpr::SetOperation { left, right, .. } => [of_body(left), of_body(right)].concat(),
        _ => Scope::new(),
    }
}

fn of_joins(from: &ast::TableWithJoins) -> Scope {
    let factors = std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation));
    factors.flat_map(of_factor).collect()
}

fn of_factor(factor: &ast::TableFactor) -> Scope {
    match factor {
        ast::TableFactor::Table { name, alias, .. } => {
            let name = name.to_string();
            let alias = alias.as_ref().map_or_else(|| name.clone(), |alias| ident(&alias.name));
            vec![(name, alias)]
        }
        ast::TableFactor::NestedJoin { table_with_joins, .. } => of_joins(table_with_joins),
        _ => Scope::new(),
    }
}

/// Whether a name and a period come last.
fn is_qualified(lexemes: &[Lexeme]) -> bool {
    matches!(lexemes, [.., name, period] if matches!(name.token, Token::Word(_)) && period.token == Token::Period)
}

/// Reads `:a.b[0]` behind a column, which begins at `begin`, and answers what follows.
fn inside<'a>(mut rest: &'a [Lexeme], begin: usize, out: &mut Vec<Lexeme>) -> &'a [Lexeme] {
    let mut is_first = true;
    while let Some((step, length)) = step(rest, is_first) {
        let place = &rest[0];
        if is_first {
            out.insert(begin, Lexeme { token: Token::LParen, ..place.clone() });
        }
        is_first = false;
        out.extend([Token::Arrow, step].map(|token| Lexeme { token, ..place.clone() }));
        rest = &rest[length..];
    }
    if let Some(last) = out.last().filter(|_| !is_first).cloned() {
        out.push(Lexeme { token: Token::RParen, ..last });
    }
    rest
}

/// `:name`, then `.name` and `[0]` or `['name']`, and the lexemes it takes.
fn step(rest: &[Lexeme], is_first: bool) -> Option<(Token, usize)> {
    let sign = if is_first { Token::Colon } else { Token::Period };
    match rest {
        [next, name, ..] if next.token == sign => match &name.token {
            Token::Word(word) => Some((Token::SingleQuotedString(word.value.replace('\'', "''")), 2)),
            text @ Token::SingleQuotedString(_) => Some((text.clone(), 2)),
            _ => None,
        },
        [open, item, close, ..] if !is_first && open.token == Token::LBracket && close.token == Token::RBracket => {
            let is_item = matches!(item.token, Token::Number(..) | Token::SingleQuotedString(_));
            is_item.then(|| (item.token.clone(), 3))
        }
        _ => None,
    }
}
