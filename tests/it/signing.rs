//! Signed requests: HMAC-SHA-256 over `"{timestamp}." + body`, keyed with the API key, each accepted once.

use std::fmt::Display;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::hmac;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{Answer, Binary, FakeUpstream, Request, TestServer, eventually, hex};

const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"Hello"}]}"#;

/// `hmac.new(key, message, sha256).hexdigest()`
fn hmac_hex(key: &str, message: &[u8]) -> String {
    hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), message).as_ref())
}

pub fn signature(key: &str, timestamp: i64, body: &[u8]) -> String {
    hmac_hex(key, &[format!("{timestamp}.").as_bytes(), body].concat())
}

fn post(body: impl Into<Vec<u8>>) -> Request {
    Request::new("POST", "/v1/chat/completions").header("Content-Type", "application/json").body(body)
}

pub fn with(request: Request, timestamp: impl Display, signature: &str) -> Request {
    request.header("X-MCP-Timestamp", timestamp.to_string()).header("X-MCP-Signature", signature)
}

/// A chat with its signature.
fn signed(key: &str, timestamp: i64, body: &[u8]) -> Request {
    with(post(body), timestamp, &signature(key, timestamp, body))
}

fn signed_get(key: &str, timestamp: i64) -> Request {
    with(Request::get("/v1/key"), timestamp, &signature(key, timestamp, b""))
}

fn expect_refused(name: &str, answer: &Answer, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (401, code), "{name}: {}", answer.text());
    assert_eq!(answer.json()["error"]["type"], "authentication_error", "{name}");
    let challenge = answer.header("www-authenticate");
    assert_eq!(challenge, Some("Bearer realm=\"mcpd\", error=\"invalid_token\""), "{name}");
}

#[test]
fn the_published_formula_is_what_is_checked() {
    // From the example: hmac.new(api_key, f"{timestamp}.{payload}", sha256).hexdigest()
    let key = "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38";
    let expected = "80e67340107f227b0b265d7f3215b445a9c772cc752f1f74702bb28c93c5166b";
    let body = br#"{"model":"m","messages":[]}"#;
    assert_eq!(signature(key, 1_700_000_000, body), expected);

    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let now = server.unix_time();
    let answer = server.call(&key, signed(&key, now, CHAT.as_bytes())).expect(200).json();
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello");
    let upper = signature(&key, now - 1, CHAT.as_bytes()).to_uppercase();
    server.call(&key, with(post(CHAT), now - 1, &upper)).expect(200);
    server.call(&key, signed_get(&key, now)).expect(200);
}

#[test]
fn a_signature_is_optional_but_checked_when_it_is_sent() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let now = server.unix_time();
    server.call(&key, post(CHAT)).expect(200);
    let wrong = "0".repeat(64);
    let good = signature(&key, now, CHAT.as_bytes());
    let (other, _) = server.key(json!({}));
    let cases = [
        ("another signature", with(post(CHAT), now, &wrong)),
        ("another body", with(post(CHAT.replace("Hello", "Bye")), now, &good)),
        ("no body", with(post(""), now, &good)),
        ("another second", with(post(CHAT), now + 1, &good)),
        ("another key's", with(post(CHAT), now, &signature(&other, now, CHAT.as_bytes()))),
        ("the body alone", with(post(CHAT), now, &hmac_hex(&key, CHAT.as_bytes()))),
        ("the timestamp as it is written elsewhere", with(post(CHAT), format!("0{now}"), &good)),
        ("63 digits", with(post(CHAT), now, &good[1..])),
        ("65 digits", with(post(CHAT), now, &format!("{good}0"))),
        ("no digits", with(post(CHAT), now, &good.replace(|_| true, "g"))),
        ("with a prefix", with(post(CHAT), now, &format!("sha256={good}"))),
        ("empty", with(post(CHAT), now, "")),
        ("twice", with(post(CHAT), now, &good).header("X-MCP-Signature", &good)),
        ("two times", with(post(CHAT), now, &good).header("X-MCP-Timestamp", now.to_string())),
        ("no timestamp", post(CHAT).header("X-MCP-Signature", &good)),
        ("a timestamp alone", post(CHAT).header("X-MCP-Timestamp", now.to_string())),
        ("a nonce alone", post(CHAT).header("X-MCP-Nonce", "12345678")),
        ("a nonce that is not signed", with(post(CHAT), now, &good).header("X-MCP-Nonce", "12345678")),
        ("a GET signed for a body", with(Request::get("/v1/key"), now, &good)),
    ];
    for (name, request) in cases {
        expect_refused(name, &server.call(&key, request), "invalid_signature");
    }
    // None of that has used the signature up.
    server.call(&key, with(post(CHAT), now, &good)).expect(200);
}

