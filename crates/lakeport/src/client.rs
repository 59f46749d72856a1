//! A plain PostgreSQL client, as the demo and the file commands use.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use futures::StreamExt;
use lakeport_base::Uri;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{AsyncMessage, Config, NoTls};

use crate::client_tls::RustlsConnect;

/// What `--url` is.
const URL_FORM: &str = "write postgresql://USER[:PASSWORD]@HOST:PORT/DATABASE, and %40 for an @ in a password";
/// Where a server is, and who asks, when nobody says.
const DEFAULTS: [(&str, &str); 4] =
    [("PGHOST", "127.0.0.1"), ("PGPORT", "5437"), ("PGUSER", "root"), ("PGDATABASE", "defaultdb")];
/// Words of `sslmode` that ask for TLS, and those that do not. A certificate is always checked.
const WITH_TLS: [&str; 3] = ["require", "verify-ca", "verify-full"];
const WITHOUT_TLS: [&str; 3] = ["disable", "allow", "prefer"];

/// The flags of commands that ask a server.
#[derive(Args)]
pub struct ServerArgs {
    /// Server, user and database, postgresql://USER[:PASSWORD]@HOST:PORT/DATABASE
    ///
    /// What it leaves out comes from PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE and PGSSLMODE, as for psql, and is
    /// root@127.0.0.1:5437/defaultdb without them.
    #[arg(long, global = true, env = "LAKEPORT_URL", value_name = "URL", hide_env_values = true)]
    #[arg(default_value = "postgresql://", hide_default_value = true)]
    url: String,

    /// Connect by TLS and trust the certificate authorities in this PEM file only
    #[arg(long, global = true, env = "LAKEPORT_CA_CERT", value_name = "FILE")]
    ca_cert: Option<PathBuf>,
}

impl ServerArgs {
    /// Connects and logs in; answers the user's name too.
    ///
    /// # Errors
    /// As [`Connection::open_verified`], and a URL that is none.
    pub async fn connect(&self) -> Result<(Connection, String)> {
        lakeport_connect::install_tls_provider();
        let (config, ca_cert) = self.read(environment)?;
        let connection = match ca_cert {
            None => Connection::open(&config).await?,
            Some(ca_cert) => Connection::open_verified(&config, &ca_cert).await?,
        };
        Ok((connection, config.get_user().unwrap_or_default().to_string()))
    }

    /// Where to connect and as whom, and by TLS with whose certificates. What the URL says goes before the variables.
    fn read(&self, variable: impl Fn(&str) -> Option<String>) -> Result<(Config, Option<PathBuf>)> {
        let is_ours = ["postgresql://", "postgres://"].iter().any(|start| self.url.starts_with(start));
        ensure!(is_ours, "--url or LAKEPORT_URL does not begin with postgresql://\nHINT: {URL_FORM}");
        // The text itself may hold a password.
        let mut uri =
            Uri::parse(&self.url).map_err(|error| anyhow!("--url or LAKEPORT_URL: {error}\nHINT: {URL_FORM}"))?;
        let sslmode = uri.params.extract_if(.., |(name, _)| name == "sslmode").last().map(|(_, mode)| mode);
        let ca_cert = self.ca_cert(sslmode.or_else(|| variable("PGSSLMODE")), &variable)?;
        let [host, port, user, database] =
            DEFAULTS.map(|(name, default)| variable(name).unwrap_or_else(|| default.to_string()));
        uri.user = uri.user.filter(|user| !user.is_empty()).or(Some(user));
        uri.password = uri.password.or_else(|| variable("PGPASSWORD"));
        if uri.path.trim_start_matches('/').is_empty() {
            uri.path = format!("/{database}");
        }
        let address = std::mem::take(&mut uri.host);
        let mut config: Config = uri.to_text().parse().context("--url or LAKEPORT_URL")?;
        let (own_host, own_port) = split_address(&address);
        // Where the host is forgotten, a password stands where a port would.
        let no_port =
            if own_port.is_empty() { format!("PGPORT {port:?}") } else { "what follows the host".to_string() };
        if config.get_hosts().is_empty() {
            config.host(if own_host.is_empty() { host.as_str() } else { own_host });
        }
        if config.get_ports().is_empty() {
            let port = if own_port.is_empty() { port.as_str() } else { own_port };
            config.port(port.parse().map_err(|_| anyhow!("{no_port} is no port\nHINT: {URL_FORM}"))?);
        }
        Ok((config, ca_cert))
    }

    /// Whose certificates to trust; none where there is no TLS.
    fn ca_cert(&self, sslmode: Option<String>, variable: impl Fn(&str) -> Option<String>) -> Result<Option<PathBuf>> {
        let mode = sslmode.as_deref().unwrap_or("prefer");
        if self.ca_cert.is_some() || WITHOUT_TLS.contains(&mode) {
            return Ok(self.ca_cert.clone());
        }
        if !WITH_TLS.contains(&mode) {
            bail!("sslmode {mode:?} is none of {}, {}", WITHOUT_TLS.join(", "), WITH_TLS.join(", "));
        }
        match variable("PGSSLROOTCERT") {
            Some(file) => Ok(Some(file.into())),
            None => {
                bail!("sslmode {mode} needs the certificate authorities to trust\nHINT: --ca-cert names their file")
            }
        }
    }
}

