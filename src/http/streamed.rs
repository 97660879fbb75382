//! A request's body that its handler reads as it comes.

use std::cell::RefCell;
use std::future::Future as _;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::Version;
use actix_web::web::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, Sleep, sleep};

use super::exchange::Exchange;
use super::public::Rooms;
use super::rounds::LOOK;
use super::signing::Checking;
use super::{ApiError, body, signing};

/// A body on its way in, its signature checked as it goes.
pub struct Streamed {
    pieces: Pieces,
    rooms: Rc<Rooms>,
    version: Version,
}

/// The pieces of a body as they come: the same ones for every clone.
#[derive(Clone)]
pub struct Pieces {
    source: Rc<RefCell<Source>>,
    exchange: Rc<Exchange>,
}

struct Source {
    payload: Payload,
    checking: Option<Box<Checking>>,
    read: u64,
    /// As many bytes are taken.
    most: u64,
    /// When a client that sends nothing is given up.
    patience: Instant,
    /// Wakes up now and then who waits for a piece, to look at the patience and the key.
    look: Pin<Box<Sleep>>,
    /// Why no more pieces come, where it is not the framework that knows.
    failure: Option<ApiError>,
}

impl Streamed {
    pub(super) fn new(
        payload: Payload,
        checking: Option<Box<Checking>>,
        exchange: Rc<Exchange>,
        rooms: Rc<Rooms>,
        version: Version,
    ) -> Self {
        let patience = Instant::now() + body::LONGEST_PAUSE;
        let look = Box::pin(sleep(LOOK));
        let source = Source { payload, checking, read: 0, most: u64::MAX, patience, look, failure: None };
        Self { pieces: Pieces { source: Rc::new(RefCell::new(source)), exchange }, rooms, version }
    }

    /// Returns the pieces of a body that is at most `most` bytes long.
    pub fn pieces(&self, most: u64) -> Pieces {
        self.pieces.source.borrow_mut().most = most;
        self.pieces.clone()
    }

    /// Returns why no more pieces came, where the pieces themselves could not say it.
    pub fn failure(&self) -> Option<ApiError> {
        self.pieces.source.borrow_mut().failure.take()
    }

    /// Reads what is left of the body and accepts its signature, if it has one. What was read means nothing
    /// before.
    pub async fn end(&self) -> Result<(), ApiError> {
        let mut pieces = self.pieces.clone();
        while let Some(piece) = pieces.next().await {
            piece.map_err(|error| self.failure().unwrap_or_else(|| body::broken(&error)))?;
        }
        let checking = self.pieces.source.borrow_mut().checking.take();
        match checking {
            Some(checking) => signing::accept(&self.rooms, &self.pieces.exchange, checking).await,
            None => Ok(()),
        }
    }

    /// Reads what is left of a body that was refused, as far as that helps the client to hear of it.
    pub async fn discard(&self) {
        if self.version == Version::HTTP_2 {
            let mut payload = std::mem::replace(&mut self.pieces.source.borrow_mut().payload, Payload::None);
            body::discard(&mut payload).await;
        }
    }
}

impl Source {
    fn poll(
        &mut self,
        exchange: &Exchange,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, PayloadError>>> {
        loop {
            if exchange.is_over() {
                return self.fail(ApiError::key_ended());
            }
            let next = self.poll_piece(cx);
            exchange.set_bytes_in(self.read);
            if next.is_ready() {
                return next;
            }
            ready!(self.look.as_mut().poll(cx));
            let now = Instant::now();
            if now >= self.patience {
                return self.fail(ApiError::RequestTimeout);
            }
            self.look.as_mut().reset(now + LOOK);
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        match Pin::new(&mut self.payload).poll_next(cx) {
            Poll::Ready(Some(Ok(piece))) => {
                self.patience = Instant::now() + body::LONGEST_PAUSE;
                self.read += piece.len() as u64;
                if self.read > self.most {
                    return self.fail(ApiError::too_large(self.most));
                }
                if let Some(checking) = &mut self.checking {
                    checking.update(&piece);
                }
                Poll::Ready(Some(Ok(piece)))
            }
            other => other,
        }
    }

    fn fail(&mut self, error: ApiError) -> Poll<Option<Result<Bytes, PayloadError>>> {
        self.failure = Some(error);
        Poll::Ready(Some(Err(PayloadError::Incomplete(None))))
    }
}

impl Stream for Pieces {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.source.borrow_mut().poll(&self.exchange, cx)
    }
}
