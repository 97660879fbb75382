//! Answers that come before the request was read.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::json;

use super::{Client, chat, good, reset};
use crate::harness::TestServer;

const TOO_LARGE: &str = r#"{"error":{"message":"a bit much"}}"#;

/// What becomes of an upstream's connection once it has answered without having read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The rest is read, and thrown away.
    Drain,
    /// The rest is read now and then, for as long as anybody sends.
    DrainSlowly,
    /// Nothing more is read.
    Ignore,
    Reset,
}

/// Reads a request's head; returns how long its body is, and how much of that has come with it.
fn read_head(connection: &mut TcpStream) -> Option<(usize, usize)> {
    let mut read = Vec::new();
    loop {
        let mut piece = [0; 256];
        let length = connection.read(&mut piece).ok().filter(|length| *length > 0)?;
        read.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1)?.split('\r').next()?;
            return Some((length.parse().unwrap(), body.len()));
        }
    }
}

/// An upstream that refuses large bodies by their head alone, and answers others.
fn refusing(then: Then) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            std::thread::spawn(move || refuse(connection.unwrap(), then));
        }
    });
    address
}

fn refuse(mut connection: TcpStream, then: Then) {
    let Some((length, read)) = read_head(&mut connection) else { return };
    if length < 1_000 {
        connection.read_exact(&mut vec![0; length - read]).unwrap();
        let _ = connection.write_all(&good("next", false));
        return;
    }
    let answer = format!(
        "HTTP/1.1 413 Too Large\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{TOO_LARGE}",
        TOO_LARGE.len()
    );
    let _ = connection.write_all(answer.as_bytes());
    match then {
        Then::Drain => while connection.read(&mut [0; 16384]).is_ok_and(|length| length > 0) {},
        Then::DrainSlowly => {
            while connection.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Then::Ignore => std::thread::sleep(Duration::from_secs(4)),
        Then::Reset => reset(&connection),
    }
}

fn serving(then: Then) -> (TestServer, Client) {
    let server = TestServer::setup()
        .workers(1)
        .upstream("odd", refusing(then), &["m"])
        .toml("timeout_seconds = 3")
        .start();
    let (key, _) = server.key(json!({"max_concurrent": 1}));
    let client = Client::of(&server, &key);
    (server, client)
}

#[test]
fn an_answer_that_a_reset_may_have_swallowed_is_told_or_is_an_upstream_error() {
    let (_server, mut client) = serving(Then::Reset);
    for is_streamed in [false, true, false, true] {
        let got = client.ask(chat(&"large ".repeat(1_000_000), is_streamed));
        let is_told = got.is_failure(413, "payload_too_large") || got.is_failure(502, "upstream_error");
        assert!(is_told, "{}", got.told());
        assert!(client.ask(chat("next", false)).is_good("next", false));
    }
}

#[test]
fn an_answer_before_the_request_was_read_is_the_answer() {
    for then in [Then::Drain, Then::DrainSlowly, Then::Ignore] {
        let (_server, mut client) = serving(then);
        for is_streamed in [false, true] {
            let got = client.ask(chat(&"large ".repeat(1_000_000), is_streamed));
            assert!(got.is_failure(413, "payload_too_large"), "{then:?}: {}", got.told());
            assert!(got.body.contains("a bit much"), "{then:?}: {}", got.told());
            assert!(client.ask(chat("next", false)).is_good("next", false), "{then:?}");
        }
    }
}
