use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const MODEL: &str = "claude-sonnet-4-5";

fn translated(shape: Shape, body: &Value) -> Result<(Value, Translated), String> {
    let translated =
        request(shape, body.to_string().as_bytes(), MODEL).map_err(|invalid| invalid.to_string())?;
    Ok((serde_json::from_slice(&translated.body).unwrap(), translated))
}

/// Translates a one-message chat with more fields, and returns what became of these.
fn settings(fields: &Value) -> Result<(Value, Vec<String>), String> {
    let mut body = json!({"model": "assistant", "messages": [{"role": "user", "content": "Hi"}]});
    let all = body.as_object_mut().unwrap();
    all.extend(fields.as_object().unwrap().clone());
    let (mut sent, translated) = translated(Shape::Chat, &body)?;
    let sent_fields = sent.as_object_mut().unwrap();
    for (usual, value) in [
        ("model", json!(MODEL)),
        ("max_tokens", json!(4096)),
        ("messages", json!([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}])),
        ("stream", json!(false)),
    ] {
        if sent_fields.get(usual) == Some(&value) {
            sent_fields.remove(usual);
        }
    }
    Ok((sent, translated.ignored))
}

#[test]
fn a_chat_with_tools_is_translated_whole() {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}},
                        "required": ["city"]});
    let body = json!({
        "model": "assistant",
        "messages": [
            {"role": "system", "content": "You forecast the weather."},
            {"role": "user", "name": "ann", "content": [
                {"type": "text", "text": "Is it like this in Paris and Rome?"},
                {"type": "image_url",
                 "image_url": {"url": "data:image/png;base64,iVBORw0=", "detail": "auto"}},
            ]},
            {"role": "assistant", "content": null, "refusal": null, "tool_calls": [
                {"id": "call_1", "type": "function",
                 "function": {"name": "weather", "arguments": "{\"city\":\"Paris\"}"}},
                {"id": "call_2", "type": "function",
                 "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "Rain"},
            {"role": "tool", "tool_call_id": "call_2",
             "content": [{"type": "text", "text": "Sun"}]},
            {"role": "user", "content": "Well?"},
        ],
        "tools": [{"type": "function", "function": {
            "name": "weather", "description": "Looks outside", "parameters": schema}}],
        "tool_choice": "auto",
        "parallel_tool_calls": false,
        "max_completion_tokens": 200,
        "temperature": 0.7,
        "stop": ["END", "\n"],
        "user": "user-17",
        "seed": 7,
        "n": 1,
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    let expected = json!({
        "model": MODEL,
        "max_tokens": 200,
        "system": "You forecast the weather.",
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "Is it like this in Paris and Rome?"},
                {"type": "image",
                 "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}},
            ]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "call_1", "name": "weather",
                 "input": {"city": "Paris"}},
                {"type": "tool_use", "id": "call_2", "name": "weather",
                 "input": {"city": "Rome"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_1",
                 "content": [{"type": "text", "text": "Rain"}]},
                {"type": "tool_result", "tool_use_id": "call_2",
                 "content": [{"type": "text", "text": "Sun"}]},
                {"type": "text", "text": "Well?"},
            ]},
        ],
        "tools": [{"name": "weather", "description": "Looks outside", "input_schema": schema}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "stop_sequences": ["END"],
        "metadata": {"user_id": "user-17"},
        "temperature": 0.7,
        "stream": true,
    });
    let (sent, translated) = translated(Shape::Chat, &body).unwrap();
    assert_eq!(sent, expected);
    assert_eq!(translated.ignored, ["messages[].name", "seed", "stop"]);
    assert!(translated.stream);
}

#[test]
fn a_text_completion_is_translated_whole() {
    let body = json!({
        "model": "assistant", "prompt": "Once upon a time", "max_tokens": 16, "echo": true,
        "suffix": null, "best_of": 1, "logprobs": 0, "stop": "\n\nTHE END", "top_p": 1,
        "tools": [{"type": "function", "function": {"name": "now"}}],
    });
    let expected = json!({
        "model": MODEL,
        "max_tokens": 16,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Once upon a time"}]},
        ],
        "stop_sequences": ["\n\nTHE END"],
        "top_p": 1,
        "stream": false,
    });
    let (sent, translated) = translated(Shape::Completion, &body).unwrap();
    assert_eq!(sent, expected);
    assert_eq!(translated.ignored, ["echo", "logprobs", "tools"]);
    assert!(!translated.stream);
}

