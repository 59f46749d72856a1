//! The simple protocol: a text with any number of statements. Several are one transaction, unless they say otherwise.

use std::sync::Arc;

use lakeport_core::Outcome;
use lakeport_sql::Parsed;

use crate::connection::Connection;
use crate::fault::Flow;
use crate::portal::RowCursor;
use crate::types::TEXT;

impl Connection {
    /// Runs the statements of a text one after another; the first error ends them.
    pub(crate) async fn query(&mut self, text: &str) -> Flow {
        self.prepared.remove("");
        self.portals.remove("");
        let statements = self.session.parse(text).await?;
        if statements.is_empty() {
            self.link.out.empty_query();
        }
        let several = statements.len() > 1;
        for parsed in statements {
            let position = parsed.position;
            if several {
                self.session.begin_implicit(&parsed).await?;
            }
            self.run_statement(parsed).await.map_err(|fault| fault.moved(position))?;
        }
        Ok(())
    }

    async fn run_statement(&mut self, parsed: Parsed) -> Flow {
        let session = Arc::clone(&self.session);
        let block = session.transaction();
        match self.drive(session.execute(&parsed, &[])).await?? {
            Outcome::Empty => self.link.out.empty_query(),
            Outcome::Done { tag } => self.link.out.command_complete(&tag),
            Outcome::Rows { tag, rows } => {
                let formats = vec![TEXT; rows.schema.fields().len()];
                let mut cursor = RowCursor::new(tag, rows, formats, &session);
                cursor.describe(&mut self.link.out)?;
                self.send_rows(&mut cursor, 0).await?;
            }
            Outcome::CopyIn(copy) => self.copy_in(copy).await?,
            Outcome::CopyOut { rows, options } => self.copy_out(rows, &options).await?,
        }
        self.forget_portals_of(block);
        Ok(())
    }
}
