//! The HTTP listener: `/health` and `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use lakeport_catalog::Catalog;
use lakeport_core::Server;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics;

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
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await {
        tracing::error!(%error, "http pages no longer served");
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
