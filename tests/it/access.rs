//! Who may do what on the public listener, and what they are told if they may not.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;

use crate::harness::{Answer, Request, Stream, TestServer, escape, eventually};

/// What a route asks of its caller.
#[derive(Clone, Copy)]
enum Needs {
    Nothing,
    Key,
    Scope(&'static str),
}

const SCOPES: [&str; 7] = [
    "chats:create",
    "completions:create",
    "models:read",
    "contexts:read",
    "contexts:write",
    "files:read",
    "files:write",
];

/// Every route of the public listener: a path that it answers well, and what it needs. `CONTEXT` and `FILE` stand
/// for what is stored; see [`Storing`].
const ROUTES: &[(&str, &str, &str, Needs)] = &[
    ("POST", "/v1/chat/completions", "/v1/chat/completions", Needs::Scope("chats:create")),
    ("POST", "/v1/completions", "/v1/completions", Needs::Scope("completions:create")),
    ("GET", "/v1/models", "/v1/models", Needs::Scope("models:read")),
    ("GET", "/v1/models/{id}", "/v1/models/echo", Needs::Scope("models:read")),
    ("POST", "/v1/contexts", "/v1/contexts", Needs::Scope("contexts:write")),
    ("GET", "/v1/contexts", "/v1/contexts", Needs::Scope("contexts:read")),
    ("GET", "/v1/contexts/{id}", "/v1/contexts/CONTEXT", Needs::Scope("contexts:read")),
    ("PATCH", "/v1/contexts/{id}", "/v1/contexts/CONTEXT", Needs::Scope("contexts:write")),
    ("DELETE", "/v1/contexts/{id}", "/v1/contexts/CONTEXT", Needs::Scope("contexts:write")),
    ("POST", "/v1/contexts/{id}/messages", "/v1/contexts/CONTEXT/messages", Needs::Scope("contexts:write")),
    ("POST", "/v1/files", "/v1/files", Needs::Scope("files:write")),
    ("GET", "/v1/files", "/v1/files", Needs::Scope("files:read")),
    ("GET", "/v1/files/{id}", "/v1/files/FILE", Needs::Scope("files:read")),
    ("GET", "/v1/files/{id}/content", "/v1/files/FILE/content", Needs::Scope("files:read")),
    ("DELETE", "/v1/files/{id}", "/v1/files/FILE", Needs::Scope("files:write")),
    ("GET", "/v1/key", "/v1/key", Needs::Key),
    ("GET", "/healthz", "/healthz", Needs::Nothing),
    ("GET", "/readyz", "/readyz", Needs::Nothing),
    ("HEAD", "/healthz", "/healthz", Needs::Nothing),
    ("HEAD", "/readyz", "/readyz", Needs::Nothing),
    ("GET", "/openapi.json", "/openapi.json", Needs::Nothing),
];

const INVALID: &str = r#"{"error":{"code":"invalid_api_key","message":"The API key provided is invalid or has been revoked","type":"authentication_error"}}"#;

/// Well-formed, but nobody's.
const UNKNOWN: &str = "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38";

/// A request that the path answers well, where the method is right.
fn request(method: &str, path: &str) -> Request {
    let request = Request::new(method, path);
    let messages = json!([{"role": "user", "content": "Hi"}]);
    match (method, path) {
        (_, "/v1/chat/completions") => request.json(&json!({"model": "m", "messages": messages})),
        (_, "/v1/completions") => request.json(&json!({"model": "m", "prompt": "Hi"})),
        ("POST", "/v1/contexts") | ("PATCH", _) => request.json(&json!({"name": "a context"})),
        ("POST", "/v1/files") => request.header("Content-Type", "multipart/form-data; boundary=edge").body(
            "--edge\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n\
                 --edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nHi\r\n\
                 --edge--\r\n",
        ),
        ("POST", path) if path.ends_with("/messages") => request.json(&json!({"messages": messages})),
        _ => request,
    }
}

fn protected() -> impl Iterator<Item = (&'static str, &'static str)> {
    let keyed = ROUTES.iter().filter(|(.., needs)| !matches!(needs, Needs::Nothing));
    keyed.map(|(method, _, path, _)| (*method, *path))
}

/// Stores what paths name, with a key that may.
struct Storing<'a> {
    server: &'a TestServer,
    key: String,
}

impl<'a> Storing<'a> {
    fn on(server: &'a TestServer) -> Self {
        Self { server, key: server.key(json!({})).0 }
    }

