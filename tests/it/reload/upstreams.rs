//! Other upstreams: for new requests at once, for those in flight never.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use serde_json::{Value, json};

use super::{reload, upstream};
use crate::harness::upstream::{begin_stream, end_stream, send_event};
use crate::harness::{Binary, FakeUpstream, Request, eventually};

fn answering(text: &'static str) -> FakeUpstream {
    let message = json!({"role": "assistant", "content": text});
    FakeUpstream::json(
        200,
        json!({"id": "x", "object": "chat.completion", "model": "m", "choices": [{"index": 0, "message": message}],
               "data": [{"id": text}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}),
    )
}

fn said(binary: &Binary) -> Value {
    let answer = binary.call(&binary.default_key(), Request::chat("Hello")).expect(200).json();
    answer["choices"][0]["message"]["content"].clone()
}

#[test]
fn new_requests_go_to_other_upstreams_and_streams_go_on_where_they_began() {
    let (go_on, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let streaming = FakeUpstream::start(move |_, connection| {
        begin_stream(connection);
        send_event(connection, r#"{"choices":[{"delta":{"content":"x"}}]}"#);
        wait.lock().unwrap().recv().unwrap();
        send_event(connection, r#"{"choices":[{"delta":{"content":"y"}}]}"#);
        send_event(connection, "[DONE]");
        end_stream(connection);
        false
    });
    let binary = Binary::start(&upstream("one", streaming.address, "models = [\"m\"]"));
    let messages = json!([{"role": "user", "content": "Hello"}]);
    let ask =
        Request::post("/v1/chat/completions", &json!({"model": "m", "stream": true, "messages": messages}));
    let mut running = ask.bearer(&binary.default_key()).open(binary.public);
    assert!(running.event().unwrap().contains('x'));
    let other = answering("other");
    let told = reload(&binary, &upstream("two", other.address, "models = [\"m\"]"));
    assert!(told.contains("reloaded mcpd.toml: new are upstreams\n"), "{told}");
    assert_eq!(said(&binary), "other");
    let server = binary.admin(Request::get("/admin/v1/server")).expect(200).json();
    assert_eq!(server["upstreams"].as_array().unwrap().len(), 1);
    assert_eq!(server["upstreams"][0]["name"], "two");
    go_on.send(()).unwrap();
    let events = running.events();
    assert!(events[0].contains('y') && events.last().unwrap() == "[DONE]", "{events:?}");
    assert!(running.complete);
}

#[test]
fn an_upstream_that_stays_keeps_its_connections_its_models_and_its_counts() {
    let (stays, comes) = (answering("stays"), answering("comes"));
    let staying = upstream("stays", stays.address, "");
    let binary = Binary::start(&format!("server.workers = 1\n{staying}"));
    let models = || binary.call(&binary.default_key(), Request::get("/v1/models")).expect(200).text();
    eventually("its models are known", || models().contains("stays"));
    let asked = || stays.seen().iter().filter(|seen| seen.target.ends_with("/models")).count();
    let before = asked();
    let count = |name: &str| {
        let metrics = binary.admin(Request::get("/metrics")).expect(200).text();
        let line = format!("mcpd_upstream_requests_total{{upstream=\"{name}\",outcome=\"answered\"}} ");
        let count = metrics.lines().find_map(|known| known.strip_prefix(&line).map(ToOwned::to_owned));
        count.map(|count| count.parse::<u64>().unwrap())
    };
    let messages = json!([{"role": "user", "content": "Hello"}]);
    for _ in 0..10 {
        let chat = Request::post("/v1/chat/completions", &json!({"model": "stays", "messages": messages}));
        binary.call(&binary.default_key(), chat).expect(200);
    }
    let counted = count("stays").unwrap();
    reload(&binary, &format!("server.workers = 1\n{staying}{}", upstream("comes", comes.address, "")));
    // Without anybody who asks for a model of it.
    eventually("the new one is asked for its models", || !comes.seen().is_empty());
    eventually("the models of both are known", || models().contains("comes") && models().contains("stays"));
    assert!(asked() <= before + 1, "{} after {before}", asked());
    assert!(count("stays").unwrap() >= counted && count("comes").is_some());
    // Configured otherwise, it is another upstream under the same name.
    let counted = count("stays").unwrap();
    reload(&binary, &format!("{staying}weight = 9\n"));
    assert!(count("stays").unwrap() >= counted && count("comes").is_none());
}

#[test]
fn a_key_of_an_upstream_is_read_again_from_its_file() {
    let fake = answering("x");
    let config = upstream("x", fake.address, "models = [\"m\"]\napi_key_file = \"upstream.key\"");
    let folder = crate::harness::Folder::new();
    std::fs::write(folder.path().join("upstream.key"), "sk-first").unwrap();
    std::fs::write(folder.path().join("mcpd.toml"), format!("{}{config}", crate::harness::binary::CONFIG))
        .unwrap();
    let binary = Binary::start_in(folder);
    said(&binary);
    std::fs::write(binary.path("upstream.key"), "sk-second").unwrap();
    said(&binary);
    let told = super::reread(&binary);
    assert!(!told.contains("sk-second"), "{told}");
    said(&binary);
    let sent: Vec<_> =
        fake.seen().iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(sent, ["Bearer sk-first", "Bearer sk-first", "Bearer sk-second"]);
}
