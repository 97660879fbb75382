//! Streams: passed on as they come, ended honestly, counted once.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::upstream::{
    begin_stream, end_stream, send_chunk, send_event, wait_for_close, write_json, write_stream,
};
use crate::harness::{FakeUpstream, Request, Seen, Stream, TestServer, eventually};

const CHAT: &str = "/v1/chat/completions";
const WORD: &str = r#"{"choices":[{"delta":{"content":"word"}}]}"#;
const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
/// All of an upstream's answer.
const ANSWER: &[&str] = &[WORD, USAGE, "[DONE]"];

fn streamed(more: &Value) -> Request {
    let mut body =
        json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hello there"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    Request::post(CHAT, &body)
}

fn open(server: &TestServer, key: &str, more: &Value) -> Stream {
    let stream = streamed(more).bearer(key).open(server.public);
    assert_eq!(stream.status, 200);
    stream
}

fn serving(
    script: impl Fn(&Seen, &mut TcpStream) -> bool + Send + Sync + 'static,
) -> (TestServer, FakeUpstream) {
    let upstream = FakeUpstream::start(script);
    let server =
        TestServer::setup().upstream("fake", upstream.address, &["m"]).toml("timeout_seconds = 30").start();
    (server, upstream)
}

/// The one row of usage that there is, grouped by status.
fn only_row(server: &TestServer) -> Value {
    eventually("the request is counted", || !server.usage("status").is_empty());
    let rows = server.usage("status");
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0].clone()
}

#[test]
fn events_are_passed_on_as_they_come() {
    const EVENTS: usize = 50;
    let (go, went): (Sender<()>, Receiver<()>) = channel();
    let went = Mutex::new(went);
    let (server, _upstream) = serving(move |_, connection| {
        begin_stream(connection);
        for number in 0..EVENTS {
            went.lock().unwrap().recv().unwrap();
            send_event(connection, &format!("{{\"choices\":[{number}]}}"));
        }
        send_event(connection, "[DONE]");
        end_stream(connection);
        true
    });
    let (key, _) = server.key(json!({}));
    let mut stream = open(&server, &key, &json!({}));
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.header("cache-control"), Some("no-cache"));
    let start = Instant::now();
    for number in 0..EVENTS {
        go.send(()).unwrap();
        assert_eq!(stream.event().unwrap(), format!("{{\"choices\":[{number}]}}"));
    }
    // An acknowledgement that is waited for takes 40 ms, of which there would be fifty.
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(stream.events(), ["[DONE]"]);
    assert!(stream.complete);
}

#[test]
fn events_are_whole_however_the_upstream_cuts_them() {
    const PIECES: &[&str] = &[
        "data: {\"choices\":[1",
        "]}\n",
        "\ndata: {\"choices\":[2]}\n\ndata: {\"choi",
        "ces\":[3]}\r",
        "\n\r\n: keep-alive\n\nevent: x\nid: 7\ndata:{\"choices\":[\"é\"]}\n\n",
        ":\n\nretry: 10\n\n",
        "data: [DO",
        "NE]\n\n",
    ];
    let (server, _upstream) = serving(|_, connection| {
        begin_stream(connection);
        for piece in PIECES {
            send_chunk(connection, piece);
        }
        end_stream(connection);
        true
    });
    let (key, _) = server.key(json!({}));
    assert_eq!(open(&server, &key, &json!({})).finish().text(), PIECES.concat());
    let row = only_row(&server);
    assert_eq!(
        (row["status"].as_u64(), row["bytes_out"].as_u64()),
        (Some(200), Some(PIECES.concat().len() as u64))
    );
}

#[test]
fn a_comment_alone_keeps_a_connection_alive() {
    let (go, went): (Sender<()>, Receiver<()>) = channel();
    let went = Mutex::new(went);
    let (server, _upstream) = serving(move |_, connection| {
        begin_stream(connection);
        for piece in [": waiting for a slot\n\n", "data: [DONE]\n\n"] {
            went.lock().unwrap().recv().unwrap();
            send_chunk(connection, piece);
        }
        end_stream(connection);
        true
    });
    let (key, _) = server.key(json!({}));
    let mut stream = open(&server, &key, &json!({}));
    go.send(()).unwrap();
    assert_eq!(stream.event().unwrap(), ": waiting for a slot\n\n");
    // The upstream has spoken just now, so that it has all its time again.
    server.pass(29);
    go.send(()).unwrap();
    assert_eq!(stream.event().unwrap(), "[DONE]");
}

