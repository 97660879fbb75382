//! An answer that comes event by event.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::web::Bytes;
use futures_util::Stream;
use serde::de::IgnoredAny;
use tokio::time::timeout;

use super::anthropic::{Progress, StreamFailure, StreamTranslator};
use super::error::UpstreamError;
use super::http1::Response;
use super::model_server::{ModelServer, Outcome};
use super::{collect, echo, openai, sse};
use crate::clock::Clock;
use crate::domain::usage::Tokens;

/// How long an upstream may take to end its answer behind the last event, for its connection to be kept.
const LONGEST_END: Duration = Duration::from_secs(1);
/// How much it may still send.
const MOST_BEHIND_END: usize = 64 * 1024;

/// A completion on its way: events in OpenAI's shape, passed on as they come, the last of them `[DONE]`.
///
/// It ends after `[DONE]`, or with an error; never in silence before.
pub struct EventStream {
    source: Source,
    splitter: sse::Splitter,
    reader: Reader,
    /// An error that came behind what was passed on last.
    failure: Option<UpstreamError>,
    ended: bool,
}

enum Source {
    /// It is made as it is read.
    Echo(echo::Events),
    /// Nothing more is wanted.
    Left,
    /// An upstream sends it; there is no response any more once it was read to its end.
    Upstream { response: Option<Response>, server: Arc<ModelServer>, clock: Clock, last: Duration },
}

/// Reads the events on their way through, in the upstream's language.
pub(super) enum Reader {
    OpenAi(openai::Reader),
    Anthropic(Translation),
}

/// A stream in Anthropic's words, being translated.
pub(super) struct Translation {
    translator: StreamTranslator,
    events: u64,
    done: bool,
}

impl EventStream {
    /// Returns the stream of an upstream's answer, whose head has come.
    pub(super) fn new(response: Response, server: Arc<ModelServer>, clock: Clock, reader: Reader) -> Self {
        let last = clock.steady();
        let source = Source::Upstream { response: Some(response), server, clock, last };
        Self { source, splitter: sse::Splitter::default(), reader, failure: None, ended: false }
    }

    /// Returns the stream of an echo.
    pub(super) fn echo(echo: echo::Echo, include_usage: bool) -> Self {
        let source = Source::Echo(echo.events());
        let reader = Reader::OpenAi(openai::Reader::new(include_usage));
        Self { source, splitter: sse::Splitter::default(), reader, failure: None, ended: false }
    }

    /// Tells whether `[DONE]` was passed on: the answer is complete.
    pub fn is_done(&self) -> bool {
        match &self.reader {
            Reader::OpenAi(reader) => reader.done,
            Reader::Anthropic(translation) => translation.done,
        }
    }

    /// Returns the usage that the upstream told so far.
    pub fn tokens(&self) -> Option<Tokens> {
        match &self.reader {
            Reader::OpenAi(reader) => reader.tokens,
            Reader::Anthropic(translation) => translation.translator.usage(),
        }
    }

    /// Returns how many pieces of text have come: about as many as tokens, where nothing better is told.
    pub fn pieces(&self) -> u64 {
        match &self.reader {
            Reader::OpenAi(reader) => reader.events,
            Reader::Anthropic(translation) => translation.events,
        }
    }

    /// Leaves the upstream: nothing more is wanted of it.
    pub fn leave(&mut self) {
        if !self.ended {
            self.note(Outcome::Cancelled);
        }
        self.source = Source::Left;
    }

    /// Tells whether nothing has come from the upstream for too long.
    pub fn is_silent(&self) -> bool {
        matches!(&self.source, Source::Upstream { server, clock, last, .. }
            if clock.steady().saturating_sub(*last) >= server.timeout)
    }

    /// Fails if the upstream has been silent for too long.
    pub fn check_silence(&mut self) -> Result<(), UpstreamError> {
        if self.is_silent()
            && let Source::Upstream { server, .. } = &self.source
        {
            tracing::warn!(upstream = server.name, "stopped sending in the middle of a stream");
            return Err(self.fail(Outcome::TimedOut, UpstreamError::Timeout));
        }
        Ok(())
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        match &mut self.source {
            Source::Echo(events) => Poll::Ready(events.next().map(Ok)),
            Source::Left => Poll::Ready(None),
            Source::Upstream { response, server, clock, last } => {
                let Some(body) = response else { return Poll::Ready(None) };
                match ready!(Pin::new(body).poll_next(cx)) {
                    None => {
                        *response = None;
                        Poll::Ready(None)
                    }
                    Some(Ok(chunk)) => {
                        *last = clock.steady();
                        Poll::Ready(Some(Ok(chunk)))
                    }
                    Some(Err(error)) => {
                        tracing::warn!(
                            upstream = server.name,
                            "broke off in the middle of a stream: {error}"
                        );
                        Poll::Ready(Some(Err(UpstreamError::Failed)))
                    }
                }
            }
        }
    }

