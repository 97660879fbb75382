//! Transfers that do not come to their end: the client leaves, the key ends, the process is killed.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;

use super::{
    CHUNK, NOTHING, begin, content, counted, delete, download, form, id, kept, patch_key, purpose, revoke,
    rows, sha256, store, upload,
};
use crate::harness::{Binary, Request, Stream, TestServer, eventually};

const MEGABYTE: usize = 1 << 20;
/// Longer than what a connection holds that its client does not read from.
const LONG: usize = 24 * MEGABYTE;

fn own() -> Request {
    Request::get("/v1/key")
}

#[test]
fn an_upload_that_its_client_leaves_keeps_nothing_and_is_counted() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"max_concurrent": 1}));
    let connection = begin(server.public, &key, LONG, 3 * CHUNK + 5);
    eventually("chunks are kept", || kept(&server)[1] == 3);
    assert_eq!(kept(&server), [0, 3, 1]);
    server.call(&key, own()).expect_error(429, "concurrency_limit_exceeded");
    drop(connection);
    eventually("nothing is kept", || kept(&server) == NOTHING);
    eventually("the slot is back", || server.call(&key, own()).status == 200);
    let ended = |figure| counted(&server, "/v1/files", 499, figure);
    eventually("it is counted", || ended("requests") == Some(1));
    assert!(ended("bytes_in") >= Some(3 * CHUNK as u64), "{:?}", ended("bytes_in"));
    assert!(ended("bytes_in") <= Some(3 * CHUNK as u64 + 1_000), "{:?}", ended("bytes_in"));
}

#[test]
fn an_upload_of_a_key_that_ends_is_refused_and_nothing_is_kept() {
    let server = TestServer::start();
    for (goes_on, change) in [(true, "revoked"), (false, "revoked"), (false, "disabled"), (false, "deleted")]
    {
        let (key, made) = server.key(json!({"max_concurrent": 1}));
        let mut connection = begin(server.public, &key, LONG, 2 * CHUNK);
        eventually("chunks are kept", || kept(&server)[1] > 0);
        match change {
            "revoked" => revoke(&server, &made),
            "disabled" => patch_key(&server, &made, &json!({"enabled": false})),
            _ => {
                let path = format!("/admin/v1/keys/{}", made["id"].as_str().unwrap());
                server.admin(Request::new("DELETE", &path)).expect(200);
            }
        }
        let start = Instant::now();
        if goes_on {
            // The server may have ended it already.
            let _ = connection.write_all(&content(CHUNK));
        }
        let refused = Stream::of(connection).finish().expect_error(401, "invalid_api_key");
        assert!(start.elapsed() < Duration::from_secs(1), "{change}: {:?}", start.elapsed());
        assert_eq!(refused.json()["error"]["message"], "The API key provided is invalid or has been revoked");
        assert_eq!(kept(&server), NOTHING, "{change}");
        if change == "disabled" {
            patch_key(&server, &made, &json!({"enabled": true}));
            server.call(&key, own()).expect(200);
        }
    }
    assert!(counted(&server, "/v1/files", 401, "bytes_in") >= Some(2 * CHUNK as u64));
}

#[test]
fn a_download_ends_with_its_key_whether_its_client_reads_or_not() {
    let server = TestServer::start();
    let (writer, _) = server.key(json!({}));
    let bytes = content(LONG);
    let file = store(&server, &writer, &bytes);
    for reads in [true, false] {
        let (key, made) = server.key(json!({"max_concurrent": 1}));
        let mut connection = TcpStream::connect(server.public).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        connection.write_all(&download(&file).bearer(&key).bytes()).unwrap();
        connection.read_exact(&mut [0; 1_000]).unwrap();
        // As slowly as this it would take a minute.
        let slowly = |connection: &mut TcpStream| {
            std::thread::sleep(Duration::from_millis(5));
            connection.read(&mut [0; 2_048]).is_ok_and(|length| length > 0)
        };
        server.call(&key, own()).expect_error(429, "concurrency_limit_exceeded");
        patch_key(&server, &made, &json!({"enabled": false}));
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(900) {
            if reads {
                slowly(&mut connection);
            } else {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        patch_key(&server, &made, &json!({"enabled": true}));
        server.call(&key, own()).expect(200);
        // What was under way comes, and no more: the client knows that it is not all.
        let mut came = Vec::new();
        let _ = connection.read_to_end(&mut came);
        assert!(came.len() < LONG / 2, "{} bytes", came.len());
        let ended = counted(&server, "/v1/files/{id}/content", 401, "bytes_out");
        assert!(ended > Some(0) && ended < Some(LONG as u64), "{ended:?}");
    }
    assert_eq!(counted(&server, "/v1/files/{id}/content", 401, "requests"), Some(2));
    assert!(server.call(&writer, download(&file)).expect(200).body == bytes);
}

#[test]
fn a_download_that_its_client_leaves_gives_its_slot_back() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"max_concurrent": 1}));
    let file = store(&server, &key, &content(LONG));
    let download = download(&file).bearer(&key).open(server.public);
    server.call(&key, own()).expect_error(429, "concurrency_limit_exceeded");
    drop(download);
    eventually("the slot is back", || server.call(&key, own()).status == 200);
    let counted = |figure| counted(&server, "/v1/files/{id}/content", 499, figure);
    eventually("it is counted", || counted("requests") == Some(1));
    assert!(counted("bytes_out") < Some(LONG as u64));
}

