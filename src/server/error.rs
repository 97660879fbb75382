//! What can keep the server from starting: one line each, for the operator, saying what to change.

use std::io;
use std::path::PathBuf;

use crate::keys::{KeysError, StartError as LoadError};
use crate::store::{OpenError, StoreError};
use crate::upstream::{InvalidUpstream, TlsError};

/// Why the server did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It was told to stop before it answered.
    #[error("told to stop before it answered")]
    Stopped,
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// An upstream cannot be used as it is configured.
    #[error(transparent)]
    Upstream(#[from] InvalidUpstream),
    /// No certificates to trust upstreams by.
    #[error(transparent)]
    UpstreamTls(#[from] TlsError),
    /// An address cannot be listened on.
    #[error("{setting}: cannot listen on {address}: {cause}{hint}", hint = hint(cause))]
    Bind {
        /// The setting that names the address.
        setting: &'static str,
        /// The address.
        address: String,
        /// What the system says.
        cause: io::Error,
    },
    /// A socket that the service manager handed over cannot be used.
    #[error("socket activation: the socket `{name}`: {reason}")]
    Passed {
        /// What it is called.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or folder cannot be used.
    #[error("{setting}: cannot use {path}: {cause}", path = path.display())]
    File {
        /// The setting that names the file.
        setting: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The admin token's file holds no token.
    #[error("admin.token_file: {path} is empty: delete it, and the next start makes a new token", path = .0.display())]
    EmptyToken(PathBuf),
    /// A certificate or its key cannot be used.
    #[error("{setting}: cannot use {path}: {reason}", path = path.display())]
    Tls {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The keys cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The default key cannot be made.
    #[error("cannot make the default key: {0}")]
    DefaultKey(#[from] KeysError),
    /// What was kept cannot be read.
    #[error(transparent)]
    Restore(#[from] StoreError),
    /// The system has no randomness to give.
    #[error("the system has no randomness to give")]
    Randomness,
    /// The background writer cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The background writer did not end well.
    #[error("what was counted last could not be written: the last usage and used-up limits are missing")]
    Writer,
    /// The listeners cannot be served.
    #[error("cannot serve: {0}")]
    Serve(io::Error),
}

fn hint(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => ": stop the program that has it, or choose another",
        io::ErrorKind::PermissionDenied => ": ports below 1024 are root's; choose a higher one",
        io::ErrorKind::AddrNotAvailable => ": this machine has no such address",
        _ => "",
    }
}
