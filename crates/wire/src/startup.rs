//! From a new socket to a connection that takes statements.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use lakeport_base::Sqlstate;
use lakeport_base::scram::Verifier;
use lakeport_core::{Error, Session, SessionEvent, Startup};
use tokio::io::AsyncWriteExt;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_rustls::TlsAcceptor;

use crate::auth;
use crate::cancel::CancelKey;
use crate::connection::Connection;
use crate::fault::{self, Fault, Flow};
use crate::link::Link;
use crate::message::{Fields, violation};
use crate::places::Turn;
use crate::reply::Severity;
use crate::server::Context;
use crate::socket::Socket;

/// Longest startup packet, in bytes.
const STARTUP_BYTES_MAX: usize = 10_000;
/// Newest minor version of protocol 3 that is served.
const MINOR_VERSION: u16 = 2;

/// Numbers that stand where a version would.
pub(crate) const CANCEL_REQUEST: u32 = 80_877_102;
pub(crate) const SSL_REQUEST: u32 = 80_877_103;
pub(crate) const GSS_REQUEST: u32 = 80_877_104;

/// A connection that takes statements, with what it gives back at its end.
pub(crate) struct Started {
    pub connection: Connection,
    pub cancel_key: CancelKey,
    pub place: OwnedSemaphorePermit,
}

/// A client that has been let in.
struct Admitted {
    session: Arc<Session>,
    events: mpsc::Receiver<SessionEvent>,
    cancel_key: CancelKey,
    place: OwnedSemaphorePermit,
}

impl Admitted {
    fn into_started(self, link: Link, context: &Context) -> Started {
        let connection =
            Connection::new(link, self.session, self.events, context.shutdown.clone(), context.env.clone());
        Started { connection, cancel_key: self.cancel_key, place: self.place }
    }
}

/// A client before it has a session.
pub(crate) struct Handshake {
    link: Link,
    peer: SocketAddr,
    secure: bool,
    context: Arc<Context>,
}

/// The parameters of a startup packet.
#[cfg_attr(any(test, feature = "fuzzing"), derive(Debug))]
pub(crate) struct Opening {
    minor: u16,
    user: String,
    database: Option<String>,
    parameters: Vec<(String, String)>,
    /// Protocol options (`_pq_.*`), none of which is known.
    unknown_options: Vec<String>,
}

impl Handshake {
    pub(crate) fn new(socket: Socket, peer: SocketAddr, context: Arc<Context>) -> Handshake {
        Handshake { link: Link::new(socket), peer, secure: false, context }
    }

    /// Leads the client through encryption, authentication and the start of its session. `None`: it only wanted to
    /// cancel, has been told why not, or is gone.
    ///
    /// The client is refused when its turn is over before that.
    pub(crate) async fn run(mut self, turn: &Turn) -> Option<Started> {
        let admitted = tokio::select! {
            biased;
            () = turn.over() => Err(too_many_handshakes()),
            admitted = self.admit() => admitted,
        };
        match admitted {
            Ok(admitted) => admitted.map(|admitted| admitted.into_started(self.link, &self.context)),
            Err(Fault::Fatal(error) | Fault::Statement(error)) => {
                let error = fault::logged(error, &self.context.env);
                tracing::info!(peer = %self.peer, code = error.code().code(), %error, "connection refused");
                self.link.out.error(Severity::Fatal, &error);
                // A client that is gone goes without.
                let _ = self.link.flush().await;
                None
            }
            Err(Fault::Gone) => None,
        }
    }

    async fn admit(&mut self) -> Flow<Option<Admitted>> {
        match self.opening().await? {
            Some(opening) => self.open(opening).await.map(Some),
            None => Ok(None),
        }
    }

