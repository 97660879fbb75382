use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const CREATED: i64 = 1_760_000_000;

const TEXT: &str = r#"
{"type":"message_start","message":{"model":"claude-haiku-4-5-20251001","id":"msg_01A","type":"message","role":"assistant","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":849,"cache_creation_input_tokens":0,"cache_read_input_tokens":100,"output_tokens":1,"service_tier":"standard"}}}
{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}
{"type":"ping"}
{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}
{"type":"content_block_delta","index":0,"delta":{"type":"citations_delta","citation":{"cited_text":"Hello"}}}
{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":", world\n"}}
{"type":"content_block_stop","index":0}
{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}
{"type":"message_stop"}
"#;

const TWO_TOOLS: &str = r#"
{"type":"message_start","message":{"model":"claude-haiku-4-5-20251001","id":"msg_01B","type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{"input_tokens":400,"output_tokens":2}}}
{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}
{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Let me look."}}
{"type":"content_block_stop","index":0}
{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}}
{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}
{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"city\":"}}
{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":" \"Paris\"}"}}
{"type":"content_block_stop","index":1}
{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_2","name":"now","input":{}}}
{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}
{"type":"content_block_stop","index":2}
{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":405,"output_tokens":80}}
{"type":"message_stop"}
"#;

const THINKING: &str = r#"
{"type":"message_start","message":{"model":"claude-haiku-4-5-20251001","id":"msg_01C","type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{"input_tokens":9,"output_tokens":1}}}
{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}
{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Let me see."}}
{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQBCgIYAhIM1gbc"}}
{"type":"content_block_stop","index":0}
{"type":"content_block_start","index":1,"content_block":{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}}
{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"query\":\"answer\"}"}}
{"type":"content_block_stop","index":1}
{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}
{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"42"}}
{"type":"content_block_stop","index":2}
{"type":"weather_report","outlook":"sunny"}
{"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null},"usage":{"output_tokens":30}}
{"type":"message_stop"}
"#;

const OVERLOADED: &str = r#"
{"type":"message_start","message":{"model":"claude-haiku-4-5-20251001","id":"msg_01D","type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{"input_tokens":9,"output_tokens":1}}}
{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}
{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Well"}}
{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}
"#;

/// What became of a stream.
struct Outcome {
    /// The chunks' data, parsed unless they are `[DONE]`.
    chunks: Vec<Value>,
    last: Result<Progress, StreamFailure>,
    usage: Option<Tokens>,
}

fn play(mut translator: StreamTranslator, events: &str) -> Outcome {
    let mut out = Vec::new();
    let mut last = Ok(Progress::More);
    for event in events.lines().filter(|line| !line.is_empty()) {
        assert_eq!(last, Ok(Progress::More), "the stream ended before {event}");
        last = translator.event(event.as_bytes(), &mut out);
    }
    Outcome { chunks: chunks(&out), last, usage: translator.usage() }
}

fn chat(events: &str) -> Outcome {
    play(StreamTranslator::new(Shape::Chat, false, CREATED), events)
}

fn chunks(out: &[u8]) -> Vec<Value> {
    let out = str::from_utf8(out).unwrap();
    out.split_terminator("\n\n")
        .map(|chunk| chunk.strip_prefix("data: ").unwrap())
        .map(|data| serde_json::from_str(data).unwrap_or_else(|_| json!(data)))
        .collect()
}

/// Returns the deltas of a chat's chunks; the finish reason closes the list.
fn deltas(chunks: &[Value]) -> Vec<Value> {
    let mut deltas = Vec::new();
    for chunk in chunks {
        let choice = &chunk["choices"][0];
        if choice["finish_reason"].is_null() {
            deltas.push(choice["delta"].clone());
        } else {
            assert_eq!(choice["delta"], json!({}));
            deltas.push(choice["finish_reason"].clone());
        }
    }
    deltas
}

#[test]
fn a_text_arrives_piece_by_piece() {
    let translator = StreamTranslator::new(Shape::Chat, true, CREATED);
    let chunk = |choices: Value| {
        json!({"id": "msg_01A", "object": "chat.completion.chunk", "created": CREATED,
               "model": "claude-haiku-4-5-20251001", "choices": choices})
    };
    let choice = |delta: Value, finish: Value| {
        chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]))
    };
    let mut usage = chunk(json!([]));
    usage["usage"] = json!({
        "prompt_tokens": 949, "completion_tokens": 15, "total_tokens": 964,
        "prompt_tokens_details": {"cached_tokens": 100},
    });
    let expected = [
        choice(json!({"role": "assistant", "content": ""}), json!(null)),
        choice(json!({"content": "Hello"}), json!(null)),
        choice(json!({"content": ", world\n"}), json!(null)),
        choice(json!({}), json!("stop")),
        usage,
        json!("[DONE]"),
    ];
    let outcome = play(translator, TEXT);
    assert_eq!(outcome.chunks, expected);
    assert_eq!(outcome.last, Ok(Progress::Done));
}

#[test]
fn a_text_completion_arrives_as_bare_text() {
    let translator = StreamTranslator::new(Shape::Completion, false, CREATED);
    let chunk = |text: &str, finish: Value| {
        json!({"id": "msg_01A", "object": "text_completion", "created": CREATED,
               "model": "claude-haiku-4-5-20251001", "choices": [
                   {"index": 0, "text": text, "logprobs": null, "finish_reason": finish}]})
    };
    let expected = [
        chunk("Hello", json!(null)),
        chunk(", world\n", json!(null)),
        chunk("", json!("stop")),
        json!("[DONE]"),
    ];
    assert_eq!(play(translator, TEXT).chunks, expected);
}

#[test]
fn calls_are_numbered_among_themselves_and_always_have_arguments() {
    let outcome = chat(TWO_TOOLS);
    let (done, chunks) = outcome.chunks.split_last().unwrap();
    assert_eq!(done, "[DONE]");

    let opening = |index: u64, id: &str, name: &str| {
        json!({"tool_calls": [{"index": index, "id": id, "type": "function",
                               "function": {"name": name, "arguments": ""}}]})
    };
    let continued = |index: u64, arguments: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]});
    let expected = [
        json!({"role": "assistant", "content": ""}),
        json!({"content": "Let me look."}),
        opening(0, "toolu_1", "weather"),
        continued(0, "{\"city\":"),
        continued(0, " \"Paris\"}"),
        opening(1, "toolu_2", "now"),
        continued(1, "{}"),
        json!("tool_calls"),
    ];
    assert_eq!(deltas(chunks), expected);
    let usage = outcome.usage.unwrap();
    assert_eq!((usage.prompt, usage.completion), (405, 80));
}

#[test]
fn thinking_and_whatever_is_unknown_stay_unseen() {
    let outcome = chat(THINKING);
    let (_, chunks) = outcome.chunks.split_last().unwrap();
    let expected = [json!({"role": "assistant", "content": ""}), json!({"content": "42"}), json!("length")];
    assert_eq!(deltas(chunks), expected);
}

#[test]
fn an_error_ends_the_stream_without_claiming_it_is_done() {
    let outcome = chat(OVERLOADED);
    let failure = outcome.last.unwrap_err();
    assert_eq!(failure.to_string(), "overloaded_error: Overloaded");
    let expected = [json!({"role": "assistant", "content": ""}), json!({"content": "Well"})];
    assert_eq!(deltas(&outcome.chunks), expected);
    assert_eq!(outcome.usage.unwrap().prompt, 9);
}

#[test]
fn nothing_is_written_after_the_end() {
    let cases = [(TEXT, Ok(Progress::Done)), (OVERLOADED, Err(StreamFailure::Garbage))];
    for (events, expected) in cases {
        let mut translator = StreamTranslator::new(Shape::Chat, true, CREATED);
        for event in events.lines().filter(|line| !line.is_empty()) {
            let _ = translator.event(event.as_bytes(), &mut Vec::new());
        }
        let mut out = Vec::new();
        let last = translator.event(br#"{"type":"message_stop"}"#, &mut out);
        assert_eq!((last, out.len()), (expected, 0));
    }
}

#[test]
fn usage_is_not_made_up() {
    let events = r#"
{"type":"message_start","message":{"id":"msg_01E","model":"claude"}}
{"type":"message_stop"}"#;
    let outcome = play(StreamTranslator::new(Shape::Chat, true, CREATED), events);
    assert_eq!(outcome.usage, None);
    assert_eq!(outcome.chunks.len(), 3, "role, finish and [DONE], but no usage");
}

#[test]
fn an_event_out_of_place_is_garbage() {
    let start = r#"{"type":"message_start","message":{"id":"m","model":"c"}}"#;
    let text = r#"{"type":"content_block_delta","index":0,
                   "delta":{"type":"text_delta","text":"Hi"}}"#;
    let cases: [&[&str]; 7] = [
        &[text],
        &[r#"{"type":"message_stop"}"#],
        &[r#"{"type":"ping"}"#, r#"{"type":"content_block_stop","index":0}"#],
        &[start, start],
        &[start, r#"{"type":"content_block_delta","index":0}"#],
        &[start, r#"{"typ":"ping"}"#],
        &["[DONE]"],
    ];
    for events in cases {
        let mut translator = StreamTranslator::new(Shape::Chat, false, CREATED);
        let (last, before) = events.split_last().unwrap();
        for event in before {
            assert_eq!(translator.event(event.as_bytes(), &mut Vec::new()), Ok(Progress::More));
        }
        let mut out = Vec::new();
        let failure = translator.event(last.as_bytes(), &mut out);
        assert_eq!(failure, Err(StreamFailure::Garbage), "{events:?}");
        assert!(out.is_empty());
    }
}

/// Draws an event from the recordings above, or a few bytes of noise.
fn any_event() -> impl Strategy<Value = Vec<u8>> {
    let recorded: Vec<&str> = [TEXT, TWO_TOOLS, THINKING, OVERLOADED]
        .into_iter()
        .flat_map(str::lines)
        .filter(|line| !line.is_empty())
        .collect();
    prop_oneof![
        50 => prop::sample::select(recorded).prop_map(|event| event.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

fn any_shape() -> impl Strategy<Value = Shape> {
    prop_oneof![Just(Shape::Chat), Just(Shape::Completion)]
}

proptest! {
    #[test]
    fn any_order_of_events_is_survived_and_done_is_said_once(
        shape in any_shape(),
        include_usage: bool,
        start_first: bool,
        mut events in prop::collection::vec(any_event(), 0..40),
    ) {
        if start_first {
            let start = TEXT.trim_start().lines().next().unwrap();
            events.insert(0, start.as_bytes().to_vec());
        }
        let mut translator = StreamTranslator::new(shape, include_usage, CREATED);
        let mut said_done = 0;
        for event in events {
            let mut out = Vec::new();
            let _ = translator.event(&event, &mut out);
            let chunks = chunks(&out);
            if chunks.contains(&json!("[DONE]")) {
                prop_assert_eq!(chunks.last(), Some(&json!("[DONE]")));
                prop_assert_eq!(event, br#"{"type":"message_stop"}"#);
                said_done += 1;
            }
        }
        prop_assert!(said_done <= 1);
    }

    #[test]
    fn any_bytes_are_survived(
        shape in any_shape(),
        events in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5),
    ) {
        let mut translator = StreamTranslator::new(shape, true, CREATED);
        let mut out = Vec::new();
        for event in events {
            let _ = translator.event(&event, &mut out);
        }
        prop_assert!(out.is_empty());
    }

    #[test]
    fn a_text_arrives_as_it_was_sent(pieces in prop::collection::vec(".*", 0..10)) {
        let mut translator = StreamTranslator::new(Shape::Completion, false, CREATED);
        let start = json!({"type": "message_start", "message": {"id": "m", "model": "c"}});
        let mut out = Vec::new();
        translator.event(start.to_string().as_bytes(), &mut out).unwrap();
        for piece in &pieces {
            let event = json!({"type": "content_block_delta", "index": 0,
                               "delta": {"type": "text_delta", "text": piece}});
            translator.event(event.to_string().as_bytes(), &mut out).unwrap();
        }
        let arrived: String = chunks(&out)
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["text"].as_str())
            .collect();
        prop_assert_eq!(arrived, pieces.concat());
    }
}
