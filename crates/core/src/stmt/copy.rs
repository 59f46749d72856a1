//! `COPY ... FROM STDIN | TO STDOUT`.

use std::sync::Arc;

use arrow_schema::Schema;
use lakeport_base::Point;
use lakeport_sql::stmt::copy::{Copy, Direction};

use super::Cx;
use super::table::columns_named;
use crate::error::Result;
use crate::outcome::{CopyIn, Outcome};
use crate::rows::arrow_field;

pub(crate) async fn copy(cx: &Cx<'_>, statement: &Copy) -> Result<Outcome> {
    match &statement.direction {
        Direction::ToStdout { query } => {
            let rows = super::query::rows(cx, query).await?;
            Ok(Outcome::CopyOut { rows, options: statement.options.clone() })
        }
        Direction::FromStdin { table, columns } => {
            let table = cx.table(table)?;
            cx.subject().require_table(&table, "INSERT")?;
            let columns = columns_named(&table, columns)?;
            let fields = columns.iter().map(|column| arrow_field(&column.name, &column.ty, true));
            let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            let handle = cx.handle(&table).await?;
            let engine = cx.server.config.engine.clone();
            let transaction = cx.session.open_block().map(|block| block.id);
            let (env, cancel) = (cx.server.config.env.clone(), cx.cancel.clone());
            let append = move |rows| async move {
                let appended = engine.append(&handle, rows, transaction, &cancel).await?;
                env.fault(Point::CopyAppended)?;
                Ok(appended.rows)
            };
            Ok(Outcome::CopyIn(CopyIn::start(schema, statement.options.clone(), append)))
        }
    }
}
