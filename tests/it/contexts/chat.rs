//! Chats with a context before their own messages.

use std::io::Write as _;

use serde_json::{Value, json};

use super::{CHAT, assistant, chat, in_front_of, message_of, post, show, stored, text, user};
use crate::harness::upstream::{write_json, write_stream};
use crate::harness::{FakeUpstream, Request, TestServer};

fn answering() -> FakeUpstream {
    FakeUpstream::start(|seen, connection| {
        if seen.json()["stream"] == true {
            write_stream(connection, &["[DONE]"]);
        } else {
            write_json(connection, 200, &json!({"choices": [{"message": assistant("Hi")}]}));
        }
        true
    })
}

fn sent(upstream: &FakeUpstream) -> Vec<String> {
    upstream.seen().into_iter().map(|seen| String::from_utf8(seen.body).unwrap()).collect()
}

#[test]
fn a_context_s_messages_go_before_the_chat_s_own() {
    let upstream = answering();
    let server = in_front_of(&upstream);
    let (key, _) = server.key(json!({}));
    let (first, second) = (json!({"role": "system", "content": "Be kind."}), user("What is 1 + 1?"));
    let path = stored(&server, &key, &[first.clone(), second.clone()]);
    let before = show(&server, &key, &path);
    let own = user("And 2 + 2?");
    for (own, stream) in [(vec![own.clone()], false), (vec![own.clone(), user("?")], true), (vec![], false)] {
        let more = json!({"temperature": 0.5, "stream": stream});
        server.call(&key, chat(&path, &own, &more)).expect(200);
        let mut messages = vec![first.clone(), second.clone()];
        messages.extend(own);
        let mut expected = json!({"messages": messages, "model": "m", "temperature": 0.5, "stream": stream});
        if stream {
            expected["stream_options"] = json!({"include_usage": true});
        }
        assert_eq!(upstream.seen().last().unwrap().json(), expected);
    }
    assert_eq!(show(&server, &key, &path), before, "nothing is appended unasked");
}

#[test]
fn messages_may_be_left_out_where_the_context_has_some_and_nowhere_else() {
    let upstream = answering();
    let server = in_front_of(&upstream);
    let (key, _) = server.key(json!({}));
    let full = stored(&server, &key, &[user("Hi")]);
    let empty = stored(&server, &key, &[]);
    let ask = |path: &str, rest: &str| {
        server.call(&key, post(CHAT, &format!(r#"{{"model":"m","context":"{}"{rest}}}"#, &path[13..])))
    };
    for rest in ["", r#","messages":[]"#, r#","messages": [ ]"#] {
        ask(&full, rest).expect(200);
        assert_eq!(upstream.seen().last().unwrap().json(), json!({"messages": [user("Hi")], "model": "m"}));
        let answer = ask(&empty, rest).expect_error(422, "invalid_request");
        assert!(message_of(&answer).contains("`messages`"), "{}", message_of(&answer));
    }
    for rest in [r#","messages":{}"#, r#","messages":"Hi""#, r#","messages":[],"messages":[]"#] {
        ask(&full, rest).expect_error(422, "invalid_request");
    }
    assert_eq!(upstream.seen().len(), 3);
}

#[test]
fn all_else_in_a_chat_goes_out_to_the_letter() {
    let upstream = answering();
    let server = in_front_of(&upstream);
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[user("Hi")]);
    let own = r#"{"content":"caf\u00e9 é","role" : "user", "n":1.50}"#;
    let fields = [
        r#""temperature":1.50"#,
        r#""tools":[ {"type" : "function","b":1,"a":[1e3 ]} ]"#,
        r#""caf\u00e9":"\u00e9 \/""#,
        r#""seed":12345678901234567890123"#,
        r#""Context":"mine""#,
    ];
    let body = format!(
        r#"{{{},"context_append": false, {}, "messages": [ {own} ], {} ,"context":"{}","model":"m",{},{}}}"#,
        fields[0],
        fields[1],
        fields[2],
        &path[13..],
        fields[3],
        fields[4],
    );
    server.call(&key, post(CHAT, &body)).expect(200);
    let sent = sent(&upstream).pop().unwrap();
    let mut at = 0;
    for field in fields.map(|field| field.replace(r"caf\u00e9", "café")) {
        let found = sent[at..].find(&field).unwrap_or_else(|| panic!("{field} in its place: {sent}"));
        at += found + field.len();
    }
    assert!(sent.contains(own), "{sent}");
    let whole: Value = serde_json::from_str(&sent).unwrap();
    assert_eq!(whole.as_object().unwrap().len(), fields.len() + 2, "{sent}");
}

#[test]
fn what_mcpd_alone_understands_is_never_sent_on() {
    let upstream = answering();
    let server = in_front_of(&upstream);
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[user("Hi")]);
    for (context, append) in [
        (json!(null), json!(null)),
        (json!(null), json!(false)),
        (json!(&path[13..]), json!(null)),
        (json!(&path[13..]), json!(false)),
        (json!(&path[13..]), json!(true)),
    ] {
        let body =
            json!({"context": context, "context_append": append, "model": "m", "messages": [user("x")]});
        server.call(&key, Request::post(CHAT, &body)).expect(200);
        let sent = upstream.seen().last().unwrap().json();
        let fields: Vec<_> = sent.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["messages", "model"], "{context} {append}");
    }
}

