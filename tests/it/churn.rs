//! Everything at once: streams, keys that come and go, lists, figures, alerts and backups. No key is held up by the
//! database.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;

use crate::harness::pace::{expect_undisturbed, p99};
use crate::harness::upstream::{begin_stream, end_stream, send_event};
use crate::harness::{Answer, Binary, FakeUpstream, Request};

const STREAMS: usize = 64;
const EVENTS: usize = 40;
/// How far apart a stream's events are: all of them take four seconds.
const BETWEEN: Duration = Duration::from_millis(100);
/// How long another program locks the database, again and again, and how long it leaves it alone in between.
const LOCKED: Duration = Duration::from_millis(700);
const UNLOCKED: Duration = Duration::from_millis(400);
/// Less than what a request takes that waits for the database.
const BOUND: Duration = Duration::from_millis(500);

/// What is listed all the while.
const LISTS: [&str; 7] = [
    "/admin/v1/usage?step=minute&group_by=key,endpoint,status,model",
    "/admin/v1/usage?step=day&tz=%2B05:30",
    "/admin/v1/usage/verify",
    "/admin/v1/alerts",
    "/admin/v1/keys?limit=1000&search=goes",
    "/admin/v1/audit?limit=1000",
    "/metrics",
];

/// What is wrong with an answer of the admin API.
fn fault(what: &str, answer: &Answer, expected: u16) -> Option<String> {
    let wrong = answer.status != expected || answer.text().contains("locked");
    wrong.then(|| format!("{what}: {} {}", answer.status, answer.text()))
}

/// A running server, and what goes on around it at once.
struct Bustle {
    binary: Binary,
    key: String,
    faults: Mutex<Vec<String>>,
    running: AtomicBool,
}

