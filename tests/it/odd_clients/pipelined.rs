//! Several requests on one connection, sent before any is answered.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::{body, read_all, said, serving};

fn chat(key: &str, text: &str, more: &str) -> String {
    let body = body(text);
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{more}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn own(key: &str) -> String {
    format!("GET /v1/key HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n")
}

#[test]
fn each_request_on_a_connection_is_judged_by_its_own_key() {
    let (server, upstream) = serving();
    let (first, _) = server.key(json!({"name": "first"}));
    let (second, _) = server.key(json!({"name": "second", "requests_per_minute": 2}));
    let (narrow, _) = server.key(json!({"name": "narrow", "scopes": ["models:read"]}));
    let nobody = "GET /v1/key HTTP/1.1\r\nHost: x\r\n\r\n".to_owned();
    let requests = [
        (chat(&first, "one", ""), 200, "\"one\""),
        (own(&second), 200, "\"second\""),
        (own("wrong"), 401, "invalid_api_key"),
        (own(&first), 200, "\"first\""),
        (nobody.clone(), 401, "missing_api_key"),
        (chat(&second, "two", ""), 200, "\"two\""),
        (own(&second), 429, "rate_limit_exceeded"),
        (own(&narrow), 200, "\"narrow\""),
        (own(&first), 200, "\"first\""),
        (nobody, 401, "missing_api_key"),
        (chat(&first, "three", "Connection: close\r\n"), 200, "\"three\""),
    ];
    let all: String = requests.iter().map(|(request, ..)| request.as_str()).collect();
    // In one write, byte by byte, and with a pause within.
    for pieces in [all.len(), 1, all.len() / 3] {
        let mut connection = TcpStream::connect(server.public).unwrap();
        connection.set_nodelay(true).unwrap();
        for piece in all.as_bytes().chunks(pieces) {
            connection.write_all(piece).unwrap();
        }
        let (answers, is_closed) = read_all(&mut connection, Duration::from_secs(5));
        assert_eq!(answers.len(), requests.len(), "{answers:?}");
        for ((status, text), (request, expected, part)) in answers.iter().zip(&requests) {
            assert!(status == expected && text.contains(part), "{request}: {status} {text}");
        }
        assert!(is_closed);
        server.pass(60);
    }
    let said: Vec<_> = upstream.seen().iter().map(said).collect();
    assert_eq!(said, ["one", "two", "three"].repeat(3));
}

#[test]
fn one_slot_is_enough_for_requests_one_behind_the_other() {
    let (server, upstream) = serving();
    let (key, _) = server.key(json!({"max_concurrent": 1}));
    let requests: String = (0..50).map(|number| chat(&key, &number.to_string(), "")).collect();
    let last = chat(&key, "last", "Connection: close\r\n");
    let (answers, _) = super::exchange(server.public, (requests + &last).as_bytes(), Duration::from_secs(5));
    let told: Vec<_> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(told, [200; 51]);
    let expected: Vec<_> = (0..50).map(|number| number.to_string()).chain(["last".to_owned()]).collect();
    assert_eq!(upstream.seen().iter().map(said).collect::<Vec<_>>(), expected);
}

#[test]
fn nothing_is_done_behind_a_request_that_closes_the_connection() {
    let (server, upstream) = serving();
    let (key, _) = server.key(json!({}));
    let smuggled = chat(&key, super::SMUGGLED, "");
    let closing = [
        chat(&key, "first", "Connection: close\r\n"),
        chat(&key, "first", "Connection: Close\r\n"),
        chat(&key, "first", "Connection: keep-alive, close\r\n"),
        chat(&key, "first", "").replace("HTTP/1.1", "HTTP/1.0"),
    ];
    for first in closing {
        let bytes = format!("{first}{smuggled}{}", own(&key));
        let (answers, is_closed) = super::exchange(server.public, bytes.as_bytes(), Duration::from_secs(5));
        let about = format!("{first}: {answers:?}, closed: {is_closed}");
        assert!(answers[0].0 == 200 && is_closed, "{about}");
        assert!(answers[1..].iter().all(|answer| answer.0 == 400 && super::is_error(answer)), "{about}");
    }
    assert!(upstream.seen().iter().all(|seen| said(seen) == "first"));
}
