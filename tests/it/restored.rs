//! Backups that are made at full load, and what a server has that is restored from one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ring::digest::{SHA256, digest};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::binary::{CONFIG, command};
use crate::harness::{Binary, Folder, Request, Stop, hex};

const BACKUPS: usize = 4;
/// As much of everything is done before each backup.
const BETWEEN: usize = 16;
const PATIENCE: Duration = Duration::from_secs(60);
/// More than enough for what is asked here.
const PLAN: &str = "plans.standard.requests_per_minute = 1000000\n";
/// As many revoked keys are tried: more are taken for guesses.
const MOST_DEAD: usize = 20;

/// What the server has said is done.
#[derive(Clone, Debug, Default)]
struct Done {
    /// Secrets of keys, and whether they work; `None` while one is being revoked.
    keys: BTreeMap<String, Option<bool>>,
    /// How many exchanges each context has at least.
    contexts: BTreeMap<String, usize>,
    /// Each file's SHA-256; `None` from when it is being deleted.
    files: BTreeMap<String, Option<String>>,
}

/// A running server and all that is done with it at once.
struct Load {
    binary: Binary,
    key: String,
    done: Mutex<Done>,
    running: AtomicBool,
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}")).to_owned()
}

fn exchange(number: usize) -> Value {
    json!([{"role": "user", "content": number.to_string()}, {"role": "assistant", "content": number.to_string()}])
}

impl Load {
    fn start() -> Self {
        let binary = Binary::start(PLAN);
        let key = binary.default_key();
        Self { binary, key, done: Mutex::default(), running: AtomicBool::new(true) }
    }

