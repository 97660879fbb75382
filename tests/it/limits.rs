//! How much a key may do: the window, the slots in flight, and what the answers tell about them.

mod slots;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, Binary, Request, TestServer};
use slots::moody;

const HOUR: i64 = 3_600_000;

fn own() -> Request {
    Request::get("/v1/key")
}

fn ask(model: &str) -> Request {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
    Request::post("/v1/chat/completions", &body)
}

fn ask_stream(model: &str) -> Request {
    let messages = json!([{"role": "user", "content": "Hello"}]);
    Request::post("/v1/chat/completions", &json!({"model": model, "stream": true, "messages": messages}))
}

/// How many of `count` requests are let through; the others must be 429.
fn passed(server: &TestServer, key: &str, count: usize) -> usize {
    let statuses = (0..count).map(|_| server.call(key, own()).status);
    statuses.inspect(|status| assert!(matches!(status, 200 | 429), "{status}")).filter(|s| *s == 200).count()
}

fn number(answer: &Answer, header: &str) -> u64 {
    answer.header(header).unwrap_or_else(|| panic!("no {header}")).parse().unwrap()
}

fn remaining(answer: &Answer) -> u64 {
    number(answer, "x-ratelimit-remaining")
}

fn patch(server: &TestServer, key: &Value, change: &Value) {
    let path = format!("/admin/v1/keys/{}", key["id"].as_str().unwrap());
    server.admin(Request::new("PATCH", &path).json(change)).expect(200);
}

/// Connections that stay open, each with one request at a time.
struct Connections(Vec<TcpStream>);

impl Connections {
    fn open(count: usize, to: SocketAddr) -> Self {
        let open = |_| {
            let connection = TcpStream::connect(to).unwrap();
            connection.set_nodelay(true).unwrap();
            connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            connection
        };
        Self((0..count).map(open).collect())
    }

    /// Sends the request on all of them before reading any answer; returns the statuses.
    fn send(&mut self, request: Request) -> Vec<u16> {
        let bytes = request.header("Connection", "keep-alive").bytes();
        self.0.iter_mut().for_each(|connection| connection.write_all(&bytes).unwrap());
        self.0.iter_mut().map(read_status).collect()
    }
}

/// Reads one whole answer of known length; returns its status.
fn read_status(connection: &mut TcpStream) -> u16 {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let length = connection.read(&mut piece).unwrap();
        assert!(length > 0, "closed early");
        bytes.extend_from_slice(&piece[..length]);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(end) = head.parse(&bytes).unwrap() else { continue };
        let named = |h: &&httparse::Header<'_>| h.name.eq_ignore_ascii_case("content-length");
        let length = head.headers.iter().find(named).unwrap().value;
        let length: usize = std::str::from_utf8(length).unwrap().parse().unwrap();
        let status = head.code.unwrap();
        if bytes.len() >= end + length {
            return status;
        }
    }
}

#[test]
fn a_clean_restart_gives_nobody_a_fresh_allowance() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"requests_per_minute": 10}));
    assert_eq!(passed(&server, &key, 10), 10);
    let server = server.restart();
    server.call(&key, own()).expect_error(429, "rate_limit_exceeded");
    server.pass(59);
    let server = server.restart();
    server.call(&key, own()).expect_error(429, "rate_limit_exceeded");
    server.pass(1);
    assert_eq!(passed(&server, &key, 20), 10);
}

#[test]
fn a_kill_forgives_no_more_than_a_second() {
    // However seldom usage is written.
    let flushes = ["usage.flush_milliseconds = 200\n", "usage.flush_milliseconds = 60000\n"];
    let binaries = flushes.map(|flush| {
        let binary = Binary::start(&format!("plans.standard.requests_per_minute = 10\n{flush}"));
        let key = binary.default_key();
        (0..10).for_each(|_| drop(binary.call(&key, own()).expect(200)));
        binary.call(&key, own()).expect_error(429, "rate_limit_exceeded");
        (binary, key, flush)
    });
    std::thread::sleep(Duration::from_millis(1_300));
    for (binary, key, flush) in binaries {
        let binary = Binary::start_in(binary.end("KILL"));
        let answer = binary.call(&key, own());
        assert_eq!(answer.status, 429, "{flush}");
    }
}

