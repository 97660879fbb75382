//! The HTTP/1.1 client towards upstreams (RFC 9110, RFC 9112): what a gateway needs of one, and nothing else.
//!
//! One pool of connections for each worker and upstream; requests with a body of known length; of an answer's head
//! only what mcpd reads. Whatever is ambiguous in an answer's framing is an error, and a connection is kept only if
//! everything on it was understood. A library's client took a third of the CPU time of a proxied request: see
//! `docs/performance.md`.

mod alarm;
pub mod chunked;
mod connection;
pub mod head;
mod pool;
mod request;
mod response;

pub use connection::{Connect, Target};
pub use head::{Head, Malformed};
pub use pool::Pool;
pub use request::Request;
pub use response::{Broken, Response};

use std::io;
use std::time::Duration;

/// No answer came.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection could be made; nothing was sent.
    #[error("{0}")]
    Connect(#[from] Connect),
    /// The upstream closed the connection, or reset it, before any of its answer.
    #[error("it hung up")]
    HungUp,
    /// Its answer did not begin in time.
    #[error("nothing came in {0:?}")]
    Late(Duration),
    /// The connection broke off in the middle of an answer's head.
    #[error("its answer broke off: {0}")]
    Broken(io::Error),
    /// What came is no answer.
    #[error("its answer cannot be read: {0}")]
    Malformed(#[from] Malformed),
}
