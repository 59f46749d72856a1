//! What opening a target needs to know about this server and the user.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lakeport_base::Env;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use crate::layer::Meter;
use crate::net::clients::Clients;

/// What users' URIs may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundPolicy {
    /// No connection leaves this server: `--external-io-disabled`.
    pub disabled: bool,
    /// No `http` and `https` targets and no custom endpoints: `--external-io-disable-http`.
    pub http_disabled: bool,
    /// No credentials of the server's own: `--external-io-disable-implicit-credentials`.
    pub implicit_disabled: bool,
    /// Link-local and cloud metadata addresses may be reached by user-written URIs.
    pub allow_metadata_addresses: bool,
    /// PEM certificates trusted beside the system's: `cloudstorage.http.custom_ca`.
    pub custom_ca: Option<String>,
}

impl Default for OutboundPolicy {
    /// Everything but metadata addresses.
    fn default() -> Self {
        Self {
            disabled: false,
            http_disabled: false,
            implicit_disabled: false,
            allow_metadata_addresses: false,
            custom_ca: None,
        }
    }
}

/// Time limits of requests to a far side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a TCP and TLS connection stands.
    pub connect: Duration,
    /// For one request without its body, all attempts of it together.
    pub request: Duration,
    /// Between two pieces of a body.
    pub idle: Duration,
    /// After that no further attempt of a request is begun.
    pub retry: Duration,
}

impl Timeouts {
    /// The limits that a limit for whole requests leaves to their parts.
    pub fn within(request: Duration) -> Timeouts {
        Timeouts {
            connect: request.min(Duration::from_secs(10)),
            request,
            idle: request.min(Duration::from_secs(60)),
            retry: (request / 2).min(Duration::from_secs(180)),
        }
    }

    /// How a storage client tries a request again.
    pub(crate) fn retries(&self) -> RetryConfig {
        RetryConfig { backoff: BackoffConfig::default(), max_retries: 10, retry_timeout: self.retry }
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts::within(Duration::from_secs(600))
    }
}

/// The surroundings of an open target.
#[derive(Clone)]
pub struct OpenCx {
    /// Clock, randomness and fault points.
    pub env: Env,
    /// This node's id; the host of a `nodelocal` URI.
    pub node_id: i64,
    /// `--external-io-dir`; `None` disables `nodelocal`.
    pub external_io_dir: Option<PathBuf>,
    /// The root of all users' files; each user owns one folder of it.
    pub userfiles: Arc<dyn ObjectStore>,
    /// On whose behalf the target is opened.
    pub user: String,
    /// What users' URIs may reach.
    pub policy: OutboundPolicy,
    /// Time limits of requests.
    pub timeouts: Timeouts,
    /// Where requests and bytes are counted.
    pub meter: Meter,
    /// What requests are sent with.
    pub clients: Clients,
}