    /// Answers requests for encryption until the startup packet comes. `None` after a cancel request.
    async fn opening(&mut self) -> Flow<Option<Opening>> {
        loop {
            let mut packet = self.packet().await?;
            let code = packet.int32().map_err(Fault::Fatal)? as u32;
            match code {
                SSL_REQUEST if !self.secure => self.encrypt().await?,
                GSS_REQUEST => self.link.stream.write_all(b"N").await?,
                CANCEL_REQUEST => {
                    let process = packet.int32().map_err(Fault::Fatal)? as u32;
                    self.context.cancels.cancel(process, &packet.body);
                    return Ok(None);
                }
                version => return Opening::read(version, packet).map(Some).map_err(Fault::Fatal),
            }
        }
    }

    async fn packet(&mut self) -> Flow<Fields> {
        loop {
            if let Some(packet) = take_packet(&mut self.link.input).map_err(Fault::Fatal)? {
                return Ok(packet);
            }
            self.link.fill().await?;
        }
    }

    /// Puts TLS over the socket, or says that there is none.
    async fn encrypt(&mut self) -> Flow {
        // Bytes sent before the handshake are not protected by it and must not count as if they were.
        if !self.link.input.is_empty() {
            return Err(Fault::Fatal(violation("received unencrypted data after SSL request")));
        }
        let Some(tls) = self.context.tls.clone() else {
            self.link.stream.write_all(b"N").await?;
            return Ok(());
        };
        self.link.stream.write_all(b"S").await?;
        let plain = std::mem::replace(&mut self.link.stream, Box::new(tokio::io::empty()));
        let stream = TlsAcceptor::from(tls).accept(plain).await?;
        self.link.stream = Box::new(stream);
        self.secure = true;
        Ok(())
    }

    async fn open(&mut self, opening: Opening) -> Flow<Admitted> {
        if opening.minor > MINOR_VERSION || !opening.unknown_options.is_empty() {
            self.link.out.negotiate_version(opening.minor.min(MINOR_VERSION), &opening.unknown_options);
        }
        self.authenticate(&opening.user).await?;
        let is_admin = self.context.server.is_admin(&opening.user).await?;
        let place = self.context.places.take(is_admin)?;
        let start = Startup {
            user: opening.user,
            database: opening.database,
            parameters: opening.parameters,
            client_addr: self.peer,
            secure: self.secure,
            schedule: None,
        };
        let (session, events) = self.context.server.open_session(start).await?;
        let cancel_key = self.context.cancels.register(&session, opening.minor >= 2, &self.context.env);
        let out = &mut self.link.out;
        out.authentication_ok();
        session.parameters().iter().for_each(|(name, value)| out.parameter_status(name, value));
        out.backend_key(cancel_key.process, &cancel_key.secret);
        Ok(Admitted { session, events, cancel_key, place })
    }

    async fn authenticate(&mut self, user: &str) -> Flow {
        let context = Arc::clone(&self.context);
        if context.server.is_insecure() {
            return Ok(());
        }
        if context.tls.is_some() && !self.secure && !self.peer.ip().is_loopback() {
            let error = Error::new(Sqlstate::INVALID_AUTHORIZATION, "the server takes only encrypted connections");
            return Err(Fault::Fatal(error.with_hint("connect with sslmode=require or stricter")));
        }
        let login = context.server.login(user).await?;
        let verifier = login.verifier.and_then(|text| Verifier::parse(text.expose()));
        auth::authenticate(&mut self.link, user, verifier, &context.mock_seed, &context.env).await
    }
}

/// Takes the next packet without a tag off the input, if all of it is there: its length, then its body.
///
/// # Errors
/// 08P01 for a length that no such packet has.
pub(crate) fn take_packet(input: &mut BytesMut) -> Result<Option<Fields>, Error> {
    let Some(length) = input.first_chunk().map(|length| u32::from_be_bytes(*length) as usize) else {
        return Ok(None);
    };
    if !(8..=STARTUP_BYTES_MAX).contains(&length) {
        return Err(violation("invalid length of startup packet"));
    }
    if input.len() < length {
        return Ok(None);
    }
    let mut packet = input.split_to(length);
    packet.advance(4);
    Ok(Some(Fields { body: packet.freeze() }))
}

