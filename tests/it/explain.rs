//! What the gate would answer, and why it answered so: the same as what real requests get, and nothing changes by
//! asking.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::harness::{Answer, Request, TestServer, eventually};

/// The client's address is what the test says in `X-Forwarded-For`.
const BEHIND_PROXY: &str = "server.trusted_proxies = [\"127.0.0.1\"]";
const INSIDE: &str = "203.0.113.9";
const OUTSIDE: &str = "198.51.100.7";
/// Well-formed, but nobody's.
const UNKNOWN: &str = "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38";
const CHAT: (&str, &str) = ("POST", "/v1/chat/completions");
const MODELS: (&str, &str) = ("GET", "/v1/models");

fn explain(server: &TestServer, question: &Value) -> Value {
    server.admin(Request::post("/admin/v1/explain", question)).expect(200).json()
}

fn id(made: &Value) -> &str {
    made["id"].as_str().unwrap()
}

/// Does something to a key: `revoke`, or a change.
fn patch(server: &TestServer, made: &Value, body: &Value) {
    server.admin(Request::new("PATCH", &format!("/admin/v1/keys/{}", id(made))).json(body)).expect(200);
}

fn revoke(server: &TestServer, made: &Value) {
    server.admin(Request::new("POST", &format!("/admin/v1/keys/{}/revoke", id(made)))).expect(200);
}

/// A real request from an address; a chat names a model.
fn send(server: &TestServer, key: &str, route: (&str, &str), ip: &str, model: &str) -> Answer {
    let request = Request::new(route.0, route.1).header("X-Forwarded-For", ip);
    let messages = json!([{"role": "user", "content": "Hi"}]);
    let request = match route {
        CHAT => request.json(&json!({"model": model, "messages": messages})),
        _ => request,
    };
    if key.is_empty() { request.send(server.public) } else { server.call(key, request) }
}

fn step<'a>(told: &'a Value, name: &str) -> &'a Value {
    told["steps"].as_array().unwrap().iter().find(|step| step["step"] == name).unwrap()
}

fn detail<'a>(told: &'a Value, name: &str) -> &'a str {
    step(told, name)["detail"].as_str().unwrap()
}

fn expect_detail(told: &Value, name: &str, outcome: &str, part: &str) {
    assert_eq!(step(told, name)["outcome"], outcome, "{told:#}");
    assert!(detail(told, name).contains(part), "no {part} in {:#}", step(told, name));
}

/// A key, a route, an address, a model, and the step that decides.
type Case<'a> = (&'a str, (&'a str, &'a str), &'a str, &'a str, Option<&'a str>);

const STEPS: [&str; 11] = [
    "bearer_token",
    "format",
    "key",
    "status",
    "client_address",
    "route",
    "scope",
    "concurrency",
    "rate_limit",
    "signature",
    "model",
];

/// Fails the test unless an explanation is of its form: all steps in order, and none but skipped ones behind the
/// one that decides.
fn expect_form(told: &Value) {
    let steps = told["steps"].as_array().unwrap();
    assert_eq!(steps.iter().map(|step| step["step"].as_str().unwrap()).collect::<Vec<_>>(), STEPS);
    let refusing = steps.iter().position(|step| step["outcome"] == "refuse");
    assert_eq!(told["allowed"], refusing.is_none(), "{told:#}");
    assert_eq!(told["decided_by"], refusing.map_or(json!(null), |at| steps[at]["step"].clone()));
    for step in steps {
        assert_ne!(step["detail"], "", "{told:#}");
    }
    if let Some(at) = refusing {
        assert!(steps[at + 1..].iter().all(|step| step["outcome"] == "skip"), "{told:#}");
    } else {
        assert_eq!((&told["status"], &told["error"]), (&json!(200), &json!(null)));
    }
}

