//! Usage: every answered request counts once, however it ends and however it is looked at.

mod floods;
mod kinds;
pub mod large;
mod time_zones;
mod upgrade;
mod verify;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::upstream::{begin_stream, send_event, wait_for_close, write_json};
use crate::harness::{Answer, Binary, FakeUpstream, Request, TestServer, eventually};

const CHAT: &str = "/v1/chat/completions";
/// A key as it might have been made by another mcpd.
const UNKNOWN: &str = "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38";

/// An upstream whose user message says what it is to do.
fn obedient() -> FakeUpstream {
    FakeUpstream::start(|seen, connection| {
        match seen.json()["messages"][0]["content"].as_str().unwrap() {
            "answer" => {
                write_json(connection, 200, &json!({"usage": {"prompt_tokens": 5, "completion_tokens": 2}}));
            }
            "refuse" => write_json(connection, 400, &json!({"error": "no"})),
            "fail" => write_json(connection, 500, &json!({"error": "no"})),
            "forbid" => write_json(connection, 401, &json!({"error": "no"})),
            "limit" => write_json(connection, 429, &json!({"error": "no"})),
            "garbage" => {
                let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>");
            }
            "hang up" => return false,
            "stall" => return wait_for_close(connection),
            "stream" => {
                begin_stream(connection);
                send_event(connection, "{\"choices\":[1]}");
                send_event(
                    connection,
                    "{\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}",
                );
                send_event(connection, "[DONE]");
                return false;
            }
            "break off" => {
                begin_stream(connection);
                send_event(connection, "{\"choices\":[1]}");
                return false;
            }
            "fault" => {
                begin_stream(connection);
                send_event(connection, "{\"choices\":[1]}");
                send_event(connection, "{\"error\":{\"message\":\"no\"}}");
                return false;
            }
            "hang" => {
                begin_stream(connection);
                send_event(connection, "{\"choices\":[1]}");
                return wait_for_close(connection);
            }
            other => panic!("{other}"),
        }
        true
    })
}

fn serving(upstream: &FakeUpstream) -> TestServer {
    TestServer::setup().upstream("fake", upstream.address, &["m", "n"]).start()
}

fn chat(model: &str, text: &str) -> Request {
    let stream = matches!(text, "stream" | "break off" | "fault" | "hang");
    let messages = json!([{"role": "user", "content": text}]);
    Request::post(CHAT, &json!({"model": model, "stream": stream, "messages": messages}))
}

fn usage(server: &TestServer, query: &str) -> Value {
    server.admin(Request::get(&format!("/admin/v1/usage?{query}"))).expect(200).json()
}

fn sum(usage: &Value, figure: &str) -> u64 {
    usage["data"].as_array().unwrap().iter().map(|row| row[figure].as_u64().unwrap()).sum()
}

/// Requests by a word for each value of the group.
fn by(server: &TestServer, group: &str) -> BTreeMap<String, u64> {
    let rows = server.usage(group);
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    rows.iter().map(|row| (word(&row[group]), row["requests"].as_u64().unwrap())).collect()
}

