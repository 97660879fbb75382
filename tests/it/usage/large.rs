//! A database with much usage in it: read fast, proved, and small again once less is kept.
//!
//! Usually a small one; with `MCPD_TEST_LARGE=1`, and better in a release build, one of eleven million rows that
//! 500 keys left in a year. What it took is printed (`--nocapture`).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use mcpd::domain::histogram::Histogram;
use mcpd::domain::offset::Offset;
use mcpd::domain::time::Timestamp;
use mcpd::store::usage::{Group, Query, Step};
use rusqlite::{Connection, Statement, params};
use serde_json::Value;

use crate::harness::{Request, TestServer};

const MINUTE: i64 = 60;
const QUARTER: i64 = 900;
const DAY: i64 = 86_400;

/// How much there is.
#[derive(Clone, Copy)]
pub struct Shape {
    keys: i64,
    /// How many days are kept by the day, the quarter of an hour and the minute.
    days: [i64; 3],
    /// How many of the pairs of key and series are active in a quarter of an hour, and in a minute.
    active: [i64; 2],
}

pub const SMALL: Shape = Shape { keys: 20, days: [60, 6, 1], active: [12, 6] };
pub const LARGE: Shape = Shape { keys: 500, days: [365, 90, 7], active: [600, 400] };

const SERIES: i64 = 24;
const SERIES_OF_KEY: i64 = 8;
/// The first number of an owner that is a key.
const FIRST_KEY: i64 = 2;

/// Requests, sum and maximum of latencies, and how many were fast, slow and very slow.
#[derive(Clone, Copy, Default)]
struct Figures {
    requests: i64,
    latency_sum: i64,
    latency_max: i64,
    spread: [i64; 3],
}

impl Figures {
    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.latency_sum += other.latency_sum;
        self.latency_max = self.latency_max.max(other.latency_max);
        for (sum, count) in self.spread.iter_mut().zip(other.spread) {
            *sum += count;
        }
    }
}

/// The rows of a step on the way: by owner and series.
type Rows = BTreeMap<(i64, i64), Figures>;

fn merge(sums: &mut Rows, rows: &Rows) {
    for (place, figures) in rows {
        sums.entry(*place).or_default().merge(figures);
    }
}

/// Writes usage as it would have been written.
struct Writer<'a> {
    shape: Shape,
    insert: Statement<'a>,
    state: u64,
    rows: u64,
    /// Requests by day.
    requests: BTreeMap<i64, i64>,
}

impl Writer<'_> {
    fn random(&mut self, below: i64) -> i64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 33).cast_signed() % below
    }

    /// What some of the pairs of key and series did.
    fn traffic(&mut self, start: i64, pairs: i64) -> Rows {
        let all = self.shape.keys * SERIES_OF_KEY;
        let first = start / QUARTER * 131 % all;
        let mut rows = Rows::new();
        for pair in 0..pairs {
            let pair = (first + pair) % all;
            let (key, series) =
                (pair / SERIES_OF_KEY, (pair / SERIES_OF_KEY * 3 + pair % SERIES_OF_KEY) % SERIES);
            let spread = [1 + self.random(20), self.random(4), self.random(2)];
            let [fast, slow, very_slow] = spread;
            let figures = Figures {
                requests: fast + slow + very_slow,
                latency_sum: fast * 900 + slow * 1_000_000 + very_slow * 30_000_000,
                latency_max: if very_slow > 0 { 30_000_000 } else { 1_000_000 + self.random(1_000) },
                spread,
            };
            rows.insert((FIRST_KEY + key, 1 + series), figures);
        }
        rows
    }

    fn write(&mut self, step: i64, start: i64, rows: &Rows) {
        let mut whole = Rows::new();
        for ((_, series), figures) in rows {
            whole.entry((0, *series)).or_default().merge(figures);
        }
        for ((owner, series), figures) in whole.iter().chain(rows) {
            let counts = [40, 80, 99].into_iter().zip(figures.spread.map(i64::cast_unsigned));
            let latencies = Histogram::from_counts(counts.filter(|(_, count)| *count > 0)).to_bytes();
            let Figures { requests, latency_sum, latency_max, .. } = figures;
            let parameters =
                params![step, start, owner, series, requests, latency_sum, latency_max, latencies];
            self.insert.execute(parameters).unwrap();
            self.rows += 1;
        }
        if step == DAY {
            self.requests.insert(start, rows.values().map(|figures| figures.requests).sum());
        }
    }

    fn day(&mut self, start: i64, now: i64, age: i64) {
        let [_, quarters, minutes] = self.shape.days;
        let mut day = Rows::new();
        if age >= quarters {
            day = self.traffic(start, self.shape.keys * SERIES_OF_KEY);
        }
        for quarter in (0..DAY / QUARTER).map(|number| start + number * QUARTER) {
            if age >= quarters || quarter >= now {
                break;
            }
            let mut rows = Rows::new();
            if age >= minutes {
                rows = self.traffic(quarter, self.shape.active[0]);
            } else {
                for minute in (0..15).map(|number| quarter + number * MINUTE).filter(|minute| *minute < now) {
                    let some = self.traffic(minute, self.shape.active[1]);
                    self.write(MINUTE, minute, &some);
                    merge(&mut rows, &some);
                }
            }
            self.write(QUARTER, quarter, &rows);
            merge(&mut day, &rows);
        }
        self.write(DAY, start, &day);
    }
}

