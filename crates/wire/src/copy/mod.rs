//! COPY: rows in bulk, both ways.

mod decode;
mod encode;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod line;

use std::pin::pin;
use std::sync::Arc;

use lakeport_core::rows::RowStream;
use lakeport_core::{CopyIn, Error};
use lakeport_sql::stmt::copy::{CopyFormat, CopyOptions};

use crate::connection::Connection;
use crate::fault::{Fault, Flow};
use crate::types::{BINARY, TEXT};
use decode::CopyDecoder;
use encode::{CopyData, CopyEncoder};
use futures::StreamExt;

/// What a binary copy starts with, before its flags and the length of its extension.
const BINARY_SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

fn format_code(options: &CopyOptions) -> i16 {
    match options.format {
        CopyFormat::Text | CopyFormat::Csv => TEXT,
        CopyFormat::Binary => BINARY,
    }
}

impl Connection {
    /// Takes the client's rows until it ends the copy. Whatever fails, no row stays.
    pub(crate) async fn copy_in(&mut self, mut copy: CopyIn) -> Flow {
        self.link.out.copy_response(b'G', format_code(&copy.options), copy.columns.fields().len())?;
        match self.receive_rows(&mut copy).await {
            Ok(()) => {
                let tag = self.drive(copy.finish()).await??;
                self.link.out.command_complete(&tag);
                Ok(())
            }
            Err(fault) => {
                self.session.cancel();
                copy.abort(Error::canceled()).await;
                Err(fault)
            }
        }
    }

    async fn receive_rows(&mut self, copy: &mut CopyIn) -> Flow {
        let mut decoder = CopyDecoder::new(copy.columns.clone(), copy.options.clone(), self.session.zone());
        loop {
            let data = tokio::select! {
                biased;
                error = copy.stopped() => return Err(Fault::Statement(error)),
                data = self.copy_data() => data?,
            };
            let ended = data.is_none();
            match data {
                Some(data) => decoder.feed(&data),
                None => decoder.end(),
            }
            while let Some(batch) = decoder.next_batch()? {
                self.drive(copy.push(batch)).await??;
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Sends rows as copy data.
    pub(crate) async fn copy_out(&mut self, rows: RowStream, options: &CopyOptions) -> Flow {
        let encoder = Arc::new(CopyEncoder::new(options.clone(), self.session.zone()));
        self.link.out.copy_response(b'H', format_code(options), rows.schema.fields().len())?;
        encoder.start(&rows.schema, &mut self.link.out);
        let mut sent = 0;
        let mut encoded = pin!(Arc::clone(&encoder).encode_all(rows.batches));
        while let Some(data) = self.drive(encoded.next()).await? {
            let CopyData { messages, rows } = data?;
            self.link.out.buffer.unsplit(messages);
            sent += rows;
            // Once the statement is cancelled, the rows that come next say so.
            self.relieve().await?;
        }
        encoder.end(sent, &mut self.link.out);
        self.link.out.copy_done();
        self.link.out.command_complete(&format!("COPY {sent}"));
        Ok(())
    }
}