fn counts<'a>(expected: impl IntoIterator<Item = (&'a str, u64)>) -> BTreeMap<String, u64> {
    expected.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

fn id(made: &Value) -> &str {
    made["id"].as_str().unwrap()
}

#[test]
fn every_answered_request_counts_exactly_once_in_every_grouping() {
    const N: u64 = 3;
    let upstream = obedient();
    let server = serving(&upstream);
    let (key, made) = server.key(json!({"allowed_models": ["m", "n", "ghost"]}));
    let (narrow, narrow_made) = server.key(json!({"scopes": ["models:read"]}));
    let (limited, limited_made) = server.key(json!({"requests_per_minute": 1}));
    let (gone, gone_made) = server.key(json!({}));
    let (local, local_made) = server.key(json!({"allowed_ips": ["192.0.2.1"]}));
    let (old, old_made) = server.key(json!({"expires_in": "1h"}));
    let (signing, signing_made) = server.key(json!({"require_signature": true}));
    server.admin(Request::post(&format!("/admin/v1/keys/{}/revoke", id(&gone_made)), &json!({}))).expect(200);
    server.pass(3600);
    server.call(&limited, Request::get("/v1/key")).expect(200);

    let bad_json = Request::new("POST", CHAT).header("Content-Type", "application/json").body("{");
    let cases: Vec<(Option<&str>, Request, u16)> = vec![
        (Some(&key), chat("m", "answer"), 200),
        (Some(&key), chat("n", "answer"), 200),
        (Some(&key), chat("m", "refuse"), 400),
        (Some(&key), chat("m", "fail"), 502),
        (Some(&key), chat("ghost", "answer"), 404),
        (Some(&key), chat("forbidden", "answer"), 403),
        (Some(&key), bad_json, 400),
        (Some(&key), Request::get("/v1/models/m"), 200),
        (Some(&key), Request::get("/v1/models/ghost"), 404),
        (Some(&key), Request::get("/v1/nothing"), 404),
        (Some(&key), Request::get(CHAT), 405),
        (Some(&narrow), chat("m", "answer"), 403),
        (Some(&limited), chat("m", "answer"), 429),
        (Some(&gone), chat("m", "answer"), 401),
        (Some(&gone), Request::get("/v1/nothing"), 401),
        (Some(&local), chat("m", "answer"), 403),
        (Some(&old), chat("m", "answer"), 401),
        (Some(&signing), chat("m", "answer"), 401),
        (Some(UNKNOWN), chat("m", "answer"), 401),
        (Some("nonsense"), chat("m", "answer"), 401),
        (None, chat("m", "answer"), 401),
        (None, Request::get("/v1/nothing"), 401),
    ];
    for (key, request, status) in &cases {
        for _ in 0..N {
            let request = key.iter().fold(request.clone(), |request, key| request.bearer(key));
            let answer = request.send(server.public);
            assert_eq!(answer.status, *status, "{request:?}");
        }
    }
    for _ in 0..N {
        assert_eq!(chat("m", "stream").bearer(&key).open(server.public).events().len(), 2);
        assert_eq!(chat("m", "break off").bearer(&key).open(server.public).events().len(), 2);
        chat("m", "hang").bearer(&key).open(server.public).event().unwrap();
    }
    // What nobody's key is asked for counts for nobody.
    for path in ["/healthz", "/readyz", "/openapi.json", "/elsewhere"] {
        Request::get(path).send(server.public);
    }
    // The first call of the limited key, each case and three kinds of streams.
    let all = 1 + N * (cases.len() as u64 + 3);
    eventually("all are counted", || usage(&server, "step=day")["totals"]["requests"] == all);

    let expected = counts([
        ("200", 1 + 4 * N),
        ("400", 2 * N),
        ("401", 8 * N),
        ("403", 3 * N),
        ("404", 3 * N),
        ("405", N),
        ("429", N),
        ("499", N),
        ("502", 2 * N),
    ]);
    assert_eq!(by(&server, "status"), expected);
    let expected = counts([
        (id(&made), 14 * N),
        (id(&narrow_made), N),
        (id(&limited_made), 1 + N),
        (id(&gone_made), 2 * N),
        (id(&local_made), N),
        (id(&old_made), N),
        (id(&signing_made), N),
        ("null", 4 * N),
    ]);
    assert_eq!(by(&server, "key"), expected);
    let by_endpoint = by(&server, "endpoint");
    assert_eq!((by_endpoint["/v1/models/{id}"], by_endpoint["/v1/key"]), (2 * N, 1));
    assert_eq!(by_endpoint.keys().filter(|endpoint| endpoint.contains("nothing")).count(), 0);
    let by_model = by(&server, "model");
    assert_eq!((by_model["m"], by_model["n"]), (7 * N, N));
    assert_eq!(by_model.keys().collect::<Vec<_>>(), ["m", "n", "null"], "no made-up names");

    totals_agree(&server, all);
    metrics_agree(&server, all);
    watchers_agree(&server, &expected);
}

/// Checks that who was seen with each key, and how each was used, count the same, and that all of it adds up.
fn watchers_agree(server: &TestServer, by_key: &BTreeMap<String, u64>) {
    let verified = server.admin(Request::get("/admin/v1/usage/verify")).expect(200).json();
    assert_eq!(verified["ok"], true, "{verified}");
    let database = Connection::open(server.path("mcpd.db")).unwrap();
    for table in ["sightings", "profiles"] {
        let counted: BTreeMap<String, u64> = database
            .prepare(&format!("SELECT key_id, sum(requests) FROM {table} GROUP BY key_id"))
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let named = by_key.iter().filter(|(key, _)| *key != "null");
        assert_eq!(counted, named.map(|(key, count)| (key.clone(), *count)).collect(), "{table}");
    }
}

/// Checks that the totals and the sums over rows are the same, whatever they are grouped by.
fn totals_agree(server: &TestServer, all: u64) {
    let figures =
        ["requests", "errors", "prompt_tokens", "completion_tokens", "estimated", "bytes_in", "bytes_out"];
    let reference = usage(server, "step=day")["totals"].clone();
    assert_eq!(reference["requests"], all);
    for step in ["minute", "hour", "day"] {
        for group in ["", "key", "endpoint", "status", "model", "key,endpoint,status,model"] {
            let usage = usage(server, &format!("step={step}&group_by={group}"));
            for figure in figures {
                assert_eq!(
                    sum(&usage, figure),
                    reference[figure].as_u64().unwrap(),
                    "{figure} by {step} and {group}"
                );
            }
            assert_eq!(usage["totals"], reference, "{step} and {group}");
        }
    }
    let keys: u64 = by(server, "key")
        .into_iter()
        .filter(|(key, _)| key != "null")
        .map(|(key, requests)| {
            assert_eq!(usage(server, &format!("step=day&key={key}"))["totals"]["requests"], requests);
            requests
        })
        .sum();
    assert_eq!(keys + by(server, "key")["null"], all);
}

/// Checks that the metrics count the same.
fn metrics_agree(server: &TestServer, all: u64) {
    let metrics = server.admin(Request::get("/metrics")).expect(200).text();
    let sum = |name: &str| -> u64 {
        let lines =
            metrics.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    assert_eq!(sum("mcpd_requests_total"), all);
    assert_eq!(sum("mcpd_request_duration_seconds_count"), all);
    let totals = usage(server, "step=day")["totals"].clone();
    let tokens = totals["prompt_tokens"].as_u64().unwrap() + totals["completion_tokens"].as_u64().unwrap();
    assert_eq!(sum("mcpd_tokens_total"), tokens);
}

#[test]
fn tokens_bytes_and_errors_are_summed_up() {
    let upstream = obedient();
    let server = serving(&upstream);
    let (key, _) = server.key(json!({}));
    let (mut bytes_in, mut bytes_out) = (0, 0);
    for text in ["answer", "answer", "stream", "refuse"] {
        let request = chat("m", text);
        let wire = request.bytes();
        bytes_in += wire.len() - (wire.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4);
        bytes_out += server.call(&key, request).body.len();
    }
    let totals = &usage(&server, "step=minute")["totals"];
    assert_eq!((&totals["requests"], &totals["errors"]), (&json!(4), &json!(1)));
    assert_eq!(totals["error_rate"], 0.25);
    assert_eq!((&totals["prompt_tokens"], &totals["completion_tokens"]), (&json!(15), &json!(5)));
    assert_eq!(totals["estimated"], 0);
    assert_eq!((&totals["bytes_in"], &totals["bytes_out"]), (&json!(bytes_in), &json!(bytes_out)));
}

#[test]
fn an_answer_of_the_echo_counts_the_same_streamed_or_not() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let streamed =
        json!({"model": "x", "stream": true, "messages": [{"role": "user", "content": "One two three"}]});
    for (model, request) in [("m", Request::chat("One two three")), ("x", Request::post(CHAT, &streamed))] {
        let body = server.call(&key, request).expect(200).body;
        let rows = server.usage("model");
        let row = rows.iter().find(|row| row["model"] == model).unwrap();
        assert_eq!((&row["bytes_out"], &row["estimated"]), (&json!(body.len()), &json!(0)), "{model}");
    }
    let rows = server.usage("model");
    assert_eq!(rows[0]["prompt_tokens"], rows[1]["prompt_tokens"]);
    assert_eq!(rows[0]["completion_tokens"], rows[1]["completion_tokens"]);
}

#[test]
fn each_byte_of_a_long_answer_counts_streamed_or_not() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let mut all = 0;
    // Some of them are handed over in one piece, and some in several.
    for words in [300, 3_000, 30_000] {
        let text = "word ".repeat(words);
        let streamed = json!({"model": "x", "stream": true, "messages": [{"role": "user", "content": text}]});
        for request in [Request::chat(&text), Request::post(CHAT, &streamed)] {
            all += server.call(&key, request).expect(200).body.len();
            assert_eq!(usage(&server, "step=day")["totals"]["bytes_out"], json!(all), "{words} words");
        }
    }
}

