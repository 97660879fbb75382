//! Commands that speak to the running daemon.

mod asked;
mod help;
mod interrupted;
mod keys;
mod restore;
mod rules;
mod status;
mod terminal;

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::binary::command;
use crate::harness::{Binary, Folder, Request};

/// What a command said, and how it ended.
struct Said {
    status: Option<i32>,
    out: String,
    err: String,
}

/// Runs a command to its end, with this on its standard input.
fn run_with(mut command: Command, input: &str) -> Said {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that reads nothing may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { status: status.code(), out: text(stdout), err: text(stderr) }
}

/// Runs a command to its end.
fn run(folder: &Folder, arguments: &[&str]) -> Said {
    run_with(command(folder, arguments), "")
}

impl Said {
    /// The results of a command that must have done what it was to do.
    fn done(self) -> String {
        assert_eq!((self.status, self.err.as_str()), (Some(0), ""), "{}", self.out);
        self.out
    }

    /// What a command that must have failed said: one line.
    fn failed(self, status: i32) -> String {
        assert_eq!(self.status, Some(status), "{}{}", self.out, self.err);
        self.err
    }
}

/// A key with this name: the secret, and its id.
fn key(binary: &Binary, name: &str) -> (String, String) {
    let body = json!({"name": name, "scopes": ["*"]});
    let made = binary.admin(Request::post("/admin/v1/keys", &body)).expect(201).json();
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    (text("key"), text("id"))
}

#[test]
fn usage_is_shown_as_a_table_and_as_it_came() {
    let binary = Binary::start("");
    let (secret, id) = key(&binary, "laptop");
    binary.call(&secret, Request::chat("Hello")).expect(200);
    binary.call(&secret, Request::get("/v1/models/none")).expect(404);
    let table = run(&binary.folder, &["usage", "--from", "1h", "--group-by", "key,status"]).done();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..6], ["START", "KEY", "NAME", "STATUS", "REQUESTS", "ERRORS"], "{table}");
    assert_eq!(lines[1][1..6], [&id, "laptop", "200", "1", "0"], "{table}");
    assert_eq!(lines[2][1..6], [&id, "laptop", "404", "1", "1"], "{table}");
    assert_eq!(lines[3][..4], ["total", "2", "1", "50.0"], "{table}");
    assert!(!table.contains('\x1b') && lines[4][0] == "From", "{table}");

    let day = ["usage", "--from", "3d", "--key", "laptop", "--json"];
    let told: Value = serde_json::from_str(&run(&binary.folder, &day).done()).unwrap();
    // More than two days: by the day.
    assert_eq!((&told["step"], &told["totals"]["requests"]), (&json!("day"), &json!(2)));
    let none = run(&binary.folder, &["usage", "--key", "default", "--json"]).done();
    let none: Value = serde_json::from_str(&none).unwrap();
    assert_eq!((&none["step"], &none["totals"]["requests"]), (&json!("hour"), &json!(0)));
    let wrong = run(&binary.folder, &["usage", "--from", "1h", "--to", "2h"]).failed(2);
    assert_eq!(wrong, "mcpd: the query string: `from` is after `to`\n");
}

#[test]
fn a_key_is_named_by_its_id_or_by_a_name_that_is_its_own() {
    let binary = Binary::start("");
    let (_, first) = key(&binary, "twin");
    let (_, second) = key(&binary, "twin");
    key(&binary, "twin of a kind");
    let ask = |name: &str| run(&binary.folder, &["usage", "--key", name, "--json"]);
    ask(&first).done();
    ask("twin of a kind").done();
    let told = ask("twin").failed(1);
    assert!(told.contains("2 keys have the name `twin`"), "{told}");
    assert!(told.contains(&first) && told.contains(&second), "{told}");
    let told = ask("nobody & co").failed(1);
    assert!(told.contains("no key has the id or the name `nobody & co`"), "{told}");
}

