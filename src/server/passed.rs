//! Sockets that the service manager listens on and hands over, so that a restart refuses no connection.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
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
                    check_private(socket.as_ref()).map_err(wrong)?;
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

/// Whoever may connect to the admin socket may do everything: the permissions of its file are the only check.
fn check_private(socket: Option<&UnixListener>) -> Result<(), String> {
    let Some(Ok(address)) = socket.map(UnixListener::local_addr) else { return Ok(()) };
    let Some(path) = address.as_pathname() else {
        return Err(
            "it has no file, so that everybody may use it: give it a path in ListenStream=".to_owned()
        );
    };
    let file = path.metadata().map_err(|error| format!("{}: {error}", path.display()))?;
    if file.mode() & WRITE_FOR_OTHERS == 0 {
        return Ok(());
    }
    Err(format!(
        "every user of this machine may write to {}: give its unit SocketMode=0660 and SocketGroup=mcpd",
        path.display()
    ))
}

/// Who may write to a socket's file may connect.
const WRITE_FOR_OTHERS: u32 = 0o002;

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::SocketAddr;

    use super::*;

    #[test]
    fn an_admin_socket_that_everybody_may_use_is_refused() {
        let path = std::env::temp_dir().join(format!("mcpd-passed-{}.sock", std::process::id()));
        let socket = UnixListener::bind(&path).unwrap();
        for (mode, is_private) in
            [(0o660, true), (0o600, true), (0o755, true), (0o666, false), (0o602, false)]
        {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(check_private(Some(&socket)).is_ok(), is_private, "{mode:o}");
        }
        std::fs::remove_file(path).unwrap();
        let name = format!("mcpd-passed-{}", std::process::id());
        let socket = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
        assert!(check_private(Some(&socket)).unwrap_err().contains("everybody"));
    }
}