#[test]
fn latency_lasts_from_the_head_to_the_end_of_the_answer() {
    let upstream = obedient();
    let server = serving(&upstream);
    let (key, _) = server.key(json!({}));
    for _ in 0..9 {
        server.call(&key, chat("m", "answer")).expect(200);
    }
    let mut stream = chat("n", "hang").bearer(&key).open(server.public);
    stream.event().unwrap();
    server.pass(20);
    drop(stream);
    eventually("the stream is counted", || usage(&server, "step=day")["totals"]["requests"] == 10);
    let latency = &usage(&server, "step=day")["totals"]["latency_ms"];
    assert_eq!((&latency["max"], &latency["mean"]), (&json!(20_000.0), &json!(2_000.0)));
    assert!(latency["p50"].as_f64().unwrap() < 1.0, "{latency}");
    let p99 = latency["p99"].as_f64().unwrap();
    assert!((15_000.0..=20_000.0).contains(&p99), "{p99}");
    let rows = server.usage("model");
    let max: Vec<_> = rows.iter().map(|row| row["latency_ms"]["max"].as_f64().unwrap()).collect();
    assert_eq!(max, [0.0, 20_000.0]);
}

#[test]
fn a_request_counts_in_the_minute_that_it_began_in() {
    let upstream = obedient();
    let server = serving(&upstream);
    let (key, made) = server.key(json!({}));
    let mut stream = chat("m", "hang").bearer(&key).open(server.public);
    stream.event().unwrap();
    server.pass(120);
    drop(stream);
    eventually("it is counted", || usage(&server, "step=minute")["totals"]["requests"] == 1);
    let start = usage(&server, "step=minute")["data"][0]["start"].as_str().unwrap().to_owned();
    assert_eq!(start[..16], made["created_at"].as_str().unwrap()[..16]);
}