/// Asks first and sends then: both must come to the same. Returns what was told.
fn compare(
    server: &TestServer,
    key: &str,
    route: (&str, &str),
    ip: &str,
    model: &str,
    decided_by: Option<&str>,
) -> Value {
    let (method, path) = route;
    let question = json!({"key": key, "method": method, "path": path, "ip": ip, "model": model});
    let told = explain(server, &question);
    expect_form(&told);
    let real = send(server, key, route, ip, model);
    let name = format!("{question} {told:#} {}", real.text());
    assert_eq!(told["decided_by"], json!(decided_by), "{name}");
    assert_eq!(told["status"], real.status, "{name}");
    if real.status >= 400 {
        assert_eq!(told["error"], real.json()["error"], "{name}");
        expect_told_again(server, &real, &told, decided_by.unwrap());
    }
    told
}

/// Fails the test unless a refusal of the gate is told again by its request's id.
fn expect_told_again(server: &TestServer, real: &Answer, told: &Value, decided_by: &str) {
    let question = json!({"request_id": real.header("x-request-id").unwrap()});
    // What there is no route for is no refusal of the gate.
    if decided_by == "route" {
        server.admin(Request::post("/admin/v1/explain", &question)).expect_error(404, "not_found");
        return;
    }
    let again = explain(server, &question);
    expect_form(&again);
    assert_eq!((&again["error"], &again["status"]), (&told["error"], &told["status"]));
    assert_eq!(again["decided_by"], decided_by, "{again:#}");
    assert_eq!(again["request_id"], question["request_id"]);
}

#[test]
fn a_dry_run_comes_to_what_the_real_request_gets_and_so_does_its_refusal_told_again() {
    let server = TestServer::setup().toml(BEHIND_PROXY).start();
    let ((disabled, to_disable), (revoked, to_revoke)) = (server.key(json!({})), server.key(json!({})));
    patch(&server, &to_disable, &json!({"enabled": false}));
    revoke(&server, &to_revoke);
    let (expired, _) = server.key(json!({"expires_in": "1s"}));
    server.pass(1);
    let settings = json!({"allowed_ips": ["203.0.113.0/24"], "scopes": ["models:read", "chats:create"],
        "allowed_models": ["echo"]});
    let (key, _) = server.key(settings);
    let nothing = ("GET", "/v1/nothing");
    let put = ("PUT", "/v1/models");
    let files = ("GET", "/v1/files");
    let cases: &[Case<'_>] = &[
        (&key, CHAT, INSIDE, "echo", None),
        (&key, MODELS, INSIDE, "echo", None),
        (&key, ("GET", "/v1/models?limit=5"), INSIDE, "", None),
        (&key, ("GET", "/v1/models/echo"), INSIDE, "", None),
        (&key, ("GET", "/v1/key"), INSIDE, "", None),
        ("", CHAT, INSIDE, "echo", Some("bearer_token")),
        ("x", CHAT, INSIDE, "echo", Some("format")),
        (&key[..38], MODELS, INSIDE, "", Some("format")),
        (UNKNOWN, MODELS, INSIDE, "", Some("key")),
        (&disabled, MODELS, INSIDE, "", Some("status")),
        (&revoked, MODELS, INSIDE, "", Some("status")),
        (&expired, MODELS, INSIDE, "", Some("status")),
        (&key, CHAT, OUTSIDE, "echo", Some("client_address")),
        (&key, nothing, OUTSIDE, "", Some("client_address")),
        (&key, nothing, INSIDE, "", Some("route")),
        (&key, ("GET", "/v1/models/"), INSIDE, "", Some("route")),
        (&key, ("GET", "/V1/models"), INSIDE, "", Some("route")),
        (&key, put, INSIDE, "", Some("route")),
        (&key, ("get", "/v1/models"), INSIDE, "", Some("route")),
        (&revoked, nothing, INSIDE, "", Some("status")),
        ("", nothing, INSIDE, "", Some("bearer_token")),
        (&key, files, INSIDE, "", Some("scope")),
        (&key, files, OUTSIDE, "", Some("client_address")),
        (&key, CHAT, INSIDE, "other", Some("model")),
        (&key, ("GET", "/v1/models/other"), INSIDE, "echo", Some("model")),
        (&key, ("GET", "/v1/models?api_key=1"), INSIDE, "", Some("bearer_token")),
        ("", ("GET", "/healthz"), OUTSIDE, "", None),
        (&revoked, ("GET", "/readyz"), OUTSIDE, "", None),
        ("", ("GET", "/healthz?token=1"), OUTSIDE, "", Some("bearer_token")),
        ("", ("POST", "/healthz"), OUTSIDE, "", Some("route")),
        (&revoked, ("GET", "/nothing"), OUTSIDE, "", Some("route")),
    ];
    for (key, route, ip, model, decided_by) in cases {
        compare(&server, key, *route, ip, model, *decided_by);
    }
}

