//! The database is taken away while it is open, or another program holds it.

use std::fs;
use std::thread;

use rusqlite::Connection;
use serde_json::json;

use super::client::attempt;
use super::scene::{
    Key, call, chats, expect_chats, expect_lives, expect_whole, is_ready, make_key, revoke, trouble,
};
use crate::harness::{Answer, Binary, Request, eventually};

fn default_key(binary: &Binary) -> Key {
    let secret = binary.default_key();
    let own = binary.call(&secret, Request::get("/v1/key")).expect(200).json();
    Key { secret, id: own["id"].as_str().unwrap().to_owned() }
}

fn refused(answer: Answer) {
    answer.expect_error(503, "storage_unavailable");
}

#[test]
fn a_database_whose_files_are_removed_comes_back_with_all_that_was_acknowledged() {
    let cases: &[&[&str]] = &[
        &["mcpd.db", "mcpd.db-wal", "mcpd.db-shm"],
        &["mcpd.db", "mcpd.db-wal", "mcpd.db-shm", "mcpd.db.lock"],
        &["mcpd.db"],
        &["mcpd.db-wal"],
        &["mcpd.db-shm"],
    ];
    for files in cases {
        let binary = Binary::start("");
        let [first, second] = [make_key(&binary), make_key(&binary)];
        call(&binary, &second, Request::chat("Hello")).expect(200);
        for file in *files {
            fs::remove_file(binary.path("data").join(file)).unwrap();
        }
        // What is acknowledged from now on is there after a crash, at once.
        let third = make_key(&binary);
        revoke(&binary, &first).expect(200);
        call(&binary, &second, Request::chat("Hello")).expect(200);
        assert!(is_ready(&binary), "{files:?}");
        expect_chats(&binary, &second, 2);
        let log = binary.log();
        assert_eq!(log.matches("they were put back, and nothing is lost").count(), 1, "{files:?}: {log}");

        let binary = Binary::start_in(binary.end("KILL"));
        expect_lives(&binary, &first, false);
        expect_lives(&binary, &second, true);
        expect_lives(&binary, &third, true);
        expect_chats(&binary, &second, 2);
        expect_whole(&binary);
    }
}

#[test]
fn a_database_that_is_removed_comes_back_while_nobody_asks_for_anything() {
    let binary = Binary::start("");
    let key = make_key(&binary);
    for _ in 0..3 {
        fs::remove_file(binary.path("data/mcpd.db")).unwrap();
        eventually("it is back", || is_ready(&binary) && binary.path("data/mcpd.db").exists());
    }
    let binary = Binary::start_in(binary.end("KILL"));
    expect_lives(&binary, &key, true);
    expect_whole(&binary);
}

#[test]
fn a_file_in_the_place_of_the_database_is_left_alone_and_stops_changes_until_it_is_gone() {
    let binary = Binary::start("");
    let [first, second] = [make_key(&binary), make_key(&binary)];
    let path = binary.path("data/mcpd.db");
    fs::write(binary.path("data/other"), "somebody's own").unwrap();
    fs::rename(binary.path("data/other"), &path).unwrap();
    for _ in 0..3 {
        refused(revoke(&binary, &first));
        call(&binary, &second, Request::chat("Hello")).expect(200);
    }
    expect_lives(&binary, &first, true);
    assert!(!is_ready(&binary));
    eventually("the status tells of it", || trouble(&binary).is_some());
    assert!(trouble(&binary).unwrap().contains("there is another file at"), "{:?}", trouble(&binary));
    assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's own");
    assert_eq!(binary.log().matches("nothing is written until they are").count(), 1, "{}", binary.log());

    fs::remove_file(&path).unwrap();
    eventually("it is back", || is_ready(&binary));
    revoke(&binary, &first).expect(200);
    expect_chats(&binary, &second, 3);
    eventually("the status tells of nothing", || trouble(&binary).is_none());
    let binary = Binary::start_in(binary.end("KILL"));
    expect_lives(&binary, &first, false);
    expect_chats(&binary, &second, 3);
    expect_whole(&binary);
}

/// Takes as long as mcpd waits for a database that is locked: five seconds a write, one after the other.
#[test]
fn another_program_that_holds_the_database_stops_changes_only_and_none_half_way() {
    let binary = Binary::start("");
    let (key, other) = (default_key(&binary), make_key(&binary));
    let before = chats(&binary, &key);
    let context = json!({"messages": [{"role": "user", "content": "one"}]});
    let context = call(&binary, &key, Request::post("/v1/contexts", &context)).expect(200).json();
    let path = format!("/v1/contexts/{}", context["id"].as_str().unwrap());
    let more = json!({"messages": [{"role": "user", "content": "two"}]});
    let append = Request::post(&format!("{path}/messages"), &more);

    let other_program = Connection::open(binary.path("data/mcpd.db")).unwrap();
    other_program.execute_batch("BEGIN EXCLUSIVE").unwrap();
    thread::scope(|scope| {
        scope.spawn(|| refused(revoke(&binary, &other)));
        scope.spawn(|| refused(call(&binary, &key, append.clone())));
        for _ in 0..20 {
            let chat = Request::chat("Hello").bearer(&key.secret);
            attempt(binary.public, &chat).unwrap().expect(200);
        }
    });
    expect_lives(&binary, &other, true);
    assert!(is_ready(&binary));
    eventually("the status tells of it", || trouble(&binary).is_some());
    assert!(trouble(&binary).unwrap().contains("another program writes to it"), "{:?}", trouble(&binary));
    assert!(binary.log().contains("another program writes to it"), "{}", binary.log());

    other_program.execute_batch("ROLLBACK").unwrap();
    eventually("the status tells of nothing", || trouble(&binary).is_none());
    let kept = call(&binary, &key, Request::get(&path)).expect(200).json();
    assert_eq!(kept["messages"].as_array().unwrap().len(), 1, "{kept}");
    expect_chats(&binary, &key, before + 20);
    revoke(&binary, &other).expect(200);
    expect_lives(&binary, &other, false);
    call(&binary, &key, append).expect(200);
    expect_whole(&binary);
}
