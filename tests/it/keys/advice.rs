//! Advice on how a key could be tightened.

use std::time::Duration;

use mcpd::domain::usage::{Bucket, Figures};
use mcpd::store::profiles::{self, Profile};
use mcpd::store::reports::{self, Report};
use mcpd::store::{Store, StoreError, usage};
use serde_json::{Value, json};

use super::seed::{ONCE, Past, add, database};
use super::{DAY, after, id, patch, path};
use crate::harness::{Request, TestServer};

const CHAT: &str = "/v1/chat/completions";

fn advice(server: &TestServer, made: &Value) -> Value {
    server.admin(Request::get(&format!("{}/advice", path(made)))).expect(200).json()
}

/// What each setting is to be.
fn suggested<'a>(advice: &'a Value, setting: &str) -> Option<&'a Value> {
    let suggestions = advice["suggestions"].as_array().unwrap();
    Some(&suggestions.iter().find(|one| one["setting"] == setting)?["to"])
}

/// Adds usage of models, as the keeper would have written it, while the server is down.
fn use_models(mut server: TestServer, made: &Value, models: &[(&str, u64)]) -> TestServer {
    server.stop();
    let store = Store::open(&server.path("mcpd.db")).unwrap();
    for (model, requests) in models {
        let bucket = Bucket {
            minute: server.unix_time() / 60 - 20 * 24 * 60,
            key: Some(id(made).parse().unwrap()),
            endpoint: CHAT,
            status: 200,
            model: (!model.is_empty()).then(|| (*model).into()),
        };
        let figures = Figures { requests: *requests, ..Figures::default() };
        store.write(|db| usage::add(db, [(&bucket, &figures)]).map_err(StoreError::from)).unwrap();
    }
    drop(store);
    server.restart()
}

fn note_peaks(server: &TestServer, made: &Value, peak_rate: u32, peak_concurrent: u32) {
    let day = server.unix_time().div_euclid(86_400);
    let profile = Profile { day, requests: 1, peak_rate, peak_concurrent, ..Profile::default() };
    profiles::note(&database(server), id(made).parse().unwrap(), &profile).unwrap();
}