/// 53300
fn too_many_handshakes() -> Fault {
    let message = "too many clients are connecting, and this one has taken longest";
    Fault::Fatal(Error::new(Sqlstate::TOO_MANY_CONNECTIONS, message).with_hint("connect again"))
}

impl Opening {
    /// Reads the packet after its version: names and values up to an empty name.
    ///
    /// # Errors
    /// A protocol or a parameter that is not served; 08P01 and 22021 for what is no such packet.
    pub(crate) fn read(version: u32, mut packet: Fields) -> Result<Opening, Error> {
        let (major, minor) = (version >> 16, version as u16);
        if major != 3 {
            let message =
                format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.{MINOR_VERSION}");
            return Err(Error::unsupported(message));
        }
        let mut opening =
            Opening { minor, user: String::new(), database: None, parameters: Vec::new(), unknown_options: Vec::new() };
        loop {
            let name = packet.string()?;
            if name.is_empty() {
                break;
            }
            let value = packet.string()?;
            opening.set(name, value)?;
        }
        if opening.user.is_empty() {
            let message = "no PostgreSQL user name specified in startup packet";
            return Err(Error::new(Sqlstate::INVALID_AUTHORIZATION, message));
        }
        Ok(opening)
    }

    fn set(&mut self, name: String, value: String) -> Result<(), Error> {
        match name.as_str() {
            "user" => self.user = value,
            "database" => self.database = Some(value),
            "options" => self.parameters.extend(command_line_options(&value)),
            "replication" if !matches!(value.as_str(), "false" | "off" | "no" | "0") => {
                return Err(Error::unsupported("replication connections are not supported"));
            }
            "replication" => {}
            _ if name.starts_with("_pq_.") => self.unknown_options.push(name),
            _ => self.parameters.push((name, value)),
        }
        Ok(())
    }
}

/// `-c name=value`, `-cname=value` and `--name=value`; a backslash keeps the space after it.
fn command_line_options(text: &str) -> Vec<(String, String)> {
    let mut words = split_words(text).into_iter();
    let mut options = Vec::new();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("-c") {
            Some("") => words.next(),
            Some(setting) => Some(setting.to_string()),
            None => word.strip_prefix("--").map(str::to_string),
        };
        if let Some((name, value)) = setting.as_deref().and_then(|setting| setting.split_once('=')) {
            options.push((name.replace('-', "_"), value.to_string()));
        }
    }
    options
}

fn split_words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let last = words.len() - 1;
        match character {
            '\\' => words[last].extend(characters.next()),
            ' ' | '\t' => words.push(String::new()),
            other => words[last].push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn read(version: u32, body: &'static [u8]) -> Result<Opening, Error> {
        Opening::read(version, Fields { body: Bytes::from_static(body) })
    }

    #[test]
    fn startup_packets() {
        let opening =
            read(3 << 16 | 2, b"user\0ann\0database\0d\0_pq_.x\x001\0options\0-c a=1 --b-c=2\\ 3\0\0").unwrap();
        assert_eq!((opening.user.as_str(), opening.database.as_deref(), opening.minor), ("ann", Some("d"), 2));
        assert_eq!(opening.unknown_options, ["_pq_.x"]);
        let parameters: Vec<_> =
            opening.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(parameters, [("a", "1"), ("b_c", "2 3")]);
    }

    #[test]
    fn refused_packets() {
        let cases: [(u32, &[u8], &str); 5] = [
            (2 << 16, b"\0", "0A000"),
            (3 << 16, b"\0", "28000"),
            (3 << 16, b"user\0ann\0replication\0database\0\0", "0A000"),
            (3 << 16, b"user\0ann", "08P01"),
            (3 << 16, b"user\0\xff\0\0", "22021"),
        ];
        for (version, body, code) in cases {
            assert_eq!(read(version, body).err().map(|error| error.code().code()), Some(code), "{body:?}");
        }
    }
}
