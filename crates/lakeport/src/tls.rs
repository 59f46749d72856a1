//! The server's certificate.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Reads `node.crt` (the certificate and what signs it) and `node.key` of a folder.
///
/// # Errors
/// Names the file that is missing, holds no PEM, or does not fit the other.
pub fn server_config(dir: &Path) -> Result<Arc<ServerConfig>> {
    let certificate = dir.join("node.crt");
    let chain = CertificateDer::pem_file_iter(&certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("--certs-dir: read {}", certificate.display()))?;
    let key_file = dir.join("node.key");
    let key =
        PrivateKeyDer::from_pem_file(&key_file).with_context(|| format!("--certs-dir: read {}", key_file.display()))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .with_context(|| format!("--certs-dir: use {} with {}", certificate.display(), key_file.display()))?;
    Ok(Arc::new(config))
}
