//! The same wish sent twice.

use serde_json::{Value, json};

use crate::harness::{Request, TestServer};

const KEYS: &str = "/admin/v1/keys";

/// A point in the server's time, some seconds from now.
fn after(server: &TestServer, seconds: i64) -> String {
    mcpd::domain::time::Timestamp::from_seconds(server.unix_time() + seconds).to_string()
}

#[test]
fn the_first_answer_is_repeated_when_what_was_asked_for_is_over() {
    let server = TestServer::start();
    let (_, old) = server.key(json!({}));
    let rotate = format!("{KEYS}/{}/rotate", old["id"].as_str().unwrap());
    let ends = after(&server, 60);
    let wishes = [
        (KEYS, json!({"name": "brief", "scopes": ["*"], "expires_at": ends})),
        (&rotate, json!({"expires_at": ends})),
    ];
    let ask = |number: usize| {
        let (path, body) = &wishes[number];
        let request = Request::post(path, body).header("Idempotency-Key", format!("wish-{number}"));
        server.admin(request).expect(201).json()
    };
    let first: Vec<Value> = (0..2).map(ask).collect();
    server.pass(61);
    for (number, first) in first.iter().enumerate() {
        let again = ask(number);
        assert_eq!((&again["id"], &again["key"]), (&first["id"], &first["key"]));
        assert_eq!(again["status"], "expired");
    }
    // As a new wish it makes no sense any more.
    for (path, body) in &wishes {
        let request = Request::post(path, body).header("Idempotency-Key", "another");
        server.admin(request).expect_error(422, "invalid_request");
    }
}

#[test]
fn of_two_idempotency_keys_none_is_taken() {
    let server = TestServer::start();
    let body = json!({"name": "twice", "scopes": ["*"]});
    for second in ["a", "b"] {
        let request = Request::post(KEYS, &body).header("Idempotency-Key", "a");
        let answer = server.admin(request.header("Idempotency-Key", second));
        let error = answer.expect_error(400, "invalid_request").json();
        assert!(error["error"]["message"].as_str().unwrap().contains("`Idempotency-Key`"), "{error}");
    }
    let keys = server.admin(Request::get(&format!("{KEYS}?search=twice"))).expect(200).json();
    assert_eq!(keys["data"], json!([]));
}
