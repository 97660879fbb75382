//! A copy of the database, made and handed out while the server goes on.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{Answer, Binary, Folder, Request, TestServer, eventually};

const BACKUP: &str = "/admin/v1/backup";
const MEBIBYTE: usize = 1 << 20;

fn backup() -> Request {
    Request::new("POST", BACKUP)
}

/// A request to store a file with that many bytes, which no packing makes shorter.
fn upload(bytes: usize) -> Request {
    let head = "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n\
                --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
    let content: Vec<u8> = (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let body = [head.as_bytes(), &content, b"\r\n--b--\r\n"].concat();
    Request::new("POST", "/v1/files").header("Content-Type", "multipart/form-data; boundary=b").body(body)
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// What there is in the folder of the database besides the database.
fn beside(server: &TestServer) -> Vec<String> {
    let names = std::fs::read_dir(server.folder.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("backup")).collect()
}

/// Makes a key, which needs the one writer.
fn change(server: &TestServer, name: &str) {
    server.key(json!({"name": name}));
}

#[test]
fn a_server_started_on_a_backup_has_all_that_there_was_and_nothing_since() {
    let mut server = TestServer::start();
    let (key, made) = server.key(json!({"name": "before", "requests_per_minute": 100}));
    server.call(&key, Request::chat("Hello")).expect(200);
    let messages = json!({"messages": [{"role": "user", "content": "Remember"}]});
    let context = id(&server.call(&key, Request::post("/v1/contexts", &messages)).expect(200));
    let file = id(&server.call(&key, upload(3 * MEBIBYTE / 2)).expect(200));
    let bytes = format!("/v1/files/{file}/content");
    let stored = server.call(&key, Request::get(&bytes)).expect(200).body;

    let copy = server.admin(backup()).expect(200);
    assert_eq!(copy.header("content-type"), Some("application/vnd.sqlite3"));
    assert_eq!(copy.header("content-length"), Some(copy.body.len().to_string().as_str()));
    let disposition = copy.header("content-disposition").unwrap();
    let is_dated = disposition.starts_with("attachment; filename=\"mcpd-20");
    assert!(is_dated && disposition.ends_with(".db\""), "{disposition}");
    assert_eq!(beside(&server), [""; 0]);
    for secret in [&key, &server.default_key(), &server.token] {
        let secret = secret.trim_start_matches("mcp_sk_").as_bytes();
        assert!(!copy.body.windows(secret.len()).any(|part| part == secret));
    }

    let (since, _) = server.key(json!({"name": "since"}));
    server.call(&since, Request::new("DELETE", &format!("/v1/files/{file}"))).expect(200);
    server.call(&key, Request::chat("Hello again")).expect(200);
    server.stop();
    std::fs::write(server.path("mcpd.db"), &copy.body).unwrap();
    let server = server.restart();
    server.call(&since, Request::get("/v1/key")).expect_error(401, "invalid_api_key");
    let chats = server.usage("endpoint");
    let chats = chats.iter().find(|row| row["endpoint"] == "/v1/chat/completions").unwrap();
    assert_eq!(chats["requests"], 1);
    assert_eq!(server.call(&key, Request::get("/v1/key")).expect(200).json()["id"], made["id"]);
    let context = server.call(&key, Request::get(&format!("/v1/contexts/{context}"))).expect(200).json();
    assert_eq!(context["messages"], messages["messages"]);
    assert_eq!(server.call(&key, Request::get(&bytes)).expect(200).body, stored);
    let whole = server.admin(Request::get("/admin/v1/audit/verify")).expect(200).json();
    assert_eq!(whole["ok"], true, "{whole}");
    // It goes on: what is written after it is kept as ever.
    change(&server, "after");
    let server = server.restart();
    let keys = server.admin(Request::get("/admin/v1/keys")).expect(200).json();
    let kept = keys["data"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap());
    assert_eq!(kept.collect::<BTreeSet<_>>(), BTreeSet::from(["after", "before", "default"]));
}

#[test]
fn who_took_a_backup_is_noted() {
    let server = TestServer::start();
    let copy = server.admin(backup()).expect(200);
    let rows = |query: &str| {
        let path = format!("/admin/v1/audit?action=backup.create&{query}");
        server.admin(Request::get(&path)).expect(200).json()["data"].as_array().unwrap().clone()
    };
    let row: Value = rows("")[0].clone();
    assert_eq!((&row["actor"], &row["target"]), (&json!({"via": "token"}), &json!("database")));
    assert_eq!((&row["before"], &row["after"]), (&json!(null), &json!({"bytes": copy.body.len()})));
    backup().send_unix(&server.path("admin.sock")).expect(200);
    assert_eq!(rows("limit=1")[0]["actor"]["via"], "socket");
    // Refused ones are none.
    server.admin(backup().json(&json!({"to": "elsewhere"}))).expect_error(422, "invalid_request");
    backup().send(server.admin).expect_error(401, "missing_admin_token");
    server.admin(Request::get(BACKUP)).expect_error(405, "method_not_allowed");
    assert_eq!(rows("").len(), 2);
}

#[test]
fn one_backup_at_a_time_holds_up_nobody_and_ends_with_its_reader() {
    let server = TestServer::start();
    let key = server.default_key();
    server.call(&key, upload(24 * MEBIBYTE)).expect(200);
    // More than the connection takes in before somebody reads it.
    let reader = backup().bearer(&server.token).open(server.admin);
    assert_eq!(reader.status, 200);
    assert_eq!(beside(&server), [""; 0], "it has no name while it is handed out");
    let refused = server.admin(backup()).expect_error(409, "backup_running");
    assert!(refused.text().contains("wait until it is done"), "{}", refused.text());
    change(&server, "meanwhile");
    server.call(&key, Request::chat("Hello")).expect(200);
    drop(reader);
    eventually("another backup can be made", || server.admin(backup()).status == 200);
}

#[test]
fn a_backup_that_nobody_reads_on_is_ended() {
    let server = TestServer::start();
    server.call(&server.default_key(), upload(24 * MEBIBYTE)).expect(200);
    let reader = backup().bearer(&server.token).open(server.admin);
    let bytes: usize = reader.header("content-length").unwrap().parse().unwrap();
    server.admin(backup()).expect_error(409, "backup_running");
    eventually("another backup can be made", || {
        server.pass(61);
        server.admin(backup()).status == 200
    });
    let read = reader.finish().body.len();
    assert!(read < bytes, "all {bytes} bytes came");
}

#[test]
fn a_backup_that_is_being_made_is_its_owner_s_alone_and_writers_go_on() {
    let server = TestServer::start();
    server.call(&server.default_key(), upload(24 * MEBIBYTE)).expect(200);
    let (path, done) = (server.path("mcpd.db.backup-unfinished"), AtomicBool::new(false));
    let (modes, changes) = thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut modes = Vec::new();
            while !done.load(Ordering::Relaxed) {
                modes.extend(path.metadata().map(|file| file.permissions().mode() & 0o777));
                thread::sleep(Duration::from_millis(1));
            }
            modes
        });
        let changing = scope.spawn(|| {
            let mut changes = 0;
            while !done.load(Ordering::Relaxed) {
                change(&server, "meanwhile");
                changes += usize::from(path.exists());
            }
            changes
        });
        for _ in 0..3 {
            server.admin(backup()).expect(200);
        }
        done.store(true, Ordering::Relaxed);
        (watching.join().unwrap(), changing.join().unwrap())
    });
    assert!(!modes.is_empty() && modes.iter().all(|mode| *mode == 0o600), "{modes:?}");
    assert!(changes > 0, "no change while a backup was being made");
    assert_eq!(beside(&server), [""; 0]);
}

