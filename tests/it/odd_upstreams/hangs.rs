//! Upstreams that stop, or nearly: the wait is as long as is configured, and nobody else waits with it.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Client, Got, asked, chat, fill, good, serving};
use crate::harness::upstream::wait_for_close;
use crate::harness::{FakeUpstream, Stop, TestServer};

const LENGTH: &str = "HTTP/1.1 200 OK\r\ncontent-type: TYPE\r\ncontent-length: 999\r\n\r\n";
const CHUNKS: &str = "HTTP/1.1 200 OK\r\ncontent-type: TYPE\r\ntransfer-encoding: chunked\r\n\r\n";

/// What is sent before an upstream hangs.
fn beginnings() -> Vec<String> {
    let behind = |head: &str, body: &str| format!("{head}{body}");
    vec![
        String::new(),
        "HTTP/1.1 2".to_owned(),
        "HTTP/1.1 200 OK\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-type: TYPE".to_owned(),
        LENGTH.to_owned(),
        behind(LENGTH, "data: {\"choices\":[]}\n\ndata"),
        CHUNKS.to_owned(),
        behind(CHUNKS, "FIRST"),
        behind(CHUNKS, "FIRST5"),
        behind(CHUNKS, "FIRST5\r\nda"),
        "HTTP/1.1 500 Broken\r\ncontent-length: 999\r\n\r\n{".to_owned(),
    ]
}

/// Asks for something, time passing as fast as it is looked at: a stream's silence is measured on the server's clock.
fn ask_while_time_passes(server: &TestServer, key: &str, said: &str, is_streamed: bool) -> (Got, Duration) {
    let waiting = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let _stop = Stop(&waiting);
        scope.spawn(|| {
            while is_streamed && waiting.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(100));
                server.pass(1);
            }
        });
        let start = Instant::now();
        (Client::of(server, key).ask(chat(said, is_streamed)), start.elapsed())
    })
}

#[test]
fn a_hang_at_any_moment_times_out_and_is_over_with_the_request() {
    let upstream = FakeUpstream::start(|seen, connection| {
        let (said, is_streamed) = asked(seen);
        let Some(index) = said.strip_prefix("case ") else {
            let _ = connection.write_all(&good(&said, is_streamed));
            return true;
        };
        let beginning = &beginnings()[index.parse::<usize>().unwrap()];
        let _ = connection.write_all(&fill(beginning, is_streamed));
        wait_for_close(connection);
        false
    });
    let (server, _) = serving(&upstream, 1);
    let server = &server;
    // All at once, on the one worker that there is, each with a slot of its own.
    std::thread::scope(|scope| {
        for (index, beginning) in beginnings().into_iter().enumerate() {
            for is_streamed in [false, true] {
                let beginning = beginning.clone();
                scope.spawn(move || {
                    let (key, _) = server.key(json!({"max_concurrent": 1}));
                    let (got, took) =
                        ask_while_time_passes(server, &key, &format!("case {index}"), is_streamed);
                    let about = format!("{beginning:?}, streamed: {is_streamed}, {took:?}: {}", got.told());
                    assert!(got.is_failure(504, "upstream_timeout"), "{about}");
                    assert!(took < Duration::from_secs(5), "{about}");
                    let next = Client::of(server, &key).ask(chat("next", is_streamed));
                    assert!(next.is_good("next", is_streamed), "behind {about}: {}", next.told());
                });
            }
        }
    });
}

/// Sends a byte now and then until nobody listens any more.
fn drip(connection: &mut TcpStream, bytes: &[u8]) {
    for byte in bytes.iter().cycle() {
        std::thread::sleep(Duration::from_millis(50));
        if connection.write_all(&[*byte]).is_err() {
            return;
        }
    }
}

#[test]
fn a_head_that_drips_is_not_waited_for_longer_than_one_that_never_comes() {
    let drips = ["HTTP/1.1 200 OK and so on", "HTTP/1.1 200 OK\r\nx-odd: ", "HTTP/1.1 200 OK\r\n", ""];
    let upstream = FakeUpstream::start(move |seen, connection| {
        let (said, is_streamed) = asked(seen);
        let Ok(index) = said.parse::<usize>() else {
            let _ = connection.write_all(&good(&said, is_streamed));
            return true;
        };
        let _ = connection.write_all(drips[index].as_bytes());
        drip(connection, if drips[index].ends_with('\n') { b"x-odd: sesame\r\n" } else { b"x" });
        false
    });
    let (server, _) = serving(&upstream, 1);
    let server = &server;
    std::thread::scope(|scope| {
        for (index, drips) in drips.into_iter().enumerate() {
            for is_streamed in [false, true] {
                scope.spawn(move || {
                    let (key, _) = server.key(json!({"max_concurrent": 1}));
                    let mut client = Client::of(server, &key);
                    let got = client.ask(chat(&index.to_string(), is_streamed));
                    let is_told =
                        got.is_failure(504, "upstream_timeout") || got.is_failure(502, "upstream_error");
                    assert!(is_told, "{drips:?}: {}", got.told());
                    assert!(client.ask(chat("next", is_streamed)).is_good("next", is_streamed), "{drips:?}");
                });
            }
        }
    });
}