pub fn key(number: i64) -> String {
    format!("key_{number:024}")
}

/// Fills a database; returns how many rows it has, and requests by day.
pub fn fill(path: &Path, shape: Shape, now: i64) -> (u64, BTreeMap<i64, i64>) {
    let mut connection = Connection::open(path).unwrap();
    let transaction = connection.transaction().unwrap();
    for number in 0..shape.keys {
        let owner = (FIRST_KEY + number, key(number));
        transaction.execute("INSERT INTO usage_owners (number, key_id) VALUES (?1, ?2)", owner).unwrap();
    }
    for number in 0..SERIES {
        let endpoint = ["/v1/chat/completions", "/v1/models"][usize::from(number % 2 == 1)];
        let status = [200, 429, 502][usize::try_from(number / 2 % 3).unwrap()];
        let model = format!("model-{}", number / 6);
        let series = (1 + number, endpoint, status, model);
        let sql = "INSERT INTO usage_series (number, endpoint, status, model) VALUES (?1, ?2, ?3, ?4)";
        transaction.execute(sql, series).unwrap();
    }
    let today = now / DAY * DAY;
    let first = |days: i64| today - (days - 1) * DAY;
    for (step, days) in [(DAY, shape.days[0]), (QUARTER, shape.days[1]), (MINUTE, shape.days[2])] {
        let since = (step, if step == DAY { 0 } else { first(days) });
        transaction.execute("UPDATE usage_since SET since = ?2 WHERE step = ?1", since).unwrap();
    }
    let insert =
        "INSERT INTO usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 300 * ?5, 700 * ?5, 40 * ?5, 60 * ?5, ?5)";
    let insert = transaction.prepare(insert).unwrap();
    let mut writer =
        Writer { shape, insert, state: 88_172_645_463_325_252, rows: 0, requests: BTreeMap::new() };
    for age in (0..shape.days[0]).rev() {
        writer.day(today - age * DAY, now, age);
    }
    let written = (writer.rows, std::mem::take(&mut writer.requests));
    drop(writer);
    transaction.commit().unwrap();
    written
}

fn get(server: &TestServer, target: &str) -> (Value, Duration) {
    let start = Instant::now();
    let answer = server.admin(Request::get(target)).expect(200);
    let took = start.elapsed();
    (answer.json(), took)
}

fn requests(usage: &Value) -> i64 {
    usage["totals"]["requests"].as_i64().unwrap()
}

fn kibibytes(server: &TestServer) -> u64 {
    server.path("mcpd.db").metadata().unwrap().len() / 1024
}

/// Proves that all of it adds up; returns how many rows there are.
fn proved(database: &Connection) -> u64 {
    let verification = mcpd::store::usage::verify(database).unwrap();
    assert!(verification.checks.iter().all(|check| check.differences == 0), "{verification:?}");
    verification.checks.iter().map(|check| check.rows).max().unwrap()
}

