//! Requests that two servers could read as different ones: refused, with all that comes behind them.

use std::time::Duration;

use serde_json::json;

use super::{SMUGGLED, body, exchange, expect_well, is_error, said, serving};

/// What must come of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// One error, or none, and a closed connection: what comes behind is nothing.
    Refused,
    /// The chat's answer, or as with the others: what comes behind would be a request of its own, and there is none.
    Lenient,
    /// The chat's answer.
    Answered,
}

use Expected::{Answered, Lenient, Refused};

/// Fills in what a request leaves open: `HEAD`, a chat's head up to its length; `BODY`, `LEN`, `SIZE` in hexadecimal
/// digits, `CHUNKS`; and `NEXT`, a request that must never be one.
fn fill(template: &str, key: &str) -> Vec<u8> {
    let (first, next) = (body("first"), body(SMUGGLED));
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\n"
    );
    let next = format!("{head}Content-Length: {}\r\n\r\n{next}", next.len());
    let filled = template
        .replace("HEAD", &head)
        .replace("NEXT", &next)
        .replace("CHUNKS", "SIZE\r\nBODY\r\n0\r\n\r\n")
        .replace("SIZE", &format!("{:x}", first.len()))
        .replace("LEN", &first.len().to_string())
        .replace("BODY", &first);
    super::bytes(&filled)
}

