//! Rotation: a new key in the place of an old one, which goes on for a while.

use serde_json::json;

use super::{DAY, HOUR, after, message, patch, path, read, rotate, rotated, status, without_secret};
use crate::harness::{Request, TestServer};

#[test]
fn a_rotated_key_goes_on_for_as_long_as_was_said() {
    for restarts in [false, true] {
        let server = TestServer::start();
        let (old, made) = server.key(json!({}));
        let (new, record) = rotated(&server, &made, &json!({"expire_old_in": "2s"}));
        assert_ne!(old, new);
        let server = if restarts { server.restart() } else { server };
        server.pass(1);
        assert_eq!((status(&server, &old), status(&server, &new)), (200, 200));
        server.pass(1);
        server.call(&old, Request::get("/v1/key")).expect_error(401, "expired_api_key");
        assert_eq!(status(&server, &new), 200);
        let server = if restarts { server.restart() } else { server };
        assert_eq!((status(&server, &old), status(&server, &new)), (401, 200));
        assert_eq!(read(&server, &record)["status"], "active");
    }
}

#[test]
fn a_rotation_links_both_keys_and_keeps_the_settings() {
    let server = TestServer::start();
    let settings = json!({
        "name": "app", "scopes": ["chats:create"], "plan": "free", "requests_per_minute": 5,
        "max_concurrent": 2, "allowed_ips": ["127.0.0.1"], "allowed_models": ["m"],
        "metadata": {"a": "1"}, "require_signature": false
    });
    let (_, made) = server.key(settings);
    server.pass(60);
    let (_, new) = rotated(&server, &made, &json!({}));
    let old = read(&server, &made);
    assert_eq!((&new["rotated_from"], &new["rotated_to"]), (&made["id"], &json!(null)));
    assert_eq!((&old["rotated_from"], &old["rotated_to"]), (&json!(null), &new["id"]));
    assert_eq!(old["expires_at"], after(&server, DAY));
    let own = ["id", "hint", "key", "created_at", "rotated_from", "rotated_to"];
    for (field, value) in new.as_object().unwrap().iter().filter(|(field, _)| !own.contains(&field.as_str()))
    {
        assert_eq!(made[field], *value, "{field}");
    }
    assert_eq!(new["created_at"], after(&server, 0));
    assert_eq!(read(&server, &new), without_secret(&new));
}

#[test]
fn a_rotation_at_once_ends_the_old_key_at_once() {
    let server = TestServer::start();
    let (old, made) = server.key(json!({}));
    let (new, _) = rotated(&server, &made, &json!({"expire_old_in": "0s"}));
    assert_eq!((status(&server, &old), status(&server, &new)), (401, 200));
}

#[test]
fn a_new_key_has_the_old_one_s_lifetime_unless_said_otherwise() {
    let server = TestServer::start();
    let cases = [
        (json!({}), Some(30 * DAY)),
        (json!({"expires_in": "7d"}), Some(7 * DAY)),
        (json!({"expires_at": "2099-01-01T00:00:00Z"}), None),
    ];
    for (body, lifetime) in cases {
        let (_, made) = server.key(json!({"expires_in": "30d"}));
        server.pass(10 * DAY);
        let (_, new) = rotated(&server, &made, &body);
        let end = lifetime.map_or("2099-01-01T00:00:00Z".to_owned(), |lifetime| after(&server, lifetime));
        assert_eq!(new["expires_at"], end, "{body}");
        assert_eq!(read(&server, &made)["expires_at"], after(&server, DAY), "{body}");
    }
}

#[test]
fn a_rotated_key_never_outlives_its_own_end() {
    let server = TestServer::start();
    let (old, made) = server.key(json!({"expires_in": "1h"}));
    let (_, new) = rotated(&server, &made, &json!({"expire_old_in": "24h"}));
    assert_eq!(read(&server, &made)["expires_at"], made["expires_at"]);
    assert_eq!(new["expires_at"], made["expires_at"]);
    server.pass(HOUR);
    assert_eq!(status(&server, &old), 401);
    rotate(&server, &new, &json!({})).expect_error(409, "key_expired");
}

#[test]
fn rotations_make_a_chain() {
    let server = TestServer::start();
    let (a, first) = server.key(json!({}));
    let (b, second) = rotated(&server, &first, &json!({"expire_old_in": "1h"}));
    rotate(&server, &first, &json!({})).expect_error(409, "key_already_rotated");
    let (c, third) = rotated(&server, &second, &json!({"expire_old_in": "2h"}));
    let statuses = |server: &TestServer| [&a, &b, &c].map(|key| status(server, key));
    assert_eq!(statuses(&server), [200, 200, 200]);
    server.pass(HOUR);
    assert_eq!(statuses(&server), [401, 200, 200]);
    let server = server.restart();
    server.pass(HOUR);
    assert_eq!(statuses(&server), [401, 401, 200]);
    let middle = read(&server, &second);
    assert_eq!((&middle["rotated_from"], &middle["rotated_to"]), (&first["id"], &third["id"]));
    server.admin(Request::new("DELETE", &path(&second))).expect(200);
    assert_eq!(statuses(&server), [401, 401, 200]);
    let server = server.restart();
    assert_eq!(statuses(&server), [401, 401, 200]);
}

#[test]
fn what_does_not_work_cannot_be_rotated() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    patch(&server, &made, &json!({"enabled": false})).expect(200);
    rotate(&server, &made, &json!({})).expect_error(409, "key_disabled");
    patch(&server, &made, &json!({"enabled": true})).expect(200);
    for (part, body) in [
        ("expire_old_in", json!({"expire_old_in": "-1h"})),
        ("expire_old_in", json!({"expire_old_in": "soon"})),
        ("expire_old_in", json!({"expire_old_in": 24})),
        ("expires_in", json!({"expires_in": "0s"})),
        ("expires_at", json!({"expires_at": "2020-01-01T00:00:00Z"})),
        ("expires_in", json!({"expires_at": "2099-01-01T00:00:00Z", "expires_in": "1d"})),
        ("name", json!({"name": "x"})),
    ] {
        let answer = rotate(&server, &made, &body).expect_error(422, "invalid_request");
        assert!(message(&answer).contains(part), "{body}: {}", message(&answer));
    }
    assert_eq!(read(&server, &made)["rotated_to"], json!(null));
    rotate(&server, &made, &json!({})).expect(201);
}

#[test]
fn old_and_new_key_share_one_limit() {
    let server = TestServer::start();
    let (old, made) = server.key(json!({"requests_per_minute": 10}));
    for _ in 0..4 {
        assert_eq!(status(&server, &old), 200);
    }
    let (new, record) = rotated(&server, &made, &json!({}));
    for _ in 0..3 {
        assert_eq!((status(&server, &old), status(&server, &new)), (200, 200));
    }
    let server = server.restart();
    assert_eq!((status(&server, &old), status(&server, &new)), (429, 429));
    let (newest, _) = rotated(&server, &record, &json!({}));
    assert_eq!(status(&server, &newest), 429);
    server.admin(Request::new("DELETE", &path(&made))).expect(200);
    assert_eq!((status(&server, &old), status(&server, &new), status(&server, &newest)), (401, 429, 429));
    server.pass(60);
    assert_eq!((status(&server, &new), status(&server, &newest)), (200, 200));
}
