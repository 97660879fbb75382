//! Heads that are none, are too large, or name another place.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::{SMUGGLED, body, exchange, expect_well, is_error, read_all, said, serving};
use crate::harness::Request;

const QUIET: Duration = Duration::from_secs(5);

/// A chat behind whatever stands before it.
fn next(key: &str) -> String {
    let body = body(SMUGGLED);
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn what_is_no_request_ends_the_connection_with_one_error_and_all_that_comes_behind() {
    let (server, upstream) = serving();
    let (key, _) = server.key(json!({}));
    let get = |lines: &str| format!("GET /v1/key HTTP/1.1\r\n{lines}\r\n");
    let cases = [
        "garbage\r\n\r\n".to_owned(),
        "\0\0\0\0\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n\r\n".to_owned(),
        "SSH-2.0-OpenSSH_9.9\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "GET /v1/key\r\n\r\n".to_owned(),
        "GET  /v1/key HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET\t/v1/key HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        " GET /v1/key HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET /v1/key http/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET /v1/key HTTP/2.0\r\nHost: x\r\n\r\n".to_owned(),
        "GET /v1/key HTTP/1.10\r\nHost: x\r\n\r\n".to_owned(),
        "GET /v1/key HTTP/1.1 x\r\nHost: x\r\n\r\n".to_owned(),
        "G\0T /v1/key HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET /v1/\0key HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET /v1/key\rX: y HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "GET v1/key HTTP/1.1\r\nHost: x y\r\nbad\r\n\r\n".to_owned(),
        get(""),
        get("Host: x\r\nHost: y\r\n"),
        get("Host: x\r\nhost: x\r\n"),
        get("Host : x\r\n"),
        get(" Host: x\r\n"),
        get("Host: x\r\nX: y\r\n folded: z\r\n"),
        get("Host: x\r\nX: a\0b\r\n"),
        get("Host: x\r\nX: a\rY: b\r\n"),
        get("Host: x\r\nX\0: a\r\n"),
        get("Host: x\r\nX Y: a\r\n"),
        get("Host: x\r\nX(Y): a\r\n"),
        get("Host: x\r\n: a\r\n"),
        get("Host: x\r\nX\r\n"),
        get("Host: x\r\n\u{e9}: a\r\n"),
    ];
    for case in cases {
        let bytes = super::bytes(&format!("{case}{}", next(&key)));
        for listener in [server.public, server.admin] {
            let (answers, is_closed) = exchange(listener, &bytes, QUIET);
            let is_refused = answers.len() <= 1 && answers.iter().all(is_error);
            assert!(is_refused && is_closed, "{case:?}: {answers:?}, closed: {is_closed}");
        }
        expect_well(&server, &key, &case);
    }
    assert!(upstream.seen().iter().all(|seen| said(seen) != SMUGGLED));
}

#[test]
fn a_head_that_is_too_large_ends_the_connection_and_costs_little() {
    let (server, upstream) = serving();
    let (key, _) = server.key(json!({}));
    let get = |lines: &str| format!("GET /v1/key HTTP/1.1\r\nHost: x\r\n{lines}");
    let cases = [
        get(&format!("X: {}\r\n\r\n", "x".repeat(1 << 20))),
        get(&format!("{}: x\r\n\r\n", "x".repeat(1 << 20))),
        get(&format!("Authorization: Bearer {}\r\n\r\n", "x".repeat(1 << 20))),
        get(&format!("{}\r\n", "X: y\r\n".repeat(200))),
        get(&format!("{}\r\n", "X: y\r\n".repeat(10_000))),
        get(&"X: y\r\n".repeat(1 << 18)),
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(1 << 20)),
        format!("{} / HTTP/1.1\r\nHost: x\r\n\r\n", "X".repeat(1 << 20)),
        "\r\n".repeat(1 << 19),
    ];
    for case in cases {
        let bytes = format!("{case}{}", next(&key));
        let (answers, is_closed) = exchange(server.public, bytes.as_bytes(), QUIET);
        let is_refused = answers.len() <= 1 && answers.iter().all(is_error);
        assert!(is_refused && is_closed, "{case:.60}: {answers:?}, closed: {is_closed}");
        expect_well(&server, &key, &case[..60]);
    }
    assert!(upstream.seen().iter().all(|seen| said(seen) != SMUGGLED));
    let many = Request::get("/v1/key");
    let many = (0..80).fold(many, |request, number| request.header(&format!("X-{number}"), "y".repeat(500)));
    server.call(&key, many).expect(200);
}

