//! One client after its start: messages in, statements, messages out.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use lakeport_base::{Env, Sqlstate};
use lakeport_core::{Error, Session, SessionEvent};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::extended::Prepared;
use crate::fault::{self, Fault, Flow};
use crate::link::Link;
use crate::message::{Frame, Message, violation};
use crate::portal::Portal;
use crate::reply::Severity;

/// How long a client may take to receive the last message before the connection closes.
const FAREWELL_TIME: Duration = Duration::from_secs(1);

/// How the server stops: first no new statements, then no statements.
#[derive(Clone, Default)]
pub(crate) struct Shutdown {
    /// Idle connections close; busy ones finish their statement.
    pub draining: CancellationToken,
    /// Running statements are cancelled.
    pub ended: CancellationToken,
}

/// A connection with its session.
pub(crate) struct Connection {
    pub(crate) link: Link,
    pub(crate) session: Arc<Session>,
    events: mpsc::Receiver<SessionEvent>,
    shutdown: Shutdown,
    env: Env,
    pub(crate) prepared: HashMap<String, Arc<Prepared>>,
    pub(crate) portals: HashMap<String, Portal>,
    /// After an error in the extended protocol messages are passed over up to the next Sync.
    discarding: bool,
}

impl Connection {
    pub(crate) fn new(
        mut link: Link,
        session: Arc<Session>,
        events: mpsc::Receiver<SessionEvent>,
        shutdown: Shutdown,
        env: Env,
    ) -> Connection {
        link.trust();
        let (prepared, portals) = (HashMap::new(), HashMap::new());
        Connection { link, session, events, shutdown, env, prepared, portals, discarding: false }
    }

    /// Serves the client until it leaves or the server stops.
    pub(crate) async fn run(mut self) {
        self.ready();
        let end = loop {
            if let Err(end) = self.step().await {
                break end;
            }
        };
        self.portals.clear();
        if let Fault::Fatal(error) | Fault::Statement(error) = end {
            self.link.out.error(Severity::Fatal, &error);
            // A client that does not read its farewell goes without.
            let _ = tokio::time::timeout(FAREWELL_TIME, self.link.flush()).await;
        }
        self.session.close().await;
    }

    /// Handles one message. Only what ends the connection is an error.
    async fn step(&mut self) -> Flow {
        let frame = self.next_statement().await?;
        let extended = !matches!(frame.tag, b'Q' | b'S');
        if self.discarding && frame.tag != b'S' && frame.tag != b'X' {
            return Ok(());
        }
        let outcome = match AssertUnwindSafe(self.handle(frame)).catch_unwind().await {
            Ok(outcome) => outcome,
            Err(panic) => Err(Fault::Statement(fault::panicked(panic.as_ref()))),
        };
        match outcome {
            Err(Fault::Statement(error)) => {
                self.refuse(error);
                self.discarding = extended;
                if !extended {
                    self.finish_round().await?;
                }
                Ok(())
            }
            outcome => outcome,
        }
    }

    async fn handle(&mut self, frame: Frame) -> Flow {
        match read(frame)? {
            Message::Query(text) => {
                self.query(&text).await?;
                self.finish_round().await?;
            }
            Message::Parse { name, text, types } => self.parse(name, &text, &types).await?,
            Message::Bind(bind) => self.bind(bind)?,
            Message::Describe { target, name } => self.describe(target, &name)?,
            Message::Execute { portal, rows_max } => self.execute_portal(&portal, rows_max).await?,
            Message::Close { target, name } => self.close_object(target, &name),
            Message::Flush => self.link.out.urgent = true,
            Message::Sync => {
                self.discarding = false;
                self.finish_round().await?;
            }
            Message::Terminate => return Err(Fault::Gone),
            // What a client sent before it heard that its copy had failed.
            Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => {}
        }
        Ok(())
    }

    /// Ends the transaction of the statements that a client sent together, and with it the portals.
    async fn finish_round(&mut self) -> Flow {
        let session = Arc::clone(&self.session);
        self.drive(session.end_implicit()).await??;
        self.forget_portals_of_ended_block();
        self.ready();
        Ok(())
    }

    /// Says that the client may send its next statement.
    fn ready(&mut self) {
        self.forward_events();
        self.link.out.ready(self.session.block());
    }

    /// Reports a failed statement; an open block has failed with it.
    pub(crate) fn refuse(&mut self, error: Error) {
        self.link.out.discard_unfinished();
        self.session.fail_block();
        self.forward_events();
        let error = fault::logged(error, &self.env);
        self.link.out.error(Severity::Error, &error);
    }