    fn goes_on(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    fn note<T>(&self, change: impl FnOnce(&mut Done) -> T) {
        change(&mut self.done.lock().unwrap());
    }

    fn known(&self) -> Done {
        self.done.lock().unwrap().clone()
    }

    fn call(&self, request: Request) -> Value {
        self.binary.call(&self.key, request).expect(200).json()
    }

    fn chat(&self) {
        while self.goes_on() {
            self.call(Request::chat("Hello"));
        }
    }

    /// Adds one exchange after the other to a new context.
    fn converse(&self, add: impl Fn(&str, usize) -> Request) {
        let id = text(&self.call(Request::post("/v1/contexts", &json!({"messages": []}))), "id");
        for number in (1..).take_while(|_| self.goes_on()) {
            self.call(add(&id, number));
            self.note(|done| done.contexts.insert(id.clone(), number));
        }
    }

    /// Stores files of all lengths, and deletes every fourth.
    fn upload(&self, seed: usize) {
        for number in (1..).take_while(|_| self.goes_on()) {
            let content: Vec<u8> =
                (0..number * 7_919 % 400_000).map(|at| (at * seed + number).to_le_bytes()[0]).collect();
            let head = "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n\
                        --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
            let body = [head.as_bytes(), &content, b"\r\n--b--\r\n"].concat();
            let upload = Request::new("POST", "/v1/files").body(body);
            let id = text(&self.call(upload.header("Content-Type", "multipart/form-data; boundary=b")), "id");
            let sum = hex(digest(&SHA256, &content).as_ref());
            self.note(|done| done.files.insert(id.clone(), Some(sum)));
            if number % 4 == 0 {
                self.note(|done| done.files.insert(id.clone(), None));
                self.call(Request::new("DELETE", &format!("/v1/files/{id}")));
            }
        }
    }

    /// Makes keys, uses and changes them, and revokes every other.
    fn change_keys(&self) {
        for number in (1..).take_while(|_| self.goes_on()) {
            let body = json!({"name": format!("key {number}"), "scopes": ["*"]});
            let made = self.binary.admin(Request::post("/admin/v1/keys", &body)).expect(201).json();
            let (secret, path) = (text(&made, "key"), format!("/admin/v1/keys/{}", text(&made, "id")));
            self.note(|done| done.keys.insert(secret.clone(), Some(true)));
            self.binary.call(&secret, Request::get("/v1/key")).expect(200);
            let change = json!({"metadata": {"number": number.to_string()}});
            self.binary.admin(Request::new("PATCH", &path).json(&change)).expect(200);
            if number % 2 == 0 {
                self.note(|done| done.keys.insert(secret.clone(), None));
                self.binary.admin(Request::post(&format!("{path}/revoke"), &json!({}))).expect(200);
                self.note(|done| done.keys.insert(secret, Some(false)));
            }
        }
    }

    fn guess(&self) {
        while self.goes_on() {
            let status = self.binary.call("nonsense", Request::get("/v1/key")).status;
            assert!(matches!(status, 401 | 429), "{status}");
        }
    }

    /// Waits until much more of everything is done, however slow the machine is.
    fn go_on(&self) {
        let (start, since) = (self.known(), Instant::now());
        let exchanges = |done: &Done| done.contexts.values().sum::<usize>();
        loop {
            let now = self.known();
            if now.keys.len() >= start.keys.len() + BETWEEN
                && now.files.len() >= start.files.len() + BETWEEN
                && exchanges(&now) >= exchanges(&start) + 4 * BETWEEN
            {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "no more is done than {now:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes a backup; returns what was done before it, as far as it was not undone until its end.
    fn back_up(&self, name: &str) -> (PathBuf, Done) {
        let mut before = self.known();
        expect_done(&command(&self.binary.folder, &["backup", name]).output().unwrap());
        let after = self.known();
        before.keys.retain(|secret, works| after.keys[secret] == *works);
        before.files.retain(|id, sum| sum.is_none() || after.files[id] == *sum);
        (self.binary.folder.path().join(name), before)
    }
}

fn expect_done(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

/// All that a list has, page by page.
fn all(binary: &Binary, key: &str, path: &str) -> Vec<Value> {
    let (mut rows, mut after) = (Vec::new(), String::new());
    loop {
        let page = binary.call(key, Request::get(&format!("{path}?limit=100{after}"))).expect(200).json();
        rows.extend(page["data"].as_array().unwrap().iter().cloned());
        if page["has_more"] == false {
            return rows;
        }
        after = format!("&after={}", text(&page, "last_id"));
    }
}

fn expect_keys(binary: &Binary, done: &Done) {
    for (secret, _) in done.keys.iter().filter(|(_, works)| **works == Some(true)) {
        binary.call(secret, Request::get("/v1/key")).expect(200);
    }
    for (secret, _) in done.keys.iter().filter(|(_, works)| **works == Some(false)).take(MOST_DEAD) {
        binary.call(secret, Request::get("/v1/key")).expect_error(401, "invalid_api_key");
    }
}

fn expect_contexts(binary: &Binary, key: &str, done: &Done) {
    for (id, least) in &done.contexts {
        let context = binary.call(key, Request::get(&format!("/v1/contexts/{id}"))).expect(200).json();
        let messages = context["messages"].as_array().unwrap();
        let exchanges = messages.chunks(2).map(|pair| json!(pair)).collect::<Vec<_>>();
        assert!(exchanges.len() >= *least, "{} of {least} exchanges", exchanges.len());
        let expected: Vec<_> = (1..=exchanges.len()).map(exchange).collect();
        assert_eq!(exchanges, expected, "{id}");
        assert_eq!(context["revision"], exchanges.len() + 1);
    }
}

fn expect_files(binary: &Binary, key: &str, done: &Done) {
    let files = all(binary, key, "/v1/files");
    for file in &files {
        let path = format!("/v1/files/{}/content", text(file, "id"));
        let content = binary.call(key, Request::get(&path)).expect(200).body;
        assert_eq!(text(file, "sha256"), hex(digest(&SHA256, &content).as_ref()), "{file}");
    }
    let there: BTreeSet<_> = files.iter().map(|file| (text(file, "id"), text(file, "sha256"))).collect();
    for (id, sum) in done.files.iter().filter_map(|(id, sum)| Some((id, sum.as_ref()?))) {
        assert!(there.contains(&(id.clone(), sum.clone())), "{id} is missing");
    }
}

/// Restores a backup onto a fresh install, and looks at all that is there.
fn expect_whole(backup: &Path, key: &str, done: &Done) {
    let folder = Folder::new();
    fs::write(folder.path().join("mcpd.toml"), format!("{CONFIG}{PLAN}")).unwrap();
    expect_done(&command(&folder, &["restore", "--yes", backup.to_str().unwrap()]).output().unwrap());
    let binary = Binary::start_in(folder);
    for verify in ["usage", "audit"] {
        expect_done(&command(&binary.folder, &[verify, "verify"]).output().unwrap());
    }
    expect_keys(&binary, done);
    expect_contexts(&binary, key, done);
    expect_files(&binary, key, done);
    let alerts = binary.admin(Request::get("/admin/v1/alerts?kind=failed_auth")).expect(200).json();
    assert_eq!(alerts["data"].as_array().unwrap().len(), 1, "{alerts}");
    let database = Connection::open(binary.path("data/mcpd.db")).unwrap();
    let told: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(told, "ok");
}

#[test]
fn backups_at_full_load_restore_to_servers_that_have_all_that_was_done_before() {
    let load = Load::start();
    let append = |id: &str, number| {
        let body = json!({"messages": exchange(number)});
        Request::post(&format!("/v1/contexts/{id}/messages"), &body)
    };
    let chat = |id: &str, number: usize| {
        let message = json!({"role": "user", "content": number.to_string()});
        let body = json!({"model": "echo", "context": id, "context_append": true, "messages": [message]});
        Request::post("/v1/chat/completions", &body)
    };
    let backups = thread::scope(|scope| {
        let _stop = Stop(&load.running);
        scope.spawn(|| load.chat());
        scope.spawn(|| load.converse(append));
        scope.spawn(|| load.converse(chat));
        scope.spawn(|| load.upload(3));
        scope.spawn(|| load.upload(5));
        scope.spawn(|| load.change_keys());
        scope.spawn(|| load.change_keys());
        scope.spawn(|| load.guess());
        let back_up = |number| {
            load.go_on();
            load.back_up(&format!("{number}.db"))
        };
        (0..BACKUPS).map(back_up).collect::<Vec<_>>()
    });
    let first = &backups[0].1;
    assert!(first.keys.len() > 5 && first.files.len() > 5 && first.contexts.len() == 2, "{first:?}");
    for (backup, done) in &backups {
        expect_whole(backup, &load.key, done);
    }
}
