//! The wall clock is stepped under a running process, by libfaketime; what intervals are measured by goes on.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::scene::{Key, admin, call, cpu_time, expect_whole, make_key, signed};
use crate::harness::binary::CONFIG;
use crate::harness::upstream::{begin_stream, end_stream, send_event};
use crate::harness::{Answer, Binary, FakeUpstream, Folder, Request, Stop, Stream, eventually};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
const WORD: &str = r#"{"choices":[{"delta":{"content":"word"}}]}"#;

/// How far the clock is off after each step, in seconds.
const STEPS: [i64; 8] = [HOUR, 0, -HOUR, 0, DAY, 0, -DAY, 0];

/// The library that stands between a process and its wall clock.
fn libfaketime() -> PathBuf {
    let architectures = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut libraries = architectures.map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    libraries.find(|library| library.exists()).expect("libfaketime, from the package of that name")
}

struct Stepped {
    binary: Binary,
    offset: i64,
    /// How many chats were answered.
    chats: u64,
    /// When the signed requests that were accepted said that they were signed.
    signed: Vec<i64>,
}

impl Stepped {
    fn start(upstream: &FakeUpstream) -> Self {
        let folder = Folder::new();
        let upstream = format!(
            "[[upstreams]]\nname = \"u\"\nkind = \"openai\"\nbase_url = \"http://{}/v1\"\nmodels = [\"m\"]\n",
            upstream.address
        );
        let plan = "plans.standard.requests_per_minute = 1000000\n";
        fs::write(folder.path().join("mcpd.toml"), format!("{CONFIG}{plan}{upstream}")).unwrap();
        let offset = folder.path().join("offset");
        fs::write(&offset, "+0").unwrap();
        let binary = Binary::start_with(folder, |command| {
            command.env("LD_PRELOAD", libfaketime()).env("FAKETIME_TIMESTAMP_FILE", offset);
            // The file is read each time, and no other clock is touched, nor the times of files.
            command
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("NO_FAKE_STAT", "1");
        });
        Self { binary, offset: 0, chats: 0, signed: Vec::new() }
    }

    fn step(&mut self, offset: i64) {
        let file = self.binary.folder.path().join("offset");
        // By one rename: it is read all the time.
        fs::write(file.with_extension("next"), format!("{offset:+}")).unwrap();
        fs::rename(file.with_extension("next"), file).unwrap();
        self.offset = offset;
    }

    /// The time by the process's clock, in seconds.
    fn now(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        i64::try_from(now).unwrap() + self.offset
    }

    fn make_key(&self, more: Value) -> Key {
        let mut body = json!({"name": "x", "scopes": ["*"]});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        Key::of(&admin(&self.binary, Request::post("/admin/v1/keys", &body)).expect(201).json())
    }

    fn own(&self, key: &Key) -> Answer {
        call(&self.binary, key, Request::get("/v1/key"))
    }

    fn sign(&self, key: &Key, at: i64) -> Answer {
        call(&self.binary, key, signed(key, at))
    }

    fn chat(&mut self, key: &Key) {
        call(&self.binary, key, Request::chat("Hello")).expect(200);
        self.chats += 1;
    }

    /// How many chats are counted, whenever that was.
    fn counted(&self) -> u64 {
        let day = |at: i64| jiff::Timestamp::from_second(at).unwrap();
        let (from, to) = (day(self.now() - 3 * DAY - self.offset), day(self.now() + 3 * DAY - self.offset));
        let path = format!("/admin/v1/usage?step=hour&from={from}&to={to}&group_by=endpoint");
        let usage = admin(&self.binary, Request::get(&path)).expect(200).json();
        let rows = usage["data"].as_array().unwrap().iter();
        let chats = rows.filter(|row| row["endpoint"] == "/v1/chat/completions");
        chats.map(|row| row["requests"].as_u64().unwrap()).sum()
    }

