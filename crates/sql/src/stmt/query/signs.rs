//! Signs in a row, kept apart: sqlparser prints `- -1` as `--1`, which begins a comment, and `@ -1` as `@-1`, which is
//! another operator.

use std::ops::ControlFlow;

use sqlparser::ast::{CastKind, Expr, UnaryOperator, Value, VisitMut, VisitorMut};

/// Puts what follows a sign and begins with one into parentheses.
pub(super) fn set_apart(part: &mut impl VisitMut) {
    let _ = part.visit(&mut Signs);
}

struct Signs;

impl VisitorMut for Signs {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        if let Expr::UnaryOp { op, expr: operand } = expression
            && *op != UnaryOperator::Not
            && begins_with_sign(operand)
        {
            let bare = std::mem::replace(operand.as_mut(), Expr::value(Value::Null));
            **operand = Expr::Nested(Box::new(bare));
        }
        ControlFlow::Continue(())
    }
}

fn begins_with_sign(expression: &Expr) -> bool {
    match expression {
        Expr::UnaryOp { .. } => true,
        Expr::BinaryOp { left: first, .. }
        | Expr::Cast { kind: CastKind::DoubleColon, expr: first, .. }
        | Expr::AtTimeZone { timestamp: first, .. }
        | Expr::Collate { expr: first, .. } => begins_with_sign(first),
        _ => false,
    }
}
