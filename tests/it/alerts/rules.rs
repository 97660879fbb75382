//! The rules: their defaults, their changes, and what they cannot be.

use serde_json::{Value, json};

use super::{alerts, guess};
use crate::harness::{Request, TestServer};

const RULES: &str = "/admin/v1/alert-rules";
const SECRET: &str = "the secret of the receiver";

fn rules(server: &TestServer) -> Vec<Value> {
    server.admin(Request::get(RULES)).expect(200).json()["data"].as_array().unwrap().clone()
}

fn rule(server: &TestServer, kind: &str) -> Value {
    rules(server).into_iter().find(|rule| rule["kind"] == kind).unwrap()
}

fn path(rule: &Value) -> String {
    format!("{RULES}/{}", rule["id"].as_str().unwrap())
}

fn patch(rule: &Value, change: Value) -> Request {
    Request::new("PATCH", &path(rule)).json(&change)
}

#[test]
fn there_is_a_rule_of_each_kind_from_the_start() {
    let server = TestServer::start();
    let found: Vec<Value> =
        rules(&server).iter().map(|rule| json!([rule["kind"], rule["threshold"], rule["window"]])).collect();
    let expected = [
        json!(["error_rate", 0.5, "5m"]),
        json!(["request_spike", 5, "15m"]),
        json!(["new_client_address", 20, "24h"]),
        json!(["unusual_hour", 5, "28d"]),
        json!(["failed_auth", 20, "5m"]),
        json!(["rate_limited", 50, "5m"]),
        json!(["key_expiring", 7, null]),
        json!(["rotated_key_in_use", 1, "15m"]),
    ];
    assert_eq!(found, expected);
    for rule in rules(&server) {
        assert_eq!((&rule["object"], &rule["enabled"]), (&json!("alert_rule"), &json!(true)));
        assert_eq!((&rule["key"], &rule["webhook"]), (&Value::Null, &Value::Null));
        let id = rule["id"].as_str().unwrap();
        assert!(id.starts_with("rule_") && id.len() == 29, "{id}");
        assert_eq!(server.admin(Request::get(&path(&rule))).expect(200).json(), rule);
    }
    let page = server.admin(Request::get(&format!("{RULES}?limit=3"))).expect(200).json();
    let rest = format!("{RULES}?after={}", page["last_id"].as_str().unwrap());
    assert_eq!(page["has_more"], true);
    assert_eq!(server.admin(Request::get(&rest)).expect(200).json()["data"].as_array().unwrap().len(), 5);
}

#[test]
fn a_rule_is_made_changed_and_deleted_and_every_change_is_in_the_audit_log_without_its_secret() {
    let server = TestServer::start();
    let (_, key) = server.key(json!({}));
    let url = "http://127.0.0.1:9/hidden-path?token=hidden-token";
    let body = json!({"kind": "rate_limited", "key": key["id"], "threshold": 5, "window": "90s",
        "webhook": {"url": url, "format": "slack", "secret": SECRET}});
    let made = server.admin(Request::post(RULES, &body)).expect(201).json();
    let webhook = json!({"url": url, "format": "slack", "signed": true});
    let shown = json!({"id": made["id"], "object": "alert_rule", "kind": "rate_limited", "enabled": true,
        "key": key["id"], "threshold": 5, "window": "1m30s", "webhook": webhook});
    assert_eq!(made, shown);
    // The secret stays with the URL, and goes with it.
    let same = json!({"webhook": {"url": url, "format": "json"}, "enabled": false});
    let changed = server.admin(patch(&made, same)).expect(200).json();
    assert_eq!(changed["webhook"], json!({"url": url, "format": "json", "signed": true}));
    let moved = json!({"webhook": {"url": "http://127.0.0.1:10/"}, "threshold": null, "window": null});
    let changed = server.admin(patch(&made, moved)).expect(200).json();
    assert_eq!(changed["webhook"], json!({"url": "http://127.0.0.1:10/", "format": "json", "signed": false}));
    assert_eq!((&changed["threshold"], &changed["window"]), (&json!(50), &json!("5m")));
    let server = server.restart();
    assert_eq!(server.admin(Request::get(&path(&made))).expect(200).json(), changed);
    let bare = server.admin(patch(&made, json!({"webhook": null}))).expect(200).json();
    assert_eq!(bare["webhook"], Value::Null);
    server.admin(patch(&made, json!({"webhook": null}))).expect(200);
    let deleted = server.admin(Request::new("DELETE", &path(&made))).expect(200).json();
    assert_eq!(deleted, json!({"id": made["id"], "object": "alert_rule", "deleted": true}));
    for method in ["GET", "PATCH", "DELETE"] {
        server.admin(Request::new(method, &path(&made))).expect_error(404, "not_found");
    }
    let target = made["id"].as_str().unwrap();
    let audit = server.admin(Request::get(&format!("/admin/v1/audit?target={target}"))).expect(200);
    let actions: Vec<Value> =
        audit.json()["data"].as_array().unwrap().iter().map(|row| row["action"].clone()).collect();
    let (create, update, delete) = ("alert_rule.create", "alert_rule.update", "alert_rule.delete");
    assert_eq!(actions, [delete, update, update, update, create]);
    for hidden in [SECRET, "hidden-path", "hidden-token"] {
        assert!(!audit.text().contains(hidden), "{hidden}");
    }
    let origin = json!({"origin": "http://127.0.0.1:9", "format": "slack", "signed": true});
    assert_eq!(audit.json()["data"][4]["after"]["webhook"], origin);
}

