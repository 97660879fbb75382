//! Passes a stream on to the client, and ends it when its key ends.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use futures_util::Stream as _;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use crate::domain::usage::Tokens;
use crate::gate::Refusal;
use crate::http::ApiError;
use crate::http::exchange::{Certainty, Exchange};
use crate::upstream::EventStream;

/// How often a stream looks whether its key still lives and its upstream still speaks.
const LOOK: Duration = Duration::from_millis(400);

/// The body of a streamed answer.
pub(super) struct Relay {
    events: EventStream,
    exchange: Rc<Exchange>,
    look: Pin<Box<Interval>>,
    /// Tokens of the prompt, where the upstream does not tell.
    prompt: u64,
    state: State,
}

enum State {
    Running,
    /// The client is being told of an error.
    Telling,
    /// It was; the connection is closed, so that nobody takes the end for a complete answer.
    Closing,
}

/// Closes the connection; the client was told why.
#[derive(Debug, thiserror::Error)]
#[error("the stream ended early")]
struct EndedEarly;

impl Relay {
    pub(super) fn new(events: EventStream, exchange: Rc<Exchange>, prompt: u64) -> Self {
        let mut look = Box::pin(interval_at(tokio::time::Instant::now() + LOOK, LOOK));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        exchange.meter().stream(1);
        Self { events, exchange, look, prompt, state: State::Running }
    }

    /// Ends the stream with an event that tells why.
    fn fail(&mut self, error: &ApiError) -> Bytes {
        self.state = State::Telling;
        self.exchange.set_outcome(error.status().as_u16(), Some(error.code()));
        self.settle();
        format!("data: {}\n\n", error.body()).into()
    }

    /// Counts the exchange before the client sees its last event: it may ask again at once.
    fn settle(&self) {
        self.note_tokens();
        self.exchange.settle_with_next();
    }

    /// Only a complete stream tells its usage; what was told before may lag behind what was sent.
    fn note_tokens(&self) {
        match self.events.tokens() {
            Some(tokens) if self.events.is_done() => self.exchange.set_tokens(tokens, Certainty::Told),
            told => {
                let told = told.unwrap_or(Tokens { prompt: self.prompt, completion: 0 });
                let completion = told.completion.max(self.events.pieces());
                self.exchange.set_tokens(Tokens { completion, ..told }, Certainty::Estimated);
            }
        }
    }

    /// Polls the events, the key being looked at first every now and then, and the upstream where it has
    /// nothing to say: while a slow client held the events back, it had no chance to.
    fn poll_events(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ApiError>>> {
        let mut is_time = false;
        while self.look.as_mut().poll_tick(cx).is_ready() {
            is_time = true;
        }
        if is_time && self.exchange.is_over() {
            return Poll::Ready(Some(Err(gate_over())));
        }
        let next = Pin::new(&mut self.events).poll_next(cx).map_err(ApiError::from);
        if is_time
            && next.is_pending()
            && let Err(error) = self.events.check_silence()
        {
            return Poll::Ready(Some(Err(error.into())));
        }
        next
    }
}

/// What the key's next request would be told.
fn gate_over() -> ApiError {
    crate::gate::Refused::from(Refusal::InvalidKey).into()
}

impl MessageBody for Relay {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        match self.state {
            State::Closing => return Poll::Ready(Some(Err(EndedEarly.into()))),
            State::Telling => {
                // Once more around: what was written goes out before the connection closes.
                self.state = State::Closing;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            State::Running => {}
        }
        match self.poll_events(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(bytes))) => {
                if self.events.is_done() {
                    self.settle();
                }
                Poll::Ready(Some(Ok(bytes)))
            }
            Poll::Ready(Some(Err(error))) => {
                let event = self.fail(&error);
                Poll::Ready(Some(Ok(event)))
            }
            Poll::Ready(None) => Poll::Ready(None),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // A client that left in the middle: what it got until then was an estimate's worth.
        self.note_tokens();
        self.exchange.meter().stream(-1);
    }
}