    /// The next message between statements, unless the server stops or the session has been idle for too long.
    async fn next_statement(&mut self) -> Flow<Frame> {
        let stop = self.shutdown.draining.clone();
        let Some((limit, error)) = self.session.idle_limit() else { return self.next_frame(stop).await };
        match tokio::time::timeout(limit, self.next_frame(stop)).await {
            Ok(frame) => frame,
            Err(_) => Err(Fault::Fatal(error)),
        }
    }

    /// The next message, unless the server stops before it comes. Replies go out before there is a wait, and before
    /// more are made when many wait.
    async fn next_frame(&mut self, stop: CancellationToken) -> Flow<Frame> {
        loop {
            if !self.link.is_full()
                && let Some(frame) = self.link.buffered_frame()?
            {
                return Ok(frame);
            }
            self.wait_for_client(&stop).await?;
        }
    }

    /// The tag of the next message. A client that waits for a reply has sent a Sync or a Flush.
    pub(crate) async fn next_tag(&mut self) -> Flow<u8> {
        let stop = self.shutdown.ended.clone();
        loop {
            match self.link.next_tag() {
                Some(tag) => return Ok(tag),
                None => self.wait_for_client(&stop).await?,
            }
        }
    }

    /// Waits until the client sends something or takes the replies that must go before more are made.
    async fn wait_for_client(&mut self, stop: &CancellationToken) -> Flow {
        let full = self.link.is_full();
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(fault::shutdown()),
            Some(event) = self.events.recv(), if !full => {
                tell(&mut self.link, &event);
                Ok(())
            }
            exchanged = self.link.exchange(true, !full) => exchanged,
        }
    }

    /// Runs a piece of a statement. Meanwhile notices go out, a client that leaves cancels the statement, and so does
    /// the end of the grace at shutdown. The piece always runs to its end.
    pub(crate) async fn drive<T>(&mut self, work: impl Future<Output = T>) -> Flow<T> {
        let mut work = pin!(work);
        let mut end = None;
        loop {
            tokio::select! {
                biased;
                done = &mut work => {
                    self.forward_events();
                    return end.map_or(Ok(done), Err);
                }
                fault = self.reason_to_stop(), if end.is_none() => {
                    end = Some(fault);
                    self.session.cancel();
                }
            }
        }
    }

    /// Passes notices on and reads ahead until the client leaves or the server ends running statements.
    async fn reason_to_stop(&mut self) -> Fault {
        loop {
            let (full, urgent, may_read) = (self.link.is_full(), self.link.out.urgent, self.link.may_read_ahead());
            tokio::select! {
                biased;
                () = self.shutdown.ended.cancelled() => return fault::shutdown(),
                Some(event) = self.events.recv(), if !full => tell(&mut self.link, &event),
                exchanged = self.link.exchange(urgent, may_read) => {
                    if let Err(fault) = exchanged {
                        return fault;
                    }
                }
            }
        }
    }

    /// Puts waiting notices before whatever comes next.
    fn forward_events(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            tell(&mut self.link, &event);
        }
    }

    /// The data of a copy up to its end; `None` is the end.
    pub(crate) async fn copy_data(&mut self) -> Flow<Option<Bytes>> {
        loop {
            let frame = self.next_frame(self.shutdown.ended.clone()).await?;
            match read(frame)? {
                Message::CopyData(data) => return Ok(Some(data)),
                Message::CopyDone => return Ok(None),
                Message::CopyFail(reason) => return Err(copy_failed(&reason).into()),
                Message::Flush | Message::Sync => {}
                Message::Terminate => return Err(Fault::Gone),
                _ => return Err(Fault::Fatal(violation("unexpected message while COPY waits for data"))),
            }
        }
    }

    /// Sends replies once enough of them wait. `false`: the statement was cancelled before the client had taken them,
    /// and its rows say why.
    pub(crate) async fn relieve(&mut self) -> Flow<bool> {
        if !self.link.is_full() {
            return Ok(true);
        }
        let canceled = self.session.running();
        tokio::select! {
            biased;
            sent = self.link.flush() => {
                sent?;
                Ok(true)
            }
            () = canceled.cancelled() => Ok(false),
            () = self.shutdown.ended.cancelled() => Err(fault::shutdown()),
        }
    }
}

/// Reads a message. One that breaks the protocol ends the connection: what follows cannot be trusted.
fn read(frame: Frame) -> Flow<Message> {
    Message::read(frame).map_err(|error| match error.code() {
        Sqlstate::PROTOCOL_VIOLATION => Fault::Fatal(error),
        _ => Fault::Statement(error),
    })
}

fn copy_failed(reason: &str) -> Error {
    Error::new(Sqlstate::QUERY_CANCELED, format!("COPY from stdin failed: {reason}"))
}

fn tell(link: &mut Link, event: &SessionEvent) {
    match event {
        SessionEvent::Notice(notice) => link.out.notice(notice),
        SessionEvent::ParameterChanged { name, value } => link.out.parameter_status(name, value),
    }
}
