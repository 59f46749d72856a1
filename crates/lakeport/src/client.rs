//! A plain PostgreSQL client, as the demo and the file commands use.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use futures::StreamExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Config, NoTls};

use crate::client_tls::RustlsConnect;

/// The flags of commands that ask a server.
#[derive(Args)]
pub struct ServerArgs {
    /// Server, user and database
    #[arg(long, global = true, env = "LAKEPORT_URL", value_name = "URL", hide_env_values = true)]
    #[arg(default_value = "postgresql://root@127.0.0.1:5437/defaultdb")]
    url: String,

    /// Connect by TLS and trust the certificate authorities in this PEM file only
    #[arg(long, global = true, env = "LAKEPORT_CA_CERT", value_name = "FILE")]
    ca_cert: Option<PathBuf>,
}

impl ServerArgs {
    /// Connects and logs in; answers the user's name too.
    ///
    /// # Errors
    /// As [`Connection::open_verified`], and a URL that names no user.
    pub async fn connect(&self) -> Result<(Connection, String)> {
        lakeport_connect::install_tls_provider();
        let expected = "--url: expected postgresql://USER[:PASSWORD]@HOST:PORT/DATABASE";
        let config: Config = self.url.parse().context(expected)?;
        let user = config.get_user().context("--url: names no user")?.to_string();
        let connection = match &self.ca_cert {
            None => Connection::open(&config).await?,
            Some(ca_cert) => Connection::open_verified(&config, ca_cert).await?,
        };
        Ok((connection, user))
    }
}

/// A session with a server.
pub struct Connection {
    pub client: tokio_postgres::Client,
    notices: mpsc::UnboundedReceiver<DbError>,
}

impl Connection {
    /// Connects without TLS and logs in.
    ///
    /// # Errors
    /// No server at the address, or it refuses the user.
    pub async fn open(config: &Config) -> Result<Connection> {
        let (client, connection) = config.connect(NoTls).await.map_err(described).context("connect")?;
        Ok(Connection::drive(client, connection))
    }

    /// Connects by TLS, trusting the authorities in `ca_cert` only, and logs in.
    ///
    /// # Errors
    /// As [`open`](Connection::open), and a certificate that cannot be read or trusted.
    pub async fn open_verified(config: &Config, ca_cert: &Path) -> Result<Connection> {
        let mut config = config.clone();
        config.ssl_mode(SslMode::Require);
        let tls = RustlsConnect::new(trusting(ca_cert)?);
        let (client, connection) = config.connect(tls).await.map_err(described).context("connect")?;
        Ok(Connection::drive(client, connection))
    }

    /// Moves messages until the client is dropped or the server closes.
    fn drive<S, T>(client: tokio_postgres::Client, mut connection: tokio_postgres::Connection<S, T>) -> Connection
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
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
        Connection { client, notices }
    }

    /// The notices that came since the last call.
    pub fn take_notices(&mut self) -> Vec<DbError> {
        std::iter::from_fn(|| self.notices.try_recv().ok()).collect()
    }
}

fn trusting(ca_cert: &Path) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(ca_cert).with_context(|| format!("read {}", ca_cert.display()))?;
    for certificate in certificates {
        roots.add(certificate.with_context(|| format!("read {}", ca_cert.display()))?)?;
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
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
