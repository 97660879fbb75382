//! The log of every change.

use mcpd::domain::audit::{ACTIONS, Row};
use mcpd::domain::time::Timestamp;
use serde_json::{Value, json};

use super::{after, audit, id, message, patch, path, rotated};
use crate::harness::{Request, TestServer};

/// Tells whether a shown row has the digest that it must have.
fn digest_holds(row: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let json = |value: &Value| (!value.is_null()).then(|| value.to_string());
    let digest = |name: &str| -> [u8; 32] {
        std::array::from_fn(|at| u8::from_str_radix(&text(&row[name])[2 * at..2 * at + 2], 16).unwrap())
    };
    let kept = Row {
        id: text(&row["id"]),
        at: Timestamp::parse(&text(&row["at"])).unwrap(),
        via: text(&row["actor"]["via"]),
        uid: row["actor"]["uid"].as_u64().map(|uid| uid.try_into().unwrap()),
        pid: row["actor"]["pid"].as_i64().map(|pid| pid.try_into().unwrap()),
        action: text(&row["action"]),
        target: text(&row["target"]),
        before: json(&row["before"]),
        after: json(&row["after"]),
        previous_digest: digest("previous_digest"),
    };
    kept.digest() == digest("digest")
}

#[test]
fn every_change_is_noted_in_a_chain_that_holds() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({"name": "ü \"quoted\" \\ 💻", "metadata": {"b": "\u{1}", "a": "/"}}));
    patch(&server, &made, &json!({"name": "new", "requests_per_minute": 5})).expect(200);
    let (new_key, new) = rotated(&server, &made, &json!({}));
    let socket = server.path("admin.sock");
    Request::new("POST", &format!("{}/revoke", path(&made))).send_unix(&socket).expect(200);
    Request::new("DELETE", &path(&made)).send_unix(&socket).expect(200);
    server.call(&key, Request::get("/v1/key")).expect(401);
    patch(&server, &new, &json!({"name": ""})).expect(422);
    let server = server.restart();
    server.admin(Request::new("DELETE", &path(&new))).expect(200);

    let rows = audit(&server, "");
    let (old_id, new_id) = (id(&made), id(&new));
    let told: Vec<_> = rows
        .iter()
        .rev()
        .skip(1)
        .map(|row| {
            (
                row["action"].as_str().unwrap(),
                row["target"].as_str().unwrap(),
                row["actor"]["via"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("key.create", old_id, "token"),
        ("key.update", old_id, "token"),
        ("key.rotate", old_id, "token"),
        ("key.create", new_id, "token"),
        ("key.revoke", old_id, "socket"),
        ("key.delete", old_id, "socket"),
        ("key.delete", new_id, "token"),
    ];
    assert_eq!(told, expected);
    let mut previous = "0".repeat(64);
    for row in rows.iter().rev() {
        assert_eq!(row["previous_digest"], previous, "{row}");
        assert!(digest_holds(row), "{row}");
        previous = row["digest"].as_str().unwrap().to_owned();
    }
    let text = json!(rows).to_string();
    for secret in [key, new_key, server.token.clone(), server.default_key()] {
        assert!(!text.contains(secret.trim_start_matches("mcp_sk_")));
    }
}

#[test]
fn an_audit_row_tells_who_when_and_what() {
    let server = TestServer::start();
    let first = &audit(&server, "")[0];
    assert_eq!(first["actor"], json!({"via": "system"}));
    assert_eq!((&first["action"], &first["after"]["name"]), (&json!("key.create"), &json!("default")));

    let (_, made) = server.key(json!({"name": "one"}));
    let row = &audit(&server, "limit=1")[0];
    assert_eq!(row["actor"], json!({"via": "token"}));
    assert_eq!((&row["before"], &row["after"]["name"]), (&json!(null), &json!("one")));
    assert_eq!(row["at"], after(&server, 0));

    server.pass(5);
    let change = Request::new("PATCH", &path(&made)).json(&json!({"name": "two", "allowed_ips": ["::1"]}));
    change.send_unix(&server.path("admin.sock")).expect(200);
    let row = &audit(&server, "limit=1")[0];
    let uid = rustix::process::getuid().as_raw();
    assert_eq!(row["actor"], json!({"via": "socket", "uid": uid, "pid": std::process::id()}));
    assert_eq!((&row["before"]["name"], &row["after"]["name"]), (&json!("one"), &json!("two")));
    assert_eq!(
        (&row["before"]["allowed_ips"], &row["after"]["allowed_ips"]),
        (&json!([]), &json!(["::1/128"]))
    );
    assert_eq!(row["at"], after(&server, 0));
    assert!(row["id"].as_str().unwrap().starts_with("audit_"));

    server.admin(Request::new("DELETE", &path(&made))).expect(200);
    let row = &audit(&server, "limit=1")[0];
    assert_eq!((&row["before"]["name"], &row["after"]), (&json!("two"), &json!(null)));
}

#[test]
fn the_audit_log_is_listed_page_by_page_and_by_what_was_done() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    for name in ["a", "b", "c"] {
        patch(&server, &made, &json!({"name": name})).expect(200);
    }
    let page = server.admin(Request::get("/admin/v1/audit?limit=2")).expect(200).json();
    assert_eq!((&page["object"], &page["has_more"]), (&json!("list"), &json!(true)));
    assert_eq!(page["last_id"], page["data"][1]["id"]);
    let rest = audit(&server, &format!("after={}", page["last_id"].as_str().unwrap()));
    assert_eq!(rest.len(), 3);
    assert_eq!(rest[0]["after"]["name"], "a");
    assert_eq!(audit(&server, "action=key.update").len(), 3);
    assert_eq!(audit(&server, &format!("target={}&action=key.create", id(&made))).len(), 1);
    assert_eq!(audit(&server, "target=key_000000000000000000000000").len(), 0);
    for query in ["limit=0", "page=2", "actor=token"] {
        server.admin(Request::get(&format!("/admin/v1/audit?{query}"))).expect_error(400, "invalid_request");
    }
    // Nothing found would look as if nothing had been done.
    for action in ["nope", "", "key", "KEY.CREATE", "key.create,key.update"] {
        let answer = server.admin(Request::get(&format!("/admin/v1/audit?action={action}")));
        let answer = answer.expect_error(400, "invalid_request");
        let known = "`action` must be one of key.create, key.update, ";
        assert!(message(&answer).contains(known), "{action}: {}", message(&answer));
    }
    for known in ACTIONS {
        audit(&server, &format!("action={known}"));
    }
    // A page after nothing would look like the end of the list, or like its beginning.
    let row = page["last_id"].as_str().unwrap();
    for after in ["", "nothing", id(&made), &row[..row.len() - 1], &format!("{row}0")] {
        let answer = server.admin(Request::get(&format!("/admin/v1/audit?after={after}")));
        let answer = answer.expect_error(400, "invalid_request");
        assert!(message(&answer).contains("`after` names no row"), "{after}: {}", message(&answer));
    }
    for method in ["POST", "PATCH", "DELETE"] {
        server.admin(Request::new(method, "/admin/v1/audit")).expect_error(405, "method_not_allowed");
    }
}