#[test]
fn a_dry_run_comes_to_the_limits_that_the_real_request_runs_into() {
    let server = TestServer::setup().toml(BEHIND_PROXY).toml("limits.failed_auth_per_minute = 2").start();
    let (key, made) = server.key(json!({"requests_per_minute": 2, "max_concurrent": 1}));
    compare(&server, &key, MODELS, INSIDE, "", None);
    // A chat whose body is still coming holds the slot.
    let mut open = TcpStream::connect(server.public).unwrap();
    let head = Request::chat("Hi").bearer(&key).bytes();
    open.write_all(&head[..head.len() - 1]).unwrap();
    let question = json!({"key_id": id(&made), "method": "GET", "path": "/v1/models"});
    eventually("the chat has begun", || explain(&server, &question)["decided_by"] == "concurrency");
    let told = compare(&server, &key, MODELS, INSIDE, "", Some("concurrency"));
    expect_detail(&told, "concurrency", "refuse", "1 of at most 1 requests are in flight");
    drop(open);
    eventually("the chat has ended", || explain(&server, &question)["decided_by"] != "concurrency");
    server.pass(48);
    let told = compare(&server, &key, MODELS, INSIDE, "", Some("rate_limit"));
    expect_detail(&told, "rate_limit", "refuse", "2 of 2 requests in the last 60 s are used; 12 s to wait");
    server.pass(12);
    let told = compare(&server, &key, MODELS, INSIDE, "", None);
    expect_detail(&told, "rate_limit", "pass", "0 of 2 requests");

    for decided_by in ["key", "key"] {
        compare(&server, UNKNOWN, MODELS, INSIDE, "", Some(decided_by));
    }
    let told = compare(&server, UNKNOWN, MODELS, INSIDE, "", Some("key"));
    assert_eq!(told["error"]["code"], "too_many_failed_attempts");
    expect_detail(&told, "key", "refuse", "from 203.0.113.9 in the last 60 s: 60 s to wait");
    assert_eq!(compare(&server, "x", MODELS, INSIDE, "", Some("format"))["status"], 429);
    assert_eq!(compare(&server, UNKNOWN, MODELS, OUTSIDE, "", Some("key"))["status"], 401);
}

