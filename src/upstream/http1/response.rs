//! An answer whose head has come; its body comes piece by piece.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::web::Bytes;
use futures_util::Stream;

use super::chunked::Decoder;
use super::connection::Connection;
use super::head::{Framing, Head, Malformed};
use super::pool::Pool;

/// An answer. Dropped before its body has ended, it closes its connection: the upstream need not go on.
pub struct Response {
    /// Its head.
    pub head: Head,
    /// None once the body has ended.
    connection: Option<Connection>,
    body: Body,
    /// Where the connection is kept after that; none if it cannot be.
    pool: Option<Rc<Pool>>,
}

enum Body {
    /// So much is still to come.
    Length(u64),
    Chunked(Decoder),
    /// All that comes.
    Close,
}

/// A body that broke off.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The connection ended before the body.
    #[error("the connection ended too early")]
    Ended,
    /// The connection failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The body is not framed as it should be.
    #[error("{0}")]
    Malformed(#[from] Malformed),
}

impl Response {
    pub(super) fn new(head: Head, connection: Connection, pool: Option<Rc<Pool>>) -> Self {
        let body = match head.framing {
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(Decoder::default()),
            Framing::Close => Body::Close,
        };
        let mut response = Self { head, connection: Some(connection), body, pool };
        if matches!(response.body, Body::Length(0)) {
            response.end();
        }
        response
    }

    /// The body has ended: its connection is free.
    fn end(&mut self) {
        if let (Some(connection), Some(pool)) = (self.connection.take(), self.pool.take())
            // Whatever stands behind an answer was not asked for.
            && connection.read.is_empty()
        {
            pool.keep(connection);
        }
    }

    /// Returns the body's next piece, if one was read already.
    fn next_read(&mut self) -> Result<Option<Bytes>, Malformed> {
        let Some(connection) = &mut self.connection else { return Ok(None) };
        let read = &mut connection.read;
        let (piece, is_ended) = match &mut self.body {
            Body::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(read.len());
                *left -= length as u64;
                (read.split_to(length).freeze(), *left == 0)
            }
            Body::Chunked(decoder) => (decoder.read(read)?, decoder.is_ended()),
            Body::Close => (read.split().freeze(), false),
        };
        if is_ended {
            self.end();
        }
        Ok((!piece.is_empty()).then_some(piece))
    }

    fn expected(&self) -> usize {
        match &self.body {
            Body::Length(left) => usize::try_from(*left).unwrap_or(usize::MAX),
            Body::Chunked(decoder) => decoder.expected(),
            Body::Close => 0,
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        loop {
            if let Some(piece) = self.next_read()? {
                return Poll::Ready(Some(Ok(piece)));
            }
            let expected = self.expected();
            let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
            match ready!(connection.poll_fill(expected, cx)) {
                Ok(0) => {
                    self.connection = None;
                    let is_whole = matches!(self.body, Body::Close);
                    return Poll::Ready((!is_whole).then_some(Err(Broken::Ended)));
                }
                Ok(_) => {}
                Err(error) => {
                    self.connection = None;
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
        }
    }

    /// Returns the body's next piece; `None` at its end.
    pub async fn piece(&mut self) -> Option<Result<Bytes, Broken>> {
        poll_fn(|cx| self.poll_piece(cx)).await
    }
}

impl Stream for Response {
    type Item = Result<Bytes, Broken>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_piece(cx)
    }
}