#[test]
fn what_no_rule_can_be_is_refused_and_the_answer_names_the_field() {
    let server = TestServer::start();
    let webhook = |url: &str| json!({"kind": "failed_auth", "webhook": {"url": url}});
    let cases = [
        (json!({}), "`kind` is missing"),
        (json!({"kind": "odd"}), "`kind` must be one of error_rate, request_spike, "),
        (json!({"kind": "error_rate", "threshold": 1.5}), "`threshold` "),
        (json!({"kind": "error_rate", "threshold": 0}), "`threshold` "),
        (json!({"kind": "request_spike", "threshold": 1}), "`threshold` "),
        (json!({"kind": "failed_auth", "threshold": 2.5}), "`threshold` "),
        (json!({"kind": "failed_auth", "threshold": "20"}), "`threshold` "),
        (json!({"kind": "key_expiring", "threshold": 4000}), "`threshold` "),
        (json!({"kind": "key_expiring", "window": "5m"}), "`window` "),
        (json!({"kind": "failed_auth", "window": "5s"}), "`window` "),
        (json!({"kind": "failed_auth", "window": "91d"}), "`window` "),
        (json!({"kind": "failed_auth", "window": "soon"}), "`window` "),
        (json!({"kind": "unusual_hour", "window": "1d"}), "`window` "),
        (json!({"kind": "failed_auth", "key": "key_000000000000000000000000"}), "`key` "),
        (json!({"kind": "failed_auth", "key": "laptop"}), "`key` "),
        (webhook("ftp://host/"), "`webhook.url` must begin"),
        (webhook("http://user:pw@host/"), "`webhook.url` must name no user"),
        (webhook("http:///path"), "`webhook.url` must name a host"),
        (
            json!({"kind": "failed_auth", "webhook": {"url": "http://h/", "format": "fax"}}),
            "`webhook.format` ",
        ),
        (
            json!({"kind": "failed_auth", "webhook": {"url": "http://h/", "secret": "short"}}),
            "`webhook.secret` ",
        ),
        (json!({"kind": "failed_auth", "webhook": {}}), "`webhook` "),
        (json!({"kind": "failed_auth", "webhook": "http://h/pw"}), "`webhook` must be an object"),
        (json!({"kind": "failed_auth", "webhook": ["http://h/pw"]}), "`webhook` must be an object"),
        (
            json!({"kind": "failed_auth", "webhook": {"url": "http://h/", "http://h/pw": 1}}),
            "`webhook` must be an object",
        ),
        (
            json!({"kind": "failed_auth", "webhook": {"url": "http://h/", "secret": 4711}}),
            "`webhook.secret` must be text",
        ),
        (json!({"kind": "failed_auth", "webhook": {"url": {"pw": 1}}}), "`webhook.url` must be text"),
        (
            json!({"kind": "new_client_address", "threshold": 256}),
            "`threshold` must be a whole number from 1",
        ),
        (json!({"kind": "request_spike", "window": "7h"}), "`window` must be 10s to 6h"),
        (json!({"kind": "failed_auth", "color": "red"}), "`color`"),
    ];
    for (body, expected) in cases {
        let error = server.admin(Request::post(RULES, &body)).expect_error(422, "invalid_request").json();
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{body}: {message}");
        assert!(
            !message.contains("pw") && !message.contains("short") && !message.contains("4711"),
            "{message}"
        );
    }
    assert_eq!(rules(&server).len(), 8);
    let general = rule(&server, "failed_auth");
    for (change, field) in [
        (json!({"kind": "error_rate"}), "`kind`"),
        (json!({"key": "key_000000000000000000000000"}), "`key`"),
        (json!({"threshold": 0}), "`threshold`"),
        (json!({"enabled": null}), "`enabled`"),
    ] {
        let error = server.admin(patch(&general, change)).expect_error(422, "invalid_request").json();
        assert!(error["error"]["message"].as_str().unwrap().contains(field), "{error}");
    }
    server.admin(patch(&general, json!({"kind": "failed_auth", "key": null}))).expect(200);
}