#[test]
fn the_end_is_the_last_that_is_passed_on() {
    let (server, _upstream) = serving(|_, connection| {
        begin_stream(connection);
        send_chunk(connection, "data: [DONE]\n\ndata: {\"choices\":[1]}\n\n");
        send_event(connection, "{\"error\":{\"message\":\"late\"}}");
        end_stream(connection);
        true
    });
    let (key, _) = server.key(json!({}));
    let mut stream = open(&server, &key, &json!({}));
    assert_eq!(stream.events(), ["[DONE]"]);
    assert!(stream.complete);
    assert_eq!(only_row(&server)["status"], 200);
}

#[test]
fn a_stream_that_fails_half_way_ends_with_an_error_and_a_closed_connection() {
    type Script = fn(&mut TcpStream) -> bool;
    let cases: [(&str, u16, &str, Script); 7] = [
        ("breaks off", 502, "upstream_error", |_| false),
        ("breaks off within an event", 502, "upstream_error", |connection| {
            send_chunk(connection, "data: {\"choices\":[{\"del");
            false
        }),
        ("ends without [DONE]", 502, "upstream_error", |connection| {
            end_stream(connection);
            true
        }),
        ("has an error event", 502, "upstream_error", |connection| {
            send_event(connection, r#"{"error":{"message":"out of memory","code":500}}"#);
            wait_for_close(connection)
        }),
        ("has an error event with more in it", 502, "upstream_error", |connection| {
            send_event(connection, r#"{"id":"x","error":{"message":"out of memory"},"choices":[]}"#);
            wait_for_close(connection)
        }),
        ("sends what is no chunked body", 502, "upstream_error", |connection| {
            connection.write_all(b"zz\r\ngarbage\r\n").unwrap();
            wait_for_close(connection)
        }),
        ("goes silent", 504, "upstream_timeout", |connection| wait_for_close(connection)),
    ];
    for (what, status, code, script) in cases {
        let (server, _upstream) = serving(move |_, connection| {
            begin_stream(connection);
            send_event(connection, WORD);
            script(connection)
        });
        let (key, _) = server.key(json!({"max_concurrent": 1}));
        let mut stream = open(&server, &key, &json!({}));
        assert_eq!(stream.event().unwrap(), WORD, "{what}");
        if code == "upstream_timeout" {
            server.pass(30);
        }
        let rest = stream.events();
        assert_eq!(rest.len(), 1, "{what}: {rest:?}");
        let error: Value = serde_json::from_str(&rest[0]).unwrap();
        assert_eq!(
            (&error["error"]["code"], &error["error"]["type"]),
            (&json!(code), &json!("api_error")),
            "{what}"
        );
        assert!(!stream.complete, "{what}: nobody may take this for a complete answer");
        let row = only_row(&server);
        assert_eq!((&row["status"], &row["requests"]), (&json!(status), &json!(1)), "{what}");
        assert_eq!(row["estimated"], 1, "{what}");
        server.call(&key, Request::get("/v1/key")).expect(200);
    }
}

#[test]
fn a_stream_may_last_longer_than_a_silence_may() {
    let upstream = FakeUpstream::start(|_, connection| {
        begin_stream(connection);
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(450));
            send_event(connection, WORD);
        }
        send_event(connection, "[DONE]");
        end_stream(connection);
        true
    });
    let server =
        TestServer::setup().upstream("fake", upstream.address, &["m"]).toml("timeout_seconds = 1").start();
    let (key, _) = server.key(json!({}));
    assert_eq!(open(&server, &key, &json!({})).events(), [WORD, WORD, WORD, WORD, "[DONE]"]);
}

