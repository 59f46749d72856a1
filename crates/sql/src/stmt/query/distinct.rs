//! `IS [NOT] DISTINCT FROM`, whose right side sqlparser takes to reach past AND and OR.

use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value, VisitMut, VisitorMut};

/// Ends such comparisons before AND and OR. They get parentheses then, so that what is printed is read likewise.
pub(super) fn end(part: &mut impl VisitMut) {
    let _ = part.visit(&mut Ends);
}

struct Ends;

impl VisitorMut for Ends {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Some((strength, last)) = last_operand(expression)
            && reaches_too_far(last, strength)
        {
            let mut whole = std::mem::replace(last, nothing());
            give_first(&mut whole, strength, expression);
            *expression = whole;
        }
        ControlFlow::Continue(())
    }
}

/// How strongly operators bind.
const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const DISTINCT: u8 = 4;

fn last_operand(expression: &mut Expr) -> Option<(u8, &mut Expr)> {
    match expression {
        Expr::BinaryOp { op: BinaryOperator::Or, right, .. } => Some((OR, right)),
        Expr::BinaryOp { op: BinaryOperator::And, right, .. } => Some((AND, right)),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => Some((NOT, expr)),
        Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) => Some((DISTINCT, right)),
        _ => None,
    }
}

/// Whether an operand without parentheses joins what an operator of that strength does not.
fn reaches_too_far(operand: &Expr, strength: u8) -> bool {
    match operand {
        Expr::BinaryOp { op: BinaryOperator::Or, .. } => strength > OR,
        Expr::BinaryOp { op: BinaryOperator::And, .. } => strength > AND,
        _ => false,
    }
}

/// Makes the first operand of `whole` the last one of `operator`, and that its first one.
fn give_first(whole: &mut Expr, strength: u8, operator: &mut Expr) {
    if reaches_too_far(whole, strength)
        && let Expr::BinaryOp { left, .. } = whole
    {
        return give_first(left, strength, operator);
    }
    if let Some((_, last)) = last_operand(operator) {
        *last = std::mem::replace(whole, nothing());
    }
    let ended = std::mem::replace(operator, nothing());
    *whole = if strength == DISTINCT { Expr::Nested(Box::new(ended)) } else { ended };
}

fn nothing() -> Expr {
    Expr::value(Value::Null)
}
