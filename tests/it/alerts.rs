//! Alerts: each kind that can be provoked, and what becomes of it.

mod crashes;
mod encrypted;
mod floods;
mod habits;
mod rules;
mod webhooks;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::server::Setup;
use crate::harness::{Request, TestServer};

/// A key as it may be guessed: well-formed, and nobody's.
const WRONG: &str = "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38";

fn alerts(server: &TestServer, query: &str) -> Vec<Value> {
    let page = server.admin(Request::get(&format!("/admin/v1/alerts{query}"))).expect(200).json();
    page["data"].as_array().unwrap().clone()
}

fn one(server: &TestServer, kind: &str) -> Value {
    let found = alerts(server, &format!("?kind={kind}"));
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

fn guess(server: &TestServer, attempts: u32) {
    for _ in 0..attempts {
        server.call(WRONG, Request::get("/v1/key"));
    }
}

fn acknowledge(id: &Value) -> Request {
    Request::new("POST", &format!("/admin/v1/alerts/{}/acknowledge", id.as_str().unwrap()))
}

/// A server behind a proxy that says who the client is.
fn behind_a_proxy() -> Setup {
    TestServer::setup().toml("server.trusted_proxies = [\"127.0.0.1\"]")
}

fn from(address: &str) -> Request {
    Request::get("/v1/key").header("X-Forwarded-For", address).header("User-Agent", "curl/8")
}

/// Writes down how a key was used in the last ten days, as days of use would.
fn habits(server: &TestServer, key: &Value, hours: u32, busiest_quarter: u32) {
    let database = Connection::open(server.path("mcpd.db")).unwrap();
    let today = server.unix_time().div_euclid(86_400);
    for day in today - 10..today {
        let row = (key["id"].as_str().unwrap(), day, 100, hours, busiest_quarter);
        database.execute("INSERT INTO profiles VALUES (?1, ?2, ?3, ?4, ?5, 1, 1)", row).unwrap();
    }
}

#[test]
fn guessing_keys_from_one_address_is_one_alert_about_it() {
    let server = TestServer::start();
    guess(&server, 19);
    assert_eq!(alerts(&server, ""), [] as [Value; 0]);
    guess(&server, 11);
    let alert = one(&server, "failed_auth");
    assert_eq!(
        (&alert["count"], &alert["status"], &alert["key"]),
        (&json!(30), &json!("open"), &Value::Null)
    );
    assert_eq!((&alert["object"], &alert["details"]["ip"]), (&json!("alert"), &json!("127.0.0.1")));
    assert_eq!(alert["details"].get("user_agent"), None, "{alert}");
    let summary = alert["summary"].as_str().unwrap();
    assert!(summary.starts_with("Somebody at 127.0.0.1 tries invalid keys: "), "{summary}");
    // It is over when nobody has tried for a while; another attempt or two are no new one.
    server.pass(301);
    guess(&server, 2);
    let over = one(&server, "failed_auth");
    assert_eq!(
        (&over["status"], &over["count"], &over["id"]),
        (&json!("resolved"), &json!(30), &alert["id"])
    );
    guess(&server, 20);
    let ids: Vec<Value> = alerts(&server, "").iter().map(|alert| alert["status"].clone()).collect();
    assert_eq!(ids, ["open", "resolved"], "the newest comes first");
}

#[test]
fn a_key_that_runs_into_its_limit_again_and_again_is_one_alert() {
    let server = TestServer::start();
    let (key, record) = server.key(json!({"name": "eager", "requests_per_minute": 1}));
    for _ in 0..61 {
        server.call(&key, Request::get("/v1/key"));
    }
    let alert = one(&server, "rate_limited");
    assert_eq!((&alert["count"], &alert["key"]), (&json!(60), &record["id"]));
    let summary = alert["summary"].as_str().unwrap();
    assert!(summary.starts_with("Key `eager` (key_"), "{summary}");
    assert_eq!(alert["details"]["requests_per_minute"], 1);
}

#[test]
fn a_key_whose_requests_mostly_fail_is_an_alert_and_one_that_is_refused_is_not() {
    let server = TestServer::start();
    let (failing, record) = server.key(json!({"name": "failing"}));
    let (narrow, _) = server.key(json!({"requests_per_minute": 5}));
    for _ in 0..9 {
        server.call(&failing, Request::post("/v1/chat/completions", &json!({"model": "m"}))).expect(422);
        server.call(&narrow, Request::get("/v1/key"));
    }
    assert_eq!(alerts(&server, ""), [] as [Value; 0]);
    server.call(&failing, Request::get("/v1/key")).expect(200);
    server.call(&failing, Request::post("/v1/chat/completions", &json!({"model": "m"}))).expect(422);
    let alert = one(&server, "error_rate");
    assert_eq!((&alert["key"], &alert["count"]), (&record["id"], &json!(10)));
    assert!(
        alert["summary"]
            .as_str()
            .unwrap()
            .ends_with("fails: 10 of 11 requests in 5 minutes ended in an error")
    );
}

#[test]
fn a_key_is_used_from_a_new_address_once_it_is_known_where_it_is_used_from() {
    let server = behind_a_proxy().start();
    let (key, record) = server.key(json!({"name": "laptop"}));
    for address in ["198.51.100.1", "198.51.100.2", "2001:db8::1"] {
        server.call(&key, from(address)).expect(200);
    }
    assert_eq!(alerts(&server, ""), [] as [Value; 0], "it is being learnt");
    server.pass(25 * 3_600);
    let server = server.restart();
    for address in ["198.51.100.1", "2001:db8::ffff"] {
        server.call(&key, from(address)).expect(200);
    }
    assert_eq!(alerts(&server, ""), [] as [Value; 0], "these are known");
    for _ in 0..3 {
        server.call(&key, from("203.0.113.9")).expect(200);
    }
    let alert = one(&server, "new_client_address");
    assert_eq!((&alert["key"], &alert["count"]), (&record["id"], &json!(3)));
    let details = &alert["details"];
    assert_eq!((&details["ip"], &details["user_agent"]), (&json!("203.0.113.9"), &json!("curl/8")));
    assert_eq!(details["endpoint"], "/v1/key");
    server.pass(3_601);
    assert_eq!(one(&server, "new_client_address")["status"], "resolved");
    server.call(&key, from("203.0.113.9")).expect(200);
    assert_eq!(alerts(&server, "").len(), 1, "it is known by now");
}

#[test]
fn far_more_requests_than_usual_are_an_alert() {
    let server = TestServer::start();
    let (key, record) = server.key(json!({}));
    habits(&server, &record, 0xff_ffff, 10);
    for _ in 0..49 {
        server.call(&key, Request::get("/v1/key")).expect(200);
    }
    assert_eq!(alerts(&server, ""), [] as [Value; 0]);
    for _ in 0..6 {
        server.call(&key, Request::get("/v1/key")).expect(200);
    }
    let alert = one(&server, "request_spike");
    assert_eq!((&alert["key"], &alert["count"]), (&record["id"], &json!(55)));
    assert_eq!(alert["details"]["usual"], 10.0);
}

#[test]
fn work_at_an_hour_at_which_a_key_is_never_used_is_an_alert() {
    let server = TestServer::start();
    let hour = server.unix_time().div_euclid(3_600).rem_euclid(24);
    let (key, record) = server.key(json!({}));
    habits(&server, &record, 1 << ((hour + 12) % 24), 10);
    let (other, usual) = server.key(json!({}));
    habits(&server, &usual, 1 << ((hour + 1) % 24), 10);
    for _ in 0..5 {
        server.call(&key, Request::get("/v1/key")).expect(200);
        server.call(&other, Request::get("/v1/key")).expect(200);
    }
    let alert = one(&server, "unusual_hour");
    assert_eq!((&alert["key"], &alert["count"]), (&record["id"], &json!(5)));
    assert_eq!(alert["details"]["hours"], json!([format!("{hour:02}:00 UTC")]));
}

#[test]
fn a_key_that_ends_soon_is_an_alert_until_somebody_sees_to_it() {
    let server = TestServer::start();
    let (_, record) = server.key(json!({"expires_in": "3d"}));
    server.key(json!({"expires_in": "1h"}));
    server.key(json!({"expires_in": "30d"}));
    let alert = one(&server, "key_expiring");
    assert_eq!((&alert["key"], &alert["count"]), (&record["id"], &json!(1)));
    assert_eq!(alert["details"]["expires_at"], record["expires_at"]);
    assert!(alert["summary"].as_str().unwrap().contains("expires in 3 days"), "{alert}");
    let server = server.restart();
    server.pass(120);
    assert_eq!(one(&server, "key_expiring")["id"], alert["id"]);
    let path = format!("/admin/v1/keys/{}", record["id"].as_str().unwrap());
    server.admin(Request::new("PATCH", &path).json(&json!({"expires_at": null}))).expect(200);
    assert_eq!(one(&server, "key_expiring")["status"], "resolved");
}

#[test]
fn a_key_that_was_replaced_and_is_still_used_is_an_alert_that_names_its_successor() {
    let server = TestServer::start();
    let (key, record) = server.key(json!({"name": "service"}));
    let id = record["id"].as_str().unwrap();
    server.call(&key, Request::get("/v1/key")).expect(200);
    let rotate = Request::post(&format!("/admin/v1/keys/{id}/rotate"), &json!({"expire_old_in": "1h"}));
    let new = server.admin(rotate).expect(201).json();
    assert_eq!(alerts(&server, ""), [] as [Value; 0]);
    let request =
        Request::get("/v1/key").header("User-Agent", "cron mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38");
    server.call(&key, request).expect(200);
    assert_eq!(alerts(&server, "").len(), 1);
    // What comes within a day is the same alert.
    server.pass(26 * 3_600);
    server.call(&key, Request::get("/v1/key")).expect(401);
    let found = alerts(&server, &format!("?key={id}"));
    assert_eq!(found.len(), 2, "one while it worked, one when it did no more");
    let [late, early] = &found[..] else { unreachable!() };
    assert_eq!(early["details"]["successor"], new["id"]);
    assert_eq!((&early["details"]["works"], &late["details"]["works"]), (&json!(true), &json!(false)));
    assert_eq!(early["details"]["user_agent"], "cron mcp_sk_…");
    assert!(late["summary"].as_str().unwrap().ends_with("; it works no more"), "{late}");
}

#[test]
fn an_alert_is_acknowledged_once_and_goes_on_all_the_same() {
    let server = TestServer::start();
    guess(&server, 20);
    let id = one(&server, "failed_auth")["id"].clone();
    for _ in 0..2 {
        let seen = server.admin(acknowledge(&id)).expect(200).json();
        assert_eq!((&seen["id"], &seen["status"]), (&id, &json!("acknowledged")));
    }
    guess(&server, 5);
    let server = server.restart();
    guess(&server, 5);
    let alert = one(&server, "failed_auth");
    assert_eq!((&alert["status"], &alert["count"]), (&json!("acknowledged"), &json!(30)));
    assert_eq!(alerts(&server, "?status=open"), [] as [Value; 0]);
    assert_eq!(alerts(&server, "?status=acknowledged").len(), 1);
    server.pass(301);
    server.admin(acknowledge(&id)).expect_error(409, "alert_resolved");
    assert_eq!(alerts(&server, "?status=resolved").len(), 1);
    let audit = server.admin(Request::get("/admin/v1/audit?action=alert.acknowledge")).json();
    let rows = audit["data"].as_array().unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["target"], &rows[0]["after"]["status"]), (&id, &json!("acknowledged")));
    let none = json!("alert_000000000000000000000000");
    server.admin(acknowledge(&none)).expect_error(404, "not_found");
    server.admin(acknowledge(&json!("alert_1"))).expect_error(404, "not_found");
}

