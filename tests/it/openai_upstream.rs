//! OpenAI-compatible upstreams: what reaches them, and what of their answers reaches the client.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use mcpd::clock::ManualClock;
use serde_json::{Value, json};

use crate::harness::upstream::{wait_for_close, write_json};
use crate::harness::{Answer, FakeUpstream, Request, TestServer, eventually};

const CHAT: &str = "/v1/chat/completions";

/// Answers with a head line, more headers and a body, all as they are told.
fn reply(connection: &mut TcpStream, status: u16, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status} Told\r\n{headers}content-length: {}\r\n\r\n", body.len());
    let _ = connection.write_all(&[head.as_bytes(), body].concat());
}

fn answer() -> Value {
    json!({"object": "chat.completion", "model": "own-word", "choices": [{"message": {"content": "Hi"}}]})
}

fn serving(upstream: &FakeUpstream, models: &[&str]) -> TestServer {
    TestServer::setup().upstream("fake", upstream.address, models).start()
}

fn chat_with(model: &str) -> Request {
    Request::post(CHAT, &json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]}))
}

/// An address that nobody listens at.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn bodies_pass_through_byte_for_byte_both_ways() {
    const SENT: &str = concat!(
        " { \"model\" :\t\"m\",\n\"messages\":[{\"role\":\"user\",\"content\":\"\\u00e9 é \\/\",\"x\":1.50}],",
        "\"temperature\":1e-0,\"seed\":123456789012345678901234567890,\"model_\":\"other\",",
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"a\" : -0.0}}}],",
        "\"unknown\":{\"b\":null,\"a\":[ ],\"model\":\"inner\",\"b\":1}}\r\n"
    );
    const ANSWERED: &str = concat!(
        "\n{\"id\":\"x\" , \"created\":1.0E+3,\"choices\":[{\"message\":{\"tool_calls\":[{\"id\":\"t\",",
        "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\": 1}\"}}]}}],\"extra\":[ ],",
        "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"odd\":0.10}} \n"
    );
    let upstream = FakeUpstream::start(|_, connection| {
        reply(connection, 200, "content-type: application/json; charset=utf-8\r\n", ANSWERED.as_bytes());
        true
    });
    let server = serving(&upstream, &["m"]);
    let (key, _) = server.key(json!({}));
    for path in [CHAT, "/v1/completions"] {
        let body = if path == CHAT { SENT.to_owned() } else { SENT.replace("\"messages\"", "\"prompt\"") };
        let request =
            Request::new("POST", path).header("Content-Type", "application/json").body(body.clone());
        let answer = server.call(&key, request).expect(200);
        assert_eq!(answer.text(), ANSWERED);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let seen = upstream.seen().pop().unwrap();
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", path));
        assert_eq!(String::from_utf8(seen.body.clone()).unwrap(), body);
        assert_eq!(seen.header("content-type"), Some("application/json"));
    }
}

#[test]
fn a_large_body_passes_through_whole() {
    let upstream = FakeUpstream::start(|seen, connection| {
        reply(connection, 200, "", &seen.body);
        true
    });
    let server = serving(&upstream, &["m"]);
    let (key, _) = server.key(json!({}));
    let request = Request::chat(&"lots of words ".repeat(400_000));
    let answer = server.call(&key, request.clone()).expect(200);
    assert_eq!(answer.body, upstream.seen()[0].body);
    assert!(request.bytes().ends_with(&answer.body));
}

#[test]
fn an_alias_is_the_upstreams_own_name_there_and_the_answer_keeps_its_word() {
    let upstream = FakeUpstream::json(200, answer());
    let base = upstream.address;
    let server = TestServer::setup()
        .toml(&format!(
            "[[upstreams]]\nname = \"fake\"\nkind = \"openai\"\nbase_url = \"http://{base}\"\n\
             models = {{ fast = \"llama3:8b \\\"q4\\\"\", \"org/big:70b\" = \"big\" }}"
        ))
        .start();
    let (key, _) = server.key(json!({}));
    for (model, there) in [("fast", "llama3:8b \"q4\""), ("org/big:70b", "big")] {
        let answer = server.call(&key, chat_with(model)).expect(200).json();
        assert_eq!(answer["model"], "own-word");
        let seen = upstream.seen().pop().unwrap();
        assert_eq!((seen.json()["model"].as_str(), seen.target.as_str()), (Some(there), CHAT));
    }
    server.call(&key, chat_with("big")).expect_error(404, "model_not_found");
    assert_eq!(models(&server, &key), ["fast", "org/big:70b"]);
}