#[test]
fn a_client_that_reads_slowly_is_not_taken_for_a_silent_upstream() {
    const EVENTS: usize = 400;
    let event = format!("{{\"choices\":[\"{}\"]}}", "x".repeat(64 * 1024));
    let length = event.len() + "data: \n\n".len();
    let (server, _upstream) = serving(move |_, connection| {
        begin_stream(connection);
        for _ in 0..EVENTS {
            send_event(connection, &event);
        }
        send_event(connection, "[DONE]");
        end_stream(connection);
        true
    });
    let (key, _) = server.key(json!({}));
    let stream = open(&server, &key, &json!({}));
    // More than all the buffers on the way hold, so that the upstream has to wait too.
    std::thread::sleep(Duration::from_millis(500));
    server.pass(31);
    std::thread::sleep(Duration::from_millis(500));
    let answer = stream.finish();
    let end = String::from_utf8_lossy(&answer.body[answer.body.len() - 100..]).into_owned();
    assert!(end.ends_with("data: [DONE]\n\n"), "{end}");
    assert_eq!(answer.body.len(), EVENTS * length + "data: [DONE]\n\n".len());
}

#[test]
fn an_answer_that_is_no_stream_where_one_was_asked_for_is_an_upstream_error() {
    let (server, _upstream) = serving(|_, connection| {
        write_json(connection, 200, &json!({"choices": []}));
        true
    });
    let (key, _) = server.key(json!({}));
    server.call(&key, streamed(&json!({}))).expect_error(502, "upstream_error");
}

#[test]
fn usage_is_always_asked_for_and_shown_only_to_a_client_that_asked() {
    let cases = [
        (json!({}), false),
        (json!({"stream_options": null}), false),
        (json!({"stream_options": {}}), false),
        (json!({"stream_options": {"include_usage": false, "x": 1}}), false),
        (json!({"stream_options": {"include_usage": true}}), true),
    ];
    for (options, shown) in cases {
        let (server, upstream) = serving(|_, connection| {
            write_stream(connection, ANSWER);
            true
        });
        let (key, _) = server.key(json!({}));
        let events = open(&server, &key, &options).events();
        assert_eq!(events, if shown { ANSWER.to_vec() } else { vec![WORD, "[DONE]"] }, "{options}");
        let seen = upstream.seen()[0].json();
        assert_eq!(seen["stream_options"]["include_usage"], true, "{options}");
        assert_eq!(seen["stream_options"]["x"], options["stream_options"]["x"], "{options}");
        let row = only_row(&server);
        let counted = ["prompt_tokens", "completion_tokens", "estimated", "requests"]
            .map(|name| row[name].as_u64().unwrap());
        assert_eq!(counted, [7, 3, 0, 1], "{options}");
    }
}

#[test]
fn an_answer_that_comes_whole_is_not_asked_for_a_streams_usage() {
    let (server, upstream) = serving(|_, connection| {
        write_json(connection, 200, &json!({"usage": {"prompt_tokens": 7, "completion_tokens": 3}}));
        true
    });
    let (key, _) = server.key(json!({}));
    server.call(&key, streamed(&json!({"stream": false}))).expect(200);
    assert_eq!(upstream.seen()[0].json()["stream_options"], Value::Null);
    let row = only_row(&server);
    assert_eq!(
        (&row["prompt_tokens"], &row["completion_tokens"], &row["estimated"]),
        (&json!(7), &json!(3), &json!(0))
    );
}

#[test]
fn usage_counts_once_wherever_it_stands() {
    const BESIDE: &str = r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
    const NULL: &str = r#"{"choices":[{"delta":{"content":"\"usage\": {}"}}],"usage":null}"#;
    const RUNNING: &str = r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":7,"completion_tokens":1}}"#;
    const ZERO: &str = r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#;
    const NO_CHOICES: &str = r#"{"usage":{"prompt_tokens":7,"completion_tokens":3},"choices":null}"#;
    let told = [7, 3, 0];
    // What the upstream sends, what the client sees, what is counted.
    let cases: [(&'static [&'static str], &[&str], [u64; 3]); 7] = [
        (&[WORD, BESIDE, "[DONE]"], &[WORD, BESIDE, "[DONE]"], told),
        (&[NULL, USAGE, "[DONE]"], &[NULL, "[DONE]"], told),
        (&[RUNNING, BESIDE, USAGE, USAGE, "[DONE]"], &[RUNNING, BESIDE, "[DONE]"], told),
        (&[BESIDE, NULL, "[DONE]"], &[BESIDE, NULL, "[DONE]"], told),
        (&[WORD, NO_CHOICES, "[DONE]"], &[WORD, "[DONE]"], told),
        (&[ZERO, "[DONE]"], &[ZERO, "[DONE]"], [0, 0, 0]),
        (&[USAGE, ZERO, "[DONE]"], &[ZERO, "[DONE]"], [0, 0, 0]),
    ];
    for (sent, passed, counted) in cases {
        let upstream = FakeUpstream::events(sent);
        let server = TestServer::setup().upstream("fake", upstream.address, &["m"]).start();
        let (key, _) = server.key(json!({}));
        assert_eq!(open(&server, &key, &json!({})).events(), passed);
        let row = only_row(&server);
        let figures =
            ["prompt_tokens", "completion_tokens", "estimated"].map(|name| row[name].as_u64().unwrap());
        assert_eq!(figures, counted, "{sent:?}");
    }
}

