//! Streams that end early: with their client, or with their key.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{SOON, USAGE, WORD, only_row, open, serving, streamed};
use crate::harness::upstream::{begin_stream, end_stream, send_event, wait_for_close};
use crate::harness::{FakeUpstream, Request, TestServer, eventually};

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