#[test]
fn a_key_or_the_configuration_may_ask_for_signatures() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({"require_signature": true}));
    let now = server.unix_time();
    for request in [post(CHAT), Request::get("/v1/key"), Request::get("/v1/models"), post("{")] {
        expect_refused("unsigned", &server.call(&key, request), "missing_signature");
    }
    server.call(&key, signed(&key, now, CHAT.as_bytes())).expect(200);
    server.call(&key, signed_get(&key, now)).expect(200);
    let path = format!("/admin/v1/keys/{}", made["id"].as_str().unwrap());
    server.admin(Request::new("PATCH", &path).json(&json!({"require_signature": false}))).expect(200);
    server.call(&key, post(CHAT)).expect(200);

    let server = TestServer::setup().toml("signing.required = true").start();
    let key = server.default_key();
    expect_refused("unsigned", &server.call(&key, post(CHAT)), "missing_signature");
    server.call(&key, signed(&key, now, CHAT.as_bytes())).expect(200);
    Request::get("/healthz").send(server.public).expect(200);
}

#[test]
fn timestamps_too_far_away_are_refused() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let now = server.unix_time();
    let cases = [
        (now - 301, Some("stale_timestamp")),
        (now + 301, Some("stale_timestamp")),
        (now * 1_000, Some("stale_timestamp")),
        (0, Some("stale_timestamp")),
        (now - 300, None),
        (now + 300, None),
    ];
    for (timestamp, code) in cases {
        let answer = server.call(&key, signed(&key, timestamp, CHAT.as_bytes()));
        match code {
            Some(code) => expect_refused(&timestamp.to_string(), &answer, code),
            None => assert_eq!(answer.status, 200, "{timestamp}: {}", answer.text()),
        }
    }
    let texts =
        ["", "now", "-1", "+1", "0x10", "1e9", "1.7e9", "99999999999999999999", "2023-11-14T22:13:20Z"];
    for text in texts.map(ToOwned::to_owned).into_iter().chain([format!("{now}.0"), format!("{now}.5")]) {
        let own = hmac_hex(&key, format!("{text}.{CHAT}").as_bytes());
        expect_refused(&text, &server.call(&key, with(post(CHAT), &text, &own)), "invalid_signature");
    }
}

#[test]
fn the_skew_is_the_configured_one() {
    let server = TestServer::setup().toml("signing.max_skew_seconds = 10").start();
    let (key, _) = server.key(json!({}));
    let request = signed(&key, server.unix_time(), CHAT.as_bytes());
    server.pass(11);
    expect_refused("11 s old", &server.call(&key, request), "stale_timestamp");
    let request = signed(&key, server.unix_time(), CHAT.as_bytes());
    server.pass(10);
    server.call(&key, request).expect(200);
}

