//! How much is kept, for whom, and from whom.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{
    CHUNK, NOTHING, begin, begun, content, delete, download, file, form, id, kept, post, purpose, sha256,
    store, upload,
};
use crate::harness::{Request, Stream, TestServer, eventually};
use crate::signing::{signature, with};

fn limited(max_bytes: usize, total_bytes: usize) -> TestServer {
    TestServer::setup()
        .toml(&format!("files.max_bytes = {max_bytes}\nfiles.total_bytes = {total_bytes}"))
        .start()
}

#[test]
fn a_file_may_be_as_long_as_the_limit_and_no_longer() {
    for limit in [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5] {
        let server = limited(limit, 1 << 30);
        let (key, _) = server.key(json!({}));
        let id = store(&server, &key, &content(limit));
        let before = kept(&server);
        let body = form(&[file("a", &content(limit + 1)), purpose("p")]);
        let chunks = format!("{:x}\r\n", body.len());
        let coded = [chunks.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
        let too_long =
            [("by its length", post(body)), ("chunked", post(coded).header("Transfer-Encoding", "chunked"))];
        for (how, request) in too_long {
            let answer = server.call(&key, request).expect_error(413, "payload_too_large");
            let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(
                message.contains(&limit.to_string()) && message.contains("max_bytes"),
                "{how}: {message}"
            );
            assert_eq!(kept(&server), before, "{how}");
        }
        assert!(server.call(&key, download(&id)).expect(200).body == content(limit));
    }
}

#[test]
fn a_length_that_is_too_long_is_refused_before_the_body_comes() {
    let server = limited(1_000, 1 << 30);
    let (key, _) = server.key(json!({}));
    let mut connection = TcpStream::connect(server.public).unwrap();
    connection.write_all(&begun(&key, 3 << 20)).unwrap();
    let answer = Stream::of(connection).finish().expect_error(413, "payload_too_large");
    assert!(answer.text().contains("1000"), "{}", answer.text());
    // And one that says nothing ends where no file can be that long any more.
    let mut connection = TcpStream::connect(server.public).unwrap();
    let head = post("").header("Transfer-Encoding", "chunked").bearer(&key).bytes();
    connection.write_all(&head).unwrap();
    let preamble = [b"10000\r\n", &vec![b'\n'; 0x10000][..], b"\r\n"].concat();
    let answered = AtomicBool::new(false);
    let mut writing = connection.try_clone().unwrap();
    let answer = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut is_taken = true;
            while is_taken && !answered.load(Ordering::Relaxed) {
                is_taken = writing.write_all(&preamble).is_ok();
            }
        });
        let answer = Stream::of(connection).finish();
        answered.store(true, Ordering::Relaxed);
        answer
    });
    answer.expect_error(413, "payload_too_large");
    assert_eq!(kept(&server), NOTHING);
}

#[test]
fn all_files_together_take_no_more_than_their_limit_and_deletion_makes_room() {
    let server = limited(10 * CHUNK, 10 * CHUNK);
    let (key, _) = server.key(json!({}));
    let first = store(&server, &key, &content(6 * CHUNK));
    let too_much = |length: usize| {
        let before = kept(&server);
        let answer = server.call(&key, upload("a", &content(length))).expect_error(413, "payload_too_large");
        assert!(answer.text().contains("total_bytes"), "{}", answer.text());
        assert_eq!(kept(&server), before);
    };
    too_much(4 * CHUNK + 1);
    let second = store(&server, &key, &content(4 * CHUNK));
    too_much(1);
    store(&server, &key, b"");
    // What is deleted makes room, once and not twice.
    server.call(&key, delete(&second)).expect(200);
    server.call(&key, delete(&second)).expect(404);
    too_much(4 * CHUNK + 1);
    store(&server, &key, &content(4 * CHUNK));
    too_much(1);
    // A restart counts what is there.
    let server = server.restart();
    let full = server.call(&key, upload("a", b"x"));
    full.expect_error(413, "payload_too_large");
    server.call(&key, delete(&first)).expect(200);
    store(&server, &key, &content(6 * CHUNK));
    server.call(&key, upload("a", b"x")).expect_error(413, "payload_too_large");

    let server = limited(10, 0);
    let (key, _) = server.key(json!({}));
    server.call(&key, upload("a", b"x")).expect_error(413, "payload_too_large");
    assert_eq!(kept(&server), NOTHING);
}