#[test]
fn two_hundred_parallel_requests_let_exactly_ten_through_a_hundred_times() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"requests_per_minute": 10}));
    let mut connections = Connections::open(200, server.public);
    for round in 0..100 {
        let statuses = connections.send(own().bearer(&key));
        let count = |status| statuses.iter().filter(|one| **one == status).count();
        assert_eq!((count(200), count(429)), (10, 190), "round {round}");
        server.pass(61);
    }
}

#[test]
fn a_restart_in_between_lets_no_eleventh_through() {
    let mut server = TestServer::start();
    let (key, _) = server.key(json!({"requests_per_minute": 10}));
    for round in 0..6_usize {
        // Four are left for after the restart, or none.
        let before = if round % 2 == 0 { 6 } else { 100 };
        let passes = |statuses: Vec<u16>| statuses.iter().filter(|status| **status == 200).count();
        let first = passes(Connections::open(before, server.public).send(own().bearer(&key)));
        server = server.restart();
        let second = passes(Connections::open(100, server.public).send(own().bearer(&key)));
        assert_eq!((first, first + second), (before.min(10), 10), "round {round}");
        server.pass(61);
    }
}

#[test]
fn no_minute_has_a_turn_to_slip_through_at() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"requests_per_minute": 10}));
    // Wherever the minute turns, one of these bursts is shortly before it.
    for phase in 0..4 {
        assert_eq!(passed(&server, &key, 10), 10, "phase {phase}");
        server.clock.advance(Duration::from_millis(200));
        assert_eq!(passed(&server, &key, 10), 0, "phase {phase}");
        server.clock.advance(Duration::from_millis(59_799));
        assert_eq!(passed(&server, &key, 1), 0, "phase {phase}");
        server.clock.advance(Duration::from_millis(1));
        assert_eq!(passed(&server, &key, 10), 10, "phase {phase}");
        server.pass(61 + 14);
    }
}

#[test]
fn hammering_never_moves_the_moment_of_recovery() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"requests_per_minute": 10}));
    assert_eq!(passed(&server, &key, 10), 10);
    for second in 0..60 {
        let refused = server.call(&key, own()).expect_error(429, "rate_limit_exceeded");
        assert_eq!(number(&refused, "retry-after"), 60 - second);
        server.pass(1);
    }
    assert_eq!(passed(&server, &key, 11), 10);
}

#[test]
fn limits_are_the_plan_s_their_own_or_refused() {
    let server = TestServer::start();
    let cases = [
        (json!({"plan": "free"}), Some(10)),
        (json!({"plan": "free", "requests_per_minute": null}), Some(10)),
        (json!({"plan": "free", "requests_per_minute": 7}), Some(7)),
        (json!({"plan": "professional"}), Some(300)),
        (json!({"plan": "enterprise", "requests_per_minute": 4_294_967_295_u32}), Some(4_294_967_295_u64)),
        (json!({"plan": "enterprise"}), None),
        (json!({"plan": "platinum"}), None),
        (json!({"requests_per_minute": 0}), None),
        (json!({"requests_per_minute": -1}), None),
        (json!({"requests_per_minute": 1.5}), None),
        (json!({"requests_per_minute": 4_294_967_296_u64}), None),
        (json!({"max_concurrent": 0}), None),
    ];
    for (settings, limit) in cases {
        let Some(limit) = limit else {
            let mut body = settings.clone();
            (body["name"], body["scopes"]) = (json!("test"), json!(["*"]));
            let refused = server.admin(Request::post("/admin/v1/keys", &body));
            assert_eq!((refused.status, refused.code().as_str()), (422, "invalid_request"), "{settings}");
            continue;
        };
        let (key, _) = server.key(settings.clone());
        let answer = server.call(&key, own()).expect(200);
        assert_eq!(number(&answer, "x-ratelimit-limit"), limit, "{settings}");
        assert_eq!(remaining(&answer), limit - 1, "{settings}");
    }
}

