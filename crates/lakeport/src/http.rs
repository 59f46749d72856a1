//! The HTTP listener: `/health` and `/metrics`.
//!
//! A connection has [`HEADER_TIME`] for each request and [`CONNECTION_TIME`] in all, and the oldest makes room when there
//! are [`HTTP_CONNECTIONS_MAX`]: clients that send half a request keep nobody out and do not hold up the end.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lakeport_base::limits::HTTP_CONNECTIONS_MAX;
use lakeport_catalog::Catalog;
use lakeport_core::Server;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::metrics;

/// From the last answer, or from connecting, to the end of a request's header.
const HEADER_TIME: Duration = Duration::from_secs(10);
/// After it a connection takes no more requests.
const CONNECTION_TIME: Duration = Duration::from_secs(60);
/// What the last answer of a connection gets to go out.
const FAREWELL_TIME: Duration = Duration::from_secs(1);
/// Pause after a failed accept, such as one for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the pages show.
#[derive(Clone)]
pub struct Pages {
    pub server: Arc<Server>,
    pub catalog: Arc<dyn Catalog>,
    /// Whether the server takes connections.
    pub ready: Arc<AtomicBool>,
}

/// Answers requests until `stop` fires.
pub async fn serve(listener: TcpListener, pages: Pages, stop: CancellationToken) {
    let router = Router::new().route("/health", get(health)).route("/metrics", get(metrics_text)).with_state(pages);
    let (mut open, mut by_age) = (JoinSet::new(), VecDeque::new());
    while let Some(socket) = accept(&listener, &stop).await {
        while open.try_join_next().is_some() {}
        make_room(&mut by_age);
        by_age.push_back(open.spawn(serve_connection(socket, router.clone(), stop.clone())));
    }
    // Each ends within its farewell.
    while open.join_next().await.is_some() {}
}

/// The next connection; `None` once `stop` fires.
async fn accept(listener: &TcpListener, stop: &CancellationToken) -> Option<TcpStream> {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => return Some(socket),
            Err(error) => tracing::warn!(%error, "http connection not accepted"),
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Ends the oldest connection when there are too many.
fn make_room(by_age: &mut VecDeque<AbortHandle>) {
    by_age.retain(|connection| !connection.is_finished());
    if by_age.len() >= HTTP_CONNECTIONS_MAX
        && let Some(oldest) = by_age.pop_front()
    {
        oldest.abort();
    }
}

async fn serve_connection(socket: TcpStream, router: Router, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME);
    let mut connection = pin!(http.serve_connection(TokioIo::new(socket), TowerToHyperService::new(router)));
    tokio::select! {
        served = connection.as_mut() => return log_end(served),
        () = stop.cancelled() => {}
        () = tokio::time::sleep(CONNECTION_TIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    if let Ok(served) = tokio::time::timeout(FAREWELL_TIME, connection).await {
        log_end(served);
    }
}

fn log_end(served: hyper::Result<()>) {
    if let Err(error) = served {
        tracing::debug!(%error, "http connection ended");
    }
}

async fn health(State(pages): State<Pages>) -> Response {
    if pages.ready.load(Ordering::Acquire) {
        (StatusCode::OK, "ok\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not taking connections\n").into_response()
    }
}

async fn metrics_text(State(pages): State<Pages>) -> Response {
    match metrics::render(&pages.server, pages.catalog.as_ref()).await {
        Ok(text) => ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "metrics not rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
