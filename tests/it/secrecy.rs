//! No key, no token and no upstream's key appears anywhere but where it was asked for.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use memchr::memmem;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::binary::command;
use crate::harness::upstream::{begin_stream, send_event, wait_for_close, write_json};
use crate::harness::{Binary, FakeUpstream, Folder, Request, TestServer, hex};

const OPENAI_KEY: &str = "sk-proj-UpstreamSecretOfTheOperator0123456789";
const ANTHROPIC_KEY: &str = "sk-ant-OtherUpstreamSecret0123456789abcdef";

/// An upstream that tells, in its errors, everything that it got.
fn quoting_upstream() -> FakeUpstream {
    FakeUpstream::start(|seen, connection| {
        let quote = format!(
            "bad request: {} {} {:?} {}",
            seen.method,
            seen.target,
            seen.headers,
            String::from_utf8_lossy(&seen.body)
        );
        let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        let error = json!({"error": {"message": quote, "code": quote, "type": quote}, "detail": quote});
        match body["model"].as_str().unwrap_or("401") {
            "stream error" => {
                begin_stream(connection);
                send_event(connection, r#"{"choices":[{"delta":{"content":"x"}}]}"#);
                send_event(connection, &error.to_string());
                return false;
            }
            "claude stream error" => {
                begin_stream(connection);
                send_event(connection, &json!({"type": "error", "error": error["error"]}).to_string());
                return false;
            }
            "garbage" => {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", quote.len());
                connection.write_all((head + &quote).as_bytes()).unwrap();
            }
            "no http" => {
                connection.write_all(format!("{quote}\r\n\r\n").as_bytes()).unwrap();
                return false;
            }
            "odd header" => {
                let head = format!("HTTP/1.1 200 OK\r\n{}: x\0\r\n\r\n", &quote[..40]);
                connection.write_all(head.as_bytes()).unwrap();
                return false;
            }
            "silent" => {
                wait_for_close(connection);
                return false;
            }
            "ok" => write_json(connection, 200, &json!({"object": "chat.completion", "choices": []})),
            model => {
                let digits: String = model.chars().filter(char::is_ascii_digit).collect();
                write_json(connection, digits.parse().unwrap_or(400), &error);
            }
        }
        true
    })
}

const MODELS: [&str; 13] = [
    "400",
    "401",
    "403",
    "404",
    "413",
    "422",
    "429",
    "500",
    "stream error",
    "garbage",
    "no http",
    "odd header",
    "ok",
];
const CLAUDE_MODELS: [&str; 4] = ["claude 400", "claude 401", "claude 529", "claude stream error"];

fn configuration(upstream: SocketAddr, format: &str) -> String {
    let openai = |name: &str, port: u16, models: &[&str]| {
        format!(
            "[[upstreams]]\nname = \"{name}\"\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\n\
             api_key = \"{OPENAI_KEY}\"\ntimeout_seconds = 1\nmodels = {models:?}\n"
        )
    };
    let anthropic = format!(
        "[[upstreams]]\nname = \"anthropic\"\nkind = \"anthropic\"\nbase_url = \"http://{upstream}\"\n\
         api_key = \"{ANTHROPIC_KEY}\"\nmodels = {CLAUDE_MODELS:?}\n"
    );
    // With one limit, guesses are told apart to the end; with the other, they are not.
    let guesses = if format == "text" { 100_000 } else { 60 };
    format!(
        "log = {{ level = \"trace\", format = \"{format}\" }}\nlimits.failed_auth_per_minute = {guesses}\n\
         plans.standard.requests_per_minute = 100000\nserver.max_json_bytes = 10000\n\
         server.trusted_proxies = [\"127.0.0.1\"]\n{}{}{}{anthropic}",
        openai("quoting", upstream.port(), &MODELS),
        openai("silent", upstream.port(), &["silent"]),
        openai("gone", 9, &["gone"]),
    )
}

/// A binary, and everything it has ever said.
struct Watched {
    binary: Binary,
    answers: Vec<(String, Vec<u8>)>,
}

impl Watched {
    fn send(&mut self, to: SocketAddr, request: &Request) -> Vec<u8> {
        let mut connection = TcpStream::connect(to).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let bytes = request.bytes();
        let _ = connection.write_all(&bytes);
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer);
        let name = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned();
        self.answers.push((name, answer.clone()));
        answer
    }

    fn public(&mut self, key: &str, request: Request) -> Vec<u8> {
        self.send(self.binary.public, &request.bearer(key))
    }

    fn admin(&mut self, request: Request) -> Vec<u8> {
        let token = self.binary.token();
        self.send(self.binary.admin, &request.bearer(&token))
    }

    /// Makes a key; its answer is the one that may show it, and nothing else that is secret.
    fn key(&mut self, settings: Value) -> (String, String) {
        let mut body = settings;
        body["name"] = "watched".into();
        if body["scopes"].is_null() {
            body["scopes"] = json!(["*"]);
        }
        self.issue(Request::post("/admin/v1/keys", &body).header("Idempotency-Key", "the same"))
    }

    fn issue(&mut self, request: Request) -> (String, String) {
        let made = self.binary.admin(request).expect(201);
        let text = |field: &str| made.json()[field].as_str().unwrap().to_owned();
        let rest = made.text().replace(&text("key"), "");
        self.answers.push(("its own creation".to_owned(), rest.into_bytes()));
        (text("key"), text("id"))
    }

    /// The codes of all errors so far.
    fn codes(&self) -> BTreeSet<String> {
        let code = |answer: &[u8]| {
            let at = memmem::find(answer, b"{\"error\":{\"code\":\"")? + 18;
            let code = answer[at..].split(|byte| *byte == b'"').next()?;
            Some(String::from_utf8_lossy(code).into_owned())
        };
        self.answers.iter().filter_map(|(_, answer)| code(answer)).collect()
    }
}

fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
}

fn post(path: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::new("POST", path).header("Content-Type", "application/json").body(body)
}

/// Requests with a key where none belongs.
fn misplaced(key: &str) -> Vec<Request> {
    let escaped = key.replace('_', "%5F");
    let all_escaped = key.bytes().fold(String::new(), |escaped, byte| escaped + "%" + &hex(&[byte]));
    let mut requests: Vec<_> = [
        format!("/{key}"),
        format!("/v1/{key}"),
        format!("/v1/models/{key}"),
        format!("/v1/models/x-{key}-x/{key}"),
        format!("/v1/models/{escaped}"),
        format!("/v1/models/{all_escaped}"),
        format!("/v1/contexts/{key}"),
        format!("/v1/contexts/{all_escaped}"),
        format!("/v1/contexts?after={key}"),
        format!("/v1/files/{key}/content"),
        format!("/v1/key?api_key={key}"),
        format!("/v1/key?{key}"),
        format!("/v1/key?x={escaped}"),
        format!("/v1/key?x={all_escaped}"),
        format!("/healthz?token={key}"),
        format!("/v1/key#{key}"),
        format!("http://{key}/v1/key"),
        format!("http://user:{key}@localhost/v1/key"),
        format!("/v1/key\\{key}"),
    ]
    .iter()
    .map(|target| Request::get(target))
    .collect();
    for times in 1..=6 {
        // The first letter alone is enough to hide what a key begins with, and leaves the rest to read.
        let escaped = format!("%{}6d{}", "25".repeat(times), &key[1..]);
        for target in ["/", "/v1/", "/v1/models/", "/v1/key?x=", "/v1/chat/completions/"] {
            requests.push(Request::get(&format!("{target}{escaped}")));
        }
    }
    requests.push(Request::new(key, "/v1/key"));
    requests.push(Request::new(key, "/v1/nothing"));
    requests.push(Request::new("GET", "/v1/key HTTP/9.9\r\nX: y").header("X-Key", key));
    for header in [
        "X-Request-Id",
        "X-Api-Key",
        "Api-Key",
        "Cookie",
        "User-Agent",
        "Referer",
        "Origin",
        "Host",
        "Accept",
        "Content-Type",
        "Content-Length",
        "Content-Encoding",
        "Transfer-Encoding",
        "Expect",
        "X-Forwarded-For",
        "Forwarded",
        "X-MCP-Timestamp",
        "X-MCP-Signature",
        "X-MCP-Nonce",
        "Idempotency-Key",
        "If-Match",
        "Authorization",
        "Proxy-Authorization",
        "Upgrade",
        "Range",
        "Traceparent",
        key,
    ] {
        requests.push(post("/v1/chat/completions", chat("400").to_string()).header(header, key));
        requests.push(Request::get("/v1/nothing").header(header, format!("x {key}; {key}")));
    }
    requests.push(Request::get("/v1/key").header("X-Request-Id", format!("mine-{key}.x")));
    let bodies = [
        key.to_owned(),
        format!("\"{key}\""),
        format!("{{{key}"),
        format!("{{\"{key}\": 1}}"),
        format!("{{\"model\": \"{key}\"}}"),
        format!("{{\"MODEL\": \"{key}\", \"model\": \"{key}\"}}"),
        format!("{{\"model\": [\"{key}\"], \"messages\": \"{key}\"}}"),
        json!({"model": key, "messages": [{"role": "user", "content": key}]}).to_string(),
        json!({"model": format!("x/{key}"), "messages": [{"role": "user", "content": key}]}).to_string(),
        json!({"model": "400", "messages": key, "stream": key}).to_string(),
        json!({"model": "400", "messages": [key], "stream": key}).to_string(),
        json!({"model": "400", "messages": [key], "stream": true, "stream_options": key}).to_string(),
        "x".repeat(20_000) + key,
    ];
    for body in bodies {
        requests.push(post("/v1/chat/completions", body.clone()));
        requests.push(post("/v1/completions", body));
    }
    requests.extend(misplaced_in_contexts(key));
    for model in MODELS.iter().chain(&CLAUDE_MODELS).filter(|model| **model != "ok") {
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": key}], "user": key});
        requests.push(post("/v1/chat/completions", body.to_string()));
        body["stream"] = true.into();
        requests.push(post("/v1/chat/completions", body.to_string()));
    }
    requests
}

