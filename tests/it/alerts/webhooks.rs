//! Webhooks: everything arrives, in order and signed, and nobody waits for it.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use ring::hmac;
use serde_json::{Value, json};

use super::alerts;
use crate::harness::{Binary, FakeUpstream, Receiver, Request, Seen, TestServer, eventually, hex};

const RULES: &str = "/admin/v1/alert-rules";
pub(super) const SECRET: &str = "the secret of the receiver";

/// A rule that tells of keys that end soon: an alert for each such key.
fn watch_ends(server: &TestServer, webhook: Value) -> String {
    let body = json!({"kind": "key_expiring", "threshold": 7, "webhook": webhook});
    let rule = server.admin(Request::post(RULES, &body)).expect(201).json();
    rule["id"].as_str().unwrap().to_owned()
}

/// Makes a key that ends soon; returns its id.
fn ending(server: &TestServer) -> Value {
    let (_, record) = server.key(json!({"expires_in": "2d"}));
    alerts(server, "");
    record["id"].clone()
}

fn keys(receiver: &Receiver) -> Vec<Value> {
    receiver.alerts().iter().map(|alert| alert["key"].clone()).collect()
}

/// Fails the test unless what was seen is signed with the receiver's secret.
pub(super) fn verify(seen: &Seen) {
    let timestamp = seen.header("x-mcp-timestamp").unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signed = [timestamp.as_bytes(), b".", &seen.body].concat();
    let expected = hex(hmac::sign(&key, &signed).as_ref());
    assert_eq!(seen.header("x-mcp-signature"), Some(expected.as_str()));
}

/// Looks again and again until something holds, a minute of the server's time going by in between.
fn in_time(server: &TestServer, what: &str, mut holds: impl FnMut() -> bool) {
    eventually(what, || {
        let holds = holds();
        if !holds {
            server.pass(60);
            std::thread::sleep(Duration::from_millis(20));
        }
        holds
    });
}

#[test]
fn an_alert_is_delivered_once_signed_and_as_it_was_raised() {
    let (server, receiver) = (TestServer::start(), Receiver::start());
    let rule = watch_ends(&server, json!({"url": receiver.url(), "format": "json", "secret": SECRET}));
    let key = ending(&server);
    eventually("the alert arrives", || receiver.taken().len() == 1);
    let seen = &receiver.taken()[0];
    let alert = seen.json();
    let listed = alerts(&server, "").into_iter().find(|alert| alert["rule"] == rule.as_str()).unwrap();
    assert_eq!(alert, listed);
    assert_eq!((&alert["key"], &alert["status"]), (&key, &json!("open")));
    verify(seen);
    assert_eq!(seen.header("x-mcp-timestamp").unwrap(), server.unix_time().to_string());
    assert_eq!(seen.header("x-mcp-delivery"), alert["id"].as_str());
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert!(seen.header("user-agent").unwrap().starts_with("mcpd/"));
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/hidden-path?token=hidden-token"));
    // What goes on is not told again, nor is its end.
    server.pass(3 * 86_400);
    let server = server.restart();
    assert_eq!(alerts(&server, "?status=resolved").len(), 2);
    assert_eq!(receiver.taken().len(), 1);
}

#[test]
fn every_alert_arrives_in_order_whoever_is_down_meanwhile() {
    let server = TestServer::start();
    let receiver = Receiver::start();
    let address = receiver.address;
    watch_ends(&server, json!({"url": receiver.url(), "secret": SECRET}));
    let mut expected = vec![ending(&server)];
    eventually("the first alert arrives", || receiver.taken().len() == 1);
    let first = keys(&receiver);
    drop(receiver);
    expected.extend([ending(&server), ending(&server)]);
    // mcpd is restarted, and the receiver comes back with an error first.
    let server = server.restart();
    expected.push(ending(&server));
    let receiver = Receiver::start_at(address);
    receiver.answer_with(500);
    in_time(&server, "the receiver is asked", || !receiver.refused().is_empty());
    expected.push(ending(&server));
    let second = expected[1].clone();
    assert!(receiver.refused().iter().all(|seen| seen.json()["key"] == second), "the others wait for it");
    receiver.answer_with(204);
    let back = server.unix_time();
    in_time(&server, "the rest arrives", || receiver.taken().len() == 4);
    let arrived: Vec<Value> = first.into_iter().chain(keys(&receiver)).collect();
    assert_eq!(arrived, expected);
    receiver.taken().iter().for_each(verify);
    let signed_at = |seen: &Seen| seen.header("x-mcp-timestamp").unwrap().parse::<i64>().unwrap();
    assert!(receiver.taken().iter().all(|seen| signed_at(seen) >= back), "each attempt is signed anew");
}

