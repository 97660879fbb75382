//! The calls of tools a conversation holds, and their results.

use serde_json::value::RawValue;

use super::content::{self, Block};
use super::field::{Field, InvalidField, Object};
use super::ignored::Ignored;
use super::tools::take_function;

/// Reads the `tool_calls` of an assistant message.
pub(super) fn read<'a>(calls: &Field<'a>) -> Result<Vec<Block<'a>>, InvalidField> {
    calls.list()?.iter().map(call).collect()
}

/// Reads a message of the `tool` role, which is the result of one call.
pub(super) fn result<'a>(message: &mut Object<'a>, ignored: &mut Ignored) -> Result<Block<'a>, InvalidField> {
    Ok(Block::ToolResult {
        tool_use_id: message.require("tool_call_id")?.text()?,
        content: content::blocks(&message.require("content")?, ignored)?,
    })
}

fn call<'a>(call: &Field<'a>) -> Result<Block<'a>, InvalidField> {
    let mut call = call.object()?;
    let id = call.require("id")?.text()?;
    let mut function = take_function(&mut call)?;
    Ok(Block::ToolUse {
        id,
        name: function.require("name")?.text()?,
        input: input(&function.require("arguments")?)?,
    })
}

/// Turns the arguments of a call, a string of JSON, into the object they spell.
fn input(arguments: &Field) -> Result<Box<RawValue>, InvalidField> {
    let mut text = arguments.text()?.into_owned();
    // What streaming clients are left with when a call has no arguments.
    if text.trim().is_empty() {
        "{}".clone_into(&mut text);
    }
    RawValue::from_string(text)
        .ok()
        .filter(|json| json.get().starts_with('{'))
        .ok_or_else(|| arguments.refuse("must be a JSON object, written as a string"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read_calls(tool_calls: &Value) -> Result<Value, String> {
        let message = json!({"tool_calls": tool_calls}).to_string();
        let mut message = Object::of_body(message.as_bytes()).unwrap();
        read(&message.require("tool_calls").unwrap())
            .map(|blocks| serde_json::to_value(blocks).unwrap())
            .map_err(|invalid| invalid.to_string())
    }

    fn call_with(arguments: &Value) -> Value {
        json!([{"id": "call_1", "type": "function",
                "function": {"name": "now", "arguments": arguments}}])
    }

    #[test]
    fn arguments_become_the_object_they_spell() {
        let cases = [
            (r#"{"city": "Paris", "days": 3}"#, r#"{"city": "Paris", "days": 3}"#),
            (" {} ", "{}"),
            ("", "{}"),
            (r#"{"id": 123456789012345678901}"#, r#"{"id": 123456789012345678901}"#),
        ];
        for (arguments, expected) in cases {
            let body = json!({"arguments": arguments}).to_string();
            let mut body = Object::of_body(body.as_bytes()).unwrap();
            let input = input(&body.require("arguments").unwrap()).unwrap();
            assert_eq!(input.get(), expected);
        }
    }

    #[test]
    fn a_call_becomes_a_tool_use_block() {
        let expected = json!([{"type": "tool_use", "id": "call_1", "name": "now",
                               "input": {"zone": "UTC"}}]);
        assert_eq!(read_calls(&call_with(&json!(r#"{"zone": "UTC"}"#))), Ok(expected));
    }

    #[test]
    fn calls_that_cannot_be_sent_are_refused_by_their_path() {
        let not_an_object = "tool_calls[0].function.arguments \
                             must be a JSON object, written as a string";
        let cases = [
            (call_with(&json!("{\"zone\": ")), not_an_object),
            (call_with(&json!("[1]")), not_an_object),
            (call_with(&json!({"zone": "UTC"})), "tool_calls[0].function.arguments must be a string"),
            (json!([{"function": {}}]), "tool_calls[0].id is required"),
            (
                json!([{"id": "call_1", "type": "custom"}]),
                "tool_calls[0].type must be `function`, the only type this model takes",
            ),
        ];
        for (tool_calls, expected) in cases {
            assert_eq!(read_calls(&tool_calls), Err(expected.to_owned()));
        }
    }
}
