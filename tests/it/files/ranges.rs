//! Parts of files, and files that the client has already (RFC 9110, sections 13 and 14).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;

use super::{CHUNK, content, download, sha256, store};
use crate::harness::TestServer;

#[test]
fn a_part_of_a_file_is_that_part() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let length = 3 * CHUNK + 7;
    let bytes = content(length);
    let id = store(&server, &key, &bytes);
    let last = length - 1;
    let cases = [
        ("bytes=0-0".to_owned(), 0..1),
        ("bytes=1-1".to_owned(), 1..2),
        (format!("bytes={}-{}", CHUNK - 1, CHUNK), CHUNK - 1..CHUNK + 1),
        (format!("bytes={CHUNK}-{}", 2 * CHUNK - 1), CHUNK..2 * CHUNK),
        (format!("bytes=5-{}", 3 * CHUNK), 5..3 * CHUNK + 1),
        (format!("bytes={}-", 2 * CHUNK + 3), 2 * CHUNK + 3..length),
        (format!("bytes={last}-"), last..length),
        ("bytes=0-".to_owned(), 0..length),
        ("bytes=-1".to_owned(), last..length),
        (format!("bytes=-{}", CHUNK + 8), length - CHUNK - 8..length),
        (format!("bytes=-{}", length + 1), 0..length),
        (format!("bytes=10-{}", u64::MAX), 10..length),
        (format!("bytes=0-{length}"), 0..length),
    ];
    for (range, expected) in cases {
        let answer = server.call(&key, download(&id).header("Range", &range)).expect(206);
        let told = format!("bytes {}-{}/{length}", expected.start, expected.end - 1);
        assert_eq!(answer.header("content-range"), Some(&*told), "{range}");
        assert_eq!(answer.header("content-length"), Some(&*expected.len().to_string()), "{range}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(answer.header("content-disposition").unwrap().starts_with("attachment"));
        assert!(answer.body == bytes[expected], "{range}");
    }
    for range in
        [format!("bytes={length}-"), format!("bytes={}-{}", length + 5, length + 9), "bytes=-0".into()]
    {
        let answer = server.call(&key, download(&id).header("Range", &range));
        let answer = answer.expect_error(416, "range_not_satisfiable");
        assert_eq!(answer.header("content-range"), Some(&*format!("bytes */{length}")), "{range}");
    }
    let whole = [
        "bytes=0-1,5-6",
        "bytes=0-0, -1",
        "bytes=",
        "bytes=-",
        "bytes=x-y",
        "bytes=5-2",
        "bytes=0-18446744073709551616",
        "lines=0-1",
        "garbage",
        "",
    ];
    for range in whole {
        let answer = server.call(&key, download(&id).header("Range", range)).expect(200);
        assert!(answer.body == bytes, "{range}");
        assert_eq!(answer.header("content-range"), None, "{range}");
    }
    let empty = store(&server, &key, b"");
    let answer = server.call(&key, download(&empty).header("Range", "bytes=0-0"));
    let answer = answer.expect_error(416, "range_not_satisfiable");
    assert_eq!(answer.header("content-range"), Some("bytes */0"));
}

#[test]
fn a_part_is_sent_only_of_the_version_that_the_client_has() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let bytes = content(1_000);
    let id = store(&server, &key, &bytes);
    let etag = format!("\"{}\"", sha256(&bytes));
    let cases = [
        (etag.clone(), 206),
        (format!("W/{etag}"), 200),
        ("\"another\"".to_owned(), 200),
        (etag.trim_matches('"').to_owned(), 200),
        ("Wed, 21 Oct 2015 07:28:00 GMT".to_owned(), 200),
        (String::new(), 200),
    ];
    for (version, status) in cases {
        let request = download(&id).header("Range", "bytes=3-5").header("If-Range", &version);
        let answer = server.call(&key, request).expect(status);
        let expected = if status == 206 { &bytes[3..6] } else { &bytes };
        assert!(answer.body == expected, "{version}");
        // A part that there is not is no failure of a client that wants the whole of another version.
        let request = download(&id).header("Range", "bytes=1000-").header("If-Range", &version);
        assert_eq!(server.call(&key, request).status, if status == 206 { 416 } else { 200 }, "{version}");
    }
}

#[test]
fn what_the_client_has_already_is_not_sent_again() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let bytes = content(1_000);
    let id = store(&server, &key, &bytes);
    let etag = format!("\"{}\"", sha256(&bytes));
    let cases = [
        (etag.clone(), true),
        (format!("W/{etag}"), true),
        (format!("\"a\", W/\"b\",{etag}"), true),
        ("*".to_owned(), true),
        ("\"another\"".to_owned(), false),
        ("\"a\", \"b\"".to_owned(), false),
        (etag.trim_matches('"').to_owned(), false),
        ("garbage".to_owned(), false),
        (String::new(), false),
    ];
    let known = cases.iter().filter(|(_, known)| *known).count() as u64;
    for (tags, known) in cases {
        for range in [None, Some("bytes=0-1"), Some("bytes=5000-")] {
            let mut request = download(&id).header("If-None-Match", &tags);
            if let Some(range) = range {
                request = request.header("Range", range);
            }
            let answer = server.call(&key, request);
            let status = match range {
                _ if known => 304,
                None => 200,
                Some("bytes=0-1") => 206,
                _ => 416,
            };
            assert_eq!(answer.status, status, "{tags} {range:?}");
            if known {
                assert_eq!((answer.header("etag"), &*answer.body), (Some(&*etag), &b""[..]), "{tags}");
            }
        }
    }
    // On a connection that is kept, the next answer follows at once.
    let mut connection = TcpStream::connect(server.public).unwrap();
    let first = download(&id).header("If-None-Match", "*").header("Connection", "keep-alive").bearer(&key);
    connection.write_all(&[first.bytes(), download(&id).bearer(&key).bytes()].concat()).unwrap();
    let mut answers = Vec::new();
    connection.read_to_end(&mut answers).unwrap();
    let head = answers.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    assert!(answers.starts_with(b"HTTP/1.1 304 "), "{:?}", String::from_utf8_lossy(&answers[..head]));
    assert!(answers[head..].starts_with(b"HTTP/1.1 200 OK\r\n") && answers.ends_with(&bytes));
    assert_eq!(super::counted(&server, "/v1/files/{id}/content", 304, "requests"), Some(3 * known + 1));
}
