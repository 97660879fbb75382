//! How the binary ends: what it lets end, what it cuts off, and that nothing counted is lost.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use std::{fs, iter};

use serde_json::json;

use crate::harness::upstream::{begin_stream, end_stream, send_event, wait_for_close};
use crate::harness::{Binary, FakeUpstream, Request, eventually};

/// Usage of the last day: how many requests ended with each status.
fn usage(binary: &Binary) -> BTreeMap<i64, i64> {
    let usage = binary.admin(Request::get("/admin/v1/usage?step=day&group_by=status")).expect(200).json();
    let rows = usage["data"].as_array().unwrap().iter();
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row["status"].as_i64().unwrap()).or_default() += row["requests"].as_i64().unwrap();
    }
    counts
}

fn stream() -> Request {
    let messages = json!([{"role": "user", "content": "Hello"}]);
    Request::post("/v1/chat/completions", &json!({"model": "m", "stream": true, "messages": messages}))
}

fn with_upstream(address: SocketAddr, toml: &str) -> Binary {
    Binary::start(&format!(
        "{toml}[[upstreams]]\nname = \"fake\"\nkind = \"openai\"\nbase_url = \"http://{address}\"\nmodels = [\"m\"]\n"
    ))
}

#[test]
fn a_stop_lets_a_stream_end_and_loses_no_usage() {
    let (go_on, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let upstream = FakeUpstream::start(move |_, connection| {
        begin_stream(connection);
        send_event(connection, r#"{"choices":[{"delta":{"content":"x"}}]}"#);
        wait.lock().unwrap().recv().unwrap();
        send_event(connection, r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#);
        send_event(connection, "[DONE]");
        end_stream(connection);
        false
    });
    let binary = with_upstream(upstream.address, "usage.flush_milliseconds = 60000\n");
    let key = binary.default_key();
    let mut running = stream().bearer(&key).open(binary.public);
    assert!(running.event().unwrap().contains("choices"));
    for _ in 0..30 {
        binary.call(&key, Request::get("/v1/models")).expect(200);
    }
    binary.signal("TERM");
    eventually("it takes no more connections", || std::net::TcpStream::connect(binary.public).is_err());
    go_on.send(()).unwrap();
    assert_eq!(running.events(), ["[DONE]"]);
    assert!(running.complete);
    let (status, folder) = binary.wait();
    assert_eq!(status, Some(0));
    let log = fs::metadata(folder.path().join("data/mcpd.db-wal"));
    assert!(log.map_or(0, |log| log.len()) == 0, "a copy of the one file is not whole");
    assert!(!folder.path().join("data/admin.sock").exists());
    let binary = Binary::start_in(folder);
    assert_eq!(usage(&binary), [(200, 31)].into());
    let totals = binary.admin(Request::get("/admin/v1/usage?step=day")).json()["totals"].clone();
    assert_eq!((&totals["prompt_tokens"], &totals["completion_tokens"]), (&json!(3), &json!(2)));
}

#[test]
fn a_stream_is_cut_when_the_grace_is_over_or_a_second_signal_comes() {
    let upstream = FakeUpstream::start(|_, connection| {
        begin_stream(connection);
        send_event(connection, r#"{"choices":[{"delta":{"content":"x"}}]}"#);
        wait_for_close(connection);
        false
    });
    for (grace, signals) in [(1, 1), (60, 2)] {
        let grace = format!("server.shutdown_grace_seconds = {grace}\n");
        let binary = with_upstream(upstream.address, &grace);
        let mut running = stream().bearer(&binary.default_key()).open(binary.public);
        assert!(running.event().unwrap().contains("choices"));
        for _ in 0..signals {
            binary.signal("TERM");
            eventually("it takes no more connections", || {
                std::net::TcpStream::connect(binary.public).is_err()
            });
        }
        let start = Instant::now();
        let (status, folder) = binary.wait();
        assert_eq!(status, Some(0), "{signals} signals");
        assert!(start.elapsed() < Duration::from_secs(4), "{signals} signals: {:?}", start.elapsed());
        assert!(!running.events().contains(&"[DONE]".to_owned()) && !running.complete);
        if signals == 1 {
            assert_eq!(usage(&Binary::start_in(folder)).values().sum::<i64>(), 1);
        }
    }
}

#[test]
fn a_kill_loses_no_usage_older_than_the_flush_interval() {
    let binary = Binary::start("usage.flush_milliseconds = 200\n");
    let key = binary.default_key();
    iter::repeat_with(|| binary.call(&key, Request::chat("Hello")))
        .take(40)
        .for_each(|a| drop(a.expect(200)));
    Request::get("/v1/models").bearer("mcp_sk_x").send(binary.public).expect(401);
    std::thread::sleep(Duration::from_millis(500));
    let binary = Binary::start_in(binary.end("KILL"));
    assert_eq!(usage(&binary), [(200, 40), (401, 1)].into());
}

#[test]
fn an_interrupt_stops_it_cleanly_too() {
    let binary = Binary::start("");
    binary.call(&binary.default_key(), Request::chat("Hello")).expect(200);
    binary.signal("INT");
    let (status, folder) = binary.wait();
    assert_eq!(status, Some(0));
    assert_eq!(usage(&Binary::start_in(folder)), [(200, 1)].into());
}