#[test]
fn the_last_use_of_a_key_is_noted_with_its_address() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({"allowed_models": ["m"]}));
    let read = || {
        // Reading usage writes out what was counted.
        server.usage("");
        server.admin(Request::get(&format!("/admin/v1/keys/{}", id(&made)))).expect(200).json()
    };
    assert_eq!((&read()["last_used_at"], &read()["last_used_ip"]), (&Value::Null, &Value::Null));
    server.call(&key, Request::chat("Hi")).expect(200);
    let first = read();
    assert_eq!(first["last_used_ip"], "127.0.0.1");
    server.pass(61);
    server.call(&key, Request::get("/v1/models")).expect(200);
    let second = read();
    assert!(first["last_used_at"].as_str() < second["last_used_at"].as_str(), "{first} {second}");
    // Who was not let through has not used it.
    server.admin(Request::post(&format!("/admin/v1/keys/{}/revoke", id(&made)), &json!({}))).expect(200);
    server.pass(61);
    server.call(&key, Request::chat("Hi")).expect(401);
    assert_eq!(read()["last_used_at"], second["last_used_at"]);
}

#[test]
fn days_are_utc_days_and_no_request_is_in_two() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({}));
    let text = made["created_at"].as_str().unwrap();
    let (hour, minute, second): (u64, u64, u64) =
        (text[11..13].parse().unwrap(), text[14..16].parse().unwrap(), text[17..19].parse().unwrap());
    // Half a minute before midnight; three requests, then over midnight, and two more; one an hour later.
    server.pass(86_400 - 30 - (hour * 3600 + minute * 60 + second));
    for (count, then) in [(3, 60), (2, 3600), (1, 0)] {
        for _ in 0..count {
            server.call(&key, Request::get("/v1/key")).expect(200);
        }
        server.pass(then);
    }
    let requests = |query: &str| -> Vec<u64> {
        let usage = usage(&server, query);
        usage["data"].as_array().unwrap().iter().map(|row| row["requests"].as_u64().unwrap()).collect()
    };
    assert_eq!(requests("step=day"), [3, 3]);
    assert_eq!(requests("step=hour"), [3, 2, 1]);
    assert_eq!(requests("step=minute"), [3, 2, 1]);
    let days = usage(&server, "step=day");
    let starts: Vec<_> =
        days["data"].as_array().unwrap().iter().map(|row| row["start"].as_str().unwrap()).collect();
    assert!(starts.iter().all(|start| start.contains("T00:00:00")) && starts[0] < starts[1], "{starts:?}");

    // Neighbouring ranges share nothing and leave nothing out, whatever the offset they are written with.
    let midnight = &starts[1][..10];
    for step in ["minute", "hour", "day"] {
        let before = usage(
            &server,
            &format!("step={step}&from={}T00:00:00Z&to={midnight}T00:00:00Z", &starts[0][..10]),
        );
        let after = usage(&server, &format!("step={step}&from={midnight}T00:00:00Z"));
        assert_eq!(
            (&before["totals"]["requests"], &after["totals"]["requests"]),
            (&json!(3), &json!(3)),
            "{step}"
        );
    }
    for (offset, local) in [("%2B05:30", "05:30:00"), ("%2B02:00", "02:00:00"), ("%2B14:00", "14:00:00")] {
        let after = usage(&server, &format!("step=minute&from={midnight}T{local}{offset}"));
        assert_eq!(after["totals"]["requests"], 3, "{offset}");
    }
}

