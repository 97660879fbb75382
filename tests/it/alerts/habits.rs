//! What is usual of a key is learnt from its own requests, day by day, and what is not becomes an alert.

use serde_json::{Value, json};

use super::{alerts, behind_a_proxy, from, one};
use crate::harness::TestServer;

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
const HOME: &str = "198.51.100.1";
const AWAY: &str = "203.0.113.9";

/// Lets time pass until it is so late (UTC).
fn wait_until(server: &TestServer, hour: u64) {
    let now = server.unix_time().unsigned_abs() % DAY;
    server.pass((hour * HOUR + DAY - now) % DAY);
}

/// What was found unusual, held against what was learnt.
fn unusual(server: &TestServer) -> Vec<Value> {
    ["request_spike", "unusual_hour"]
        .iter()
        .flat_map(|kind| alerts(server, &format!("?kind={kind}")))
        .collect()
}

fn ask(server: &TestServer, key: &str, address: &str, times: u32, status: u16) {
    for _ in 0..times {
        server.call(key, from(address)).expect(status);
    }
    // Whatever time goes by then, it is written as of now.
    alerts(server, "");
}

/// Some days on which a key is used so often at nine o'clock, and half as often at ten; mcpd is restarted on one of
/// them. It is nine o'clock then.
fn days_of_use(mut server: TestServer, key: &str, days: u32, times: u32) -> TestServer {
    wait_until(&server, 9);
    for day in 0..days {
        ask(&server, key, HOME, times, 200);
        wait_until(&server, 10);
        ask(&server, key, HOME, times / 2, 200);
        if day == 1 {
            server = server.restart();
        }
        wait_until(&server, 9);
    }
    assert_eq!(unusual(&server), [] as [Value; 0]);
    server
}

#[test]
fn a_spike_is_held_against_what_the_key_did_on_the_days_before() {
    let server = behind_a_proxy().start();
    let ((key, record), (busy, _)) = (server.key(json!({})), server.key(json!({})));
    let server = days_of_use(server, &key, 1, 12);
    let server = days_of_use(server, &busy, 3, 13);
    let server = days_of_use(server, &key, 2, 12);
    wait_until(&server, 15);
    ask(&server, &key, HOME, 59, 200);
    ask(&server, &busy, HOME, 64, 200);
    assert_eq!(unusual(&server), [] as [Value; 0]);
    ask(&server, &key, HOME, 1, 200);
    let alert = one(&server, "request_spike");
    assert_eq!(
        (&alert["key"], &alert["count"], &alert["status"]),
        (&record["id"], &json!(60), &json!("open"))
    );
    let details = &alert["details"];
    assert_eq!(
        (&details["usual"], &details["requests"], &details["window"]),
        (&json!(12.0), &json!(60), &json!("15m"))
    );
    assert_eq!((&details["ip"], &details["user_agent"]), (&json!(HOME), &json!("curl/8")));
    ask(&server, &busy, HOME, 1, 200);
    assert_eq!(alerts(&server, "?kind=request_spike").len(), 2);
}

#[test]
fn a_day_of_refusals_alone_is_no_day_of_use() {
    let server = behind_a_proxy().start();
    let (key, _) = server.key(json!({"allowed_ips": [format!("{HOME}/32")]}));
    let server = days_of_use(server, &key, 2, 12);
    for hour in [10, 9, 10, 9] {
        ask(&server, &key, AWAY, 12, 403);
        wait_until(&server, hour);
    }
    ask(&server, &key, HOME, 200, 200);
    assert_eq!(unusual(&server), [] as [Value; 0], "two days are known");
}

#[test]
fn two_days_are_too_few_to_know_what_is_usual() {
    let server = behind_a_proxy().start();
    let (key, _) = server.key(json!({}));
    let server = days_of_use(server, &key, 2, 12);
    ask(&server, &key, HOME, 200, 200);
    assert_eq!(unusual(&server), [] as [Value; 0]);
}

#[test]
fn an_hour_is_unusual_that_the_key_was_not_used_in_for_a_week() {
    let server = behind_a_proxy().start();
    let ((key, record), (young, _)) = (server.key(json!({})), server.key(json!({})));
    let server = days_of_use(server, &key, 1, 4);
    let server = days_of_use(server, &young, 6, 4);
    let server = days_of_use(server, &key, 7, 4);
    for usual in [9, 10, 11] {
        wait_until(&server, usual);
        ask(&server, &key, HOME, 10, 200);
    }
    wait_until(&server, 21);
    ask(&server, &key, HOME, 4, 200);
    ask(&server, &young, HOME, 10, 200);
    assert_eq!(unusual(&server), [] as [Value; 0]);
    ask(&server, &key, HOME, 2, 200);
    let alert = one(&server, "unusual_hour");
    assert_eq!((&alert["key"], &alert["count"]), (&record["id"], &json!(6)));
    let details = &alert["details"];
    assert_eq!(details["hours"], json!(["21:00 UTC"]));
    assert_eq!(details["usual_hours"], json!(["08:00", "09:00", "10:00", "11:00"]));
}

#[test]
fn refused_requests_make_nothing_usual() {
    let server = behind_a_proxy().start();
    let settings = json!({"allowed_ips": [format!("{HOME}/32")]});
    let (key, record) = server.key(settings);
    let mut server = server;
    for _ in 0..7 {
        server = days_of_use(server, &key, 1, 12);
        // Somebody has got hold of the key, and tries it from elsewhere each night.
        wait_until(&server, 3);
        ask(&server, &key, AWAY, 100, 403);
    }
    wait_until(&server, 3);
    ask(&server, &key, HOME, 60, 200);
    for kind in ["request_spike", "unusual_hour"] {
        let alert = one(&server, kind);
        assert_eq!((&alert["key"], &alert["count"]), (&record["id"], &json!(60)), "{alert}");
    }
    assert_eq!(one(&server, "request_spike")["details"]["usual"], 12.0);
}