#[test]
fn alerts_are_listed_page_by_page_and_a_wrong_question_says_what_is_wrong() {
    let server = TestServer::start();
    for _ in 0..3 {
        let (_, record) = server.key(json!({"expires_in": "2d"}));
        alerts(&server, "");
        drop(record);
    }
    let all: Vec<Value> = alerts(&server, "").iter().map(|alert| alert["id"].clone()).collect();
    assert_eq!(all.len(), 3);
    assert!(all.is_sorted_by(|newer, older| newer.as_str() > older.as_str()), "{all:?}");
    let page = server.admin(Request::get("/admin/v1/alerts?limit=2")).expect(200).json();
    assert_eq!((&page["has_more"], &page["last_id"]), (&json!(true), &all[1]));
    let rest = alerts(&server, &format!("?after={}", all[1].as_str().unwrap()));
    assert_eq!(rest[0]["id"], all[2]);
    for (query, names) in [
        ("status=over", "`status` must be one of open, acknowledged, resolved"),
        ("kind=odd", "`kind` must be one of error_rate, "),
        ("key=laptop", "`key` "),
        ("after=x", "`after` "),
        ("limit=0", "`limit` "),
        ("color=red", "unknown parameter `color`"),
    ] {
        let answer = server.admin(Request::get(&format!("/admin/v1/alerts?{query}")));
        let error = answer.expect_error(400, "invalid_request").json();
        assert!(error["error"]["message"].as_str().unwrap().contains(names), "{error}");
    }
}
