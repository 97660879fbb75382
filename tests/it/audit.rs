//! The audit log as a whole: proved to be unchanged, and exported.

use mcpd::domain::audit::Row;
use mcpd::domain::time::Timestamp;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{Request, TestServer};

const VERIFY: &str = "/admin/v1/audit/verify";
const EXPORT: &str = "/admin/v1/audit/export";

/// A server with this many rows in its log.
fn server_with(rows: usize) -> TestServer {
    let server = TestServer::start();
    // The first is the default key's.
    for number in 1..rows {
        server.key(json!({"name": format!("key {number}")}));
    }
    server
}

fn verify(server: &TestServer) -> Value {
    server.admin(Request::get(VERIFY)).expect(200).json()
}

/// The log, oldest first, as it is exported.
fn export(server: &TestServer) -> Vec<Value> {
    let answer = server.admin(Request::get(EXPORT)).expect(200);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let rows: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answer.header("x-mcp-rows"), Some(rows.len().to_string().as_str()));
    rows
}

/// Does to the log what only somebody with the database's file can.
fn tamper(server: &TestServer, statements: &str) {
    let database = Connection::open(server.path("mcpd.db")).unwrap();
    let triggers = "DROP TRIGGER audit_is_never_changed; DROP TRIGGER audit_is_never_shortened;
        PRAGMA ignore_check_constraints = ON;";
    database.execute_batch(&format!("BEGIN; {triggers} {statements}; COMMIT")).unwrap();
}

