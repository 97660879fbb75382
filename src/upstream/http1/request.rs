//! A request's head, made once, and a request on its way out.

use std::fmt::Write as _;
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, Uri};
use actix_web::web::Bytes;
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

/// A request, and how much of it was sent.
pub(super) struct Unsent<'a> {
    head: &'a str,
    /// The rest of the head: the body's length, and its end.
    length: Length,
    body: &'a [Bytes],
    /// Bytes that are still to be written, and those that were.
    left: usize,
    written: usize,
    /// Whether nothing is left, and none of it waits in a buffer to be encrypted.
    pub(super) is_sent: bool,
}

/// A number of at most 20 digits, and the end of a head.
#[derive(Default)]
struct Length {
    text: [u8; 24],
    end: usize,
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

    /// Returns the request with a body, ready to be sent; one that has none is sent without.
    pub(super) fn with<'a>(&'a self, body: &'a [Bytes]) -> Unsent<'a> {
        let body = if self.has_body { body } else { &[] };
        let in_body = body.iter().map(Bytes::len).sum();
        let length = if self.has_body { Length::of(in_body) } else { Length::default() };
        let left = self.head.len() + length.as_slice().len() + in_body;
        Unsent { head: &self.head, length, body, left, written: 0, is_sent: false }
    }
}

impl Length {
    fn of(length: usize) -> Self {
        let mut text = [0; 24];
        let mut rest = text.as_mut_slice();
        write!(rest, "{length}\r\n\r\n").expect("24 bytes take the longest number");
        let end = 24 - rest.len();
        Self { text, end }
    }

    fn as_slice(&self) -> &[u8] {
        &self.text[..self.end]
    }
}

impl Unsent<'_> {
    /// Tells whether all of it was written.
    pub(super) const fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Writes as much as the connection takes, head and body in one go.
    pub(super) fn poll_write(
        &self,
        to: Pin<&mut impl AsyncWrite>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); AT_ONCE];
        let head = [self.head.as_bytes(), self.length.as_slice()];
        let mut pieces = head.into_iter().chain(self.body.iter().map(AsRef::as_ref));
        let mut written = self.written;
        let unwritten = pieces.by_ref().filter_map(|piece: &[u8]| {
            let rest = &piece[written.min(piece.len())..];
            written -= piece.len() - rest.len();
            (!rest.is_empty()).then_some(rest)
        });
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(unwritten) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        to.poll_write_vectored(cx, &slices[..count])
    }

    pub(super) const fn advance(&mut self, written: usize) {
        self.written += written;
        self.left -= written;
    }
}
