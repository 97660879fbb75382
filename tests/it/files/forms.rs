//! Forms that are none, or hold what they should not: each is refused for what is wrong with it, and nothing stays.

use serde_json::json;

use super::{BOUNDARY, CHUNK, NOTHING, content, file, form, kept, part, post, purpose, upload};
use crate::harness::{Answer, Request, TestServer};

/// Fails unless the answer is an error with this status whose message has all these words.
fn expect_refused(name: &str, answer: &Answer, status: u16, words: &[&str]) {
    assert_eq!(answer.status, status, "{name}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"), "{name}");
    let error = &answer.json()["error"];
    let code = if status == 415 { "unsupported_media_type" } else { "invalid_request" };
    assert_eq!((&error["code"], &error["type"]), (&json!(code), &json!("invalid_request_error")), "{name}");
    let message = error["message"].as_str().unwrap();
    for word in words {
        assert!(message.contains(word), "{name}: {message}");
    }
}

fn bare(parts: &str) -> Vec<u8> {
    format!("--{BOUNDARY}\r\n{parts}").into_bytes()
}

#[test]
fn a_body_that_is_no_form_is_refused_for_what_it_is() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let whole = form(&[purpose("p"), file("a", b"x")]);
    let typed = |kind: Option<&str>| {
        let request = Request::new("POST", "/v1/files").body(whole.clone());
        kind.map_or(request.clone(), |kind| request.header("Content-Type", kind))
    };
    let form_data = "multipart/form-data";
    let cases = [
        ("no type", typed(None), 415, form_data),
        ("JSON", typed(Some("application/json")), 415, form_data),
        ("plain", typed(Some("text/plain; boundary=x")), 415, form_data),
        ("another form", typed(Some("application/x-www-form-urlencoded")), 415, form_data),
        ("another multipart", typed(Some(&format!("multipart/mixed; boundary={BOUNDARY}"))), 415, form_data),
        ("no type at all", typed(Some("garbage")), 415, form_data),
        ("an empty type", typed(Some("")), 415, form_data),
        ("no boundary", typed(Some("multipart/form-data")), 400, "oundary"),
        ("an empty boundary", typed(Some("multipart/form-data; boundary=")), 400, "oundary"),
        ("another boundary", typed(Some("multipart/form-data; boundary=x")), 400, "complete"),
        (
            "packed",
            typed(Some(&format!("{form_data}; boundary={BOUNDARY}"))).header("Content-Encoding", "gzip"),
            415,
            form_data,
        ),
        ("nothing", post(""), 400, "complete"),
    ];
    for (name, request, status, word) in cases {
        let answer = server.call(&key, request);
        expect_refused(name, &answer, status, &[word]);
        assert_eq!(kept(&server), NOTHING, "{name}");
    }
}

#[test]
fn a_form_that_is_cut_short_is_refused_wherever_that_is() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    for parts in [[purpose("p"), file("a", &content(20))], [file("a", &content(20)), purpose("p")]] {
        let whole = form(&parts);
        // The last line's end may be missing, and nothing before it.
        for end in 0..whole.len() - 2 {
            let answer = server.call(&key, post(&whole[..end]));
            expect_refused(&format!("{end} bytes"), &answer, 400, &[]);
        }
    }
    assert_eq!(kept(&server), NOTHING);
    let long = form(&[purpose("p"), file("a", &content(3 * CHUNK))]);
    for end in [long.len() - 3, long.len() - 100, 2 * CHUNK] {
        let answer = server.call(&key, post(&long[..end]));
        expect_refused(&format!("{end} bytes"), &answer, 400, &[]);
        assert_eq!(kept(&server), NOTHING, "{end}");
    }
}

/// Not as RFC 2046 has it, but as the library reads forms: docs/api.md tells of it.
#[test]
fn a_boundary_behind_a_lone_carriage_return_ends_a_part_too() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let before = content(CHUNK);
    for (behind, status) in [("\n", 400), ("x\ny", 400), ("", 200), ("xy", 200)] {
        let bytes = [&before[..], format!("\r--{BOUNDARY}{behind}").as_bytes()].concat();
        let answer = server.call(&key, upload("a", &bytes));
        assert_eq!(answer.status, status, "{behind:?}: {}", answer.text());
        if status == 200 {
            assert_eq!(answer.json()["sha256"], super::sha256(&before), "{behind:?}");
        } else {
            assert_eq!(kept(&server), NOTHING, "{behind:?}");
        }
    }
}

