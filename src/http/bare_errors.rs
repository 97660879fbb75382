//! Gives the framework's own errors the shape of all others.
//!
//! What cannot be parsed as a request never reaches a handler: the HTTP layer answers it by itself, with a
//! status and no body. Such an answer is the only one without a request id, so that a connection can tell it
//! on its way out and say the same in the API's words.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::web::{Buf as _, Bytes};
use ring::rand::SystemRandom;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::request_id;
use crate::domain::alphabet;

/// A connection whose bare errors get a body.
#[derive(Debug)]
pub struct Connection<T> {
    io: T,
    /// What is left to write of a body that was given.
    given: Bytes,
}

impl<T> Connection<T> {
    /// Returns the connection over a socket.
    pub const fn new(io: T) -> Self {
        Self { io, given: Bytes::new() }
    }

    /// Returns the socket.
    pub const fn socket(&self) -> &T {
        &self.io
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

impl<T: AsyncRead + Unpin> AsyncRead for Connection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Connection<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_given(cx))?;
        match with_body(buf) {
            None => Pin::new(&mut self.io).poll_write(cx, buf),
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
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_given(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Returns the answer to send in place of a bare error; `None` for anything else.
fn with_body(answer: &[u8]) -> Option<Bytes> {
    let status = answer.strip_prefix(b"HTTP/1.1 4")?.get(..2)?;
    let (line, code, message) = match status {
        b"00" => ("400 Bad Request", "invalid_request", "This is no valid HTTP request"),
        b"08" => ("408 Request Timeout", "request_timeout", "The request did not come in time"),
        b"31" => (
            "431 Request Header Fields Too Large",
            "headers_too_large",
            "The request's head is too large: send fewer or shorter headers",
        ),
        _ => return None,
    };
    let has = |text: &str| memchr::memmem::find(answer, text.as_bytes()).is_some();
    if has(request_id::HEADER) || !has("content-length: 0\r\n") || !answer.ends_with(b"\r\n\r\n") {
        return None;
    }
    let error = json!({"code": code, "message": message, "type": "invalid_request_error"});
    let body = json!({"error": error}).to_string();
    let id: [u8; 20] = alphabet::random(&SystemRandom::new()).ok()?;
    let head = format!(
        "HTTP/1.1 {line}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\nx-request-id: req_{id}\r\n\r\n",
        length = body.len(),
        id = alphabet::as_str(&id),
    );
    Some((head + &body).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_errors_get_a_body() {
        let bare = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let cases = [
            (bare.to_owned(), true),
            (bare.replace("400 Bad Request", "431 Too Large"), true),
            (bare.replace("400 Bad Request", "408 Request Timeout"), true),
            (bare.replace("400 Bad Request", "404 Not Found"), false),
            (bare.replace("400 Bad Request", "200 OK"), false),
            (bare.replace("connection: close", "x-request-id: 1"), false),
            ("HTTP/1.1 400".to_owned(), false),
            ("{}".to_owned(), false),
        ];
        for (answer, replaced) in cases {
            assert_eq!(with_body(answer.as_bytes()).is_some(), replaced, "{answer}");
        }
    }
}
