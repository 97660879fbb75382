//! The admin listener: who may call it, what it tells of the server, and that nothing of it is public.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::harness::{Request, TestServer};

/// One request to each admin path, as far as it needs no key's id.
const PATHS: [&str; 10] = [
    "/admin/v1/server",
    "/admin/v1/keys",
    "/admin/v1/usage",
    "/admin/v1/usage/verify",
    "/admin/v1/alerts",
    "/admin/v1/alert-rules",
    "/admin/v1/audit",
    "/admin/v1/audit/verify",
    "/admin/v1/audit/export",
    "/admin/v1/openapi.json",
];

/// Names that contract section 5 promises.
const METRICS: [(&str, &[&str]); 10] = [
    ("mcpd_requests_total", &["key", "endpoint", "status"]),
    ("mcpd_request_duration_seconds_bucket", &["endpoint", "le"]),
    ("mcpd_refusals_total", &["code"]),
    ("mcpd_tokens_total", &["key", "kind"]),
    ("mcpd_upstream_requests_total", &["upstream", "outcome"]),
    ("mcpd_streams_active", &[]),
    ("mcpd_keys", &["status"]),
    ("mcpd_alerts_open", &[]),
    ("mcpd_webhook_deliveries_total", &["outcome"]),
    ("mcpd_database_bytes", &[]),
];

fn metrics(server: &TestServer) -> String {
    server.admin(Request::get("/metrics")).expect(200).text()
}

/// The series in a text of metrics, without their values.
fn series(metrics: &str) -> BTreeSet<String> {
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find(|line| line.rsplit_once(' ').is_some_and(|(name, _)| name == series));
    line.unwrap_or_else(|| panic!("no {series} in {metrics}")).rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[test]
fn the_admin_token_opens_the_admin_api_and_nothing_else_does() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let token = &server.token;
    let (missing, wrong) = ("missing_admin_token", "invalid_admin_token");
    let cases = [
        (format!("Bearer {token}"), 200, "-"),
        (format!("bearer {token}"), 200, "-"),
        (format!("Bearer {token}x"), 401, wrong),
        (format!("Bearer {}", &token[1..]), 401, wrong),
        (format!("Bearer  {token}"), 401, wrong),
        (format!("Bearer {}", token.to_ascii_lowercase()), 401, wrong),
        (format!("Bearer {key}"), 401, wrong),
        ("Bearer x".to_owned(), 401, wrong),
        (format!("Basic {token}"), 401, missing),
        (token.clone(), 401, missing),
        ("Bearer".to_owned(), 401, missing),
        (String::new(), 401, missing),
    ];
    for (value, status, code) in cases {
        for path in PATHS.iter().chain(&["/metrics"]) {
            let answer = Request::get(path).header("Authorization", &value).send(server.admin);
            assert_eq!(answer.status, status, "{path} {value}");
            if status == 401 {
                let challenge = answer.header("www-authenticate").unwrap().to_owned();
                assert!(challenge.starts_with("Bearer realm=\"mcpd admin\""), "{challenge}");
                assert_eq!(challenge.contains("error=\"invalid_token\""), code == wrong, "{challenge}");
                let answer = answer.expect_error(401, code);
                assert_eq!(answer.json()["error"]["type"], "authentication_error");
            }
        }
    }
    for path in ["/admin/v1/server", "/admin/v1/nothing", "/", "/v1/key"] {
        Request::get(path).send(server.admin).expect_error(401, missing);
        let query = format!("{path}?token={token}&access_token={token}");
        Request::get(&query).send(server.admin).expect_error(401, missing);
    }
    let twice = Request::get("/admin/v1/server").bearer(token).bearer("x");
    twice.send(server.admin).expect_error(400, "invalid_request");
}