fn models(server: &TestServer, key: &str) -> Vec<String> {
    let list = server.call(key, Request::get("/v1/models")).expect(200).json();
    assert_eq!(list["object"], "list");
    let ids = list["data"].as_array().unwrap().iter().map(|model| {
        assert_eq!(model["object"], "model");
        model["id"].as_str().unwrap().to_owned()
    });
    ids.collect()
}

#[test]
fn a_star_asks_the_upstream_and_asks_again_when_somebody_pulled_a_model() {
    let has = Arc::new(Mutex::new(vec!["first"]));
    let told = Arc::clone(&has);
    let upstream = FakeUpstream::start(move |seen, connection| {
        let list: Vec<_> =
            told.lock().unwrap().iter().map(|id| json!({"id": id, "object": "model"})).collect();
        let models = json!({"object": "list", "data": list});
        write_json(connection, 200, &if seen.target == "/v1/models" { models } else { json!({}) });
        true
    });
    let server = serving(&upstream, &["*"]);
    let (key, _) = server.key(json!({}));
    eventually("the upstream is asked for its models", || models(&server, &key) == ["first"]);
    server.call(&key, chat_with("first")).expect(200);
    server.call(&key, chat_with("second")).expect_error(404, "model_not_found");

    has.lock().unwrap().push("second");
    server.pass(2);
    server.call(&key, chat_with("second")).expect(200);
    assert_eq!(models(&server, &key), ["first", "second"]);

    has.lock().unwrap().remove(0);
    server.pass(5);
    assert_eq!(models(&server, &key), ["second"]);
    server.call(&key, chat_with("first")).expect_error(404, "model_not_found");
}

#[test]
fn a_request_right_after_the_start_waits_until_the_models_are_known() {
    let upstream = FakeUpstream::start(|seen, connection| {
        if seen.target != "/v1/models" {
            write_json(connection, 200, &answer());
            return true;
        }
        std::thread::sleep(Duration::from_millis(300));
        write_json(connection, 200, &json!({"data": [{"id": "m"}]}));
        true
    });
    let server = serving(&upstream, &["*"]);
    let (key, _) = server.key(json!({}));
    eventually("the models are being asked for", || !upstream.seen().is_empty());
    assert_eq!(models(&server, &key), ["m"]);
    server.call(&key, chat_with("m")).expect(200);

    let server = serving(&upstream, &["*"]);
    let (key, _) = server.key(json!({}));
    server.call(&key, chat_with("m")).expect(200);
}