#[test]
fn every_setting_finds_its_place() {
    let cases = [
        (json!({}), json!({})),
        (json!({"max_tokens": 10}), json!({"max_tokens": 10})),
        (json!({"max_tokens": 10, "max_completion_tokens": 20}), json!({"max_tokens": 20})),
        (json!({"max_tokens": null}), json!({})),
        (json!({"temperature": 0, "top_p": 0.9}), json!({"temperature": 0, "top_p": 0.9})),
        (json!({"stop": "END"}), json!({"stop_sequences": ["END"]})),
        (json!({"stop": ["a", "", "b"]}), json!({"stop_sequences": ["a", "b"]})),
        (json!({"stop": []}), json!({})),
        (json!({"user": "u"}), json!({"metadata": {"user_id": "u"}})),
        (json!({"stream": true, "stream_options": {}}), json!({"stream": true})),
        (json!({"top_k": 40}), json!({"top_k": 40})),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
            json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        ),
        (json!({"output_config": {"effort": "low"}}), json!({"output_config": {"effort": "low"}})),
        (json!({"cache_control": {"type": "ephemeral"}}), json!({"cache_control": {"type": "ephemeral"}})),
        (json!({"n": 1, "logprobs": false, "service_tier": "auto"}), json!({})),
    ];
    for (fields, expected) in cases {
        let (sent, ignored) = settings(&fields).unwrap();
        assert_eq!(sent, expected, "{fields}");
        assert_eq!(ignored, [""; 0], "{fields}");
    }
}

#[test]
fn settings_without_an_equivalent_are_left_out_and_named() {
    let fields = json!({
        "stop": " ", "n": 2, "seed": 1, "response_format": {"type": "json_object"},
        "logit_bias": {"1": 5}, "reasoning_effort": "low", "service_tier": "flex",
        "functions": [{"name": "now"}], "function_call": "auto", "made_up": false,
    });
    let expected = [
        "function_call",
        "functions",
        "logit_bias",
        "made_up",
        "n",
        "reasoning_effort",
        "response_format",
        "seed",
        "service_tier",
        "stop",
    ];
    let (sent, ignored) = settings(&fields).unwrap();
    assert_eq!(sent, json!({}));
    assert_eq!(ignored, expected);
}

#[test]
fn settings_of_the_wrong_type_are_refused() {
    let cases = [
        (json!({"max_tokens": "10"}), "max_tokens must be a whole number, zero or more"),
        (json!({"max_tokens": 1.5}), "max_tokens must be a whole number, zero or more"),
        (json!({"temperature": "hot"}), "temperature must be a number"),
        (json!({"stop": 1}), "stop must be a string or a list of strings"),
        (json!({"stop": ["a", null]}), "stop[1] must be a string"),
        (json!({"user": 7}), "user must be a string"),
        (json!({"stream": "yes"}), "stream must be true or false"),
    ];
    for (fields, expected) in cases {
        assert_eq!(settings(&fields), Err(expected.to_owned()));
    }
}

#[test]
fn a_request_without_words_is_refused() {
    let cases = [
        (Shape::Chat, json!({"prompt": "Hi"}), "messages is required"),
        (Shape::Completion, json!({"messages": []}), "prompt is required"),
    ];
    for (shape, body, expected) in cases {
        assert_eq!(translated(shape, &body).unwrap_err(), expected);
    }
}

#[test]
fn what_is_only_carried_over_keeps_its_digits() {
    let body = br#"{"prompt": "Hi", "temperature": 0.70000000000000000001, "top_p": 1.0}"#;
    let translated = request(Shape::Completion, body, MODEL).unwrap();
    let sent = String::from_utf8(translated.body).unwrap();
    assert!(sent.contains(r#""temperature":0.70000000000000000001,"top_p":1.0"#), "{sent}");
}

/// Draws JSON built from the words of the API, so that it often almost makes sense.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "role",
        "user",
        "assistant",
        "tool",
        "content",
        "type",
        "text",
        "image_url",
        "url",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "messages",
        "prompt",
        "tools",
        "stop",
        "tool_choice",
        "parameters",
        "id",
        "tool_call_id",
        "data:,",
        "{}",
        "",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 5, move |inner| {
        let key = word.clone().prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key, inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_request_is_translated_or_refused(
        chat: bool,
        messages in any_json(),
        tools in any_json(),
        rest in any_json(),
    ) {
        let shape = if chat { Shape::Chat } else { Shape::Completion };
        let body = json!({"messages": messages, "prompt": messages, "tools": tools,
                          "tool_choice": rest, "stop": rest});
        if let Ok((sent, _)) = translated(shape, &body) {
            prop_assert!(sent["messages"].as_array().is_some_and(|turns| !turns.is_empty()));
        }
    }

    #[test]
    fn any_bytes_are_survived(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(request(Shape::Chat, &body, MODEL).is_err());
    }
}
