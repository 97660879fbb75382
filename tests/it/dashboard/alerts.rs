//! Alerts on the dashboard: found, told, acknowledged.

use serde_json::{Value, json};

use super::Browser;
use crate::harness::{Request, TestServer};

/// Well-formed, but nobody's.
const WRONG: &str = "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38";

fn guess(server: &TestServer) {
    for _ in 0..25 {
        server.call(WRONG, Request::get("/v1/key"));
    }
}

/// Makes a key whose requests fail, all of them.
fn failing_key(server: &TestServer, name: &str) -> Value {
    let (key, record) = server.key(json!({"name": name}));
    for _ in 0..12 {
        server.call(&key, Request::get("/v1/nowhere"));
    }
    record
}

fn alerts(server: &TestServer) -> Vec<Value> {
    let page = server.admin(Request::get("/admin/v1/alerts")).expect(200).json();
    page["data"].as_array().unwrap().clone()
}

#[test]
fn where_nothing_is_unusual_it_is_said_what_is_watched() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let page = browser.page("/alerts");
    assert!(page.contains("All quiet") && page.contains("guessed keys"), "{page}");
    assert!(browser.page("/alerts?status=resolved").contains("No such alerts"));
}

#[test]
fn an_alert_says_what_happened_to_whom_and_a_name_is_shown_as_typed() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let key = failing_key(&server, "<i>مفتاح</i> & \u{1f980}");
    guess(&server);
    let page = browser.page("/alerts");
    let link = format!(
        "href=\"/keys/{}\"><bdi>&#60;i&#62;مفتاح&#60;/i&#62; &#38; \u{1f980}</bdi>",
        key["id"].as_str().unwrap()
    );
    assert!(page.contains(&link) && !page.contains("<i>"), "{page}");
    assert!(
        page.contains("12 of 12 requests in 5 minutes ended in an error") && page.contains("12 failures"),
        "{page}"
    );
    assert!(
        page.contains("Somebody at 127.0.0.1 tries invalid keys") && page.contains("25 attempts"),
        "{page}"
    );
    assert!(page.contains("<dt>network</dt><dd><bdi>127.0.0.1</bdi></dd>"), "{page}");
    assert!(!page.contains(WRONG));
}

#[test]
fn alerts_are_found_by_kind_by_status_and_by_their_key() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let key = failing_key(&server, "laptop");
    guess(&server);
    let (guessed, failed) = ("tries invalid keys", "ended in an error");
    let id = key["id"].as_str().unwrap();
    let cases = [
        ("", true, true),
        ("?kind=failed_auth", true, false),
        ("?status=open&kind=error_rate", false, true),
        ("?status=acknowledged", false, false),
        (&format!("?key={id}"), false, true),
        ("?key=laptop", false, true),
        ("?key=nobody", false, false),
    ];
    for (query, has_guessed, has_failed) in cases {
        let page = browser.page(&format!("/alerts{query}"));
        assert_eq!((page.contains(guessed), page.contains(failed)), (has_guessed, has_failed), "{query}");
    }
    browser.get("/alerts?status=gone").expect(400);
    browser.get("/alerts?kind=gone").expect(400);
}

#[test]
fn an_alert_is_acknowledged_by_a_form_of_the_page_only() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    guess(&server);
    let alert = &alerts(&server)[0];
    let path = format!("/alerts/{}/acknowledge", alert["id"].as_str().unwrap());
    for fields in [&[][..], &[("form_token", "made-up")]] {
        let answer = browser.post_bare(&path, fields).expect(303);
        assert!(answer.header("location").unwrap().starts_with("/sign-in"), "{answer:?}");
    }
    browser.get(&path).expect(405);
    assert_eq!(alerts(&server)[0]["status"], "open");
    let done = browser.post(&path, &[("status", "open"), ("kind", "failed_auth")]).expect(303);
    assert_eq!(done.header("location"), Some("/alerts?status=open&kind=failed_auth"));
    assert_eq!(alerts(&server)[0]["status"], "acknowledged");
    let page = browser.page("/alerts");
    assert!(page.contains("The alert was acknowledged") && !page.contains(">Acknowledge<"), "{page}");
    // It is over by the time that somebody presses the button.
    server.pass(301);
    browser.post(&path, &[]).expect(303);
    assert!(browser.page("/alerts").contains("This alert is over already"));
    browser.post("/alerts/alert_000000000000000000000000/acknowledge", &[]).expect(404);
}

#[test]
fn alerts_that_are_over_are_told_page_by_page() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    for _ in 0..51 {
        guess(&server);
        // What was counted is looked at before it is out of date.
        assert_eq!(alerts(&server)[0]["status"], "open");
        server.pass(301);
    }
    let first = browser.page("/alerts?status=resolved");
    assert_eq!(first.matches("tries invalid keys").count(), 50);
    let next =
        first.split("href=\"").find(|part| part.starts_with("/alerts?status=resolved&#38;after=")).unwrap();
    let next = next.split('"').next().unwrap().replace("&#38;", "&");
    assert_eq!(browser.page(&next).matches("tries invalid keys").count(), 1);
}
