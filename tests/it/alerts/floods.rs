//! However many requests are refused, it is one alert, and none of them is missing from its count.

use serde_json::{Value, json};

use super::{WRONG, alerts, one};
use crate::harness::{Request, TestServer, flood};

const MANY: usize = 10_000;

#[test]
fn ten_thousand_refused_requests_are_one_alert_that_counts_them_all() {
    let server = TestServer::start();
    let (key, record) = server.key(json!({"requests_per_minute": 1}));
    let ask =
        |key: &str, times: usize| flood(server.public, &vec![Request::get("/v1/key").bearer(key); times]);
    assert_eq!(ask(WRONG, MANY).values().sum::<usize>(), MANY);
    assert_eq!(ask(&key, MANY + 1), [(200, 1), (429, MANY)].into());
    let (guessed, limited) = (one(&server, "failed_auth"), one(&server, "rate_limited"));
    assert_eq!((&guessed["count"], &guessed["key"]), (&json!(MANY), &Value::Null));
    assert_eq!((&limited["count"], &limited["key"]), (&json!(MANY), &record["id"]));
    assert_eq!(alerts(&server, "").len(), 2);
}