#[test]
fn asking_changes_nothing_for_anybody() {
    let servers = [0, 1].map(|_| {
        let setup = TestServer::setup().toml(BEHIND_PROXY).toml("limits.failed_auth_per_minute = 3");
        let server = setup.start();
        let (key, made) = server.key(json!({"requests_per_minute": 5, "scopes": ["models:read"]}));
        (server, key, id(&made).to_owned())
    });
    let mut seen = [Vec::new(), Vec::new()];
    for round in 0..12 {
        for (at, (server, key, id)) in servers.iter().enumerate() {
            if at == 1 {
                for _ in 0..7 {
                    explain(
                        server,
                        &json!({"key_id": id, "method": "GET", "path": "/v1/models", "ip": INSIDE}),
                    );
                    explain(server, &json!({"key": key, "path": "/v1/files", "ip": INSIDE}));
                    explain(server, &json!({"key": UNKNOWN, "ip": INSIDE}));
                    explain(server, &json!({"key": "x", "ip": INSIDE, "path": "/v1/nothing"}));
                }
            }
            for (key, path) in [(key.as_str(), "/v1/models"), (key, "/v1/files"), (UNKNOWN, "/v1/models")] {
                let answer = send(server, key, ("GET", path), INSIDE, "");
                let quota = answer.header("ratelimit").map(ToOwned::to_owned);
                seen[at].push((round, answer.status, answer.code(), quota));
            }
            server.pass(if round % 3 == 2 { 25 } else { 1 });
        }
    }
    assert_eq!(seen[0], seen[1]);
    let told = servers.each_ref().map(|(server, ..)| {
        let audit = server.admin(Request::get("/admin/v1/audit")).json();
        let rows = server.usage("endpoint,status");
        let counts: Vec<_> = rows
            .iter()
            .map(|row| [&row["endpoint"], &row["status"], &row["requests"]].map(Value::to_string))
            .collect();
        (counts, audit["data"].as_array().unwrap().len())
    });
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0].0.iter().map(|[.., requests]| requests.parse::<u32>().unwrap()).sum::<u32>(), 36);
}

#[test]
fn a_key_that_was_never_used_is_not_used_by_asking() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({}));
    explain(&server, &json!({"key": key, "ip": "127.0.0.1", "model": "m"}));
    explain(&server, &json!({"key_id": id(&made)}));
    let record = server.admin(Request::get(&format!("/admin/v1/keys/{}", id(&made)))).expect(200).json();
    assert_eq!((&record["last_used_at"], &record["last_used_ip"]), (&json!(null), &json!(null)));
}

#[test]
fn details_name_the_rule_and_the_value() {
    let server = TestServer::start();
    let settings = json!({"name": "narrow", "scopes": ["chats:create", "models:read"],
        "allowed_ips": ["10.0.0.0/8", "2001:db8::/32"], "allowed_models": ["llama*"], "max_concurrent": 4});
    let (key, made) = server.key(settings);
    let (id, ask) = (id(&made), |more: Value| {
        let mut question = json!({"key_id": id(&made), "ip": "10.1.2.3", "model": "llama3"});
        question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        explain(&server, &question)
    });
    let told = ask(json!({}));
    expect_detail(&told, "bearer_token", "skip", "asked by id");
    expect_detail(&told, "format", "skip", "asked by id");
    expect_detail(&told, "key", "pass", &format!("`narrow` ({id})"));
    expect_detail(&told, "status", "pass", "it is active");
    expect_detail(
        &told,
        "client_address",
        "pass",
        "10.1.2.3 is within allowed_ips (10.0.0.0/8, 2001:db8::/32)",
    );
    expect_detail(&told, "route", "pass", "POST /v1/chat/completions asks for `chats:create`");
    expect_detail(&told, "scope", "pass", "the key has chats:create, models:read");
    expect_detail(&told, "concurrency", "pass", "0 of at most 4 requests");
    expect_detail(&told, "rate_limit", "pass", "0 of 100000 requests");
    expect_detail(&told, "signature", "pass", "it needs no signature");
    expect_detail(&told, "model", "pass", "`llama3` is among allowed_models (llama*)");

    let told = ask(json!({"ip": "::ffff:203.0.113.9"}));
    expect_detail(&told, "client_address", "refuse", "203.0.113.9 is outside allowed_ips (10.0.0.0/8");
    expect_detail(&told, "scope", "skip", "`client_address` has decided already");
    let told = ask(json!({"method": "GET", "path": "/v1/files"}));
    let why = "the key lacks `files:read`; it has chats:create, models:read";
    expect_detail(&told, "scope", "refuse", why);
    assert_eq!(told["error"]["message"], "The API key lacks the scope `files:read`");
    let told = ask(json!({"model": "gpt-5"}));
    expect_detail(&told, "model", "refuse", "`gpt-5` is not among allowed_models (llama*)");
    let told = ask(json!({"method": "GET"}));
    expect_detail(&told, "route", "refuse", "This path takes POST");
    let told = ask(json!({"path": "/v1/keys"}));
    expect_detail(&told, "route", "refuse", "There is nothing at POST /v1/keys");
    let told = ask(json!({"path": "/nothing"}));
    expect_detail(&told, "status", "skip", "no key is asked for");
    let told = ask(json!({"method": "GET", "path": "/healthz"}));
    expect_detail(&told, "status", "pass", "GET /healthz asks for no key");
    let told = ask(json!({"method": "GET", "path": "/v1/models"}));
    expect_detail(&told, "model", "skip", "GET /v1/models names no model");

    // What was not given is not guessed.
    let told = explain(&server, &json!({"key": key}));
    assert_eq!(told["allowed"], true);
    expect_detail(&told, "format", "pass", "checksum");
    expect_detail(&told, "client_address", "skip", "`ip` was not given");
    expect_detail(&told, "model", "skip", "`model` was not given");
    for (key, flaw) in [
        ("sk-abc".to_owned(), "does not begin with `mcp_sk_`"),
        (key[..30].to_owned(), "too short"),
        (format!("{key}A"), "too long"),
        (UNKNOWN.replace("Fg38", "Fg39"), "checksum is wrong"),
        (UNKNOWN.replace("MNOP", "MN-P"), "other characters"),
    ] {
        let told = explain(&server, &json!({"key": key}));
        expect_detail(&told, "format", "refuse", flaw);
        assert!(key.len() < 20 || !told.to_string().contains(&key[7..20]), "{told:#}");
    }
    expect_detail(&explain(&server, &json!({"key": UNKNOWN})), "key", "refuse", "no key is like it");
}

