//! Requests at once: each holds a slot, and gives it back whichever way it ends.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::{Value, json};

use super::{Connections, ask, ask_stream, own, passed, remaining};
use crate::harness::upstream::{begin_stream, end_stream, send_event, wait_for_close, write_json};
use crate::harness::{FakeUpstream, Request, TestServer, eventually};

/// A model server that does what the model's name says.
fn moody_upstream() -> FakeUpstream {
    FakeUpstream::start(|seen, connection| {
        let chunk =
            r#"{"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"x"}}]}"#;
        let error = |code: u16| json!({"error": {"message": format!("told to say {code}")}});
        match seen.json()["model"].as_str().unwrap() {
            "ok" => write_json(connection, 200, &json!({"object": "chat.completion", "choices": []})),
            "stream" => {
                begin_stream(connection);
                send_event(connection, chunk);
                send_event(connection, "[DONE]");
                end_stream(connection);
            }
            "broken stream" => {
                begin_stream(connection);
                send_event(connection, chunk);
                return false;
            }
            "open stream" => {
                begin_stream(connection);
                send_event(connection, chunk);
                wait_for_close(connection);
                return false;
            }
            "silent" | "slow" => {
                wait_for_close(connection);
                return false;
            }
            "half" => {
                let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{");
                wait_for_close(connection);
                return false;
            }
            "garbage" => connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnope").unwrap(),
            "no http" => connection.write_all(b"220 smtp.example ESMTP\r\n\r\n").unwrap(),
            "gone" => return false,
            status => {
                let status = status.parse().unwrap();
                write_json(connection, status, &error(status));
            }
        }
        true
    })
}

/// A server with that upstream, and one that it has little patience with.
pub fn moody() -> (FakeUpstream, TestServer) {
    let upstream = moody_upstream();
    let patient = [
        "ok",
        "stream",
        "broken stream",
        "open stream",
        "silent",
        "garbage",
        "no http",
        "gone",
        "400",
        "401",
        "403",
        "404",
        "418",
        "422",
        "429",
        "500",
        "503",
    ];
    let hasty = format!(
        "[[upstreams]]\nname = \"hasty\"\nkind = \"openai\"\nbase_url = \"http://{}\"\n\
         models = [\"slow\", \"half\"]\ntimeout_seconds = 1\n",
        upstream.address
    );
    let server = TestServer::setup().upstream("patient", upstream.address, &patient).toml(&hasty).start();
    (upstream, server)
}

#[test]
fn a_slot_comes_back_after_every_kind_of_answer() {
    let (_upstream, server) = moody();
    let (key, _) = server.key(json!({"max_concurrent": 1}));
    let cases = [
        ("ok", 200),
        ("garbage", 502),
        ("no http", 502),
        ("gone", 502),
        ("slow", 504),
        ("half", 504),
        ("400", 400),
        ("401", 502),
        ("403", 502),
        ("404", 404),
        ("418", 502),
        ("429", 429),
        ("500", 502),
        ("503", 502),
        ("nobody's", 404),
    ];
    for (model, status) in cases {
        let answer = server.call(&key, ask(model));
        assert_eq!(answer.status, status, "{model}: {}", answer.text());
        let next = server.call(&key, ask("ok"));
        assert_eq!(next.status, 200, "after {model}: {}", next.text());
    }
    let bad = [
        ask("ok").body("{"),
        ask("ok").body(""),
        Request::new("POST", "/v1/chat/completions").header("Content-Type", "text/plain").body("{}"),
        Request::post("/v1/chat/completions", &json!({})),
        Request::get("/v1/models/none"),
    ];
    for request in bad {
        let answer = server.call(&key, request.clone());
        assert!(matches!(answer.status, 400..500), "{}", answer.text());
        assert_ne!(answer.status, 429, "{}", answer.text());
        server.call(&key, ask("ok")).expect(200);
    }
    for model in ["stream", "broken stream"] {
        let events = ask_stream(model).bearer(&key).open(server.public).events();
        assert!(!events.is_empty());
        server.call(&key, ask("ok")).expect(200);
    }
}

#[test]
fn a_slot_comes_back_when_the_client_leaves() {
    let (upstream, server) = moody();
    let (key, _) = server.key(json!({"max_concurrent": 1}));
    let is_free = || server.call(&key, own()).status == 200;

    let stream = ask_stream("open stream").bearer(&key).open(server.public);
    let refused = server.call(&key, ask("ok")).expect_error(429, "concurrency_limit_exceeded");
    assert_eq!(refused.header("retry-after"), Some("1"));
    drop(stream);
    eventually("the slot of a stream that was left", is_free);

    let mut connection = TcpStream::connect(server.public).unwrap();
    connection.write_all(&ask("silent").bearer(&key).bytes()).unwrap();
    eventually("the upstream was asked", || upstream.seen().len() == 2);
    server.call(&key, ask("ok")).expect_error(429, "concurrency_limit_exceeded");
    drop(connection);
    eventually("the slot of a client that did not wait", is_free);

    // In the middle of its own request's body.
    let request = ask("ok").bearer(&key).header("Content-Length", "1000");
    let mut connection = None;
    eventually("the request has the slot", || {
        // Whoever asks whether it is free takes it, and may be the one that the request is refused for.
        let mut another = TcpStream::connect(server.public).unwrap();
        another.write_all(&request.bytes()).unwrap();
        connection = Some(another);
        !is_free()
    });
    drop(connection);
    eventually("the slot of a request that was never complete", is_free);
}

#[test]
fn a_slot_comes_back_when_the_upstream_falls_silent_in_a_stream() {
    let (_upstream, server) = moody();
    let (key, _) = server.key(json!({"max_concurrent": 1}));
    let mut stream = ask_stream("open stream").bearer(&key).open(server.public);
    assert!(stream.event().unwrap().contains("choices"));
    server.pass(601);
    let last: Value = serde_json::from_str(&stream.event().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "upstream_timeout");
    server.call(&key, ask("ok")).expect(200);
    assert_eq!(stream.event(), None);
    assert!(!stream.complete);
}

#[test]
fn a_slot_is_free_before_the_client_can_see_the_last_byte() {
    let (_upstream, server) = moody();
    let (key, _) = server.key(json!({"max_concurrent": 1}));
    let mut kept = Connections::open(1, server.public);
    for round in 0..200 {
        assert_eq!(kept.send(ask("ok").bearer(&key)), [200], "kept alive, round {round}");
        assert_eq!(server.call(&key, own()).status, 200, "round {round}");
        let mut stream = ask_stream("stream").bearer(&key).open(server.public);
        assert_eq!(stream.status, 200, "round {round}");
        while stream.event().unwrap() != "[DONE]" {}
    }
}

#[test]
fn what_one_limit_refuses_takes_nothing_from_another() {
    let (_upstream, server) = moody();
    let (key, _) = server.key(json!({"max_concurrent": 1, "requests_per_minute": 5}));
    let stream = ask_stream("open stream").bearer(&key).open(server.public);
    assert_eq!(stream.header("x-ratelimit-remaining"), Some("4"));
    for _ in 0..10 {
        let refused = server.call(&key, ask("ok")).expect_error(429, "concurrency_limit_exceeded");
        assert_eq!(remaining(&refused), 4);
    }
    drop(stream);
    eventually("the slot comes back", || server.call(&key, own()).status == 200);
    assert_eq!(passed(&server, &key, 10), 3);
    server.pass(60);
    // Those that the window refused hold no slot.
    assert_eq!(passed(&server, &key, 10), 5);
}

#[test]
fn the_two_refusals_by_a_limit_say_which_it_was() {
    let (_upstream, server) = moody();
    let (key, _) = server.key(json!({"max_concurrent": 1, "requests_per_minute": 1}));
    let stream = ask_stream("open stream").bearer(&key).open(server.public);
    let concurrent = server.call(&key, own()).expect(429);
    let error = &concurrent.json()["error"];
    assert_eq!(
        (&error["code"], &error["type"]),
        (&json!("concurrency_limit_exceeded"), &json!("rate_limit_error"))
    );
    drop(stream);
    eventually("the slot comes back", || server.call(&key, own()).code() == "rate_limit_exceeded");
    let limited = server.call(&key, own()).expect(429);
    let error = &limited.json()["error"];
    assert_eq!(error["type"], "rate_limit_error");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(limited.header("retry-after").unwrap()), "{message}");
}