impl Bustle {
    fn goes_on(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    fn note(&self, fault: Option<String>) {
        self.faults.lock().unwrap().extend(fault);
    }

    fn ask(&self, what: &str, request: Request, expected: u16) -> Answer {
        let answer = self.binary.admin(request);
        self.note(fault(what, &answer, expected));
        answer
    }

    fn stream(&self) {
        let messages = json!([{"role": "user", "content": "Hello"}]);
        let body = json!({"model": "m", "stream": true, "messages": messages});
        let request = Request::post("/v1/chat/completions", &body).bearer(&self.key);
        let events = request.open(self.binary.public).events();
        let (last, count) = (events.last(), events.len());
        let whole = count == EVENTS + 1 && last.is_some_and(|last| last == "[DONE]");
        self.note((!whole).then(|| format!("a stream ended in {last:?} after {count} events")));
    }

    /// Makes keys, uses and revokes them; returns how many.
    fn churn(&self) -> usize {
        let mut made = 0;
        while self.goes_on() {
            let body = json!({"name": "comes and goes", "scopes": ["*"]});
            let key = self.ask("create", Request::post("/admin/v1/keys", &body), 201).json();
            let answer = self.binary.call(key["key"].as_str().unwrap_or("-"), Request::get("/v1/key"));
            self.note(fault("use", &answer, 200));
            let path = format!("/admin/v1/keys/{}/revoke", key["id"].as_str().unwrap_or("-"));
            self.ask("revoke", Request::post(&path, &json!({})), 200);
            made += 1;
        }
        made
    }

    fn list(&self) {
        while self.goes_on() {
            for path in LISTS {
                self.ask(path, Request::get(path), 200);
            }
        }
    }

    /// Makes backups; returns how many were whole.
    fn back_up(&self) -> usize {
        let mut made = 0;
        while self.goes_on() {
            let copy = self.binary.admin(Request::new("POST", "/admin/v1/backup"));
            self.note((copy.status != 200).then(|| format!("backup: {}", copy.status)));
            made += usize::from(copy.body.starts_with(b"SQLite format 3"));
        }
        made
    }

    /// Guesses keys: rules are looked at, and what comes of them is written, all the while.
    fn guess(&self) {
        while self.goes_on() {
            let answer = self.binary.call("nonsense", Request::get("/v1/key"));
            self.note((!matches!(answer.status, 401 | 429)).then(|| format!("guess: {}", answer.status)));
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Returns how long requests of one key take, the shortest first.
    fn measure(&self) -> Vec<Duration> {
        let mut taken = Vec::new();
        while self.goes_on() {
            let start = Instant::now();
            let answer = self.binary.call(&self.key, Request::get("/v1/key"));
            taken.push(start.elapsed());
            self.note(fault("own key", &answer, 200));
            thread::sleep(Duration::from_millis(5));
        }
        taken.sort_unstable();
        taken
    }

    fn lock(&self) {
        let other_program = Connection::open(self.binary.path("data/mcpd.db")).unwrap();
        other_program.busy_timeout(Duration::from_secs(5)).unwrap();
        while self.goes_on() {
            other_program.execute_batch("BEGIN IMMEDIATE").unwrap();
            thread::sleep(LOCKED);
            other_program.execute_batch("ROLLBACK").unwrap();
            thread::sleep(UNLOCKED);
        }
    }
}

/// An upstream that streams, an event every 100 ms.
fn slow_upstream() -> FakeUpstream {
    FakeUpstream::start(|_, connection| {
        begin_stream(connection);
        for _ in 0..EVENTS {
            send_event(connection, r#"{"choices":[{"delta":{"content":"word"}}]}"#);
            thread::sleep(BETWEEN);
        }
        send_event(connection, "[DONE]");
        end_stream(connection);
        true
    })
}

fn before(upstream: &FakeUpstream) -> Bustle {
    let binary = Binary::start(&format!(
        "plans.standard.requests_per_minute = 1000000\nusage.flush_milliseconds = 100\n[[upstreams]]\n\
         name = \"fake\"\nkind = \"openai\"\nbase_url = \"http://{}\"\nmodels = [\"m\"]\n",
        upstream.address
    ));
    let key = binary.default_key();
    Bustle { binary, key, faults: Mutex::default(), running: AtomicBool::new(true) }
}

#[test]
fn the_gate_is_as_fast_beside_streams_alerts_backups_and_questions_about_usage() {
    let upstream = slow_upstream();
    let bustle = before(&upstream);
    let to = bustle.binary.public;
    let own_key = || Request::get("/v1/key").bearer(&bustle.key);
    expect_undisturbed(|| {
        let alone = p99(to, own_key(), |count| count >= 500);
        bustle.running.store(true, Ordering::Relaxed);
        let beside = thread::scope(|scope| {
            let streams: Vec<_> = (0..STREAMS).map(|_| scope.spawn(|| bustle.stream())).collect();
            scope.spawn(|| bustle.back_up());
            scope.spawn(|| bustle.list());
            scope.spawn(|| bustle.guess());
            let streams_ended = || streams.iter().all(thread::ScopedJoinHandle::is_finished);
            let beside = p99(to, own_key(), |count| count >= 500 && streams_ended());
            bustle.running.store(false, Ordering::Relaxed);
            beside
        });
        (alone, beside)
    });
    let Bustle { binary, faults, .. } = bustle;
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} faults, the first of them: {}", faults.len(), faults[0]);
    assert!(!binary.log().contains("locked"), "{}", binary.log());
}

#[test]
fn streams_lists_backups_alerts_and_a_churn_of_keys_do_not_hold_one_another_up() {
    let upstream = slow_upstream();
    let bustle = before(&upstream);
    let (made, backups, taken) = thread::scope(|scope| {
        let streams: Vec<_> = (0..STREAMS).map(|_| scope.spawn(|| bustle.stream())).collect();
        let churning = [scope.spawn(|| bustle.churn()), scope.spawn(|| bustle.churn())];
        let backing_up = scope.spawn(|| bustle.back_up());
        let measuring = scope.spawn(|| bustle.measure());
        scope.spawn(|| bustle.list());
        scope.spawn(|| bustle.lock());
        scope.spawn(|| bustle.guess());
        for stream in streams {
            stream.join().unwrap();
        }
        bustle.running.store(false, Ordering::Relaxed);
        let made = churning.map(|thread| thread.join().unwrap());
        (made, backing_up.join().unwrap(), measuring.join().unwrap())
    });

    let Bustle { binary, faults, .. } = bustle;
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} faults, the first of them: {}", faults.len(), faults[0]);
    assert!(made.iter().sum::<usize>() > 1, "hardly any churn: {made:?}");
    assert!(backups > 0, "no backup came to its end");
    assert!(taken.len() > 50, "only {} measured", taken.len());
    let slow = taken[taken.len() * 99 / 100];
    assert!(slow < BOUND, "one in a hundred waits for {slow:?}, the slowest {:?}", taken.last());
    assert!(!binary.log().contains("locked"), "{}", binary.log());
    let alerts = binary.admin(Request::get("/admin/v1/alerts?kind=failed_auth")).expect(200).json();
    assert_eq!(alerts["data"].as_array().unwrap().len(), 1, "one alert, however many guesses: {alerts}");
}
