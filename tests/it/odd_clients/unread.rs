//! Clients that ask for much and read nothing of it.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::said;
use crate::harness::upstream::{begin_stream, send_event, write_json};
use crate::harness::{Binary, FakeUpstream, Request, eventually};

const MIB: usize = 1024 * 1024;
const AT_ONCE: usize = 6;

/// An upstream that streams without an end, or answers with 4 MiB; it counts what was taken of its streams, and
/// how many of them have been left.
fn generous() -> (FakeUpstream, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (taken, left) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, ended) = (Arc::clone(&taken), Arc::clone(&left));
    let event = json!({"choices": [], "text": "x".repeat(MIB / 4)}).to_string();
    let upstream = FakeUpstream::start(move |seen, connection| {
        match said(seen).as_str() {
            "short" => write_json(connection, 200, &json!({"choices": []})),
            "long" => write_json(connection, 200, &json!({"choices": [], "text": "x".repeat(4 * MIB)})),
            _ => {
                begin_stream(connection);
                while send_event(connection, &event) {
                    counted.fetch_add(event.len(), Ordering::Relaxed);
                }
                ended.fetch_add(1, Ordering::Relaxed);
            }
        }
        true
    });
    (upstream, taken, left)
}

fn chat(text: &str, is_streamed: bool) -> Request {
    let messages = json!([{"role": "user", "content": text}]);
    let body = json!({"model": "m", "messages": messages, "stream": is_streamed});
    Request::post("/v1/chat/completions", &body)
}

fn key(server: &Binary, settings: &Value) -> String {
    let made = server.admin(Request::post("/admin/v1/keys", settings)).expect(201).json();
    made["key"].as_str().unwrap().to_owned()
}

/// Asks and reads nothing.
fn ask(to: SocketAddr, key: &str, request: &Request) -> TcpStream {
    let mut connection = TcpStream::connect(to).unwrap();
    connection.write_all(&request.clone().bearer(key).bytes()).unwrap();
    connection
}

/// The memory that a process has now.
fn memory(server: &Binary) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Waits until nothing more is taken, as it is once the buffers on the way are full; returns how much was. Something else
/// is done meanwhile.
fn standing_still(taken: &AtomicUsize, meanwhile: impl Fn()) -> usize {
    let mut before = 0;
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(300));
        meanwhile();
        let now = taken.load(Ordering::Relaxed);
        if now == before {
            return now;
        }
        before = now;
    }
    panic!("{before} bytes were taken, and it goes on");
}

#[test]
fn what_nobody_reads_is_not_fetched_nor_held_and_holds_nobody_up() {
    let (upstream, taken, left) = generous();
    let server = Binary::start(&format!(
        "server.workers = 1\n[[upstreams]]\nname = \"generous\"\nkind = \"openai\"\n\
         base_url = \"http://{}\"\nmodels = [\"m\"]\n",
        upstream.address
    ));
    let settings = json!({"name": "many", "scopes": ["*"], "max_concurrent": AT_ONCE});
    let unread = key(&server, &settings);
    let other = key(&server, &json!({"name": "other", "scopes": ["*"], "requests_per_minute": 1000}));
    server.call(&other, chat("short", false)).expect(200);
    let before = memory(&server);
    let streams: Vec<_> = (0..AT_ONCE).map(|_| ask(server.public, &unread, &chat("endless", true))).collect();
    eventually("all have begun", || taken.load(Ordering::Relaxed) >= AT_ONCE * MIB / 4);
    let taken_at_last =
        standing_still(&taken, || drop(server.call(&other, chat("short", false)).expect(200)));
    server.call(&unread, chat("short", false)).expect_error(429, "concurrency_limit_exceeded");
    for _ in 0..20 {
        server.call(&other, chat("short", false)).expect(200);
    }
    let (each, more) = (taken_at_last / AT_ONCE, memory(&server).saturating_sub(before) / AT_ONCE);
    // What the system holds between the two, on both sides.
    assert!(each < 24 * MIB, "{} MiB of each were fetched", each / MIB);
    assert!(more < 4 * MIB, "{more} bytes are held of each");

    drop(streams);
    eventually("the upstream is left", || left.load(Ordering::Relaxed) == AT_ONCE);
    eventually("the slots are free", || server.call(&unread, chat("short", false)).status == 200);

    // The same with answers that are whole.
    let answers: Vec<_> = (0..AT_ONCE).map(|_| ask(server.public, &unread, &chat("long", false))).collect();
    eventually("all are asked for", || {
        upstream.seen().iter().filter(|seen| said(seen) == "long").count() == AT_ONCE
    });
    server.call(&other, chat("short", false)).expect(200);
    drop(answers);
    eventually("the slots are free", || server.call(&unread, chat("short", false)).status == 200);
}
