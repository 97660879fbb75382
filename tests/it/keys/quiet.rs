//! Rotated keys that are revoked once nobody uses them any more.

use serde_json::{Value, json};

use super::{DAY, HOUR, after, audit, message, patch, path, read, rotate, rotated, status};
use crate::harness::upstream::{begin_stream, send_event, wait_for_close};
use crate::harness::{FakeUpstream, Request, TestServer, eventually};

/// The key's status once it was looked for keys that are quiet.
fn looked_at(server: &TestServer, made: &Value) -> Value {
    server.pass(5);
    // The look comes after the first of these, and before the second.
    read(server, made);
    read(server, made)["status"].clone()
}

fn is_revoked(server: &TestServer, made: &Value) -> bool {
    looked_at(server, made) == "revoked"
}

#[test]
fn a_rotated_key_is_revoked_once_it_was_quiet_for_long_enough() {
    let server = TestServer::start();
    let (old, made) = server.key(json!({"name": "laptop"}));
    let body = json!({"expire_old_in": "30d", "revoke_when_quiet": "24h"});
    let (new, record) = rotated(&server, &made, &body);
    let shown = read(&server, &made);
    assert_eq!(
        (&shown["revoke_when_quiet"], &shown["rotated_at"]),
        (&json!("24h"), &json!(after(&server, 0)))
    );
    assert_eq!((&record["revoke_when_quiet"], &record["rotated_at"]), (&json!(null), &json!(null)));

    server.pass(DAY - 60);
    assert_eq!(status(&server, &old), 200);
    // A request that is refused is none.
    server.pass(DAY - 60);
    server.call(&old, Request::get("/v1/nothing")).expect(404);
    assert!(!is_revoked(&server, &made));
    server.pass(60);
    assert!(is_revoked(&server, &made));
    assert_eq!((status(&server, &old), status(&server, &new)), (401, 200));
    let row = &audit(&server, "limit=1")[0];
    assert_eq!((&row["action"], &row["target"]), (&json!("key.revoke"), &made["id"]));
    assert_eq!(row["actor"], json!({"via": "system"}));
    assert_eq!(
        (&row["before"]["revoke_when_quiet"], &row["before"]["revoked_at"]),
        (&json!("24h"), &json!(null))
    );
}

#[test]
fn a_key_is_left_alone_while_nobody_else_could_take_over_or_a_client_still_waits() {
    let upstream = FakeUpstream::start(|_, connection| {
        begin_stream(connection);
        send_event(connection, r#"{"choices":[{"delta":{"content":"x"}}]}"#);
        wait_for_close(connection);
        false
    });
    let server = TestServer::setup().upstream("u", upstream.address, &["m"]).start();
    let body = json!({"expire_old_in": "30d", "revoke_when_quiet": "1h"});
    let (old, made) = server.key(json!({}));
    let chat = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
    let mut stream = Request::post("/v1/chat/completions", &chat).bearer(&old).open(server.public);
    assert!(stream.event().is_some());
    let (_, second) = rotated(&server, &made, &body);
    // A request in flight is a use, however long ago it came in, and so it is when it has ended.
    server.pass(2 * HOUR);
    assert!(!is_revoked(&server, &made));
    drop(stream);
    let used = || server.usage("key").iter().any(|row| row["key"] == made["id"]);
    eventually("the stream ends", used);
    assert!(!is_revoked(&server, &made));
    patch(&server, &second, &json!({"enabled": false})).expect(200);
    server.pass(HOUR);
    assert!(!is_revoked(&server, &made));
    patch(&server, &second, &json!({"enabled": true})).expect(200);
    let (_, third) = rotated(&server, &second, &json!({"expire_old_in": "0s"}));
    // The one after the next works.
    assert!(is_revoked(&server, &made));
    assert_eq!(read(&server, &third)["status"], "active");

    let (_, made) = server.key(json!({}));
    let (_, successor) = rotated(&server, &made, &body);
    server.admin(Request::new("DELETE", &path(&successor))).expect(200);
    let (_, disabled) = server.key(json!({}));
    rotated(&server, &disabled, &body);
    patch(&server, &disabled, &json!({"enabled": false})).expect(200);
    server.pass(DAY);
    assert!(!is_revoked(&server, &made));
    assert_eq!(looked_at(&server, &disabled), "disabled");
}

#[test]
fn clients_have_an_hour_to_come_back_after_a_start() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    rotated(&server, &made, &json!({"expire_old_in": "30d", "revoke_when_quiet": "24h"}));
    server.pass(DAY - 60);
    let server = server.restart();
    server.pass(120);
    assert!(!is_revoked(&server, &made));
    server.pass(HOUR - 120);
    assert!(is_revoked(&server, &made));
}

#[test]
fn only_a_rotated_key_can_be_revoked_when_quiet() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    let refused = |answer: crate::harness::Answer| {
        let message = message(&answer.expect_error(422, "invalid_request"));
        assert!(message.contains("`revoke_when_quiet`"), "{message}");
        message
    };
    assert!(
        refused(patch(&server, &made, &json!({"revoke_when_quiet": "1h"}))).contains("only a rotated key")
    );
    let body = json!({"name": "x", "scopes": ["*"], "revoke_when_quiet": "1h"});
    assert!(refused(server.admin(Request::post(super::KEYS, &body))).contains("only a rotated key"));
    for wrong in [json!("0s"), json!("900ms"), json!("soon"), json!("-1h"), json!(24)] {
        refused(rotate(&server, &made, &json!({"revoke_when_quiet": wrong})));
    }
    patch(&server, &made, &json!({"revoke_when_quiet": null})).expect(200);

    let (_, new) = rotated(&server, &made, &json!({"expire_old_in": "30d"}));
    for wrong in [json!("0s"), json!("soon"), json!(false)] {
        refused(patch(&server, &made, &json!({"revoke_when_quiet": wrong})));
    }
    let shown = |body: Value| patch(&server, &made, &body).expect(200).json()["revoke_when_quiet"].clone();
    assert_eq!(shown(json!({"revoke_when_quiet": "90m"})), "1h30m");
    assert_eq!(shown(json!({"name": "still"})), "1h30m");
    let server = server.restart();
    assert_eq!(read(&server, &made)["revoke_when_quiet"], "1h30m");
    patch(&server, &made, &json!({"revoke_when_quiet": null})).expect(200);
    server.pass(DAY);
    assert!(!is_revoked(&server, &made));
    refused(patch(&server, &new, &json!({"revoke_when_quiet": "1h"})));
}
