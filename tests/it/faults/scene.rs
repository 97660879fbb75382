//! What the tests of faults look at: keys, usage, and whether the database is whole.

use std::time::Duration;

use ring::hmac;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::client::attempt;
use crate::harness::{Answer, Binary, Request, eventually, hex};

/// A key: its secret and its id.
#[derive(Clone, Debug)]
pub struct Key {
    pub secret: String,
    pub id: String,
}

impl Key {
    pub fn of(made: &Value) -> Self {
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        Self { secret: text("key"), id: text("id") }
    }

    pub fn path(&self, more: &str) -> String {
        format!("/admin/v1/keys/{}{more}", self.id)
    }
}

/// Asks the admin API, however long it waits for the database.
pub fn admin(binary: &Binary, request: Request) -> Answer {
    attempt(binary.admin, &request.bearer(&binary.token())).expect("an answer")
}

/// Asks as a client does, however long it waits for the database.
pub fn call(binary: &Binary, key: &Key, request: Request) -> Answer {
    attempt(binary.public, &request.bearer(&key.secret)).expect("an answer")
}

pub fn make_key(binary: &Binary) -> Key {
    let body = json!({"name": "x", "scopes": ["*"], "requests_per_minute": 1_000_000});
    Key::of(&admin(binary, Request::post("/admin/v1/keys", &body)).expect(201).json())
}

/// A request that says that it was signed at a time, in seconds since 1970.
pub fn signed(key: &Key, at: i64) -> Request {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, key.secret.as_bytes());
    let signature = hex(hmac::sign(&secret, format!("{at}.").as_bytes()).as_ref());
    let request = Request::get("/v1/key").header("X-MCP-Timestamp", at.to_string());
    request.header("X-MCP-Signature", signature)
}

pub fn revoke(binary: &Binary, key: &Key) -> Answer {
    admin(binary, Request::post(&key.path("/revoke"), &json!({})))
}

/// Fails unless the key lives, or does not, for the gate and in the database alike.
pub fn expect_lives(binary: &Binary, key: &Key, lives: bool) {
    let status = if lives { 200 } else { 401 };
    assert_eq!(call(binary, key, Request::get("/v1/key")).status, status, "{key:?}");
    let told = admin(binary, Request::get(&key.path(""))).expect(200).json();
    assert_eq!(told["status"], if lives { "active" } else { "revoked" });
}

/// How many chats of a key are counted.
pub fn chats(binary: &Binary, key: &Key) -> u64 {
    let path = format!("/admin/v1/usage?step=day&group_by=endpoint&key={}", key.id);
    let usage = admin(binary, Request::get(&path)).expect(200).json();
    let rows = usage["data"].as_array().unwrap().iter();
    let chats = rows.filter(|row| row["endpoint"] == "/v1/chat/completions");
    chats.map(|row| row["requests"].as_u64().unwrap()).sum()
}

pub fn expect_chats(binary: &Binary, key: &Key, expected: u64) {
    eventually("all chats are counted", || chats(binary, key) == expected);
}

/// Why the server says that it cannot write, if it does.
pub fn trouble(binary: &Binary) -> Option<String> {
    let told = admin(binary, Request::get("/admin/v1/server")).expect(200).json();
    told["database"]["trouble"].as_str().map(ToOwned::to_owned)
}

pub fn is_ready(binary: &Binary) -> bool {
    let answer = attempt(binary.public, &Request::get("/readyz")).expect("an answer");
    if answer.status != 200 {
        answer.clone().expect_error(503, "storage_unavailable");
    }
    answer.status == 200
}

/// Fails unless the database is whole.
pub fn expect_whole(binary: &Binary) {
    let database = Connection::open(binary.path("data/mcpd.db")).unwrap();
    let told: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(told, "ok");
    drop(database);
    expect_verified(binary);
}

/// Fails unless usage adds up and the audit log is as it was written.
pub fn expect_verified(binary: &Binary) {
    for what in ["usage", "audit"] {
        let verified = admin(binary, Request::get(&format!("/admin/v1/{what}/verify"))).expect(200).json();
        assert_eq!(verified["ok"], true, "{verified}");
    }
}

/// How much time of a CPU a process has used up.
pub fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Behind the name, which may have blanks: state is the third field, utime and stime the 14th and 15th.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
}

/// A number of `/proc/PID/status`, such as `Threads` or `VmRSS`, which is in KiB.
pub fn status(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// How many files a process has open.
pub fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}
