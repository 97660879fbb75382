//! What a reload changes, setting by setting.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::{key, reload};
use crate::harness::{Binary, Request, eventually};
use crate::signing::{signature, with};

#[test]
fn a_plan_that_changes_keeps_what_was_used_and_binds_its_keys_at_once() {
    let binary = Binary::start("plans.free.requests_per_minute = 5\n");
    let (free, own) = (
        key(&binary, json!({"plan": "free"})),
        key(&binary, json!({"plan": "free", "requests_per_minute": 7})),
    );
    let ask = |key: &str| binary.call(key, Request::get("/v1/models"));
    for _ in 0..3 {
        ask(&free).expect(200);
    }
    let told = reload(&binary, "plans.free.requests_per_minute = 4\n");
    assert!(told.contains("reloaded mcpd.toml: new are plans\n"), "{told}");
    ask(&free).expect(200);
    let refused = ask(&free).expect_error(429, "rate_limit_exceeded");
    assert_eq!(refused.header("x-ratelimit-limit"), Some("4"));
    reload(&binary, "plans.free.requests_per_minute = 6\n");
    for _ in 0..2 {
        ask(&free).expect(200);
    }
    ask(&free).expect_error(429, "rate_limit_exceeded");
    assert_eq!(ask(&own).expect(200).header("x-ratelimit-limit"), Some("7"));
    let server = binary.admin(Request::get("/admin/v1/server")).expect(200).json();
    assert_eq!(server["plans"]["free"], 6);
}

#[test]
fn keys_on_a_plan_that_is_gone_get_the_default_one_s_limit_as_after_a_start() {
    let binary = Binary::start("plans.gold.requests_per_minute = 500\n");
    let gold = key(&binary, json!({"plan": "gold"}));
    let told = reload(&binary, "limits.default_plan = \"free\"\n");
    assert!(told.contains("reloaded mcpd.toml: new are limits, plans\n"), "{told}");
    let lost =
        "WARN mcpd::keys: the plan `gold` is not in the configuration, or sets no limit: the 1 keys on it";
    assert!(told.contains(lost), "{told}");
    let limit = |key: &str| {
        let answer = binary.call(key, Request::get("/v1/key")).expect(200);
        answer.header("x-ratelimit-limit").unwrap().to_owned()
    };
    assert_eq!(limit(&gold), "10");
    assert_eq!(limit(&key(&binary, json!({}))), "10", "a key without a plan is on the default one");
    let body = json!({"name": "test", "scopes": ["*"], "plan": "gold"});
    binary.admin(Request::post("/admin/v1/keys", &body)).expect(422);
    reload(&binary, "plans.gold.requests_per_minute = 600\n");
    assert_eq!(limit(&gold), "600");
    let binary = Binary::start_in(binary.end("TERM"));
    assert!(!binary.log().contains("the plan `gold`"), "{}", binary.log());
    let folder = binary.end("TERM");
    std::fs::write(folder.path().join("mcpd.toml"), crate::harness::binary::CONFIG).unwrap();
    assert!(Binary::start_in(folder).log().contains(lost));
}

#[test]
fn failed_attempts_go_on_counting_against_another_limit() {
    let binary = Binary::start("limits.failed_auth_per_minute = 2\n");
    let guess = || Request::get("/v1/key").bearer("mcp_sk_x").send(binary.public).status;
    assert_eq!([guess(), guess(), guess()], [401, 401, 429]);
    reload(&binary, "limits.failed_auth_per_minute = 4\n");
    assert_eq!([guess(), guess(), guess()], [401, 401, 429]);
}

#[test]
fn trusted_proxies_are_believed_from_the_next_request_on() {
    let binary = Binary::start("");
    let key = key(&binary, json!({"allowed_ips": ["203.0.113.9"]}));
    let ask = || binary.call(&key, Request::get("/v1/key").header("X-Forwarded-For", "203.0.113.9"));
    ask().expect_error(403, "ip_not_allowed");
    reload(&binary, "server.trusted_proxies = [\"127.0.0.1\"]\n");
    ask().expect(200);
    reload(&binary, "");
    ask().expect_error(403, "ip_not_allowed");
}

#[test]
fn signatures_are_asked_for_from_the_next_request_on() {
    let binary = Binary::start("");
    let key = binary.default_key();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
    let signed = |at: i64| binary.call(&key, with(Request::get("/v1/key"), at, &signature(&key, at, b"")));
    reload(&binary, "signing.required = true\n");
    binary.call(&key, Request::get("/v1/key")).expect_error(401, "missing_signature");
    let explain = json!({"key": key, "method": "GET", "path": "/v1/key"});
    let explained = binary.admin(Request::post("/admin/v1/explain", &explain)).expect(200).json();
    assert!(explained.to_string().contains("sign"), "{explained}");
    signed(now).expect(200);
    signed(now - 400).expect_error(401, "stale_timestamp");
    reload(&binary, "signing.max_skew_seconds = 10\n");
    signed(now - 60).expect_error(401, "stale_timestamp");
    // What was made while less was allowed may have been accepted then, and forgotten.
    reload(&binary, "signing.max_skew_seconds = 86400\n");
    signed(now - 61).expect_error(401, "stale_timestamp");
    signed(now + 400).expect(200);
}

