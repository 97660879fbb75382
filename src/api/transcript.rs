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
#[derive(Debug)]
pub(super) struct Transcript {
    content: Option<String>,
    refusal: Option<String>,
    tool_calls: Vec<ToolCall>,
    /// How much more of it is taken, in bytes of events.
    room: u64,
    /// Why it cannot be told, if it cannot.
    failure: Option<ApiError>,
}

#[derive(Debug, Default)]
struct ToolCall {
    index: usize,
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

impl Transcript {
    /// Returns the transcript of an answer that has not begun; `most` is how long it may be, in bytes.
    pub(super) const fn new(most: u64) -> Self {
        Self { content: None, refusal: None, tool_calls: Vec::new(), room: most, failure: None }
    }

    /// Takes whole events of a stream.
    pub(super) fn read(&mut self, events: &[u8]) {
        for line in events.split(|byte| matches!(byte, b'\n' | b'\r')) {
            let data = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii);
            let Some(data) = data.filter(|data| self.failure.is_none() && *data != b"[DONE]") else {
                continue;
            };
            match serde_json::from_slice::<Chunk>(data) {
                Ok(chunk) => self.take(chunk),
                Err(_) => self.failure = Some(none()),
            }
        }
    }

    /// Returns the message that the events made.
    pub(super) fn message(self) -> Result<Message, ApiError> {
        let Self { content, refusal, tool_calls, failure, .. } = self;
        if let Some(failure) = failure {
            return Err(failure);
        }
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

    fn take(&mut self, chunk: Chunk) {
        let first = chunk.choices.into_iter().find(|choice| choice.index == 0);
        let Some(delta) = first.and_then(|choice| choice.delta) else { return };
        if !self.has_room(&delta) {
            self.failure = Some(ApiError::PayloadTooLarge("The answer is too long for a context".to_owned()));
            return;
        }
        let join = |text: &mut Option<String>, more: Option<String>| {
            if let Some(more) = more {
                text.get_or_insert_default().push_str(&more);
            }
        };
        join(&mut self.content, delta.content);
        join(&mut self.refusal, delta.refusal);
        for more in delta.tool_calls.into_iter().flatten() {
            self.add_to_call(more);
        }
    }

    fn has_room(&mut self, delta: &Delta) -> bool {
        let length = |text: &Option<String>| text.as_ref().map_or(0, |text| text.len() as u64);
        let mut more = length(&delta.content) + length(&delta.refusal);
        for call in delta.tool_calls.iter().flatten() {
            let function = call.function.as_ref();
            // A call without a word is something, too.
            more += 1 + length(&call.id);
            more += function.map_or(0, |function| length(&function.name) + length(&function.arguments));
        }
        let room = self.room.checked_sub(more);
        self.room = room.unwrap_or(0);
        room.is_some()
    }

    /// Goes on with the latest call of the index; another id begins another call, since some servers number none.
    fn add_to_call(&mut self, more: CallDelta) {
        let id = more.id.unwrap_or_default();
        let known = self.tool_calls.iter().rposition(|call| call.index == more.index);
        let known = known.filter(|at| {
            let call = &self.tool_calls[*at];
            id.is_empty() || call.id.is_empty() || call.id == id
        });
        let at = known.unwrap_or_else(|| {
            self.tool_calls.push(ToolCall { index: more.index, ..ToolCall::default() });
            self.tool_calls.len() - 1
        });
        let call = &mut self.tool_calls[at];
        if call.id.is_empty() {
            call.id = id;
        }
        if let Some(function) = more.function {
            call.name.push_str(&function.name.unwrap_or_default());
            call.arguments.push_str(&function.arguments.unwrap_or_default());
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
        let mut transcript = Transcript::new(1_000);
        for event in events {
            transcript.read(format!("data: {event}\n\n").as_bytes());
        }
        let message: Value = serde_json::from_str(transcript.message().unwrap().as_str()).unwrap();
        let function = json!({"name": "f", "arguments": "{\"a\":1}"});
        let call = json!({"id": "c1", "type": "function", "function": function});
        assert_eq!(message, json!({"role": "assistant", "content": "Hello", "tool_calls": [call]}));
    }

    #[test]
    fn calls_that_a_server_does_not_number_are_told_apart_by_their_ids() {
        let call = |id: &str, arguments: &str| {
            let function = json!({"name": "f", "arguments": arguments});
            json!({"choices": [{"delta": {"tool_calls": [{"id": id, "function": function}]}}]})
        };
        let mut transcript = Transcript::new(1_000);
        for event in [call("c1", "{}"), call("c2", "[]")] {
            transcript.read(format!("data: {event}\n\n").as_bytes());
        }
        let message: Value = serde_json::from_str(transcript.message().unwrap().as_str()).unwrap();
        let said: Vec<_> = message["tool_calls"].as_array().unwrap().iter().map(|call| &call["id"]).collect();
        assert_eq!(said, ["c1", "c2"]);
    }

    #[test]
    fn half_an_answer_is_no_message() {
        let good = r#"{"choices":[{"delta":{"content":"Hi"}}]}"#;
        for bad in [r#"{"choices":[{"delta":{"content":["Hi"]}}]}"#, "Hi"] {
            let mut transcript = Transcript::new(1_000);
            transcript.read(format!("data: {good}\n\ndata: {bad}\n\n").as_bytes());
            assert_eq!(transcript.message().unwrap_err().status().as_u16(), 502, "{bad}");
        }
        let mut endless = Transcript::new(9);
        for _ in 0..5 {
            endless.read(format!("data: {good}\n\n").as_bytes());
        }
        assert_eq!(endless.message().unwrap_err().status().as_u16(), 413);
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
