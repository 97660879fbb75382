//! A receiver of alerts that can go away and come back.

use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::Seen;
use super::upstream::{read_request, write_json};

/// Takes what is posted to it, and answers with the status that it is told to.
pub struct Receiver {
    pub address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    /// How it proves who it is, if it does.
    tls: Option<Arc<ServerConfig>>,
    stop: AtomicBool,
    status: AtomicU16,
    taken: Mutex<Vec<Seen>>,
    refused: Mutex<Vec<Seen>>,
}

impl Receiver {
    pub fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub fn start_at(address: SocketAddr) -> Self {
        Self::start_with(address, None)
    }

    /// Starts one that is asked over TLS, with the certificate `name.pem` and the key `name.key` of the folder.
    pub fn start_tls(folder: &Path, name: &str) -> Self {
        let file = |suffix: &str| folder.join(format!("{name}.{suffix}"));
        let certificate = CertificateDer::from_pem_file(file("pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(file("key")).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![certificate], key).unwrap();
        Self::start_with(SocketAddr::from(([127, 0, 0, 1], 0)), Some(Arc::new(config)))
    }

    fn start_with(address: SocketAddr, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let state = Arc::new(State {
            tls,
            stop: AtomicBool::new(false),
            status: AtomicU16::new(200),
            taken: Mutex::default(),
            refused: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            while !shared.stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((connection, _)) => shared.answer(connection),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
        Self { address, state, thread: Some(thread) }
    }

    /// A URL of it, with a path that nobody should see.
    pub fn url(&self) -> String {
        let scheme = if self.state.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/hidden-path?token=hidden-token", self.address)
    }

    pub fn answer_with(&self, status: u16) {
        self.state.status.store(status, Ordering::Relaxed);
    }

    /// What it answered with a 2xx.
    pub fn taken(&self) -> Vec<Seen> {
        self.state.taken.lock().unwrap().clone()
    }

    /// What it answered otherwise.
    pub fn refused(&self) -> Vec<Seen> {
        self.state.refused.lock().unwrap().clone()
    }

    /// The JSON of what it took.
    pub fn alerts(&self) -> Vec<Value> {
        self.taken().iter().map(Seen::json).collect()
    }
}

impl State {
    fn answer(&self, mut connection: TcpStream) {
        connection.set_nonblocking(false).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        match &self.tls {
            Some(tls) => {
                let session = ServerConnection::new(Arc::clone(tls)).unwrap();
                self.answer_on(&mut StreamOwned::new(session, connection));
            }
            None => self.answer_on(&mut connection),
        }
    }

    fn answer_on(&self, connection: &mut (impl Read + Write)) {
        let Some(seen) = read_request(&mut BufReader::new(&mut *connection)) else { return };
        let status = self.status.load(Ordering::Relaxed);
        let place = if (200..300).contains(&status) { &self.taken } else { &self.refused };
        place.lock().unwrap().push(seen);
        write_json(connection, status, &json!({}));
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
