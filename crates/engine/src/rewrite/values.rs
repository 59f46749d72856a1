//! VALUES lists whose columns have types that Arrow alone does not tell.

use std::ops::ControlFlow;

use sqlparser::ast::{self, CastKind, Expr, Query, SetExpr, VisitMut, VisitorMut};

use crate::types::{column_type, is_plain};

/// Casts every value of a column to the type that one of them is cast to; they cannot be planned otherwise.
pub(crate) fn align(statement: &mut ast::Statement) {
    let _ = VisitMut::visit(statement, &mut Lists);
}

struct Lists;

impl VisitorMut for Lists {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Values(values) = query.body.as_mut() {
            let width = values.rows.first().map_or(0, |row| row.content.len());
            (0..width).for_each(|column| align_column(values, column));
        }
        ControlFlow::Continue(())
    }
}

fn align_column(values: &mut ast::Values, column: usize) {
    let cast = values.rows.iter().find_map(|row| marked_cast(row.content.get(column)?));
    let Some(data_type) = cast.cloned() else { return };
    for expr in values.rows.iter_mut().filter_map(|row| row.content.get_mut(column)) {
        if marked_cast(expr) != Some(&data_type) {
            let (inner, data_type) = (Box::new(expr.clone()), data_type.clone());
            *expr = Expr::Cast { kind: CastKind::Cast, expr: inner, data_type, array: false, format: None };
        }
    }
}

/// The type of a cast to a type such as UUID, which travels as text.
fn marked_cast(expr: &Expr) -> Option<&ast::DataType> {
    let Expr::Cast { data_type, .. } = expr else { return None };
    column_type(data_type).is_some_and(|ty| !is_plain(&ty)).then_some(data_type)
}