#[test]
fn much_usage_is_read_fast_proved_and_given_back() {
    let large = std::env::var_os("MCPD_TEST_LARGE").is_some();
    let shape = if large { LARGE } else { SMALL };
    let mut server = TestServer::start();
    let now = server.unix_time() / MINUTE * MINUTE;
    server.stop();
    let start = Instant::now();
    let (rows, by_day) = fill(&server.path("mcpd.db"), shape, now);
    println!("{rows} rows written in {:?}, {} KiB", start.elapsed(), kibibytes(&server));

    let start = Instant::now();
    let server = server.restart();
    let took = start.elapsed();
    println!("start: {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");

    let from = now / DAY * DAY - 29 * DAY;
    let month: i64 = by_day.range(from..).map(|(_, requests)| requests).sum();
    let from = Timestamp::from_seconds(from).to_string();
    let days = format!("/admin/v1/usage?step=day&from={from}");
    let one = key(7);
    let budget = Duration::from_millis(if large && !cfg!(debug_assertions) { 200 } else { 5_000 });
    let ask = |what: &str, query: &str, budget: Duration| {
        // The second time, as when somebody looks again: what is read is in the system's memory.
        get(&server, &format!("{days}{query}"));
        let (usage, took) = get(&server, &format!("{days}{query}"));
        println!("30 days by the day, {what}: {took:?}, {} rows", usage["data"].as_array().unwrap().len());
        assert!(took < budget, "{what}: {took:?}");
        usage
    };
    let all = ask("all keys", "", budget);
    assert_eq!(requests(&all), month);
    assert_eq!(
        requests(&ask("by endpoint, status and model", "&group_by=endpoint,status,model", budget)),
        month
    );
    let by_key = ask("by key", "&group_by=key", 3 * budget);
    assert_eq!(requests(&by_key), month);
    let of_one = requests(&ask("one key", &format!("&key={one}"), budget));
    let rows_of_one = by_key["data"].as_array().unwrap().iter().filter(|row| row["key"] == one.as_str());
    assert_eq!(rows_of_one.map(|row| row["requests"].as_i64().unwrap()).sum::<i64>(), of_one);
    let elsewhere = ask("all keys at +05:30", "&tz=%2B05:30", budget);
    assert!(requests(&elsewhere).abs_diff(month) < month.unsigned_abs() / 20, "{elsewhere}");
    ask("one key at +05:30", &format!("&tz=%2B05:30&key={one}"), budget);
    ask("by key at +05:30", "&tz=%2B05:30&group_by=key", 20 * budget);

    let database = Connection::open(server.path("mcpd.db")).unwrap();
    for (key, offset, groups) in
        [(false, "Z", true), (false, "+05:30", false), (true, "+05:30", false), (false, "+05:30", true)]
    {
        let (from, offset) = (Timestamp::parse(&from).unwrap(), offset.parse::<Offset>().unwrap());
        let length = Step::Day.length();
        let query = Query {
            key: key.then(|| one.parse().unwrap()),
            from: offset.floor(from, length),
            to: offset.ceil(Timestamp::from_seconds(now), length),
            step: Step::Day,
            offset,
            groups: if groups { vec![Group::Key] } else { Vec::new() },
        };
        let start = Instant::now();
        let rows = mcpd::store::usage::sum(&database, &query).unwrap().rows.len();
        println!(
            "the database alone, one key {key}, by key {groups}, {offset:?}: {:?}, {rows} rows",
            start.elapsed()
        );
    }

    let start = Instant::now();
    assert_eq!(proved(&database), rows);
    println!("verify: {:?}", start.elapsed());
    drop(database);

    let before = kibibytes(&server);
    let less = "usage.keep_minutes = \"1h\"\nusage.keep_hours = \"1d\"\nusage.keep_days = \"7d\"\n";
    let server = server.restart_with(less);
    let start = Instant::now();
    while kibibytes(&server) * 3 > before {
        assert!(start.elapsed() < Duration::from_secs(1_800), "still {} KiB", kibibytes(&server));
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("{before} KiB are {} KiB after {:?}", kibibytes(&server), start.elapsed());
    proved(&Connection::open(server.path("mcpd.db")).unwrap());
}