#[test]
fn the_signature_is_over_the_bytes_as_they_were_sent() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let mut now = server.unix_time() - 100;
    let large = " ".repeat(300_000);
    let bodies: [(&str, &[u8], u16); 8] = [
        (
            "blanks",
            b" {\"model\" : \"m\",\r\n\t\"messages\":[{\"role\":\"user\",\"content\":\"x\"}] } \n",
            200,
        ),
        ("order of names", br#"{"messages":[{"content":"x","role":"user"}],"model":"m"}"#, 200),
        ("escapes", br#"{"model":"\u006d","messages":[{"role":"user","content":"\u00e9\/"}]}"#, 200),
        (
            "beyond ASCII",
            "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"é🦀\"}]}".as_bytes(),
            200,
        ),
        ("no UTF-8", b"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]}", 400),
        ("no JSON", b"\x00\x01\x02.\r\n", 400),
        ("empty", b"", 400),
        ("large", large.as_bytes(), 400),
    ];
    for (name, body, status) in bodies {
        now += 1;
        let good = signature(&key, now, body);
        let changed = [body, b" "].concat();
        expect_refused(name, &server.call(&key, with(post(changed), now, &good)), "invalid_signature");
        let answer = server.call(&key, with(post(body), now, &good));
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
    }
}

#[test]
fn a_chunked_body_is_signed_without_its_chunks() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let now = server.unix_time();
    let good = signature(&key, now, CHAT.as_bytes());
    let chunked = |sizes: usize| {
        let chunk = |piece: &[u8]| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        let chunks = CHAT.as_bytes().chunks(sizes).flat_map(chunk).chain(*b"0\r\n\r\n");
        post(chunks.collect::<Vec<u8>>()).header("Transfer-Encoding", "chunked")
    };
    let encoded = hmac_hex(&key, &[format!("{now}.").as_bytes(), b"1\r\n"].concat());
    expect_refused("encoded", &server.call(&key, with(chunked(1), now, &encoded)), "invalid_signature");
    server.call(&key, with(chunked(1), now, &good)).expect(200);
    expect_refused("in other chunks", &server.call(&key, with(chunked(7), now, &good)), "replayed_signature");
}

#[test]
fn a_nonce_is_signed_and_lets_equal_bodies_through() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let now = server.unix_time();
    let sign = |nonce: &str| hmac_hex(&key, format!("{now}.{nonce}.{CHAT}").as_bytes());
    let send = |nonce: &str, signature: &str| {
        server.call(&key, with(post(CHAT), now, signature).header("X-MCP-Nonce", nonce))
    };
    let long = "x".repeat(64);
    for nonce in ["12345678", "a-nonce_0", &long] {
        assert_eq!(send(nonce, &sign(nonce)).status, 200, "{nonce}");
        expect_refused(nonce, &send(nonce, &sign(nonce)), "replayed_signature");
    }
    expect_refused("another nonce", &send("another1", &sign("another2")), "invalid_signature");
    expect_refused(
        "left out",
        &server.call(&key, with(post(CHAT), now, &sign("left_out"))),
        "invalid_signature",
    );
    let too_long = "x".repeat(65);
    for bad in ["", "1234567", &too_long, "with blank", "a.b.c.d.e", "nonce/1234", "äöüäöüäö"] {
        expect_refused(bad, &send(bad, &sign(bad)), "invalid_signature");
    }
    let twice = with(post(CHAT), now, &sign("twice-it")).header("X-MCP-Nonce", "twice-it");
    let answer = server.call(&key, twice.header("X-MCP-Nonce", "twice-it"));
    expect_refused("sent twice", &answer, "invalid_signature");
}

#[test]
fn a_signature_is_accepted_once() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let now = server.unix_time();
    let request = signed(&key, now, CHAT.as_bytes());
    server.call(&key, request.clone()).expect(200);
    expect_refused("again", &server.call(&key, request.clone()), "replayed_signature");
    let upper = with(post(CHAT), now, &signature(&key, now, CHAT.as_bytes()).to_uppercase());
    expect_refused("in upper case", &server.call(&key, upper), "replayed_signature");
    let other_path =
        with(Request::new("POST", "/v1/completions").body(CHAT), now, &signature(&key, now, CHAT.as_bytes()));
    expect_refused("elsewhere", &server.call(&key, other_path), "replayed_signature");
    let server = server.restart();
    expect_refused("after a restart", &server.call(&key, request.clone()), "replayed_signature");
    server.pass(300);
    let server = server.restart();
    expect_refused("after five minutes", &server.call(&key, request.clone()), "replayed_signature");
    server.pass(1);
    expect_refused("too late", &server.call(&key, request), "stale_timestamp");
}