    /// The path with the ids of a context and a file that are there, new ones each time.
    fn path(&self, path: &str) -> String {
        let stored = [("CONTEXT", "/v1/contexts"), ("FILE", "/v1/files")];
        let Some((word, list)) = stored.into_iter().find(|(word, _)| path.contains(word)) else {
            return path.to_owned();
        };
        let made = self.server.call(&self.key, request("POST", list)).expect(200).json();
        path.replace(word, made["id"].as_str().unwrap())
    }
}

fn expect_quota(answer: &Answer, limit: u64, remaining: u64) {
    let header = |name: &str| answer.header(name).unwrap_or_else(|| panic!("no {name}: {}", answer.text()));
    let reset: u64 = header("x-ratelimit-reset").parse().unwrap();
    assert_eq!(header("ratelimit-policy"), format!("\"rpm\";q={limit};w=60"));
    assert_eq!(header("ratelimit"), format!("\"rpm\";r={remaining};t={reset}"));
    assert_eq!(header("x-ratelimit-limit"), limit.to_string());
    assert_eq!(header("x-ratelimit-remaining"), remaining.to_string());
    assert!((1..=60).contains(&reset), "{reset}");
}

fn expect_no_quota(answer: &Answer) {
    let told = answer.headers.iter().find(|(name, _)| name.contains("ratelimit"));
    assert_eq!(told, None, "{}", answer.text());
}

#[test]
fn the_matrix_has_every_route() {
    let known: BTreeSet<_> = ROUTES.iter().map(|(method, pattern, ..)| (*method, *pattern)).collect();
    let served = mcpd::api::ROUTES.iter().map(|route| (route.method.as_str(), route.pattern));
    assert_eq!(served.collect::<BTreeSet<_>>(), known);
}

#[test]
fn each_route_opens_for_its_scope_and_for_no_other() {
    let server = TestServer::start();
    let scopes = SCOPES.iter().copied().chain(["*"]);
    let keys: Vec<_> = scopes.map(|scope| (scope, server.key(json!({"scopes": [scope]})).0)).collect();
    let storing = Storing::on(&server);
    for (method, _, path, needs) in ROUTES {
        for (held, key) in &keys {
            let path = storing.path(path);
            let answer = server.call(key, request(method, &path));
            match needs {
                Needs::Scope(scope) if scope != held && *held != "*" => {
                    let answer = answer.expect_error(403, "insufficient_scope");
                    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
                    assert!(message.contains(scope), "{message}");
                    let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
                    assert_eq!(answer.header("www-authenticate"), Some(challenge.as_str()));
                    assert_eq!(answer.json()["error"]["type"], "permission_error");
                }
                _ => assert_eq!(answer.status, 200, "{method} {path} {held}: {}", answer.text()),
            }
        }
        let answer = request(method, &storing.path(path)).send(server.public);
        match needs {
            Needs::Nothing => drop(answer.expect(200)),
            _ => drop(answer.expect_error(401, "missing_api_key")),
        }
    }
}

#[test]
fn a_change_of_scopes_is_in_force_at_once() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({"scopes": ["models:read"]}));
    let path = format!("/admin/v1/keys/{}", made["id"].as_str().unwrap());
    for (scopes, status) in [(json!(["chats:create"]), 403), (json!(["files:read", "models:read"]), 200)] {
        server.admin(Request::new("PATCH", &path).json(&json!({"scopes": scopes}))).expect(200);
        server.call(&key, Request::get("/v1/models")).expect(status);
    }
}

#[test]
fn no_other_spelling_of_a_path_opens_it() {
    let server = TestServer::start();
    let storing = Storing::on(&server);
    let key = &storing.key;
    for (method, path) in protected() {
        let path = storing.path(path);
        let last = path.rfind('/').unwrap();
        let spellings = [
            format!("{path}/"),
            format!("{path}//"),
            format!("{path}%2f"),
            format!("{path}%00"),
            format!("{path}."),
            format!("{path};x"),
            format!("/{path}"),
            path.replacen("/v1/", "/v1//", 1),
            path.replacen("/v1/", "/v1/./", 1),
            path.replacen("/v1/", "/v1/x/../", 1),
            path.replacen("/v1/", "/v1%2f", 1),
            path.replacen("/v1/", "/%76%31/", 1),
            path.replacen("/v1/", "/V1/", 1),
            format!("{}%2F{}", &path[..last], &path[last + 1..]),
            format!("{}/{}", &path[..last], path[last + 1..].to_uppercase()),
        ];
        for spelling in spellings {
            let spelled = request(method, &path).retarget(&spelling);
            spelled.send(server.public).expect_error(401, "missing_api_key");
            let answer = server.call(key, spelled);
            // With its slash escaped, the rest is the id of a context, to which nobody posts.
            let expected = if spelling.ends_with("%2Fmessages") { 405 } else { 404 };
            assert_eq!(answer.status, expected, "{spelling}: {}", answer.text());
        }
        for outside in
            [format!("/.{path}"), format!("/x/..{path}"), format!("/api{path}"), path[3..].to_owned()]
        {
            let answer = request(method, &path).retarget(&outside).send(server.public);
            assert_eq!(answer.status, 404, "{outside}: {}", answer.text());
        }
    }
}

