//! Gives the framework's own errors the shape of all others.
//!
//! What cannot be parsed as a request never reaches a handler: the HTTP layer answers it by itself, with a
//! status and no body. Such an answer is the only one without a request id, so that a connection can tell it
//! on its way out and say the same in the API's words.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::web::{Buf as _, Bytes};
use ring::rand::SystemRandom;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::multiplexed::Multiplexed;
use super::request_id;
use super::turns::{Turns, Watch};
use crate::domain::alphabet;

/// A connection whose bare errors get a body.
#[derive(Debug)]
pub struct Connection<T> {
    io: T,
    /// How the answers on it end; `None` where errors are told in frames and need no help.
    tail: Option<Tail>,
    /// What is left to write where an error was given a body.
    given: Bytes,
    /// Whether the client makes use of its turns; on HTTP/2 nobody waits for another's.
    watch: Watch,
    /// What holds the client to its bounds on HTTP/2.
    multiplexed: Option<Multiplexed>,
}

/// Whether what was written last could be taken for a bare error and is an answer's own content.
///
/// Whoever writes content notes its pieces here.
#[derive(Clone, Debug, Default)]
pub struct Tail(Rc<Cell<bool>>);

impl Tail {
    /// Notes a piece of an answer's body that is to be written next.
    pub fn passed(&self, piece: &[u8]) {
        self.0.set(piece.ends_with(b"\r\n"));
    }

    /// Tells whether such a piece is written last, and not yet flushed.
    pub fn is_in_doubt(&self) -> bool {
        self.0.get()
    }
}

impl<T> Connection<T> {
    /// Returns the connection over a socket that speaks HTTP/1.1.
    pub fn http1(io: T) -> Self {
        let (tail, watch) = (Some(Tail::default()), Watch::default());
        Self { io, tail, given: Bytes::new(), watch, multiplexed: None }
    }

    /// Returns the connection over a socket that speaks HTTP/2, where the framework's errors are frames.
    pub fn http2(io: T) -> Self {
        let (watch, multiplexed) = (Watch::default(), Some(Multiplexed::default()));
        Self { io, tail: None, given: Bytes::new(), watch, multiplexed }
    }

    /// Returns the socket.
    pub const fn socket(&self) -> &T {
        &self.io
    }

    /// Returns where pieces of answers are noted.
    pub const fn tail(&self) -> Option<&Tail> {
        self.tail.as_ref()
    }

    /// Returns whose turn it is; answers take theirs here.
    pub fn turns(&self) -> &Turns {
        self.multiplexed.as_ref().map_or(&self.watch.turns, |multiplexed| &multiplexed.turns)
    }

    /// What to write in place of what the framework writes, where that is something else.
    fn in_place_of(&mut self, written: &[u8]) -> Option<Bytes> {
        match &mut self.multiplexed {
            Some(multiplexed) => multiplexed.settings(written),
            None => self.with_body(written),
        }
    }

    /// What to write in place of what ends in a bare error; `None` for anything else.
    fn with_body(&self, written: &[u8]) -> Option<Bytes> {
        let tail = self.tail.as_ref()?;
        if tail.is_in_doubt() { None } else { with_body(written) }
    }
}

