//! Errors: one shape on both listeners, the framework's own too, told to the client that they are for, and a
//! name for the request in every answer.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use serde_json::json;

use crate::harness::{Request, TestServer};

#[test]
fn every_answer_names_its_request() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let (long, longer) = ("x".repeat(128), "x".repeat(129));
    let cases = [
        ("trace-1.A_b", true),
        (long.as_str(), true),
        (longer.as_str(), false),
        ("", false),
        ("two words", false),
        ("<script>", false),
    ];
    let mut made = BTreeSet::new();
    for (own, kept) in cases {
        for path in ["/v1/key", "/v1/nothing", "/healthz", "/nothing"] {
            let request = Request::get(path).header("X-Request-Id", own);
            let admin = server.admin(Request::get("/admin/v1/server").header("X-Request-Id", own));
            for answer in [server.call(&key, request.clone()), request.send(server.public), admin] {
                let id = answer.header("x-request-id").unwrap();
                assert_eq!(id == own, kept, "{own}: {id}");
                assert!(kept || made.insert(id.to_owned()), "{id} twice");
                assert!(kept || id.len() > 16, "{id}");
            }
        }
    }
}

/// A body in chunks, its length not told beforehand.
fn chunked(request: Request, body: &str) -> Request {
    let pieces = body
        .as_bytes()
        .chunks(500)
        .map(|piece| format!("{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece)));
    let body: Vec<String> = pieces.chain(["0\r\n\r\n".to_owned()]).collect();
    request.header("Transfer-Encoding", "chunked").body(body.concat())
}

#[test]
fn every_error_of_the_public_listener_has_the_one_shape() {
    let server = TestServer::setup().toml("server.max_json_bytes = 2000").start();
    let (key, _) = server.key(json!({}));
    let chat = || Request::new("POST", "/v1/chat/completions").header("Content-Type", "application/json");
    let long =
        json!({"model": "m", "messages": [{"role": "user", "content": "x".repeat(3_000)}]}).to_string();
    let message = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#;
    let cases = [
        (chat(), 400, "invalid_json", "JSON"),
        (chat().body("{"), 400, "invalid_json", "JSON"),
        (chat().body("{}}"), 400, "invalid_json", "JSON"),
        (chat().body(format!("{message}x")), 400, "invalid_json", "JSON"),
        (chat().body(b"\xff\xfe".to_vec()), 400, "invalid_json", "JSON"),
        (chat().body("{\"model\": NaN}"), 400, "invalid_json", "JSON"),
        (chat().body("[]"), 422, "invalid_request", "object"),
        (chat().body("\"text\""), 422, "invalid_request", "object"),
        (chat().body("null"), 422, "invalid_request", "object"),
        (chat().body("{}"), 422, "invalid_request", "`model`"),
        (chat().body(r#"{"model": 3, "messages": []}"#), 422, "invalid_request", "`model`"),
        (chat().body(r#"{"model": "m"}"#), 422, "invalid_request", "`messages`"),
        (chat().body(long.clone()), 413, "payload_too_large", "2000"),
        (chunked(chat(), &long), 413, "payload_too_large", "2000"),
        (chat().header("Content-Length", "99999999999999"), 413, "payload_too_large", "2000"),
        (chat().header("Content-Length", "2001").body("{"), 413, "payload_too_large", "2000"),
        (
            Request::new("POST", "/v1/chat/completions").header("Content-Type", "text/plain").body(message),
            415,
            "unsupported_media_type",
            "application/json",
        ),
        (Request::get("/v1/nothing"), 404, "not_found", "/v1/nothing"),
        (Request::get("/nothing"), 404, "not_found", "/nothing"),
        (Request::get("/v1/models/nothing"), 404, "-", "model"),
        (Request::get("/v1/chat/completions"), 405, "method_not_allowed", "POST"),
    ];
    for (request, status, code, part) in cases {
        let answer = server.call(&key, request.clone());
        assert_eq!(answer.status, status, "{request:?}: {}", answer.text());
        let code = if code == "-" { answer.code() } else { code.to_owned() };
        let answer = answer.expect_error(status, &code);
        let error = &answer.json()["error"];
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(error.as_object().unwrap().len(), 3, "{error}");
        assert!(answer.header("x-request-id").is_some());
    }
    server.call(&key, chunked(chat(), message)).expect(200);
}

#[test]
fn every_error_of_the_admin_listener_has_the_one_shape() {
    let server = TestServer::start();
    let create = || Request::new("POST", "/admin/v1/keys").header("Content-Type", "application/json");
    let long = json!({"name": "x".repeat(1_100_000), "scopes": ["*"]}).to_string();
    let cases = [
        (create().body("{"), 400, "invalid_json", "JSON"),
        (create().body("{} {}"), 400, "invalid_json", "JSON"),
        (create().body(b"{\"name\": \"\xff\"}".to_vec()), 400, "invalid_json", "JSON"),
        (create().body("[]"), 422, "invalid_request", ""),
        (create().body("null"), 422, "invalid_request", ""),
        (create().body("\"text\""), 422, "invalid_request", ""),
        (create(), 422, "invalid_request", "`name`"),
        (create().body(long.clone()), 413, "payload_too_large", "bytes"),
        (chunked(create(), &long), 413, "payload_too_large", "bytes"),
        (
            Request::new("POST", "/admin/v1/keys").header("Content-Type", "text/plain").body("{}"),
            415,
            "unsupported_media_type",
            "application/json",
        ),
        (Request::get("/admin/v1/nothing"), 404, "not_found", "/admin/v1/nothing"),
        (Request::get("/admin/v1/keys/"), 404, "not_found", ""),
        (Request::get("/admin/v1/keys/key_1"), 404, "not_found", "key"),
        (Request::new("PUT", "/admin/v1/keys"), 405, "method_not_allowed", "POST"),
        (Request::get("/admin/v1/keys?limit=0"), 400, "invalid_request", "limit"),
        (Request::get("/admin/v1/keys?colour=red"), 400, "invalid_request", "colour"),
    ];
    for (request, status, code, part) in cases {
        let answer = server.admin(request).expect_error(status, code);
        let error = &answer.json()["error"];
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(error.as_object().unwrap().len(), 3, "{error}");
        assert!(answer.header("x-request-id").is_some());
    }
}

#[test]
fn what_is_no_http_gets_an_error_of_the_one_shape() {
    let server = TestServer::start();
    let cases = [
        Request::get("/v1/key").header("Bad Header", "x"),
        Request::get("/v1/key").header("Content-Length", "many"),
        Request::get("/v1/key").header("X", "x".repeat(1 << 20)),
        Request::get("/v1/a b"),
    ];
    for request in cases {
        for listener in [server.public, server.admin] {
            let answer = request.send(listener);
            assert!((400..500).contains(&answer.status), "{}", answer.status);
            assert!(answer.code() != "-");
        }
    }
}

#[test]
fn what_is_no_http_gets_it_behind_good_requests_too() {
    let server = TestServer::start();
    let good = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for count in [1, 3, 12] {
        let mut connection = TcpStream::connect(server.public).unwrap();
        connection.write_all((good.repeat(count) + "BAD\r\n\r\n").as_bytes()).unwrap();
        let mut answers = String::new();
        connection.read_to_string(&mut answers).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), count, "{answers}");
        let (_, last) = answers.rsplit_once("HTTP/1.1 400 Bad Request\r\n").unwrap();
        let (head, body) = last.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("x-request-id: req_") && head.contains("application/json"), "{head}");
        assert!(body.starts_with(r#"{"error":{"code":"invalid_request""#), "{body}");
    }
}

#[test]
fn a_refusal_reaches_a_client_that_sends_all_before_it_reads() {
    let server = TestServer::start();
    let body = "x".repeat(16 << 20);
    let (key, _) = server.key(json!({"scopes": ["models:read"]}));
    let cases = [("mcp_sk_wrong", 401, body.clone()), (&key, 403, body.clone()), (&key, 403, body.repeat(3))];
    for (key, status, body) in cases {
        let bytes = Request::new("POST", "/v1/chat/completions").bearer(key).body(body).bytes();
        let mut connection = TcpStream::connect(server.public).unwrap();
        connection.write_all(&bytes).unwrap();
        connection.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}

#[test]
fn an_upgrade_is_not_taken_and_the_request_answered_as_any_other() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    // Where WebSocket is offered, the framework leaves a body's length unread: only what has none is asked.
    let cases = [
        ("Upgrade, HTTP2-Settings", "h2c", Request::get("/v1/models")),
        ("Upgrade, HTTP2-Settings", "h2c", Request::chat("Hi")),
        ("keep-alive, upgrade", "x/1", Request::chat("Hi")),
        ("Upgrade", "websocket", Request::get("/v1/models")),
    ];
    for (connection, protocol, request) in cases {
        let offer = |request: Request| request.header("Connection", connection).header("Upgrade", protocol);
        let answer = offer(request.bearer(&key)).send(server.public).expect(200);
        assert_eq!(
            (answer.header("connection"), answer.header("upgrade")),
            (Some("close"), None),
            "{protocol}"
        );
        answer.json();
        let answer = offer(Request::get("/healthz")).bearer(&server.token).send(server.admin);
        assert_eq!(
            (answer.header("connection"), answer.header("upgrade")),
            (Some("close"), None),
            "{protocol}"
        );
    }
}