#[test]
fn the_same_wish_for_a_rule_sent_twice_makes_one() {
    let server = TestServer::start();
    let wish = |threshold: u32| {
        Request::post(RULES, &json!({"kind": "failed_auth", "threshold": threshold}))
            .header("Idempotency-Key", "wish")
    };
    let first = server.admin(wish(5)).expect(201).json();
    let server = server.restart();
    assert_eq!(server.admin(wish(5)).expect(201).json(), first);
    assert_eq!(rules(&server).len(), 9);
    server.admin(wish(6)).expect_error(422, "invalid_request");
    // The same Idempotency-Key is no other route's either.
    let key = Request::post("/admin/v1/keys", &json!({"name": "x", "scopes": ["*"]}));
    server.admin(key.header("Idempotency-Key", "wish")).expect_error(422, "invalid_request");
    server.admin(Request::new("DELETE", &path(&first))).expect(200);
    server.admin(wish(5)).expect_error(409, "alert_rule_deleted");
}

#[test]
fn a_key_s_own_rule_stands_in_for_the_general_one() {
    let server = TestServer::start();
    let narrow = json!({"requests_per_minute": 1});
    let (quiet, quiet_record) = server.key(narrow.clone());
    let (strict, strict_record) = server.key(narrow);
    for (record, settings) in [
        (&quiet_record, json!({"enabled": false})),
        (&strict_record, json!({"threshold": 3, "window": "10m"})),
    ] {
        let mut body = json!({"kind": "rate_limited", "key": record["id"]});
        body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        server.admin(Request::post(RULES, &body)).expect(201);
    }
    for _ in 0..4 {
        server.call(&strict, Request::get("/v1/key"));
    }
    for _ in 0..60 {
        server.call(&quiet, Request::get("/v1/key"));
    }
    let found = alerts(&server, "?kind=rate_limited");
    let keys: Vec<Value> = found.iter().map(|alert| alert["key"].clone()).collect();
    assert_eq!(keys, [strict_record["id"].clone()]);
    assert_eq!(found[0]["count"], 3);
}

#[test]
fn a_disabled_rule_raises_nothing_and_several_of_a_kind_raise_each_their_own() {
    let server = TestServer::start();
    let general = rule(&server, "failed_auth");
    server.admin(patch(&general, json!({"enabled": false}))).expect(200);
    guess(&server, 30);
    assert_eq!(alerts(&server, ""), [] as [Value; 0]);
    for threshold in [5, 10, 100] {
        let body = json!({"kind": "failed_auth", "threshold": threshold});
        server.admin(Request::post(RULES, &body)).expect(201);
    }
    guess(&server, 12);
    let found = alerts(&server, "?kind=failed_auth");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|alert| alert["count"] == 12), "{found:?}");
}
