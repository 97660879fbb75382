//! Passes a stream on to the client, and ends it when its key ends.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use futures_util::Stream as _;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::expand::Append;
use super::transcript::Transcript;
use crate::domain::usage::Tokens;
use crate::http::ApiError;
use crate::http::exchange::{Certainty, Exchange, LOOK};
use crate::upstream::EventStream;

/// The body of a streamed answer.
pub(super) struct Relay {
    stream: Rc<Running>,
    look: Pin<Box<Interval>>,
    /// What is to be appended to a context once the answer is complete, and the answer until now.
    append: Option<(Append, Transcript)>,
    state: State,
}

/// A stream and its exchange: polled by the body, and watched beside it.
struct Running {
    events: RefCell<EventStream>,
    exchange: Rc<Exchange>,
    /// Tokens of the prompt, where the upstream does not tell.
    prompt: u64,
}

enum State {
    Running,
    /// The answer is complete, and being appended to its context; the stream's last events wait for that.
    Appending(Pin<Box<dyn Future<Output = Result<(), ApiError>>>>, Bytes),
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
    pub(super) fn new(
        events: EventStream,
        exchange: Rc<Exchange>,
        prompt: u64,
        append: Option<Append>,
    ) -> Self {
        let mut look = Box::pin(interval_at(tokio::time::Instant::now() + LOOK, LOOK));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        exchange.meter().stream(1);
        let stream = Rc::new(Running { events: RefCell::new(events), exchange, prompt });
        actix_web::rt::spawn(end_with_key(Rc::downgrade(&stream)));
        let append = append.map(|append| {
            let transcript = Transcript::new(append.most_bytes());
            (append, transcript)
        });
        Self { stream, look, append, state: State::Running }
    }

    /// Ends the stream with an event that tells why.
    fn fail(&mut self, error: &ApiError) -> Bytes {
        self.state = State::Telling;
        self.stream.exchange.set_outcome(error.status().as_u16(), Some(error.code()));
        self.stream.settle_with_next();
        format!("data: {}\n\n", error.body()).into()
    }

    /// Polls the events of a key that still lives. An upstream is silent only if it has nothing to read: while
    /// a slow client held the events back, nobody listened.
    fn poll_events(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ApiError>>> {
        let mut is_time = false;
        while self.look.as_mut().poll_tick(cx).is_ready() {
            is_time = true;
        }
        let mut events = self.stream.events.borrow_mut();
        if self.stream.exchange.is_over() && !events.is_done() {
            return Poll::Ready(Some(Err(ApiError::key_ended())));
        }
        let next = Pin::new(&mut *events).poll_next(cx).map_err(ApiError::from);
        if is_time
            && next.is_pending()
            && let Err(error) = events.check_silence()
        {
            return Poll::Ready(Some(Err(error.into())));
        }
        next
    }
}

impl Relay {
    /// Polls the events; the last of them come once the answer is where it is to be appended.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ApiError>>> {
        loop {
            if let State::Appending(appending, last) = &mut self.state {
                let appended = ready!(appending.as_mut().poll(cx));
                let last = std::mem::take(last);
                self.state = State::Running;
                return Poll::Ready(Some(appended.map(|()| last)));
            }
            let next = ready!(self.poll_events(cx));
            let (Some(Ok(bytes)), Some((_, transcript))) = (&next, &mut self.append) else {
                return Poll::Ready(next);
            };
            transcript.read(bytes);
            if !self.stream.events.borrow().is_done() {
                return Poll::Ready(next);
            }
            let last = bytes.clone();
            let (append, transcript) = self.append.take().expect("it was there");
            let appending = async move { append.append(transcript.message()?).await };
            self.state = State::Appending(Box::pin(appending), last);
        }
    }
}

impl Running {
    /// Counts the exchange before the client sees its last event: it may ask again at once.
    fn settle_with_next(&self) {
        self.note_tokens();
        self.exchange.settle_with_next();
    }

    /// Only a complete stream tells its usage; what was told before may lag behind what was sent.
    fn note_tokens(&self) {
        let events = self.events.borrow();
        match events.tokens() {
            Some(tokens) if events.is_done() => self.exchange.set_tokens(tokens, Certainty::Told),
            told => {
                let told = told.unwrap_or(Tokens { prompt: self.prompt, completion: 0 });
                let completion = told.completion.max(events.pieces());
                self.exchange.set_tokens(Tokens { completion, ..told }, Certainty::Estimated);
            }
        }
    }

    /// Leaves the upstream and gives the permit back, whether or not anybody reads the stream.
    fn end_with_key(&self) {
        let error = ApiError::key_ended();
        self.exchange.set_outcome(error.status().as_u16(), Some(error.code()));
        self.note_tokens();
        self.events.borrow_mut().leave();
        self.exchange.settle();
    }
}

/// Ends a stream with its key, even while its client does not read, so that nobody polls it.
async fn end_with_key(stream: Weak<Running>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(stream) = stream.upgrade() else { return };
        if stream.exchange.is_over() && !stream.events.borrow().is_done() {
            return stream.end_with_key();
        }
    }
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
            State::Running | State::Appending(..) => {}
        }
        Poll::Ready(match ready!(self.poll_answer(cx)) {
            Some(Ok(bytes)) => {
                if self.stream.events.borrow().is_done() {
                    self.stream.settle_with_next();
                }
                Some(Ok(bytes))
            }
            Some(Err(error)) => Some(Ok(self.fail(&error))),
            None => None,
        })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // A client that left in the middle: what it got until then was an estimate's worth.
        self.stream.note_tokens();
        self.stream.exchange.meter().stream(-1);
    }
}