#[test]
fn a_dead_webhook_holds_up_neither_requests_nor_other_webhooks() {
    let (server, receiver) = (TestServer::start(), Receiver::start());
    // It takes connections, and never says a word.
    let dead = TcpListener::bind("127.0.0.1:0").unwrap();
    watch_ends(&server, json!({"url": format!("http://{}/", dead.local_addr().unwrap())}));
    watch_ends(&server, json!({"url": receiver.url()}));
    let start = Instant::now();
    let (key, _) = server.key(json!({}));
    for _ in 0..5 {
        ending(&server);
        server.call(&key, Request::get("/v1/key")).expect(200);
    }
    eventually("the other webhook is told", || receiver.taken().len() == 5);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn a_webhook_that_does_not_want_a_delivery_is_not_asked_for_ever() {
    let (server, receiver) = (TestServer::start(), Receiver::start());
    watch_ends(&server, json!({"url": receiver.url()}));
    receiver.answer_with(404);
    ending(&server);
    in_time(&server, "it is asked ten times", || receiver.refused().len() >= 10);
    receiver.answer_with(200);
    let next = ending(&server);
    eventually("the next one is delivered", || receiver.taken().len() == 1);
    assert_eq!((keys(&receiver), receiver.refused().len()), (vec![next], 10));
}

#[test]
fn a_corrected_url_gets_what_the_wrong_one_did_not_take_at_once() {
    let (server, wrong, right) = (TestServer::start(), Receiver::start(), Receiver::start());
    let rule = watch_ends(&server, json!({"url": wrong.url()}));
    wrong.answer_with(404);
    let key = ending(&server);
    in_time(&server, "it is asked again and again", || wrong.refused().len() >= 7);
    let change = json!({"webhook": {"url": right.url()}});
    server.admin(Request::new("PATCH", &format!("{RULES}/{rule}")).json(&change)).expect(200);
    // No time goes by.
    eventually("it arrives", || keys(&right) == [key.clone()]);
}

#[test]
fn each_service_is_told_in_its_own_way() {
    let server = TestServer::start();
    let receivers = ["ntfy", "slack", "discord"].map(|format| {
        let receiver = Receiver::start();
        watch_ends(&server, json!({"url": receiver.url(), "format": format, "secret": SECRET}));
        receiver
    });
    server.key(json!({"name": "<a & b> @everyone", "expires_in": "2d"}));
    alerts(&server, "");
    let [ntfy, slack, discord] = receivers.each_ref().map(|receiver| {
        eventually("it is told", || receiver.taken().len() == 1);
        let seen = receiver.taken().remove(0);
        verify(&seen);
        seen
    });
    let text = String::from_utf8(ntfy.body.clone()).unwrap();
    assert!(text.starts_with("Key `<a & b> @everyone` (key_"), "{text}");
    assert_eq!(ntfy.header("title"), Some("mcpd: key_expiring"));
    assert_eq!(
        (ntfy.header("priority"), ntfy.header("tags")),
        (Some("default"), Some("warning,key_expiring"))
    );
    let text = slack.json()["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("Key `&lt;a &amp; b&gt; @everyone` (key_"), "{text}");
    assert_eq!(discord.json()["allowed_mentions"], json!({"parse": []}));
}

#[test]
fn a_rule_is_tested_at_once_and_the_answer_says_how_that_went() {
    let (server, receiver) = (TestServer::start(), Receiver::start());
    let rule = watch_ends(&server, json!({"url": receiver.url(), "secret": SECRET}));
    let test =
        |rule: &str| server.admin(Request::new("POST", &format!("{RULES}/{rule}/test"))).expect(200).json();
    let good = json!({"object": "alert_test", "delivered": true, "status": 200, "error": null});
    assert_eq!(test(&rule), good);
    let seen = &receiver.taken()[0];
    verify(seen);
    assert_eq!((&seen.json()["kind"], &seen.json()["rule"]), (&json!("key_expiring"), &json!(rule)));
    assert!(seen.json()["summary"].as_str().unwrap().contains("a test"));
    receiver.answer_with(403);
    let refused = test(&rule);
    assert_eq!((&refused["delivered"], &refused["status"]), (&json!(false), &json!(403)));
    drop(receiver);
    let gone = test(&rule);
    assert_eq!((&gone["delivered"], &gone["status"]), (&json!(false), &Value::Null));
    let reason = gone["error"].as_str().unwrap();
    assert_eq!(reason, "it cannot be reached");
    assert_eq!(alerts(&server, ""), [] as [Value; 0], "a test is no alert");
    let rules = server.admin(Request::get(RULES)).expect(200).json();
    let silent = rules["data"].as_array().unwrap().iter().find(|rule| rule["webhook"].is_null()).unwrap();
    let told = json!({"object": "alert_test", "delivered": true, "status": null, "error": null});
    assert_eq!(test(silent["id"].as_str().unwrap()), told);
    let nobody = Request::new("POST", &format!("{RULES}/rule_000000000000000000000000/test"));
    server.admin(nobody).expect_error(404, "not_found");
}

#[test]
fn a_webhook_cannot_send_mcpd_elsewhere() {
    let elsewhere = Receiver::start();
    let to = elsewhere.url();
    let webhook = FakeUpstream::start(move |_, connection| {
        let head = format!("HTTP/1.1 307 Elsewhere\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
        connection.write_all(head.as_bytes()).is_ok()
    });
    let server = TestServer::start();
    let rule = watch_ends(&server, json!({"url": format!("http://{}/", webhook.address)}));
    let told = server.admin(Request::new("POST", &format!("{RULES}/{rule}/test"))).expect(200).json();
    assert_eq!((&told["delivered"], &told["status"]), (&json!(false), &json!(307)));
    assert!(elsewhere.taken().is_empty() && elsewhere.refused().is_empty());
}

#[test]
fn a_rule_that_goes_takes_its_deliveries_with_it() {
    let (server, receiver) = (TestServer::start(), Receiver::start());
    let rule = watch_ends(&server, json!({"url": receiver.url()}));
    receiver.answer_with(500);
    ending(&server);
    eventually("it is asked", || !receiver.refused().is_empty());
    server.admin(Request::new("DELETE", &format!("{RULES}/{rule}"))).expect(200);
    receiver.answer_with(200);
    // Nor is it sent once it would be due again.
    server.pass(60);
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(receiver.taken().len(), 0);
    watch_ends(&server, json!({"url": receiver.url()}));
    let next = ending(&server);
    in_time(&server, "the new rule's alerts arrive", || receiver.taken().len() == 2);
    // The new rule tells of both keys; the old one's delivery is not among them.
    assert!(receiver.alerts().iter().all(|alert| alert["rule"] != rule.as_str()));
    assert!(keys(&receiver).contains(&next));
}

#[test]
fn neither_a_webhook_s_secret_nor_its_path_nor_a_key_is_in_the_log() {
    let receiver = Receiver::start();
    let binary = Binary::start("log.level = \"trace\"\n");
    let key = binary.default_key();
    let webhook = json!({"url": receiver.url(), "secret": SECRET});
    let body = json!({"kind": "failed_auth", "threshold": 2, "webhook": webhook});
    binary.admin(Request::post(RULES, &body)).expect(201);
    let wrong = "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38";
    for _ in 0..3 {
        let request = Request::get("/v1/key").header("User-Agent", format!("agent {key}"));
        binary.call(wrong, request.clone());
        binary.call(&key, request);
    }
    receiver.answer_with(500);
    eventually("it is asked in vain", || !receiver.refused().is_empty());
    receiver.answer_with(200);
    eventually("it arrives", || !receiver.taken().is_empty());
    let listed = binary.admin(Request::get("/admin/v1/alerts")).expect(200).text();
    eventually("the log tells of it", || binary.log().contains("alert: Somebody at 127.0.0.1"));
    eventually("and of the delivery", || binary.log().contains("being delivered again"));
    let audit = binary.admin(Request::get("/admin/v1/audit")).expect(200).text();
    let payload = String::from_utf8(receiver.taken()[0].body.clone()).unwrap();
    // What a library says at `trace` of the bytes on its own wire is none of ours, and not asked for here.
    for (place, text) in [("log", &binary.log()), ("audit", &audit), ("list", &listed), ("payload", &payload)]
    {
        for hidden in [SECRET, "hidden-path", "hidden-token", &key[7..], &wrong[7..]] {
            assert!(!text.contains(hidden), "{hidden} is in the {place}");
        }
    }
}
