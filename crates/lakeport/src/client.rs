//! A plain PostgreSQL client, as the demo and the file commands use.

use anyhow::{Context, Result};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Config, NoTls};

/// A session with a server.
pub struct Connection {
    pub client: tokio_postgres::Client,
    notices: mpsc::UnboundedReceiver<DbError>,
}

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// No server at the address, or it refuses the user.
    pub async fn open(config: &Config) -> Result<Connection> {
        let (client, mut connection) = config.connect(NoTls).await.map_err(described).context("connect")?;
        let (sender, notices) = mpsc::unbounded_channel();
        let mut messages = futures::stream::poll_fn(move |cx| connection.poll_message(cx));
        tokio::spawn(async move {
            while let Some(Ok(message)) = messages.next().await {
                if let AsyncMessage::Notice(notice) = message {
                    // Nobody listens once the session has ended.
                    let _ = sender.send(notice);
                }
            }
        });
        Ok(Connection { client, notices })
    }

    /// The notices that came since the last call.
    pub fn take_notices(&mut self) -> Vec<DbError> {
        std::iter::from_fn(|| self.notices.try_recv().ok()).collect()
    }
}

/// A client error in the words of the server, with its code and hint, where it has any.
pub fn described(error: tokio_postgres::Error) -> anyhow::Error {
    let Some(db) = error.as_db_error() else { return anyhow::Error::new(error) };
    let mut text = format!("{} ({})", db.message(), db.code().code());
    for (label, more) in [("DETAIL", db.detail()), ("HINT", db.hint())] {
        if let Some(more) = more {
            text += &format!("\n{label}: {more}");
        }
    }
    anyhow::anyhow!(text)
}
