//! Writing the chunks of a streamed OpenAI answer.

use super::openai::{Choice, Completion, Delta, Part, ToolCall};
use super::usage::Report;
use super::{Shape, write_json};

/// Writes chunks that all belong to one answer.
pub(super) struct ChunkWriter {
    pub shape: Shape,
    pub id: String,
    pub model: String,
    pub created: i64,
}

impl ChunkWriter {
    /// Writes who is speaking, which a text completion leaves unsaid.
    pub fn opening(&self, out: &mut Vec<u8>) {
        if self.shape == Shape::Chat {
            self.choice(Part::Delta(Delta::opening()), None, out);
        }
    }

    pub fn text(&self, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let part = match self.shape {
            Shape::Chat => Part::Delta(Delta::text(text)),
            Shape::Completion => Part::Text(text),
        };
        self.choice(part, None, out);
    }

    /// Writes a piece of a call, for which a text completion has no words.
    pub fn tool_call(&self, call: ToolCall, out: &mut Vec<u8>) {
        if self.shape == Shape::Chat {
            self.choice(Part::Delta(Delta::tool_call(call)), None, out);
        }
    }

    pub fn finish(&self, reason: &'static str, out: &mut Vec<u8>) {
        let part = match self.shape {
            Shape::Chat => Part::Delta(Delta::default()),
            Shape::Completion => Part::Text(""),
        };
        self.choice(part, Some(reason), out);
    }

    pub fn usage(&self, report: Report, out: &mut Vec<u8>) {
        self.chunk(&[], Some(report), out);
    }

    fn choice(&self, part: Part, finish_reason: Option<&'static str>, out: &mut Vec<u8>) {
        self.chunk(&[Choice::new(part, finish_reason)], None, out);
    }

    fn chunk(&self, choices: &[Choice], usage: Option<Report>, out: &mut Vec<u8>) {
        let object = match self.shape {
            Shape::Chat => "chat.completion.chunk",
            Shape::Completion => "text_completion",
        };
        let completion =
            Completion { id: &self.id, object, created: self.created, model: &self.model, choices, usage };
        out.extend_from_slice(b"data: ");
        write_json(&completion, out);
        out.extend_from_slice(b"\n\n");
    }
}

/// Writes the line that tells the client nothing more will follow.
pub(super) fn done(out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: [DONE]\n\n");
}
