//! A rotation and what follows it, from the requests that clients really send.

use serde_json::{Value, json};

use crate::harness::{Request, TestServer};

/// A server that takes a proxy's word on where clients are.
fn server() -> TestServer {
    TestServer::setup().toml("server.trusted_proxies = [\"127.0.0.1\"]").start()
}

fn from(address: &str, agent: &str, request: Request) -> Request {
    request.header("X-Forwarded-For", address).header("User-Agent", agent)
}

fn get(server: &TestServer, made: &Value, what: &str) -> Value {
    let path = format!("/admin/v1/keys/{}/{what}", made["id"].as_str().unwrap());
    server.admin(Request::get(&path)).expect(200).json()
}

fn chat() -> Request {
    Request::chat("Hello")
}

#[test]
fn each_request_on_either_key_is_in_the_report_of_its_rotation() {
    let server = server();
    let (old, made) = server.key(json!({"name": "laptop"}));
    // Before the rotation: none of its business.
    server.call(&old, from("192.0.2.1", "before/1", chat())).expect(200);
    let rotate = format!("/admin/v1/keys/{}/rotate", made["id"].as_str().unwrap());
    let new = server.admin(Request::post(&rotate, &json!({"expire_old_in": "1h"}))).expect(201).json();
    let token = new["key"].as_str().unwrap().to_owned();
    for _ in 0..3 {
        server.call(&old, from("192.0.2.1", "late/1", chat())).expect(200);
    }
    server.call(&old, from("192.0.2.2", "late/2", Request::get("/v1/nothing"))).expect(404);
    server.pass(60);
    server.call(&token, from("192.0.2.1", "moved/1", chat())).expect(200);

    let report = get(&server, &made, "migration");
    assert_eq!((&report["old"]["requests"], &report["old"]["errors"]), (&json!(4), &json!(1)), "{report}");
    assert_eq!((&report["new"]["requests"], &report["new"]["errors"]), (&json!(1), &json!(0)), "{report}");
    assert_eq!(report["safe_to_revoke"], false);
    let client = |number: usize| {
        let client = &report["old"]["clients"][number];
        json!([client["ip"], client["user_agent"], client["endpoint"], client["requests"]])
    };
    let mut clients = [client(0), client(1)];
    clients.sort_by_key(ToString::to_string);
    assert_eq!(clients[0], json!(["192.0.2.1", "late/1", "/v1/chat/completions", 3]));
    assert_eq!(clients[1][0], "192.0.2.2");
    assert_eq!(get(&server, &new, "migration")["old"], report["old"], "by either key");

    // What still comes once the old key is dead counts under its name.
    server.pass(3_600);
    for _ in 0..2 {
        server.call(&old, from("192.0.2.1", "late/1", chat())).expect_error(401, "expired_api_key");
    }
    let report = get(&server, &made, "migration");
    assert_eq!((&report["old"]["requests"], &report["old"]["errors"]), (&json!(6), &json!(3)), "{report}");
    assert_eq!(report["safe_to_revoke"], true);
    assert!(report["verdict"].as_str().unwrap().contains("late/1"), "{report}");
    let usage = server.usage("key,status");
    let refused = usage.iter().find(|row| row["key"] == made["id"] && row["status"] == 401).unwrap();
    assert_eq!(refused["requests"], 2);
}

#[test]
fn advice_is_what_a_key_really_used_and_would_have_let_it_through() {
    let server = server();
    let (key, made) = server.key(json!({"requests_per_minute": 100}));
    for _ in 0..4 {
        server.call(&key, from("192.0.2.1", "app/1", chat())).expect(200);
        server.call(&key, from("192.0.2.2", "app/1", Request::get("/v1/models"))).expect(200);
    }
    let advice = get(&server, &made, "advice");
    assert_eq!(advice["used"]["requests"], 8, "{advice}");
    assert_eq!(advice["used"]["peak_requests_per_minute"], 8, "{advice}");
    assert_eq!(advice["used"]["peak_concurrent"], 1, "{advice}");
    let patch = &advice["patch"];
    assert_eq!(patch["scopes"], json!(["chats:create", "models:read"]), "{advice}");
    assert_eq!(patch["allowed_ips"], json!(["192.0.2.1/32", "192.0.2.2/32"]), "{advice}");

    let own = format!("/admin/v1/keys/{}", made["id"].as_str().unwrap());
    server.admin(Request::new("PATCH", &own).json(patch)).expect(200);
    server.pass(61);
    server.call(&key, from("192.0.2.1", "app/1", chat())).expect(200);
    server.call(&key, from("192.0.2.2", "app/1", Request::get("/v1/models"))).expect(200);
    server.call(&key, from("192.0.2.3", "app/1", chat())).expect_error(403, "ip_not_allowed");
    server
        .call(&key, from("192.0.2.1", "app/1", Request::get("/v1/files")))
        .expect_error(403, "insufficient_scope");
}