#[test]
fn a_restart_keeps_the_admin_token() {
    let server = TestServer::start();
    let token = server.token.clone();
    assert!(token.len() >= 32 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{}", token.len());
    let server = server.restart();
    assert_eq!(server.token, token);
    server.admin(Request::get("/admin/v1/server")).expect(200);
}

#[test]
fn the_admin_api_answers_to_loopback_s_names_only() {
    let server = TestServer::start();
    let port = server.admin.port();
    let cases = [
        ("localhost", true),
        ("LocalHost:PORT", true),
        ("127.0.0.1:PORT", true),
        ("127.0.0.1", true),
        ("[::1]:PORT", true),
        ("[::1]", true),
        ("localhost:9999", true), // the near end of a tunnel
        ("evil.example", false),
        ("evil.example:PORT", false),
        ("localhost.evil.example:PORT", false),
        ("127.0.0.1.evil.example", false),
        ("evil.example:PORT@localhost", false),
        ("192.168.1.2:PORT", false),
        ("0.0.0.0:PORT", false),
        ("[::]:PORT", false),
        ("", false),
    ];
    for (host, answered) in cases {
        let host = host.replace("PORT", &port.to_string());
        for path in ["/admin/v1/server", "/metrics", "/admin/v1/nothing"] {
            // With the token and without: the name is looked at first.
            let with = server.admin(Request::get(path).header("Host", &host));
            let without = Request::get(path).header("Host", &host).send(server.admin);
            if answered {
                assert_ne!(with.status, 403, "{host} {path}: {}", with.text());
                assert_eq!(without.status, 401, "{host} {path}: {}", without.text());
            } else {
                with.expect_error(403, "forbidden_host");
                without.expect_error(403, "forbidden_host");
            }
        }
    }
}

#[test]
fn another_site_s_page_may_not_call_the_admin_api() {
    let server = TestServer::start();
    let port = server.admin.port();
    let host = format!("127.0.0.1:{port}");
    let cases = [
        ("http://127.0.0.1:PORT", true),
        ("http://localhost:PORT", true),
        ("http://[::1]:PORT", true),
        ("http://evil.example", false),
        ("http://evil.example:PORT", false),
        ("https://127.0.0.1.evil.example:PORT", false),
        ("http://localhost:3000", false),
        ("http://localhost", false),
        ("null", false),
        ("file://", false),
        ("", false),
    ];
    for (origin, own) in cases {
        let origin = origin.replace("PORT", &port.to_string());
        let request = Request::get("/admin/v1/keys").header("Host", &host).header("Origin", &origin);
        let answer = server.admin(request);
        if own {
            answer.expect(200);
        } else {
            answer.expect_error(403, "forbidden_origin");
        }
    }
    let form = Request::new("POST", "/admin/v1/keys")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("name=x&scopes=*");
    let foreign = form.clone().header("Origin", "https://evil.example");
    server.admin(foreign.clone()).expect_error(403, "forbidden_origin");
    foreign.send(server.admin).expect_error(403, "forbidden_origin");
    server.admin(form).expect_error(415, "unsupported_media_type");
    let embedded = Request::get("/admin/v1/keys").header("Sec-Fetch-Site", "cross-site");
    server.admin(embedded).expect_error(403, "forbidden_origin");
    let preflight = Request::new("OPTIONS", "/admin/v1/keys").header("Origin", "https://evil.example");
    let answer = preflight.send(server.admin).expect_error(403, "forbidden_origin");
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[test]
fn the_socket_needs_no_token() {
    let server = TestServer::start();
    let socket = server.path("admin.sock");
    for path in PATHS.iter().chain(&["/metrics"]) {
        Request::get(path).send_unix(&socket).expect(200);
        Request::get(path).header("Host", "mcpd").send_unix(&socket).expect(200);
        Request::get(path).bearer("wrong").send_unix(&socket).expect(200);
    }
    let made = Request::post("/admin/v1/keys", &json!({"name": "x", "scopes": ["*"]})).send_unix(&socket);
    let key = made.expect(201).json()["key"].as_str().unwrap().to_owned();
    server.call(&key, Request::get("/v1/key")).expect(200);
    Request::get("/admin/v1/nothing").send_unix(&socket).expect_error(404, "not_found");
    Request::get("/v1/key").bearer(&key).send_unix(&socket).expect_error(404, "not_found");
}

#[test]
fn neither_listener_serves_the_other_s_paths() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({}));
    let id = made["id"].as_str().unwrap();
    let own = [format!("/admin/v1/keys/{id}"), format!("/admin/v1/keys/{id}/revoke")];
    for path in PATHS.iter().copied().chain(["/metrics", "/admin"]).chain(own.iter().map(String::as_str)) {
        for method in ["GET", "POST", "PATCH", "DELETE", "OPTIONS"] {
            for token in [&key, &server.token] {
                let answer = Request::new(method, path).bearer(token).send(server.public);
                answer.expect_error(404, "not_found");
            }
        }
    }
    server.call(&key, Request::get("/v1/key")).expect(200);
    for route in mcpd::api::ROUTES.iter().filter(|route| route.method != "HEAD") {
        let request = || Request::new(route.method.as_str(), route.pattern);
        server.admin(request()).expect_error(404, "not_found");
        request().bearer(&key).send(server.admin).expect_error(401, "invalid_admin_token");
    }
}

