//! A disk that is full: what does not fit is refused and leaves nothing, and all else goes on.

use std::fs::File;
use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{CHUNK, NOTHING, begin, content, delete, download, id, rows, sha256, upload};
use crate::harness::{Answer, Binary, Folder, Request, Stream, eventually};

const MEBIBYTE: usize = 1 << 20;

/// How many rows are in the tables of files; of a copy, since SQLite does not open what another mount hides.
fn kept(binary: &Binary) -> [u32; 3] {
    let copy = Folder::new();
    for name in ["mcpd.db", "mcpd.db-wal"] {
        std::fs::copy(binary.path(&format!("data/{name}")), copy.path().join(name)).unwrap();
    }
    rows(&copy.path().join("mcpd.db"))
}

/// What the database takes on the disk.
fn taken(binary: &Binary) -> u64 {
    ["mcpd.db", "mcpd.db-wal"]
        .map(|name| binary.path("data").join(name).metadata().unwrap().len())
        .iter()
        .sum()
}

fn refused(answer: Answer) {
    assert!(answer.header("retry-after").is_some(), "{}", answer.text());
    answer.expect_error(503, "storage_unavailable");
}

/// Fails unless chats are answered and counted, keys are made and work.
fn all_else_works(binary: &Binary) {
    let made =
        binary.admin(Request::post("/admin/v1/keys", &json!({"name": "x", "scopes": ["*"]}))).expect(201);
    let made: Value = made.json();
    binary.call(made["key"].as_str().unwrap(), Request::chat("Hello")).expect(200);
    let usage = format!("/admin/v1/usage?step=day&key={}", made["id"].as_str().unwrap());
    eventually("it is counted", || {
        binary.admin(Request::get(&usage)).expect(200).json()["data"][0]["requests"] == 1
    });
}

#[test]
fn small_disk_an_upload_that_does_not_fit_is_refused_and_leaves_nothing() {
    let binary = Binary::start_on_a_small_disk(24, "");
    let key = binary.default_key();
    let kept_before = content(CHUNK + 1);
    let file = id(&binary.call(&key, upload("a", &kept_before)).expect(200));
    for _ in 0..3 {
        refused(binary.call(&key, upload("a", &content(32 * MEBIBYTE))));
        assert_eq!(kept(&binary), [1, 2, 0]);
        all_else_works(&binary);
        // The room is there again, as often as it is taken.
        let fits = id(&binary.call(&key, upload("b", &content(6 * MEBIBYTE))).expect(200));
        binary.call(&key, delete(&fits)).expect(200);
        assert_eq!(kept(&binary), [1, 2, 0]);
    }
    assert!(taken(&binary) < 12 * MEBIBYTE as u64, "{} bytes", taken(&binary));
    assert_eq!(sha256(&binary.call(&key, download(&file)).expect(200).body), sha256(&kept_before));
    // Several at once, none of which fits beside the others, are refused or kept, each as a whole.
    let answers = thread::scope(|scope| {
        let one = || binary.call(&key, upload("a", &content(6 * MEBIBYTE)));
        let all: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|upload| upload.join().unwrap()).collect::<Vec<_>>()
    });
    let mut stored = 0;
    for answer in answers {
        if answer.status == 200 {
            stored += 1;
            binary.call(&key, delete(&id(&answer))).expect(200);
        } else {
            refused(answer);
        }
    }
    assert!(stored < 4);
    assert_eq!(kept(&binary), [1, 2, 0]);
    assert!(binary.log().contains("bytes are free on the disk of store.path"), "{}", binary.log());
}

#[test]
fn small_disk_that_another_fills_ends_an_upload_and_nothing_else() {
    let binary = Binary::start_on_a_small_disk(24, "");
    let key = binary.default_key();
    let before = taken(&binary);
    let mut connection = begin(binary.public, &key, 16 * MEBIBYTE, 2 * MEBIBYTE);
    eventually("chunks are kept", || taken(&binary) > before + MEBIBYTE as u64);
    let filler = binary.path("data/filler");
    let mut filling = File::create(&filler).unwrap();
    while filling.write_all(&[1; 4_096]).is_ok() {}
    // The server may have answered, and closed, before it is all sent.
    let _ = connection.write_all(&content(2 * MEBIBYTE));
    refused(Stream::of(connection).finish());
    for _ in 0..10 {
        binary.call(&key, Request::chat("Hello")).expect(200);
    }
    refused(binary.call(&key, upload("a", b"x")));
    binary.admin(Request::get("/admin/v1/keys")).expect(200);

    drop(filling);
    std::fs::remove_file(&filler).unwrap();
    all_else_works(&binary);
    let file = id(&binary.call(&key, upload("a", b"abc")).expect(200));
    assert_eq!(binary.call(&key, download(&file)).expect(200).body, b"abc");
    binary.call(&key, delete(&file)).expect(200);
    // What could not be cleared away is tried again every ten seconds.
    let start = Instant::now();
    while kept(&binary) != NOTHING {
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", kept(&binary));
        thread::sleep(Duration::from_millis(100));
    }
}