    /// A window that was begun before the step goes on, and so does one that is used up.
    fn step_within_windows(&mut self, offset: i64) {
        let [begun, used_up] = [5, 3].map(|limit| self.make_key(json!({"requests_per_minute": limit})));
        for key in [&begun, &used_up] {
            (0..3).for_each(|_| drop(self.own(key).expect(200)));
        }
        self.step(offset);
        let refused = self.own(&used_up).expect_error(429, "rate_limit_exceeded");
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait} s");
        (0..2).for_each(|_| drop(self.own(&begun).expect(200)));
        self.own(&begun).expect_error(429, "rate_limit_exceeded");
    }

    /// A signature of now is good, once; those that were used stay used, or are too old or too new.
    fn expect_signatures(&mut self, key: &Key) {
        for at in &self.signed {
            let answer = self.sign(key, *at);
            assert_eq!(answer.status, 401, "a signature of {at} again: {}", answer.text());
        }
        // Each its own second, however fast the steps follow one another.
        let now = self.now() + i64::try_from(self.signed.len()).unwrap();
        self.sign(key, now).expect(200);
        self.sign(key, now).expect_error(401, "replayed_signature");
        self.sign(key, now + HOUR).expect(401);
        self.sign(key, now - HOUR).expect(401);
        self.signed.push(now);
    }

    /// What is to be done goes on, and costs no more than before.
    fn expect_calm(&self) {
        let before = cpu_time(self.binary.pid());
        std::thread::sleep(Duration::from_millis(400));
        let used = cpu_time(self.binary.pid()).saturating_sub(before);
        assert!(used < Duration::from_millis(300), "{used:?} of CPU within 400 ms");
        let log = self.binary.log();
        assert!(!log.contains("panicked") && !log.contains("a fault in mcpd"), "{log}");
    }
}

/// A model server whose streams go on until they are told to end.
fn endless(goes_on: Arc<AtomicBool>) -> FakeUpstream {
    FakeUpstream::start(move |seen, connection| {
        if seen.json()["stream"] != true {
            let answer = json!({"choices": [{"message": {"role": "assistant", "content": "word"}}]});
            crate::harness::upstream::write_json(connection, 200, &answer);
            return true;
        }
        begin_stream(connection);
        while goes_on.load(Ordering::Relaxed) && send_event(connection, WORD) {
            std::thread::sleep(Duration::from_millis(20));
        }
        send_event(connection, "[DONE]");
        end_stream(connection);
        true
    })
}

fn open(binary: &Binary, key: &Key) -> Stream {
    let messages = json!([{"role": "user", "content": "Hello"}]);
    let body = json!({"model": "m", "stream": true, "messages": messages});
    let stream = Request::post("/v1/chat/completions", &body).bearer(&key.secret).open(binary.public);
    assert_eq!(stream.status, 200);
    stream
}

#[test]
fn a_clock_that_is_stepped_either_way_frees_nobody_locks_nobody_out_and_loses_nothing() {
    let goes_on = Arc::new(AtomicBool::new(true));
    let _stop = Stop(&goes_on);
    let upstream = endless(Arc::clone(&goes_on));
    let mut stepped = Stepped::start(&upstream);
    let key = make_key(&stepped.binary);
    let ending = stepped.make_key(json!({"expires_in": "2h"}));
    let old = stepped.make_key(json!({}));
    let rotate = Request::post(&old.path("/rotate"), &json!({"expire_old_in": "2h"}));
    let new = Key::of(&admin(&stepped.binary, rotate).expect(201).json());
    let mut stream = open(&stepped.binary, &key);
    for offset in STEPS {
        stepped.chat(&key);
        stepped.step_within_windows(offset);
        stepped.chat(&key);
        // What ends, ends by the wall clock, and comes back with it.
        let ends = if offset >= 2 * HOUR { 401 } else { 200 };
        stepped.own(&ending).expect(ends);
        stepped.own(&old).expect(ends);
        stepped.own(&new).expect(200);
        stepped.expect_signatures(&new);
        for _ in 0..5 {
            assert_eq!(stream.event().as_deref(), Some(WORD), "the stream goes on at {offset} s");
        }
        eventually("all chats are counted", || stepped.counted() == stepped.chats);
        stepped.expect_calm();
    }
    goes_on.store(false, Ordering::Relaxed);
    assert_eq!(stream.events().last().map(String::as_str), Some("[DONE]"));
    stepped.chats += 1;
    eventually("the stream is counted", || stepped.counted() == stepped.chats);
    expect_whole(&stepped.binary);
}
