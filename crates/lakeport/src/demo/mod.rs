//! `lakeport demo`: a server on a temporary store, the sample database, and a tour of it.

mod answer;
mod sample;
mod tour;

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use clap::Args;
use tokio::net::TcpListener;

use crate::config::Config;
use crate::node::{Node, StopSignals};

/// The flags of `lakeport demo`.
#[derive(Args)]
pub struct DemoArgs {
    /// Exit after the tour instead of serving until stopped
    #[arg(long, env = "LAKEPORT_ONCE", value_parser = clap::builder::BoolishValueParser::new())]
    once: bool,

    /// What is logged: error, warn, info, debug or trace
    #[arg(long, env = "LAKEPORT_LOG", value_name = "FILTER", default_value = "warn")]
    log: String,
}

/// The ports `lakeport start` takes by default.
const PG_PORT: u16 = 5437;
const HTTP_PORT: u16 = 8437;

/// Runs the demo. The store is deleted at its end.
///
/// # Errors
/// The server not starting, or a statement of the tour failing that should not.
pub async fn run(args: DemoArgs) -> Result<()> {
    let store = tempfile::Builder::new().prefix("lakeport-demo-").tempdir().context("make a temporary store")?;
    let (pg, http) = (usual_or_free(PG_PORT).await, usual_or_free(HTTP_PORT).await);
    let signals = StopSignals::listen()?;
    let node = Node::start(Config::throwaway(store.path().to_path_buf(), pg, http, args.log)).await?;
    node.print_ready();
    let shown = tokio::select! {
        shown = show(&node, args.once) => shown,
        () = signals.first() => Ok(()),
    };
    node.stop().await;
    shown
}

/// Takes the tour; ends after it, or goes on for ever.
async fn show(node: &Node, once: bool) -> Result<()> {
    sample::load(node.pg_addr()).await.context("load the sample database")?;
    tour::run(node.pg_addr()).await?;
    if once {
        return Ok(());
    }
    println!("{}", invitation(node));
    std::future::pending().await
}

fn invitation(node: &Node) -> String {
    format!(
        "The server keeps running; everything it holds is deleted when it stops (Ctrl-C).\n\n\
         \x20   psql 'postgresql://root@{}/movr'\n\
         \x20   curl http://{}/metrics\n",
        node.pg_addr(),
        node.http_addr()
    )
}

/// The usual address, or one with a free port when another program has it.
async fn usual_or_free(port: u16) -> SocketAddr {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(usual).await {
        Ok(_) => usual,
        Err(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    }
}
