//! Uploads, downloads, lists and deletions that go well.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::json;

use super::{
    BOUNDARY, CHUNK, NOTHING, content, delete, download, file, form, id, kept, part, post, purpose, sha256,
    store, upload,
};
use crate::harness::{Request, Stream, TestServer};

#[test]
fn a_file_comes_back_to_the_byte_with_its_digest() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({}));
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 7] {
        let bytes = content(length);
        for purpose_first in [true, false] {
            let mut parts = [purpose("assistants"), file("a.bin", &bytes)];
            if !purpose_first {
                parts.reverse();
            }
            let answer = server.call(&key, post(form(&parts))).expect(200);
            let id = id(&answer);
            assert!(id.starts_with("file_"), "{id}");
            let expected = json!({
                "id": id,
                "object": "file",
                "bytes": length,
                "created_at": server.unix_time(),
                "filename": "a.bin",
                "purpose": "assistants",
                "status": "processed",
                "sha256": sha256(&bytes),
                "created_by": made["id"],
            });
            assert_eq!(answer.json(), expected);
            let shown = server.call(&key, Request::get(&format!("/v1/files/{id}"))).expect(200);
            assert_eq!(shown.json(), expected);
            let list = server.call(&key, Request::get("/v1/files")).expect(200).json();
            assert_eq!(
                list,
                json!({"object": "list", "data": [expected], "has_more": false, "first_id": id, "last_id": id})
            );

            let came = server.call(&key, download(&id)).expect(200);
            assert!(came.body == bytes, "{length} bytes, {} came", came.body.len());
            let headers = [
                ("content-type", "application/octet-stream"),
                ("content-disposition", "attachment; filename=\"a.bin\""),
                ("x-content-type-options", "nosniff"),
                ("accept-ranges", "bytes"),
                ("etag", &format!("\"{}\"", sha256(&bytes))),
                ("content-length", &length.to_string()),
            ];
            for (name, value) in headers {
                assert_eq!(came.header(name), Some(value), "{name}");
            }

            let gone = server.call(&key, delete(&id)).expect(200).json();
            assert_eq!(gone, json!({"id": id, "object": "file", "deleted": true}));
            assert_eq!(kept(&server), NOTHING);
            for request in [delete(&id), download(&id), Request::get(&format!("/v1/files/{id}"))] {
                server.call(&key, request).expect_error(404, "not_found");
            }
        }
    }
    for id in ["x", "file_", "ctx_000000000000000000000000", "file_00000000000000000000000%00"] {
        server.call(&key, download(id)).expect_error(404, "not_found");
    }
}

#[test]
fn files_outlive_a_restart_and_the_key_that_made_them() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({}));
    let (reader, _) = server.key(json!({"scopes": ["files:read"]}));
    let bytes = content(2 * CHUNK + 1);
    let id = store(&server, &key, &bytes);
    server
        .admin(Request::new("DELETE", &format!("/admin/v1/keys/{}", made["id"].as_str().unwrap())))
        .expect(200);
    let server = server.restart();
    let shown = server.call(&reader, Request::get(&format!("/v1/files/{id}"))).expect(200).json();
    assert_eq!((&shown["created_by"], &shown["sha256"]), (&made["id"], &json!(sha256(&bytes))));
    assert!(server.call(&reader, download(&id)).expect(200).body == bytes);
}

/// Contents in which a boundary seems to begin, at every place and at their ends.
fn treacherous() -> Vec<Vec<u8>> {
    let mark = format!("\r\n--{BOUNDARY}");
    let almost = &mark[..mark.len() - 1];
    let mut contents: Vec<Vec<u8>> = (1..mark.len()).map(|end| mark.as_bytes()[..end].to_vec()).collect();
    contents.extend((1..mark.len()).map(|end| mark[..end].repeat(3).into_bytes()));
    contents.push(format!("{almost}x\r\n--\r\n\r\r\n\n{almost}").into_bytes());
    contents.push([&content(CHUNK - 5)[..], almost.as_bytes(), b"\r\n"].concat());
    contents.push(b"\r\n".repeat(3_000));
    contents.push(vec![b'\r'; 70_000]);
    contents.push(format!("--{BOUNDARY}--\r\n").into_bytes());
    contents
}

