//! Passes a stream on to the client, and ends it when its key ends.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use futures_util::Stream as _;

use super::expand::Append;
use super::transcript::Transcript;
use crate::domain::usage::Tokens;
use crate::http::ApiError;
use crate::http::exchange::{Certainty, Exchange};
use crate::http::rounds::{Rounds, Watched};
use crate::upstream::EventStream;

/// The body of a streamed answer.
pub(super) struct Relay {
    stream: Rc<Running>,
    /// What is to be appended to a context once the answer is complete, and the answer until now.
    append: Option<(Append, Transcript)>,
    state: State,
}

/// A stream and its exchange: polled by the body, and looked after beside it.
struct Running {
    events: RefCell<EventStream>,
    exchange: Rc<Exchange>,
    /// Tokens of the prompt, where the upstream does not tell.
    prompt: u64,
    /// Who waits for the next event.
    waiting: RefCell<Option<Waker>>,
    /// Whether nothing had come for too long when it was last looked at.
    silent: Cell<bool>,
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
        rounds: &Rc<Rounds>,
    ) -> Self {
        exchange.meter().stream(1);
        let (events, waiting, silent) = (RefCell::new(events), RefCell::default(), Cell::new(false));
        let stream = Rc::new(Running { events, exchange, prompt, waiting, silent });
        let watched = Rc::downgrade(&stream);
        rounds.watch(watched);
        let append = append.map(|append| {
            let transcript = Transcript::new(append.most_bytes());
            (append, transcript)
        });
        Self { stream, append, state: State::Running }
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
        let mut events = self.stream.events.borrow_mut();
        if self.stream.exchange.is_over() && !events.is_done() {
            return Poll::Ready(Some(Err(ApiError::key_ended())));
        }
        let next = Pin::new(&mut *events).poll_next(cx).map_err(ApiError::from);
        if next.is_pending() {
            self.stream.wait(cx.waker());
            if self.stream.silent.take()
                && let Err(error) = events.check_silence()
            {
                return Poll::Ready(Some(Err(error.into())));
            }
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

    /// Notes who is to be woken.
    fn wait(&self, waker: &Waker) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *waiting = Some(waker.clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waiting.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// A stream ends with its key even while its client does not read, so that nobody polls it.
impl Watched for Running {
    fn look(&self) -> bool {
        let (is_done, is_silent) = (self.events.borrow().is_done(), self.events.borrow().is_silent());
        let is_over = self.exchange.is_over() && !is_done;
        if is_over {
            self.end_with_key();
        }
        self.silent.set(is_silent);
        if is_over || is_silent {
            self.wake();
        }
        !is_over && !is_done
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