#[test]
fn a_plan_changed_in_mid_window_keeps_what_was_used() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({"plan": "free"}));
    assert_eq!(passed(&server, &key, 11), 10);
    patch(&server, &made, &json!({"plan": "professional"}));
    assert_eq!(remaining(&server.call(&key, own()).expect(200)), 300 - 11);
    patch(&server, &made, &json!({"plan": "free"}));
    let refused = server.call(&key, own()).expect_error(429, "rate_limit_exceeded");
    assert_eq!((remaining(&refused), number(&refused, "x-ratelimit-limit")), (0, 10));
    // A limit of its own, lowered below what is used, and a restart.
    patch(&server, &made, &json!({"requests_per_minute": 2}));
    let server = server.restart();
    let refused = server.call(&key, own()).expect_error(429, "rate_limit_exceeded");
    server.pass(number(&refused, "retry-after"));
    assert_eq!(passed(&server, &key, 5), 2);
}

#[test]
fn a_stepped_wall_clock_locks_nobody_out_and_gives_nobody_a_free_window() {
    for step in [-HOUR, HOUR] {
        for restart in [false, true] {
            let mut server = TestServer::start();
            let (key, _) = server.key(json!({"requests_per_minute": 10}));
            assert_eq!(passed(&server, &key, 10), 10);
            server.clock.step_wall(step);
            if restart {
                server = server.restart();
            }
            let name = format!("stepped by {step} ms, restarted: {restart}");
            let refused = server.call(&key, own());
            assert_eq!(refused.status, 429, "{name}");
            assert_eq!(number(&refused, "retry-after"), 60, "{name}");
            server.clock.step_wall(-step);
            assert_eq!(passed(&server, &key, 1), 0, "{name}, and back");
            server.pass(60);
            assert_eq!(passed(&server, &key, 11), 10, "{name}");
        }
    }
}

#[test]
fn a_window_goes_on_after_a_boot() {
    // How much the wall clock is off by after the boot, and when the window opens again.
    for (step, wait) in [(0, 30), (-HOUR, 60), (-HOUR * 24, 60)] {
        let mut server = TestServer::start();
        let (key, _) = server.key(json!({"requests_per_minute": 10}));
        assert_eq!(passed(&server, &key, 10), 10);
        server.stop();
        server.pass(30);
        server.clock.reboot();
        server.clock.step_wall(step);
        let server = server.restart();
        let refused = server.call(&key, own()).expect_error(429, "rate_limit_exceeded");
        assert_eq!(number(&refused, "retry-after"), wait, "stepped by {step} ms");
        server.pass(wait);
        assert_eq!(passed(&server, &key, 11), 10, "stepped by {step} ms");
    }
}

#[test]
fn a_boot_after_a_quiet_minute_finds_all_of_the_limit() {
    let mut server = TestServer::start();
    let (key, _) = server.key(json!({"requests_per_minute": 10}));
    assert_eq!(passed(&server, &key, 10), 10);
    server.stop();
    server.pass(61);
    server.clock.reboot();
    let server = server.restart();
    assert_eq!(passed(&server, &key, 11), 10);
}

#[test]
fn an_expiry_follows_the_wall_clock() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"expires_in": "30m"}));
    server.call(&key, own()).expect(200);
    server.clock.step_wall(HOUR);
    server.call(&key, own()).expect_error(401, "expired_api_key");
    server.clock.step_wall(-HOUR);
    let server = server.restart();
    server.call(&key, own()).expect(200);
    server.pass(1_800);
    server.call(&key, own()).expect_error(401, "expired_api_key");
}

