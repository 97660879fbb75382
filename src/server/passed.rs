//! Sockets that the service manager listens on and hands over, so that a restart refuses no connection.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

use super::StartError;

/// The sockets that were handed over, by what they are for.
#[derive(Debug, Default)]
pub struct Passed {
    /// In place of `server.listen`.
    pub(super) public: Vec<TcpListener>,
    /// In place of `admin.listen`.
    pub(super) admin: Option<TcpListener>,
    /// In place of `admin.socket`.
    pub(super) socket: Option<UnixListener>,
}

impl Passed {
    /// Takes what the environment names, as systemd does it: `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`. To be
    /// called once, before any thread is started. Fails if there is a socket that nobody would answer on.
    pub fn take() -> Result<Self, StartError> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut given = ListenFd::from_env();
        let mut names = names.split(':');
        let mut passed = Self::default();
        for index in 0..given.len() {
            let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unknown");
            let wrong = |reason: String| StartError::Passed { name: name.to_owned(), reason };
            let unusable = |error: std::io::Error| wrong(format!("it cannot be used: {error}"));
            let is_new = match name {
                "public" => {
                    passed.public.extend(given.take_tcp_listener(index).map_err(unusable)?);
                    true
                }
                "admin" => {
                    let socket = given.take_tcp_listener(index).map_err(unusable)?;
                    check_loopback(socket.as_ref()).map_err(wrong)?;
                    std::mem::replace(&mut passed.admin, socket).is_none()
                }
                "admin-socket" => {
                    let socket = given.take_unix_listener(index).map_err(unusable)?;
                    std::mem::replace(&mut passed.socket, socket).is_none()
                }
                _ => return Err(wrong(UNKNOWN.to_owned())),
            };
            if !is_new {
                return Err(wrong(
                    "there are two of it, and one is answered on: remove the other".to_owned(),
                ));
            }
        }
        Ok(passed)
    }
}

const UNKNOWN: &str = "nobody would answer on it: give the socket unit FileDescriptorName=public, admin or admin-socket, \
     with a unit for each";

/// The admin API is for this machine alone, whoever listens for it.
fn check_loopback(socket: Option<&TcpListener>) -> Result<(), String> {
    match socket.map(TcpListener::local_addr) {
        Some(Ok(address)) if !address.ip().to_canonical().is_loopback() => {
            Err(format!("it must be on a loopback address, not on {address}: change its ListenStream="))
        }
        _ => Ok(()),
    }
}