#[test]
fn a_signature_from_the_future_is_remembered_as_long_as_it_is_good() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let request = signed(&key, server.unix_time() + 300, CHAT.as_bytes());
    server.call(&key, request.clone()).expect(200);
    let codes = (0..=602).step_by(2).map(|_| {
        let code = server.call(&key, request.clone()).code();
        server.pass(2);
        code
    });
    let accepted: Vec<_> = codes.enumerate().filter(|(_, code)| code == "-").collect();
    assert_eq!(accepted, [], "replayed after that many times two seconds");
}

/// Writes signatures of a key into the database, as if they had been accepted: one for each number, in no
/// order of their own.
fn remember(server: &TestServer, key: &Value, numbers: std::ops::Range<u32>, seconds_left: i64) {
    let mut database = Connection::open(server.path("mcpd.db")).unwrap();
    let transaction = database.transaction().unwrap();
    let mut insert = transaction.prepare("INSERT INTO seals VALUES (?1, ?2, ?3)").unwrap();
    for number in numbers {
        let seal = ring::digest::digest(&ring::digest::SHA256, &number.to_le_bytes());
        let expires_at = (server.unix_time() + seconds_left) * 1_000;
        insert.execute((key["id"].as_str(), seal.as_ref(), expires_at)).unwrap();
    }
    drop(insert);
    transaction.commit().unwrap();
}

/// How many signatures are kept.
fn kept(server: &TestServer) -> u32 {
    let database = Connection::open(server.path("mcpd.db")).unwrap();
    database.query_row("SELECT count(*) FROM seals", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_restart_drops_the_signatures_that_are_too_old_and_keeps_the_others() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    server.call(&key, signed_get(&key, server.unix_time())).expect(200);
    // Each is remembered for twice its time and an hour.
    server.pass(3_902);
    let requests = [-300, 0, 300].map(|ahead| signed_get(&key, server.unix_time() + ahead));
    for request in &requests {
        server.call(&key, request.clone()).expect(200);
    }
    assert_eq!(kept(&server), 4);
    server.pass(300);
    let server = server.restart();
    eventually("the first one is too old", || kept(&server) == 3);
    let codes = requests.each_ref().map(|request| server.call(&key, request.clone()).code());
    assert_eq!(codes, ["stale_timestamp", "replayed_signature", "replayed_signature"]);
}

#[test]
fn after_a_restart_a_full_memory_has_room_again_as_soon_as_the_oldest_are_too_old() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({}));
    remember(&server, &made, 0..60_000, 500);
    remember(&server, &made, 60_000..100_000, 10);
    let server = server.restart();
    let request = || signed_get(&key, server.unix_time());
    server.call(&key, request()).expect_error(503, "storage_unavailable");
    server.pass(11);
    server.call(&key, request()).expect(200);
}

#[test]
fn a_restart_forgets_no_signature_however_many_there_are() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({}));
    let request = signed_get(&key, server.unix_time() + 300);
    server.call(&key, request.clone()).expect(200);
    // As many as there may be, and all older: a clock that was stepped back keeps more of them alive.
    remember(&server, &made, 0..100_000, 10);
    let server = server.restart();
    expect_refused("among many", &server.call(&key, request.clone()), "replayed_signature");
    server.pass(11);
    expect_refused("the others gone", &server.call(&key, request), "replayed_signature");
}