#[test]
fn requests_that_wait_for_the_models_wait_for_one_asking_all_together() {
    const WAITING: usize = 6;
    let clock: Arc<OnceLock<Arc<ManualClock>>> = Arc::default();
    let shared = Arc::clone(&clock);
    let (go, went) = channel::<()>();
    let went = Mutex::new(went);
    let upstream = FakeUpstream::start(move |_, connection| {
        // The first is held until all wait; each takes longer than it is until models are asked for again.
        let _ = went.lock().unwrap().recv();
        shared.get().unwrap().advance(Duration::from_secs(5));
        write_json(connection, 500, &json!({}));
        true
    });
    let server = serving(&upstream, &["*"]);
    let _ = clock.set(Arc::clone(&server.clock));
    let (key, _) = server.key(json!({}));
    eventually("the models are being asked for", || !upstream.seen().is_empty());
    let open = |_| {
        let mut connection = TcpStream::connect(server.public).unwrap();
        connection.write_all(&chat_with("m").bearer(&key).bytes()).unwrap();
        connection
    };
    let waiting: Vec<_> = (0..WAITING).map(open).collect();
    // Nothing tells that they wait; one that comes later is answered at once.
    std::thread::sleep(Duration::from_millis(100));
    drop(go);
    for mut connection in waiting {
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
    assert_eq!(upstream.seen().len(), 1);
}

/// What the admin API tells of the upstream's requests.
fn outcomes(server: &TestServer) -> Value {
    let view = server.admin(Request::get("/admin/v1/server")).expect(200).json();
    view["upstreams"][0]["requests"].clone()
}

#[test]
fn models_that_come_too_late_for_a_list_are_there_for_the_next() {
    let (go, went) = channel();
    let (went, asked) = (Mutex::new(went), AtomicUsize::new(0));
    let upstream = FakeUpstream::start(move |_, connection| {
        let (status, body) = if asked.fetch_add(1, Ordering::Relaxed) == 0 {
            (500, json!({}))
        } else {
            let _ = went.lock().unwrap().recv();
            (200, json!({"data": [{"id": "m"}]}))
        };
        write_json(connection, status, &body);
        true
    });
    let server = serving(&upstream, &["*"]);
    let (key, _) = server.key(json!({}));
    eventually("the start's own asking is over", || outcomes(&server)["failed"] == 1);
    server.pass(5);
    assert_eq!(models(&server, &key), [""; 0], "nobody waits for long");
    go.send(()).unwrap();
    eventually("they are listed", || models(&server, &key) == ["m"]);
    assert_eq!(upstream.seen().len(), 2);
}

#[test]
fn an_upstream_that_does_not_list_its_models_is_judged_by_how() {
    type Script = fn(&mut TcpStream) -> bool;
    let cases: [(&str, Script); 4] = [
        ("failed", |_| false),
        ("failed", |connection| {
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"data\": [");
            false
        }),
        ("timed_out", wait_for_close),
        ("timed_out", |connection| {
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"data\": [");
            wait_for_close(connection)
        }),
    ];
    for (index, (outcome, script)) in cases.into_iter().enumerate() {
        let upstream = FakeUpstream::start(move |_, connection| script(connection));
        let server = TestServer::setup()
            .upstream("fake", upstream.address, &["*"])
            .toml("timeout_seconds = 1")
            .start();
        let sum = |told: &Value| told.as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>();
        eventually("it is noted", || sum(&outcomes(&server)) > 0);
        assert_eq!(outcomes(&server)[outcome], 1, "{index}: {}", outcomes(&server));
        let view = server.admin(Request::get("/admin/v1/server")).expect(200).json();
        assert_eq!(view["upstreams"][0]["health"], "up", "{index}: it can be reached");
    }
}

#[test]
fn a_key_sees_and_names_only_the_models_it_is_allowed() {
    let upstream = FakeUpstream::json(200, answer());
    let server = serving(&upstream, &["org/llama:8b", "org/llama:70b", "qwen"]);
    let (all, _) = server.key(json!({}));
    let (some, _) = server.key(json!({"allowed_models": ["org/*", "ghost"]}));
    assert_eq!(models(&server, &all), ["org/llama:70b", "org/llama:8b", "qwen"]);
    assert_eq!(models(&server, &some), ["org/llama:70b", "org/llama:8b"]);
    let cases = [
        (&all, "/v1/models/org/llama:8b", 200, "-"),
        (&all, "/v1/models/org%2Fllama%3A8b", 200, "-"),
        (&all, "/v1/models/org%2fllama:8b", 200, "-"),
        (&all, "/v1/models/qwen", 200, "-"),
        (&all, "/v1/models/ghost", 404, "model_not_found"),
        (&all, "/v1/models/ORG/llama:8b", 404, "model_not_found"),
        (&some, "/v1/models/org/llama:8b", 200, "-"),
        (&some, "/v1/models/qwen", 403, "model_not_allowed"),
        (&some, "/v1/models/%71wen", 403, "model_not_allowed"),
        (&some, "/v1/models/ghost", 404, "model_not_found"),
    ];
    for (key, path, status, code) in cases {
        let answer = server.call(key, Request::get(path));
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
    }
    let shown = server.call(&all, Request::get("/v1/models/org/llama:8b")).json();
    assert_eq!((shown["id"].as_str(), shown["object"].as_str()), (Some("org/llama:8b"), Some("model")));
    let cases = [
        (&all, "qwen", 200, "-"),
        (&all, "ghost", 404, "model_not_found"),
        (&some, "org/llama:8b", 200, "-"),
        (&some, "qwen", 403, "model_not_allowed"),
        (&some, "nowhere", 403, "model_not_allowed"),
        (&some, "ghost", 404, "model_not_found"),
    ];
    for (key, model, status, code) in cases {
        let answer = server.call(key, chat_with(model));
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{model}");
    }
    assert_eq!(upstream.seen().len(), 2);
}