#[test]
fn a_chat_that_calls_for_nothing_stored_goes_out_as_it_came() {
    let upstream = answering();
    let server = in_front_of(&upstream);
    let (key, _) = server.key(json!({"scopes": ["chats:create"]}));
    let body = r#" {"model":"m", "CONTEXT":"x","messages":[ {"role":"user","content":[ {"type":"file","file":{"file_id":"file-abc"}} ]}],"x":{"context":"y"}}"#;
    server.call(&key, post(CHAT, body)).expect(200);
    assert_eq!(sent(&upstream), [body]);
}

#[test]
fn a_completion_knows_no_contexts() {
    let upstream = FakeUpstream::json(200, json!({"choices": [{"text": "Hi"}]}));
    let server = in_front_of(&upstream);
    let (key, _) = server.key(json!({"scopes": ["completions:create"]}));
    let bodies = [
        r#" {"model":"m", "prompt":"Hi","context":"ctx_1","context_append":true}"#,
        r#"{"model":"m", "prompt":"Hi","context":3,"context_append":"x"}"#,
        r#"{"model":"m","prompt":"Hi","x":{"file_id":"file_1"},"messages": [1]}"#,
    ];
    for body in bodies {
        server.call(&key, post("/v1/completions", body)).expect(200);
    }
    assert_eq!(sent(&upstream), bodies);
}

#[test]
fn an_anthropic_upstream_is_sent_the_context_too() {
    let upstream = FakeUpstream::start(|seen, connection| {
        let events = [
            json!({"type": "message_start", "message": {"id": "msg_1", "model": "c", "usage": {"input_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Paris."}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
            json!({"type": "message_stop"}),
        ];
        if seen.json()["stream"] == true {
            let events = events.map(|event| format!("event: {}\ndata: {event}\n\n", text(&event, "type")));
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            connection.write_all((head.to_owned() + &events.concat()).as_bytes()).unwrap();
            return false;
        }
        let message = json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "c", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "Paris."}], "usage": {"input_tokens": 1, "output_tokens": 2},
        });
        write_json(connection, 200, &message);
        true
    });
    let server = TestServer::setup()
        .toml(&format!(
            "[[upstreams]]\nname = \"fake\"\nkind = \"anthropic\"\nbase_url = \"http://{}\"\n\
             api_key = \"sk-ant\"\nmodels = [\"m\"]",
            upstream.address
        ))
        .start();
    let (key, _) = server.key(json!({}));
    let path = stored(
        &server,
        &key,
        &[json!({"role": "system", "content": "Be brief."}), user("Hi"), assistant("Hello.")],
    );
    let mut said = vec![user("Hi"), assistant("Hello.")];
    for stream in [false, true] {
        let own = [user("Capital of France?")];
        let more = json!({"context_append": true, "stream": stream, "max_tokens": 9});
        let answer = server.call(&key, chat(&path, &own, &more)).expect(200);
        assert_eq!(answer.header("x-mcp-ignored"), None);
        said.extend(own);
        let seen = upstream.seen().last().unwrap().json();
        let texts: Vec<_> = seen["messages"].as_array().unwrap().iter().map(|m| m["role"].clone()).collect();
        let roles: Vec<_> = said.iter().map(|message| message["role"].clone()).collect();
        assert_eq!(texts, roles, "{seen}");
        assert!(seen["system"].to_string().contains("Be brief."), "{seen}");
        let context = show(&server, &key, &path);
        let last = context["messages"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((&last["role"], &last["content"]), (&json!("assistant"), &json!("Paris.")));
        said.push(last);
    }
}

#[test]
fn the_echo_hears_the_context_too() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[user("the stored one")]);
    let answer = server.call(&key, chat(&path, &[], &json!({"context_append": true}))).expect(200).json();
    assert_eq!(answer["choices"][0]["message"]["content"], "the stored one");
    assert_eq!(
        show(&server, &key, &path)["messages"],
        json!([user("the stored one"), assistant("the stored one")])
    );
}