#[test]
fn what_is_admitted_counts_and_what_is_refused_does_not() {
    let (_upstream, server) = moody();
    let settings = json!({"requests_per_minute": 1000, "scopes": ["chats:create"], "allowed_models": ["*"]});
    let (key, made) = server.key(settings);
    let mut left = 1000;
    let mut check = |name: &str, request: Request, status: u16, counts: bool| {
        let answer = server.call(&key, request);
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        left -= u64::from(counts);
        assert_eq!(remaining(&answer), left, "{name}");
    };
    for (model, status) in
        [("ok", 200), ("400", 400), ("401", 502), ("404", 404), ("429", 429), ("500", 502), ("gone", 502)]
    {
        check(model, ask(model), status, true);
    }
    check("bad JSON", ask("ok").body("{"), 400, true);
    check("too large", ask("ok").header("Content-Length", "99999999999"), 413, true);
    check("another scope", Request::get("/v1/models"), 403, false);
    check("no such route", Request::get("/v1/nothing"), 404, false);
    check("wrong method", Request::get("/v1/chat/completions"), 405, false);
    check("wrong signature", ask("ok").header("X-MCP-Signature", "00"), 401, true);
    patch(&server, &made, &json!({"allowed_models": ["other"]}));
    check("another model", ask("ok"), 403, true);
    patch(&server, &made, &json!({"allowed_models": null, "require_signature": true}));
    check("no signature", ask("ok"), 401, true);
    patch(&server, &made, &json!({"allowed_ips": ["192.0.2.0/24"], "require_signature": false}));
    check("another address", ask("ok"), 403, false);
    patch(&server, &made, &json!({"allowed_ips": [], "enabled": false}));
    server.call(&key, ask("ok")).expect_error(401, "invalid_api_key");
    patch(&server, &made, &json!({"enabled": true}));
    check("the next one", ask("ok"), 200, true);
}

/// One member of an RFC 9651 list whose members are strings with integer parameters, as the draft has them.
fn parse_structured(field: &str) -> (String, Vec<(String, i64)>) {
    let rest = field.strip_prefix('"').expect("a string comes first");
    let (name, mut rest) = rest.split_once('"').expect("the string ends");
    assert!(name.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'\\'), "{field}");
    let mut parameters = Vec::new();
    while let Some(parameter) = rest.strip_prefix(';') {
        let parameter = parameter.trim_start_matches(' ');
        let end = parameter.find(';').unwrap_or(parameter.len());
        let (key, value) = parameter[..end].split_once('=').expect("a value");
        let mut letters = key.bytes();
        assert!(letters.next().is_some_and(|first| first.is_ascii_lowercase() || first == b'*'), "{field}");
        assert!(letters.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.*".contains(&b)));
        let digits = value.strip_prefix('-').unwrap_or(value);
        assert!((1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()), "{field}");
        parameters.push((key.to_owned(), value.parse().unwrap()));
        rest = &parameter[end..];
    }
    assert_eq!(rest, "", "one member, and nothing behind it: {field}");
    (name.to_owned(), parameters)
}

/// Checks the headers about the limit against each other; returns limit, remainder and reset.
fn check_headers(name: &str, headers: &[(String, String)]) -> (i64, i64, i64) {
    let one = |header: &str| {
        let values: Vec<_> = headers.iter().filter(|(known, _)| known == header).collect();
        assert_eq!(values.len(), 1, "{name}: {header}");
        values[0].1.as_str()
    };
    let parameter = |(_, parameters): &(String, Vec<(String, i64)>), key: &str| {
        parameters.iter().find(|(known, _)| known == key).unwrap_or_else(|| panic!("{name}: {key}")).1
    };
    let (policy, state) = (parse_structured(one("ratelimit-policy")), parse_structured(one("ratelimit")));
    assert_eq!(policy.0, state.0, "{name}");
    assert_eq!(parameter(&policy, "w"), 60, "{name}");
    let (q, r, t) = (parameter(&policy, "q"), parameter(&state, "r"), parameter(&state, "t"));
    assert!((1..=60).contains(&t) && (0..=q).contains(&r), "{name}: q={q} r={r} t={t}");
    let legacy = ["limit", "remaining", "reset"].map(|word| one(&format!("x-ratelimit-{word}")).to_owned());
    assert_eq!(legacy, [q, r, t].map(|number| number.to_string()), "{name}");
    (q, r, t)
}

