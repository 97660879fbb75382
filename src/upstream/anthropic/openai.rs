//! The answers OpenAI's clients expect, whole and in chunks.

use serde::Serialize;

use super::usage::Report;

/// An answer, or one chunk of it.
#[derive(Serialize)]
pub(super) struct Completion<'a> {
    pub id: &'a str,
    pub object: &'static str,
    pub created: i64,
    pub model: &'a str,
    pub choices: &'a [Choice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Report>,
}

/// The only choice there ever is: the Messages API answers once.
#[derive(Serialize)]
pub(super) struct Choice<'a> {
    index: u8,
    #[serde(flatten)]
    part: Part<'a>,
    /// Always null, but a field OpenAI promises to send.
    logprobs: (),
    finish_reason: Option<&'static str>,
}

impl<'a> Choice<'a> {
    pub fn new(part: Part<'a>, finish_reason: Option<&'static str>) -> Self {
        Self { index: 0, part, logprobs: (), finish_reason }
    }
}

/// What a choice holds; the variant's name is the field's.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part<'a> {
    Message(Message<'a>),
    Delta(Delta<'a>),
    Text(&'a str),
}

impl<'a> Part<'a> {
    /// Builds a message, whose content is null if it does nothing but call tools.
    pub fn message(text: &'a str, tool_calls: Vec<ToolCall<'a>>) -> Self {
        let only_calls = text.is_empty() && !tool_calls.is_empty();
        Self::Message(Message {
            role: "assistant",
            content: (!only_calls).then_some(text),
            refusal: (),
            tool_calls,
        })
    }
}

/// What the model said in a whole chat answer.
#[derive(Serialize)]
pub(super) struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    /// Always null, but a field OpenAI promises to send.
    refusal: (),
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
}

/// What one chunk adds to a chat answer.
#[derive(Default, Serialize)]
pub(super) struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[ToolCall<'a>; 1]>,
}

impl<'a> Delta<'a> {
    pub fn opening() -> Self {
        Self { role: Some("assistant"), content: Some(""), tool_calls: None }
    }

    pub fn text(text: &'a str) -> Self {
        Self { content: Some(text), ..Self::default() }
    }

    pub fn tool_call(call: ToolCall<'a>) -> Self {
        Self { tool_calls: Some([call]), ..Self::default() }
    }
}

/// A call of a tool, or one piece of it.
#[derive(Serialize)]
pub(super) struct ToolCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

impl<'a> ToolCall<'a> {
    /// Builds a call that is complete, arguments and all.
    pub fn whole(id: &'a str, name: &'a str, arguments: &'a str) -> Self {
        Self {
            index: None,
            id: Some(id),
            kind: Some("function"),
            function: Function { name: Some(name), arguments },
        }
    }

    /// Builds the first piece of a call, to which arguments will follow.
    pub fn opening(index: usize, id: &'a str, name: &'a str) -> Self {
        Self { index: Some(index), ..Self::whole(id, name, "") }
    }

    /// Builds a later piece of a call.
    pub fn continued(index: usize, arguments: &'a str) -> Self {
        Self { index: Some(index), id: None, kind: None, function: Function { name: None, arguments } }
    }
}

/// Returns why an answer ended, in OpenAI's words.
pub(super) fn finish_reason(stop_reason: Option<&str>) -> &'static str {
    match stop_reason {
        Some("max_tokens" | "model_context_window_exceeded") => "length",
        Some("tool_use") => "tool_calls",
        Some("refusal") => "content_filter",
        // `end_turn`, `stop_sequence`, `pause_turn`, and reasons yet to be invented.
        _ => "stop",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stop_reason_has_a_finish_reason() {
        let cases = [
            (Some("end_turn"), "stop"),
            (Some("stop_sequence"), "stop"),
            (Some("pause_turn"), "stop"),
            (Some("max_tokens"), "length"),
            (Some("model_context_window_exceeded"), "length"),
            (Some("tool_use"), "tool_calls"),
            (Some("refusal"), "content_filter"),
            (Some("sunset"), "stop"),
            (None, "stop"),
        ];
        for (stop_reason, expected) in cases {
            assert_eq!(finish_reason(stop_reason), expected, "{stop_reason:?}");
        }
    }
}
