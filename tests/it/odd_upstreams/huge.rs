//! Answers without an end: as much of them is read as is promised, and little of that is held.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::{Got, asked, chat, fill, good};
use crate::harness::{Binary, FakeUpstream};

const MIB: usize = 1024 * 1024;
const GIB: usize = 1024 * MIB;
/// The longest answer that is passed on, and what is on its way in buffers.
const MOST_READ: usize = 64 * MIB + 16 * MIB;
/// That answer while it grows, and all else.
const MOST_MEMORY: usize = 3 * 64 * MIB + 64 * MIB;

/// What a huge answer begins with, and a MiB of how it goes on; how much of it may be read.
fn answers() -> [(&'static str, &'static str, Vec<u8>, usize); 7] {
    let length = "HTTP/1.1 200 OK\r\ncontent-type: TYPE\r\ncontent-length: 1073741824\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: TYPE\r\ntransfer-encoding: chunked\r\n\r\n";
    let one_chunk = "HTTP/1.1 200 OK\r\ncontent-type: TYPE\r\ntransfer-encoding: chunked\r\n\r\n40000000\r\n";
    let ended = "HTTP/1.0 200 OK\r\ncontent-type: TYPE\r\n\r\n";
    let failed = "HTTP/1.1 500 Broken\r\ncontent-type: TYPE\r\ncontent-length: 1073741824\r\n\r\n";
    let refused = "HTTP/1.1 400 Bad\r\ncontent-type: TYPE\r\ntransfer-encoding: chunked\r\n\r\n";
    let text = vec![b'x'; MIB];
    let chunk = [b"100000\r\n", &text[..], b"\r\n"].concat();
    [
        ("a length", length, text.clone(), MOST_READ),
        ("chunks", chunked, chunk.clone(), MOST_READ),
        ("one chunk", one_chunk, text.clone(), MOST_READ),
        ("small chunks", chunked, [b"400\r\n", &[b'x'; 1024][..], b"\r\n"].concat().repeat(1024), MOST_READ),
        ("no length", ended, text.clone(), MOST_READ),
        ("an error", failed, text, 16 * MIB),
        ("an error in chunks", refused, chunk, 16 * MIB),
    ]
}

/// Writes until nobody listens any more, or a GiB; returns how much.
fn write_on(connection: &mut TcpStream, piece: &[u8]) -> usize {
    let mut written = 0;
    while written < GIB && connection.write_all(piece).is_ok() {
        written += piece.len();
    }
    written
}

/// The most memory that a process has had at a time.
fn peak_memory(server: &Binary) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Longer than most: some 64 MiB are read and thrown away half a dozen times.
#[test]
fn an_answer_of_a_gibibyte_is_an_upstream_error_and_not_held() {
    let (written, answers) = (Arc::<Mutex<Vec<usize>>>::default(), answers());
    let noted = Arc::clone(&written);
    let script = answers.clone();
    let upstream = FakeUpstream::start(move |seen, connection| {
        let (said, is_streamed) = asked(seen);
        let Ok(index) = said.parse::<usize>() else {
            let _ = connection.write_all(&good(&said, is_streamed));
            return true;
        };
        let (_, head, piece, _) = &script[index];
        let _ = connection.write_all(&fill(head, is_streamed));
        let length = write_on(connection, piece);
        noted.lock().unwrap().push(length);
        false
    });
    let server = Binary::start(&format!(
        "[[upstreams]]\nname = \"huge\"\nkind = \"openai\"\nbase_url = \"http://{}\"\nmodels = [\"m\"]\n",
        upstream.address
    ));
    let made = json!({"name": "one slot", "scopes": ["*"], "max_concurrent": 1});
    let made = server.admin(crate::harness::Request::post("/admin/v1/keys", &made)).expect(201).json();
    let key = made["key"].as_str().unwrap();
    let ask = |said: &str, streamed| Got::read(chat(said, streamed).bearer(key).open(server.public));
    for (index, (what, _, _, most)) in answers.iter().enumerate() {
        // What is no stream of events is read no otherwise where one was asked for.
        for is_streamed in [false, true].into_iter().take(if index < 2 { 2 } else { 1 }) {
            let got = ask(&index.to_string(), is_streamed);
            let about = format!("{what}, streamed: {is_streamed}: {}", got.told());
            let is_refusal = *what == "an error in chunks" && got.is_failure(400, "invalid_request");
            assert!(is_refusal || got.is_failure(502, "upstream_error"), "{about}");
            assert!(ask("next", is_streamed).is_good("next", is_streamed), "behind {about}");
            crate::harness::eventually("the upstream is left", || !written.lock().unwrap().is_empty());
            let written = written.lock().unwrap().pop().unwrap();
            assert!(written <= *most, "{about}: {} MiB were taken", written / MIB);
        }
    }
    let peak = peak_memory(&server);
    assert!(peak < MOST_MEMORY, "{} MiB", peak / MIB);
}
