//! Connections to the upstreams: a pool a worker and upstream, without Nagle's delay.

use std::sync::Arc;
use std::time::Duration;

use actix_service::{Service, apply_fn};
use actix_tls::connect::{
    ConnectError, ConnectInfo, Connection, Connector as TcpConnector, ConnectorService,
};
use actix_web::http::Uri;
use awc::Connector;
use rustls::ClientConfig;
use tokio::net::TcpStream;

use super::model_server::{KEPT_IDLE, ModelServer};
use crate::roots::{self, NoRoots};

/// No connection lives longer, so that a changed address is noticed.
const LONGEST_LIFE: Duration = Duration::from_secs(600);

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

    /// Returns a client for one upstream, for the worker that calls.
    pub(super) fn client(&self, server: &ModelServer) -> awc::Client {
        let mut connector = Connector::new();
        if let Some(tls) = &self.tls {
            connector = connector.rustls_0_23(Arc::clone(tls));
        }
        let connector = connector
            .connector(without_delay())
            .timeout(server.connect_timeout)
            .handshake_timeout(server.connect_timeout)
            .conn_keep_alive(KEPT_IDLE)
            .conn_lifetime(LONGEST_LIFE)
            // How many requests may be in flight is for the keys' limits to say.
            .limit(0);
        awc::Client::builder()
            .connector(connector)
            .timeout(server.timeout)
            .disable_redirects()
            .no_default_headers()
            .finish()
    }
}

/// A plain TCP connection that sends each write at once: a stream's events may not wait for an acknowledgement.
fn without_delay()
-> impl Service<ConnectInfo<Uri>, Response = Connection<Uri, TcpStream>, Error = ConnectError> + Clone {
    let tcp = TcpConnector::default().service();
    apply_fn::<_, ConnectorService, _, _, _, ConnectInfo<Uri>, _, _>(
        tcp,
        |info: ConnectInfo<Uri>, tcp: &ConnectorService| {
            let connected = tcp.call(info);
            async move {
                let connection: Connection<Uri, TcpStream> = connected.await?;
                connection.io_ref().set_nodelay(true).map_err(ConnectError::Io)?;
                Ok(connection)
            }
        },
    )
}