#[test]
fn a_file_that_is_deleted_while_it_comes_breaks_off_and_is_never_another() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let bytes = content(LONG);
    let file = store(&server, &key, &bytes);
    let coming = download(&file).bearer(&key).open(server.public);
    server.call(&key, delete(&file)).expect(200);
    assert_eq!(kept(&server), NOTHING);
    let another = store(&server, &key, &vec![0; LONG]);
    let came = coming.finish().body;
    assert!(came.len() < LONG && bytes.starts_with(&came), "{} bytes", came.len());
    server.call(&key, delete(&another)).expect(200);
}

#[test]
fn a_form_that_stops_coming_keeps_nothing_when_the_server_stops() {
    let mut server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let _connection = begin(server.public, &key, LONG, 2 * CHUNK);
    eventually("chunks are kept", || kept(&server)[1] == 2);
    server.stop();
    let server = server.restart();
    assert_eq!(kept(&server), NOTHING);
}

/// Pages of the database that nothing is on.
fn free_pages(binary: &Binary) -> u32 {
    let database = Connection::open(binary.path("data/mcpd.db")).unwrap();
    database.query_row("PRAGMA freelist_count", [], |row| row.get(0)).unwrap()
}

fn database_bytes(binary: &Binary) -> u64 {
    binary.path("data/mcpd.db").metadata().unwrap().len()
}

#[test]
fn a_kill_in_the_middle_of_an_upload_leaves_nothing_behind() {
    let binary = Binary::start("");
    let key = binary.default_key();
    let content_kept = content(CHUNK + 1);
    let file = id(&binary.call(&key, upload("a", &content_kept)).expect(200));
    let binary = Binary::start_in(binary.end("TERM"));
    let before = database_bytes(&binary);
    let whole = form(&[purpose("p"), super::file("b", &content(6 * MEGABYTE))]);
    let mut uploads: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut connection = TcpStream::connect(binary.public).unwrap();
            let head = super::post("").bearer(&key).header("Content-Length", whole.len().to_string()).bytes();
            connection.write_all(&head).unwrap();
            connection
        })
        .collect();
    for upload in &mut uploads {
        upload.write_all(&whole[..whole.len() - 3]).unwrap();
    }
    // More than the write-ahead log holds: the database itself has grown.
    let database = binary.path("data/mcpd.db");
    eventually("chunks are kept", || rows(&database)[1] > 3 * 40);
    assert!(database_bytes(&binary) > before + 4 * MEGABYTE as u64);
    assert_eq!(rows(&database)[2], 3);
    let binary = Binary::start_in(binary.end("KILL"));
    assert_eq!(rows(&database), [1, 2, 0]);
    assert_eq!(free_pages(&binary), 0);
    assert!(database_bytes(&binary) <= before, "{before} bytes before, {} now", database_bytes(&binary));
    assert!(binary.log().contains("cleared away 3 files"), "{}", binary.log());
    assert_eq!(sha256(&binary.call(&key, download(&file)).expect(200).body), sha256(&content_kept));
}

#[test]
fn what_is_deleted_or_given_up_is_the_disk_s_again() {
    let binary = Binary::start("");
    let key = binary.default_key();
    let binary = Binary::start_in(binary.end("TERM"));
    let before = database_bytes(&binary);
    let file = id(&binary.call(&key, upload("a", &content(12 * MEGABYTE))).expect(200));
    let full = database_bytes(&binary);
    assert!(full > before + 8 * MEGABYTE as u64, "{full}");
    binary.call(&key, delete(&file)).expect(200);
    let most = before + 64 * 1024;
    assert_eq!(free_pages(&binary), 0);
    assert!(database_bytes(&binary) <= most, "{before} bytes before, {} now", database_bytes(&binary));

    // The same for a form that turns out to be none at its end.
    let bad = form(&[super::file("a", &content(12 * MEGABYTE))]);
    binary.call(&key, super::post(bad)).expect_error(422, "invalid_request");
    assert_eq!((free_pages(&binary), rows(&binary.path("data/mcpd.db"))), (0, NOTHING));
    assert!(database_bytes(&binary) <= most, "{before} bytes before, {} now", database_bytes(&binary));
}
