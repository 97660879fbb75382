//! A rotation seen through: who still uses the old key, who the new one, and whether the old one may go.

use serde_json::{Value, json};

use super::seed::{ONCE, Past, add};
use super::{DAY, HOUR, after, id, patch, path, revoke, rotated};
use crate::harness::{Answer, Request, TestServer};

fn ask(server: &TestServer, made: &Value) -> Answer {
    server.admin(Request::get(&format!("{}/migration", path(made))))
}

fn migration(server: &TestServer, made: &Value) -> Value {
    ask(server, made).expect(200).json()
}

fn verdict(server: &TestServer, made: &Value) -> (bool, String) {
    let told = migration(server, made);
    (told["safe_to_revoke"].as_bool().unwrap(), told["verdict"].as_str().unwrap().to_owned())
}

/// A request with an old key, some seconds ago.
const fn late(ago: i64) -> Past {
    Past { superseded: true, ago, ..ONCE }
}

#[test]
fn a_migration_tells_who_uses_which_key_from_either_key() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({"name": "laptop"}));
    add(&server, &made, &ONCE);
    let rotated_at = after(&server, 0);
    let (_, new) = rotated(&server, &made, &json!({"expire_old_in": "48h", "revoke_when_quiet": "12h"}));
    server.pass(HOUR);
    add(&server, &made, &Past { admitted: 2, refused: 1, ..late(60) });
    add(
        &server,
        &made,
        &Past { client: "2001:db8::1", user_agent: "curl/8", endpoint: "/v1/models", ..late(30) },
    );
    add(&server, &new, &Past { admitted: 12, ..ONCE });

    let told = migration(&server, &made);
    let seconds_ago =
        |ago: i64| mcpd::domain::time::Timestamp::from_seconds(server.unix_time() - ago).to_string();
    let chat = "/v1/chat/completions";
    let expected = json!({
        "object": "migration", "rotated_at": rotated_at, "old_expires_at": after(&server, 47 * HOUR),
        "old_status": "active", "new_status": "active", "revoke_when_quiet": "12h",
        "old": {
            "key": id(&made), "name": "laptop", "requests": 4, "errors": 1, "last_used_at": seconds_ago(30),
            "clients": [
                {"ip": "2001:db8::1", "user_agent": "curl/8", "endpoint": "/v1/models", "requests": 1, "errors": 0,
                 "last_seen_at": seconds_ago(30)},
                {"ip": "203.0.113.9", "user_agent": "python-requests/2.31", "endpoint": chat, "requests": 3,
                 "errors": 1, "last_seen_at": seconds_ago(60)}
            ],
            "more_clients": 0
        },
        "new": {
            "key": id(&new), "name": "laptop", "requests": 12, "errors": 0, "last_used_at": seconds_ago(0),
            "clients": [
                {"ip": "203.0.113.9", "user_agent": "python-requests/2.31", "endpoint": chat, "requests": 12,
                 "errors": 0, "last_seen_at": seconds_ago(0)}
            ],
            "more_clients": 0
        },
        "safe_to_revoke": false, "verdict": told["verdict"]
    });
    assert_eq!(told, expected);
    assert_eq!(migration(&server, &new), expected);
    let verdict = told["verdict"].as_str().unwrap();
    let who =
        "2001:db8::1 (curl/8) at /v1/models and 203.0.113.9 (python-requests/2.31) at /v1/chat/completions";
    assert!(verdict.starts_with(&format!("Not yet: {who} used the old key")), "{verdict}");

    // A rotation of the new key is another one.
    let (_, third) = rotated(&server, &new, &json!({}));
    assert_eq!(migration(&server, &new)["new"]["key"], third["id"]);
    assert_eq!(migration(&server, &made)["new"]["key"], new["id"]);
}

