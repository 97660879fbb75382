//! One request to one upstream, and what its answer means.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use serde::Deserialize;

use super::anthropic::StreamTranslator;
use super::body::Body;
use super::catalog::Offer;
use super::error::{Rejection, UpstreamError};
use super::http1::{Head, Response, SendError};
use super::model_server::{ModelServer, Outcome};
use super::pending::Pending;
use super::prepared::Prepared;
use super::stream::{EventStream, Reader};
use super::{Answer, Answered, Ask, Collect, Whole, anthropic, collect, echo, openai};
use crate::clock::Clock;
use crate::config::Kind;

/// The longest whole answer that is passed on.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;
/// As much of an error as is read.
const LONGEST_ERROR: usize = 256 * 1024;

/// What a request is made with.
pub(super) struct Attempt<'a> {
    /// None where the upstream is no server.
    pub requests: Option<&'a Prepared>,
    pub offer: &'a Offer,
    pub clock: &'a Clock,
    pub pending: Pending<'a>,
    pub request_id: &'a str,
}

/// Asks one upstream for a completion. `Unavailable` means that it was not reached and another may be asked.
pub(super) async fn complete(attempt: &Attempt<'_>, ask: &Ask) -> Result<Answered, UpstreamError> {
    match attempt.offer.server.kind {
        Kind::Echo => attempt.echo(ask),
        Kind::OpenAi => attempt.ask_openai(ask).await,
        // Larger than the other; boxed, so that this one's way is not as large.
        Kind::Anthropic => Box::pin(attempt.ask_anthropic(ask)).await,
    }
}

/// Asks an upstream for the ids of its models; `None`, with a line in the log, if it does not tell.
pub(super) async fn models(requests: &Prepared, server: &ModelServer, clock: &Clock) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct List {
        data: Vec<Model>,
    }
    #[derive(Deserialize)]
    struct Model {
        id: String,
    }
    // Listing models is no work for a server: do not wait for it as long as for an answer.
    let patience = server.timeout.min(Duration::from_secs(10));
    let pending = Pending::new(server, clock);
    pending.begin();
    let mut response = match requests.ask_for_models(patience).await {
        Ok(response) => response,
        Err(error) => {
            pending.note(outcome(&error));
            tracing::warn!(upstream = server.name, "cannot be asked for its models: {error}");
            return None;
        }
    };
    let body = match collect(&mut response, LONGEST_ERROR * 16, patience).await {
        Ok(body) => body,
        Err(error) => {
            let (outcome, what) = match error {
                Collect::TimedOut => (Outcome::TimedOut, "stopped in the middle".to_owned()),
                Collect::Broken(error) => (Outcome::Failed, format!("broke off: {error}")),
                Collect::TooLong => (Outcome::Failed, "is longer than 4 MiB".to_owned()),
            };
            pending.note(outcome);
            tracing::warn!(upstream = server.name, "its list of models {what}");
            return None;
        }
    };
    let list = serde_json::from_slice::<List>(&body);
    let (true, Ok(list)) = (is_success(&response), list) else {
        pending.note(Outcome::Failed);
        tracing::warn!(upstream = server.name, status = response.head.status, "does not list its models");
        return None;
    };
    pending.note(Outcome::Answered);
    Some(list.data.into_iter().map(|model| model.id).collect())
}