/// A variable that psql reads too; one that is empty is not set.
#[expect(clippy::disallowed_methods, reason = "they are the configuration of the client")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// `host:port`, `[::1]:port` or either alone.
fn split_address(address: &str) -> (&str, &str) {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let (host, port) = address.rsplit_once(':').filter(|(_, port)| is_port(port)).unwrap_or((address, ""));
    (host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host), port)
}

/// What has failed when there is no session.
fn unanswered(config: &Config) -> String {
    let port = config.get_ports().first().map(|port| format!(":{port}")).unwrap_or_default();
    match config.get_hosts().first() {
        Some(Host::Tcp(host)) => format!("connect to {host}{port}"),
        Some(Host::Unix(folder)) => format!("connect to {}{port}", folder.display()),
        None => "connect".to_string(),
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
        let (client, connection) =
            config.connect(NoTls).await.map_err(described).with_context(|| unanswered(config))?;
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
        let (client, connection) = config.connect(tls).await.map_err(described).with_context(|| unanswered(&config))?;
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

/// What the server has refused, in its words.
#[derive(Debug)]
pub struct Refusal {
    pub code: SqlState,
    /// With its code, detail and hint.
    text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Refusal {}

/// A client error as a [`Refusal`], where it is the server's.
pub fn described(error: tokio_postgres::Error) -> anyhow::Error {
    let Some(db) = error.as_db_error() else {
        let lacks_password = error.source().is_some_and(|cause| cause.to_string() == "password missing");
        return match lacks_password {
            true => anyhow!("the server asks for a password\nHINT: PGPASSWORD or the URL gives it"),
            false => anyhow::Error::new(error),
        };
    };
    let mut text = format!("{} ({})", db.message(), db.code().code());
    for (label, more) in [("DETAIL", db.detail()), ("HINT", db.hint())] {
        if let Some(more) = more {
            text += &format!("\n{label}: {more}");
        }
    }
    anyhow::Error::new(Refusal { code: db.code().clone(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a URL and variables make.
    fn read(url: &str, variables: &[(&str, &str)]) -> Result<(Config, Option<PathBuf>)> {
        let args = ServerArgs { url: url.to_string(), ca_cert: None };
        let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
        args.read(value)
    }

    fn shown(url: &str, variables: &[(&str, &str)]) -> String {
        let (config, _) = read(url, variables).unwrap();
        let (user, database) = (config.get_user().unwrap(), config.get_dbname().unwrap());
        let password = config.get_password().map(|password| String::from_utf8(password.to_vec()).unwrap());
        format!("{user}:{} {} {database}", password.unwrap_or_default(), unanswered(&config))
    }

    #[test]
    fn the_url_goes_before_the_variables_and_these_before_the_defaults() {
        let variables =
            [("PGHOST", "h"), ("PGPORT", "1"), ("PGUSER", "ann"), ("PGPASSWORD", "p@/w"), ("PGDATABASE", "movr")];
        assert_eq!(shown("postgresql://", &[]), "root: connect to 127.0.0.1:5437 defaultdb");
        assert_eq!(shown("postgresql://", &variables), "ann:p@/w connect to h:1 movr");
        assert_eq!(shown("postgres://bob@i/", &variables), "bob:p@/w connect to i:1 movr");
        let whole = "postgresql://bob:o%40%2F@[::1]:2/rides?application_name=x";
        assert_eq!(shown(whole, &variables), "bob:o@/ connect to ::1:2 rides");
        assert_eq!(shown("postgresql://:3", &[]), "root: connect to 127.0.0.1:3 defaultdb");
        assert_eq!(shown("postgresql://", &[("PGHOST", "/run")]), "root: connect to /run:5437 defaultdb");
    }

    #[test]
    fn what_is_no_url_is_told_without_the_secrets_in_it() {
        for (url, variables, expected) in [
            ("localhost:5437", &[][..], "does not begin with postgresql://"),
            ("http://root:secret@h", &[], "does not begin with postgresql://"),
            ("postgresql://root:secret@h:port/db", &[], "invalid port"),
            ("postgresql://root:secr/et@h/db", &[], "invalid port"),
            ("postgresql://root:secret%@h/db", &[], "invalid percent escape in the password"),
            ("postgresql://root:secret@h:99999/db", &[], "what follows the host is no port"),
            ("postgresql://", &[("PGPORT", "five")], "PGPORT \"five\" is no port"),
            ("postgresql://root:secret@h/db?colour=red", &[], "unknown option `colour`"),
            ("postgresql://h/?sslmode=maybe", &[], "sslmode \"maybe\" is none of disable, "),
            (
                "postgresql://h/",
                &[("PGSSLMODE", "verify-full")],
                "sslmode verify-full needs the certificate authorities",
            ),
        ] {
            let error = format!("{:#}", read(url, variables).map(drop).unwrap_err());
            assert!(error.contains(expected) && !error.contains("secr"), "{url}: {error}");
        }
    }

    #[test]
    fn modes_that_ask_for_tls_need_certificates() {
        let authorities = |url: &str, mode| {
            let variables = [("PGSSLMODE", mode), ("PGSSLROOTCERT", "ca.crt")];
            read(url, &variables).unwrap().1.is_some()
        };
        assert!(authorities("postgresql://", "require") && authorities("postgresql://?sslmode=verify-ca", "disable"));
        assert!(!authorities("postgresql://", "prefer") && !authorities("postgresql://?sslmode=disable", "require"));
    }
}