#[test]
fn a_context_that_cannot_be_used_is_told_by_name() {
    let upstream = answering();
    let server = in_front_of(&upstream);
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[user("Hi")]);
    let id = &path[13..];
    let cases = [
        (json!({"context": "ctx_0123456789ABCDEFGHIJKLMN"}), 404, "not_found", "context"),
        (json!({"context": "ctx_1"}), 404, "not_found", "context"),
        (json!({"context": ""}), 404, "not_found", "context"),
        (json!({"context": 3}), 422, "invalid_request", "`context`"),
        (json!({"context": [id]}), 422, "invalid_request", "`context`"),
        (json!({"context": id, "context_append": "yes"}), 422, "invalid_request", "`context_append`"),
        (json!({"context": id, "context_append": 1}), 422, "invalid_request", "`context_append`"),
        (json!({"context_append": true}), 422, "invalid_request", "`context`"),
        (json!({"context": null, "context_append": true}), 422, "invalid_request", "`context`"),
        (
            json!({"context": id, "context_append": true, "messages": [user("x"), {"role": "wizard"}]}),
            422,
            "invalid_request",
            "`messages[1].role`",
        ),
    ];
    for (fields, status, code, named) in cases {
        let mut body = json!({"model": "m", "messages": [user("x")]});
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        let answer = server.call(&key, Request::post(CHAT, &body)).expect_error(status, code);
        assert!(message_of(&answer).contains(named), "{fields}: {}", message_of(&answer));
    }
    let twice = format!(r#"{{"model":"m","context":"{id}","context":"{id}","messages":[]}}"#);
    server.call(&key, post(CHAT, &twice)).expect_error(422, "invalid_request");
    assert!(upstream.seen().is_empty());
    assert_eq!(show(&server, &key, &path)["revision"], 1);
}

#[test]
fn a_chat_needs_the_scopes_that_its_body_calls_for_and_counts_even_if_it_lacks_one() {
    let server = TestServer::start();
    let (all, _) = server.key(json!({}));
    let path = stored(&server, &all, &[user("Hi")]);
    let id = &path[13..];
    let part = |id: &str| json!([{"role": "user", "content": [{"type": "file", "file": {"file_id": id}}]}]);
    let file = "file_0123456789ABCDEFGHIJKLMN";
    let cases = [
        (vec![], json!({"context": id}), Some("contexts:read")),
        (vec!["contexts:write"], json!({"context": id}), Some("contexts:read")),
        (vec!["contexts:read"], json!({"context": id}), None),
        (vec!["contexts:read"], json!({"context": id, "context_append": false}), None),
        (vec!["contexts:read"], json!({"context": id, "context_append": true}), Some("contexts:write")),
        (vec!["contexts:write"], json!({"context": id, "context_append": true}), Some("contexts:read")),
        (vec!["contexts:read", "contexts:write"], json!({"context": id, "context_append": true}), None),
        // Who may not look is not told what is there.
        (vec![], json!({"context": "ctx_1"}), Some("contexts:read")),
        (vec!["files:write"], json!({"messages": part(file)}), Some("files:read")),
        (vec!["files:write"], json!({"messages": part("file_1")}), Some("files:read")),
        (vec!["contexts:read"], json!({"context": id, "messages": part(file)}), Some("files:read")),
    ];
    for (more, fields, missing) in cases {
        let mut scopes = vec!["chats:create"];
        scopes.extend(more);
        let (key, _) = server.key(json!({"scopes": scopes, "requests_per_minute": 5}));
        let mut body = json!({"model": "m", "messages": [user("Hello")]});
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        for left in ["4", "3"] {
            let answer = server.call(&key, Request::post(CHAT, &body));
            assert_eq!(answer.header("x-ratelimit-remaining"), Some(left), "{scopes:?} {fields}");
            let Some(missing) = missing else {
                answer.expect(200);
                continue;
            };
            let answer = answer.expect_error(403, "insufficient_scope");
            assert!(message_of(&answer).contains(missing), "{fields}: {}", message_of(&answer));
            let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{missing}\"");
            assert_eq!(answer.header("www-authenticate"), Some(challenge.as_str()));
        }
    }
}

#[test]
fn a_file_in_a_stored_message_needs_its_scope_too() {
    let server = TestServer::start();
    let (all, _) = server.key(json!({}));
    let part = json!({"type": "file", "file": {"file_id": "file_0123456789ABCDEFGHIJKLMN"}});
    let path = stored(&server, &all, &[json!({"role": "user", "content": [part]})]);
    let (key, _) = server.key(json!({"scopes": ["chats:create", "contexts:read"]}));
    let answer = server.call(&key, chat(&path, &[], &json!({}))).expect_error(403, "insufficient_scope");
    assert!(message_of(&answer).contains("files:read"), "{}", message_of(&answer));
}

#[test]
fn a_chat_is_no_longer_with_its_context_than_a_body_may_be() {
    let upstream = answering();
    let server = TestServer::setup()
        .toml("server.max_json_bytes = 3000")
        .upstream("fake", upstream.address, &["m"])
        .start();
    let (key, _) = server.key(json!({}));
    let path = stored(&server, &key, &[user(&"x".repeat(2_000))]);
    server.call(&key, chat(&path, &[user(&"y".repeat(700))], &json!({}))).expect(200);
    for append in [false, true] {
        let request = chat(&path, &[user(&"y".repeat(1_000))], &json!({"context_append": append}));
        server.call(&key, request).expect_error(413, "payload_too_large");
    }
    assert_eq!(upstream.seen().len(), 1);
    assert_eq!(show(&server, &key, &path)["revision"], 1);
}