    /// Returns what to pass on of a chunk; an error behind that is the next that is told.
    fn read(&mut self, chunk: Result<Bytes, UpstreamError>) -> Bytes {
        let whole = |chunk| self.splitter.push(chunk).map_err(|sse::TooLong| UpstreamError::Failed);
        match chunk.and_then(whole) {
            Ok(events) => self.read_events(&events),
            Err(error) => {
                self.failure = Some(error);
                Bytes::new()
            }
        }
    }

    fn read_events(&mut self, events: &Bytes) -> Bytes {
        let (passed, read) = self.reader.read(events);
        self.failure = read.err();
        passed
    }

    /// The upstream has ended. A last event may lack its blank line; without `[DONE]` it broke off.
    fn finish(&mut self) -> Bytes {
        let mut rest = self.splitter.finish().to_vec();
        let mut last = Bytes::new();
        if is_whole(&rest) {
            rest.extend_from_slice(b"\n\n");
            last = self.read_events(&rest.into());
        }
        if !self.is_done() && self.failure.is_none() {
            if let Source::Upstream { server, .. } = &self.source {
                tracing::warn!(upstream = server.name, "ended a stream without [DONE]");
            }
            self.failure = Some(UpstreamError::Failed);
        }
        last
    }

    fn fail(&mut self, outcome: Outcome, error: UpstreamError) -> UpstreamError {
        self.ended = true;
        self.note(outcome);
        match (error, &self.source) {
            (UpstreamError::FailedSaying(message), Source::Upstream { server, .. }) => {
                UpstreamError::FailedSaying(server.without_secrets(&message))
            }
            (error, _) => error,
        }
    }

    /// The answer is complete. Its connection can be kept for the next request once the body is read to its
    /// end, which mostly is there already; nobody waits for it if not.
    fn complete(&mut self, cx: &mut Context<'_>) {
        self.ended = true;
        self.note(Outcome::Answered);
        if let Source::Upstream { response, .. } = &mut self.source
            && let Some(mut rest) = response.take()
            && !matches!(Pin::new(&mut rest).poll_next(cx), Poll::Ready(None | Some(Err(_))))
        {
            actix_web::rt::spawn(read_to_end(rest));
        }
    }

    fn note(&self, outcome: Outcome) {
        if let Source::Upstream { server, clock, .. } = &self.source {
            server.note(outcome, clock.steady());
        }
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Stream for EventStream {
    type Item = Result<Bytes, UpstreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.ended {
            if let Some(error) = self.failure.take() {
                return Poll::Ready(Some(Err(self.fail(Outcome::Failed, error))));
            }
            let bytes = match ready!(self.poll_source(cx)) {
                Some(chunk) => self.read(chunk),
                None => self.finish(),
            };
            if self.is_done() {
                self.complete(cx);
            }
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(bytes)));
            }
        }
        Poll::Ready(None)
    }
}

/// Tells whether an event whose blank line never came is all there: half of one is none.
fn is_whole(event: &[u8]) -> bool {
    let is_json = |data: &[u8]| serde_json::from_slice::<IgnoredAny>(data).is_ok();
    sse::data(event).is_some_and(|data| *data == b"[DONE]"[..] || is_json(&data))
}

/// Reads what comes behind a stream's last event, a little of it and not for long.
async fn read_to_end(mut rest: Response) {
    let _ = timeout(LONGEST_END, collect(&mut rest, MOST_BEHIND_END, LONGEST_END)).await;
}

impl Reader {
    pub(super) fn anthropic(translator: StreamTranslator) -> Self {
        Self::Anthropic(Translation { translator, events: 0, done: false })
    }

    /// Reads whole events, up to an error among them; returns what to pass on.
    fn read(&mut self, events: &Bytes) -> (Bytes, Result<(), UpstreamError>) {
        match self {
            Self::OpenAi(reader) => {
                let (passed, read) = reader.read(events);
                (passed, read.map_err(|error| UpstreamError::FailedSaying(error.0)))
            }
            Self::Anthropic(translation) => {
                let mut translated = Vec::new();
                let read = translation.read(events, &mut translated);
                (translated.into(), read)
            }
        }
    }
}

impl Translation {
    fn read(&mut self, events: &[u8], translated: &mut Vec<u8>) -> Result<(), UpstreamError> {
        for data in sse::events(events).filter_map(sse::data) {
            let before = translated.len();
            match self.translator.event(&data, translated) {
                // Most of the frame around an answer has no chunk of its own.
                Ok(Progress::More) => self.events += u64::from(translated.len() > before),
                Ok(Progress::Done) => self.done = true,
                Err(StreamFailure::Upstream { message, .. }) => {
                    return Err(UpstreamError::FailedSaying(message));
                }
                Err(StreamFailure::Garbage) => return Err(UpstreamError::Failed),
            }
        }
        Ok(())
    }
}
