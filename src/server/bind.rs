//! The sockets that the server listens on.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use super::tls::Certificate;
use super::{Passed, StartError};
use crate::admin::Listeners;
use crate::config::Config;
use crate::store::folder::make_folder_of;

/// Every socket, bound.
pub(super) struct Sockets {
    pub(super) public: Vec<TcpListener>,
    pub(super) admin: TcpListener,
    pub(super) socket: UnixListener,
    /// Whether somebody else holds the public listener, and clients may wait there for the next process.
    pub(super) is_public_passed: bool,
    /// Whether the Unix socket's file is mcpd's own, to be removed at the end.
    pub(super) is_own_socket: bool,
    pub(super) certificate: Option<Arc<Certificate>>,
}

/// The TCP listeners.
pub(super) struct Tcp {
    public: Vec<TcpListener>,
    is_public_passed: bool,
    admin: TcpListener,
}

/// Binds the TCP listeners that were not handed over; nothing is answered yet.
pub(super) fn tcp(config: &Config, passed: &mut Passed) -> Result<Tcp, StartError> {
    let bind = |setting, address: SocketAddr| {
        bind_tcp(address).map_err(|cause| StartError::Bind { setting, address: address.to_string(), cause })
    };
    let mut public = std::mem::take(&mut passed.public);
    let is_public_passed = !public.is_empty();
    if public.is_empty() {
        let bound = config.server.listen.iter().map(|address| bind("server.listen", *address));
        public = bound.collect::<Result<_, _>>()?;
    } else {
        tell_difference("server.listen", &config.server.listen, &public);
    }
    let admin = match passed.admin.take() {
        Some(admin) => {
            tell_difference("admin.listen", &[config.admin.listen], std::slice::from_ref(&admin));
            admin
        }
        None => bind("admin.listen", config.admin.listen)?,
    };
    Ok(Tcp { public, is_public_passed, admin })
}

/// Warns if the service manager listens elsewhere than the configuration says.
fn tell_difference(setting: &str, configured: &[SocketAddr], passed: &[TcpListener]) {
    let configured: BTreeSet<_> = configured.iter().copied().collect();
    let passed: BTreeSet<_> = passed.iter().map(address).collect();
    if configured != passed {
        let [configured, passed] = [configured, passed]
            .map(|addresses| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        tracing::warn!(
            "{setting} says {configured}, but the service manager listens on {passed}, and that is used: \
             change one of them to the other"
        );
    }
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("the socket is bound")
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

/// Fails if somebody answers on the admin socket. The one that was handed over is nobody's yet.
pub(super) fn check_socket(config: &Config, passed: &Passed) -> Result<(), StartError> {
    if passed.socket.is_some() {
        return Ok(());
    }
    match UnixStream::connect(&config.admin.socket) {
        Ok(_) => Err(unusable_socket(&config.admin.socket, ErrorKind::AddrInUse.into())),
        Err(_) => Ok(()),
    }
}

/// Takes the admin socket that was handed over, or binds one, mode 0660, in place of one that nobody answers on any
/// more.
pub(super) fn socket(
    config: &Config,
    passed: Option<UnixListener>,
    Tcp { public, is_public_passed, admin }: Tcp,
    certificate: Option<Arc<Certificate>>,
) -> Result<Sockets, StartError> {
    let path = &config.admin.socket;
    let is_own_socket = passed.is_none();
    let socket = match passed {
        Some(socket) => socket,
        None => bind_socket(path).map_err(|cause| unusable_socket(path, cause))?,
    };
    if path_of(&socket).is_none_or(|bound| !is_same(&bound, path)) {
        tracing::warn!(
            "admin.socket says {}, but the service manager listens on another, and that is used: the command line \
             does not find it unless it is told the same",
            path.display()
        );
    }
    Ok(Sockets { public, admin, socket, is_public_passed, is_own_socket, certificate })
}

impl Sockets {
    /// Returns where the server listens, with the ports that the system chose where 0 was asked for.
    pub(super) fn listeners(&self, config: &Config) -> Listeners {
        Listeners {
            public: self.public.iter().map(address).collect(),
            admin: address(&self.admin),
            socket: path_of(&self.socket).unwrap_or_else(|| config.admin.socket.clone()),
            tls: self.certificate.is_some(),
        }
    }
}

fn path_of(socket: &UnixListener) -> Option<PathBuf> {
    socket.local_addr().ok()?.as_pathname().map(Path::to_owned)
}

/// Tells whether two paths, one of which may be relative, name one file.
fn is_same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
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
