//! Certificates of the public listener.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::StartError;
use crate::config::Tls;
use crate::latest::Latest;

/// The certificate that new connections get, and its key.
#[derive(Debug)]
pub(super) struct Certificate(Latest<CertifiedKey>);

impl Certificate {
    /// Returns one that can be replaced.
    pub(super) fn new(key: CertifiedKey) -> Self {
        Self(Latest::new(key))
    }

    /// Gives another one to connections from now on.
    pub(super) fn replace(&self, key: CertifiedKey) {
        self.0.replace(key);
    }

    /// Returns the certificate and its intermediates.
    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.0.get().cert.clone()
    }

    /// Returns the configuration of listeners that show it.
    pub(super) fn config(self: &Arc<Self>) -> ServerConfig {
        let shown: Arc<dyn ResolvesServerCert> = Arc::<Self>::clone(self);
        ServerConfig::builder().with_no_client_auth().with_cert_resolver(shown)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.get())
    }
}

/// Reads a certificate and its key; fails, naming the file, if they cannot be used.
pub(super) fn load(files: &Tls) -> Result<CertifiedKey, StartError> {
    let cert_error =
        |reason: String| StartError::Tls { setting: "server.tls.cert", path: files.cert.clone(), reason };
    let key_error =
        |reason: String| StartError::Tls { setting: "server.tls.key", path: files.key.clone(), reason };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect)
        .map_err(|error| cert_error(format!("{error}; check the path, and that mcpd may read it")))?;
    if chain.is_empty() {
        return Err(cert_error("holds no certificate in PEM".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| key_error(format!("{error}; check the path, and that mcpd may read it")))?;
    CertifiedKey::from_der(chain, key, &default_provider())
        .map_err(|error| key_error(format!("does not fit the certificate: {error}")))
}
