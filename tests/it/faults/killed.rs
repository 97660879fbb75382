//! `kill -9` at random moments, again and again in one folder: what was acknowledged is there.
//!
//! Usually 24 times; with `MCPD_TEST_LARGE=1`, 200 times. `MCPD_TEST_SEED` repeats a run.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::Connection;
use serde_json::{Value, json};

use super::client::attempt;
use crate::harness::binary::command;
use crate::harness::{Binary, Folder, Request};

/// How often the process is killed; with `MCPD_TEST_LARGE`, the second.
const ROUNDS: [u32; 2] = [24, 200];
/// Every so many rounds one goes on for long enough to tell whether usage and limits are written in time.
const LONG: u32 = 8;
/// How long before its end what was answered in a long round is on the disk, and a limit used up.
const WRITTEN: Duration = Duration::from_millis(1_800);
const SETTINGS: &str = "usage.flush_milliseconds = 100\nlimits.failed_auth_per_minute = 1000000\n\
                        plans.standard.requests_per_minute = 1000000\n";

/// Random numbers that are told if the test fails.
struct Chance {
    seed: u64,
    state: u64,
}

impl Chance {
    fn new() -> Self {
        let given = std::env::var("MCPD_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        let seed = given.unwrap_or_else(|| u64::try_from(now).unwrap());
        Self { seed, state: seed | 1 }
    }

    fn below(&mut self, most: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % most
    }
}

impl Drop for Chance {
    #[expect(clippy::print_stderr, reason = "to repeat a run that failed")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("to repeat this run: MCPD_TEST_SEED={}", self.seed);
        }
    }
}

/// A key as its last acknowledged change left it.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    id: String,
    /// `None` while it is being revoked or rotated away.
    lives: Option<bool>,
    /// `None` while it is being changed.
    number: Option<usize>,
}

/// What the server has said is done.
#[derive(Debug, Default)]
struct Done {
    /// By secret.
    keys: BTreeMap<String, Known>,
    /// When which chat was answered, and how many were asked for, in this round.
    chats: Vec<Instant>,
    asked: u64,
    /// How many messages of the context are there, of how many that were sent.
    messages: usize,
    sent: usize,
}

/// One life of the process, as its clients see it: each goes on until it is not answered any more.
struct Life<'a> {
    public: std::net::SocketAddr,
    admin: std::net::SocketAddr,
    token: &'a str,
    key: &'a str,
    context: &'a str,
    done: &'a Mutex<Done>,
}

impl Life<'_> {
    fn note<T>(&self, change: impl FnOnce(&mut Done) -> T) -> T {
        change(&mut self.done.lock().unwrap())
    }

    fn admin(&self, request: Request, status: u16) -> Option<Value> {
        Some(attempt(self.admin, &request.bearer(self.token))?.expect(status).json())
    }

    fn keep(&self, made: &Value, number: usize) -> (String, String) {
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        let (secret, id) = (text("key"), text("id"));
        let known = Known { id: id.clone(), lives: Some(true), number: Some(number) };
        self.note(|done| done.keys.insert(secret.clone(), known));
        (secret, id)
    }

    /// Notes what is about to be done to a key, or is done.
    fn is(&self, secret: &str, lives: Option<bool>, number: Option<usize>) {
        self.note(|done| {
            let known = done.keys.get_mut(secret).unwrap();
            (known.lives, known.number) = (lives, number);
        });
    }

    /// Makes keys and changes each; rotates one of three, and revokes another.
    fn change_keys(&self) -> Option<()> {
        for number in 0.. {
            let body = json!({"name": "one of many", "scopes": ["*"], "metadata": {"number": "0"}});
            let made = self.admin(Request::post("/admin/v1/keys", &body), 201)?;
            let (secret, id) = self.keep(&made, 0);
            let path = format!("/admin/v1/keys/{id}");
            self.is(&secret, Some(true), None);
            let change = json!({"metadata": {"number": (number + 1).to_string()}});
            self.admin(Request::new("PATCH", &path).json(&change), 200)?;
            self.is(&secret, Some(true), Some(number + 1));
            if number % 3 == 0 {
                self.is(&secret, None, Some(number + 1));
                let rotate = Request::post(&format!("{path}/rotate"), &json!({"expire_old_in": "0s"}));
                let next = self.admin(rotate, 201)?;
                self.is(&secret, Some(false), Some(number + 1));
                self.keep(&next, number + 1);
            } else if number % 3 == 1 {
                self.is(&secret, None, Some(number + 1));
                self.admin(Request::post(&format!("{path}/revoke"), &json!({})), 200)?;
                self.is(&secret, Some(false), Some(number + 1));
            }
        }
        None
    }

    fn append(&self) -> Option<()> {
        loop {
            let number = self.note(|done| {
                done.sent = done.messages + 1;
                done.sent
            });
            let message = json!({"messages": [{"role": "user", "content": number.to_string()}]});
            let request = Request::post(&format!("/v1/contexts/{}/messages", self.context), &message);
            attempt(self.public, &request.bearer(self.key))?.expect(200);
            self.note(|done| done.messages = number);
        }
    }

    fn chat(&self) -> Option<()> {
        loop {
            self.note(|done| done.asked += 1);
            attempt(self.public, &Request::chat("Hello").bearer(self.key))?.expect(200);
            self.note(|done| done.chats.push(Instant::now()));
        }
    }
}

