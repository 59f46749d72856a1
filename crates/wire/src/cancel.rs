//! Cancel requests: a second connection names a session by number and secret.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use lakeport_base::Env;
use lakeport_core::Session;
use subtle::ConstantTimeEq;

/// Bytes of a secret for protocol 3.0, which has no room for more.
const SECRET_BYTES_SHORT: usize = 4;
/// Bytes of a secret from protocol 3.2 on.
const SECRET_BYTES: usize = 32;

/// Secret and session, by process number.
type Sessions = HashMap<u32, (Vec<u8>, Arc<Session>)>;

/// The sessions that may be cancelled.
#[derive(Default)]
pub(crate) struct CancelRegistry {
    sessions: Mutex<Sessions>,
}

/// A session's place in the registry; given up on drop.
pub(crate) struct CancelKey {
    registry: Arc<CancelRegistry>,
    pub process: u32,
    pub secret: Vec<u8>,
}

impl CancelRegistry {
    /// Adds a session under its number, with a new secret.
    pub(crate) fn register(self: &Arc<Self>, session: &Arc<Session>, long_secret: bool, env: &Env) -> CancelKey {
        let mut secret = vec![0; if long_secret { SECRET_BYTES } else { SECRET_BYTES_SHORT }];
        env.random(&mut secret);
        let process = session.number();
        self.sessions().insert(process, (secret.clone(), session.clone()));
        CancelKey { registry: self.clone(), process, secret }
    }

    /// Cancels the running statement of a session. Nothing happens when number and secret do not fit.
    pub(crate) fn cancel(&self, process: u32, secret: &[u8]) {
        match self.sessions().get(&process) {
            Some((expected, session)) if bool::from(expected.ct_eq(secret)) => session.cancel(),
            _ => tracing::debug!(process, "cancel request for no session"),
        }
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for CancelKey {
    fn drop(&mut self) {
        self.registry.sessions().remove(&self.process);
    }
}
