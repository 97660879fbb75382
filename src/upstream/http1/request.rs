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

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;

    use super::*;

    /// Takes a few bytes at a time.
    struct Narrow {
        taken: Vec<u8>,
        most: usize,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let taken = buf.len().min(self.most);
            self.taken.extend_from_slice(&buf[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.to_vec()).take(self.most).collect();
            self.taken.extend_from_slice(&all);
            Poll::Ready(Ok(all.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    proptest! {
        #[test]
        fn a_request_goes_out_whole_however_little_is_taken_at_a_time(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..12),
            most in 1..200_usize,
            is_post in any::<bool>(),
        ) {
            let method = if is_post { Method::POST } else { Method::GET };
            let request = Request::new(&method, &"http://host:1/v1".parse().unwrap(), &[]).unwrap();
            let body: Vec<Bytes> = pieces.iter().cloned().map(Bytes::from).collect();
            let (mut unsent, mut to) = (request.with(&body), Narrow { taken: Vec::new(), most });
            let mut cx = Context::from_waker(Waker::noop());
            while !unsent.is_empty() {
                let Poll::Ready(Ok(written)) = unsent.poll_write(Pin::new(&mut to), &mut cx) else { panic!() };
                prop_assert!(written > 0);
                unsent.advance(written);
            }
            let content = pieces.concat();
            let mut expected = format!("{method} /v1 HTTP/1.1\r\nhost: host:1\r\n").into_bytes();
            if is_post {
                expected.extend(format!("content-length: {}\r\n\r\n", content.len()).bytes());
                expected.extend(content);
            } else {
                expected.extend(b"\r\n");
            }
            prop_assert_eq!(to.taken, expected);
        }
    }
}
