//! Settings that are only tried out, and what the log tells of refusals.

use mcpd::domain::time::Timestamp;
use mcpd::store::reports;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{Binary, Request, TestServer, eventually};

const BEHIND_PROXY: &str = "server.trusted_proxies = [\"127.0.0.1\"]";
const OUTSIDE: &str = "198.51.100.7";

fn id(made: &Value) -> &str {
    made["id"].as_str().unwrap()
}

fn from(ip: &str, request: Request) -> Request {
    request.header("X-Forwarded-For", ip)
}

/// Stops the server; returns what it has kept of a key: setting, value and number of requests.
fn reported(mut server: TestServer, made: &Value) -> Vec<(String, String, u64)> {
    server.stop();
    let connection = Connection::open(server.path("mcpd.db")).unwrap();
    let all = reports::of(&connection, id(made).parse().unwrap(), Timestamp::from_seconds(0)).unwrap();
    all.into_iter().map(|report| (report.setting, report.value, report.requests)).collect()
}

#[test]
fn what_is_only_tried_out_lets_through_and_is_noted() {
    let server = TestServer::setup().toml(BEHIND_PROXY).start();
    let (key, made) = server.key(json!({"allowed_ips": ["10.0.0.0/8"], "scopes": ["chats:create"],
        "report_only": ["allowed_ips", "scopes"], "requests_per_minute": 20}));
    let get = |ip: &str, path: &str| server.call(&key, from(ip, Request::get(path)));
    get("10.0.0.1", "/v1/key").expect(200);
    get(OUTSIDE, "/v1/key").expect(200);
    get(OUTSIDE, "/v1/models").expect(200);
    get("unreadable", "/v1/files").expect(200);
    get(OUTSIDE, "/v1/nothing").expect(404);
    server.call(&key, from("10.0.0.1", Request::chat("Hi"))).expect(200);
    // A scope that only the body calls for.
    let context =
        server.call(&server.default_key(), Request::post("/v1/contexts", &json!({}))).expect(200).json();
    let body =
        json!({"model": "m", "context": context["id"], "messages": [{"role": "user", "content": "Hi"}]});
    server.call(&key, from("10.0.0.1", Request::post("/v1/chat/completions", &body))).expect(200);
    let file = Request::new("POST", "/v1/files").header("Content-Type", "multipart/form-data; boundary=edge").body(
        "--edge\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n\
         --edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nHi\r\n--edge--\r\n",
    );
    let file = server.call(&server.default_key(), file).expect(200).json();
    let part = json!({"type": "file", "file": {"file_id": file["id"]}});
    let body = json!({"model": "m", "messages": [{"role": "user", "content": [part]}]});
    server.call(&key, from("10.0.0.1", Request::post("/v1/chat/completions", &body))).expect(200);
    let expected = [
        ("allowed_ips", OUTSIDE, 3),
        ("allowed_ips", "unreadable", 1),
        ("scopes", "files:read", 2),
        ("scopes", "contexts:read", 1),
        ("scopes", "models:read", 1),
    ];
    let expected =
        expected.map(|(setting, value, requests)| (setting.to_owned(), value.to_owned(), requests));
    assert_eq!(reported(server, &made), expected);
}

#[test]
fn only_what_is_named_is_tried_out_and_only_until_it_is_not() {
    let server = TestServer::setup().toml(BEHIND_PROXY).start();
    let settings = |report_only: Value| json!({"allowed_ips": ["10.0.0.0/8"], "scopes": ["chats:create"], "report_only": report_only});
    let cases = [
        // report_only, from outside, without the scope
        (json!([]), 403, 403),
        (json!(["allowed_ips"]), 200, 403),
        (json!(["scopes"]), 403, 200),
        (json!(["scopes", "allowed_ips"]), 200, 200),
    ];
    let (key, made) = server.key(settings(json!([])));
    for (report_only, outside, scopeless) in cases {
        let path = format!("/admin/v1/keys/{}", id(&made));
        server.admin(Request::new("PATCH", &path).json(&settings(report_only.clone()))).expect(200);
        let asked = [
            (OUTSIDE, "/v1/key", outside),
            (OUTSIDE, "/v1/nothing", if outside == 200 { 404 } else { 403 }),
            ("10.0.0.1", "/v1/models", scopeless),
        ];
        for (ip, path, status) in asked {
            let answer = server.call(&key, from(ip, Request::get(path)));
            assert_eq!(answer.status, status, "{report_only} {ip} {path}");
        }
    }
}

#[test]
fn what_is_tried_out_guards_nothing_else_less() {
    let server = TestServer::setup().toml(BEHIND_PROXY).start();
    let (key, made) = server
        .key(json!({"scopes": ["chats:create"], "report_only": ["allowed_ips", "scopes"],
        "allowed_ips": ["10.0.0.0/8"], "allowed_models": ["m"], "requests_per_minute": 2}));
    let chat = |model: &str| {
        Request::post(
            "/v1/chat/completions",
            &json!({"model": model, "messages": [
        {"role": "user", "content": "Hi"}]}),
        )
    };
    server.call(&key, from(OUTSIDE, chat("other"))).expect_error(403, "model_not_allowed");
    server.call(&key, from(OUTSIDE, Request::get("/v1/models"))).expect(200);
    server.call(&key, from(OUTSIDE, Request::get("/v1/models"))).expect_error(429, "rate_limit_exceeded");
    server.admin(Request::new("POST", &format!("/admin/v1/keys/{}/revoke", id(&made)))).expect(200);
    server.call(&key, from(OUTSIDE, Request::get("/v1/models"))).expect_error(401, "invalid_api_key");
    // What was refused for another reason is no finding.
    let expected = [
        ("allowed_ips".to_owned(), OUTSIDE.to_owned(), 2),
        ("scopes".to_owned(), "models:read".to_owned(), 1),
    ];
    assert_eq!(reported(server, &made), expected);
}