#[test]
fn parameters_that_make_no_sense_are_refused_by_name() {
    let server = TestServer::start();
    let cases = [
        ("step=week", "step"),
        ("group_by=colour", "group_by"),
        ("group_by=key,", ""),
        ("from=yesterday", "from"),
        ("to=2026-13-01T00:00:00Z", "to"),
        ("from=2026-05-02T00:00:00Z&to=2026-05-01T00:00:00Z", "from"),
        ("key=mcpd", "key"),
        ("limit=1", "limit"),
        ("step=day&step=hour", "step"),
    ];
    for (query, named) in cases {
        let answer = server.admin(Request::get(&format!("/admin/v1/usage?{query}")));
        if named.is_empty() {
            answer.expect(200);
            continue;
        }
        let answer = answer.expect_error(400, "invalid_request");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(named), "{query}: {message}");
    }
    let usage = usage(&server, "");
    assert_eq!(
        (&usage["step"], &usage["group_by"], &usage["data"]),
        (&json!("hour"), &json!([]), &json!([]))
    );
    assert!(usage["from"].is_string() && usage["to"].is_string());
    let nobody = "key=key_AAAAAAAAAAAAAAAAAAAAAAAA";
    let answer: Answer = server.admin(Request::get(&format!("/admin/v1/usage?{nobody}")));
    assert_eq!(answer.expect(200).json()["totals"]["requests"], 0);
}

#[test]
fn a_deleted_key_keeps_its_usage_and_a_restart_loses_nothing() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({}));
    for _ in 0..5 {
        server.call(&key, Request::chat("Hi")).expect(200);
    }
    server.admin(Request::new("DELETE", &format!("/admin/v1/keys/{}", id(&made)))).expect(200);
    server.call(&key, Request::chat("Hi")).expect_error(401, "invalid_api_key");
    let before = usage(&server, "step=minute&group_by=key,status");
    assert_eq!(by(&server, "key"), counts([(id(&made), 5), ("null", 1)]));
    let server = server.restart();
    assert_eq!(usage(&server, "step=minute&group_by=key,status"), before);
    let asked = usage(&server, &format!("step=day&key={}", id(&made)));
    assert_eq!(asked["totals"]["requests"], 5);
}

#[test]
fn a_clean_stop_writes_down_what_was_counted_last() {
    let server = TestServer::setup().toml("usage.flush_milliseconds = 60000").start();
    let (key, _) = server.key(json!({}));
    for _ in 0..7 {
        server.call(&key, Request::chat("Hi")).expect(200);
    }
    let server = server.restart();
    assert_eq!(usage(&server, "step=day")["totals"]["requests"], 7);
}

