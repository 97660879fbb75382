//! A disk that is full, or takes nothing any more, as one does that the system has made read-only after an error.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::scene::{
    Key, admin, call, expect_chats, expect_lives, expect_verified, expect_whole, is_ready, make_key, revoke,
    signed, trouble,
};
use super::through_sh;
use crate::harness::binary::CONFIG;
use crate::harness::{Answer, Binary, Folder, Request, eventually};

/// As many keys are revoked, until one cannot be.
const KEYS: usize = 60;

fn refused(answer: Answer) {
    answer.expect_error(503, "storage_unavailable");
}

/// Revokes one key after the other; returns those that were, and those that were not. Each is, or is not, for the gate
/// and in the database alike.
fn revoke_all(binary: &Binary, keys: &[Key]) -> (Vec<Key>, Vec<Key>) {
    let (mut gone, mut left) = (Vec::new(), Vec::new());
    for key in keys {
        let answer = revoke(binary, key);
        let is_revoked = answer.status == 200;
        if !is_revoked {
            refused(answer);
        }
        expect_lives(binary, key, !is_revoked);
        if is_revoked { &mut gone } else { &mut left }.push(key.clone());
    }
    (gone, left)
}

fn expect_all(binary: &Binary, keys: &[Key], live: bool) {
    for key in keys {
        expect_lives(binary, key, live);
    }
}

/// Makes keys, spoils the disk, does all that can be done, and mends it again.
fn expect_to_mend_by_itself(binary: &Binary, spoil: impl FnOnce(), mend: impl FnOnce(), reason: &str) {
    let keys: Vec<_> = (0..KEYS).map(|_| make_key(binary)).collect();
    let key = make_key(binary);
    let own = call(binary, &key, Request::post("/v1/contexts", &json!({"messages": []}))).expect(200).json();
    let context = format!("/v1/contexts/{}", own["id"].as_str().unwrap());
    call(binary, &key, Request::chat("Hello")).expect(200);
    expect_chats(binary, &key, 1);

    spoil();
    let (gone, left) = revoke_all(binary, &keys);
    assert!(!left.is_empty(), "the disk has room for everything");
    for _ in 0..50 {
        call(binary, &key, Request::chat("Hello")).expect(200);
    }
    let text = "a".repeat(1 << 20);
    let long = json!({"messages": [{"role": "user", "content": text}]});
    refused(call(binary, &key, Request::post(&format!("{context}/messages"), &long)));
    // What cannot be remembered is not accepted. A little may still fit behind what was written before.
    let now = jiff::Timestamp::now().as_second();
    let answer = call(binary, &key, signed(&key, now));
    if answer.status != 200 {
        refused(answer);
    }
    assert!(is_ready(binary), "chats are answered");
    eventually("the status tells of it", || trouble(binary).is_some_and(|why| why.contains(reason)));
    assert!(binary.log().contains(reason), "{}", binary.log());

    mend();
    eventually("the status tells of nothing", || trouble(binary).is_none());
    expect_chats(binary, &key, 51);
    expect_all(binary, &gone, false);
    expect_all(binary, &left, true);
    for key in &left {
        revoke(binary, key).expect(200);
    }
    expect_all(binary, &left, false);
    call(binary, &key, signed(&key, now + 1)).expect(200);
    call(binary, &key, Request::post(&format!("{context}/messages"), &long)).expect(200);
    let kept = call(binary, &key, Request::get(&context)).expect(200).json();
    assert_eq!(kept["messages"].as_array().unwrap().len(), 1);
    assert!(admin(binary, Request::get("/admin/v1/keys")).status == 200);
    expect_verified(binary);
}

/// Fills the disk with a file.
fn fill(filler: &Path) {
    let mut filling = File::create(filler).unwrap();
    while filling.write_all(&[1; 4_096]).is_ok() {}
}

#[test]
fn small_disk_that_fills_up_stops_changes_only_and_none_half_way_until_there_is_room() {
    let binary = Binary::start_on_a_small_disk(16, "");
    let filler = binary.path("data/filler");
    expect_to_mend_by_itself(
        &binary,
        || fill(&filler),
        || fs::remove_file(&filler).unwrap(),
        "make room on the disk",
    );
}

#[test]
fn small_disk_without_room_for_a_database_that_was_removed_gets_it_back_once_there_is() {
    let binary = Binary::start_on_a_small_disk(32, "");
    let [first, second] = [make_key(&binary), make_key(&binary)];
    for _ in 0..3 {
        let long = json!({"messages": [{"role": "user", "content": "a".repeat(2 << 20)}]});
        call(&binary, &first, Request::post("/v1/contexts", &long)).expect(200);
    }
    let filler = binary.path("data/filler");
    fill(&filler);
    for name in ["mcpd.db", "mcpd.db-wal", "mcpd.db-shm"] {
        fs::remove_file(binary.path("data").join(name)).unwrap();
    }
    for _ in 0..5 {
        refused(revoke(&binary, &first));
        call(&binary, &second, Request::chat("Hello")).expect(200);
    }
    expect_lives(&binary, &first, true);
    assert!(!is_ready(&binary));
    let reason = "make room there";
    eventually("the status tells of it", || trouble(&binary).is_some_and(|why| why.contains(reason)));
    let left: Vec<_> =
        fs::read_dir(binary.path("data")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_str().unwrap().contains("unfinished")), "{left:?}");

    fs::remove_file(&filler).unwrap();
    eventually("it is back", || is_ready(&binary));
    revoke(&binary, &first).expect(200);
    expect_lives(&binary, &first, false);
    expect_chats(&binary, &second, 5);
    let contexts = call(&binary, &second, Request::get("/v1/contexts")).expect(200).json();
    assert_eq!(contexts["data"].as_array().unwrap().len(), 3);
    expect_verified(&binary);
}

/// Starts it so that the disk can be made to refuse each write later, but for the log, which goes through a pipe.
fn start() -> Binary {
    let folder = Folder::new();
    fs::write(folder.path().join("mcpd.toml"), CONFIG).unwrap();
    // A file that may not grow ends a process by a signal, unless that is ignored.
    let script = "trap '' XFSZ; mkfifo pipe; cat pipe >&2 & exec \"$0\" serve 2>pipe";
    Binary::start_with(folder, |command| through_sh(command, script))
}

/// Limits how long a file the process may write. At 0 each write fails, to files that are open too: as it is with a file
/// system that the system makes read-only after an error. By hand none can be while a file is open to be written.
fn allow_writes(binary: &Binary, most: &str) {
    let arguments = ["--pid", &binary.pid().to_string(), &format!("--fsize={most}:unlimited")];
    let output = Command::new("prlimit").args(arguments).output().expect("prlimit, from util-linux");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_disk_that_takes_nothing_stops_changes_only_and_none_half_way_until_it_does_again() {
    let binary = start();
    let (spoil, mend) = (|| allow_writes(&binary, "0"), || allow_writes(&binary, "unlimited"));
    expect_to_mend_by_itself(&binary, spoil, mend, "mounted, writable and whole");
    expect_whole(&binary);
    let key = make_key(&binary);
    let binary = Binary::start_in(binary.end("KILL"));
    expect_lives(&binary, &key, true);
    expect_whole(&binary);
}
