//! Streams: passed on as they come, ended honestly, counted once.

mod ends;
mod usage;

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::upstream::{
    begin_stream, end_stream, send_chunk, send_event, wait_for_close, write_json,
};
use crate::harness::{Binary, FakeUpstream, Request, Seen, Stream, TestServer, eventually};

/// How long may pass until an upstream is left that nobody listens to.
const SOON: Duration = Duration::from_secs(1);
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
fn what_came_before_a_failure_is_passed_on() {
    let error = r#"{"error":{"message":"out of memory"}}"#;
    let cases = [
        ("in one piece with an error event", format!("data: {WORD}\n\ndata: {error}\n\n"), 1),
        ("in one piece, and more behind", format!("data: {WORD}\n\ndata: {error}\n\ndata: {WORD}\n\n"), 1),
        ("without its blank line", format!("data: {WORD}\n\ndata: {WORD}\n"), 2),
        ("with half an event", format!("data: {WORD}\n\ndata: {}", &WORD[..20]), 1),
    ];
    for (what, sent, words) in cases {
        let (server, _upstream) = serving(move |_, connection| {
            begin_stream(connection);
            send_chunk(connection, &sent);
            end_stream(connection);
            true
        });
        let (key, _) = server.key(json!({}));
        let mut stream = open(&server, &key, &json!({}));
        let mut events = stream.events();
        let last = events.pop().unwrap();
        assert!(last.contains("upstream_error"), "{what}: {last}");
        assert_eq!(events, vec![WORD; words], "{what}");
        assert!(!stream.complete, "{what}");
        let row = only_row(&server);
        assert_eq!(
            (&row["status"], &row["completion_tokens"], &row["estimated"]),
            (&json!(502), &json!(words), &json!(1)),
            "{what}"
        );
    }
}

#[test]
fn a_streams_connection_is_kept_for_the_next() {
    // The last event and the end of the body come in one write, or the end only when the client has left.
    for apart in [false, true] {
        let peers: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
        let seen = Arc::clone(&peers);
        let (go, went) = channel();
        let (tell, told) = channel();
        let (went, tell) = (Mutex::new(went), Mutex::new(tell));
        let (server, _upstream) = serving(move |_, connection| {
            seen.lock().unwrap().push(connection.peer_addr().unwrap());
            begin_stream(connection);
            send_event(connection, WORD);
            if apart {
                send_event(connection, "[DONE]");
                let _ = went.lock().unwrap().recv();
                end_stream(connection);
            } else {
                let _ = connection.write_all(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
            }
            tell.lock().unwrap().send(()).unwrap();
            true
        });
        let (key, _) = server.key(json!({}));
        for _ in 0..10 {
            let mut stream = open(&server, &key, &json!({}));
            assert_eq!(stream.events(), [WORD, "[DONE]"]);
            assert!(stream.complete);
            let _ = go.send(());
            told.recv().unwrap();
        }
        let peers: HashSet<_> = peers.lock().unwrap().iter().copied().collect();
        assert!(peers.len() <= 2, "one a worker, not {}; apart: {apart}", peers.len());
    }
}

#[test]
fn an_upstream_that_goes_on_after_the_end_is_left_soon() {
    let scripts: [fn(&mut TcpStream) -> bool; 2] = [wait_for_close, |connection| {
        while send_event(connection, WORD) {}
        true
    }];
    for script in scripts {
        let (tell, told) = channel();
        let tell = Mutex::new(tell);
        let (server, _upstream) = serving(move |_, connection| {
            begin_stream(connection);
            send_event(connection, "[DONE]");
            let _ = tell.lock().unwrap().send(script(connection));
            false
        });
        let (key, _) = server.key(json!({}));
        let start = Instant::now();
        let mut stream = open(&server, &key, &json!({}));
        assert_eq!(stream.events(), ["[DONE]"]);
        assert!(stream.complete && start.elapsed() < SOON, "{:?}", start.elapsed());
        assert_eq!(told.recv_timeout(3 * SOON), Ok(true));
    }
}

#[test]
fn an_http_1_0_client_gets_a_stream_that_ends_with_its_connection() {
    let (server, _upstream) = serving(|_, connection| {
        begin_stream(connection);
        send_event(connection, WORD);
        send_event(connection, "[DONE]");
        end_stream(connection);
        true
    });
    let (key, _) = server.key(json!({}));
    for kept in ["keep-alive", "close"] {
        let request = streamed(&json!({})).bearer(&key).header("Connection", kept).bytes();
        let request = String::from_utf8(request).unwrap().replacen("HTTP/1.1", "HTTP/1.0", 1);
        let mut connection = TcpStream::connect(server.public).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.0 200 "), "{head}");
        assert!(!head.contains("transfer-encoding") && !head.contains("keep-alive"), "{head}");
        assert_eq!(body, format!("data: {WORD}\n\ndata: [DONE]\n\n"));
    }
}

/// The most memory that a process has had at a time, in KiB.
fn peak_memory(server: &Binary) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_long_echo_is_made_as_it_is_read() {
    let server = Binary::start("");
    let text = "a ".repeat(1024 * 1024);
    let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": text}]});
    let before = peak_memory(&server);
    let mut stream = Request::post(CHAT, &body).bearer(&server.default_key()).open(server.public);
    assert!(stream.event().unwrap().contains("assistant"));
    let more = peak_memory(&server) - before;
    // The body, what is read of it, and what is on its way.
    assert!(more < 24 * 1024, "{more} KiB");
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