#[test]
fn a_content_that_looks_like_a_form_is_kept_as_it_is() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    for (number, bytes) in treacherous().iter().enumerate() {
        let id = store(&server, &key, bytes);
        let came = server.call(&key, download(&id)).expect(200).body;
        assert!(came == *bytes, "content {number}: {:?} came", String::from_utf8_lossy(&came));
    }
}

/// The body in HTTP chunks of this many bytes.
fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let chunk = |piece: &[u8]| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
    let mut coded: Vec<u8> = body.chunks(size).flat_map(chunk).collect();
    coded.extend_from_slice(b"0\r\n\r\n");
    coded
}

#[test]
fn a_form_is_read_the_same_however_it_is_cut_up() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let bytes = [&content(CHUNK + 3)[..], b"\r\n--", &BOUNDARY.as_bytes()[..9], b"\r"].concat();
    let body = form(&[file("a", &bytes), purpose("p")]);
    let expect = |answer: crate::harness::Answer, how: &str| {
        let stored = answer.expect(200).json();
        assert_eq!(stored["sha256"], sha256(&bytes), "{how}");
        assert_eq!((&stored["filename"], &stored["purpose"]), (&json!("a"), &json!("p")), "{how}");
    };
    for size in [1, 7, 4_096, 1 << 20] {
        let request = post(chunked(&body, size)).header("Transfer-Encoding", "chunked");
        expect(server.call(&key, request), &format!("chunks of {size}"));
    }
    // A byte at a time: the form's beginning, the file's end with what is behind it, or every byte that there is
    // in a short one.
    let ends = body.len() - 200;
    for (slow, how) in [(0..200, "its head"), (ends..body.len(), "its end")] {
        let mut connection = TcpStream::connect(server.public).unwrap();
        connection.set_nodelay(true).unwrap();
        let head = post("").bearer(&key).header("Content-Length", body.len().to_string()).bytes();
        connection.write_all(&head).unwrap();
        connection.write_all(&body[..slow.start]).unwrap();
        for byte in &body[slow.clone()] {
            connection.write_all(&[*byte]).unwrap();
        }
        connection.write_all(&body[slow.end..]).unwrap();
        expect(Stream::of(connection).finish(), how);
    }
}

#[test]
fn a_form_may_be_written_in_any_way_that_the_standards_allow() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let whole = form(&[purpose("p"), file("a", b"abc")]);
    let with =
        |kind: &str, body: &[u8]| Request::new("POST", "/v1/files").header("Content-Type", kind).body(body);
    let usual = format!("multipart/form-data; boundary={BOUNDARY}");
    let head = "Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n";
    let other = |head: &str| {
        let text = format!("--{BOUNDARY}\r\n{head}\r\nabc\r\n");
        form(&[purpose("p"), text.into_bytes()])
    };
    let cases = [
        ("a quoted boundary", with(&format!("multipart/form-data; boundary=\"{BOUNDARY}\""), &whole)),
        ("large letters", with(&format!("Multipart/Form-Data; charset=utf-8; boundary={BOUNDARY}"), &whole)),
        ("a preamble", with(&usual, &[b"read by nobody\r\n", &whole[..]].concat())),
        ("an epilogue", with(&usual, &[&whole[..], b"read by nobody\r\n"].concat())),
        ("no line end behind it", with(&usual, &whole[..whole.len() - 2])),
        ("a type of its own", with(&usual, &other(&format!("{head}Content-Type: text/html; charset=x\r\n")))),
        ("a length of its own", with(&usual, &other(&format!("{head}Content-Length: 3\r\n")))),
        ("small letters", with(&usual, &other(&head.to_lowercase()))),
        ("more headers", with(&usual, &other(&format!("X-Some: thing\r\n{head}")))),
    ];
    for (name, request) in cases {
        let answer = server.call(&key, request);
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(answer.json()["sha256"], sha256(b"abc"), "{name}");
    }
    // What stands for itself in a header needs no quotes.
    let parts = [part("name=purpose", "p"), part("name=file; filename=a.txt", "abc")];
    assert_eq!(server.call(&key, post(form(&parts))).expect(200).json()["filename"], "a.txt");
}