/// What one life of the process has come to.
struct End {
    folder: Folder,
    /// How many chats must be counted.
    answered: u64,
    /// A key whose limit is used up.
    limited: Option<String>,
}

/// Has the process do all that it can at once, and kills it after a while. A long round tells more.
fn live_and_die(
    binary: Binary,
    (key, context): (&str, &str),
    done: &Mutex<Done>,
    for_long: Duration,
    is_long: bool,
) -> End {
    let token = binary.token();
    let (public, admin) = (binary.public, binary.admin);
    let life = Life { public, admin, token: &token, key, context, done };
    thread::scope(|scope| {
        for work in [Life::change_keys, Life::change_keys, Life::append, Life::chat, Life::chat] {
            let life = &life;
            scope.spawn(move || work(life));
        }
        let limited = is_long.then(|| use_up(&binary));
        let written = Instant::now() + for_long;
        thread::sleep(if is_long { for_long + WRITTEN } else { for_long });
        let folder = binary.end("KILL");
        let chats = std::mem::take(&mut done.lock().unwrap().chats);
        let answered = chats.iter().filter(|answered| is_long && **answered < written).count();
        End { folder, answered: answered as u64, limited }
    })
}

/// Makes a key that may ask three times a minute, and uses that up.
fn use_up(binary: &Binary) -> String {
    let body = json!({"name": "limited", "scopes": ["*"], "requests_per_minute": 3});
    let made = binary.admin(Request::post("/admin/v1/keys", &body)).expect(201).json();
    let secret = made["key"].as_str().unwrap().to_owned();
    for status in [200, 200, 200, 429] {
        binary.call(&secret, Request::get("/v1/key")).expect(status);
    }
    secret
}

/// Fails unless all that was acknowledged is there; where it is not known whether something was done, either is right,
/// and becomes known.
fn expect_kept(binary: &Binary, (key, context): (&str, &str), done: &mut Done) {
    for (secret, known) in &mut done.keys {
        let lives = binary.call(secret, Request::get("/v1/key")).status == 200;
        assert_eq!(lives, known.lives.unwrap_or(lives), "{known:?}");
        known.lives = Some(lives);
        let kept = binary.admin(Request::get(&format!("/admin/v1/keys/{}", known.id))).expect(200).json();
        let number: usize = kept["metadata"]["number"].as_str().unwrap().parse().unwrap();
        assert!(known.number.is_none_or(|known| known == number), "{known:?} is {number}");
        known.number = Some(number);
    }
    let kept = binary.call(key, Request::get(&format!("/v1/contexts/{context}"))).expect(200).json();
    let messages = kept["messages"].as_array().unwrap();
    assert!((done.messages..=done.sent).contains(&messages.len()), "{} of {done:?}", messages.len());
    let expected = (1..=messages.len()).map(|number| json!({"role": "user", "content": number.to_string()}));
    assert_eq!(*messages, expected.collect::<Vec<_>>());
    done.messages = messages.len();
}

fn chats_counted(binary: &Binary) -> u64 {
    let usage = Request::get("/admin/v1/usage?step=day&group_by=endpoint");
    let usage = binary.admin(usage).expect(200).json();
    let rows = usage["data"].as_array().unwrap().iter();
    let chats = rows.filter(|row| row["endpoint"] == "/v1/chat/completions");
    chats.map(|row| row["requests"].as_u64().unwrap()).sum()
}

fn expect_whole(binary: &Binary) {
    let database = Connection::open(binary.path("data/mcpd.db")).unwrap();
    let told: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(told, "ok");
}

/// Fails unless usage is all that was written in time, and no more than was asked for; returns it.
fn expect_counted(binary: &Binary, before: u64, answered: u64, done: &mut Done) -> u64 {
    let most = before + std::mem::take(&mut done.asked);
    let now = chats_counted(binary);
    assert!((before + answered..=most).contains(&now), "{before} and {answered} to {most}: {now}");
    now
}

#[test]
fn killed_at_any_moment_it_loses_nothing_that_it_acknowledged() {
    let rounds = ROUNDS[usize::from(std::env::var_os("MCPD_TEST_LARGE").is_some())];
    let mut chance = Chance::new();
    let mut binary = Binary::start(SETTINGS);
    let key = binary.default_key();
    let made = binary.call(&key, Request::post("/v1/contexts", &json!({"messages": []}))).expect(200).json();
    let context = made["id"].as_str().unwrap().to_owned();
    let names = (key.as_str(), context.as_str());
    let (done, mut all, mut counted) = (Mutex::new(Done::default()), BTreeMap::new(), 0);
    for round in 1..=rounds {
        let for_long = Duration::from_millis(chance.below(250));
        let end = live_and_die(binary, names, &done, for_long, round % LONG == 0);
        binary = Binary::start_in(end.folder);
        expect_whole(&binary);
        let mut done = done.lock().unwrap();
        counted = expect_counted(&binary, counted, end.answered, &mut done);
        if let Some(limited) = end.limited {
            binary.call(&limited, Request::get("/v1/key")).expect_error(429, "rate_limit_exceeded");
        }
        expect_kept(&binary, names, &mut done);
        all.append(&mut done.keys);
    }
    for what in ["usage", "audit"] {
        let output = command(&binary.folder, &[what, "verify"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    // Later rounds have changed nothing of what earlier ones did.
    let mut done = Done { keys: all, sent: usize::MAX, ..Done::default() };
    expect_kept(&binary, names, &mut done);
}