/// Returns how often the threads that give way to all others have waited for something.
fn waits_of_the_gentle(binary: &Binary) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", binary.pid())).unwrap();
    let statuses = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).ok());
    let gentle = statuses.filter(|status| status.starts_with("Name:\tgently\n"));
    let waits = gentle.map(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    });
    waits.sum()
}

#[test]
fn a_backup_is_noted_by_a_thread_that_gives_way_to_nobody() {
    let binary = Binary::start("");
    binary.call(&binary.default_key(), upload(24 * MEBIBYTE)).expect(200);
    // Whoever waits for the one writer holds it as soon as it is free.
    let database = Connection::open(binary.path("data/mcpd.db")).unwrap();
    binary.admin(Request::get("/admin/v1/usage")).expect(200);
    let kept = || database.query_row("SELECT count(*) FROM windows", [], |row| row.get(0)) == Ok(1);
    eventually("all that was counted is written", kept);
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        let answer = scope.spawn(|| binary.admin(backup()));
        let unfinished = binary.path("data/mcpd.db.backup-unfinished");
        eventually("the copy is being made", || unfinished.exists());
        eventually("the copy is made", || !unfinished.exists());
        // Time for it to become idle. Who waits for the writer looks ten times a second at least.
        thread::sleep(Duration::from_millis(200));
        let waits = waits_of_the_gentle(&binary);
        thread::sleep(Duration::from_millis(500));
        assert!(waits > 0 && waits_of_the_gentle(&binary) == waits, "it waits for the writer");
        assert!(!answer.is_finished(), "the copy was noted though nobody could write");
        database.execute_batch("COMMIT").unwrap();
        answer.join().unwrap().expect(200);
    });
}

#[test]
fn what_a_crash_left_of_a_backup_is_removed_and_what_others_named_so_is_not() {
    let mut server = TestServer::start();
    server.stop();
    for name in ["mcpd.db.backup-unfinished", "mcpd.db.backup-unfinished-journal", "mcpd.db.backup-2026"] {
        std::fs::write(server.path(name), "half of a database").unwrap();
    }
    let server = server.restart();
    assert_eq!(beside(&server), ["mcpd.db.backup-2026"]);
    server.admin(backup()).expect(200);
}

#[test]
fn small_disk_without_room_for_a_backup_says_so_and_keeps_nothing_of_it() {
    let binary = Binary::start_on_a_small_disk(24, "");
    let key = binary.default_key();
    binary.admin(backup()).expect(200);
    let file = id(&binary.call(&key, upload(9 * MEBIBYTE)).expect(200));
    let refused = binary.admin(backup()).expect_error(503, "storage_unavailable");
    assert!(refused.text().contains("make room there"), "{}", refused.text());
    assert!(binary.log().contains("a backup needs"), "{}", binary.log());
    assert!(!binary.path("data/mcpd.db.backup-unfinished").exists());
    let made = json!({"name": "x", "scopes": ["*"]});
    binary.admin(Request::post("/admin/v1/keys", &made)).expect(201);
    binary.call(&key, Request::new("DELETE", &format!("/v1/files/{file}"))).expect(200);
    let folder = Folder::new();
    let copy = binary.admin(backup()).expect(200);
    std::fs::write(folder.path().join("copy.db"), &copy.body).unwrap();
    drop(mcpd::store::Store::open(&folder.path().join("copy.db")).unwrap());
}
