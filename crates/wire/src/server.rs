//! The listener: takes connections, and lets them go in order when the server stops.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lakeport_base::Env;
use lakeport_base::limits::{CONNECTIONS_MAX, CONNECTIONS_RESERVED, HANDSHAKE_TIME_MAX};
use lakeport_base::scram::Key;
use lakeport_core::Server;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cancel::CancelRegistry;
use crate::connection::Shutdown;
use crate::places::{Handshakes, Places};
use crate::socket::Socket;
use crate::startup::{Handshake, Started};

/// Pause after a failed accept, such as one for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a cancelled statement gets to end by itself before its connection is dropped, and a dropped one to be gone.
const CANCEL_TIME: Duration = Duration::from_secs(2);

/// How the server serves.
pub struct Options {
    /// Offers TLS to clients that ask for it.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// What running statements get when the server stops.
    pub shutdown_grace: Duration,
    pub env: Env,
}

/// What all connections share.
pub(crate) struct Context {
    pub server: Arc<Server>,
    pub env: Env,
    pub tls: Option<Arc<rustls::ServerConfig>>,
    pub places: Places,
    pub handshakes: Handshakes,
    pub cancels: Arc<CancelRegistry>,
    pub shutdown: Shutdown,
    /// Makes up verifiers of unknown users.
    pub mock_seed: Key,
}

/// Serves clients of the PostgreSQL protocol until `stop` fires. Then takes no more connections, closes idle ones, lets
/// statements run for the grace and cancels what is left; every client hears 57P01.
pub async fn serve(listener: TcpListener, server: Arc<Server>, options: Options, stop: CancellationToken) {
    let mut mock_seed = Key::default();
    options.env.random(&mut mock_seed);
    let context = Arc::new(Context {
        server,
        env: options.env,
        tls: options.tls,
        places: Places::new(CONNECTIONS_MAX, CONNECTIONS_RESERVED),
        handshakes: Handshakes::default(),
        cancels: Arc::default(),
        shutdown: Shutdown { draining: stop.clone(), ended: CancellationToken::new() },
        mock_seed,
    });
    let mut connections = JoinSet::new();
    while let Some((socket, peer)) = accept(&listener, &stop).await {
        connections.spawn(serve_client(socket, peer, Arc::clone(&context)));
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    drain(connections, &context.shutdown, options.shutdown_grace).await;
}

/// The next connection; `None` when the server stops.
async fn accept(listener: &TcpListener, stop: &CancellationToken) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => return Some(accepted),
            Err(error) => pause_after(&error).await,
        }
    }
}

async fn pause_after(error: &io::Error) {
    tracing::warn!(%error, "connection not accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn serve_client(socket: TcpStream, peer: SocketAddr, context: Arc<Context>) {
    let socket = match Socket::new(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::debug!(%peer, %error, "connection gone before its start"),
    };
    if let Some(Started { connection, cancel_key, place }) = start(socket, peer, context).await {
        connection.run().await;
        drop((cancel_key, place));
    }
}

/// Leads a client to its first statement; `None` if it does not get there.
async fn start(socket: Socket, peer: SocketAddr, context: Arc<Context>) -> Option<Started> {
    let stop = context.shutdown.draining.clone();
    let turn = context.handshakes.enter();
    let handshake = Handshake::new(socket, peer, context).run(&turn);
    let handshake = tokio::time::timeout(HANDSHAKE_TIME_MAX, handshake);
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        started = handshake => started.unwrap_or_else(|_| {
            tracing::info!(%peer, "connection closed: no startup within {HANDSHAKE_TIME_MAX:?}");
            None
        }),
    }
}

/// Waits for the connections: for the grace, then for cancelled statements, then no longer.
async fn drain(mut connections: JoinSet<()>, shutdown: &Shutdown, grace: Duration) {
    let all_ended = async |connections: &mut JoinSet<()>| while connections.join_next().await.is_some() {};
    if tokio::time::timeout(grace, all_ended(&mut connections)).await.is_ok() {
        return;
    }
    tracing::warn!(connections = connections.len(), "grace is over: statements are cancelled");
    shutdown.ended.cancel();
    if tokio::time::timeout(CANCEL_TIME, all_ended(&mut connections)).await.is_ok() {
        return;
    }
    tracing::warn!(connections = connections.len(), "connections dropped");
    connections.abort_all();
    if tokio::time::timeout(CANCEL_TIME, all_ended(&mut connections)).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections left behind");
        connections.detach_all();
    }
}
