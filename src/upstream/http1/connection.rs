//! A connection to an upstream, plain or encrypted, and how it is made.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use actix_web::http::Uri;
use actix_web::web::BytesMut;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::alarm::Alarm;
use super::request::Unsent;

/// As much as is read at once: whole answers of most models, and several events of a stream.
const READ: usize = 8 * 1024;
/// As much as is read at once where more is known to come.
const READ_MORE: usize = 64 * 1024;

/// Where connections lead.
#[derive(Clone)]
pub struct Target {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// How long a connection may take, and its encryption again.
    patience: Duration,
}

/// No connection could be made.
#[derive(Debug, thiserror::Error)]
pub enum Connect {
    /// It took too long.
    #[error("it took no connection in {0:?}")]
    TimedOut(Duration),
    /// The name has no address, or nobody takes connections there.
    #[error("{0}")]
    Io(io::Error),
    /// It could not be encrypted, or the other side is not who it should be.
    #[error("no encrypted connection: {0}")]
    Tls(io::Error),
}

/// An open connection, and what was read from it and not looked at yet.
pub(super) struct Connection {
    io: Io,
    pub(super) read: BytesMut,
    pub(super) born: Instant,
    /// Goes off when a request has waited for long enough.
    pub(super) alarm: Alarm,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Target {
    /// Returns where a URL leads; `None` if it names no host, or needs encryption and `tls` says not how.
    pub fn of(url: &Uri, tls: Option<&Arc<ClientConfig>>, patience: Duration) -> Option<Self> {
        let host = url.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_tls = url.scheme_str() == Some("https");
        let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let tls = if is_tls {
            let name = ServerName::try_from(host.clone()).ok()?;
            Some((TlsConnector::from(Arc::clone(tls?)), name))
        } else {
            None
        };
        Some(Self { host, port, tls, patience })
    }

    pub(super) async fn connect(&self) -> Result<Connection, Connect> {
        let late = |_| Connect::TimedOut(self.patience);
        let tcp = timeout(self.patience, TcpStream::connect((self.host.as_str(), self.port)));
        let tcp = tcp.await.map_err(late)?.map_err(Connect::Io)?;
        // A stream's events may not wait for an acknowledgement.
        tcp.set_nodelay(true).map_err(Connect::Io)?;
        let io = match &self.tls {
            None => Io::Plain(tcp),
            Some((connector, name)) => {
                let tls = timeout(self.patience, connector.connect(name.clone(), tcp));
                Io::Tls(Box::new(tls.await.map_err(late)?.map_err(Connect::Tls)?))
            }
        };
        Ok(Connection { io, read: BytesMut::new(), born: Instant::now(), alarm: Alarm::default() })
    }
}

impl Connection {
    /// Tells whether nothing has come since the last answer: neither the connection's end, nor bytes that nobody
    /// asked for, which could be taken for the next answer. Costs no system call while nothing has come.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut nobody = Context::from_waker(Waker::noop());
        self.read.is_empty()
            && Pin::new(&mut self.io).poll_read(&mut nobody, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// Writes what is left of a request.
    pub(super) fn poll_send(
        &mut self,
        unsent: &mut Unsent<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !unsent.is_empty() {
            let written = ready!(unsent.poll_write(Pin::new(&mut self.io), cx))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            unsent.advance(written);
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        unsent.is_sent = true;
        Poll::Ready(Ok(()))
    }

    /// Reads more; returns how much has come, 0 at the connection's end. `expected` is how much is known to come.
    pub(super) fn poll_fill(&mut self, expected: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // What was handed on before is mostly let go of by now, and its room taken back.
        self.read.reserve(expected.clamp(READ, READ_MORE));
        tokio_util::io::poll_read_buf(Pin::new(&mut self.io), cx, &mut self.read)
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
