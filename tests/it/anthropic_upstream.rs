//! Anthropic upstreams: OpenAI's words translated into the Messages API's, and the answers back.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::harness::upstream::{begin_stream, end_stream, send_chunk, wait_for_close, write_json};
use crate::harness::{FakeUpstream, Request, Seen, TestServer};

const CHAT: &str = "/v1/chat/completions";

fn serving(
    script: impl Fn(&Seen, &mut TcpStream) -> bool + Send + Sync + 'static,
) -> (TestServer, FakeUpstream) {
    let upstream = FakeUpstream::start(script);
    let server = serving_at(&format!("http://{}", upstream.address));
    (server, upstream)
}

fn serving_at(base_url: &str) -> TestServer {
    TestServer::setup()
        .toml(&format!(
            "[[upstreams]]\nname = \"fake\"\nkind = \"anthropic\"\nbase_url = \"{base_url}\"\n\
             api_key = \"sk-ant\"\nmodels = {{ claude = \"claude-sonnet-4-5\" }}"
        ))
        .start()
}

fn message() -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
        "content": [{"type": "text", "text": "Paris."}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 20, "output_tokens": 4},
    })
}

fn answering(message: Value) -> (TestServer, FakeUpstream) {
    serving(move |_, connection| {
        write_json(connection, 200, &message);
        true
    })
}