#[test]
fn kill_9_loses_no_more_than_a_flush_interval() {
    let binary = Binary::start("usage.flush_milliseconds = 200\n");
    let key = binary.default_key();
    let ask = |binary: &Binary, count: usize| {
        for _ in 0..count {
            binary.call(&key, Request::chat("Hi")).expect(200);
        }
    };
    ask(&binary, 20);
    std::thread::sleep(Duration::from_millis(600));
    ask(&binary, 10);
    let binary = Binary::start_in(binary.end("KILL"));
    ask(&binary, 1);
    let usage = binary.admin(Request::get("/admin/v1/usage?step=day")).expect(200).json();
    let counted = usage["totals"]["requests"].as_u64().unwrap();
    assert!((21..=31).contains(&counted), "{counted}");
    for step in ["minute", "hour"] {
        let usage = binary.admin(Request::get(&format!("/admin/v1/usage?step={step}"))).expect(200).json();
        assert_eq!(usage["totals"]["requests"], counted, "{step}: all steps are written at once");
    }
}

#[test]
fn figures_by_the_minute_are_kept_as_long_as_was_said() {
    let server = TestServer::setup().toml("usage.keep_minutes = \"2h\"\nusage.keep_hours = \"2d\"").start();
    let (key, _) = server.key(json!({}));
    let counted = |server: &TestServer, step: &str| {
        let from = "2020-01-01T00:00:00Z";
        usage(server, &format!("step={step}&from={from}"))["totals"]["requests"].as_u64().unwrap()
    };
    let counted = |server: &TestServer| ["minute", "hour", "day"].map(|step| counted(server, step));
    server.call(&key, Request::get("/v1/key")).expect(200);
    server.pass(3600);
    server.call(&key, Request::get("/v1/key")).expect(200);
    assert_eq!(counted(&server), [2, 2, 2]);
    // What is past its time is cleared away at a start, among others.
    server.pass(3600 - 120);
    let server = server.restart();
    assert_eq!(counted(&server), [2, 2, 2]);
    server.pass(300);
    let server = server.restart();
    assert_eq!(counted(&server), [1, 2, 2]);
    server.pass(3 * 86_400);
    let server = server.restart();
    assert_eq!(counted(&server), [0, 0, 2]);
    server.pass(400 * 86_400);
    let server = server.restart();
    server.call(&key, Request::get("/v1/key")).expect(200);
    assert_eq!(counted(&server)[2], 3);
}

#[test]
fn many_at_once_are_all_counted() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut connection = TcpStream::connect(server.public).unwrap();
                let request = Request::get("/v1/key").header("Connection", "keep-alive").bearer(&key).bytes();
                connection.write_all(&request.repeat(25)).unwrap();
                eventually("all are answered", || {
                    usage(&server, "step=day")["totals"]["requests"].as_u64() >= Some(400)
                });
            });
        }
    });
    assert_eq!(usage(&server, "step=day")["totals"]["requests"], 400);
}

#[test]
fn an_absurd_usage_figure_stops_nothing() {
    let usage = json!({"prompt_tokens": i64::MAX, "completion_tokens": u64::MAX});
    let upstream = FakeUpstream::json(200, json!({"choices": [], "usage": usage}));
    let server = TestServer::setup().upstream("u", upstream.address, &["m"]).start();
    let (key, _) = server.key(json!({}));
    for _ in 0..3 {
        server.call(&key, Request::chat("Hi")).expect(200);
    }
    let server = server.restart();
    server.call(&key, Request::chat("Hi")).expect(200);
    assert_eq!(server.usage("")[0]["requests"], 4);
}

#[test]
fn the_thread_that_writes_usage_gives_way_to_requests() {
    let binary = Binary::start("");
    let nice = |name: &str| -> i64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", binary.pid())).unwrap();
        let stats = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")).ok());
        let stat = stats.into_iter().find(|stat| stat.contains(&format!("({name})"))).expect("the thread");
        // Behind the name, the seventeenth: see proc_pid_stat(5).
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap()
    };
    assert_eq!(nice("keeper"), nice("mcpd").max(5));
}