#[test]
fn bodies_contexts_and_files_are_held_to_other_lengths() {
    let binary = Binary::start("server.max_json_bytes = 300\nfiles.max_bytes = 10\n");
    let key = binary.default_key();
    let long = "x".repeat(400);
    let upload = || {
        let part = "--b\r\nContent-Disposition: form-data; name=";
        let body = format!(
            "{part}\"purpose\"\r\n\r\np\r\n{part}\"file\"; filename=\"a\"\r\n\r\n{long}\r\n--b--\r\n"
        );
        let request =
            Request::new("POST", "/v1/files").header("Content-Type", "multipart/form-data; boundary=b");
        binary.call(&key, request.body(body))
    };
    binary.call(&key, Request::chat(&long)).expect_error(413, "payload_too_large");
    upload().expect_error(413, "payload_too_large");
    let told = reload(&binary, "files.total_bytes = 500\n");
    assert!(told.contains("new are server.max_json_bytes, files\n"), "{told}");
    binary.call(&key, Request::chat(&long)).expect(200);
    upload().expect(200);
    upload().expect_error(413, "payload_too_large");
    let context = json!({"messages": [{"role": "user", "content": long}]});
    binary.call(&key, Request::post("/v1/contexts", &context)).expect(200);
}

#[test]
fn usage_is_written_as_often_as_is_said_now() {
    let binary = Binary::start("usage.flush_milliseconds = 60000\n");
    let key = binary.default_key();
    reload(&binary, "usage.flush_milliseconds = 50\n");
    for _ in 0..5 {
        binary.call(&key, Request::chat("Hello")).expect(200);
    }
    std::thread::sleep(Duration::from_millis(600));
    let binary = Binary::start_in(binary.end("KILL"));
    let usage = binary.admin(Request::get("/admin/v1/usage?step=day&group_by=endpoint")).expect(200).json();
    let rows = usage["data"].as_array().unwrap();
    let chats = rows.iter().find(|row| row["endpoint"] == "/v1/chat/completions").unwrap();
    assert_eq!(chats["requests"], 5);
}

#[test]
fn the_log_is_as_talkative_as_is_said_now() {
    for format in ["text", "json"] {
        let format = format!("log.format = \"{format}\"\n");
        let binary = Binary::start(&format);
        let key = binary.default_key();
        let requests = || binary.log().matches("GET /v1/models").count();
        let ask = || binary.call(&key, Request::get("/v1/models")).expect(200);
        ask();
        assert_eq!(requests(), 0);
        reload(&binary, &format!("{format}log.level = \"debug\"\n"));
        ask();
        eventually("the request is told", || requests() == 1);
        // Libraries stay as they were: at finer levels they write out headers.
        let log = binary.log();
        assert!(!log.contains("DEBUG actix") && !log.contains("DEBUG awc"), "{log}");
        reload(&binary, &format);
        ask();
        assert_eq!(requests(), 1);
    }
}

#[test]
fn what_only_a_restart_applies_is_named_and_the_rest_applied() {
    let binary = Binary::start("");
    let before = binary.admin(Request::get("/admin/v1/server")).expect(200).json();
    let other = "server.workers = 7\nserver.shutdown_grace_seconds = 3\nadmin.open_metrics = true\n\
                 store.path = \"other/mcpd.db\"\nadmin.socket = \"other.sock\"\nlog.format = \"json\"\n\
                 plans.free.requests_per_minute = 77\n";
    for _ in 0..2 {
        let told = reload(&binary, other);
        let warning = "WARN mcpd::server::changes: restart mcpd to apply server.workers, \
                       server.shutdown_grace_seconds, admin.socket, admin.open_metrics, store.path, log.format: until";
        assert!(told.contains(warning), "{told}");
    }
    let after = binary.admin(Request::get("/admin/v1/server")).expect(200).json();
    assert_eq!(after["plans"]["free"], 77);
    assert_eq!(after["listeners"], before["listeners"]);
    Request::get("/metrics").send(binary.admin).expect(401);
    assert!(!binary.path("other").exists());
    let told = reload(&binary, "plans.free.requests_per_minute = 77\n");
    assert!(told.contains("reloaded mcpd.toml: nothing is new\n") && !told.contains("WARN"), "{told}");
}