#[test]
fn uploads_at_once_are_never_more_together_than_the_limit() {
    let server = limited(10 * CHUNK, 10 * CHUNK);
    let (key, _) = server.key(json!({"max_concurrent": 100}));
    for _ in 0..4 {
        let kept_at_once = std::thread::scope(|scope| {
            let uploads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| server.call(&key, upload("a", &content(3 * CHUNK))))).collect();
            let answers = uploads.into_iter().map(|upload| upload.join().unwrap());
            answers
                .filter_map(|answer| match answer.status {
                    200 => Some(id(&answer)),
                    _ => {
                        answer.expect_error(413, "payload_too_large");
                        None
                    }
                })
                .collect::<Vec<_>>()
        });
        assert!(kept_at_once.len() <= 3, "{kept_at_once:?}");
        assert_eq!(
            kept(&server),
            [kept_at_once.len(), 3 * kept_at_once.len(), 0].map(|rows| u32::try_from(rows).unwrap())
        );
        for id in &kept_at_once {
            server.call(&key, delete(id)).expect(200);
        }
        // All the room is there again, and not more.
        let all = store(&server, &key, &content(10 * CHUNK));
        server.call(&key, upload("a", b"x")).expect_error(413, "payload_too_large");
        server.call(&key, delete(&all)).expect(200);
        assert_eq!(kept(&server), NOTHING);
    }
    // Room that an upload has taken is nobody else's until it is given up.
    let connection = begin(server.public, &key, 10 * CHUNK, 8 * CHUNK + 500);
    eventually("it has taken room", || kept(&server)[1] >= 8);
    server.call(&key, upload("a", &content(3 * CHUNK))).expect_error(413, "payload_too_large");
    drop(connection);
    eventually("it has given it back", || server.call(&key, upload("a", &content(10 * CHUNK))).status == 200);
}

#[test]
fn a_signed_upload_is_kept_only_if_its_signature_is_good_at_its_end() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let now = server.unix_time();
    let bytes = content(2 * CHUNK + 9);
    let body = form(&[purpose("p"), file("a", &bytes)]);
    let good = signature(&key, now, &body);
    let epilogue = [&body[..], b"and so on"].concat();
    let mut changed = body.clone();
    changed[CHUNK] ^= 1;
    let wrong = [
        ("another signature", with(post(&*body), now, &"0".repeat(64))),
        ("another second", with(post(&*body), now - 1, &good)),
        ("another body", with(post(changed), now, &good)),
        ("more behind the form", with(post(&*epilogue), now, &good)),
        ("a signature of nothing", with(post(&*body), now, &signature(&key, now, b""))),
    ];
    for (name, request) in wrong {
        let answer = server.call(&key, request);
        assert_eq!((answer.status, &*answer.code()), (401, "invalid_signature"), "{name}");
        assert_eq!(kept(&server), NOTHING, "{name}");
    }
    let stored = server.call(&key, with(post(&*body), now, &good)).expect(200).json();
    assert_eq!(stored["sha256"], sha256(&bytes));
    let once = kept(&server);
    server.call(&key, with(post(&*body), now, &good)).expect_error(401, "replayed_signature");
    assert_eq!(kept(&server), once);
    // All that was sent is signed, also what is behind the form.
    server.call(&key, with(post(&*epilogue), now, &signature(&key, now, &epilogue))).expect(200);
    // A form that is refused for itself uses nothing up.
    let bad = form(&[purpose("p")]);
    let signed = || with(post(&*bad), now, &signature(&key, now, &bad));
    for _ in 0..2 {
        server.call(&key, signed()).expect_error(422, "invalid_request");
    }
}

#[test]
fn a_signature_that_is_too_old_or_missing_is_refused_before_the_body_is_read() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"require_signature": true}));
    let old = server.unix_time() - 301;
    let cases = [
        ("stale_timestamp", with(post(""), old, &"0".repeat(64))),
        ("missing_signature", post("")),
        ("invalid_signature", post("").header("X-MCP-Signature", "0".repeat(64))),
    ];
    for (code, request) in cases {
        let mut connection = TcpStream::connect(server.public).unwrap();
        let head = request.header("Content-Length", "1000000").bearer(&key);
        connection.write_all(&head.bytes()).unwrap();
        Stream::of(connection).finish().expect_error(401, code);
    }
    assert_eq!(kept(&server), NOTHING);
}

#[test]
fn files_are_for_those_who_have_the_scope() {
    let server = TestServer::start();
    let key = |scopes: Value| server.key(json!({"scopes": scopes})).0;
    let (writer, reader) = (key(json!(["files:write"])), key(json!(["files:read"])));
    let others = key(json!(["chats:create", "contexts:read", "contexts:write", "models:read"]));
    let id = store(&server, &writer, b"abc");
    let show = || Request::get(&format!("/v1/files/{id}"));
    let reading = || [Request::get("/v1/files"), show(), download(&id)];
    let writing = || [delete(&id), upload("a", b"x")];
    for request in reading() {
        server.call(&reader, request).expect(200);
    }
    for (key, requests, scope) in [
        (&writer, reading().to_vec(), "files:read"),
        (&others, reading().to_vec(), "files:read"),
        (&reader, writing().to_vec(), "files:write"),
        (&others, writing().to_vec(), "files:write"),
    ] {
        for request in requests {
            let answer = server.call(key, request).expect_error(403, "insufficient_scope");
            assert!(answer.text().contains(scope), "{}", answer.text());
        }
    }
    assert_eq!(kept(&server), [1, 1, 0]);
    // A body that nobody may send is not waited for.
    let mut connection = TcpStream::connect(server.public).unwrap();
    connection.write_all(&begun(&reader, 1 << 20)).unwrap();
    Stream::of(connection).finish().expect_error(403, "insufficient_scope");
    server.call(&writer, delete(&id)).expect(200);
}
