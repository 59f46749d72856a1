//! The HTTP clients that a server has: the system's certificates are read once, and connections are left to whoever comes
//! next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Client, Guard, Redirects, certificates, install_tls_provider, redirect_policy};
use crate::error::{Error, Result};

/// Most clients kept; each certificate of a connection's own takes one.
const CLIENTS_MAX: usize = 16;
/// How long a connection is kept that nobody uses: common servers end theirs after 5 seconds.
const UNUSED: Duration = Duration::from_secs(4);

/// What a client is built from. Clients of the same are the same.
#[derive(PartialEq, Eq)]
pub(super) struct Terms {
    pub connect: Duration,
    pub idle: Duration,
    pub redirects: Redirects,
    pub skip_tls_verify: bool,
    pub allow_metadata: bool,
    pub custom_ca: Option<String>,
}

impl Terms {
    fn build(&self) -> Result<Client> {
        install_tls_provider();
        let guard = Guard { allow_metadata: self.allow_metadata };
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("lakeport/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect)
            .read_timeout(self.idle)
            .pool_idle_timeout(UNUSED)
            .redirect(redirect_policy(self.redirects))
            .dns_resolver(Arc::new(guard))
            .danger_accept_invalid_certs(self.skip_tls_verify)
            .no_proxy();
        if let Some(pem) = &self.custom_ca {
            for certificate in certificates(pem)? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let client =
            builder.build().map_err(|error| Error::io(format!("cannot set up TLS: {}", error.without_url())))?;
        Ok(Client { client, guard })
    }
}

/// Clients that all stores of a server share.
#[derive(Clone, Default)]
pub struct Clients {
    /// Oldest first.
    built: Arc<Mutex<VecDeque<(Terms, Client)>>>,
}

impl Clients {
    pub(super) fn client(&self, terms: Terms) -> Result<Client> {
        if let Some((_, client)) = self.built().iter().find(|(built, _)| *built == terms) {
            return Ok(client.clone());
        }
        let client = terms.build()?;
        let mut built = self.built();
        if built.len() == CLIENTS_MAX {
            built.pop_front();
        }
        built.push_back((terms, client.clone()));
        Ok(client)
    }

    fn built(&self) -> MutexGuard<'_, VecDeque<(Terms, Client)>> {
        self.built.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(idle: u64) -> Terms {
        Terms {
            connect: Duration::from_secs(1),
            idle: Duration::from_secs(idle),
            redirects: Redirects::Never,
            skip_tls_verify: false,
            allow_metadata: false,
            custom_ca: None,
        }
    }

    #[test]
    fn clients_are_built_once_and_not_kept_without_end() {
        let clients = Clients::default();
        for _ in 0..3 {
            clients.client(terms(1)).unwrap();
        }
        assert_eq!(clients.built().len(), 1);
        clients.client(Terms { skip_tls_verify: true, ..terms(1) }).unwrap();
        assert_eq!(clients.built().len(), 2);
        for idle in 2..20 {
            clients.client(terms(idle)).unwrap();
        }
        assert_eq!(clients.built().len(), CLIENTS_MAX);
        assert!(clients.built().iter().all(|(built, _)| *built != terms(1)));
    }
}