#[test]
fn a_rotated_key_keeps_what_is_tried_out() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({"report_only": ["scopes"]}));
    let rotate = Request::post(&format!("/admin/v1/keys/{}/rotate", id(&made)), &json!({}));
    assert_eq!(server.admin(rotate).expect(201).json()["report_only"], json!(["scopes"]));
}

#[test]
fn explaining_says_what_is_only_tried_out() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({"allowed_ips": ["10.0.0.0/8"], "scopes": ["chats:create"],
        "report_only": ["allowed_ips", "scopes"]}));
    let question = json!({"key_id": id(&made), "method": "GET", "path": "/v1/files", "ip": "203.0.113.9"});
    let told = server.admin(Request::post("/admin/v1/explain", &question)).expect(200).json();
    assert_eq!((&told["allowed"], &told["status"]), (&json!(true), &json!(200)));
    let detail = |name: &str| {
        let step = told["steps"].as_array().unwrap().iter().find(|step| step["step"] == name).unwrap();
        assert_eq!(step["outcome"], "pass");
        step["detail"].as_str().unwrap().to_owned()
    };
    let address =
        "would be refused, but `allowed_ips` is report-only: 203.0.113.9 is outside allowed_ips (10.0.0.0/8)";
    assert_eq!(detail("client_address"), address);
    let scope =
        "would be refused, but `scopes` is report-only: the key lacks `files:read`; it has chats:create";
    assert_eq!(detail("scope"), scope);
}

#[test]
fn the_log_tells_what_would_have_been_refused() {
    let server = Binary::start(BEHIND_PROXY);
    let made = make(
        &server,
        json!({"name": "laptop", "allowed_ips": ["10.0.0.0/8"], "report_only": ["allowed_ips"]}),
    );
    let key = made["key"].as_str().unwrap();
    for _ in 0..3 {
        server.call(key, from(OUTSIDE, Request::get("/v1/key"))).expect(200);
    }
    let start = format!("key `laptop` ({}) would have been refused ", id(&made));
    let end = format!(": {OUTSIDE} is outside allowed_ips (report_only)");
    eventually("the log tells", || server.log().contains(&start));
    let log = server.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(&start)).collect();
    assert_eq!(lines.len(), 1, "once a minute: {log}");
    assert!(lines[0].contains("INFO") && lines[0].contains(&end), "{}", lines[0]);
    assert!(!log.contains(&key[7..]));
}

#[test]
fn the_log_tells_who_still_uses_a_key_that_was_rotated() {
    let server = Binary::start(BEHIND_PROXY);
    let old = make(&server, json!({"name": "old laptop"}));
    let rotate =
        Request::post(&format!("/admin/v1/keys/{}/rotate", id(&old)), &json!({"expire_old_in": "0s"}));
    let new = server.admin(rotate).expect(201).json();
    let patch = Request::new("PATCH", &format!("/admin/v1/keys/{}", id(&new)));
    server.admin(patch.json(&json!({"name": "laptop"}))).expect(200);
    let old_key = old["key"].as_str().unwrap();
    let agent = format!("python-requests/2.31 {old_key}");
    server.call(old_key, from(OUTSIDE, Request::get("/v1/key")).header("User-Agent", agent)).expect(401);
    let start = format!("refused 1 request with key `old laptop` ({}), which expired at ", id(&old));
    let end =
        format!(" and was rotated to `laptop` ({}); from {OUTSIDE}, python-requests/2.31 mcp_sk_…", id(&new));
    eventually("the log tells", || server.log().contains(&start));
    let log = server.log();
    let line = log.lines().find(|line| line.contains(&start)).unwrap();
    assert!(line.contains("WARN") && line.contains(&end), "{line}");
    assert!(!log.contains(&old_key[7..]));

    let ended = make(&server, json!({"name": "lone"}));
    server.admin(Request::new("POST", &format!("/admin/v1/keys/{}/revoke", id(&ended)))).expect(200);
    server.call(ended["key"].as_str().unwrap(), from(OUTSIDE, Request::get("/v1/nothing"))).expect(401);
    let start = format!("refused 1 request with key `lone` ({}), which was revoked at ", id(&ended));
    eventually("the log tells", || server.log().contains(&start));
    let log = server.log();
    let line = log.lines().find(|line| line.contains(&start)).unwrap();
    assert!(line.contains("INFO") && line.contains(&format!("; from {OUTSIDE}")), "{line}");
}

fn make(server: &Binary, settings: Value) -> Value {
    let mut body = json!({"scopes": ["*"]});
    body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    server.admin(Request::post("/admin/v1/keys", &body)).expect(201).json()
}