fn ask(more: &Value) -> Request {
    let mut body =
        json!({"model": "claude", "messages": [{"role": "user", "content": "Capital of France?"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    Request::post(CHAT, &body)
}

/// The stream of a message: some text, then two calls of tools side by side.
const EVENTS: &[(&str, &str)] = &[
    (
        "message_start",
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[],"stop_reason":null,"usage":{"input_tokens":25,"output_tokens":1}}}"#,
    ),
    (
        "content_block_start",
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    ),
    ("ping", r#"{"type":"ping"}"#),
    (
        "content_block_delta",
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Let me "}}"#,
    ),
    (
        "content_block_delta",
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"look."}}"#,
    ),
    ("content_block_stop", r#"{"type":"content_block_stop","index":0}"#),
    (
        "content_block_start",
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}}"#,
    ),
    (
        "content_block_delta",
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"city\":"}}"#,
    ),
    (
        "content_block_delta",
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":" \"Paris\"}"}}"#,
    ),
    ("content_block_stop", r#"{"type":"content_block_stop","index":1}"#),
    (
        "content_block_start",
        r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_2","name":"now","input":{}}}"#,
    ),
    ("content_block_stop", r#"{"type":"content_block_stop","index":2}"#),
    (
        "message_delta",
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":30}}"#,
    ),
    ("message_stop", r#"{"type":"message_stop"}"#),
];

/// Sends the first events of the stream.
fn send_first(connection: &mut TcpStream, count: usize) {
    for (name, data) in &EVENTS[..count] {
        send_chunk(connection, &format!("event: {name}\ndata: {data}\n\n"));
    }
}

fn whole_stream(_: &Seen, connection: &mut TcpStream) -> bool {
    begin_stream(connection);
    send_first(connection, EVENTS.len());
    end_stream(connection);
    true
}

#[test]
fn a_chat_becomes_a_message_and_its_answer_a_completion() {
    let (server, upstream) = answering(message());
    let (key, _) = server.key(json!({}));
    let answer = server.call(&key, ask(&json!({})).header("X-Request-Id", "trace")).expect(200);
    assert_eq!(answer.header("x-mcp-ignored"), None);
    let answer = answer.json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "claude-sonnet-4-5-20250929");
    assert_eq!(answer["choices"][0]["message"]["role"], "assistant");
    assert_eq!(answer["choices"][0]["message"]["content"], "Paris.");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["usage"]["prompt_tokens"], 30);
    assert_eq!(answer["usage"]["completion_tokens"], 4);
    assert_eq!(answer["usage"]["total_tokens"], 34);

    let seen = &upstream.seen()[0];
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/v1/messages"));
    assert_eq!(seen.header("x-api-key"), Some("sk-ant"));
    assert_eq!(seen.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!((seen.header("authorization"), seen.header("x-request-id")), (None, None));
    let body = seen.json();
    assert_eq!((&body["model"], &body["stream"]), (&json!("claude-sonnet-4-5"), &json!(false)));
    assert!(body["max_tokens"].as_u64().unwrap() > 0, "the API insists on one");
    assert_eq!(body["messages"].as_array().unwrap().len(), 1);

    let row = &server.usage("model,endpoint")[0];
    assert_eq!(
        (&row["model"], &row["prompt_tokens"], &row["completion_tokens"]),
        (&json!("claude"), &json!(30), &json!(4))
    );
}

#[test]
fn everything_a_chat_may_hold_is_translated() {
    let (server, upstream) = answering(message());
    let (key, _) = server.key(json!({}));
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let request = json!({
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "image_url", "image_url": {"url": "https://example.org/cat.jpg"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Paris\"}"}},
            ]},
            {"role": "tool", "tool_call_id": "toolu_1", "content": "Sunny"},
        ],
        "tools": [{"type": "function", "function": {"name": "weather", "description": "Looks outside", "parameters": schema}}],
        "tool_choice": "required", "stop": ["END", "STOP"], "max_tokens": 77, "temperature": 0.5,
    });
    let answer = server.call(&key, ask(&request)).expect(200);
    assert_eq!(answer.header("x-mcp-ignored"), None);
    let body = upstream.seen()[0].json();
    assert!(body["system"].to_string().contains("Be brief."), "{body}");
    assert_eq!((&body["max_tokens"], &body["temperature"]), (&json!(77), &json!(0.5)));
    assert_eq!(body["stop_sequences"], json!(["END", "STOP"]));
    assert_eq!(
        body["tools"],
        json!([{"name": "weather", "description": "Looks outside", "input_schema": schema}])
    );
    assert_eq!(body["tool_choice"], json!({"type": "any"}));
    let turns = body["messages"].as_array().unwrap();
    let roles: Vec<_> = turns.iter().map(|turn| turn["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert_eq!(
        turns[0]["content"][1]["source"],
        json!({"type": "base64", "media_type": "image/png", "data": "AAAA"})
    );
    assert_eq!(
        turns[0]["content"][2]["source"],
        json!({"type": "url", "url": "https://example.org/cat.jpg"})
    );
    assert_eq!(
        turns[1]["content"][0],
        json!({"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}})
    );
    assert_eq!(turns[2]["content"][0]["type"], "tool_result");
    assert_eq!(turns[2]["content"][0]["tool_use_id"], "toolu_1");
}

#[test]
fn calls_of_tools_come_back_as_openais() {
    let mut message = message();
    message["stop_reason"] = "tool_use".into();
    message["content"] = json!([
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}},
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
    ]);
    let (server, _upstream) = answering(message);
    let (key, _) = server.key(json!({}));
    let choice = server.call(&key, ask(&json!({}))).expect(200).json()["choices"][0].clone();
    assert_eq!(
        (&choice["finish_reason"], &choice["message"]["content"]),
        (&json!("tool_calls"), &json!("Let me look."))
    );
    let calls = choice["message"]["tool_calls"].as_array().unwrap();
    let names: Vec<_> = calls
        .iter()
        .map(|call| (call["id"].as_str().unwrap(), call["function"]["name"].as_str().unwrap()))
        .collect();
    assert_eq!(names, [("toolu_1", "weather"), ("toolu_2", "now")]);
    let arguments: Value = serde_json::from_str(calls[0]["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!((arguments, &calls[1]["function"]["arguments"]), (json!({"city": "Paris"}), &json!("{}")));
}

#[test]
fn fields_without_an_equivalent_are_left_out_and_named() {
    let (server, upstream) = answering(message());
    let (key, _) = server.key(json!({}));
    let odd = json!({"logit_bias": {"1": 2}, "seed": 7, "n": 1, "presence_penalty": 0, "a, b\r\nc": 1});
    let answer = server.call(&key, ask(&odd)).expect(200);
    let named = answer.header("x-mcp-ignored").unwrap();
    assert_eq!(named, "abc, logit_bias, seed");
    let body = upstream.seen()[0].json();
    assert!(
        ["logit_bias", "seed", "n", "presence_penalty"].iter().all(|name| body.get(name).is_none()),
        "{body}"
    );
    let answer = server.call(&key, ask(&json!({"seed": 7, "stream": true})));
    assert_eq!(answer.status, 502, "a message is no stream");
    // The client is told what is wrong by the name that it used itself.
    let refused = server.call(&key, ask(&json!({"temperature": "hot"}))).expect_error(422, "invalid_request");
    assert!(refused.text().contains("temperature"));
}

#[test]
fn a_stream_of_events_becomes_a_stream_of_chunks() {
    let (server, upstream) = serving(whole_stream);
    let (key, _) = server.key(json!({}));
    for include_usage in [false, true] {
        let request =
            ask(&json!({"stream": true, "stream_options": {"include_usage": include_usage}, "seed": 1}));
        let mut stream = request.bearer(&key).open(server.public);
        assert_eq!(stream.header("content-type"), Some("text/event-stream"));
        assert_eq!(stream.header("x-mcp-ignored"), Some("seed"));
        let mut events = stream.events();
        assert!(stream.complete);
        assert_eq!(events.pop().as_deref(), Some("[DONE]"));
        let mut chunks: Vec<Value> =
            events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
        for chunk in &chunks {
            assert_eq!((&chunk["object"], &chunk["id"]), (&json!("chat.completion.chunk"), &json!("msg_1")));
        }
        if include_usage {
            let last = chunks.pop().unwrap();
            assert_eq!(last["choices"], json!([]));
            assert_eq!(
                (&last["usage"]["prompt_tokens"], &last["usage"]["completion_tokens"]),
                (&json!(25), &json!(30))
            );
        }
        assert!(chunks.iter().all(|chunk| chunk["usage"].is_null()));
        let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
        assert_eq!(deltas[0]["role"], "assistant");
        let text: String = deltas.iter().filter_map(|delta| delta["content"].as_str()).collect();
        assert_eq!(text, "Let me look.");
        let mut calls = [(String::new(), String::new()), (String::new(), String::new())];
        for part in deltas.iter().filter_map(|delta| delta["tool_calls"].as_array()).flatten() {
            let (name, arguments) = &mut calls[usize::try_from(part["index"].as_u64().unwrap()).unwrap()];
            name.push_str(part["function"]["name"].as_str().unwrap_or_default());
            arguments.push_str(part["function"]["arguments"].as_str().unwrap_or_default());
        }
        assert_eq!(calls[0], ("weather".to_owned(), "{\"city\": \"Paris\"}".to_owned()));
        assert_eq!(calls[1], ("now".to_owned(), "{}".to_owned()));
        assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
    }
    assert_eq!(upstream.seen()[0].json()["stream"], true);
    let row = &server.usage("status")[0];
    let figures = ["requests", "prompt_tokens", "completion_tokens", "estimated"]
        .map(|name| row[name].as_u64().unwrap());
    assert_eq!(figures, [2, 50, 60, 0]);
}

#[test]
fn a_stream_that_fails_half_way_ends_with_an_error() {
    let cases: [fn(&mut TcpStream) -> bool; 4] = [
        |connection| {
            let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
            send_chunk(connection, &format!("event: error\ndata: {error}\n\n"));
            wait_for_close(connection)
        },
        |_| false,
        |connection| {
            end_stream(connection);
            true
        },
        |connection| {
            send_chunk(connection, "data: sesame\n\n");
            wait_for_close(connection)
        },
    ];
    for (index, script) in cases.into_iter().enumerate() {
        let (server, _upstream) = serving(move |_, connection| {
            begin_stream(connection);
            send_first(connection, 5);
            script(connection)
        });
        let (key, _) = server.key(json!({}));
        let mut stream = ask(&json!({"stream": true})).bearer(&key).open(server.public);
        let events = stream.events();
        let error: Value = serde_json::from_str(events.last().unwrap()).unwrap();
        assert_eq!(error["error"]["code"], "upstream_error", "case {index}");
        assert!(!stream.complete && !events.concat().contains("sesame"), "case {index}: {events:?}");
        assert_eq!(server.usage("status")[0]["status"], 502, "case {index}");
    }
}

#[test]
fn what_came_in_one_piece_with_an_error_is_passed_on() {
    let (server, _upstream) = serving(|_, connection| {
        begin_stream(connection);
        let good = EVENTS[..5].iter().map(|(name, data)| format!("event: {name}\ndata: {data}\n\n"));
        let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        let piece = good.collect::<String>() + &format!("event: error\ndata: {error}\n\n");
        send_chunk(connection, &piece);
        wait_for_close(connection)
    });
    let (key, _) = server.key(json!({}));
    let mut stream = ask(&json!({"stream": true})).bearer(&key).open(server.public);
    let events = stream.events();
    let said: String = events
        .iter()
        .filter_map(|event| {
            let chunk: Value = serde_json::from_str(event).unwrap();
            chunk["choices"][0]["delta"]["content"].as_str().map(ToOwned::to_owned)
        })
        .collect();
    assert_eq!(said, "Let me look.");
    assert!(events.last().unwrap().contains("Overloaded"), "{events:?}");
    assert!(!stream.complete);
}

#[test]
fn a_client_that_leaves_mid_stream_is_counted_by_an_estimate() {
    let (server, _upstream) = serving(|_, connection| {
        begin_stream(connection);
        send_first(connection, 5);
        wait_for_close(connection)
    });
    let (key, _) = server.key(json!({}));
    let mut stream = ask(&json!({"stream": true})).bearer(&key).open(server.public);
    while !stream.event().unwrap().contains("look.") {}
    drop(stream);
    crate::harness::eventually("it is counted", || !server.usage("status").is_empty());
    let row = &server.usage("status")[0];
    assert_eq!(
        (&row["status"], &row["estimated"], &row["prompt_tokens"]),
        (&json!(499), &json!(1), &json!(25))
    );
    let completion = row["completion_tokens"].as_u64().unwrap();
    assert!((2..=4).contains(&completion), "two pieces of text, not {completion}");
}

#[test]
fn of_an_upstreams_errors_the_client_sees_what_is_its_own() {
    let cases = [
        (400, "invalid_request_error", "max_tokens: too large", 400, "invalid_request"),
        (404, "not_found_error", "model: claude-0", 404, "not_found"),
        (413, "request_too_large", "too large", 413, "payload_too_large"),
        (429, "rate_limit_error", "slow down", 429, "rate_limit_exceeded"),
        (401, "authentication_error", "sesame", 502, "upstream_error"),
        (403, "permission_error", "sesame", 502, "upstream_error"),
        (500, "api_error", "sesame", 502, "upstream_error"),
        (529, "overloaded_error", "sesame", 502, "upstream_error"),
    ];
    let (server, _upstream) = serving(move |seen, connection| {
        let text = seen.json()["messages"][0]["content"].to_string();
        let index: usize = text.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap();
        let (status, kind, message, ..) = cases[index];
        let body = json!({"type": "error", "error": {"type": kind, "message": message}}).to_string();
        let head = format!(
            "HTTP/1.1 {status} Told\r\nretry-after: 9\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let _ = connection.write_all(head.as_bytes());
        true
    });
    let (key, _) = server.key(json!({}));
    for (index, (told, _, message, status, code)) in cases.into_iter().enumerate() {
        let request = ask(&json!({"messages": [{"role": "user", "content": index.to_string()}]}));
        let answer = server.call(&key, request).expect_error(status, code);
        let shown = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!(shown == message, status != 502, "{told}: {shown}");
        assert!(!answer.text().contains("sesame"), "{told}: {shown}");
        if status == 429 {
            assert_eq!(answer.header("retry-after"), Some("9"));
        }
    }
}

#[test]
fn what_is_no_message_is_an_upstream_error() {
    for body in [json!({}), json!({"type": "message"}), json!([]), json!({"choices": []})] {
        let (server, _upstream) = answering(body.clone());
        let (key, _) = server.key(json!({}));
        let answer = server.call(&key, ask(&json!({})));
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_error"), "{body}");
    }
}

#[test]
fn legacy_completions_are_translated_too() {
    let (server, upstream) = answering(message());
    let (key, _) = server.key(json!({}));
    let request =
        Request::post("/v1/completions", &json!({"model": "claude", "prompt": "Capital?", "stop": "END"}));
    let answer = server.call(&key, request).expect(200).json();
    assert_eq!(
        (&answer["object"], &answer["choices"][0]["text"]),
        (&json!("text_completion"), &json!("Paris."))
    );
    assert_eq!(answer["usage"]["total_tokens"], 34);
    let body = upstream.seen()[0].json();
    assert_eq!((&body["messages"][0]["role"], &body["stop_sequences"]), (&json!("user"), &json!(["END"])));
    assert!(body["messages"][0]["content"].to_string().contains("Capital?"));

    let (server, _upstream) = serving(whole_stream);
    let (key, _) = server.key(json!({}));
    let request =
        Request::post("/v1/completions", &json!({"model": "claude", "prompt": "Hi", "stream": true}));
    let mut events = request.bearer(&key).open(server.public).events();
    assert_eq!(events.pop().as_deref(), Some("[DONE]"));
    let chunks: Vec<Value> = events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let text: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
    assert_eq!(text, "Let me look.");
    assert!(chunks.iter().all(|chunk| chunk["object"] == "text_completion"));
}

#[test]
fn the_base_url_is_taken_with_and_without_its_version() {
    let upstream = FakeUpstream::json(200, message());
    let cases = [
        ("", "/v1/messages"),
        ("/", "/v1/messages"),
        ("/v1", "/v1/messages"),
        ("/v1/", "/v1/messages"),
        ("/proxy/anthropic", "/proxy/anthropic/v1/messages"),
        ("/proxy/anthropic/v1", "/proxy/anthropic/v1/messages"),
    ];
    for (path, target) in cases {
        let server = serving_at(&format!("http://{}{path}", upstream.address));
        let (key, _) = server.key(json!({}));
        server.call(&key, ask(&json!({}))).expect(200);
        assert_eq!(upstream.seen().pop().unwrap().target, target, "{path}");
    }
}

#[test]
fn a_star_asks_for_the_models_the_anthropic_way() {
    let upstream =
        FakeUpstream::json(200, json!({"data": [{"type": "model", "id": "claude-opus"}], "has_more": false}));
    let server = TestServer::setup()
        .toml(&format!(
            "[[upstreams]]\nname = \"fake\"\nkind = \"anthropic\"\nbase_url = \"http://{}\"\napi_key = \"sk-ant\"",
            upstream.address
        ))
        .start();
    let (key, _) = server.key(json!({}));
    crate::harness::eventually("it is asked", || {
        let list = server.call(&key, Request::get("/v1/models")).expect(200).json();
        list["data"][0]["id"] == "claude-opus"
    });
    let seen = &upstream.seen()[0];
    assert!(seen.target.starts_with("/v1/models"), "{}", seen.target);
    assert_eq!(seen.header("x-api-key"), Some("sk-ant"));
    assert!(seen.header("anthropic-version").is_some());
}
