//! The message that a model answered with, to be appended to a context.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::domain::context::Message;
use crate::domain::token;
use crate::http::ApiError;
use crate::upstream::UpstreamError;

/// Returns the message of a whole answer, the first where there are several, every field of it kept.
pub(super) fn of_answer(body: &[u8]) -> Result<Message, ApiError> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        choices: Vec<Choice<'a>>,
    }
    #[derive(Deserialize)]
    struct Choice<'a> {
        #[serde(borrow)]
        message: &'a RawValue,
    }
    let answer: Option<Answer<'_>> = serde_json::from_slice(body).ok();
    let first = answer.as_ref().and_then(|answer| answer.choices.first());
    first.and_then(|choice| message(choice.message.get())).ok_or_else(none)
}

/// A message that comes piece by piece.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    content: Option<String>,
    refusal: Option<String>,
    tool_calls: Vec<ToolCall>,
}

#[derive(Debug, Default)]
struct ToolCall {
    id: String,
    name: String,
    arguments: String,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<ChunkChoice>,
}

#[derive(Deserialize)]
struct ChunkChoice {
    #[serde(default)]
    index: u32,
    #[serde(default)]
    delta: Option<Delta>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
    refusal: Option<String>,
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct CallDelta {
    #[serde(default)]
    index: usize,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<String>,
}

/// More tool calls than any model makes at once.
const MOST_CALLS: usize = 1_000;

impl Transcript {
    /// Takes whole events of a stream.
    pub(super) fn read(&mut self, events: &[u8]) {
        for line in events.split(|byte| matches!(byte, b'\n' | b'\r')) {
            let Some(data) = line.strip_prefix(b"data:") else { continue };
            let Ok(chunk) = serde_json::from_slice::<Chunk>(data) else { continue };
            let first = chunk.choices.into_iter().find(|choice| choice.index == 0);
            if let Some(delta) = first.and_then(|choice| choice.delta) {
                self.add(delta);
            }
        }
    }

    /// Returns the message that the events made.
    pub(super) fn message(self) -> Result<Message, ApiError> {
        let Self { content, refusal, tool_calls } = self;
        let mut answer = json!({"role": "assistant", "content": content});
        if let Some(refusal) = refusal {
            answer["refusal"] = refusal.into();
        }
        if !tool_calls.is_empty() {
            let calls = tool_calls.into_iter().map(|call| {
                let function = json!({"name": call.name, "arguments": call.arguments});
                json!({"id": call.id, "type": "function", "function": function})
            });
            answer["tool_calls"] = calls.collect::<Value>();
        }
        message(&answer.to_string()).ok_or_else(none)
    }

    fn add(&mut self, delta: Delta) {
        let join = |text: &mut Option<String>, more: Option<String>| {
            if let Some(more) = more {
                text.get_or_insert_default().push_str(&more);
            }
        };
        join(&mut self.content, delta.content);
        join(&mut self.refusal, delta.refusal);
        for more in delta.tool_calls.into_iter().flatten().filter(|call| call.index < MOST_CALLS) {
            if self.tool_calls.len() <= more.index {
                self.tool_calls.resize_with(more.index + 1, ToolCall::default);
            }
            let call = &mut self.tool_calls[more.index];
            let function = more.function.unwrap_or(FunctionDelta { name: None, arguments: None });
            for (text, more) in [
                (&mut call.id, more.id),
                (&mut call.name, function.name),
                (&mut call.arguments, function.arguments),
            ] {
                text.push_str(&more.unwrap_or_default());
            }
        }
    }
}

/// A model's words are not the client's to mend: a key in them is blanked out.
fn message(json: &str) -> Option<Message> {
    let clean = token::redact_json(json);
    let raw: &RawValue = serde_json::from_str(&clean).ok()?;
    Message::parse(raw).ok()
}

fn none() -> ApiError {
    let message = "The model's answer has no message that could be appended to the context";
    UpstreamError::FailedSaying(message.to_owned()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_s_pieces_make_one_message() {
        let events = [
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
            r#"{"choices":[{"index":1,"delta":{"content":"another choice"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"Hel"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"lo"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]},"finish_reason":"tool_calls"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":1}}"#,
            "[DONE]",
        ];
        let mut transcript = Transcript::default();
        for event in events {
            transcript.read(format!("data: {event}\n\n").as_bytes());
        }
        let message: Value = serde_json::from_str(transcript.message().unwrap().as_str()).unwrap();
        let function = json!({"name": "f", "arguments": "{\"a\":1}"});
        let call = json!({"id": "c1", "type": "function", "function": function});
        assert_eq!(message, json!({"role": "assistant", "content": "Hello", "tool_calls": [call]}));
    }

    #[test]
    fn a_whole_answer_s_first_message_is_kept_with_all_its_fields() {
        let first = r#"{"role":"assistant","content":"Hi","reasoning":1.50}"#;
        let body = format!(r#"{{"choices":[{{"index":0,"message":{first}}},{{"message":{{}}}}]}}"#);
        assert_eq!(of_answer(body.as_bytes()).unwrap().as_str(), first);
        for body in ["{}", r#"{"choices":[]}"#, r#"{"choices":[{"message":{"role":"wizard"}}]}"#] {
            assert_eq!(of_answer(body.as_bytes()).unwrap_err().status().as_u16(), 502);
        }
    }
}
