//! The certificates that the system trusts, for whatever is asked over TLS.

use rustls::{ClientConfig, RootCertStore};

/// The system trusts no certificate that can be used.
#[derive(Debug, thiserror::Error)]
#[error("{}", Self::WHY)]
pub struct NoRoots;

impl NoRoots {
    /// What is missing, and what to do.
    pub const WHY: &str = "no trusted certificates are installed: install ca-certificates";
}

/// Returns how to ask over HTTP/1.1 and TLS whom the system trusts; reads its certificates from the disk.
///
/// Those that cannot be used spoil none of the others.
pub fn client_config() -> Result<ClientConfig, NoRoots> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!("some of the system's trusted certificates cannot be read: {error}");
    }
    let mut roots = RootCertStore::empty();
    let (_, unusable) = roots.add_parsable_certificates(found.certs);
    if unusable > 0 {
        tracing::warn!("{unusable} of the system's trusted certificates cannot be used");
    }
    if roots.is_empty() {
        return Err(NoRoots);
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