/// What is wrong, the parts, and the status and the words that say so.
type Case = (&'static str, Vec<Vec<u8>>, u16, &'static [&'static str]);

#[test]
fn a_form_with_wrong_parts_is_refused_by_their_names() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let (a, p) = (|| file("a", &content(CHUNK + 1)), || purpose("p"));
    let field = |name: &str| part(format!("name=\"{name}\""), "x");
    let headers = |headers: &str| [bare(headers), b"\r\n\r\nx\r\n".to_vec()].concat();
    let huge = "x".repeat(100_000);
    let many = "X-Some: thing\r\n".repeat(40);
    let named = "Content-Disposition: form-data; name=\"file\"; filename=\"a\"";
    let cases: Vec<Case> = vec![
        ("no parts", vec![], 422, &["`file`", "missing"]),
        ("no file", vec![p()], 422, &["`file`", "missing"]),
        ("no purpose", vec![a()], 422, &["`purpose`", "missing"]),
        ("two files", vec![a(), p(), a()], 422, &["`file`", "twice"]),
        ("two purposes", vec![p(), a(), p()], 422, &["`purpose`", "twice"]),
        ("another field", vec![p(), field("expires_after"), a()], 422, &["`expires_after`", "unknown"]),
        ("another field behind", vec![p(), a(), field("x")], 422, &["`x`", "unknown"]),
        ("a field without a name", vec![a(), field("")], 422, &["unknown"]),
        ("the name in large letters", vec![field("Purpose"), a()], 422, &["`Purpose`"]),
        ("an empty purpose", vec![a(), purpose("")], 422, &["`purpose`"]),
        ("a long purpose", vec![a(), purpose(&"x".repeat(65))], 422, &["`purpose`"]),
        ("a longer purpose", vec![a(), purpose(&"x".repeat(2_000))], 422, &["`purpose`", "too long"]),
        ("an odd purpose", vec![a(), purpose("a b")], 422, &["`purpose`"]),
        ("a purpose in no UTF-8", vec![a(), part("name=\"purpose\"", b"\xff")], 422, &["`purpose`"]),
        ("a purpose with a NUL", vec![a(), purpose("a\0")], 422, &["`purpose`"]),
        ("a file as text", vec![part("name=\"file\"", "x"), p()], 422, &["`file`", "filename"]),
        (
            "a form in the form",
            vec![p(), headers(&format!("{named}\r\nContent-Type: multipart/mixed; boundary=y"))],
            400,
            &["ested"],
        ),
        ("a long header", vec![a(), headers(&format!("{named}\r\nX: {huge}"))], 400, &["header"]),
        ("many headers", vec![a(), headers(&format!("{many}{named}"))], 400, &["header"]),
        ("no headers", vec![a(), headers("")], 400, &["Content-Disposition"]),
        ("no name", vec![a(), headers("Content-Disposition: form-data")], 400, &["name"]),
        (
            "no form-data",
            vec![a(), headers("Content-Disposition: attachment; name=\"file\"")],
            400,
            &["Content-Disposition"],
        ),
        ("no headers but a line", vec![a(), headers("garbage")], 400, &["header"]),
        (
            "a length of a part that is too long",
            vec![p(), headers(&format!("{named}\r\nContent-Length: 900"))],
            400,
            &[],
        ),
        (
            "a length of a part that is none",
            vec![p(), headers(&format!("{named}\r\nContent-Length: -1"))],
            400,
            &[],
        ),
        ("10,000 empty parts", vec![field("x"); 10_000], 422, &["`x`"]),
        ("10,000 empty purposes", vec![part("name=\"purpose\"", ""); 10_000], 422, &["`purpose`"]),
        ("10,000 parts that are none", vec![headers(""); 10_000], 400, &["Content-Disposition"]),
    ];
    for (name, parts, status, words) in cases {
        let answer = server.call(&key, post(form(&parts)));
        expect_refused(name, &answer, status, words);
        assert_eq!(kept(&server), NOTHING, "{name}");
    }
    // What was refused left no room taken and no slot held, and the next form is read as if nothing had been.
    server.call(&key, upload("a", b"x")).expect(200);
    assert_eq!(kept(&server), [1, 1, 0]);
}
