//! Turning a whole answer of the Messages API into one of OpenAI's.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::openai::{self, Choice, Completion, Part, ToolCall};
use super::usage::Counts;
use super::{Shape, write_json};
use crate::domain::usage::Tokens;

/// Says that an upstream's answer is not what the Messages API would send.
///
/// It does not say what the answer was, which may be none of the log's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's answer is not one of the Messages API")]
pub struct Garbage;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    model: String,
    #[serde(borrow)]
    content: Vec<Block<'a>>,
    stop_reason: Option<String>,
    usage: Counts,
}

/// One block of an answer; which fields it has depends on its type.
#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

/// Translates a whole answer, given the time it was made in Unix seconds.
///
/// # Errors
///
/// Fails if the answer is not a message of the Messages API.
pub fn answer(shape: Shape, body: &[u8], created: i64) -> Result<(Vec<u8>, Tokens), Garbage> {
    let message: Message = serde_json::from_slice(body).map_err(|_| Garbage)?;
    if message.kind != "message" {
        return Err(Garbage);
    }
    let usage = message.usage.usage().ok_or(Garbage)?;
    let text = text(&message.content)?;
    let calls = tool_calls(&message.content)?;
    let (object, part) = match shape {
        Shape::Chat => ("chat.completion", Part::message(&text, calls)),
        Shape::Completion => ("text_completion", Part::Text(&text)),
    };
    let finish_reason = openai::finish_reason(message.stop_reason.as_deref());
    let completion = Completion {
        id: &message.id,
        object,
        created,
        model: &message.model,
        choices: &[Choice::new(part, Some(finish_reason))],
        usage: message.usage.report(),
    };
    let mut translated = Vec::new();
    write_json(&completion, &mut translated);
    Ok((translated, usage))
}

/// Joins the text blocks, which are pieces of one text; thinking is not among them.
fn text(blocks: &[Block]) -> Result<String, Garbage> {
    blocks
        .iter()
        .filter(|block| block.kind == "text")
        .map(|block| block.text.as_deref().ok_or(Garbage))
        .collect()
}

fn tool_calls<'a>(blocks: &'a [Block]) -> Result<Vec<ToolCall<'a>>, Garbage> {
    blocks
        .iter()
        .filter(|block| block.kind == "tool_use")
        .map(|block| tool_call(block).ok_or(Garbage))
        .collect()
}

