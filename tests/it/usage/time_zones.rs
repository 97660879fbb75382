//! Hours and days of any offset.

use serde_json::{Value, json};

use super::{sum, usage};
use crate::harness::{Request, TestServer};

/// Rows as start and requests.
fn rows(usage: &Value) -> Vec<(String, u64)> {
    let rows = usage["data"].as_array().unwrap().iter();
    rows.map(|row| (row["start"].as_str().unwrap().to_owned(), row["requests"].as_u64().unwrap())).collect()
}

/// A server and the UTC day, as text, of two requests at 18:29 and one at 18:30, with one more at 00:10 of the next.
fn across_midnight() -> (TestServer, String) {
    let server = TestServer::start();
    let (key, _) = server.key(json!({}));
    let midnight = 86_400 - server.unix_time().rem_euclid(86_400);
    server.pass(midnight.cast_unsigned() + 18 * 3_600 + 29 * 60);
    let day = mcpd::domain::time::Timestamp::from_seconds(server.unix_time()).to_string()[..10].to_owned();
    for pass in [0, 60, 5 * 3_600 + 40 * 60, 0] {
        server.call(&key, Request::get("/v1/key")).expect(200);
        server.pass(pass);
    }
    (server, day)
}

#[test]
fn hours_and_days_begin_where_the_time_zone_says() {
    let (server, day) = across_midnight();
    let utc = usage(&server, "step=day");
    assert_eq!(rows(&utc).iter().map(|row| row.1).collect::<Vec<_>>(), [3, 1]);
    let india = usage(&server, "step=day&tz=%2B05:30");
    let starts = rows(&india);
    assert_eq!(starts.iter().map(|row| row.1).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(starts[0].0, format!("{day}T00:00:00+05:30"));
    assert!(india["from"].as_str().unwrap().ends_with("T00:00:00+05:30"), "{india}");
    assert!(india["to"].as_str().unwrap().ends_with("T00:00:00+05:30"), "{india}");
    assert_eq!(usage(&server, "step=day&tz=+05:30"), india, "a plus as it is typed is understood too");
    let hours = rows(&usage(&server, "step=hour&tz=-03:30"));
    let expected = [(format!("{day}T14:00:00-03:30"), 2), (format!("{day}T15:00:00-03:30"), 1)];
    assert_eq!(hours[..2], expected);
    assert_eq!(rows(&usage(&server, "step=minute&tz=%2B12:45"))[0].1, 2);
    assert_eq!(usage(&server, "step=day&tz=UTC"), utc);
    for step in ["minute", "hour", "day"] {
        for tz in ["Z", "%2B05:30", "%2B05:45", "-03:30", "%2B12:45", "-14:00"] {
            for group in ["", "key", "endpoint", "status", "model", "key,status"] {
                let usage = usage(&server, &format!("step={step}&tz={tz}&group_by={group}"));
                assert_eq!(
                    (sum(&usage, "requests"), &usage["totals"]),
                    (4, &utc["totals"]),
                    "{step} {tz} {group}"
                );
            }
        }
    }
}

#[test]
fn what_is_no_offset_is_refused_by_name() {
    let server = TestServer::start();
    for tz in
        ["", "Berlin", "%2B05:31", "%2B14:15", "05:30", "%2B5:30", "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38"]
    {
        let answer = server.admin(Request::get(&format!("/admin/v1/usage?tz={tz}")));
        let message = answer.expect_error(400, "invalid_request").json()["error"]["message"].to_string();
        assert!(
            message.contains("`tz` must be Z, UTC or an offset of whole quarter hours"),
            "{tz}: {message}"
        );
        assert!(!message.contains("ABCDEF"), "{message}");
    }
}

#[test]
fn where_quarters_are_forgotten_a_day_counts_where_its_noon_is() {
    let (server, day) = across_midnight();
    // Long enough for quarters to be forgotten, and what is left to be told from.
    server.pass(3 * 86_400);
    let server = server.restart_with("usage.keep_minutes = \"1h\"\nusage.keep_hours = \"1d\"\n");
    let (key, _) = server.key(json!({"plan": "professional"}));
    server.call(&key, Request::get("/v1/key")).expect(200);
    let range = "from=2020-01-01T00:00:00Z";
    crate::harness::eventually("quarters are forgotten", || {
        usage(&server, &format!("step=hour&{range}"))["totals"]["requests"] == 1
    });
    let hours = usage(&server, &format!("step=hour&{range}"));
    assert!(hours["from"].as_str().unwrap() > day.as_str(), "what is told says from when on: {hours}");
    for tz in ["Z", "%2B05:30", "-03:30", "%2B12:45"] {
        let days = usage(&server, &format!("step=day&{range}&tz={tz}"));
        assert_eq!(days["totals"]["requests"], 5, "{tz}: {days}");
        assert!(days["from"].as_str().unwrap().starts_with("20"), "{days}");
    }
    let india = rows(&usage(&server, &format!("step=day&{range}&tz=%2B05:30")));
    assert_eq!(india[0], (format!("{day}T00:00:00+05:30"), 3));
}