#[test]
fn every_answer_to_a_live_key_tells_its_limit() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({"requests_per_minute": 5}));
    let check = |name: &str, request: Request, status: u16, left: i64| {
        let stream = request.bearer(&key).open(server.public);
        assert_eq!(stream.status, status, "{name}");
        let (q, r, _) = check_headers(name, &stream.headers);
        assert_eq!((q, r), (5, left), "{name}");
        stream.finish()
    };
    check("plain", ask("m"), 200, 4);
    check("stream", ask_stream("m"), 200, 3);
    check("bad JSON", ask("m").body("{"), 400, 2);
    check("no such model", Request::get("/v1/models/none"), 404, 1);
    check("no such route", Request::get("/v1/nothing"), 404, 1);
    check("wrong method", Request::new("DELETE", "/v1/models"), 405, 1);
    check("wrong signature", ask("m").header("X-MCP-Signature", "00"), 401, 0);
    let refused = check("limited", ask("m"), 429, 0);
    assert_eq!(refused.header("retry-after"), refused.header("x-ratelimit-reset"));
    patch(&server, &made, &json!({"allowed_ips": ["192.0.2.1"]}));
    check("another address", ask("m"), 403, 0);
    patch(&server, &made, &json!({"allowed_ips": null, "scopes": ["files:read"]}));
    check("another scope", ask("m"), 403, 0);
    for (name, request) in [("no key", ask("m")), ("a stranger's", ask("m").bearer("mcp_sk_x"))] {
        let answer = request.send(server.public).expect(401);
        assert!(!answer.headers.iter().any(|(name, _)| name.contains("ratelimit")), "{name}");
    }
}

#[test]
fn waiting_exactly_as_long_as_told_is_enough() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"requests_per_minute": 3}));
    for step in [0, 1, 333, 999, 1_000, 1_001, 7_500, 30_000] {
        for _ in 0..3 {
            server.call(&key, own()).expect(200);
            server.clock.advance(Duration::from_millis(step / 3));
        }
        let refused = server.call(&key, own());
        if refused.status == 429 {
            let (_, r, t) = check_headers("limited", &refused.headers);
            let wait = number(&refused, "retry-after");
            assert_eq!(r, 0);
            assert!(wait >= t.cast_unsigned() && t >= 1, "{wait} s, t={t}");
            assert_eq!(passed(&server, &key, 3), 0);
            server.pass(wait);
            assert_eq!(server.call(&key, own()).status, 200, "steps of {step} ms");
        }
        server.pass(61);
    }
}

#[test]
fn guessing_is_slowed_and_waiting_as_told_is_enough() {
    let server = TestServer::setup().toml("limits.failed_auth_per_minute = 3").start();
    let guess = || own().bearer("mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38").send(server.public);
    (0..3).for_each(|_| drop(guess().expect_error(401, "invalid_api_key")));
    server.clock.advance(Duration::from_millis(500));
    let refused = guess().expect_error(429, "too_many_failed_attempts");
    assert_eq!(refused.header("ratelimit"), None);
    server.call(&server.default_key(), own()).expect(200);
    own().send(server.public).expect_error(401, "missing_api_key");
    server.pass(number(&refused, "retry-after"));
    guess().expect_error(401, "invalid_api_key");
}
