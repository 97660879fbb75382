//! A database that cannot be written: what is refused, what goes on, and that nothing is lost.

use rusqlite::Connection;
use serde_json::json;

use crate::harness::{Binary, Request, TestServer, eventually};

#[test]
fn a_database_that_cannot_be_written_stops_changes_only_and_loses_nothing() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let other_program = Connection::open(server.path("mcpd.db")).unwrap();
    other_program.execute_batch("BEGIN IMMEDIATE").unwrap();

    let make = || server.admin(Request::post("/admin/v1/keys", &json!({"name": "late", "scopes": ["*"]})));
    let refused = std::thread::scope(|scope| {
        let refused = scope.spawn(make);
        for _ in 0..3 {
            server.call(&key, Request::chat("Hello")).expect(200);
        }
        refused.join().unwrap()
    });
    let refused = refused.expect_error(503, "storage_unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));

    other_program.execute_batch("ROLLBACK").unwrap();
    make().expect(201);
    eventually("all three answers are counted", || {
        server.usage("").first().is_some_and(|total| total["requests"] == 3)
    });
    let names = server.admin(Request::get("/admin/v1/keys?search=late")).expect(200).json();
    assert_eq!(names["data"].as_array().unwrap().len(), 1, "the refused one was not made");
}

/// Keeps every row out of a table, from outside.
fn fill(binary: &Binary, table: &str) {
    let other_program = Connection::open(binary.path("data/mcpd.db")).unwrap();
    let trigger = format!(
        "CREATE TRIGGER full BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no room left'); END"
    );
    other_program.execute_batch(&trigger).unwrap();
}

#[test]
fn a_stop_that_cannot_write_what_was_counted_says_so() {
    for table in ["usage", "windows"] {
        let binary = Binary::start("usage.flush_milliseconds = 60000\n");
        let key = binary.default_key();
        fill(&binary, table);
        binary.call(&key, Request::chat("Hello")).expect(200);
        binary.signal("TERM");
        let (status, folder) = binary.wait();
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert_eq!(status, Some(1), "{table}: {log}");
        assert!(log.contains("no room left"), "{table}: {log}");
        let last = log.lines().last().unwrap();
        assert!(last.starts_with("mcpd: ") && last.contains("could not be written"), "{table}: {log}");
        assert!(!folder.path().join("data/admin.sock").exists());
    }
}

#[test]
fn a_write_that_failed_before_the_last_one_is_no_failure_of_the_stop() {
    let binary = Binary::start("usage.flush_milliseconds = 1\n");
    let key = binary.default_key();
    fill(&binary, "usage");
    binary.call(&key, Request::chat("Hello")).expect(200);
    eventually("a write fails", || binary.log().contains("no room left"));
    let other_program = Connection::open(binary.path("data/mcpd.db")).unwrap();
    other_program.execute_batch("DROP TRIGGER full").unwrap();
    drop(other_program);
    binary.signal("TERM");
    let (status, folder) = binary.wait();
    assert_eq!(status, Some(0));
    let usage = Connection::open(folder.path().join("data/mcpd.db")).unwrap();
    let requests = "SELECT sum(requests) FROM usage WHERE step = 60 AND owner = 0";
    assert_eq!(usage.query_row(requests, [], |row| row.get(0)), Ok(1));
}

#[test]
fn a_write_ahead_log_that_another_program_holds_is_told_of() {
    let binary = Binary::start("");
    let reader = Connection::open(binary.path("data/mcpd.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM keys").unwrap();
    binary.call(&binary.default_key(), Request::chat("Hello")).expect(200);
    binary.signal("TERM");
    let (status, folder) = binary.wait();
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    // Nothing is lost: the next start finds the log beside the database.
    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("the write-ahead log stays beside the database"), "{log}");
}