#[test]
fn an_upstream_that_refuses_to_be_asked_for_usage_is_asked_again_without() {
    let (server, upstream) = serving(|seen, connection| {
        if seen.json().get("stream_options").is_some() {
            let error = json!({"error": {"message": "Extra inputs are not permitted: stream_options"}});
            write_json(connection, 400, &error);
            return true;
        }
        write_stream(connection, &[WORD, WORD, "[DONE]"]);
        true
    });
    let (key, _) = server.key(json!({}));
    for asked in [2, 3] {
        assert_eq!(open(&server, &key, &json!({})).events(), [WORD, WORD, "[DONE]"]);
        assert_eq!(upstream.seen().len(), asked);
    }
    let row = only_row(&server);
    assert_eq!(
        (&row["requests"], &row["estimated"], &row["completion_tokens"]),
        (&json!(2), &json!(2), &json!(4))
    );
    assert!(row["prompt_tokens"].as_u64().unwrap() > 0);
}

#[test]
fn an_upstream_that_quotes_a_bad_request_goes_on_being_asked_for_usage() {
    let (server, upstream) = serving(|seen, connection| {
        if seen.json().get("heat").is_some() {
            let quote = String::from_utf8_lossy(&seen.body).into_owned();
            write_json(connection, 422, &json!({"error": {"message": "unknown field heat", "input": quote}}));
            return true;
        }
        write_stream(connection, ANSWER);
        true
    });
    let (key, _) = server.key(json!({}));
    let answer = server.call(&key, streamed(&json!({"heat": 1}))).expect_error(422, "invalid_request");
    assert_eq!(answer.json()["error"]["message"], "unknown field heat");
    assert_eq!(open(&server, &key, &json!({})).events(), [WORD, "[DONE]"]);
    assert_eq!(upstream.seen().pop().unwrap().json()["stream_options"]["include_usage"], true);
}

#[test]
fn legacy_completions_are_streamed_too() {
    const TEXT: &str = r#"{"object":"text_completion","choices":[{"text":"word"}]}"#;
    let upstream = FakeUpstream::events(&[TEXT, USAGE, "[DONE]"]);
    let server = TestServer::setup().upstream("fake", upstream.address, &["m"]).start();
    let (key, _) = server.key(json!({}));
    let request = Request::post("/v1/completions", &json!({"model": "m", "prompt": "Go on", "stream": true}));
    let mut stream = request.bearer(&key).open(server.public);
    assert_eq!(stream.events(), [TEXT, "[DONE]"]);
    let seen = &upstream.seen()[0];
    assert_eq!(
        (seen.target.as_str(), &seen.json()["stream_options"]["include_usage"]),
        ("/v1/completions", &json!(true))
    );
    let rows = server.usage("endpoint");
    assert_eq!((&rows[0]["endpoint"], &rows[0]["prompt_tokens"]), (&json!("/v1/completions"), &json!(7)));
}

/// An upstream that tells when a request's connection was closed under it; `begin` may answer before.
fn hanging(begin: fn(&mut TcpStream)) -> (TestServer, FakeUpstream, Receiver<bool>) {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let (server, upstream) = serving(move |_, connection| {
        begin(connection);
        let closed = wait_for_close(connection);
        let _ = tell.lock().unwrap().send(closed);
        false
    });
    (server, upstream, told)
}

/// How much a client that leaves within a second leaves the upstream to do.
const SOON: Duration = Duration::from_secs(1);

