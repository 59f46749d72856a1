//! INSERT, UPDATE and DELETE from sqlparser's trees.

use lakeport_base::QualifiedName;
use sqlparser::ast;

use super::rewrite::Rewritten;
use super::{Assignment, Delete, Insert, OnConflict, Query, Update, ident, qualified, refuse};
use crate::cursor::Result;
use crate::error::SyntaxError;
use crate::print;
use crate::stmt::Statement;

/// An INSERT, or an UPSERT that was rewritten to one.
pub(super) fn insert(insert: ast::Insert, is_upsert: bool, rewritten: Rewritten, start: usize) -> Result<Statement> {
    let unsupported = |what: &str| SyntaxError::unsupported(format!("{what} is not supported"), start);
    let ast::TableObject::TableName(table) = &insert.table else {
        return Err(unsupported("INSERT into anything but a table"));
    };
    if !is_plain(&insert) {
        return Err(unsupported("this form of INSERT"));
    }
    let on_conflict = match &insert.on {
        Some(_) if is_upsert => return Err(unsupported("UPSERT with ON CONFLICT")),
        None if is_upsert => OnConflict::Replace,
        None => OnConflict::Fail,
        Some(ast::OnInsert::OnConflict(conflict)) => on_conflict(conflict, start)?,
        Some(_) => return Err(unsupported("ON DUPLICATE KEY UPDATE")),
    };
    if refuse::has_subquery(&insert.on) || refuse::has_subquery(&insert.returning) {
        return Err(unsupported("a subquery in ON CONFLICT or RETURNING"));
    }
    let table = qualified(table);
    let columns = insert.columns.iter().map(|column| qualified(column).name().to_string()).collect();
    let returning = insert.returning.as_deref().map(print::list);
    let source = insert.source.map(|source| Query::new(&source, rewritten, start)).transpose()?;
    Ok(Statement::Insert(Insert { table, columns, source, on_conflict, returning }))
}

/// Whether the INSERT has nothing but what [`Insert`] holds.
fn is_plain(insert: &ast::Insert) -> bool {
    let foreign = insert.overwrite
        || insert.ignore
        || insert.replace_into
        || insert.or.is_some()
        || insert.table_alias.is_some()
        || insert.partitioned.is_some()
        || insert.output.is_some()
        || insert.insert_alias.is_some()
        || insert.multi_table_insert_type.is_some();
    insert.into && !foreign && insert.assignments.is_empty() && insert.after_columns.is_empty()
}

fn on_conflict(conflict: &ast::OnConflict, start: usize) -> Result<OnConflict> {
    let columns = match &conflict.conflict_target {
        None => Vec::new(),
        Some(ast::ConflictTarget::Columns(columns)) => columns.iter().map(ident).collect(),
        Some(_) => return Err(SyntaxError::unsupported("ON CONFLICT ON CONSTRAINT is not supported", start)),
    };
    Ok(match &conflict.action {
        ast::OnConflictAction::DoNothing => OnConflict::Nothing { columns },
        ast::OnConflictAction::DoUpdate(update) => OnConflict::Update {
            columns,
            assignments: assignments(&update.assignments, start)?,
            filter: update.selection.as_ref().map(ast::Expr::to_string),
        },
    })
}

/// An UPDATE.
pub(super) fn update(update: ast::Update, rewritten: &Rewritten, start: usize) -> Result<Statement> {
    let unsupported = |what: &str| SyntaxError::unsupported(format!("{what} is not supported"), start);
    if rewritten.as_of.is_some() {
        return Err(unsupported("AS OF SYSTEM TIME in UPDATE"));
    }
    if !update.order_by.is_empty() || update.limit.is_some() {
        return Err(unsupported("ORDER BY or LIMIT in UPDATE"));
    }
    let (table, alias) = target(&update.table, "UPDATE", start)?;
    let from = match &update.from {
        None => None,
        Some(ast::UpdateTableFromKind::AfterSet(from)) => Some(from),
        Some(_) => return Err(unsupported("FROM before SET")),
    };
    refuse::unfit(&update.from, start)?;
    refuse::unfit(&update.assignments, start)?;
    refuse::unfit(&update.selection, start)?;
    refuse::unfit(&update.returning, start)?;
    refuse_sources(rewritten, start)?;
    Ok(Statement::Update(Update {
        table,
        alias,
        assignments: assignments(&update.assignments, start)?,
        from: from.map(|from| print::list(from)),
        filter: update.selection.as_ref().map(ast::Expr::to_string),
        returning: update.returning.as_deref().map(print::list),
        placeholder_count: rewritten.placeholder_count,
    }))
}