/// Requests to store a key in a conversation.
fn misplaced_in_contexts(key: &str) -> Vec<Request> {
    let mut requests = Vec::new();
    let message = json!({"role": "user", "content": key});
    let hidden = json!({"messages": [message]}).to_string().replace("sk_", "sk\\u005f");
    for body in [
        json!({"name": key}).to_string(),
        json!({"metadata": {key: key}}).to_string(),
        json!({"messages": [{"role": key}]}).to_string(),
        json!({"messages": key}).to_string(),
        json!({"messages": [message], "name": format!("the key {key}")}).to_string(),
        json!({"messages": [{"role": "user", "content": "Hi", key: [key]}]}).to_string(),
        json!({"model": "ok", "context": key, "messages": [message]}).to_string(),
        json!({"model": "ok", "context": "ctx_1", "context_append": key, "messages": [message]}).to_string(),
        hidden,
    ] {
        requests.push(post("/v1/contexts", body.clone()).header("If-Match", key));
        requests.push(post("/v1/contexts/ctx_1/messages", body.clone()).header("If-Match", key));
        requests.push(post("/v1/chat/completions", body));
    }
    requests
}

/// Requests to the admin API with a key where none belongs.
fn misplaced_at_the_admin(key: &str, id: &str) -> Vec<Request> {
    let mut requests: Vec<_> = [
        format!("/admin/v1/keys/{key}"),
        format!("/admin/v1/{key}"),
        format!("/{key}"),
        format!("/admin/v1/keys?search={key}"),
        format!("/admin/v1/keys?after={key}"),
        format!("/admin/v1/keys?status={key}"),
        format!("/admin/v1/keys?limit={key}"),
        format!("/admin/v1/keys?{key}=1"),
        format!("/admin/v1/audit?after={key}"),
        format!("/admin/v1/usage?key={key}"),
        format!("/admin/v1/usage?from={key}"),
        format!("/admin/v1/usage?step={key}"),
        format!("/admin/v1/usage?group_by={key}"),
    ]
    .iter()
    .map(|target| Request::get(target))
    .collect();
    let fields = [
        json!({"name": key}),
        json!({"name": format!("the key {key} of Ann")}),
        json!({"metadata": {"note": key}}),
        json!({"metadata": {key: "note"}}),
        json!({"metadata": {"note": format!("it is {key}.")}}),
        json!({"metadata": key}),
        json!({"scopes": [key]}),
        json!({"scopes": key}),
        json!({"plan": key}),
        json!({"allowed_ips": [key]}),
        json!({"allowed_models": [key]}),
        json!({"allowed_models": [format!("{key}*")]}),
        json!({"expires_at": key}),
        json!({"expires_in": key}),
        json!({"requests_per_minute": key}),
        json!({"require_signature": key}),
        json!({"enabled": key}),
        json!({key: 1}),
        json!(key),
        json!([key]),
    ];
    for field in fields {
        requests.push(Request::new("PATCH", &format!("/admin/v1/keys/{id}")).json(&field));
        let mut whole = json!({"name": "x", "scopes": ["*"]});
        match field.as_object() {
            Some(fields) => fields.iter().for_each(|(name, value)| whole[name] = value.clone()),
            None => whole = field.clone(),
        }
        requests.push(Request::post("/admin/v1/keys", &whole));
        requests.push(Request::post(&format!("/admin/v1/keys/{id}/rotate"), &json!({"expire_old_in": key})));
        requests.push(Request::post(&format!("/admin/v1/keys/{id}/revoke"), &field));
    }
    requests.push(post("/admin/v1/keys", format!("{{{key}")));
    requests.push(post("/admin/v1/keys", key));
    requests.push(Request::new(key, "/admin/v1/keys"));
    for header in ["Idempotency-Key", "X-Request-Id", "Origin", "Host", "User-Agent", "Content-Type", key] {
        requests.push(post("/admin/v1/keys", "{").header(header, key));
        requests.push(post("/admin/v1/keys", "{").header(header, format!("{key} {}", "x".repeat(300))));
    }
    requests.push(
        Request::new("PATCH", &format!("/admin/v1/keys/{id}"))
            .json(&json!({"name": "noted"}))
            .header("Idempotency-Key", key),
    );
    requests
}