#[test]
fn the_old_key_may_go_once_nobody_would_miss_it() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    // What was before the rotation does not count.
    add(&server, &made, &ONCE);
    server.pass(1);
    let (_, new) = rotated(&server, &made, &json!({"expire_old_in": "30d"}));
    let (safe, text) = verdict(&server, &made);
    assert!(!safe && text.contains("nobody has used either key"), "{text}");
    assert_eq!(migration(&server, &made)["old"]["last_used_at"], json!(null));
    // A refused request is no use.
    add(&server, &made, &Past { admitted: 0, refused: 3, ..late(0) });
    add(&server, &new, &ONCE);
    let (safe, text) = verdict(&server, &made);
    assert!(safe && text.contains("nobody has used the old key since the rotation"), "{text}");
    add(&server, &made, &late(0));
    assert!(!verdict(&server, &made).0);
    server.pass(DAY - 1);
    assert!(!verdict(&server, &made).0);
    server.pass(1);
    let (safe, text) = verdict(&server, &made);
    assert!(safe && text.starts_with("Safe to revoke: "), "{text}");
    patch(&server, &made, &json!({"revoke_when_quiet": "7d"})).expect(200);
    assert!(!verdict(&server, &made).0);
    // Nobody is to be left without any key.
    patch(&server, &new, &json!({"enabled": false})).expect(200);
    server.pass(8 * DAY);
    let (safe, text) = verdict(&server, &made);
    assert!(!safe && text.contains("the new key does not work"), "{text}");
}

#[test]
fn a_dead_key_that_is_still_tried_is_told_by_name() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    let (_, new) = rotated(&server, &made, &json!({"expire_old_in": "1h"}));
    server.pass(HOUR + 60);
    let ended = format!("The old key expired at {}", after(&server, 0));
    let (safe, text) = verdict(&server, &made);
    assert!(safe && text.ends_with("Nobody has tried it since: the rotation is done."), "{text}");
    add(&server, &made, &Past { admitted: 0, refused: 14, ..late(5) });
    let (safe, text) = verdict(&server, &made);
    assert!(safe && text.starts_with(&ended[..20]), "{text}");
    assert!(
        text.contains(
            "203.0.113.9 (python-requests/2.31) at /v1/chat/completions still tried it: 14 refused since the rotation"
        ),
        "{text}"
    );
    assert_eq!(migration(&server, &new)["old"]["requests"], 14);

    revoke(&server, &made).expect(200);
    assert_eq!(migration(&server, &made)["old_status"], "revoked");
    assert!(verdict(&server, &made).1.starts_with("The old key was revoked at "));
    server.admin(Request::new("DELETE", &path(&made))).expect(200);
    for either in [&made, &new] {
        let told = migration(&server, either);
        assert_eq!((&told["old_status"], &told["new_status"]), (&json!("deleted"), &json!("active")));
        assert_eq!((&told["old"]["name"], &told["old"]["requests"]), (&json!("test"), &json!(14)));
        assert_eq!((&told["rotated_at"], &told["safe_to_revoke"]), (&new["created_at"], &json!(true)));
    }
    server.admin(Request::new("DELETE", &path(&new))).expect(200);
    ask(&server, &made).expect_error(404, "not_found");
}

#[test]
fn what_took_part_in_no_rotation_has_nothing_to_see_through() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    let answer = ask(&server, &made).expect_error(409, "key_not_rotated");
    assert!(super::message(&answer).contains("neither rotated nor made by a rotation"));
    for unknown in ["key_000000000000000000000000", "nothing"] {
        ask(&server, &json!({"id": unknown})).expect_error(404, "not_found");
    }
    let answer = server.admin(Request::get(&format!("{}/migration?colour=red", path(&made))));
    answer.expect_error(400, "invalid_request");
}

#[test]
fn a_list_of_clients_ends_somewhere_and_says_so() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    rotated(&server, &made, &json!({}));
    for number in 0..203 {
        let user_agent: &'static str = Box::leak(format!("agent {number}").into_boxed_str());
        add(&server, &made, &Past { user_agent, ..late(203 - number) });
    }
    let old = migration(&server, &made)["old"].clone();
    assert_eq!((old["clients"].as_array().unwrap().len(), &old["more_clients"]), (200, &json!(3)));
    assert_eq!((&old["clients"][0]["user_agent"], &old["requests"]), (&json!("agent 202"), &json!(203)));
}