#[test]
fn the_audit_log_is_listed_proved_and_exported() {
    let binary = Binary::start("");
    let (_, id) = key(&binary, "laptop");
    let path = format!("/admin/v1/keys/{id}");
    let change = Request::new("PATCH", &path).json(&json!({"name": "desktop", "enabled": false}));
    binary.admin(change).expect(200);
    let table = run(&binary.folder, &["audit", "--limit", "1"]).done();
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[1..5], ["token", "key.update", &id, "desktop"], "{table}");
    assert_eq!(row[5..].join(" "), "enabled: true → false, name: laptop → desktop", "{table}");
    assert!(table.ends_with("There are older ones: see --limit, or `mcpd audit export`.\n"), "{table}");
    let created = run(&binary.folder, &["audit", "--action", "key.create", "--target", &id, "--json"]).done();
    let created: Value = serde_json::from_str(&created).unwrap();
    assert_eq!(created["data"].as_array().unwrap().len(), 1);

    let told = run(&binary.folder, &["audit", "--action", "key.created"]).failed(2);
    assert!(told.contains("`action` must be one of key.create, "), "{told}");

    let all = run(&binary.folder, &["audit", "export"]).done();
    assert_eq!(all, binary.admin(Request::get("/admin/v1/audit/export")).expect(200).text());
    assert_eq!(all.lines().count(), 3);
    let file = binary.folder.path().join("audit.jsonl");
    assert_eq!(run(&binary.folder, &["audit", "export", "audit.jsonl"]).done(), "");
    let told = run(&binary.folder, &["audit", "export", "again.jsonl", "--json"]).done();
    let expected = json!({"object": "audit_export", "file": "again.jsonl", "rows": 3});
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap(), expected);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), all);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let told = run(&binary.folder, &["audit", "export", "audit.jsonl"]).failed(1);
    assert!(told.contains("is there already"), "{told}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), all, "it is left as it is");

    let told = run(&binary.folder, &["audit", "verify"]).done();
    assert!(told.starts_with("3 rows, each as it was written"), "{told}");
    let database = Connection::open(binary.path("data/mcpd.db")).unwrap();
    let tamper = "DROP TRIGGER audit_is_never_changed; UPDATE audit SET uid = 7 WHERE sequence = 2";
    database.execute_batch(tamper).unwrap();
    let told = run(&binary.folder, &["audit", "verify"]).failed(1);
    let bad = created["data"][0]["id"].as_str().unwrap();
    assert!(told.contains(bad) && told.contains("the row was changed"), "{told}");
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let binary = Binary::start("");
    let script = "\"$0\" audit export | true; \"$0\" usage | true";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_mcpd")]).current_dir(binary.folder.path());
    run_with(shell, "").done();
}

#[test]
fn without_a_daemon_a_command_says_how_to_start_one() {
    let mut folder = Binary::start("").end("TERM");
    let place = |folder: &Folder| folder.path().canonicalize().unwrap();
    // Then one that left its socket behind.
    for _ in 0..2 {
        let (socket, file) = (place(&folder).join("data/admin.sock"), place(&folder).join("mcpd.toml"));
        let begin = format!(
            "mcpd: mcpd is not running here: nothing answers on {} (admin.socket, by {});",
            socket.display(),
            file.display()
        );
        for arguments in [&["usage"][..], &["audit", "verify"], &["alerts"], &["keys", "advice", "x"]] {
            let told = run(&folder, arguments).failed(1);
            assert!(told.starts_with(&begin), "{told}");
            assert!(told.contains("`mcpd serve`") && told.lines().count() == 1, "{told}");
        }
        folder = Binary::start_in(folder).end("KILL");
        assert!(folder.path().join("data/admin.sock").exists());
    }
    let mut elsewhere = command(&folder, &["usage"]);
    elsewhere.env("MCPD__ADMIN__SOCKET", "/nowhere/admin.sock");
    let told = run_with(elsewhere, "").failed(1);
    assert!(told.contains("/nowhere/admin.sock (admin.socket, from MCPD__ADMIN__SOCKET)"), "{told}");
    let told = run(&folder, &["usage", "--config", "none.toml"]).failed(1);
    assert!(told.contains("none.toml"), "{told}");
}

#[test]
fn wrong_usage_ends_with_status_2_and_shows_no_secret() {
    let folder = Folder::new();
    let secret = "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38";
    let cases: &[&[&str]] = &[
        &["usage", "--step", "week"],
        &["usage", "--from", "yesterday"],
        &["usage", "--group-by", "colour"],
        &["audit", "--limit", "0"],
        &["alerts", "--status", "new"],
        &["alerts", "acknowledge"],
        &["keys"],
        &["keys", "migration"],
        &["explain"],
        &["explain", "--path", "/v1/files"],
        &["explain", "some-request", "--key-stdin"],
        &["explain", "--key-id", "x", "--key-stdin"],
        &["explain", secret],
        &["explain", "--key-id", secret],
        &["explain", "--key-stdin", "--path", &format!("/v1/models?key={secret}")],
        &["dance"],
    ];
    for arguments in cases {
        let told = run(&folder, arguments).failed(2);
        assert!(!told.contains("ABCDEFGHIJ"), "{arguments:?}: {told}");
    }
}

#[test]
fn too_little_to_explain_is_answered_with_what_to_say() {
    let folder = Folder::new();
    for arguments in [&["explain"][..], &["explain", "--ip", "::1"], &["explain", "--json"]] {
        let told = run(&folder, arguments).failed(2);
        let examples = ["`mcpd explain req_", "`mcpd explain --key-id laptop --method GET --path /v1/files`"];
        assert!(examples.iter().all(|example| told.contains(example)) && told.lines().count() == 1, "{told}");
    }
}
