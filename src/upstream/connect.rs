//! Connections to the upstreams: a pool a worker and upstream.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::http::Uri;
use rustls::ClientConfig;

use super::http1::{Pool, Target};
use super::model_server::ModelServer;
use crate::roots::{self, NoRoots};

/// What all connections share: the certificates to trust, read once.
#[derive(Clone, Debug)]
pub struct Connections {
    tls: Option<Arc<ClientConfig>>,
}

/// No encrypted upstream can be trusted.
#[derive(Debug, thiserror::Error)]
#[error("upstreams: https cannot be used: {0}")]
pub struct TlsError(#[from] NoRoots);

impl Connections {
    /// Reads the system's certificates, if an upstream needs them.
    pub fn new(servers: &[Arc<ModelServer>]) -> Result<Self, TlsError> {
        if !servers.iter().any(|server| server.is_tls()) {
            return Ok(Self { tls: None });
        }
        Ok(Self { tls: Some(Arc::new(roots::client_config()?)) })
    }

    /// Returns the connections to one upstream, for the worker that calls; none to one that is no server.
    pub(super) fn pool(&self, server: &ModelServer) -> Option<Rc<Pool>> {
        let url: Uri = server.models_url().parse().ok()?;
        Some(Pool::new(Target::of(&url, self.tls.as_ref(), server.connect_timeout)?))
    }
}