impl<T: AsyncWrite + Unpin> Connection<T> {
    fn poll_given(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.given.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.given))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.given.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Connection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(multiplexed) = &mut self.multiplexed {
            ready!(multiplexed.poll_more(cx))?;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        let came = buf.filled().len() > before;
        if let Some(multiplexed) = &mut self.multiplexed {
            multiplexed.note_read(came);
            return read;
        }
        let Poll::Ready(has_begun) = self.watch.poll(came, cx) else { return read };
        if has_begun && let Some(answer) = in_shape(TIMED_OUT) {
            // As much of it as is taken: whoever is that slow may not even read.
            let _ = Pin::new(&mut self.io).poll_write(cx, answer.as_bytes())?;
            let _ = Pin::new(&mut self.io).poll_flush(cx)?;
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.watch.is_writing = true;
        ready!(self.poll_given(cx))?;
        match self.in_place_of(buf) {
            None => {
                let written = Pin::new(&mut self.io).poll_write(cx, buf);
                if let Some(multiplexed) = &mut self.multiplexed {
                    multiplexed.note_write(written.is_ready(), cx);
                }
                written
            }
            Some(answer) => {
                self.given = answer;
                // All of `buf` is taken; what does not go out now goes before the next write or flush ends.
                if let Poll::Ready(Err(error)) = self.poll_given(cx) {
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Ok(buf.len()))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_given(cx))?;
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.watch.is_writing = false;
        // The client's turn begins here, mostly: from now on it is looked at.
        let _ = self.watch.poll(false, cx);
        if let Some(tail) = &self.tail {
            tail.passed(b"");
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_given(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// What the framework says of a connection's first head, where it does not come in time.
const TIMED_OUT: &str = "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n";

/// The longest that a bare error is, in bytes: a status, a length, a date.
const LONGEST: usize = 256;

/// Returns what to write in place of what ends in a bare error: other answers may stand before it.
fn with_body(written: &[u8]) -> Option<Bytes> {
    if !written.ends_with(b"\r\n\r\n") {
        return None;
    }
    let tail = &written[written.len().saturating_sub(LONGEST)..];
    let bare = &tail[memchr::memmem::rfind(tail, b"HTTP/1.1 4")?..];
    let answer = in_shape(std::str::from_utf8(bare).ok()?)?;
    Some([&written[..written.len() - bare.len()], answer.as_bytes()].concat().into())
}

/// Says a bare error in the API's words; `None` if it is no such thing.
fn in_shape(bare: &str) -> Option<String> {
    let mut lines = bare.trim_end().split("\r\n");
    let (status, code, message) = match lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)? {
        "400" => ("400 Bad Request", "invalid_request", "This is no valid HTTP request"),
        "408" => ("408 Request Timeout", "request_timeout", "The request did not come in time"),
        "431" => (
            "431 Request Header Fields Too Large",
            "headers_too_large",
            "The request's head is too large: send fewer or shorter headers",
        ),
        _ => return None,
    };
    let (mut lengths, others): (Vec<&str>, Vec<&str>) = lines.partition(|line| *line == "content-length: 0");
    let bare = |line: &&str| line.starts_with("connection: ") || line.starts_with("date: ");
    if lengths.pop().is_none() || !others.iter().all(bare) {
        return None;
    }
    let error = json!({"code": code, "message": message, "type": "invalid_request_error"});
    let body = json!({"error": error}).to_string();
    let id: [u8; 20] = alphabet::random(&SystemRandom::new()).ok()?;
    Some(format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n{name}: req_{id}\r\n\r\n{body}",
        length = body.len(),
        name = request_id::HEADER,
        id = alphabet::as_str(&id),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-request-id: 1\r\n\r\n{}";

    #[test]
    fn only_bare_errors_get_a_body() {
        let cases = [
            (BARE.to_owned(), true),
            (BARE.replace("connection: close", "date: Mon, 23 Nov 2026 22:21:48 GMT"), true),
            (BARE.replace("400 Bad Request", "431 Too Large"), true),
            (BARE.replace("400 Bad Request", "408 Request Timeout"), true),
            (BARE.replace("400 Bad Request", "404 Not Found"), false),
            (BARE.replace("400 Bad Request", "200 OK"), false),
            (BARE.replace("connection: close", "x-request-id: 1"), false),
            (BARE.replace("content-length: 0", "content-length: 10"), false),
            (GOOD.to_owned() + BARE, true),
            (GOOD.repeat(20) + BARE, true),
            (BARE.to_owned() + GOOD, false),
            ("HTTP/1.1 400".to_owned(), false),
            ("{}".to_owned(), false),
        ];
        for (answer, replaced) in cases {
            assert_eq!(with_body(answer.as_bytes()).is_some(), replaced, "{answer}");
        }
    }

    #[test]
    fn what_stands_before_a_bare_error_is_kept() {
        let written = with_body((GOOD.to_owned() + BARE).as_bytes()).unwrap();
        let written = std::str::from_utf8(&written).unwrap();
        let error = written.strip_prefix(GOOD).unwrap();
        assert!(error.starts_with("HTTP/1.1 400 Bad Request\r\ncontent-type: application/json"), "{error}");
    }

    #[test]
    fn content_that_looks_like_a_bare_error_is_left_alone() {
        let connection = Connection::http1(());
        assert!(connection.with_body(BARE.as_bytes()).is_some());
        connection.tail().unwrap().passed(BARE.as_bytes());
        assert!(connection.with_body(BARE.as_bytes()).is_none());
        connection.tail().unwrap().passed(b"{}");
        assert!(connection.with_body(BARE.as_bytes()).is_some());
        assert!(Connection::http2(()).with_body(BARE.as_bytes()).is_none());
    }
}
