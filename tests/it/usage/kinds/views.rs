//! The views, each held against what was noted.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::super::usage;
use super::world::{Counted, HOUR, World};
use crate::harness::Request;

const DAY: i64 = 24 * HOUR.cast_signed();
const EVER: &str = "from=2020-01-01T00:00:00Z";

/// Numbers by what they are of.
type Counts = BTreeMap<String, u64>;

/// Counts what was noted, by what it is of; what is of nothing is left out.
fn expected(world: &World, name: impl Fn(&Counted) -> Option<String>) -> Counts {
    let mut counts = Counts::new();
    for name in world.counted.iter().filter_map(name) {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

fn group(counted: &Counted, group: &str) -> Value {
    match group {
        "key" => json!(counted.key),
        "endpoint" => json!(counted.endpoint),
        "status" => json!(counted.status),
        _ => json!(counted.model),
    }
}

fn named(start: i64, groups: &[&str], value: impl Fn(&str) -> Value) -> String {
    let values: Vec<String> = groups.iter().map(|group| value(group).to_string()).collect();
    format!("{start} {}", values.join(" "))
}

fn seconds(row: &Value) -> i64 {
    mcpd::domain::time::Timestamp::parse(row["start"].as_str().unwrap()).unwrap().as_seconds()
}

/// Checks usage by all steps, groups and keys.
pub fn usage_agrees(world: &World) {
    let groupings: [&[&str]; 6] =
        [&[], &["key"], &["endpoint"], &["status"], &["model"], &["key", "endpoint", "status", "model"]];
    // All that is of an hour began at one minute.
    for (step, length) in [("minute", 1), ("hour", HOUR.cast_signed()), ("day", DAY)] {
        let floor =
            |time: i64| time.div_euclid(length.max(HOUR.cast_signed())) * length.max(HOUR.cast_signed());
        for groups in groupings {
            let told = usage(&world.server, &format!("step={step}&{EVER}&group_by={}", groups.join(",")));
            let mut found = Counts::new();
            for row in told["data"].as_array().unwrap() {
                let name = named(floor(seconds(row)), groups, |group| row[group].clone());
                *found.entry(name).or_default() += row["requests"].as_u64().unwrap();
            }
            let name =
                |counted: &Counted| Some(named(floor(counted.hour), groups, |name| group(counted, name)));
            assert_eq!(found, expected(world, name), "{step} {groups:?}");
            assert_eq!(told["totals"]["requests"], world.counted.len());
            let errors = world.counted.iter().filter(|counted| counted.status >= 400).count();
            assert_eq!(told["totals"]["errors"], errors);
        }
    }
    for (key, requests) in expected(world, |counted| counted.key.clone()) {
        let told = usage(&world.server, &format!("step=hour&{EVER}&key={key}"));
        assert_eq!(told["totals"]["requests"], requests, "{key}");
    }
    let verified = world.server.admin(Request::get("/admin/v1/usage/verify")).expect(200).json();
    assert_eq!(verified["ok"], true, "{verified}");
}

/// The series of a metric and their values.
fn series(metrics: &str, name: &str) -> Counts {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
    let split = lines.map(|line| line.rsplit_once("} ").unwrap());
    split.map(|(labels, value)| (labels.to_owned(), value.parse().unwrap())).collect()
}

/// Checks each series of the metrics about requests.
pub fn metrics_agree(world: &World) {
    let metrics = world.server.admin(Request::get("/metrics")).expect(200).text();
    let by_key = expected(world, |counted| {
        let key = counted.key.as_deref().unwrap_or_default();
        Some(format!("key=\"{key}\",endpoint=\"{}\",status=\"{}\"", counted.endpoint, counted.status))
    });
    assert_eq!(series(&metrics, "mcpd_requests_total"), by_key);
    let by_code = expected(world, |counted| Some(format!("code=\"{}\"", counted.code?)));
    assert_eq!(series(&metrics, "mcpd_refusals_total"), by_code);
    let by_endpoint = expected(world, |counted| Some(format!("endpoint=\"{}\"", counted.endpoint)));
    assert_eq!(series(&metrics, "mcpd_request_duration_seconds_count"), by_endpoint);
}

/// Checks who was seen with each key, how each was used, and what is told of a rotation.
pub fn watchers_agree(world: &World) {
    let database = Connection::open(world.server.path("mcpd.db")).unwrap();
    let by_key = |sql: &str| -> Counts {
        let mut statement = database.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())));
        rows.unwrap().map(Result::unwrap).filter(|(_, count)| *count > 0).collect()
    };
    let all = expected(world, |counted| counted.key.clone());
    for table in ["sightings", "profiles"] {
        let counted = by_key(&format!("SELECT key_id, sum(requests) FROM {table} GROUP BY key_id"));
        assert_eq!(counted, all, "{table}");
    }
    let errors = expected(world, |counted| counted.key.clone().filter(|_| counted.status >= 400));
    assert_eq!(by_key("SELECT key_id, sum(errors) FROM sightings GROUP BY key_id"), errors);
    let admitted = expected(world, |counted| counted.key.clone().filter(|_| counted.admitted));
    assert_eq!(by_key("SELECT key_id, sum(admitted) FROM sightings GROUP BY key_id"), admitted);

    let told = world.server.admin(Request::get(&world.path("old", "/migration"))).expect(200).json();
    for side in ["old", "new"] {
        let id = &world.holders[side].id;
        let of_key = |counts: &Counts| json!(counts.get(id).copied().unwrap_or(0));
        assert_eq!(
            (&told[side]["requests"], &told[side]["errors"]),
            (&of_key(&all), &of_key(&errors)),
            "{told}"
        );
    }
}