#[test]
fn a_client_that_leaves_mid_stream_closes_the_upstreams_connection() {
    let (server, _upstream, closed) = hanging(|connection| {
        begin_stream(connection);
        for _ in 0..3 {
            send_event(connection, WORD);
        }
    });
    let (key, _) = server.key(json!({"max_concurrent": 1}));
    let mut stream = open(&server, &key, &json!({}));
    for _ in 0..3 {
        stream.event().unwrap();
    }
    assert_eq!(streams_active(&server), 1);
    drop(stream);
    assert_eq!(closed.recv_timeout(SOON), Ok(true));
    let row = only_row(&server);
    let figures = ["status", "requests", "errors", "estimated", "completion_tokens"]
        .map(|name| row[name].as_u64().unwrap());
    assert_eq!(figures, [499, 1, 1, 1, 3]);
    assert!(row["prompt_tokens"].as_u64().unwrap() > 0);
    assert_eq!(streams_active(&server), 0);
    server.call(&key, Request::get("/v1/key")).expect(200);
}

fn streams_active(server: &TestServer) -> u64 {
    let metrics = server.admin(Request::get("/metrics")).expect(200).text();
    let line = metrics.lines().find(|line| line.starts_with("mcpd_streams_active")).unwrap();
    line.split_whitespace().last().unwrap().parse().unwrap()
}