#[test]
fn of_two_equal_requests_at_once_one_passes() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let first = server.unix_time() - 50;
    for round in 0..50 {
        let request = signed(&key, first + round, CHAT.as_bytes());
        let mut codes: Vec<_> = std::thread::scope(|scope| {
            let send = || server.call(&key, request.clone()).code();
            let threads = [scope.spawn(send), scope.spawn(send), scope.spawn(send)];
            threads.map(|thread| thread.join().unwrap()).into()
        });
        codes.sort();
        assert_eq!(codes, ["-", "replayed_signature", "replayed_signature"], "round {round}");
    }
}

#[test]
fn a_kill_forgets_no_signature() {
    let binary = Binary::start("signing.required = true\nusage.flush_milliseconds = 60000\n");
    let key = binary.default_key();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
    let requests = [signed(&key, now, CHAT.as_bytes()), signed(&key, now + 299, CHAT.as_bytes())];
    for request in requests.clone() {
        binary.call(&key, request).expect(200);
    }
    // The answer is there, so the signature is on the disk.
    let binary = Binary::start_in(binary.end("KILL"));
    for request in requests {
        expect_refused("after a kill", &binary.call(&key, request), "replayed_signature");
    }
    binary.call(&key, signed(&key, now + 1, CHAT.as_bytes())).expect(200);
}

#[test]
fn the_signature_comes_after_the_scope_and_before_the_model() {
    let server = TestServer::start();
    let bad = || with(post(CHAT), server.unix_time(), &"0".repeat(64));
    let (key, _) = server.key(json!({"scopes": ["models:read"]}));
    server.call(&key, bad()).expect_error(403, "insufficient_scope");
    let (key, _) = server.key(json!({"allowed_models": ["other"]}));
    expect_refused("first", &server.call(&key, bad()), "invalid_signature");
    // It was accepted, so it is used up, whatever came of it.
    let good = signed(&key, server.unix_time(), CHAT.as_bytes());
    server.call(&key, good.clone()).expect_error(403, "model_not_allowed");
    expect_refused("again", &server.call(&key, good), "replayed_signature");
}

#[test]
fn a_signed_stream_is_answered_and_its_signature_not_passed_on() {
    let upstream = FakeUpstream::events(&[r#"{"choices":[{"delta":{"content":"x"}}]}"#, "[DONE]"]);
    let server = TestServer::setup().upstream("fake", upstream.address, &["m"]).start();
    let (key, _) = server.key(json!({"require_signature": true}));
    let mut body: Value = serde_json::from_str(CHAT).unwrap();
    body["stream"] = true.into();
    let request = signed(&key, server.unix_time(), body.to_string().as_bytes());
    let events = request.bearer(&key).open(server.public).events();
    assert_eq!(events.last().unwrap(), "[DONE]");
    let seen = &upstream.seen()[0];
    let own =
        seen.headers.iter().filter(|(name, value)| name.starts_with("x-mcp") || value.contains("mcp_sk"));
    assert_eq!(own.count(), 0, "{:?}", seen.headers);
}

#[test]
fn a_rotated_key_signs_with_its_own_token() {
    let server = TestServer::start();
    let (old, made) = server.key(json!({"require_signature": true}));
    let path = format!("/admin/v1/keys/{}/rotate", made["id"].as_str().unwrap());
    let rotated = server.admin(Request::post(&path, &json!({}))).expect(201).json();
    let new = rotated["key"].as_str().unwrap();
    let now = server.unix_time();
    server.call(new, signed(new, now, CHAT.as_bytes())).expect(200);
    server.call(&old, signed(&old, now, CHAT.as_bytes())).expect(200);
    expect_refused(
        "the old one's",
        &server.call(new, signed(&old, now + 1, CHAT.as_bytes())),
        "invalid_signature",
    );
    expect_refused("unsigned", &server.call(new, post(CHAT)), "missing_signature");
    server.clock.advance(Duration::from_secs(2));
    server.call(new, signed_get(new, server.unix_time())).expect(200);
}
