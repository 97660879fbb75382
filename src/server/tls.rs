//! Certificates of the public listener.

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::StartError;
use crate::config::Tls;

/// Returns the configuration of encrypted listeners; fails, naming the file, if it cannot be used.
pub(super) fn load(files: &Tls) -> Result<ServerConfig, StartError> {
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
    ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| key_error(format!("does not fit the certificate: {error}")))
}