#[test]
fn metrics_can_be_opened_and_nothing_else_with_them() {
    let server = TestServer::setup().toml("admin.open_metrics = true").start();
    Request::get("/metrics").send(server.admin).expect(200);
    Request::get("/metrics").bearer("wrong").send(server.admin).expect(200);
    server.admin(Request::get("/metrics")).expect(200);
    Request::get("/metrics")
        .header("Host", "evil.example")
        .send(server.admin)
        .expect_error(403, "forbidden_host");
    let foreign = Request::get("/metrics").header("Origin", "http://evil.example");
    foreign.send(server.admin).expect_error(403, "forbidden_origin");
    for path in PATHS.iter().chain(&["/metrics/", "//metrics", "/Metrics", "/nothing"]) {
        Request::get(path).send(server.admin).expect_error(401, "missing_admin_token");
    }
    Request::new("POST", "/metrics").send(server.admin).expect_error(401, "missing_admin_token");
    Request::get("/metrics").send(server.public).expect_error(404, "not_found");
}

#[test]
fn the_metrics_have_their_promised_names_and_labels() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({"name": "secret name"}));
    server.call(&key, Request::chat("Hello")).expect(200);
    server.call(&key, Request::get("/v1/nothing")).expect(404);
    Request::get("/v1/key").send(server.public).expect(401);
    Request::get("/healthz").send(server.public).expect(200);
    let answer = server.admin(Request::get("/metrics")).expect(200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    for (name, labels) in METRICS {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} ")));
        let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
        let inner = line.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
        let told: Vec<&str> = inner
            .split(',')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap().0)
            .collect();
        assert_eq!(told, labels, "{line}");
        let family = name.trim_end_matches("_bucket");
        assert!(text.contains(&format!("# TYPE {family} ")), "{family}");
    }
    for name in [
        "cpu_seconds_total",
        "resident_memory_bytes",
        "virtual_memory_bytes",
        "start_time_seconds",
        "open_fds",
        "max_fds",
    ] {
        assert!(value(&text, &format!("process_{name}")) > 0.0, "{name}");
    }
    let id = made["id"].as_str().unwrap();
    let requests = |labels: &str| value(&text, &format!("mcpd_requests_total{{{labels}}}"));
    assert!(
        (requests(&format!("key=\"{id}\",endpoint=\"/v1/chat/completions\",status=\"200\"")) - 1.0).abs()
            < 0.1
    );
    assert!((requests(&format!("key=\"{id}\",endpoint=\"unmatched\",status=\"404\"")) - 1.0).abs() < 0.1);
    assert!((requests("key=\"\",endpoint=\"/v1/key\",status=\"401\"") - 1.0).abs() < 0.1);
    assert!((value(&text, "mcpd_refusals_total{code=\"missing_api_key\"}") - 1.0).abs() < 0.1);
    assert!((value(&text, "mcpd_keys{status=\"active\"}") - 2.0).abs() < 0.1);
    assert!(value(&text, &format!("mcpd_tokens_total{{key=\"{id}\",kind=\"completion\"}}")) > 0.0);
    assert!(!text.contains("healthz"), "what needs no key is not counted");
    for secret in ["secret name", &key[7..], &server.token] {
        assert!(!text.contains(secret));
    }
    let all: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(series(&text).len(), all.len(), "a series is there twice");
}

