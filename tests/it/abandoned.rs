//! Requests to upstreams that nobody waits for any more.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::harness::upstream::{begin_stream, send_event, wait_for_close, write_json};
use crate::harness::{FakeUpstream, Request, TestServer, eventually};

/// Answers with what the user said: nothing, half a stream, or a whole answer.
fn half_hearted() -> FakeUpstream {
    FakeUpstream::start(|seen, connection| {
        let said = seen.json()["messages"][0]["content"].clone();
        if said == "answer" {
            write_json(connection, 200, &json!({"choices": []}));
            return true;
        }
        if said == "begin" {
            begin_stream(connection);
            send_event(connection, r#"{"choices":[{"delta":{"content":"x"}}]}"#);
        }
        wait_for_close(connection);
        false
    })
}

fn begin() -> Request {
    let messages = json!([{"role": "user", "content": "begin"}]);
    Request::post("/v1/chat/completions", &json!({"model": "m", "stream": true, "messages": messages}))
}

#[test]
fn every_request_to_an_upstream_ends_in_the_metrics_whoever_waits_for_it() {
    let upstream = half_hearted();
    let server = TestServer::setup().upstream("u", upstream.address, &["m"]).start();
    let (key, made) = server.key(json!({}));
    let told = || server.admin(Request::get("/admin/v1/server")).expect(200).json()["upstreams"][0].clone();
    let count = |outcome: &str| told()["requests"][outcome].as_u64().unwrap();

    server.call(&key, Request::chat("answer")).expect(200);
    // The client leaves before there is an answer,
    let mut connection = TcpStream::connect(server.public).unwrap();
    connection.write_all(&Request::chat("nothing").bearer(&key).bytes()).unwrap();
    eventually("the upstream is asked", || upstream.seen().len() == 2);
    assert_eq!(count("cancelled"), 0);
    drop(connection);
    eventually("it counts as cancelled", || count("cancelled") == 1);
    // or in the middle of it,
    let mut stream = begin().bearer(&key).open(server.public);
    assert!(stream.event().is_some());
    drop(stream);
    eventually("it counts as cancelled", || count("cancelled") == 2);
    // or its key ends.
    let mut stream = begin().bearer(&key).open(server.public);
    assert!(stream.event().is_some());
    let revoke = format!("/admin/v1/keys/{}/revoke", made["id"].as_str().unwrap());
    server.admin(Request::post(&revoke, &json!({}))).expect(200);
    eventually("it counts as cancelled", || count("cancelled") == 3);

    assert_eq!(count("answered"), 1);
    let all: u64 = told()["requests"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!((all, told()["health"].as_str()), (4, Some("up")));
    let series = "mcpd_upstream_requests_total{upstream=\"u\",outcome=\"cancelled\"} 3\n";
    assert!(server.admin(Request::get("/metrics")).expect(200).text().contains(series));
}