#[test]
fn a_target_that_names_another_place_is_answered_here_or_not_at_all() {
    let (server, upstream) = serving();
    let (key, _) = server.key(json!({}));
    let (to, other) = (server.public, upstream.address);
    let body = body("first");
    let targets = [
        format!("http://{other}/v1/chat/completions"),
        "http://localhost/v1/chat/completions".to_owned(),
        format!("http://user:secret@{other}/v1/chat/completions"),
        format!("//{other}/v1/chat/completions"),
        format!("/v1/chat/completions@{other}"),
        format!("{other}"),
        "*".to_owned(),
    ];
    for target in &targets {
        for host in
            ["localhost".to_owned(), other.to_string(), "a b".to_owned(), String::new(), "x".repeat(5_000)]
        {
            for method in ["POST", "OPTIONS", "TRACE"] {
                let bytes = format!(
                    "{method} {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\
                     Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let (answers, is_closed) = exchange(server.public, bytes.as_bytes(), QUIET);
                let about = format!("{method} {target} at {host:.30}: {answers:?}");
                assert!(answers.len() == 1 && is_closed, "{about}");
                assert!(answers[0].0 == 200 || is_error(&answers[0]), "{about}");
                assert!(!answers[0].1.contains("secret"), "{about}");
            }
        }
    }
    std::thread::scope(|scope| {
        for target in &targets {
            scope.spawn(move || {
                let bytes = format!("CONNECT {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                let (answers, _) = exchange(to, bytes.as_bytes(), QUIET);
                assert!(answers.iter().all(|answer| (400..500).contains(&answer.0)), "{target}: {answers:?}");
            });
        }
    });
    let at = other.to_string();
    for seen in upstream.seen() {
        assert_eq!((seen.target.as_str(), seen.header("host")), ("/v1/chat/completions", Some(at.as_str())));
        assert_eq!(seen.method, "POST");
    }
}

#[test]
fn a_body_is_called_for_where_the_client_waits_for_that() {
    let (server, upstream) = serving();
    let (key, _) = server.key(json!({}));
    let head = |key: &str, expected: &str| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
             Expect: {expected}\r\nContent-Length: {}\r\n\r\n",
            body("first").len()
        )
    };
    for expected in ["100-continue", "100-Continue"] {
        let mut connection = TcpStream::connect(server.public).unwrap();
        connection.set_read_timeout(Some(QUIET)).unwrap();
        connection.write_all(head(&key, expected).as_bytes()).unwrap();
        let mut interim = [0; 25];
        connection.read_exact(&mut interim).unwrap();
        assert_eq!(String::from_utf8_lossy(&interim), "HTTP/1.1 100 Continue\r\n\r\n");
        connection.write_all(body("first").as_bytes()).unwrap();
        let (answers, _) = read_all(&mut connection, Duration::from_millis(500));
        assert!(answers.len() == 1 && answers[0].0 == 200, "{answers:?}");
    }
    let seen = upstream.seen();
    assert!(seen.len() == 2 && seen.iter().all(|seen| seen.header("expect").is_none()), "{seen:?}");
    // Who may not ask hears so before the body was sent, and the connection is no longer one for requests.
    let mut connection = TcpStream::connect(server.public).unwrap();
    connection.write_all(head("wrong", "100-continue").as_bytes()).unwrap();
    let (answers, _) = read_all(&mut connection, QUIET);
    assert!(answers.len() == 1 && answers[0].0 == 401, "{answers:?}");
}