#[test]
fn a_list_goes_page_by_page_behind_a_row_that_is_gone_too() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let ids: Vec<String> = (0..7)
        .map(|number| {
            let parts = [purpose(if number % 2 == 0 { "even" } else { "odd" }), file("a", b"x")];
            id(&server.call(&key, post(form(&parts))).expect(200))
        })
        .collect();
    let list = |query: &str| {
        let list = server.call(&key, Request::get(&format!("/v1/files{query}"))).expect(200).json();
        let data = list["data"].as_array().unwrap();
        let names: Vec<String> = data.iter().map(|file| file["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(list["first_id"].as_str(), names.first().map(String::as_str));
        assert_eq!(list["last_id"].as_str(), names.last().map(String::as_str));
        let numbers: Vec<usize> =
            names.iter().map(|name| ids.iter().position(|id| id == name).unwrap()).collect();
        (numbers, list["has_more"].as_bool().unwrap())
    };
    let cases: [(String, &[usize], bool); 9] = [
        (String::new(), &[6, 5, 4, 3, 2, 1, 0], false),
        ("?order=asc&limit=3".to_owned(), &[0, 1, 2], true),
        (format!("?order=asc&limit=3&after={}", ids[2]), &[3, 4, 5], true),
        (format!("?order=asc&limit=3&after={}", ids[5]), &[6], false),
        (format!("?limit=2&after={}", ids[4]), &[3, 2], true),
        ("?purpose=odd&order=desc".to_owned(), &[5, 3, 1], false),
        (format!("?purpose=even&limit=1&after={}", ids[5]), &[4], true),
        ("?limit=7".to_owned(), &[6, 5, 4, 3, 2, 1, 0], false),
        ("?purpose=none".to_owned(), &[], false),
    ];
    for (query, numbers, more) in cases {
        assert_eq!(list(&query), (numbers.to_vec(), more), "{query}");
    }
    server.call(&key, delete(&ids[3])).expect(200);
    assert_eq!(list(&format!("?order=asc&limit=2&after={}", ids[3])), (vec![4, 5], true));
    assert_eq!(list(&format!("?after={}", ids[3])), (vec![2, 1, 0], false));
    for query in ["?limit=0", "?limit=10001", "?limit=x", "?order=up", "?after=x", "?after=ctx_0", "?page=2"]
    {
        let answer = server.call(&key, Request::get(&format!("/v1/files{query}")));
        let word = query[1..].split('=').next().unwrap();
        let message = answer.expect_error(400, "invalid_request").json()["error"]["message"].clone();
        assert!(message.as_str().unwrap().contains(word), "{query}: {message}");
    }
}

#[test]
fn usage_has_the_bytes_of_uploads_and_downloads() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let bytes = content(3 * CHUNK);
    let request = upload("a", &bytes);
    let body = form(&[purpose("user_data"), file("a", &bytes)]).len() as u64;
    let id = id(&server.call(&key, request).expect(200));
    let part = download(&id).header("Range", "bytes=100-299999");
    assert_eq!(server.call(&key, part).expect(206).body.len(), 299_900);
    server.call(&key, download(&id)).expect(200);
    let etag = format!("\"{}\"", sha256(&bytes));
    assert_eq!(server.call(&key, download(&id).header("If-None-Match", etag)).expect(304).body, b"");
    let counted = |endpoint, status, figure| super::counted(&server, endpoint, status, figure);
    assert_eq!(counted("/v1/files", 200, "bytes_in"), Some(body));
    let content = "/v1/files/{id}/content";
    for (status, sent) in [(200, bytes.len() as u64), (206, 299_900), (304, 0)] {
        assert_eq!(counted(content, status, "bytes_out"), Some(sent), "{status}");
        assert_eq!(counted(content, status, "requests"), Some(1), "{status}");
    }
}