#[test]
fn no_other_method_opens_a_path() {
    let server = TestServer::start();
    let storing = Storing::on(&server);
    for (_, pattern, path, needs) in ROUTES {
        let path = &storing.path(path);
        let allowed: Vec<&str> =
            ROUTES.iter().filter(|(_, other, ..)| other == pattern).map(|(method, ..)| *method).collect();
        let all = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "get"];
        for method in all.into_iter().filter(|method| !allowed.contains(method)) {
            let anonymous = Request::new(method, path).send(server.public);
            let expected = if matches!(needs, Needs::Nothing) { 405 } else { 401 };
            assert_eq!(anonymous.status, expected, "{method} {path}");
            let answer = server.call(&storing.key, Request::new(method, path));
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some(allowed.join(", ").as_str()), "{method} {path}");
            if method == "HEAD" {
                assert_eq!(answer.text(), "", "an answer to HEAD has no body");
            } else {
                answer.expect_error(405, "method_not_allowed");
            }
        }
    }
}

#[test]
fn what_does_not_exist_is_told_to_live_keys_only() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"scopes": ["files:read"]}));
    for path in ["/v1", "/v1/", "/v1/nothing", "/v1/keys", "/V1/nothing", "/v1/admin/v1/keys"] {
        Request::get(path).send(server.public).expect_error(401, "missing_api_key");
        server.call(UNKNOWN, Request::get(path)).expect_error(401, "invalid_api_key");
        server.call(&key, Request::get(path)).expect_error(404, "not_found");
    }
    for path in ["/", "/nothing", "/v", "/v10/models", "/v1beta/models", "/admin/v1/keys", "/metrics"] {
        Request::get(path).send(server.public).expect_error(404, "not_found");
        server.call(&key, Request::get(path)).expect_error(404, "not_found");
    }
}

#[test]
fn the_scheme_is_bearer_in_any_letter_case_and_nothing_else() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let cases = [
        ("Bearer KEY", 200, "-"),
        ("bearer KEY", 200, "-"),
        ("BEARER KEY", 200, "-"),
        ("bEaReR KEY", 200, "-"),
        ("Bearer KEY ", 200, "-"), // blanks around a header's value are not part of it
        ("Bearer  KEY", 401, "invalid_api_key"),
        ("Bearer \"KEY\"", 401, "invalid_api_key"),
        ("Bearer KEY x", 401, "invalid_api_key"),
        ("Bearer KEY,KEY", 401, "invalid_api_key"),
        ("Bearer Bearer KEY", 401, "invalid_api_key"),
        ("Bearer", 401, "missing_api_key"),
        ("Bearer ", 401, "missing_api_key"),
        ("", 401, "missing_api_key"),
        ("KEY", 401, "missing_api_key"),
        ("BearerKEY", 401, "missing_api_key"),
        ("Basic dXNlcjpLRVk=", 401, "missing_api_key"),
        ("Token KEY", 401, "missing_api_key"),
    ];
    for (value, status, code) in cases {
        let request = Request::get("/v1/key").header("Authorization", value.replace("KEY", &key));
        let answer = request.send(server.public);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{value}");
    }
    for name in ["X-Api-Key", "Api-Key", "Proxy-Authorization", "Cookie"] {
        let request = Request::get("/v1/key").header(name, format!("Bearer {key}"));
        request.send(server.public).expect_error(401, "missing_api_key");
    }
}