fn unix_time() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

fn sign(key: &str, timestamp: i64, body: &str) -> Request {
    let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes());
    let tag = ring::hmac::sign(&secret, format!("{timestamp}.{body}").as_bytes());
    let request = post("/v1/chat/completions", body).header("X-MCP-Timestamp", timestamp.to_string());
    request.header("X-MCP-Signature", hex(tag.as_ref()))
}

#[expect(clippy::too_many_lines, reason = "a list of mistakes, one after the other")]
/// Provokes everything that can be; returns what must be found nowhere, with the file that may have it.
fn provoke(watched: &mut Watched) -> Vec<(&'static str, String)> {
    let default = watched.binary.default_key();
    let token = watched.binary.token();
    let (live, id) = watched.key(json!({}));
    // The same order again shows the same key again.
    let again = watched.key(json!({}));
    assert_eq!(again, (live.clone(), id.clone()));
    let mut make = |settings: Value| {
        let body = json!({"name": "watched", "scopes": settings.get("scopes").unwrap_or(&json!(["*"]))});
        let mut body = body;
        settings.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        watched.issue(Request::post("/admin/v1/keys", &body))
    };
    let (revoked, revoked_id) = make(json!({}));
    let (deleted, deleted_id) = make(json!({}));
    let (disabled, disabled_id) = make(json!({}));
    let (old, old_id) = make(json!({}));
    let (narrow, _) = make(json!({"scopes": ["files:read"]}));
    let (elsewhere, _) = make(json!({"allowed_ips": ["192.0.2.1"]}));
    let (choosy, _) = make(json!({"allowed_models": ["other"]}));
    let (signing, _) = make(json!({"require_signature": true}));
    let (slow, _) = make(json!({"requests_per_minute": 1}));
    let (single, _) = make(json!({"max_concurrent": 1}));
    let (expiring, _) = make(json!({"expires_in": "1s"}));
    watched.admin(Request::post(&format!("/admin/v1/keys/{revoked_id}/revoke"), &json!({})));
    watched.admin(Request::new("DELETE", &format!("/admin/v1/keys/{deleted_id}")));
    let disabling = Request::new("PATCH", &format!("/admin/v1/keys/{disabled_id}"));
    watched.admin(disabling.json(&json!({"enabled": false})));
    let rotate = format!("/admin/v1/keys/{old_id}/rotate");
    let (new, _) = watched.issue(Request::post(&rotate, &json!({"expire_old_in": "1h"})));
    watched.admin(Request::post(&rotate, &json!({})));
    watched.admin(Request::new("PATCH", &format!("/admin/v1/keys/{revoked_id}")).json(&json!({"name": "x"})));

    for key in [&live, &default, &revoked, &deleted] {
        for request in misplaced(key) {
            watched.public(&live, request);
        }
        for request in misplaced_at_the_admin(key, &id) {
            watched.admin(request);
        }
    }
    for request in misplaced(&live) {
        watched.send(watched.binary.public, &request);
    }
    let all = [
        &default, &live, &revoked, &deleted, &disabled, &old, &new, &narrow, &elsewhere, &choosy, &signing,
        &slow, &single, &expiring,
    ];
    for key in all {
        for scheme in ["Bearer ", "bearer ", "Bearer  ", "Basic ", "Token ", "", "Bearer x"] {
            let request = post("/v1/chat/completions", chat("ok").to_string());
            let request = request.header("Authorization", format!("{scheme}{key}"));
            watched.send(watched.binary.public, &request);
            watched.send(watched.binary.admin, &request);
        }
        watched.public(key, Request::get("/v1/key"));
        watched.public(key, Request::get("/v1/key").bearer(key));
        watched.public(&format!("{key}x"), Request::get("/v1/key"));
        watched.public(&key[..key.len() - 1], Request::get("/v1/key"));
    }
    watched.public(&token, Request::get("/v1/key"));
    watched.public(&live, Request::get(&format!("/v1/key?token={token}")));
    watched.send(watched.binary.admin, &Request::get("/admin/v1/keys").bearer(&live));
    watched.send(watched.binary.admin, &Request::get("/admin/v1/keys").bearer(&format!("{token}x")));
    watched.send(watched.binary.admin, &Request::get("/admin/v1/keys"));
    for (model, body) in [("gone", chat("gone")), ("silent", chat("silent")), ("none", chat("none"))] {
        watched.public(&live, post("/v1/chat/completions", body.to_string()).header("X-Model", model));
    }
    let (now, body) = (unix_time(), chat("ok").to_string());
    for timestamp in [now, now, now - 1_000] {
        watched.public(&signing, sign(&signing, timestamp, &body));
        watched.public(&signing, sign(&live, timestamp, &body));
    }
    let mut running = TcpStream::connect(watched.binary.public).unwrap();
    running
        .write_all(&post("/v1/chat/completions", chat("silent").to_string()).bearer(&single).bytes())
        .unwrap();
    std::thread::sleep(Duration::from_millis(100));
    watched.public(&single, Request::get("/v1/key"));
    drop(running);
    (0..61).for_each(|_| drop(watched.public("mcp_sk_x", Request::get("/v1/key"))));
    std::thread::sleep(Duration::from_millis(500));
    watched.public(&expiring, Request::get("/v1/key"));
    for target in ["/admin/v1/server", "/admin/v1/keys", "/admin/v1/audit", "/admin/v1/usage", "/metrics"] {
        watched.admin(Request::get(target));
    }
    watched.admin(Request::get("/admin/v1/usage?step=minute&group_by=key,endpoint,status,model"));
    let names = [
        "default",
        "live",
        "revoked",
        "deleted",
        "disabled",
        "old",
        "new",
        "narrow",
        "elsewhere",
        "choosy",
        "signing",
        "slow",
        "single",
        "expiring",
    ];
    let mut secrets: Vec<_> = names.into_iter().zip(all.map(Clone::clone)).collect();
    secrets.extend([
        ("admin token", token),
        ("OpenAI", OPENAI_KEY.into()),
        ("Anthropic", ANTHROPIC_KEY.into()),
    ]);
    secrets
}

