//! Root's first password.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use lakeport_base::{Env, Secret};
use lakeport_catalog::Catalog;

/// Random bytes in a password; it is printed in hex.
const PASSWORD_BYTES: usize = 16;

/// Gives root a password if it has none: written to `file` (mode 0600), its verifier to the catalog.
/// The file comes first, so that a crash in between leaves a password that nobody needs rather than one nobody knows.
///
/// # Errors
/// The file or the catalog failing.
pub async fn ensure_root_password(catalog: &dyn Catalog, env: &Env, file: &Path) -> Result<()> {
    let mut tx = catalog.write().await?;
    let mut root = tx.find_role("root").await?.context("the catalog has no role root")?;
    if root.verifier.is_some() {
        return Ok(());
    }
    let password = Secret::new(env.random_hex(PASSWORD_BYTES));
    write_private(file, &password).with_context(|| format!("write {}", file.display()))?;
    root.verifier = Some(lakeport_base::scram::verifier(&password, env));
    tx.update_role(&root).await?;
    tx.commit().await?;
    tracing::info!(file = %file.display(), "made a password for root");
    Ok(())
}

fn write_private(file: &Path, password: &Secret<String>) -> std::io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(out, "{}", password.expose())?;
    out.sync_all()?;
    // Else a crash could lose the name of the file, and with it the password.
    std::fs::File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
}
