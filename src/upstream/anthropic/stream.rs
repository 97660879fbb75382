//! Turning a streamed answer of the Messages API into one of OpenAI's.

use super::Shape;
use super::chunk::{self, ChunkWriter};
use super::event::{Block, Delta, ErrorDetail, Event, Opening};
use super::openai::{self, ToolCall};
use super::usage::{Counts, Report};
use crate::domain::usage::Tokens;

/// What an event meant for the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to come.
    More,
    /// The answer is complete, and the client has been told so.
    Done,
}

/// Why a stream cannot be continued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamFailure {
    /// The upstream gave up on its answer.
    #[error("{kind}: {message}")]
    Upstream {
        /// The error's type, such as `overloaded_error`.
        kind: String,
        /// The message meant for people.
        message: String,
    },
    /// The upstream sent what the Messages API would not.
    #[error("the upstream's event is not one of the Messages API")]
    Garbage,
}

/// Translates the events of one stream, in the order they arrive.
pub struct StreamTranslator {
    shape: Shape,
    include_usage: bool,
    created: i64,
    phase: Phase,
    counts: Counts,
}

enum Phase {
    Waiting,
    Open(Answer),
    Done,
    Failed,
}

/// An answer that has begun and not yet ended.
struct Answer {
    chunks: ChunkWriter,
    calls: Vec<Call>,
    stop_reason: Option<String>,
}

/// A call of a tool; its position among the calls is its index for OpenAI.
struct Call {
    /// Its position among all blocks, which is its index for Anthropic.
    block: u64,
    has_arguments: bool,
}

impl StreamTranslator {
    /// Prepares for the stream of an answer made at `created`, in Unix seconds.
    #[must_use]
    pub fn new(shape: Shape, include_usage: bool, created: i64) -> Self {
        Self { shape, include_usage, created, phase: Phase::Waiting, counts: Counts::default() }
    }

    /// Translates the data of one event, appending complete OpenAI chunks to `out`.
    ///
    /// Once the stream is done or has failed, nothing more is ever written.
    ///
    /// # Errors
    ///
    /// Fails if the upstream reports an error, or sends an event that makes no sense
    /// or comes out of turn.
    pub fn event(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<Progress, StreamFailure> {
        if matches!(self.phase, Phase::Done) {
            return Ok(Progress::Done);
        }
        let progress = self.translate(data, out);
        match progress {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => self.phase = Phase::Done,
            Err(_) => self.phase = Phase::Failed,
        }
        progress
    }

    /// Returns the tokens reported so far, if any were.
    #[must_use]
    pub fn usage(&self) -> Option<Tokens> {
        self.counts.usage()
    }

    fn translate(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<Progress, StreamFailure> {
        let event = serde_json::from_slice(data).map_err(|_| StreamFailure::Garbage)?;
        match (event, &mut self.phase) {
            (Event::Error { error }, _) => return Err(error.into()),
            (Event::Other, Phase::Waiting | Phase::Open(_)) => {}
            (Event::MessageStart { message }, Phase::Waiting) => self.begin(message, out),
            (Event::ContentBlockStart { index, block }, Phase::Open(answer)) => {
                answer.begin_block(index, &block, out);
            }
            (Event::ContentBlockDelta { index, delta }, Phase::Open(answer)) => {
                answer.extend_block(index, &delta, out);
            }
            (Event::ContentBlockStop { index }, Phase::Open(answer)) => {
                answer.end_block(index, out);
            }
            (Event::MessageDelta { delta, usage }, Phase::Open(answer)) => {
                self.counts.update(usage);
                answer.stop_reason = delta.stop_reason.or(answer.stop_reason.take());
            }
            (Event::MessageStop, Phase::Open(answer)) => {
                let report = self.counts.report().filter(|_| self.include_usage);
                answer.end(report, out);
                return Ok(Progress::Done);
            }
            _ => return Err(StreamFailure::Garbage),
        }
        Ok(Progress::More)
    }

    fn begin(&mut self, message: Opening, out: &mut Vec<u8>) {
        self.counts.update(message.usage);
        let chunks =
            ChunkWriter { shape: self.shape, id: message.id, model: message.model, created: self.created };
        chunks.opening(out);
        self.phase = Phase::Open(Answer { chunks, calls: Vec::new(), stop_reason: None });
    }
}

impl Answer {
    fn begin_block(&mut self, index: u64, block: &Block, out: &mut Vec<u8>) {
        match block {
            Block::Text { text } => self.chunks.text(text, out),
            Block::ToolUse { id, name } => {
                let call = ToolCall::opening(self.calls.len(), id, name);
                self.chunks.tool_call(call, out);
                self.calls.push(Call { block: index, has_arguments: false });
            }
            Block::Other => {}
        }
    }

    fn extend_block(&mut self, index: u64, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Text { text } => self.chunks.text(text, out),
            Delta::InputJson { partial_json } => self.add_arguments(index, partial_json, out),
            Delta::Other => {}
        }
    }

    /// Spells out empty arguments, for which Anthropic sends nothing at all, a
    /// nothing that OpenAI's clients would try to parse.
    fn end_block(&mut self, index: u64, out: &mut Vec<u8>) {
        if let Some((_, call)) = self.call_of(index)
            && !call.has_arguments
        {
            self.add_arguments(index, "{}", out);
        }
    }

    /// Adds to the arguments of a call; those of the API's own tools are not for us.
    fn add_arguments(&mut self, index: u64, arguments: &str, out: &mut Vec<u8>) {
        if arguments.is_empty() {
            return;
        }
        if let Some((position, call)) = self.call_of(index) {
            call.has_arguments = true;
            self.chunks.tool_call(ToolCall::continued(position, arguments), out);
        }
    }

    fn call_of(&mut self, index: u64) -> Option<(usize, &mut Call)> {
        let mut calls = self.calls.iter_mut().enumerate();
        calls.rfind(|(_, call)| call.block == index)
    }

    fn end(&self, usage: Option<Report>, out: &mut Vec<u8>) {
        let reason = openai::finish_reason(self.stop_reason.as_deref());
        self.chunks.finish(reason, out);
        if let Some(usage) = usage {
            self.chunks.usage(usage, out);
        }
        chunk::done(out);
    }
}

impl From<ErrorDetail> for StreamFailure {
    fn from(error: ErrorDetail) -> Self {
        Self::Upstream { kind: error.kind, message: error.message }
    }
}

#[cfg(test)]
mod tests;
