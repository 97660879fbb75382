//! A database that cannot be written: what is refused, what goes on, and that nothing is lost.

use rusqlite::Connection;
use serde_json::json;

use crate::harness::{Request, TestServer, eventually};

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