impl Attempt<'_> {
    fn echo(&self, ask: &Ask) -> Result<Answered, UpstreamError> {
        let created = self.clock.now().wall.as_seconds();
        let echo = echo::Echo::answer(ask, self.request_id, created).map_err(UpstreamError::Invalid)?;
        self.note(Outcome::Answered);
        let answer = if ask.stream {
            Answer::Stream(Box::new(EventStream::echo(echo, ask.include_usage)))
        } else {
            Answer::Whole(Whole { body: echo.whole().into(), tokens: Some(echo.tokens) })
        };
        Ok(Answered { answer, ignored: Vec::new() })
    }

    async fn ask_openai(&self, ask: &Ask) -> Result<Answered, UpstreamError> {
        let server = &self.offer.server;
        let ask_usage = server.tells_stream_usage(&self.offer.name);
        let mut response = self.send(ask, ask.body_for(&self.offer.name, ask_usage)).await?;
        if !is_success(&response) {
            let added_options = ask.stream && ask_usage && !ask.include_usage;
            response = Box::pin(self.ask_again(ask, response, added_options)).await?;
        }
        let answer = if ask.stream {
            self.stream(response, Reader::OpenAi(openai::Reader::new(ask.include_usage)))?
        } else {
            let body = self.collect(&mut response).await?;
            let tokens = openai::read_answer(&body).ok_or_else(|| self.garbage("is no JSON object"))?;
            Answer::Whole(Whole { body, tokens })
        };
        Ok(self.answered(answer, Vec::new()))
    }

    /// Asks again without the options, if they were added for mcpd's own sake and refused; fails with the refusal if not.
    async fn ask_again(
        &self,
        ask: &Ask,
        mut refused: Response,
        added_options: bool,
    ) -> Result<Response, UpstreamError> {
        let error = self.error_body(&mut refused).await?;
        if !(added_options && memchr::memmem::find(&error, b"stream_options").is_some()) {
            return Err(self.refused(&refused, &error));
        }
        // It does not know what was added, or quotes it in an error about something else: remember only what helped.
        let mut response = self.send(ask, ask.body_for(&self.offer.name, false)).await?;
        if !is_success(&response) {
            let error = self.error_body(&mut response).await?;
            return Err(self.refused(&response, &error));
        }
        self.offer.server.note_refused_stream_options(&self.offer.name);
        Ok(response)
    }

    async fn ask_anthropic(&self, ask: &Ask) -> Result<Answered, UpstreamError> {
        let translated = anthropic::request(ask.shape, &ask.body, &self.offer.name)
            .map_err(|invalid| UpstreamError::Invalid(invalid.to_string()))?;
        let mut response = self.send(ask, translated.body.into()).await?;
        if !is_success(&response) {
            let error = self.error_body(&mut response).await?;
            return Err(self.refused(&response, &error));
        }
        let created = self.clock.now().wall.as_seconds();
        let answer = if ask.stream {
            let translator = StreamTranslator::new(ask.shape, ask.include_usage, created);
            self.stream(response, Reader::anthropic(translator))?
        } else {
            let body = self.collect(&mut response).await?;
            let (body, tokens) = anthropic::answer(ask.shape, &body, created)
                .map_err(|_| self.garbage("is no message of the Messages API"))?;
            Answer::Whole(Whole { body: body.into(), tokens: Some(tokens) })
        };
        Ok(self.answered(answer, translated.ignored))
    }

    async fn send(&self, ask: &Ask, body: Body) -> Result<Response, UpstreamError> {
        let server = &self.offer.server;
        let Some(requests) = self.requests else { return Err(UpstreamError::Unavailable) };
        self.pending.begin();
        requests.send(ask, &body, server.timeout).await.map_err(|error| {
            let outcome = outcome(&error);
            self.note(outcome);
            match outcome {
                Outcome::TimedOut => {
                    tracing::warn!(upstream = server.name, "did not answer: {error}");
                    UpstreamError::Timeout
                }
                Outcome::Unreachable => {
                    tracing::warn!(upstream = server.name, "cannot be reached: {error}");
                    UpstreamError::Unavailable
                }
                _ => {
                    tracing::warn!(upstream = server.name, "{error}");
                    UpstreamError::Failed
                }
            }
        })
    }

    fn stream(&self, response: Response, reader: Reader) -> Result<Answer, UpstreamError> {
        if !response.head.is_event_stream {
            return Err(self.garbage("is no event stream, though one was asked for"));
        }
        self.pending.hand_over();
        let (server, clock) = (Arc::clone(&self.offer.server), self.clock.clone());
        Ok(Answer::Stream(Box::new(EventStream::new(response, server, clock, reader))))
    }

    async fn collect(&self, response: &mut Response) -> Result<Bytes, UpstreamError> {
        collect(response, LONGEST_ANSWER, self.offer.server.timeout).await.map_err(|error| match error {
            Collect::TimedOut => {
                self.note(Outcome::TimedOut);
                tracing::warn!(
                    upstream = self.offer.server.name,
                    "stopped sending in the middle of an answer"
                );
                UpstreamError::Timeout
            }
            Collect::Broken(error) => self.garbage(&format!("broke off: {error}")),
            Collect::TooLong => self.garbage("is longer than 64 MiB"),
        })
    }

    /// Reads an error's body, as much of it as makes sense; one cut short still has its status.
    async fn error_body(&self, response: &mut Response) -> Result<Bytes, UpstreamError> {
        match collect(response, LONGEST_ERROR, self.offer.server.timeout).await {
            Ok(body) => Ok(body),
            Err(Collect::TooLong | Collect::Broken(_)) => Ok(Bytes::new()),
            Err(Collect::TimedOut) => {
                self.note(Outcome::TimedOut);
                Err(UpstreamError::Timeout)
            }
        }
    }

    fn answered(&self, answer: Answer, ignored: Vec<String>) -> Answered {
        // A stream is noted when it ends.
        if matches!(answer, Answer::Whole(_)) {
            self.note(Outcome::Answered);
        }
        Answered { answer, ignored }
    }

    /// Tells the client's mistakes, which it may see, from the operator's and the upstream's own.
    fn refused(&self, response: &Response, body: &[u8]) -> UpstreamError {
        let Head { status, retry_after, .. } = response.head;
        let openai::ErrorBody { message, code } = openai::read_error(body);
        let clean = |text: String| self.offer.server.without_secrets(&text);
        let (message, code) = (message.map(clean), code.map(clean));
        if matches!(status, 400 | 404 | 413 | 422 | 429) {
            self.note(Outcome::Rejected);
            return UpstreamError::Rejected(Rejection { status, message, code, retry_after });
        }
        self.note(Outcome::Failed);
        let message: String = message.unwrap_or_default().chars().take(300).collect();
        let hint = match status {
            401 | 403 => "; check its api_key in the configuration",
            _ => "",
        };
        tracing::warn!(upstream = self.offer.server.name, status, "answered with an error: {message}{hint}",);
        UpstreamError::Failed
    }

    fn garbage(&self, what: &str) -> UpstreamError {
        self.note(Outcome::Failed);
        tracing::warn!(upstream = self.offer.server.name, "its answer {what}");
        UpstreamError::Failed
    }

    fn note(&self, outcome: Outcome) {
        self.pending.note(outcome);
    }
}

const fn outcome(error: &SendError) -> Outcome {
    match error {
        SendError::Late(_) => Outcome::TimedOut,
        SendError::Connect(_) => Outcome::Unreachable,
        _ => Outcome::Failed,
    }
}

fn is_success(response: &Response) -> bool {
    (200..300).contains(&response.head.status)
}
