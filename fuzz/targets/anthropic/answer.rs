//! Answers: what comes out is what OpenAI's clients read, and a stream of the same blocks says the same.

use mcpd::upstream::anthropic::{Garbage, Shape, answer};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::openai::Said;
use super::stream;

/// Fails unless the answer is translated into a proper one, or refused as none.
pub fn check(shape: Shape, body: &[u8]) {
    let (translated, tokens) = match answer(shape, body, 1_700_000_000) {
        Ok(translated) => translated,
        Err(Garbage) => return,
    };
    let said = Said::whole(&translated);
    let usage = said.usage.unwrap();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (tokens.prompt, tokens.completion));
    assert_eq!(usage.total_tokens, tokens.prompt.saturating_add(tokens.completion));

    // What mcpd has no use for may hold anything, even bytes that are no text.
    let (Ok(read), Ok(inputs)) = (serde_json::from_slice(body), serde_json::from_slice::<Inputs>(body))
    else {
        return;
    };
    let events = events(&read, &inputs);
    let (streamed, done) = stream::translate(shape, true, events.iter().map(String::as_bytes));
    assert!(done, "the same, streamed, does not end");
    assert_eq!(streamed, said, "the same, streamed, says something else");
}

/// The arguments of calls as they are written, which is how they are passed on.
#[derive(Deserialize)]
struct Inputs<'a> {
    #[serde(borrow)]
    content: Vec<Input<'a>>,
}

#[derive(Deserialize)]
struct Input<'a> {
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

/// The events that would make up the answer.
fn events(answer: &Value, inputs: &Inputs) -> Vec<String> {
    let message = json!({"id": answer["id"], "model": answer["model"], "usage": answer["usage"]});
    let mut events = vec![json!({"type": "message_start", "message": message})];
    for (index, block) in answer["content"].as_array().unwrap().iter().enumerate() {
        let (opening, delta) = match block["type"].as_str().unwrap() {
            "text" => (
                json!({"type": "text", "text": ""}),
                Some(json!({"type": "text_delta", "text": block["text"]})),
            ),
            "tool_use" => (
                json!({"type": "tool_use", "id": block["id"], "name": block["name"], "input": {}}),
                Some(
                    json!({"type": "input_json_delta", "partial_json": inputs.content[index].input.map(RawValue::get)}),
                ),
            ),
            _ => (block.clone(), None),
        };
        events.push(json!({"type": "content_block_start", "index": index, "content_block": opening}));
        events.extend(
            delta.map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})),
        );
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let delta = json!({"stop_reason": answer["stop_reason"]});
    events.push(json!({"type": "message_delta", "delta": delta, "usage": {}}));
    events.push(json!({"type": "message_stop"}));
    events.iter().map(Value::to_string).collect()
}
