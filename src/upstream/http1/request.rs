//! A request's head, made once, and a request on its way out.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, Uri};
use actix_web::web::{Buf as _, Bytes};
use tokio::io::AsyncWrite;

/// Pieces that are handed to the system at once.
const AT_ONCE: usize = 8;

/// A request, ready but for its body.
#[derive(Clone)]
pub struct Request {
    /// Up to the length of the body.
    head: Box<str>,
    has_body: bool,
}

/// What is still to be sent of a request.
pub(super) struct Unsent {
    head: Bytes,
    body: VecDeque<Bytes>,
    /// Whether nothing is left, and none of it waits in a buffer to be encrypted.
    pub(super) is_sent: bool,
}

impl Request {
    /// Returns a request with these headers; `None` if one of them is not ASCII, or the URL names no host.
    pub fn new(method: &Method, url: &Uri, headers: &[(HeaderName, HeaderValue)]) -> Option<Self> {
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}{port}\r\n", url.host()?);
        for (name, value) in headers {
            let _ = write!(head, "{name}: {}\r\n", value.to_str().ok()?);
        }
        let has_body = *method != Method::GET;
        head.push_str(if has_body { "content-length: " } else { "\r\n" });
        Some(Self { head: head.into(), has_body })
    }

    /// Returns the request with a body, ready to be sent.
    pub(super) fn with(&self, body: VecDeque<Bytes>) -> Unsent {
        if !self.has_body {
            return Unsent {
                head: Bytes::copy_from_slice(self.head.as_bytes()),
                body: VecDeque::new(),
                is_sent: false,
            };
        }
        let length: usize = body.iter().map(Bytes::len).sum();
        let mut head = String::with_capacity(self.head.len() + 24);
        head.push_str(&self.head);
        let _ = write!(head, "{length}\r\n\r\n");
        Unsent { head: head.into(), body, is_sent: false }
    }
}

impl Unsent {
    /// Tells whether all of it was written.
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty() && self.body.iter().all(Bytes::is_empty)
    }

    /// Writes as much as the connection takes, head and body in one go.
    pub(super) fn poll_write(
        &self,
        to: Pin<&mut impl AsyncWrite>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); AT_ONCE];
        let pieces = std::iter::once(&self.head).chain(&self.body).filter(|piece| !piece.is_empty());
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        to.poll_write_vectored(cx, &slices[..count])
    }

    pub(super) fn advance(&mut self, mut written: usize) {
        let of_head = written.min(self.head.len());
        self.head.advance(of_head);
        written -= of_head;
        while let Some(first) = self.body.front_mut() {
            let of_first = written.min(first.len());
            first.advance(of_first);
            written -= of_first;
            if !first.is_empty() {
                return;
            }
            self.body.pop_front();
        }
    }
}
