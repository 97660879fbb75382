//! The sockets that the server listens on.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};

use super::StartError;
use crate::admin::Listeners;
use crate::config::Config;
use crate::store::folder::make_folder_of;

/// Every socket, bound.
pub(super) struct Sockets {
    pub(super) public: Vec<TcpListener>,
    pub(super) admin: TcpListener,
    pub(super) socket: UnixListener,
    pub(super) tls: Option<ServerConfig>,
}

/// Binds the TCP listeners; nothing is answered yet.
pub(super) fn tcp(config: &Config) -> Result<(Vec<TcpListener>, TcpListener), StartError> {
    let bind = |setting, address: SocketAddr| {
        bind_tcp(address).map_err(|cause| StartError::Bind { setting, address: address.to_string(), cause })
    };
    let public = config.server.listen.iter().map(|address| bind("server.listen", *address));
    Ok((public.collect::<Result<_, _>>()?, bind("admin.listen", config.admin.listen)?))
}

/// Fails if there is a file in the place of the admin socket, which must stay.
pub(super) fn check_place(config: &Config) -> Result<(), StartError> {
    let path = &config.admin.socket;
    match path.symlink_metadata() {
        Ok(file) if !file.file_type().is_socket() => Err(StartError::File {
            setting: "admin.socket",
            path: path.clone(),
            cause: ErrorKind::AlreadyExists.into(),
        }),
        _ => Ok(()),
    }
}

/// Fails if somebody answers on the admin socket.
pub(super) fn check_socket(config: &Config) -> Result<(), StartError> {
    match UnixStream::connect(&config.admin.socket) {
        Ok(_) => Err(unusable_socket(&config.admin.socket, ErrorKind::AddrInUse.into())),
        Err(_) => Ok(()),
    }
}

/// Binds the admin socket, mode 0660, in place of one that nobody answers on any more.
pub(super) fn socket(
    config: &Config,
    (public, admin): (Vec<TcpListener>, TcpListener),
    tls: Option<ServerConfig>,
) -> Result<Sockets, StartError> {
    let path = &config.admin.socket;
    let socket = bind_socket(path).map_err(|cause| unusable_socket(path, cause))?;
    Ok(Sockets { public, admin, socket, tls })
}

impl Sockets {
    /// Returns where the server listens, with the ports that the system chose where 0 was asked for.
    pub(super) fn listeners(&self, config: &Config) -> Listeners {
        let address = |listener: &TcpListener| listener.local_addr().expect("the socket is bound");
        Listeners {
            public: self.public.iter().map(address).collect(),
            admin: address(&self.admin),
            socket: config.admin.socket.clone(),
            tls: self.tls.is_some(),
        }
    }
}

fn unusable_socket(path: &Path, cause: io::Error) -> StartError {
    StartError::Bind { setting: "admin.socket", address: path.display().to_string(), cause }
}

/// Binds an address alone: `[::]` leaves IPv4 to `0.0.0.0`, so that both may be listened on.
fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart need not wait for the connections of the process before.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

fn bind_socket(path: &Path) -> io::Result<UnixListener> {
    make_folder_of(path)?;
    let bound = match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_abandoned(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(bound)
}

/// A socket that refuses connections was left by a process that is gone. So does any other file: that stays.
fn is_abandoned(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|file| file.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}