/// Sends all of them, fifty over one connection.
fn pour(server: &TestServer, requests: impl Iterator<Item = Request>) {
    let mut connection = TcpStream::connect(server.public).unwrap();
    let requests: Vec<Request> = requests.collect();
    for batch in requests.chunks(50) {
        let (last, others) = batch.split_last().unwrap();
        for request in others {
            connection.write_all(&request.clone().header("Connection", "keep-alive").bytes()).unwrap();
        }
        connection.write_all(&last.bytes()).unwrap();
        connection.read_to_end(&mut Vec::new()).unwrap();
        connection = TcpStream::connect(server.public).unwrap();
    }
}

#[test]
fn ten_thousand_random_paths_models_agents_ids_methods_and_keys_add_no_series() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let chat = |model: &str| {
        let messages = [json!({"role": "user", "content": "Hi"})];
        Request::post("/v1/chat/completions", &json!({"model": model, "messages": messages})).bearer(&key)
    };
    let unknown = |number: usize| format!("mcp_sk_{number:032}");
    let mixed = |number: usize| {
        let methods =
            ["GET".to_owned(), "POST".to_owned(), format!("X{number}"), format!("PROPFIND-{number}")];
        [
            Request::new(&methods[number % 4], &format!("/v1/{number:x}")).bearer(&key),
            Request::get(&format!("/v1/models/{number}/x")).bearer(&key),
            Request::get(&format!("/x{number}")),
            chat(&format!("model-{number}")),
            Request::get("/v1/key").bearer(&unknown(number)),
            Request::get(&format!("/v1/{number}")),
            Request::get("/v1/key")
                .bearer(&key)
                .header("User-Agent", format!("agent {number}"))
                .header("X-Request-Id", format!("request-{number}")),
            Request::get(&format!("/v1/models?n={number}")).bearer(&key),
        ]
    };
    // Until wrong keys are held up.
    pour(&server, (0..100).flat_map(mixed));
    let before = series(&metrics(&server));
    pour(&server, (100..1_350).flat_map(mixed));
    let after = metrics(&server);
    assert_eq!(series(&after), before);
    assert!(value(&after, "mcpd_refusals_total{code=\"too_many_failed_attempts\"}") > 1_200.0);
    let chats: f64 = after
        .lines()
        .filter(|line| line.starts_with("mcpd_requests_total") && line.contains("chat"))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        .sum();
    assert!((chats - 1_350.0).abs() < 0.1, "{chats}");
}

