//! Clients that behave oddly: what they get, that nothing of theirs is taken for a request that it is not, and that
//! others notice nothing.

mod halves;
mod heads;
mod multiplexed;
mod pipelined;
mod slow;
mod smuggled;
mod unread;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{FakeUpstream, Request, Seen, TestServer};

/// What a request that must not be one would ask.
const SMUGGLED: &str = "smuggled";

fn body(said: &str) -> String {
    json!({"model": "m", "messages": [{"role": "user", "content": said}]}).to_string()
}

/// What the user said.
fn said(seen: &Seen) -> String {
    seen.json()["messages"][0]["content"].as_str().unwrap().to_owned()
}

/// The characters of a text, up to U+00FF, as a byte each.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|byte| u8::try_from(u32::from(byte)).unwrap()).collect()
}

/// A server with one worker, and an upstream that repeats what the user said.
fn serving() -> (TestServer, FakeUpstream) {
    let upstream = FakeUpstream::start(|seen, connection| {
        let answer = json!({"choices": [], "told": said(seen)});
        crate::harness::upstream::write_json(connection, 200, &answer);
        true
    });
    let server = TestServer::setup().workers(1).upstream("fake", upstream.address, &["m"]).start();
    (server, upstream)
}

/// An answer on a connection: its status and body.
type Answered = (u16, String);

/// All that comes on a connection until it is closed or nothing more comes for a while, as the answers that it is,
/// and whether it was closed.
fn read_all(connection: &mut TcpStream, quiet: Duration) -> (Vec<Answered>, bool) {
    connection.set_read_timeout(Some(quiet)).unwrap();
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    let is_closed = loop {
        match connection.read(&mut piece) {
            Ok(0) => break true,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break true,
            Err(_) => break false,
        }
    };
    (answers(&bytes), is_closed)
}

/// Takes answers apart that have lengths; interim ones are left out.
fn answers(mut bytes: &[u8]) -> Vec<Answered> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        let parsed = head.parse(bytes);
        let Ok(httparse::Status::Complete(start)) = parsed else {
            panic!("{parsed:?}: {}", String::from_utf8_lossy(bytes));
        };
        let status = head.code.unwrap();
        let length = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let length: usize =
            length.map_or(0, |header| std::str::from_utf8(header.value).unwrap().parse().unwrap());
        let end = start + length;
        assert!(end <= bytes.len(), "broken off: {}", String::from_utf8_lossy(bytes));
        if status >= 200 {
            answers.push((status, String::from_utf8_lossy(&bytes[start..end]).into_owned()));
        }
        bytes = &bytes[end..];
    }
    answers
}

/// Sends bytes on a connection of their own; returns what [`read_all`] does.
fn exchange(to: SocketAddr, bytes: &[u8], quiet: Duration) -> (Vec<Answered>, bool) {
    let mut connection = TcpStream::connect(to).unwrap();
    // A server may answer and close before it has read all of what it refuses.
    let _ = connection.write_all(bytes);
    read_all(&mut connection, quiet)
}

/// Whether it is an error of the one shape.
fn is_error((status, body): &Answered) -> bool {
    let error: Value = serde_json::from_str(body).unwrap_or_default();
    (400..500).contains(status) && error["error"]["code"].is_string() && error["error"]["type"].is_string()
}

/// Fails the test unless the server goes on answering.
fn expect_well(server: &TestServer, key: &str, about: &str) {
    let answer = server.call(key, Request::chat("all well"));
    assert_eq!(answer.status, 200, "{about}: {}", answer.text());
}