#[test]
fn being_refused_costs_no_connection() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"scopes": ["models:read"]}));
    let chat = json!({"model": "echo", "messages": [{"role": "user", "content": "x".repeat(1_000)}]});
    let mut connection = TcpStream::connect(server.public).unwrap();
    for (bearer, status) in [(UNKNOWN, 401), (key.as_str(), 403), (UNKNOWN, 401)] {
        let request = Request::post("/v1/chat/completions", &chat).bearer(bearer);
        connection.write_all(&request.header("Connection", "keep-alive").bytes()).unwrap();
        let answer = Stream::of(connection.try_clone().unwrap()).finish().expect(status);
        assert_eq!(answer.header("connection"), None);
    }
    let request = Request::get("/v1/key").bearer(&key).header("Connection", "keep-alive");
    connection.write_all(&request.bytes()).unwrap();
    Stream::of(connection.try_clone().unwrap()).finish().expect(200);
}

#[test]
fn two_authorization_headers_are_refused() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    for second in
        [format!("Bearer {key}"), format!("Bearer {UNKNOWN}"), "Basic eA==".to_owned(), String::new()]
    {
        for path in ["/v1/key", "/v1/nothing"] {
            let first = Request::get(path).bearer(&key);
            first.header("authorization", &second).send(server.public).expect_error(400, "invalid_request");
            let last = Request::get(path).header("authorization", &second);
            last.bearer(&key).send(server.public).expect_error(400, "invalid_request");
        }
    }
}

#[test]
fn keys_in_a_query_string_are_refused_and_not_repeated() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let escaped = escape(&key);
    let cases = [
        (format!("api_key={key}"), 400),
        (format!("x={key}"), 400),
        (format!("x={}", key.replace('_', "%5f")), 400),
        (format!("x={escaped}"), 400),
        (key.clone(), 400),
        ("key=1".to_owned(), 400),
        ("API_KEY=1".to_owned(), 400),
        ("a=1&access%5Ftoken=2".to_owned(), 400),
        ("token".to_owned(), 400),
        ("limit=5".to_owned(), 200),
        (String::new(), 200),
    ];
    for (query, status) in cases {
        let request = Request::get(&format!("/v1/key?{query}"));
        let answer = server.call(&key, request.clone());
        assert_eq!(answer.status, status, "{query}");
        assert!(!answer.text().contains(&key[7..]) && !answer.text().contains(&escaped), "{}", answer.text());
        if status == 400 {
            request.send(server.public).expect_error(400, "invalid_request");
        }
    }
    for path in ["/healthz", "/v1/nothing", "/nothing"] {
        Request::get(&format!("{path}?api_key={key}"))
            .send(server.public)
            .expect_error(400, "invalid_request");
    }
}

#[test]
fn keys_in_a_path_or_a_body_are_not_repeated() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"allowed_models": ["m"]}));
    let chat = |model: &str| {
        let messages = [json!({"role": "user", "content": "Hi"})];
        Request::post("/v1/chat/completions", &json!({"model": model, "messages": messages}))
    };
    for request in [
        Request::get(&format!("/v1/{key}")),
        Request::get(&format!("/v1/models/{key}")),
        Request::get(&format!("/{key}")),
        chat(&key),
        Request::get("/v1/key").header("X-Request-Id", &key),
    ] {
        let answer = server.call(&key, request);
        let headers = format!("{:?}", answer.headers);
        assert!(!answer.text().contains(&key[7..]) && !headers.contains(&key[7..]), "{}", answer.text());
    }
}

#[test]
fn malformed_unknown_disabled_revoked_and_deleted_keys_get_one_and_the_same_answer() {
    let server = TestServer::start();
    let made = || server.key(json!({}));
    let path = |key: &serde_json::Value| format!("/admin/v1/keys/{}", key["id"].as_str().unwrap());
    let ((live, record), (disabled, to_disable), (revoked, to_revoke), (deleted, to_delete)) =
        (made(), made(), made(), made());
    server.admin(Request::new("PATCH", &path(&to_disable)).json(&json!({"enabled": false}))).expect(200);
    server.admin(Request::new("POST", &format!("{}/revoke", path(&to_revoke)))).expect(200);
    server.admin(Request::new("DELETE", &path(&to_delete))).expect(200);
    let body = &live[7..];
    let wrong = [
        disabled,
        revoked,
        deleted,
        UNKNOWN.to_owned(),
        UNKNOWN.replace("Fg38", "Fg39"),
        live[..live.len() - 1].to_owned(),
        format!("{live}A"),
        format!("mcp-sk-{body}"),
        format!("MCP_SK_{body}"),
        format!("sk-{body}"),
        body.to_owned(),
        record["hint"].as_str().unwrap().to_owned(),
        record["id"].as_str().unwrap().to_owned(),
        live.to_ascii_lowercase(),
        format!("mcp_sk_{}", "é".repeat(16)),
        format!("mcp_sk_{}", "٣".repeat(16)),
        "0123456789abcdef".repeat(4),
        server.token.clone(),
        "x".repeat(60_000),
        "mcp_sk_".to_owned(),
        "null".to_owned(),
    ];
    let plain = |answer: &Answer| -> BTreeSet<(String, String)> {
        let varies = ["x-request-id", "date"];
        answer.headers.iter().filter(|(name, _)| !varies.contains(&name.as_str())).cloned().collect()
    };
    let first = server.call(UNKNOWN, Request::get("/v1/key"));
    assert_eq!(first.header("www-authenticate"), Some("Bearer realm=\"mcpd\", error=\"invalid_token\""));
    for key in wrong {
        for request in [Request::get("/v1/key"), Request::get("/v1/nothing")] {
            let answer = server.call(&key, request).expect(401);
            assert_eq!(answer.text(), INVALID, "{key}");
            assert_eq!(plain(&answer), plain(&first), "{key}");
        }
    }
    server.call(&live, Request::get("/v1/key")).expect(200);
}

