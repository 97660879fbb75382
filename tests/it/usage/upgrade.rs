//! Usage that an earlier mcpd counted is carried over.

use mcpd::domain::time::Timestamp;
use rusqlite::{Connection, Transaction, params};

use super::usage;
use crate::harness::{Request, TestServer};

const KEYS: [&str; 3] = ["key_000000000000000000000001", "key_000000000000000000000002", ""];

/// A histogram as it was kept: requests of 1 ms each.
fn histogram(requests: u32) -> Vec<u8> {
    let bucket = 9 * 4 + 3;
    [&[bucket][..], &requests.to_le_bytes()].concat()
}

fn insert(transaction: &Transaction<'_>, step: i64, start: i64, key: &str, requests: u32) {
    let sum = i64::from(requests) * 1_000;
    transaction
        .execute(
            "INSERT INTO usage VALUES (?1, ?2, ?3, '/v1/key', ?4, '', ?5, ?6, 1000, ?7, ?5, 2 * ?5, 3 * ?5, 4 * ?5, ?5)",
            params![
                step,
                start,
                key,
                if key.is_empty() { 401 } else { 200 },
                requests,
                sum,
                histogram(requests)
            ],
        )
        .unwrap();
}

/// Makes a database as mcpd 0.1 with schema 2 left it: ten days in which each key made a request in each half hour,
/// of which two days are kept by the minute and five by the hour.
fn make_old(path: &std::path::Path, today: i64) {
    let mut connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").unwrap();
    connection.execute_batch(include_str!("../../../sql/0001_init.sql")).unwrap();
    connection.execute_batch(include_str!("../../../sql/0002_contexts_and_files.sql")).unwrap();
    connection.pragma_update(None, "application_id", u32::from_be_bytes(*b"mcpd")).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    let transaction = connection.transaction().unwrap();
    for (day, key) in (1..=10).flat_map(|age| KEYS.map(|key| (today - age * 86_400, key))) {
        insert(&transaction, 86_400, day, key, 48);
        if day >= today - 5 * 86_400 {
            (0..24).for_each(|hour| insert(&transaction, 3_600, day + hour * 3_600, key, 2));
        }
        if day >= today - 2 * 86_400 {
            (0..48).for_each(|half| insert(&transaction, 60, day + half * 1_800 + 120, key, 1));
        }
    }
    transaction.commit().unwrap();
}

#[test]
fn usage_of_schema_2_is_carried_over_whole() {
    let mut server = TestServer::start();
    server.stop();
    let today = server.unix_time().div_euclid(86_400) * 86_400;
    let database = server.path("mcpd.db");
    std::fs::remove_file(&database).unwrap();
    make_old(&database, today);
    let server = server.restart();

    let from = Timestamp::from_seconds(today - 30 * 86_400).to_string();
    let asked = |query: &str| usage(&server, &format!("from={from}&{query}"));
    let requests = |query: &str| asked(query)["totals"]["requests"].as_u64().unwrap();
    for group in ["", "key", "status", "endpoint,model"] {
        for tz in ["Z", "%2B05:30", "-08:00"] {
            assert_eq!(requests(&format!("step=day&tz={tz}&group_by={group}")), 10 * 48 * 3, "{group} {tz}");
        }
        assert_eq!(requests(&format!("step=hour&group_by={group}")), 5 * 48 * 3, "{group}");
        assert_eq!(requests(&format!("step=minute&group_by={group}")), 2 * 48 * 3, "{group}");
    }
    assert_eq!(requests(&format!("step=day&key={}", KEYS[0])), 480);
    // From when on hours and minutes are told, sums have told.
    let day = |age: i64| Timestamp::from_seconds(today - age * 86_400).to_string();
    assert_eq!(asked("step=minute")["from"], day(2));
    assert_eq!(asked("step=hour")["from"], day(5));
    // Where there are minutes, quarters are exact: half an hour east, both requests of an hour are told apart.
    let hours = asked("step=hour&tz=%2B05:30&group_by=key");
    let last = hours["data"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["requests"], last["latency_ms"]["mean"].as_f64()), (&1.into(), Some(1.0)));
    let latency = &asked("step=day")["totals"]["latency_ms"];
    assert_eq!((&latency["max"], &latency["p99"]), (&1.0.into(), &1.0.into()));

    let verification = server.admin(Request::get("/admin/v1/usage/verify")).expect(200).json();
    assert_eq!(verification["ok"], true, "{verification}");
    let left = "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%old%'";
    let left: i64 = Connection::open(&database).unwrap().query_row(left, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}
