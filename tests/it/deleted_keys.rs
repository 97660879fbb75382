//! What is left of a key that was deleted.

use serde_json::json;

use crate::harness::upstream::{begin_stream, send_event, wait_for_close};
use crate::harness::{FakeUpstream, Request, TestServer, eventually};

#[test]
fn the_series_of_a_deleted_key_go_with_it_and_never_come_back() {
    let upstream = FakeUpstream::start(|_, connection| {
        begin_stream(connection);
        send_event(connection, r#"{"choices":[{"delta":{"content":"x"}}]}"#);
        wait_for_close(connection);
        false
    });
    let server = TestServer::setup().upstream("u", upstream.address, &["m"]).start();
    let (key, made) = server.key(json!({}));
    let (other, kept) = server.key(json!({}));
    let (id, kept) = (made["id"].as_str().unwrap(), kept["id"].as_str().unwrap());
    let metrics = || server.admin(Request::get("/metrics")).expect(200).text();
    for key in [&key, &other] {
        server.call(key, Request::get("/v1/key")).expect(200);
    }
    let messages = json!([{"role": "user", "content": "Hello"}]);
    let body = json!({"model": "m", "stream": true, "messages": messages});
    let mut stream = Request::post("/v1/chat/completions", &body).bearer(&key).open(server.public);
    assert!(stream.event().is_some());
    for metric in ["mcpd_requests_total", "mcpd_tokens_total"] {
        assert!(metrics().contains(&format!("{metric}{{key=\"{id}\"")), "{metric}");
    }

    server.admin(Request::new("DELETE", &format!("/admin/v1/keys/{id}"))).expect(200);
    assert!(!metrics().contains(id), "{}", metrics());
    // The stream ends with its key, and is counted in the key's usage but in none of its series.
    stream.events();
    let by_key = || server.usage("key").into_iter().find(|row| row["key"] == id);
    eventually("the stream is counted", || by_key().is_some_and(|row| row["requests"] == 2));
    assert!(!metrics().contains(id), "{}", metrics());
    assert!(metrics().contains(&format!("mcpd_requests_total{{key=\"{kept}\"")));
}