#[test]
fn what_is_no_header_at_all_is_refused_too() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    for value in
        [format!("Bearer {key}\0"), format!("Bearer \0{key}"), format!("Bearer {}", "A".repeat(1 << 20))]
    {
        let answer = Request::get("/v1/key").header("Authorization", value).send(server.public);
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
}

#[test]
fn a_disabled_key_works_again_once_it_is_enabled() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({}));
    let path = format!("/admin/v1/keys/{}", made["id"].as_str().unwrap());
    for (enabled, status) in [(false, 401), (true, 200), (false, 401)] {
        server.admin(Request::new("PATCH", &path).json(&json!({"enabled": enabled}))).expect(200);
        server.call(&key, Request::get("/v1/key")).expect(status);
    }
}

#[test]
fn an_expired_key_is_told_so() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"expires_in": "1h"}));
    server.pass(3_599);
    server.call(&key, Request::get("/v1/key")).expect(200);
    server.pass(1);
    for path in ["/v1/key", "/v1/nothing"] {
        let answer = server.call(&key, Request::get(path)).expect_error(401, "expired_api_key");
        let challenge = "Bearer realm=\"mcpd\", error=\"invalid_token\"";
        assert_eq!(answer.header("www-authenticate"), Some(challenge));
        expect_no_quota(&answer);
    }
}

#[test]
fn no_key_at_all_is_no_error_of_the_token() {
    let server = TestServer::start();
    let answer = Request::get("/v1/key").send(server.public).expect_error(401, "missing_api_key");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"mcpd\""));
    expect_no_quota(&answer);
}

#[test]
fn guessing_keys_is_slow_and_holds_nobody_else_up() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"requests_per_minute": 10}));
    for _ in 0..60 {
        server.call(UNKNOWN, Request::get("/v1/key")).expect_error(401, "invalid_api_key");
    }
    server.pass(20);
    for bad in [UNKNOWN, "malformed"] {
        let answer = server.call(bad, Request::get("/v1/key")).expect_error(429, "too_many_failed_attempts");
        assert_eq!(answer.header("retry-after"), Some("40"));
        assert_eq!(answer.json()["error"]["type"], "rate_limit_error");
        assert_eq!(answer.header("www-authenticate"), None);
        expect_no_quota(&answer);
    }
    expect_quota(&server.call(&key, Request::get("/v1/key")).expect(200), 10, 9);
    Request::get("/v1/key").send(server.public).expect_error(401, "missing_api_key");
    // Hammering does not move the moment of recovery.
    server.pass(39);
    server.call(UNKNOWN, Request::get("/v1/key")).expect_error(429, "too_many_failed_attempts");
    server.pass(1);
    server.call(UNKNOWN, Request::get("/v1/key")).expect_error(401, "invalid_api_key");
}