#[test]
fn a_dead_key_is_explained_with_its_successor() {
    let server = TestServer::start();
    let (old_key, old) = server.key(json!({"name": "old laptop"}));
    let path = format!("/admin/v1/keys/{}", id(&old));
    let rotate = Request::post(&format!("{path}/rotate"), &json!({"expire_old_in": "1h"}));
    let new = server.admin(rotate).expect(201).json();
    patch(&server, &new, &json!({"name": "laptop"}));
    let end = server.admin(Request::get(&path)).json()["expires_at"].as_str().unwrap().to_owned();
    let told = explain(&server, &json!({"key": old_key}));
    let handed_over = format!("it was rotated to `laptop` ({})", id(&new));
    expect_detail(&told, "status", "pass", &format!("it is active until {end}; {handed_over}"));
    server.pass(3_600);
    let told = explain(&server, &json!({"key": old_key}));
    expect_detail(&told, "status", "refuse", &format!("it expired at {end}; {handed_over}"));
    server.admin(Request::new("DELETE", &format!("/admin/v1/keys/{}", id(&new)))).expect(200);
    expect_detail(&explain(&server, &json!({"key": old_key})), "status", "refuse", "which was deleted since");
    revoke(&server, &old);
    let told = explain(&server, &json!({"key": old_key}));
    expect_detail(&told, "status", "refuse", "it was revoked at 20");
    let (key, made) = server.key(json!({}));
    patch(&server, &made, &json!({"enabled": false}));
    expect_detail(&explain(&server, &json!({"key": key})), "status", "refuse", "it is disabled");
}

#[test]
fn a_dry_run_says_that_a_signature_will_be_needed() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({"require_signature": true}));
    let told = explain(&server, &json!({"key_id": id(&made)}));
    assert_eq!(told["allowed"], true);
    expect_detail(&told, "signature", "skip", "this key's requests must be signed; a dry run has no body");
    let server = TestServer::setup().toml("signing.required = true").start();
    let told = explain(&server, &json!({"key": server.default_key()}));
    expect_detail(&told, "signature", "skip", "all requests must be signed");
}