#[test]
fn what_was_told_of_usage_until_a_client_left_is_an_estimate_too() {
    let (server, _upstream, closed) = hanging(|connection| {
        begin_stream(connection);
        send_event(connection, r#"{"choices":[{}],"usage":{"prompt_tokens":7,"completion_tokens":1}}"#);
        send_event(connection, WORD);
    });
    let (key, _) = server.key(json!({}));
    let mut stream = open(&server, &key, &json!({}));
    stream.event().unwrap();
    stream.event().unwrap();
    drop(stream);
    assert_eq!(closed.recv_timeout(SOON), Ok(true));
    let row = only_row(&server);
    let figures =
        ["status", "estimated", "prompt_tokens", "completion_tokens"].map(|name| row[name].as_u64().unwrap());
    assert_eq!(figures, [499, 1, 7, 2]);
}

#[test]
fn a_client_that_leaves_before_the_first_byte_closes_the_upstreams_connection() {
    let scripts: [fn(&mut TcpStream); 3] = [
        |_| {},
        |connection| begin_stream(connection),
        |connection| connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").unwrap(),
    ];
    for (script, stream) in [(scripts[0], false), (scripts[0], true), (scripts[1], true), (scripts[2], false)]
    {
        let (server, upstream, closed) = hanging(script);
        let (key, _) = server.key(json!({"max_concurrent": 1}));
        let mut connection = TcpStream::connect(server.public).unwrap();
        connection.write_all(&streamed(&json!({"stream": stream})).bearer(&key).bytes()).unwrap();
        eventually("the upstream is asked", || upstream.seen().len() == 1);
        assert!(server.usage("status").is_empty());
        drop(connection);
        assert_eq!(closed.recv_timeout(SOON), Ok(true), "stream: {stream}");
        let row = only_row(&server);
        assert_eq!((&row["status"], &row["requests"]), (&json!(499), &json!(1)), "stream: {stream}");
        server.call(&key, Request::get("/v1/key")).expect(200);
    }
}

#[test]
fn a_client_that_leaves_right_after_the_end_has_its_answer() {
    let (server, _upstream, _closed) = hanging(|connection| {
        begin_stream(connection);
        for event in [WORD, USAGE, "[DONE]"] {
            send_event(connection, event);
        }
    });
    let (key, _) = server.key(json!({"max_concurrent": 1}));
    for count in 1..=3 {
        let mut stream = open(&server, &key, &json!({}));
        assert_eq!(stream.event().unwrap(), WORD);
        assert_eq!(stream.event().unwrap(), "[DONE]");
        drop(stream);
        let row = only_row(&server);
        let figures =
            ["status", "requests", "estimated", "completion_tokens"].map(|name| row[name].as_u64().unwrap());
        assert_eq!(figures, [200, count, 0, 3 * count]);
    }
}

/// A way to end a key, and its name.
type Way<'a> = (&'a str, &'a dyn Fn(&str) -> crate::harness::Answer);

#[test]
fn a_stream_ends_with_its_key_within_a_second_and_others_go_on() {
    let ticking = Arc::new(Mutex::new(0_u32));
    let ended = Arc::clone(&ticking);
    let (server, _upstream) = serving(move |_, connection| {
        begin_stream(connection);
        while send_event(connection, WORD) {
            std::thread::sleep(Duration::from_millis(10));
        }
        *ended.lock().unwrap() += 1;
        false
    });
    let (other, _) = server.key(json!({}));
    let mut goes_on = open(&server, &other, &json!({}));
    let revoke = |id: &str| server.admin(Request::post(&format!("/admin/v1/keys/{id}/revoke"), &json!({})));
    let disable = |id: &str| {
        let request = Request::new("PATCH", &format!("/admin/v1/keys/{id}"));
        server.admin(request.json(&json!({"enabled": false})))
    };
    let delete = |id: &str| server.admin(Request::new("DELETE", &format!("/admin/v1/keys/{id}")));
    let ways: [Way<'_>; 3] = [("revoke", &revoke), ("disable", &disable), ("delete", &delete)];
    for (index, (way, end)) in ways.into_iter().enumerate() {
        let (key, made) = server.key(json!({}));
        let mut stream = open(&server, &key, &json!({}));
        assert_eq!(stream.event().unwrap(), WORD);
        end(made["id"].as_str().unwrap()).expect(200);
        let start = Instant::now();
        let last = stream.events().pop().unwrap();
        assert!(start.elapsed() < SOON, "{way}: {:?}", start.elapsed());
        let error: Value = serde_json::from_str(&last).unwrap();
        assert_eq!(error["error"]["code"], "invalid_api_key", "{way}");
        assert!(!stream.complete, "{way}");
        eventually("the upstream is left", || *ticking.lock().unwrap() as usize > index);
        server.call(&key, Request::get("/v1/key")).expect_error(401, "invalid_api_key");
        assert_eq!(goes_on.event().unwrap(), WORD, "{way}");
    }
    assert_eq!(*ticking.lock().unwrap(), 3);
}

#[test]
fn a_silent_stream_ends_with_its_key_too() {
    let (server, _upstream, closed) = hanging(begin_stream);
    let (key, made) = server.key(json!({}));
    let mut stream = open(&server, &key, &json!({}));
    server
        .admin(Request::post(&format!("/admin/v1/keys/{}/revoke", made["id"].as_str().unwrap()), &json!({})));
    let start = Instant::now();
    assert_eq!(stream.events().len(), 1);
    assert!(start.elapsed() < SOON);
    assert_eq!(closed.recv_timeout(SOON), Ok(true));
}

#[test]
fn a_stream_that_nobody_reads_ends_with_its_key_too() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let (server, _upstream) = serving(move |_, connection| {
        begin_stream(connection);
        let event = format!("{{\"choices\":[\"{}\"]}}", "x".repeat(64 * 1024));
        while send_event(connection, &event) {}
        let _ = tell.lock().unwrap().send(());
        false
    });
    let (key, made) = server.key(json!({}));
    let stream = open(&server, &key, &json!({}));
    // Until all the buffers on the way are full.
    std::thread::sleep(Duration::from_millis(500));
    let path = format!("/admin/v1/keys/{}/revoke", made["id"].as_str().unwrap());
    server.admin(Request::post(&path, &json!({}))).expect(200);
    assert_eq!(told.recv_timeout(SOON), Ok(()), "the upstream goes on writing");
    drop(stream);
}

#[test]
fn a_change_that_leaves_a_key_alive_ends_no_stream() {
    let (go, went): (Sender<()>, Receiver<()>) = channel();
    let went = Mutex::new(went);
    let (server, _upstream) = serving(move |_, connection| {
        begin_stream(connection);
        send_event(connection, WORD);
        went.lock().unwrap().recv().unwrap();
        send_event(connection, "[DONE]");
        end_stream(connection);
        true
    });
    let (key, made) = server.key(json!({}));
    let mut stream = open(&server, &key, &json!({}));
    assert_eq!(stream.event().unwrap(), WORD);
    let path = format!("/admin/v1/keys/{}", made["id"].as_str().unwrap());
    server.admin(Request::new("PATCH", &path).json(&json!({"name": "other"}))).expect(200);
    std::thread::sleep(Duration::from_millis(900));
    go.send(()).unwrap();
    assert_eq!(stream.events(), ["[DONE]"]);
}