#[test]
fn advice_tells_what_was_given_what_was_used_and_what_to_change() {
    let server = TestServer::setup().toml("plans.free.requests_per_minute = 60").start();
    let (_, made) = server.key(json!({"plan": "free", "allowed_models": ["llama*", "qwen"]}));
    server.pass(20 * DAY);
    add(&server, &made, &Past { admitted: 20, ago: 86_400, ..ONCE });
    add(
        &server,
        &made,
        &Past { client: "2001:db8::7", endpoint: "/v1/models", scopes: &["models:read"], ..ONCE },
    );
    // What was refused, and what was before, is not what it needs.
    add(&server, &made, &Past { client: "198.51.100.1", admitted: 0, refused: 9, scopes: &[], ..ONCE });
    add(&server, &made, &Past { client: "198.51.100.2", ago: 31 * 86_400, scopes: &["files:read"], ..ONCE });
    let server = use_models(server, &made, &[("llama3", 19), ("llama3.2", 1)]);
    note_peaks(&server, &made, 8, 1);
    let seen = |ago| mcpd::domain::time::Timestamp::from_seconds(server.unix_time() - ago);
    let key = id(&made).parse().unwrap();
    let report = Report {
        setting: "scopes".to_owned(),
        value: "files:write".to_owned(),
        requests: 3,
        last_at: seen(60),
    };
    reports::add(&database(&server), key, &report).unwrap();

    let told = advice(&server, &made);
    let midnight = seen(0).floor(Duration::from_secs(DAY)).before(Duration::from_secs(29 * DAY));
    let patch_body = json!({
        "scopes": ["chats:create", "models:read"], "allowed_ips": ["203.0.113.9/32", "2001:db8::/64"],
        "allowed_models": ["llama3", "llama3.2"], "requests_per_minute": 10, "max_concurrent": 2
    });
    let expected = json!({
        "object": "advice", "key": id(&made), "from": midnight.to_string(), "to": after(&server, 0),
        "given": {
            "scopes": ["*"], "allowed_ips": [], "allowed_models": ["llama*", "qwen"], "requests_per_minute": 60,
            "max_concurrent": null
        },
        "used": {
            "requests": 21, "scopes": ["chats:create", "models:read"],
            "addresses": [
                {"ip": "203.0.113.9", "requests": 20, "last_seen_at": seen(86_400).to_string()},
                {"ip": "2001:db8::7", "requests": 1, "last_seen_at": seen(0).to_string()}
            ],
            "more_addresses": 0,
            "models": [{"model": "llama3", "requests": 19}, {"model": "llama3.2", "requests": 1}],
            "peak_requests_per_minute": 8, "peak_concurrent": 1
        },
        "suggestions": told["suggestions"], "notes": [], "patch": patch_body,
        "report_only": [
            {"setting": "scopes", "value": "files:write", "requests": 3, "last_at": seen(60).to_string()}
        ]
    });
    assert_eq!(told, expected);
    for suggestion in told["suggestions"].as_array().unwrap() {
        let setting = suggestion["setting"].as_str().unwrap();
        assert_eq!((&suggestion["from"], &suggestion["to"]), (&told["given"][setting], &patch_body[setting]));
        assert!(!suggestion["reason"].as_str().unwrap().is_empty());
    }

    // The patch can be sent as it is; then nothing is left to suggest.
    let changed = patch(&server, &made, &told["patch"]).expect(200).json();
    for (setting, value) in patch_body.as_object().unwrap() {
        assert_eq!(changed[setting], *value, "{setting}");
    }
    let told = advice(&server, &made);
    assert_eq!((&told["suggestions"], &told["patch"]), (&json!([]), &json!({})));
}

#[test]
fn nothing_is_suggested_that_the_past_does_not_tell() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    let told = advice(&server, &made);
    assert_eq!((&told["suggestions"], &told["patch"]), (&json!([]), &json!({})));
    assert!(told["notes"][0].as_str().unwrap().contains("let no request through"), "{told}");

    add(&server, &made, &ONCE);
    add(&server, &made, &Past { client: "unreadable", ..ONCE });
    let server = use_models(server, &made, &[("m", 1), ("", 1)]);
    let told = advice(&server, &made);
    for unknown in ["allowed_ips", "allowed_models", "requests_per_minute", "max_concurrent"] {
        assert_eq!(suggested(&told, unknown), None, "{told}");
    }
    assert_eq!(suggested(&told, "scopes"), Some(&json!(["chats:create"])));
    let notes = told["notes"].to_string();
    for word in ["allowed_ips: ", "allowed_models: ", "may not have shown yet"] {
        assert!(notes.contains(word), "{notes}");
    }
}

#[test]
fn a_model_that_was_asked_about_is_one_that_the_key_needs() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({}));
    server.call(&key, Request::get("/v1/models/echo")).expect(200);
    // What does not exist is needed by nobody.
    server.call(&key, Request::get("/v1/models/nothing")).expect(404);
    let told = advice(&server, &made);
    assert_eq!(told["used"]["models"], json!([{"model": "echo", "requests": 1}]), "{told}");
    assert_eq!(suggested(&told, "allowed_models"), Some(&json!(["echo"])), "{told}");
}

#[test]
fn there_is_advice_for_keys_alone() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    for unknown in ["key_000000000000000000000000", "nothing"] {
        let target = format!("/admin/v1/keys/{unknown}/advice");
        server.admin(Request::get(&target)).expect_error(404, "not_found");
    }
    let answer = server.admin(Request::get(&format!("{}/advice?days=3", path(&made))));
    answer.expect_error(400, "invalid_request");
    server
        .admin(Request::post(&format!("{}/advice", path(&made)), &json!({})))
        .expect_error(405, "method_not_allowed");
}
