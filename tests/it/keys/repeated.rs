//! The same wish sent twice, told by its `Idempotency-Key`: it is done once.

use serde_json::{Value, json};

use super::{DAY, KEYS, audit, id, list, message, names, path, read, status, without_secret};
use crate::harness::{Request, TestServer};

/// A `POST` with an `Idempotency-Key`.
fn keyed(path: &str, idempotency: &str, body: &Value) -> Request {
    Request::post(path, body).header("Idempotency-Key", idempotency)
}

#[test]
fn the_same_creation_sent_twice_makes_one_key() {
    let server = TestServer::start();
    let body = json!({"name": "once", "scopes": ["*"], "expires_in": "30d"});
    let first = server.admin(keyed(KEYS, "a-1", &body)).expect(201).json();
    server.pass(599);
    assert_eq!(server.admin(keyed(KEYS, "a-1", &body)).expect(201).json(), first);
    assert_eq!(audit(&server, &format!("target={}", id(&first))).len(), 1);
    assert_eq!(names(&list(&server, "search=once")).len(), 1);
    // Ten minutes on the secret is gone; the key is the same.
    server.pass(1);
    assert_eq!(server.admin(keyed(KEYS, "a-1", &body)).expect(201).json(), without_secret(&first));
    server.pass(DAY - 601);
    assert_eq!(server.admin(keyed(KEYS, "a-1", &body)).expect(201).json()["id"], first["id"]);
    // A day on it is a new wish.
    server.pass(2);
    let second = server.admin(keyed(KEYS, "a-1", &body)).expect(201).json();
    assert_ne!(second["id"], first["id"]);
    assert!(second["key"].is_string());
    assert_eq!(server.admin(keyed(KEYS, "a-1", &body)).expect(201).json(), second);
}

#[test]
fn no_secret_outlives_a_restart() {
    let server = TestServer::start();
    let body = json!({"name": "once", "scopes": ["*"]});
    let first = server.admin(keyed(KEYS, "a-1", &body)).expect(201).json();
    let server = server.restart();
    assert_eq!(server.admin(keyed(KEYS, "a-1", &body)).expect(201).json(), without_secret(&first));
    assert_eq!(status(&server, first["key"].as_str().unwrap()), 200);
    server.admin(keyed(KEYS, "a-1", &json!({"name": "else", "scopes": ["*"]}))).expect(422);
}

#[test]
fn the_same_rotation_sent_twice_makes_one_key() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    let rotate_path = format!("{}/rotate", path(&made));
    let body = json!({"expire_old_in": "1h"});
    let first = server.admin(keyed(&rotate_path, "r", &body)).expect(201).json();
    server.pass(60);
    assert_eq!(server.admin(keyed(&rotate_path, "r", &body)).expect(201).json(), first);
    assert_eq!(audit(&server, "action=key.rotate").len(), 1);
    assert_eq!(audit(&server, &format!("target={}", id(&first))).len(), 1);
    let server = server.restart();
    assert_eq!(server.admin(keyed(&rotate_path, "r", &body)).expect(201).json(), without_secret(&first));
    server.admin(keyed(&rotate_path, "s", &body)).expect_error(409, "key_already_rotated");
    assert_eq!(names(&list(&server, "search=test")).len(), 2);
}

#[test]
fn an_idempotency_key_belongs_to_one_request() {
    let server = TestServer::start();
    let body = json!({"name": "once", "scopes": ["*"]});
    let first = server.admin(keyed(KEYS, "a", &body)).expect(201).json();
    let (_, other) = server.key(json!({}));
    for request in [
        keyed(KEYS, "a", &json!({"name": "twice", "scopes": ["*"]})),
        keyed(KEYS, "a", &json!({"scopes": ["*"], "name": "once"})),
        keyed(&format!("{}/rotate", path(&first)), "a", &body_of_rotation()),
        keyed(&format!("{}/revoke", path(&other)), "a", &json!({})),
    ] {
        let answer = server.admin(request).expect_error(422, "invalid_request");
        assert!(message(&answer).contains("Idempotency-Key"), "{}", message(&answer));
    }
    assert_eq!(read(&server, &other)["status"], "active");
    assert_eq!(read(&server, &first)["rotated_to"], json!(null));
    for bad in [String::new(), "x".repeat(256)] {
        server.admin(keyed(KEYS, &bad, &body)).expect_error(400, "invalid_request");
    }
    // A request that failed has used nothing up.
    server.admin(keyed(KEYS, "b", &json!({"name": "", "scopes": ["*"]}))).expect(422);
    server.admin(keyed(KEYS, "b", &body)).expect(201);
}

fn body_of_rotation() -> Value {
    json!({"expire_old_in": "1h"})
}

#[test]
fn the_same_revocation_sent_twice_is_noted_once() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    let revoke_path = format!("{}/revoke", path(&made));
    let first = server.admin(keyed(&revoke_path, "v", &json!({}))).expect(200).json();
    server.pass(60);
    assert_eq!(server.admin(keyed(&revoke_path, "v", &json!({}))).expect(200).json(), first);
    assert_eq!(audit(&server, "action=key.revoke").len(), 1);
}

#[test]
fn parallel_copies_of_one_creation_make_one_key() {
    let server = TestServer::start();
    let request = keyed(KEYS, "p", &json!({"name": "once", "scopes": ["*"]})).bearer(&server.token);
    let made: std::collections::BTreeSet<String> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| request.send(server.admin).expect(201).json())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()["key"].to_string()).collect()
    });
    assert_eq!(made.len(), 1);
    assert_eq!(names(&list(&server, "search=once")).len(), 1);
}