#[test]
fn only_attempts_with_a_wrong_key_count_as_guesses() {
    let server = TestServer::setup().toml("limits.failed_auth_per_minute = 3").start();
    let (expired, _) = server.key(json!({"expires_in": "1s"}));
    let (narrow, made) = server.key(json!({"scopes": ["files:read"], "requests_per_minute": 2}));
    server.pass(1);
    for _ in 0..5 {
        Request::get("/v1/key").send(server.public).expect(401);
        server.call(&expired, Request::get("/v1/key")).expect_error(401, "expired_api_key");
        server.call(&narrow, Request::get("/v1/models")).expect(403);
        server.call(&narrow, Request::get("/v1/nothing")).expect(404);
    }
    let id = made["id"].as_str().unwrap();
    server.admin(Request::new("POST", &format!("/admin/v1/keys/{id}/revoke"))).expect(200);
    server.call(&narrow, Request::get("/v1/key")).expect_error(401, "invalid_api_key");
    server.call(UNKNOWN, Request::get("/v1/nothing")).expect_error(401, "invalid_api_key");
    server.call("malformed", Request::get("/v1/key")).expect_error(401, "invalid_api_key");
    for path in ["/v1/key", "/v1/nothing"] {
        server.call(&narrow, Request::get(path)).expect_error(429, "too_many_failed_attempts");
    }
}

#[test]
fn every_answer_to_a_live_key_tells_what_is_left_of_its_limit() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"scopes": ["models:read"], "requests_per_minute": 3}));
    let get = |path: &str| server.call(&key, Request::get(path));
    expect_quota(&get("/v1/models").expect(200), 3, 2);
    // Refusals and what does not exist take nothing.
    expect_quota(&server.call(&key, Request::chat("Hi")).expect(403), 3, 2);
    expect_quota(&get("/v1/nothing").expect(404), 3, 2);
    expect_quota(&server.call(&key, Request::new("PUT", "/v1/models")).expect(405), 3, 2);
    // What is admitted counts, whatever becomes of it.
    expect_quota(&get("/v1/models/unknown").expect(404), 3, 1);
    expect_quota(&get("/v1/key").expect(200), 3, 0);
    let refused = get("/v1/key").expect_error(429, "rate_limit_exceeded");
    expect_quota(&refused, 3, 0);
    assert_eq!(refused.header("retry-after"), refused.header("x-ratelimit-reset"));
    expect_quota(&get("/v1/nothing").expect(404), 3, 0);
    server.pass(refused.header("retry-after").unwrap().parse().unwrap());
    get("/v1/key").expect(200);
}

#[test]
fn a_bad_request_tells_what_is_left_too() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"requests_per_minute": 9}));
    let chat = |body: &str| Request::new("POST", "/v1/chat/completions").body(body);
    expect_quota(&server.call(&key, chat("{")).expect(400), 9, 8);
    expect_quota(&server.call(&key, chat("[]")).expect(422), 9, 7);
    expect_quota(&server.call(&key, chat("{}").header("Content-Type", "text/csv")).expect(415), 9, 6);
}

#[test]
fn a_key_with_an_end_is_told_when() {
    let server = TestServer::start();
    let end = "2099-01-31T12:00:00Z";
    let settings = json!({"expires_at": end, "scopes": ["models:read"], "requests_per_minute": 1});
    let (key, made) = server.key(settings);
    for (path, status) in [("/v1/models", 200), ("/v1/models", 429), ("/v1/nothing", 404)] {
        let answer = server.call(&key, Request::get(path)).expect(status);
        assert_eq!(answer.header("x-mcp-key-expires"), Some(end), "{status}");
    }
    let refused = server.call(&key, Request::chat("Hi")).expect(403);
    assert_eq!(refused.header("x-mcp-key-expires"), Some(end));
    let path = format!("/admin/v1/keys/{}", made["id"].as_str().unwrap());
    server.admin(Request::new("PATCH", &path).json(&json!({"expires_at": null}))).expect(200);
    let answer = server.call(&key, Request::get("/v1/nothing")).expect(404);
    assert_eq!(answer.header("x-mcp-key-expires"), None);
}

#[test]
fn a_key_revoked_during_its_upload_gets_no_answer() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({}));
    let bytes = Request::chat("Hello").bearer(&key).bytes();
    let (begun, rest) = bytes.split_at(bytes.len() - 20);
    let mut connection = TcpStream::connect(server.public).unwrap();
    connection.write_all(begun).unwrap();
    let mut polls = 0;
    eventually("the head was read, and counts against the limit", || {
        polls += 1;
        let own = server.call(&key, Request::get("/v1/key")).expect(200).json();
        own["remaining"].as_u64() == Some(100_000 - polls - 1)
    });
    let id = made["id"].as_str().unwrap();
    server.admin(Request::post(&format!("/admin/v1/keys/{id}/revoke"), &json!({}))).expect(200);
    connection.write_all(rest).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401") && answer.ends_with(INVALID), "{answer}");
}
