//! Connections that are kept: when they may be used again, and what comes on them in between.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::{HEAD, asked, chat, fill, good, serving};
use crate::harness::{FakeUpstream, eventually};

/// What an upstream says of a connection that it then leaves open, and whether that is to be kept.
const SAID: &[(&str, &str, bool)] = &[
    ("HTTP/1.1", "", true),
    ("HTTP/1.1", "connection: keep-alive\r\n", true),
    ("HTTP/1.1", "connection: x-odd\r\n", true),
    ("HTTP/1.1", "connection: close\r\n", false),
    ("HTTP/1.1", "Connection: Close\r\n", false),
    ("HTTP/1.1", "connection: x-odd, close\r\n", false),
    ("HTTP/1.1", "connection: close, x-odd\r\n", false),
    ("HTTP/1.1", "connection: keep-alive, close\r\n", false),
    ("HTTP/1.1", "connection: x-odd\r\nconnection: close\r\n", false),
    ("HTTP/1.1", "connection: close\r\nconnection: keep-alive\r\n", false),
    ("HTTP/1.0", "", false),
    ("HTTP/1.0", "connection: close\r\n", false),
];

#[test]
fn a_connection_that_is_to_be_closed_is_not_used_again() {
    let peers: Arc<Mutex<HashMap<String, SocketAddr>>> = Arc::default();
    let noted = Arc::clone(&peers);
    let upstream = FakeUpstream::start(move |seen, connection| {
        let (said, is_streamed) = asked(seen);
        noted.lock().unwrap().insert(said.clone(), connection.peer_addr().unwrap());
        let Ok(index) = said.parse::<usize>() else {
            let _ = connection.write_all(&good(&said, is_streamed));
            return true;
        };
        let (version, line, _) = SAID[index];
        let answer = format!("{HEAD}{line}content-length: LEN\r\n\r\nBODY").replace("HTTP/1.1", version);
        let _ = connection.write_all(&fill(&answer, is_streamed));
        // Closed by nobody here: whoever sends another request would get an answer.
        true
    });
    let (_server, mut client) = serving(&upstream, 30);
    for (index, (version, line, is_kept)) in SAID.iter().enumerate() {
        for is_streamed in [false, true] {
            let about = format!("{version} {line:?}, streamed: {is_streamed}");
            assert_eq!(client.ask(chat(&index.to_string(), is_streamed)).status, 200, "{about}");
            let next = client.ask(chat("next", is_streamed));
            assert!(next.is_good("next", is_streamed), "{about}: {}", next.told());
            let peers = peers.lock().unwrap();
            assert_eq!(peers[&index.to_string()] == peers["next"], *is_kept, "{about}");
        }
    }
}

#[test]
fn what_comes_on_an_idle_connection_unasked_is_nobodys_answer() {
    let unasked = [
        ("nothing, and it closes", "", false),
        (
            "408, as many servers say",
            "HTTP/1.1 408 Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            false,
        ),
        ("408, and it stays", "HTTP/1.1 408 Timeout\r\ncontent-length: 0\r\n\r\n", true),
        ("an answer", "POISON", true),
        ("an answer, and it closes", "POISON", false),
        ("ten answers", "POISONPOISONPOISONPOISONPOISONPOISONPOISONPOISONPOISONPOISON", true),
        ("half an answer", "HTTP/1.1 200 OK\r\ncontent-le", true),
        ("a byte", "x", true),
        ("a blank line", "\r\n", true),
        ("an interim answer", "HTTP/1.1 103 Early Hints\r\n\r\n", true),
    ];
    let idle: Arc<Mutex<Vec<std::net::TcpStream>>> = Arc::default();
    let kept = Arc::clone(&idle);
    let upstream = FakeUpstream::start(move |seen, connection| {
        let (said, is_streamed) = asked(seen);
        *kept.lock().unwrap() = vec![connection.try_clone().unwrap()];
        let _ = connection.write_all(&good(&said, is_streamed));
        true
    });
    let (_server, mut client) = serving(&upstream, 30);
    for (what, bytes, stays) in unasked {
        for is_streamed in [false, true] {
            assert!(client.ask(chat("before", is_streamed)).is_good("before", is_streamed), "{what}");
            let mut connection = idle.lock().unwrap().pop().unwrap();
            connection.write_all(&fill(bytes, is_streamed)).unwrap();
            if !stays {
                connection.shutdown(std::net::Shutdown::Both).unwrap();
            }
            for said in ["first", "second"] {
                let next = client.ask(chat(said, is_streamed));
                assert!(next.is_good(said, is_streamed), "{what}, {said}: {}", next.told());
            }
        }
    }
}

#[test]
fn a_client_that_left_mid_answer_leaves_nothing_for_the_next() {
    let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, told) = (Arc::clone(&begun), Arc::clone(&ended));
    let upstream = FakeUpstream::start(move |seen, connection| {
        let (said, is_streamed) = asked(seen);
        let answer = good(&said, is_streamed);
        if !said.starts_with("left") {
            let _ = connection.write_all(&answer);
            return true;
        }
        let (first, rest) = answer.split_at(if is_streamed { answer.len() - 14 } else { 40 });
        let _ = connection.write_all(first);
        let round = count.fetch_add(1, Ordering::Relaxed);
        // The rest comes once the client has left, where anybody still listens.
        eventually("the client has left", || told.load(Ordering::Relaxed) > round);
        let _ = connection.write_all(rest);
        true
    });
    let (_server, mut client) = serving(&upstream, 30);
    for (round, is_streamed) in [false, true, false, true].into_iter().enumerate() {
        let mut connection = std::net::TcpStream::connect(client.to).unwrap();
        let request = chat(&format!("left {round}"), is_streamed).bearer(&client.key);
        connection.write_all(&request.bytes()).unwrap();
        eventually("the answer has begun", || begun.load(Ordering::Relaxed) > round);
        drop(connection);
        eventually("its slot is free", || client.ask(chat("next", false)).is_good("next", false));
        ended.fetch_add(1, Ordering::Relaxed);
        for said in ["first", "second", "third"] {
            let next = client.ask(chat(said, is_streamed));
            assert!(next.is_good(said, is_streamed), "{round}, {said}: {}", next.told());
        }
    }
}
