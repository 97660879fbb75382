//! Clients that close their side, or all, in the middle of something.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use socket2::SockRef;

use super::said;
use crate::harness::upstream::{begin_stream, send_event, wait_for_close, write_json};
use crate::harness::{FakeUpstream, Request, TestServer, eventually};

/// An upstream that hangs when told so, or in a stream's middle, and counts by whom it was left then.
fn hanging() -> (FakeUpstream, Arc<AtomicUsize>) {
    let left = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&left);
    let upstream = FakeUpstream::start(move |seen, connection| {
        if said(seen) == "answer" {
            write_json(connection, 200, &json!({"choices": []}));
            return true;
        }
        if seen.json()["stream"] == true {
            begin_stream(connection);
            send_event(connection, r#"{"choices":[]}"#);
        }
        count.fetch_add(usize::from(wait_for_close(connection)), Ordering::Relaxed);
        false
    });
    (upstream, left)
}

fn chat(text: &str, is_streamed: bool) -> Request {
    let messages = json!([{"role": "user", "content": text}]);
    let body = json!({"model": "m", "messages": messages, "stream": is_streamed});
    Request::post("/v1/chat/completions", &body)
}

/// Ends the connection without a word, as a client that crashes.
fn reset(connection: TcpStream) {
    SockRef::from(&connection).set_linger(Some(Duration::ZERO)).unwrap();
    drop(connection);
}

fn serving() -> (TestServer, String, FakeUpstream, Arc<AtomicUsize>) {
    let (upstream, left) = hanging();
    let server = TestServer::setup().workers(1).upstream("fake", upstream.address, &["m"]).start();
    let (key, _) = server.key(json!({"max_concurrent": 1}));
    (server, key, upstream, left)
}

#[test]
fn a_client_that_resets_its_connection_leaves_nothing_behind() {
    let (server, key, upstream, left) = serving();
    let is_free = || server.call(&key, Request::get("/v1/key")).status == 200;
    let mut asked = 0;
    for is_streamed in [false, true, false, true] {
        // While the upstream is at it.
        let mut connection = TcpStream::connect(server.public).unwrap();
        connection.write_all(&chat("hang", is_streamed).bearer(&key).bytes()).unwrap();
        asked += 1;
        eventually("the upstream was asked", || upstream.seen().len() == asked);
        if is_streamed {
            assert!(connection.read(&mut [0; 1000]).unwrap() > 0);
        }
        assert!(!is_free());
        reset(connection);
        eventually("its slot is free", is_free);
        eventually("the upstream is left", || left.load(Ordering::Relaxed) == asked);

        // In the middle of its head, and of its body.
        let bytes = chat("answer", is_streamed).bearer(&key).bytes();
        for part in [10, 100, bytes.len() - 10, bytes.len() - 1] {
            let mut connection = TcpStream::connect(server.public).unwrap();
            connection.write_all(&bytes[..part]).unwrap();
            reset(connection);
        }
        eventually("its slot is free", is_free);
        assert_eq!(upstream.seen().len(), asked, "what came in part is nothing to ask for");
    }
    server.call(&key, chat("answer", false)).expect(200);
}

#[test]
fn a_client_that_closes_its_side_has_left() {
    let (server, key, upstream, left) = serving();
    let is_free = || server.call(&key, Request::get("/v1/key")).status == 200;
    for (asked, is_streamed) in [(1, false), (2, true)] {
        let mut connection = TcpStream::connect(server.public).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        connection.write_all(&chat("hang", is_streamed).bearer(&key).bytes()).unwrap();
        eventually("the upstream was asked", || upstream.seen().len() == asked);
        connection.shutdown(Shutdown::Write).unwrap();
        eventually("its slot is free", is_free);
        eventually("the upstream is left", || left.load(Ordering::Relaxed) == asked);
        let mut answer = String::new();
        let _ = connection.read_to_string(&mut answer);
        assert!(!answer.ends_with("0\r\n\r\n") && !answer.contains("[DONE]"), "{answer}");
    }
    // In the middle of a body, the request is one that broke off.
    let bytes = chat("answer", false).bearer(&key).bytes();
    let mut connection = TcpStream::connect(server.public).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    connection.write_all(&bytes[..bytes.len() - 5]).unwrap();
    connection.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    let _ = connection.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    eventually("its slot is free", is_free);
    assert_eq!(upstream.seen().len(), 2, "half a request is asked of nobody");
}