/// The secret's own part, without its end: one that is cut short is found too.
fn needle(secret: &str) -> &str {
    &secret.strip_prefix("mcp_sk_").unwrap_or(secret)[..20]
}

fn search_files(folder: &Path, secrets: &[(&'static str, String)]) -> Vec<String> {
    let allowed = |file: &str, secret: &str| {
        matches!((file, secret), ("default-key", "default") | ("admin-token", "admin token"))
            || (file == "mcpd.toml" && matches!(secret, "OpenAI" | "Anthropic"))
    };
    let mut found = Vec::new();
    let mut searched = 0;
    for folder in [folder.to_owned(), folder.join("data")] {
        for path in
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
        {
            let name = path.file_name().unwrap().to_str().unwrap();
            let contents = fs::read(&path).unwrap();
            searched += 1;
            for (secret, text) in secrets.iter().filter(|(secret, _)| !allowed(name, secret)) {
                if let Some(at) = memmem::find(&contents, needle(text).as_bytes()) {
                    let around = &contents[at.saturating_sub(200)..contents.len().min(at + 60)];
                    let around = String::from_utf8_lossy(around);
                    found.push(format!("{secret} in {name}: …{}", around.lines().last().unwrap_or_default()));
                }
            }
        }
    }
    assert!(searched >= 5, "only {searched} files");
    found
}

fn nothing_secret_is_told(format: &str) {
    let upstream = quoting_upstream();
    let binary = Binary::start(&configuration(upstream.address, format));
    let mut watched = Watched { binary, answers: Vec::new() };
    let secrets = provoke(&mut watched);

    let codes = watched.codes();
    let guesses = if format == "text" { "invalid_api_key" } else { "too_many_failed_attempts" };
    for code in [
        "missing_api_key",
        "expired_api_key",
        "missing_signature",
        "invalid_signature",
        "stale_timestamp",
        "replayed_signature",
        "ip_not_allowed",
        "insufficient_scope",
        "model_not_allowed",
        "rate_limit_exceeded",
        "concurrency_limit_exceeded",
        "invalid_json",
        "invalid_request",
        "not_found",
        "method_not_allowed",
        "payload_too_large",
        "unsupported_media_type",
        "upstream_error",
        "upstream_unavailable",
        "upstream_timeout",
        "model_not_found",
        "missing_admin_token",
        "invalid_admin_token",
        "forbidden_host",
        "forbidden_origin",
        "key_revoked",
        "key_already_rotated",
        guesses,
    ] {
        assert!(codes.contains(code), "{code} was not provoked, but {codes:?}");
    }

    let mut found = Vec::new();
    for (request, answer) in &watched.answers {
        for (name, secret) in &secrets {
            if memmem::find(answer, needle(secret).as_bytes()).is_some() {
                let answer = String::from_utf8_lossy(answer);
                found.push(format!("{name} in the answer to {request}\n{answer}"));
            }
        }
    }
    // While it runs, with its write-ahead log; killed; and after a clean end.
    found.extend(search_files(watched.binary.folder.path(), &secrets));
    let folder = watched.binary.end("KILL");
    found.extend(search_files(folder.path(), &secrets));
    let folder = Binary::start_in(folder).end("TERM");
    found.extend(search_files(folder.path(), &secrets));
    let count = found.len();
    found.dedup();
    assert!(count == 0, "{count} leaks, the first of them:\n{}", found[..count.min(12)].join("\n\n"));
}

#[test]
fn at_trace_level_no_secret_is_told_whatever_goes_wrong() {
    nothing_secret_is_told("text");
}

#[test]
fn nor_in_a_log_for_machines() {
    nothing_secret_is_told("json");
}

#[test]
fn an_error_at_the_start_quotes_no_key() {
    let secret = OPENAI_KEY;
    let upstream = |line: &str| {
        format!(
            "[[upstreams]]\nname = \"x\"\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\n{line}\n"
        )
    };
    let cases = [
        upstream(&format!("api_key = \"{secret}")),
        upstream(&format!("api_key = {secret}")),
        upstream(&format!("api_key = [\"{secret}\"]")),
        upstream(&format!("api_key = \"{secret} with a blank\"")),
        upstream(&format!("api_key = \"{secret}\\n\\u00e9\"")),
        upstream(&format!("api_key = \"{secret}\"\napi_key = \"{secret}\"")),
        upstream(&format!("api_key = \"{secret}\"\napi_key_env = \"X\"")),
        upstream(&format!("api_key_env = \"{secret}\"")),
        upstream(&format!("apikey = \"{secret}\"")),
        format!(
            "[[upstreams]]\nname = \"x\"\nkind = \"openai\"\nbase_url = \"http://u:{secret}@127.0.0.1/v1\"\n"
        ),
        format!(
            "[[upstreams]]\nname = \"x\"\nkind = \"openai\"\nbase_url = \"http://127.0.0.1/v1?key={secret}\"\n"
        ),
        format!("[[upstreams]]\nname = \"x\"\nkind = \"{secret}\"\nbase_url = \"http://127.0.0.1/v1\"\n"),
    ];
    for toml in cases {
        let folder = Folder::new();
        fs::write(folder.path().join("mcpd.toml"), &toml).unwrap();
        let output = command(&folder, &["check"]).output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{toml}: {said}");
        assert!(!said.contains(needle(secret)), "{toml}: {said}");
    }
    let folder = Folder::new();
    let mut command = command(&folder, &["check"]);
    let output = command.env("MCPD__UPSTREAMS__0__API_KEY", secret).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && !said.contains(needle(secret)), "{said}");
}

#[test]
fn what_is_stored_or_shown_of_a_key_opens_nothing() {
    let server = TestServer::setup().toml("limits.failed_auth_per_minute = 1000").start();
    let (key, made) = server.key(json!({}));
    let database = Connection::open(server.path("mcpd.db")).unwrap();
    let digest: Vec<u8> = database
        .query_row("SELECT digest FROM keys WHERE id = ?1", [made["id"].as_str()], |row| row.get(0))
        .unwrap();
    let secret: Vec<u8> = database.query_row("SELECT value FROM secrets", [], |row| row.get(0)).unwrap();
    let (digest, secret) = (hex(&digest), hex(&secret));
    let hint = made["hint"].as_str().unwrap();
    let guesses = [
        digest.clone(),
        format!("mcp_sk_{digest}"),
        format!("mcp_sk_{}", &digest[..32]),
        secret.clone(),
        format!("mcp_sk_{}", &secret[..32]),
        hint.to_owned(),
        hint.replace('…', "..."),
        hint.replace('…', ""),
        made["id"].as_str().unwrap().to_owned(),
        key[7..].to_owned(),
        key[..38].to_owned(),
        key.to_lowercase(),
        format!("{key} "),
        format!("{key},{key}"),
        format!("\"{key}\""),
        server.token.clone(),
    ];
    let expected = r#"{"error":{"code":"invalid_api_key","message":"The API key provided is invalid or has been revoked","type":"authentication_error"}}"#;
    for guess in guesses {
        let answer =
            Request::get("/v1/key").header("Authorization", format!("Bearer {guess}")).send(server.public);
        // A blank at the end is no part of a header's value.
        if guess.trim() == key {
            answer.expect(200);
            continue;
        }
        assert_eq!((answer.status, answer.text().as_str()), (401, expected), "{guess}");
        let answer = Request::get("/admin/v1/keys").bearer(&guess).send(server.admin);
        assert_eq!(answer.status, if guess == server.token { 200 } else { 401 }, "{guess}");
    }
    Request::get("/admin/v1/keys").bearer(&key).send(server.admin).expect_error(401, "invalid_admin_token");
}