#[test]
fn nothing_of_the_callers_credentials_reaches_the_upstream() {
    let upstream = FakeUpstream::json(200, answer());
    let base = upstream.address;
    let server = TestServer::setup()
        .toml(&format!(
            "[[upstreams]]\nname = \"keyed\"\nkind = \"openai\"\nbase_url = \"http://{base}/v1/\"\n\
             api_key = \"sk-upstream\"\nmodels = [\"keyed\"]\n\
             [[upstreams]]\nname = \"open\"\nkind = \"openai\"\nbase_url = \"http://{base}/v1\"\nmodels = [\"open\"]"
        ))
        .start();
    let (key, _) = server.key(json!({}));
    for (model, authorization) in [("keyed", Some("Bearer sk-upstream")), ("open", None)] {
        let request = chat_with(model)
            .header("Cookie", "session=mine")
            .header("Proxy-Authorization", "Basic bWluZQ==")
            .header("X-Api-Key", "mine")
            .header("X-MCP-Custom", "mine")
            .header("X-Forwarded-For", "192.0.2.77")
            .header("X-Request-Id", "trace-1.a_b");
        let answered = server.call(&key, request).expect(200);
        assert_eq!(answered.header("x-request-id"), Some("trace-1.a_b"));
        let seen = upstream.seen().pop().unwrap();
        assert_eq!(seen.header("authorization"), authorization);
        assert_eq!(seen.header("x-request-id"), None, "some servers refuse ids that are not their own");
        assert_eq!(
            seen.headers.iter().filter(|(name, _)| name == "authorization").count(),
            usize::from(authorization.is_some())
        );
        for (name, value) in &seen.headers {
            assert!(!name.starts_with("x-mcp-") && name != "cookie", "{name}: {value}");
            assert!(
                !value.contains(&key) && !value.contains("mine") && !value.contains("192.0.2.77"),
                "{name}: {value}"
            );
        }
    }
}

