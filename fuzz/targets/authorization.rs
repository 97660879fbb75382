//! The `Authorization` header: a line of the input is one, and `{key}` in it stands for a live key. Only that key,
//! alone behind `Bearer` and one blank, opens anything; and no answer repeats it.
#![no_main]

use std::cell::OnceCell;

use actix_web::http::header::HeaderValue;
use actix_web::http::{Method, StatusCode};
use libfuzzer_sys::fuzz_target;
use mcpd_fuzz::server::{Ask, Quiet};

thread_local!(static SERVER: OnceCell<Quiet> = const { OnceCell::new() });

fuzz_target!(|data: &[u8]| {
    SERVER.with(|server| check(server.get_or_init(Quiet::start), data));
});

fn check(server: &Quiet, data: &[u8]) {
    let lines: Vec<Vec<u8>> = if data.is_empty() {
        Vec::new()
    } else {
        data.split(|byte| *byte == b'\n').map(|line| with_key(line, &server.key)).collect()
    };
    if lines.iter().any(|line| HeaderValue::from_bytes(line).is_err()) {
        return;
    }
    let ask = Ask::new(Method::GET, "/v1/key");
    let answer = server.public(lines.iter().fold(ask, |ask, line| ask.header("authorization", line)));
    assert!(!says(&answer.body, &server.key), "{:?}", answer.body);
    assert!(answer.headers.contains_key("x-request-id"));
    let status = answer.status;
    if status == StatusCode::OK {
        assert!(opens(&lines, &server.key), "{lines:?}");
        assert_eq!(answer.json()["object"], "key");
        return;
    }
    assert!(!opens(&lines, &server.key), "{lines:?} {status}");
    let (code, _) = answer.refusal();
    let expected = match lines.as_slice() {
        [line] if is_bearer(line) => (StatusCode::UNAUTHORIZED, "invalid_api_key"),
        [] | [_] => (StatusCode::UNAUTHORIZED, "missing_api_key"),
        _ => (StatusCode::BAD_REQUEST, "invalid_request"),
    };
    assert_eq!((status, code.as_str()), expected, "{lines:?}");
    assert_eq!(answer.headers.contains_key("www-authenticate"), status == StatusCode::UNAUTHORIZED);
}

/// The one way in: one header, `Bearer` in any letter case, a blank, the key.
fn opens(lines: &[Vec<u8>], key: &str) -> bool {
    matches!(lines, [line] if is_bearer(line) && line[7..] == *key.as_bytes())
}

fn is_bearer(line: &[u8]) -> bool {
    line.len() > 7 && line[..7].to_ascii_lowercase() == *b"bearer "
}

fn with_key(line: &[u8], key: &str) -> Vec<u8> {
    let mark = b"{key}";
    match line.windows(mark.len()).position(|window| window == mark) {
        Some(at) => [&line[..at], key.as_bytes(), &line[at + mark.len()..]].concat(),
        None => line.to_vec(),
    }
}

fn says(body: &[u8], key: &str) -> bool {
    let secret = &key.as_bytes()[7..];
    body.windows(secret.len()).any(|window| window == secret)
}