/// Puts rows behind those that there are, as the server itself would.
fn append(server: &TestServer, rows: i64) {
    let mut database = Connection::open(server.path("mcpd.db")).unwrap();
    let transaction = database.transaction().unwrap();
    let last = "SELECT sequence, digest FROM audit ORDER BY sequence DESC LIMIT 1";
    let (last, mut previous_digest): (i64, [u8; 32]) =
        transaction.query_row(last, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    for number in last + 1..=last + rows {
        let row = Row {
            id: format!("audit_{number}"),
            at: Timestamp::from_millis(number),
            via: "system".to_owned(),
            uid: None,
            pid: None,
            action: "key.create".to_owned(),
            target: format!("key_{number}"),
            before: None,
            after: Some("{}".to_owned()),
            previous_digest,
        };
        let insert = "INSERT INTO audit (id, at, via, action, target, after, previous_digest, digest)
             VALUES (?, ?, 'system', 'key.create', ?, '{}', ?, ?)";
        let values = (&row.id, number, &row.target, previous_digest, row.digest());
        transaction.execute(insert, values).unwrap();
        previous_digest = row.digest();
    }
    transaction.commit().unwrap();
}

#[test]
fn an_audit_log_as_it_was_written_is_told_to_be_whole() {
    let server = server_with(5);
    let rows = export(&server);
    let told = verify(&server);
    let expected = json!({
        "object": "audit_verification", "ok": true, "rows": 5, "first_bad": null, "head": rows[4]["digest"]
    });
    assert_eq!(told, expected);
    // Looking leaves no trace.
    assert_eq!(verify(&server), expected);
    server.key(json!({}));
    let server = server.restart();
    let told = verify(&server);
    assert_eq!((&told["ok"], &told["rows"]), (&json!(true), &json!(6)));
    assert_ne!(told["head"], rows[4]["digest"]);
}

#[test]
fn whatever_is_done_to_the_audit_log_in_the_file_is_found_and_named() {
    let swap = "UPDATE audit SET sequence = -sequence WHERE sequence IN (3, 4);
                UPDATE audit SET sequence = 7 + sequence WHERE sequence < 0";
    // What is done, the number of the row that is named, and a word of the reason.
    let cases = [
        ("UPDATE audit SET target = 'key_000000000000000000000000' WHERE sequence = 3", 3, "changed"),
        ("UPDATE audit SET at = at - 1 WHERE sequence = 6", 6, "changed"),
        ("UPDATE audit SET uid = 0 WHERE sequence = 2", 2, "changed"),
        ("UPDATE audit SET uid = -5 WHERE sequence = 2", 2, "changed"),
        ("UPDATE audit SET sequence = -1 WHERE sequence = 3", 3, "number -1 follows on number 0"),
        ("UPDATE audit SET sequence = 0 WHERE sequence = 3", 3, "number 0 follows on number 0"),
        (
            "UPDATE audit SET sequence = -9223372036854775808 WHERE sequence = 3",
            3,
            "number -9223372036854775808 follows on number 0",
        ),
        ("UPDATE audit SET after = NULL WHERE sequence = 1", 1, "changed"),
        ("UPDATE audit SET digest = zeroblob(32) WHERE sequence = 4", 4, "changed"),
        ("UPDATE audit SET previous_digest = zeroblob(32) WHERE sequence = 4", 4, "follow"),
        ("DELETE FROM audit WHERE sequence = 3", 4, "number 4 follows on number 2"),
        ("DELETE FROM audit WHERE sequence = 1", 2, "number 2 follows on number 0"),
        ("DELETE FROM audit WHERE sequence > 4", 4, "behind"),
        (swap, 4, "follow"),
    ];
    for (statements, number, reason) in cases {
        let server = server_with(6);
        let before = export(&server);
        tamper(&server, statements);
        let told = verify(&server);
        assert_eq!(told["ok"], false, "{statements}");
        assert_eq!(told["first_bad"]["id"], before[number - 1]["id"], "{statements}: {told}");
        assert!(told["first_bad"]["reason"].as_str().unwrap().contains(reason), "{statements}: {told}");
        export(&server);
    }
    let server = server_with(3);
    tamper(&server, "DELETE FROM audit");
    let told = verify(&server);
    assert_eq!((&told["ok"], &told["first_bad"]["id"]), (&json!(false), &json!(null)), "{told}");
}

#[test]
fn a_row_of_the_audit_log_is_neither_changed_nor_deleted_by_a_plain_statement() {
    let server = server_with(3);
    let database = Connection::open(server.path("mcpd.db")).unwrap();
    for statement in ["UPDATE audit SET uid = 0", "DELETE FROM audit", "DELETE FROM audit WHERE sequence = 3"]
    {
        let refused = database.execute(statement, []).unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{statement}: {refused}");
    }
    assert_eq!(verify(&server)["ok"], true);
}

#[test]
fn what_cannot_be_read_in_the_audit_log_is_named_as_changed() {
    let cases = [
        "UPDATE audit SET target = CAST(x'6bff' AS TEXT) WHERE sequence = 3",
        "UPDATE audit SET after = CAST(x'22ff22' AS TEXT) WHERE sequence = 3",
        "UPDATE audit SET before = 'no JSON' WHERE sequence = 3",
        "UPDATE audit SET via = 'nobody' WHERE sequence = 3",
        "UPDATE audit SET at = 9223372036854775807 WHERE sequence = 3",
        "UPDATE audit SET uid = -5 WHERE sequence = 3",
        "UPDATE audit SET pid = 1 << 40 WHERE sequence = 3",
        "UPDATE audit SET digest = zeroblob(64) WHERE sequence = 3",
        "UPDATE audit SET digest = x'' WHERE sequence = 3",
        "UPDATE audit SET previous_digest = x'00' WHERE sequence = 3",
    ];
    // In the middle of the log, and at its end.
    for (statements, rows) in cases.iter().flat_map(|statements| [(statements, 4), (statements, 3)]) {
        let server = server_with(rows);
        let id = export(&server)[2]["id"].clone();
        tamper(&server, statements);
        assert_eq!(export(&server).len(), rows, "{statements}");
        assert_eq!(
            server.admin(Request::get("/admin/v1/audit")).expect(200).json()["data"][rows - 3]["id"],
            id
        );
        // Whoever did it cannot keep keys from being changed.
        server.key(json!({}));
        let told = verify(&server);
        assert_eq!((&told["ok"], &told["first_bad"]["id"]), (&json!(false), &id), "{statements}: {told}");
        assert!(told["first_bad"]["reason"].as_str().unwrap().contains("changed"), "{statements}: {told}");
    }
    let server = server_with(3);
    tamper(&server, "UPDATE audit SET id = CAST(x'61ff' AS TEXT) WHERE sequence = 2");
    assert_eq!(verify(&server)["first_bad"]["id"], "a\u{fffd}");
    let server = server_with(2);
    tamper(&server, "UPDATE sqlite_sequence SET seq = 'many' WHERE name = 'audit'");
    assert_eq!(verify(&server)["ok"], true);
}

#[test]
fn an_exported_row_is_a_line_whatever_was_written_into_it() {
    let server = server_with(3);
    tamper(&server, "UPDATE audit SET after = '{\n\"name\":\r\n\"x\"}' WHERE sequence = 2");
    assert_eq!(export(&server)[1]["after"], json!({"name": "x"}));
}

#[test]
fn a_long_audit_log_is_walked_and_exported_in_pieces() {
    let server = server_with(2);
    let made = export(&server);
    append(&server, 2_501);
    let rows = export(&server);
    assert_eq!(rows.len(), 2_503);
    assert_eq!(rows[..2], made[..]);
    let ids: Vec<_> = rows[2..].iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, (3..=2_503).map(|number| format!("audit_{number}")).collect::<Vec<_>>());
    let told = verify(&server);
    assert_eq!((&told["ok"], &told["rows"]), (&json!(true), &json!(2_503)), "{told}");
    tamper(&server, "UPDATE audit SET action = 'key.revoke' WHERE sequence = 2000");
    assert_eq!(verify(&server)["first_bad"]["id"], "audit_2000");
}

#[test]
fn an_exported_row_is_as_it_is_listed() {
    let server = server_with(4);
    let mut listed = server.admin(Request::get("/admin/v1/audit")).expect(200).json()["data"].clone();
    listed.as_array_mut().unwrap().reverse();
    assert_eq!(json!(export(&server)), listed);
    assert!(!listed.to_string().contains(&server.default_key()[7..]));
    let socket = Request::get(EXPORT).send_unix(&server.path("admin.sock")).expect(200);
    assert_eq!(socket.text().lines().count(), 4);
    for path in [VERIFY, EXPORT] {
        Request::get(path).send(server.admin).expect_error(401, "missing_admin_token");
        server.admin(Request::new("POST", path)).expect_error(405, "method_not_allowed");
    }
}