/// An error of an upstream, and what the client may see of it.
struct Told {
    status: u16,
    headers: &'static str,
    body: Vec<u8>,
    expected: (u16, &'static str),
    message: Option<&'static str>,
}

fn told(
    status: u16,
    body: impl Into<Vec<u8>>,
    expected: (u16, &'static str),
    message: Option<&'static str>,
) -> Told {
    Told { status, headers: "", body: body.into(), expected, message }
}

#[test]
fn of_an_upstreams_errors_the_client_sees_what_is_its_own() {
    const FAILED: (u16, &str) = (502, "upstream_error");
    let mib = || vec![b'x'; 1024 * 1024];
    let cases = Arc::new(vec![
        told(
            400,
            r#"{"error":{"message":"bad heat","type":"x"}}"#,
            (400, "invalid_request"),
            Some("bad heat"),
        ),
        told(
            400,
            r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#,
            (400, "context_length_exceeded"),
            Some("too long"),
        ),
        told(404, r#"{"error":"model \"m\" not found"}"#, (404, "not_found"), Some("model \"m\" not found")),
        told(413, r#"{"detail":"too big"}"#, (413, "payload_too_large"), Some("too big")),
        told(422, r#"{"object":"error","message":"no"}"#, (422, "invalid_request"), Some("no")),
        told(400, "<html>sesame</html>", (400, "invalid_request"), None),
        told(400, mib(), (400, "invalid_request"), None),
        Told {
            headers: "retry-after: 7\r\n",
            ..told(
                429,
                r#"{"error":{"message":"slow down"}}"#,
                (429, "rate_limit_exceeded"),
                Some("slow down"),
            )
        },
        told(401, r#"{"error":{"message":"sesame is no key"}}"#, FAILED, None),
        told(403, r#"{"error":{"message":"sesame"}}"#, FAILED, None),
        told(402, r#"{"error":{"message":"sesame"}}"#, FAILED, None),
        told(409, r#"{"error":{"message":"sesame"}}"#, FAILED, None),
        told(500, r#"{"error":{"message":"sesame"}}"#, FAILED, None),
        told(503, r#"{"error":{"message":"sesame"}}"#, FAILED, None),
        told(500, mib(), FAILED, None),
        Told { headers: "location: http://sesame/\r\n", ..told(302, "", FAILED, None) },
        told(200, "<html>sesame</html>", FAILED, None),
        told(200, "", FAILED, None),
        told(200, "[]", FAILED, None),
        told(200, "\"sesame\"", FAILED, None),
        told(200, r#"{"choices":[{"sesame""#, FAILED, None),
        told(200, mib(), FAILED, None),
        told(204, "", FAILED, None),
    ]);
    let script = Arc::clone(&cases);
    let upstream = FakeUpstream::start(move |seen, connection| {
        let index: usize = seen.json()["messages"][0]["content"].as_str().unwrap().parse().unwrap();
        reply(connection, script[index].status, script[index].headers, &script[index].body);
        true
    });
    let server = serving(&upstream, &["m"]);
    let (key, _) = server.key(json!({}));
    for (index, case) in cases.iter().enumerate() {
        let about = format!("case {index}, status {}", case.status);
        let answer = server.call(&key, Request::chat(&index.to_string()));
        assert_eq!((answer.status, answer.code().as_str()), case.expected, "{about}");
        let error = &answer.json()["error"];
        let kind = match answer.status {
            429 => "rate_limit_error",
            502 => "api_error",
            _ => "invalid_request_error",
        };
        assert_eq!(error["type"], kind, "{about}");
        if let Some(message) = case.message {
            assert_eq!(error["message"], message, "{about}");
        }
        assert!(!answer.text().contains("sesame") && answer.body.len() < 500, "{about}: {}", answer.text());
        assert!(answer.headers.iter().all(|(_, value)| !value.contains("sesame")), "{about}");
        assert_eq!(answer.header("retry-after"), (case.status == 429).then_some("7"), "{about}");
    }
    assert_eq!(upstream.seen().len(), cases.len(), "no error is asked about twice");
}

#[test]
fn usage_that_makes_no_sense_costs_no_answer() {
    let oddities = [
        "null",
        "{}",
        "[]",
        "7",
        r#"{"prompt_tokens":null}"#,
        r#"{"prompt_tokens":1.5}"#,
        r#"{"completion_tokens":-1}"#,
    ];
    let upstream = FakeUpstream::start(move |seen, connection| {
        let index: usize = seen.json()["messages"][0]["content"].as_str().unwrap().parse().unwrap();
        let body = format!(r#"{{"choices":[],"usage":{}}}"#, oddities[index]);
        reply(connection, 200, "", body.as_bytes());
        true
    });
    let server = serving(&upstream, &["m"]);
    let (key, _) = server.key(json!({}));
    for (index, oddity) in oddities.iter().enumerate() {
        let answer = server.call(&key, Request::chat(&index.to_string()));
        assert_eq!(answer.status, 200, "{oddity}: {}", answer.text());
    }
}

#[test]
fn an_upstream_that_nobody_answers_at_is_unavailable() {
    let server = TestServer::setup().upstream("gone", nobody(), &["m"]).start();
    let (key, _) = server.key(json!({}));
    for stream in [false, true] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": stream});
        let answer = server.call(&key, Request::post(CHAT, &body)).expect_error(503, "upstream_unavailable");
        assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
        assert_eq!(answer.json()["error"]["type"], "api_error");
    }
}

/// What a fake upstream with a timeout of one second makes of a request.
fn with_a_timeout(
    script: impl Fn(&mut TcpStream) + Send + Sync + 'static,
) -> (Answer, Duration, FakeUpstream) {
    let upstream = FakeUpstream::start(move |_, connection| {
        script(connection);
        true
    });
    let server =
        TestServer::setup().upstream("slow", upstream.address, &["m"]).toml("timeout_seconds = 1").start();
    let (key, _) = server.key(json!({}));
    let start = Instant::now();
    (server.call(&key, Request::chat("Hi")), start.elapsed(), upstream)
}

#[test]
fn an_upstream_that_stays_silent_times_out() {
    let (answer, took, upstream) = with_a_timeout(|connection| {
        wait_for_close(connection);
    });
    answer.expect_error(504, "upstream_timeout");
    assert!((0.9..3.0).contains(&took.as_secs_f64()), "{took:?}");
    assert_eq!(upstream.seen().len(), 1, "it may be at work on it: nobody asks twice");
}

#[test]
fn an_upstream_that_falls_silent_in_the_middle_of_an_answer_times_out() {
    let (answer, took, _) = with_a_timeout(|connection| {
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"choices\":").unwrap();
        wait_for_close(connection);
    });
    answer.expect_error(504, "upstream_timeout");
    assert!((0.9..3.0).contains(&took.as_secs_f64()), "{took:?}");
}

#[test]
fn an_upstream_that_is_slow_but_never_silent_does_not_time_out() {
    let (answer, _, _) = with_a_timeout(|connection| {
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n").unwrap();
        for piece in ["{\"", "a\"", ":1", " }"] {
            std::thread::sleep(Duration::from_millis(450));
            let _ = connection.write_all(piece.as_bytes());
        }
    });
    assert_eq!(answer.expect(200).text(), "{\"a\":1 }");
}

#[test]
fn an_answer_that_breaks_off_is_an_upstream_error() {
    let upstream = FakeUpstream::start(|_, connection| {
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"choices\":").unwrap();
        false
    });
    let server = serving(&upstream, &["m"]);
    let (key, _) = server.key(json!({}));
    server.call(&key, Request::chat("Hi")).expect_error(502, "upstream_error");
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn bodies_that_parsers_read_differently_are_refused() {
    let upstream = FakeUpstream::json(200, answer());
    let server = serving(&upstream, &["m", "other"]);
    let (key, _) = server.key(json!({"allowed_models": ["m"]}));
    let cases = [
        (r#"{"model":"m","model":"other","messages":[{}]}"#, "model"),
        (r#"{"model":"m","mod\u0065l":"other","messages":[{}]}"#, "model"),
        (r#"{"model":"m","Model":"other","messages":[{}]}"#, "Model"),
        (r#"{"MODEL":"other","model":"m","messages":[{}]}"#, "MODEL"),
        (r#"{"model":"m","messages":[{}],"messages":[{}]}"#, "messages"),
        (r#"{"model":"m","messages":[{}],"Messages":[{}]}"#, "Messages"),
        (r#"{"model":"m","messages":[{}],"stream":false,"stream":true}"#, "stream"),
        (r#"{"model":"m","messages":[{}],"\u017ftream":true}"#, "stream"),
    ];
    for (body, field) in cases {
        let request = Request::new("POST", CHAT).header("Content-Type", "application/json").body(body);
        let answer = server.call(&key, request);
        assert_eq!((answer.status, answer.code().as_str()), (422, "invalid_request"), "{body}");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(field), "{body}: {message}");
    }
    assert!(upstream.seen().is_empty());
}