#[test]
fn a_question_that_makes_no_sense_is_refused_by_field() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    let id = id(&made);
    let cases = [
        (json!({}), "key_id"),
        (json!({"key_id": id, "key": "x"}), "key_id"),
        (json!({"key_id": id, "ip": "nowhere"}), "ip"),
        (json!({"key_id": id, "ip": "10.0.0.0/8"}), "ip"),
        (json!({"key_id": id, "method": "A B"}), "method"),
        (json!({"key_id": id, "path": "v1/models"}), "path"),
        (json!({"key_id": id, "path": ""}), "path"),
        (json!({"key_id": id, "model": 5}), "model"),
        (json!({"request_id": "req_1", "key_id": id}), "request_id"),
        (json!({"key_id": id, "color": "red"}), "color"),
    ];
    for (question, field) in cases {
        let answer = server.admin(Request::post("/admin/v1/explain", &question));
        let answer = answer.expect_error(422, "invalid_request");
        assert!(answer.text().contains(&format!("`{field}`")), "{question}: {}", answer.text());
    }
    for unknown in ["key_000000000000000000000000", "key_1", ""] {
        let question = json!({"key_id": unknown});
        server.admin(Request::post("/admin/v1/explain", &question)).expect_error(404, "not_found");
    }
    let question = json!({"request_id": "req_unknown"});
    let answer = server.admin(Request::post("/admin/v1/explain", &question)).expect_error(404, "not_found");
    assert!(answer.text().contains("the last 100 of each key, until a restart"), "{}", answer.text());
}

#[test]
fn a_key_in_a_question_is_not_repeated() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"allowed_models": ["m"]}));
    for question in [
        json!({"key": key, "path": format!("/v1/{key}"), "method": "GET"}),
        json!({"key": key, "path": format!("/v1/models/{key}"), "method": "GET"}),
        json!({"key": key, "model": key}),
        json!({"key": key, "path": format!("/v1/models?x={key}"), "method": "GET"}),
        json!({"key": key, "method": key}),
        json!({"key": key, "ip": key}),
        json!({"key_id": key}),
        json!({"request_id": key}),
        json!({key.as_str(): 1}),
    ] {
        let answer = server.admin(Request::post("/admin/v1/explain", &question));
        assert!(!answer.text().contains(&key[7..]), "{question}: {}", answer.text());
    }
    let refused = server.call(&key, Request::get(&format!("/v1/models/{key}"))).expect(403);
    let told = explain(&server, &json!({"request_id": refused.header("x-request-id")}));
    assert_eq!(told["path"], "/v1/models/mcp_sk_…");
    assert!(!told.to_string().contains(&key[7..]));
}

#[test]
fn a_refusal_is_told_again_with_who_asked_for_what_and_when() {
    let server = TestServer::setup().toml(BEHIND_PROXY).start();
    let (key, made) = server.key(json!({"allowed_ips": ["10.0.0.0/8"], "name": "narrow"}));
    let request = Request::get("/v1/models?limit=1").header("X-Forwarded-For", OUTSIDE);
    let named = request.header("X-Request-Id", "build-17");
    server.call(&key, named.clone()).expect(403);
    let told = explain(&server, &json!({"request_id": "build-17"}));
    let expected = json!({"request_id": "build-17", "method": "GET", "path": "/v1/models", "key": id(&made),
        "ip": OUTSIDE, "allowed": false, "status": 403, "decided_by": "client_address"});
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(told[field], *value, "{field}");
    }
    let at = mcpd::domain::time::Timestamp::parse(told["at"].as_str().unwrap()).unwrap();
    assert_eq!(at.as_seconds(), server.unix_time());
    expect_detail(&told, "client_address", "refuse", "198.51.100.7 is outside allowed_ips (10.0.0.0/8)");
    // The key as it was then is told of, and of two requests with one id the newer.
    patch(&server, &made, &json!({"allowed_ips": null, "scopes": ["files:read"]}));
    let told = explain(&server, &json!({"request_id": "build-17"}));
    expect_detail(&told, "client_address", "refuse", "198.51.100.7 is outside allowed_ips (10.0.0.0/8)");
    server.call(&key, named).expect(403);
    let told = explain(&server, &json!({"request_id": "build-17"}));
    expect_detail(&told, "scope", "refuse", "the key lacks `models:read`; it has files:read");

    let nobody = Request::get("/v1/key").header("X-Forwarded-For", "garbage");
    let refused = nobody.send(server.public).expect(401);
    let told = explain(&server, &json!({"request_id": refused.header("x-request-id")}));
    assert_eq!((&told["key"], &told["ip"]), (&json!(null), &json!(null)));
    expect_detail(&told, "bearer_token", "refuse", "no bearer token was sent");
}