/// Sends all, each with a key and a slot of its own, and fails the test with all that went wrong.
fn try_all<'a>(cases: &'a [(String, Expected)]) {
    let (server, upstream) = serving();
    let mut wrong = Vec::new();
    let try_one = |template: &str, expected: Expected| {
        let (key, _) = server.key(json!({"max_concurrent": 1}));
        let quiet = Duration::from_millis(if expected == Refused { 5_000 } else { 1_000 });
        let came = exchange(server.public, &fill(template, &key), quiet);
        expect_well(&server, &key, template);
        came
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let tried = |(template, expected): &'a (String, Expected)| {
            (template, *expected, scope.spawn(|| try_one(template, *expected)))
        };
        let all: Vec<_> = cases.iter().map(tried).collect();
        all.into_iter()
            .map(|(template, expected, tried)| (template, expected, tried.join().unwrap()))
            .collect()
    });
    for (template, expected, (answers, is_closed)) in results {
        let is_refused = is_closed && answers.len() <= 1 && answers.iter().all(is_error);
        let is_answered = answers.len() == 1 && answers[0].0 == 200 && answers[0].1.contains("\"first\"");
        let is_fine = match expected {
            Refused => is_refused,
            Lenient => is_refused || is_answered,
            Answered => is_answered,
        };
        if !is_fine {
            wrong.push(format!("not {expected:?}: {template:?}: {answers:?}, closed: {is_closed}"));
        }
    }
    for seen in upstream.seen() {
        if said(&seen) == SMUGGLED {
            wrong.push(format!("smuggled: {seen:?}"));
        }
        let count = |name: &str| seen.headers.iter().filter(|(known, _)| known == name).count();
        let length = seen.header("content-length").and_then(|length| length.parse().ok());
        if (count("content-length"), count("transfer-encoding"), length) != (1, 0, Some(seen.body.len())) {
            wrong.push(format!("framed oddly: {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn all(expected: Expected, templates: impl IntoIterator<Item = String>) -> Vec<(String, Expected)> {
    templates.into_iter().map(|template| (template, expected)).collect()
}

#[test]
fn a_request_with_two_framings_is_refused() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let lines = [
        format!("Content-Length: LEN\r\n{chunked}"),
        format!("{chunked}Content-Length: LEN\r\n"),
        format!("Content-Length: 5\r\n{chunked}"),
        format!("Content-Length: 0\r\n{chunked}"),
        "content-length: 5\r\ntransfer-encoding: Chunked\r\n".to_owned(),
        format!("{chunked}{chunked}"),
        format!("{chunked}Transfer-Encoding: identity\r\n"),
        format!("Transfer-Encoding: identity\r\n{chunked}"),
        format!("Transfer-Encoding: x\r\n{chunked}"),
        format!("Content-Length: LEN\r\nX: y\r\n {chunked}"),
    ];
    try_all(&all(Refused, lines.iter().map(|lines| format!("HEAD{lines}\r\nCHUNKSNEXT"))));
    try_all(&all(Refused, lines.iter().map(|lines| format!("HEAD{lines}\r\nBODYNEXT"))));
    // The body's first chunk ends it, or its length does not reach to the end.
    let ended = format!("HEADContent-Length: 5\r\n{chunked}\r\n0\r\n\r\nNEXT");
    let short = format!("HEADContent-Length: 4\r\n{chunked}\r\nSIZE\r\nBODY\r\n0\r\n\r\nNEXT");
    try_all(&all(Refused, [ended, short]));
}

#[test]
fn an_encoding_that_is_not_chunked_is_refused() {
    let values = [
        "xchunked",
        "chunkedx",
        "chunked, identity",
        "identity, chunked",
        "identity",
        "chunked, chunked",
        "gzip, chunked",
        "chunked, gzip",
        "gzip",
        "\"chunked\"",
        "'chunked'",
        "chunked;q=1",
        "chunked,",
        ", chunked",
        "chun ked",
        "\x0bchunked",
        "\x0cchunked",
        "chunked\x0b",
        "\u{a0}chunked",
        "chunked\0",
        "",
        "chunked\r\n\tidentity",
    ];
    let odd = |value: &&str| format!("HEADTransfer-Encoding: {value}\r\n\r\nCHUNKSNEXT");
    try_all(&all(Refused, values.iter().map(odd)));
    let names = [
        "Transfer-Encoding ",
        "Transfer-Encoding\t",
        "Transfer Encoding",
        "Transfer-Encoding\0",
        "\x0bTransfer-Encoding",
    ];
    let odd = |name: &&str| format!("HEAD{name}: chunked\r\n\r\nCHUNKSNEXT");
    try_all(&all(Refused, names.iter().map(odd)));
    let old = "HEADTransfer-Encoding: chunked\r\n\r\nCHUNKSNEXT".to_owned();
    let old = String::from_utf8(fill(&old, "KEY")).unwrap().replacen("HTTP/1.1", "HTTP/1.0", 1);
    try_all(&all(Refused, [old]));
}

#[test]
fn a_length_that_is_not_one_number_is_refused() {
    let lines = [
        "Content-Length: LEN\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: LEN\r\n",
        "Content-Length: LEN\r\nContent-Length: LEN\r\n",
        "Content-Length: LEN, LEN\r\n",
        "Content-Length: 5, LEN\r\n",
        "Content-Length: 5,\r\n",
        "Content-Length: +LEN\r\n",
        "Content-Length: -LEN\r\n",
        "Content-Length: 0xLEN\r\n",
        "Content-Length: LEN.0\r\n",
        "Content-Length: 1e3\r\n",
        "Content-Length: 5 LEN\r\n",
        "Content-Length: \"LEN\"\r\n",
        "Content-Length:\r\n",
        "Content-Length: \r\nContent-Length: LEN\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 99999999999999999999999999999999\r\n",
        "Content-Length: \u{ff}\r\n",
        "Content-Length: \u{0b}5\r\n",
        "Content-Length : LEN\r\n",
        "Content-Length\t: LEN\r\n",
        "X: y\r\n Content-Length: LEN\r\n",
    ];
    try_all(&all(Refused, lines.map(|lines| format!("HEAD{lines}\r\nBODYNEXT"))));
}

#[test]
fn a_chunk_that_is_none_is_refused() {
    let chunks = [
        "0xSIZE\r\nBODY\r\n0\r\n\r\n",
        "+SIZE\r\nBODY\r\n0\r\n\r\n",
        "-SIZE\r\nBODY\r\n0\r\n\r\n",
        "zz\r\nBODY\r\n0\r\n\r\n",
        "\r\nBODY\r\n0\r\n\r\n",
        ";x\r\nBODY\r\n0\r\n\r\n",
        "1SIZE00000000000000000\r\nBODY\r\n0\r\n\r\n",
        "100000000000000SIZE\r\nBODY\r\n0\r\n\r\n",
        "SIZE\r\nBODY0\r\n\r\n",
        "SIZE\r\nBODYxx0\r\n\r\n",
        "SIZE\r\nBODY\r\n0\r\nx",
        "SIZE\0\r\nBODY\r\n0\r\n\r\n",
        "SIZE\rxBODY\r\n0\r\n\r\n",
        "SI ZE\r\nBODY\r\n0\r\n\r\n",
    ];
    let odd = |chunks: &str| format!("HEADTransfer-Encoding: chunked\r\n\r\n{chunks}NEXT");
    try_all(&all(Refused, chunks.map(odd)));
    // Where servers differ, and nothing comes behind.
    let chunks = [
        " SIZE\r\nBODY\r\n0\r\n\r\n",
        "SIZE \r\nBODY\r\n0\r\n\r\n",
        "SIZE\t;x\r\nBODY\r\n0\r\n\r\n",
        "SIZE\nBODY\r\n0\r\n\r\n",
        "SIZE\r\nBODY\n0\r\n\r\n",
        "SIZE;x\ny\r\nBODY\r\n0\r\n\r\n",
        "SIZE;\nx\r\nBODY\r\n0\r\n\r\n",
        "SIZE\r\nBODY\r\n0\n\n",
        "SIZE\r\nBODY\r\n0\r\nBad Trailer: x\r\n\r\n",
    ];
    let odd = |chunks: &str| format!("HEADTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{chunks}");
    try_all(&all(Lenient, chunks.map(odd)));
}

#[test]
fn what_goes_upstream_has_a_length_and_nothing_else_whatever_came() {
    let chunks = [
        "CHUNKS",
        "0000SIZE\r\nBODY\r\n000\r\n\r\n",
        "SIZE;name=value\r\nBODY\r\n0\r\n\r\n",
        "SIZE;name=\"quoted\"\r\nBODY\r\n0;last\r\n\r\n",
        "SIZE\r\nBODY\r\n0\r\nX-Trailer: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    ];
    let good = |chunks: &str| format!("HEADTransfer-Encoding: chunked\r\n\r\n{chunks}");
    try_all(&all(Answered, chunks.map(good)));
    let lines = [
        "Content-Length: LEN\r\n",
        "Content-Length: 000LEN\r\n",
        "Content-Length:   LEN \t\r\n",
        "content-length: LEN\r\n",
        "Content-Length: LEN\r\nTransfer_Encoding: chunked\r\n",
        "Content-Length: LEN\r\nTE: chunked, trailers\r\nTrailer: x\r\n",
        "Content-Length: LEN\r\nContent_Length: 5\r\nX-Content-Length: 5\r\n",
        "Content-Length: LEN\r\nConnection: Content-Length, Host\r\n",
        "Content-Length: LEN\r\nConnection: keep-alive, Transfer-Encoding\r\nKeep-Alive: timeout=9\r\n",
    ];
    try_all(&all(Answered, lines.map(|lines| format!("HEAD{lines}\r\nBODY"))));
}

#[test]
fn what_is_in_a_refused_body_is_never_a_request() {
    let (server, upstream) = serving();
    let (key, _) = server.key(json!({}));
    let (narrow, _) = server.key(json!({"scopes": ["models:read"]}));
    let next = String::from_utf8(fill("NEXT", &key)).unwrap();
    let long = "x".repeat(100_000);
    let post = |path: &str, key: &str, more: &str, body: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{more}\r\n{body}")
    };
    let length = |body: &str| format!("Content-Length: {}\r\n", body.len());
    let chunks = format!("{:x}\r\n{next}\r\n0\r\n\r\n", next.len());
    let cases = [
        post("/v1/chat/completions", "wrong", &length(&next), &next),
        post("/v1/chat/completions", &narrow, &length(&next), &next),
        post("/v1/nothing", &key, &length(&next), &next),
        post("/v1/key", &key, &length(&next), &next),
        post("/nothing", &key, &length(&next), &next),
        post("/v1/chat/completions", &key, &(length(&next) + "Content-Type: text/plain\r\n"), &next),
        post("/v1/chat/completions", "wrong", "Transfer-Encoding: chunked\r\n", &chunks),
        post("/nothing", "wrong", "Transfer-Encoding: chunked\r\n", &chunks),
        // Only a part of the body is sent that was promised.
        post("/v1/chat/completions", "wrong", &length(&long), &next),
        format!(
            "GET /v1/key HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{}\r\n{next}",
            length(&next)
        ),
        format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n{next}", length(&next)),
        format!("HEAD /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
        format!(
            "DELETE /v1/files/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\n{}\r\n{next}",
            length(&next)
        ),
    ];
    for bytes in cases {
        let mut connection = std::net::TcpStream::connect(server.public).unwrap();
        std::io::Write::write_all(&mut connection, bytes.as_bytes()).unwrap();
        let mut read = [0; 4096];
        let length = std::io::Read::read(&mut connection, &mut read).unwrap();
        let answer = String::from_utf8_lossy(&read[..length]).into_owned();
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{bytes}: {answer}");
        expect_well(&server, &key, &bytes);
    }
    let smuggled = upstream.seen().iter().filter(|seen| said(seen) == SMUGGLED).count();
    assert_eq!(smuggled, 0);
}