/// A DELETE.
pub(super) fn delete(delete: ast::Delete, rewritten: &Rewritten, start: usize) -> Result<Statement> {
    let unsupported = |what: &str| SyntaxError::unsupported(format!("{what} is not supported"), start);
    if rewritten.as_of.is_some() {
        return Err(unsupported("AS OF SYSTEM TIME in DELETE"));
    }
    if !delete.order_by.is_empty() || delete.limit.is_some() || !delete.tables.is_empty() {
        return Err(unsupported("this form of DELETE"));
    }
    let (ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from)) = &delete.from;
    let [table] = from.as_slice() else { return Err(unsupported("DELETE from several tables")) };
    let (table, alias) = target(table, "DELETE", start)?;
    refuse::unfit(&delete.using, start)?;
    refuse::unfit(&delete.selection, start)?;
    refuse::unfit(&delete.returning, start)?;
    refuse_sources(rewritten, start)?;
    Ok(Statement::Delete(Delete {
        table,
        alias,
        using: delete.using.as_deref().map(print::list),
        filter: delete.selection.as_ref().map(ast::Expr::to_string),
        returning: delete.returning.as_deref().map(print::list),
        placeholder_count: rewritten.placeholder_count,
    }))
}

/// The one table a statement writes, and its alias.
fn target(table: &ast::TableWithJoins, verb: &str, start: usize) -> Result<(QualifiedName, Option<String>)> {
    match (&table.relation, table.joins.as_slice()) {
        (ast::TableFactor::Table { name, alias, args: None, .. }, []) => {
            Ok((qualified(name), alias.as_ref().map(|alias| ident(&alias.name))))
        }
        _ => Err(SyntaxError::unsupported(format!("{verb} of anything but one table is not supported"), start)),
    }
}

/// `a = 1`, and `(a, b) = (1, 2)` as two.
pub(super) fn assignments(written: &[ast::Assignment], start: usize) -> Result<Vec<Assignment>> {
    let mut assignments = Vec::new();
    for ast::Assignment { target, value } in written {
        match (target, value) {
            (ast::AssignmentTarget::ColumnName(column), value) => assignments.push(assignment(column, value)),
            (ast::AssignmentTarget::Tuple(columns), ast::Expr::Tuple(values)) if columns.len() == values.len() => {
                assignments.extend(columns.iter().zip(values).map(|(column, value)| assignment(column, value)));
            }
            _ => return Err(SyntaxError::unsupported("assigning a query to several columns is not supported", start)),
        }
    }
    Ok(assignments)
}

fn assignment(column: &ast::ObjectName, value: &ast::Expr) -> Assignment {
    Assignment { column: qualified(column).name().to_string(), value: value.to_string() }
}

/// `[SHOW ...]` and files have a place in queries only.
pub(super) fn refuse_sources(rewritten: &Rewritten, start: usize) -> Result<()> {
    if !rewritten.shows.is_empty() {
        return Err(SyntaxError::unsupported("[SHOW ...] outside a query is not supported", start));
    }
    if !rewritten.files.is_empty() {
        return Err(SyntaxError::unsupported("files in place are read by queries and INSERT only", start)
            .with_hint("put the rows into a table first: CREATE TABLE t AS SELECT * FROM ..."));
    }
    Ok(())
}
