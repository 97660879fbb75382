//! Connections that are reset, at each stage.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::{HEAD, chat, good, reset, serving};
use crate::harness::upstream::wait_for_close;
use crate::harness::{FakeUpstream, eventually};

/// What is sent before a connection is reset.
const SENT: &[(&str, &str)] = &[
    ("nothing", ""),
    ("half a status line", "HTTP/1.1 2"),
    ("half a head", HEAD),
    ("a head", "HTTP/1.1 200 OK\r\ncontent-type: TYPE\r\ncontent-length: 999\r\n\r\n"),
    (
        "half a body",
        "HTTP/1.1 200 OK\r\ncontent-type: TYPE\r\ncontent-length: 999\r\n\r\ndata: {\"choices\":[]}\n\n",
    ),
    ("half of chunks", "HTTP/1.1 200 OK\r\ncontent-type: TYPE\r\ntransfer-encoding: chunked\r\n\r\nFIRST"),
    (
        "what would end with the connection",
        "HTTP/1.1 200 OK\r\ncontent-type: TYPE\r\n\r\ndata: {\"choices\":[]}\n\n",
    ),
];

#[test]
fn a_reset_at_any_moment_is_an_upstream_error_and_over_with_the_request() {
    let upstream = FakeUpstream::start(|seen, connection| {
        let (said, is_streamed) = super::asked(seen);
        let Some((index, is_early)) = said.split_once(' ') else {
            let _ = connection.write_all(&good(&said, is_streamed));
            return true;
        };
        let (_, sent) = SENT[index.parse::<usize>().unwrap()];
        let _ = connection.write_all(&super::fill(sent, is_streamed));
        if is_early == "late" {
            // What was sent has been read by then.
            std::thread::sleep(Duration::from_millis(30));
        }
        reset(connection);
        false
    });
    let (server, mut client) = serving(&upstream, 30);
    for (index, (what, _)) in SENT.iter().enumerate() {
        for when in ["early", "late"] {
            for is_streamed in [false, true] {
                let about = format!("{what}, {when}, streamed: {is_streamed}");
                let got = client.ask(chat(&format!("{index} {when}"), is_streamed));
                assert!(got.is_failure(502, "upstream_error"), "{about}: {}", got.told());
                assert!(client.ask(chat("good", is_streamed)).is_good("good", is_streamed), "{about}");
            }
        }
    }
    let told = server.admin(crate::harness::Request::get("/admin/v1/server")).expect(200).json();
    assert_eq!(told["upstreams"][0]["requests"]["unreachable"], 0, "it could be reached");
}

/// A listener on which each connection is treated as told, as long as `is_odd`, and then answered.
fn odd_listener(is_odd: &Arc<AtomicBool>, treat: fn(TcpStream)) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (is_odd, count) = (Arc::clone(is_odd), Arc::new(AtomicUsize::new(0)));
    let taken = Arc::clone(&count);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            taken.fetch_add(1, Ordering::Relaxed);
            if is_odd.load(Ordering::Relaxed) {
                std::thread::spawn(move || treat(connection));
                continue;
            }
            let _ = connection.read(&mut [0; 4096]);
            let _ = connection.write_all(&good("good", false));
        }
    });
    (address, count)
}

#[test]
fn a_connection_that_is_ended_before_it_is_used_is_over_with_the_request() {
    type Treatment = fn(TcpStream);
    let treatments: [(&str, Treatment); 5] = [
        ("closed at once", drop),
        ("reset at once", |connection| reset(&connection)),
        ("answered at once", |mut connection| {
            let _ =
                connection.write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }),
        ("greeted and closed", |mut connection| {
            let _ = connection.write_all(b"220 mail.example ESMTP\r\n");
        }),
        ("closed for writing", |mut connection| {
            let _ = connection.shutdown(std::net::Shutdown::Write);
            wait_for_close(&mut connection);
        }),
    ];
    for (what, treat) in treatments {
        let is_odd = Arc::new(AtomicBool::new(true));
        let (address, count) = odd_listener(&is_odd, treat);
        let upstream = FakeUpstream::json(200, serde_json::json!({}));
        let server = crate::harness::TestServer::setup()
            .workers(1)
            .upstream("odd", address, &["m"])
            .upstream("other", upstream.address, &["other"])
            .start();
        let (key, _) = server.key(serde_json::json!({"max_concurrent": 1}));
        let mut client = super::Client::of(&server, &key);
        for is_streamed in [false, true, false, true] {
            let got = client.ask(chat("good", is_streamed));
            // A reset may come before the connection is known to be open.
            let is_unreached = what == "reset at once" && got.is_failure(503, "upstream_unavailable");
            assert!(is_unreached || got.is_failure(502, "upstream_error"), "{what}: {}", got.told());
        }
        assert!(count.load(Ordering::Relaxed) >= 4, "{what}");
        is_odd.store(false, Ordering::Relaxed);
        let got = client.ask(chat("good", false));
        assert!(got.is_good("good", false), "{what}: {}", got.told());
    }
}

#[test]
fn an_upstream_that_accepts_nobody_is_unavailable_and_costs_the_others_nothing() {
    // A queue of one, which is full: the system itself answers nobody any more.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let short = Duration::from_millis(200);
    let mut queue = Vec::new();
    while let Ok(connection) = TcpStream::connect_timeout(&address, short) {
        queue.push(connection);
        assert!(queue.len() < 100, "its queue never fills");
    }
    let other = FakeUpstream::json(200, serde_json::json!({"choices": []}));
    let server = crate::harness::TestServer::setup()
        .workers(1)
        .upstream("full", address, &["m"])
        .toml("connect_timeout_seconds = 1")
        .upstream("other", other.address, &["other"])
        .start();
    let (key, _) = server.key(serde_json::json!({"max_concurrent": 1}));
    let (second, _) = server.key(serde_json::json!({}));
    let mut client = super::Client::of(&server, &key);
    for is_streamed in [false, true] {
        let waiting = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| client.ask(chat("good", is_streamed)));
            let body = serde_json::json!({"model": "other", "messages": [{}]});
            let request = || crate::harness::Request::post("/v1/chat/completions", &body);
            for _ in 0..20 {
                server.call(&second, request()).expect(200);
            }
            waiting.join().unwrap()
        });
        assert!(waiting.is_failure(503, "upstream_unavailable"), "{}", waiting.told());
    }
    // Its queue is taken in at last.
    drop(queue);
    let listener: TcpListener = socket.into();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            std::thread::spawn(move || {
                if connection.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                    let _ = connection.write_all(&good("good", false));
                }
            });
        }
    });
    eventually("it is reached", || client.ask(chat("good", false)).is_good("good", false));
}