#[test]
fn what_is_refused_late_is_told_again_too() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"scopes": ["chats:create", "files:write"], "requests_per_minute": 50}));
    let messages = json!([{"role": "user", "content": [{"type": "file", "file": {"file_id": "file_1"}}]}]);
    let chat = Request::post("/v1/chat/completions", &json!({"model": "m", "messages": messages}));
    let refused = server.call(&key, chat).expect_error(403, "insufficient_scope");
    let told = explain(&server, &json!({"request_id": refused.header("x-request-id")}));
    let why =
        "what the request's body calls for: the key lacks `files:read`; it has chats:create, files:write";
    expect_detail(&told, "scope", "refuse", why);
    expect_detail(&told, "rate_limit", "skip", "`scope` has decided already");

    let upload = Request::new("POST", "/v1/files")
        .header("Content-Type", "multipart/form-data; boundary=edge")
        .header("X-MCP-Timestamp", server.unix_time().to_string())
        .header("X-MCP-Signature", "00".repeat(32))
        .body(
            "--edge\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n\
             --edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nHi\r\n--edge--\r\n",
        );
    let refused = server.call(&key, upload).expect_error(401, "invalid_signature");
    let told = explain(&server, &json!({"request_id": refused.header("x-request-id")}));
    expect_detail(&told, "signature", "refuse", "does not match the request body");
    expect_detail(
        &told,
        "rate_limit",
        "pass",
        "2 of 50 requests in the last 60 s are used, this one included",
    );
    assert_eq!(told["status"], 401);
}

#[test]
fn a_key_in_the_query_string_is_told_again_without_it() {
    let server = TestServer::setup().toml(BEHIND_PROXY).start();
    let (key, _) = server.key(json!({}));
    let request = Request::get(&format!("/v1/models?key={key}")).header("X-Forwarded-For", OUTSIDE);
    let refused = server.call(&key, request).expect_error(400, "invalid_request");
    let told = explain(&server, &json!({"request_id": refused.header("x-request-id")}));
    expect_form(&told);
    assert_eq!((&told["status"], &told["error"]), (&json!(400), &refused.json()["error"]));
    // Whose key it is, is not looked at.
    assert_eq!(
        (&told["path"], &told["ip"], &told["key"]),
        (&json!("/v1/models"), &json!(OUTSIDE), &json!(null))
    );
    expect_detail(&told, "bearer_token", "refuse", "its query string carries a key");
    assert!(!told.to_string().contains(&key[7..]), "{told}");
}

#[test]
fn refusals_are_forgotten_with_a_restart() {
    let server = TestServer::start();
    let refused = Request::get("/v1/key").send(server.public).expect(401);
    let question = json!({"request_id": refused.header("x-request-id")});
    explain(&server, &question);
    let server = server.restart();
    server.admin(Request::post("/admin/v1/explain", &question)).expect_error(404, "not_found");
}
