//! `[server]`: the public listener.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::bounds::{address, path, seconds, within};
use super::error::{Fault, Problem};
use super::file::{ServerFile, TlsFile};
use crate::domain::network::Networks;

const MOST_JSON_BYTES: i64 = 1024 * 1024 * 1024;

/// The public listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The addresses that serve `/v1`, at least one.
    pub listen: Vec<SocketAddr>,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Networks,
    /// The certificate to serve HTTPS with; `None` is plain HTTP.
    pub tls: Option<Tls>,
    /// The number of worker threads; `None` is one per CPU.
    pub workers: Option<NonZeroUsize>,
    /// The largest JSON body that is read, in bytes.
    pub max_json_bytes: usize,
    /// How long answers may take to finish once the server was told to stop.
    pub shutdown_grace: Duration,
}

/// A certificate and its private key, both in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The file of the certificate, followed by its intermediates.
    pub cert: PathBuf,
    /// The file of the private key.
    pub key: PathBuf,
}

impl TryFrom<ServerFile> for Server {
    type Error = Fault;

    fn try_from(file: ServerFile) -> Result<Self, Fault> {
        let workers = file.workers.map(|workers| within("server.workers", workers, 1..=1024)).transpose()?;
        Ok(Self {
            listen: listen(&file.listen)?,
            trusted_proxies: trusted_proxies(&file.trusted_proxies)?,
            tls: tls(file.tls)?,
            workers: workers.and_then(NonZeroUsize::new),
            max_json_bytes: within("server.max_json_bytes", file.max_json_bytes, 1..=MOST_JSON_BYTES)?,
            shutdown_grace: seconds("server.shutdown_grace_seconds", file.shutdown_grace_seconds, 0..=3600)?,
        })
    }
}

fn listen(addresses: &[String]) -> Result<Vec<SocketAddr>, Fault> {
    if addresses.is_empty() {
        return Err(Fault::new("server.listen", Problem::Empty));
    }
    addresses.iter().map(|text| address("server.listen", text)).collect()
}

fn trusted_proxies(networks: &[String]) -> Result<Networks, Fault> {
    Networks::parse(networks.iter().map(String::as_str))
        .map_err(|error| Fault::new("server.trusted_proxies", error))
}

fn tls(file: TlsFile) -> Result<Option<Tls>, Fault> {
    match (file.cert, file.key) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(Fault::new("server.tls.key", Problem::HalfOfTls)),
        (None, Some(_)) => Err(Fault::new("server.tls.cert", Problem::HalfOfTls)),
        (Some(cert), Some(key)) => {
            Ok(Some(Tls { cert: path("server.tls.cert", cert)?, key: path("server.tls.key", key)? }))
        }
    }
}
