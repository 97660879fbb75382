//! `[admin]`: the listener and the socket for the operator.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::bounds::{address, path};
use super::error::{Fault, Problem};
use super::file::AdminFile;

/// The longest path of a Unix socket that Linux takes, in bytes.
const LONGEST_SOCKET_PATH: usize = 107;

/// The operator's way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The loopback address that serves `/admin/v1`, `/metrics` and the dashboard.
    pub listen: SocketAddr,
    /// The Unix socket that the command line speaks to.
    pub socket: PathBuf,
    /// The file that holds the admin token.
    pub token_file: PathBuf,
    /// Whether `/metrics` is served without the admin token.
    pub open_metrics: bool,
}

impl TryFrom<AdminFile> for Admin {
    type Error = Fault;

    fn try_from(file: AdminFile) -> Result<Self, Fault> {
        Ok(Self {
            listen: loopback(&file.listen)?,
            socket: socket(file.socket)?,
            token_file: path("admin.token_file", file.token_file)?,
            open_metrics: file.open_metrics,
        })
    }
}

fn loopback(text: &str) -> Result<SocketAddr, Fault> {
    let address = address("admin.listen", text)?;
    if !address.ip().is_loopback() {
        return Err(Fault::new("admin.listen", Problem::NotLoopback(address)));
    }
    Ok(address)
}

fn socket(text: String) -> Result<PathBuf, Fault> {
    let (most, found) = (LONGEST_SOCKET_PATH, text.len());
    if found > most {
        return Err(Fault::new("admin.socket", Problem::SocketPathTooLong { most, found }));
    }
    path("admin.socket", text)
}