#[test]
fn keys_are_counted_by_status() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    let count = |status: &str| value(&metrics(&server), &format!("mcpd_keys{{status=\"{status}\"}}"));
    let near = |expected: [f64; 4]| {
        let told = ["active", "disabled", "expired", "revoked"].map(count);
        assert!(told.iter().zip(expected).all(|(told, expected)| (told - expected).abs() < 0.1), "{told:?}");
    };
    near([2.0, 0.0, 0.0, 0.0]);
    let path = format!("/admin/v1/keys/{}", made["id"].as_str().unwrap());
    server.admin(Request::new("PATCH", &path).json(&json!({"enabled": false}))).expect(200);
    near([1.0, 1.0, 0.0, 0.0]);
    server
        .admin(Request::new("PATCH", &path).json(&json!({"enabled": true, "expires_in": "1s"})))
        .expect(200);
    server.pass(1);
    near([1.0, 0.0, 1.0, 0.0]);
    server.admin(Request::new("POST", &format!("{path}/revoke"))).expect(200);
    near([1.0, 0.0, 0.0, 1.0]);
    server.admin(Request::new("DELETE", &path)).expect(200);
    near([1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn the_server_describes_itself() {
    let server = TestServer::start();
    server.key(json!({}));
    server.call(&server.default_key(), Request::chat("Hello")).expect(200);
    server.pass(90);
    let told = server.admin(Request::get("/admin/v1/server")).expect(200).json();
    assert_eq!(told["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(told["uptime_seconds"], 90);
    assert!(told["started_at"].as_str().unwrap().ends_with('Z'));
    let listeners = json!({
        "public": [server.public.to_string()], "admin": server.admin.to_string(),
        "socket": server.path("admin.sock"), "tls": false
    });
    assert_eq!(told["listeners"], listeners);
    let plans = json!({"enterprise": null, "free": 10, "professional": 300, "standard": 100_000});
    assert_eq!(told["plans"], plans);
    assert_eq!(told["default_plan"], "standard");
    assert_eq!(told["keys"], json!({"active": 2, "disabled": 0, "expired": 0, "revoked": 0}));
    assert_eq!(told["database"]["path"], json!(server.path("mcpd.db")));
    assert!(told["database"]["bytes"].as_u64().unwrap() > 0);
    let upstream = &told["upstreams"][0];
    assert_eq!((&upstream["name"], &upstream["kind"]), (&json!("echo"), &json!("echo")));
    assert_eq!((&upstream["models"], &upstream["health"]), (&json!(["echo"]), &json!("up")));
    assert!(!told.to_string().contains(&server.token));
}

#[test]
fn both_listeners_describe_their_api() {
    let server = TestServer::start();
    let public = Request::get("/openapi.json").send(server.public).expect(200);
    assert_eq!(public.header("content-type"), Some("application/json"));
    let public = public.json();
    let admin = server.admin(Request::get("/admin/v1/openapi.json")).expect(200).json();
    for (document, start) in [(&public, "/admin"), (&admin, "/v1")] {
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let paths = document["paths"].as_object().unwrap();
        assert!(paths.keys().all(|path| !path.starts_with(start)), "{:?}", paths.keys());
        let default = "/responses/default/content/application~1json/schema";
        for (path, operation) in paths.iter().flat_map(|(path, methods)| {
            methods.as_object().unwrap().values().map(move |operation| (path, operation))
        }) {
            assert!(operation["summary"].is_string(), "{path}");
            assert!(operation.pointer(default).is_some_and(Value::is_object), "{path}");
        }
    }
    let routes: BTreeSet<_> = mcpd::api::ROUTES.iter().map(|route| route.pattern).collect();
    let told = public["paths"].as_object().unwrap().keys().map(String::as_str);
    assert_eq!(told.collect::<BTreeSet<_>>(), routes);
    for path in PATHS.iter().chain(&["/metrics", "/admin/v1/keys/{id}", "/admin/v1/keys/{id}/rotate"]) {
        assert!(admin["paths"][path].is_object(), "{path}");
    }
    for path in ["/admin/v1/keys", "/admin/v1/keys/{id}/rotate", "/admin/v1/keys/{id}/revoke"] {
        let headers = &admin["paths"][path]["post"]["parameters"];
        assert!(headers.to_string().contains("Idempotency-Key"), "{path}: {headers}");
    }
}

#[test]
fn a_query_parameter_that_a_route_does_not_know_is_refused_by_name() {
    let server = TestServer::setup().toml("admin.open_metrics = true").start();
    let (_, made) = server.key(json!({}));
    let key = format!("/admin/v1/keys/{}", made["id"].as_str().unwrap());
    let (rotate, revoke) = (format!("{key}/rotate"), format!("{key}/revoke"));
    let gets = PATHS.iter().map(|path| ("GET", *path));
    let others = [
        ("GET", "/metrics"),
        ("POST", "/admin/v1/keys"),
        ("GET", &key),
        ("PATCH", &key),
        ("POST", &rotate),
        ("POST", &revoke),
        ("DELETE", &key),
    ];
    for (method, path) in gets.chain(others) {
        for (query, name) in [("colour=red", "`colour`"), ("limit=5&colo%75r", "`colour`"), ("=", "``")] {
            // `limit` is one that lists take.
            let request = Request::new(method, &format!("{path}?{query}"));
            let request = if method == "GET" { request } else { request.json(&json!({})) };
            let answer = server.admin(request).expect_error(400, "invalid_request");
            let text = answer.text();
            let list = path.ends_with("/keys") && method == "GET" || path.ends_with("/audit");
            let named = if query.starts_with("limit") && !list { "`limit`" } else { name };
            assert!(text.contains(named), "{method} {path}?{query}: {text}");
        }
    }
    let pasted = server.admin(Request::get("/admin/v1/server?mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg3=1"));
    assert!(!pasted.expect_error(400, "invalid_request").text().contains("ABCD"));
    Request::get("/metrics?").send(server.admin).expect(200);
    let shown = server.admin(Request::get(&key)).expect(200).json();
    assert_eq!((&shown["status"], &shown["rotated_to"]), (&json!("active"), &Value::Null));
}