fn tool_call<'a>(block: &'a Block) -> Option<ToolCall<'a>> {
    let (id, name) = (block.id.as_deref()?, block.name.as_deref()?);
    Some(ToolCall::whole(id, name, block.input?.get()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(content: &Value, stop_reason: &str) -> Value {
        json!({
            "id": "msg_01", "type": "message", "role": "assistant",
            "model": "claude-sonnet-4-5-20250929", "content": content,
            "stop_reason": stop_reason, "stop_sequence": null,
            "usage": {"input_tokens": 12, "cache_creation_input_tokens": 0,
                      "cache_read_input_tokens": 30, "output_tokens": 8},
        })
    }

    fn translated(shape: Shape, message: &Value) -> Result<(Value, Tokens), Garbage> {
        let (body, usage) = answer(shape, message.to_string().as_bytes(), 1_760_000_000)?;
        Ok((serde_json::from_slice(&body).unwrap(), usage))
    }

    #[test]
    fn a_chat_answer_is_translated_whole() {
        let content = json!([
            {"type": "thinking", "thinking": "Hm.", "signature": "EqQ="},
            {"type": "text", "text": "Let me "},
            {"type": "text", "text": "look.", "citations": []},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}},
            {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
        ]);
        let expected = json!({
            "id": "msg_01",
            "object": "chat.completion",
            "created": 1_760_000_000,
            "model": "claude-sonnet-4-5-20250929",
            "choices": [{
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Let me look.",
                    "refusal": null,
                    "tool_calls": [
                        {"id": "toolu_1", "type": "function",
                         "function": {"name": "weather", "arguments": "{\"city\":\"Paris\"}"}},
                        {"id": "toolu_2", "type": "function",
                         "function": {"name": "now", "arguments": "{}"}},
                    ],
                },
                "logprobs": null,
                "finish_reason": "tool_calls",
            }],
            "usage": {"prompt_tokens": 42, "completion_tokens": 8, "total_tokens": 50,
                      "prompt_tokens_details": {"cached_tokens": 30}},
        });
        let (answer, usage) = translated(Shape::Chat, &message(&content, "tool_use")).unwrap();
        assert_eq!(answer, expected);
        assert_eq!((usage.prompt, usage.completion), (42, 8));
    }

    #[test]
    fn a_text_completion_is_translated_whole() {
        let content = json!([{"type": "text", "text": " there was"}]);
        let expected = json!({
            "id": "msg_01",
            "object": "text_completion",
            "created": 1_760_000_000,
            "model": "claude-sonnet-4-5-20250929",
            "choices": [
                {"index": 0, "text": " there was", "logprobs": null, "finish_reason": "length"},
            ],
            "usage": {"prompt_tokens": 42, "completion_tokens": 8, "total_tokens": 50,
                      "prompt_tokens_details": {"cached_tokens": 30}},
        });
        let message = message(&content, "max_tokens");
        assert_eq!(translated(Shape::Completion, &message).unwrap().0, expected);
    }

    #[test]
    fn content_is_null_only_where_calls_take_its_place() {
        let call = json!({"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}});
        let cases = [
            (json!([call]), json!(null)),
            (json!([]), json!("")),
            (json!([{"type": "thinking", "thinking": "", "signature": "EqQ="}]), json!("")),
            (json!([{"type": "text", "text": "Hi"}, call]), json!("Hi")),
        ];
        for (content, expected) in cases {
            let (answer, _) = translated(Shape::Chat, &message(&content, "end_turn")).unwrap();
            assert_eq!(answer["choices"][0]["message"]["content"], expected, "{content}");
        }
    }

    #[test]
    fn blocks_of_unknown_types_are_left_out() {
        let content = json!([
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
            {"type": "hologram", "shape": "cat"},
            {"type": "text", "text": "Hi"},
        ]);
        let (answer, _) = translated(Shape::Chat, &message(&content, "end_turn")).unwrap();
        let said = &answer["choices"][0]["message"];
        assert_eq!(said, &json!({"role": "assistant", "content": "Hi", "refusal": null}));
    }

    #[test]
    fn arguments_are_the_very_text_of_the_input() {
        let body = r#"{"type": "message", "id": "m", "model": "c", "usage": {"output_tokens": 1},
            "content": [{"type": "tool_use", "id": "t", "name": "n",
                         "input": {"b": 1.10, "a": 123456789012345678901}}]}"#;
        let (answer, _) = answer(Shape::Chat, body.as_bytes(), 0).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let function = &answer["choices"][0]["message"]["tool_calls"][0]["function"];
        assert_eq!(function["arguments"], r#"{"b": 1.10, "a": 123456789012345678901}"#);
    }

    #[test]
    fn an_answer_that_is_no_message_is_garbage() {
        let with = |field: &str, value: Value| {
            let mut message = message(&json!([]), "end_turn");
            message[field] = value;
            message
        };
        let cases = [
            json!("Hi"),
            json!({"type": "error", "error": {"type": "api_error", "message": "Oops"}}),
            with("type", json!("completion")),
            with("id", json!(null)),
            with("usage", json!({})),
            with("usage", json!({"input_tokens": -1, "output_tokens": 1})),
            with("content", json!("Hi")),
            with("content", json!([{"type": "text"}])),
            with("content", json!([{"type": "tool_use", "id": "toolu_1", "name": "now"}])),
        ];
        for case in cases {
            assert_eq!(translated(Shape::Chat, &case), Err(Garbage), "{case}");
        }
        assert_eq!(answer(Shape::Chat, b"<html>", 0), Err(Garbage));
    }
}
