//! The process stands still for a while, as with a machine that is suspended, moved, or has too much else to do.

use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;

use super::scene::{call, expect_whole, make_key};
use crate::harness::{Binary, Request};

const WRITERS: usize = 8;
/// Longer than anybody waits for a database that another program holds.
const PAUSE: Duration = Duration::from_secs(6);

#[test]
fn a_process_that_stood_still_makes_every_write_that_waited() {
    let binary = Binary::start("");
    let key = make_key(&binary);
    let other_program = Connection::open(binary.path("data/mcpd.db")).unwrap();
    // Just long enough for all to be waiting, one for this and the others for that one.
    other_program.execute_batch("BEGIN EXCLUSIVE").unwrap();
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            let context = Request::post("/v1/contexts", &json!({"messages": []}));
            scope.spawn(|| call(&binary, &key, context).expect(200));
        }
        thread::sleep(Duration::from_millis(500));
        binary.signal("STOP");
        other_program.execute_batch("ROLLBACK").unwrap();
        thread::sleep(PAUSE);
        binary.signal("CONT");
    });
    expect_whole(&binary);
}
