//! Webhooks over TLS: whose certificate the system trusts is told, and nobody else.

use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::webhooks::{SECRET, verify};
use crate::harness::binary::{CONFIG, make_certificate, make_certificate_by};
use crate::harness::{Binary, Folder, Receiver, Request, eventually};

const RULES: &str = "/admin/v1/alert-rules";
const NOT_TRUSTED: &str = "its certificate is not trusted, or it speaks no TLS";

/// A folder with two authorities, and a certificate of each for this machine.
fn folder() -> Folder {
    let folder = Folder::new();
    std::fs::write(folder.path().join("mcpd.toml"), CONFIG).unwrap();
    for authority in ["trusted", "other"] {
        make_certificate(folder.path(), authority);
        make_certificate_by(authority, folder.path(), &format!("by-{authority}"), "IP:127.0.0.1");
    }
    folder
}

fn start(folder: Folder, authority: &str) -> Binary {
    let trusted = folder.path().join(format!("{authority}.pem"));
    Binary::start_trusting(Some(&trusted), folder)
}

/// A rule that tells a URL of keys that end soon; returns its id.
fn watch_ends(binary: &Binary, url: &str) -> String {
    let webhook = json!({"url": url, "secret": SECRET});
    let body = json!({"kind": "key_expiring", "threshold": 7, "webhook": webhook});
    let rule = binary.admin(Request::post(RULES, &body)).expect(201).json();
    rule["id"].as_str().unwrap().to_owned()
}

/// Makes a key that ends soon; returns its id.
fn ending(binary: &Binary) -> Value {
    let body = json!({"name": "ends", "scopes": ["*"], "expires_in": "2d"});
    let made = binary.admin(Request::post("/admin/v1/keys", &body)).expect(201).json();
    binary.admin(Request::get("/admin/v1/alerts")).expect(200);
    made["id"].clone()
}

fn keys(receiver: &Receiver) -> Vec<Value> {
    receiver.alerts().iter().map(|alert| alert["key"].clone()).collect()
}

/// How often the oldest delivery was tried, and for how many milliseconds in all it was put off.
fn oldest_delivery(database: &Path) -> (u32, i64) {
    let connection = Connection::open(database).unwrap();
    let sql = "SELECT attempts, next_at - created_at FROM outbox ORDER BY sequence";
    connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[test]
fn a_webhook_whose_certificate_the_system_trusts_is_told_over_tls() {
    let folder = folder();
    let receiver = Receiver::start_tls(folder.path(), "by-trusted");
    let binary = start(folder, "trusted");
    let rule = watch_ends(&binary, &receiver.url());
    let expected = [ending(&binary), ending(&binary), ending(&binary)];
    eventually("all alerts arrive", || receiver.taken().len() == 3);
    assert_eq!(keys(&receiver), expected);
    receiver.taken().iter().for_each(verify);
    let test = Request::new("POST", &format!("{RULES}/{rule}/test"));
    assert_eq!(binary.admin(test).expect(200).json()["delivered"], true);
}

#[test]
fn a_webhook_is_named_by_its_name_or_by_its_address() {
    let folder = folder();
    make_certificate_by("trusted", folder.path(), "by-name", "DNS:localhost");
    let receivers = ["by-trusted", "by-name"].map(|name| Receiver::start_tls(folder.path(), name));
    let [address, name] = receivers.each_ref().map(Receiver::url);
    let binary = start(folder, "trusted");
    for url in [address, name.replace("127.0.0.1", "localhost")] {
        let rule = watch_ends(&binary, &url);
        let told = binary.admin(Request::new("POST", &format!("{RULES}/{rule}/test"))).expect(200).json();
        assert_eq!(told["delivered"], true, "{url}: {told}");
    }
    // Better said at once than with each delivery.
    let body = json!({"kind": "key_expiring", "webhook": {"url": "https://[::1]:9/"}});
    let told = binary.admin(Request::post(RULES, &body)).expect_error(422, "invalid_request").text();
    assert!(told.contains("must name a host instead of an IPv6 address"), "{told}");
}

#[test]
fn a_webhook_whose_certificate_is_not_trusted_is_told_nothing_and_what_is_for_it_is_kept() {
    let folder = folder();
    let receiver = Receiver::start_tls(folder.path(), "by-trusted");
    let binary = start(folder, "other");
    watch_ends(&binary, &receiver.url());
    let expected = [ending(&binary), ending(&binary)];
    let database = binary.path("data/mcpd.db");
    eventually("it is tried twice", || oldest_delivery(&database).0 >= 2);
    let (attempts, put_off) = oldest_delivery(&database);
    // One second, then two, and so on.
    assert!(put_off >= 1_000 * ((1 << attempts) - 1), "{attempts} attempts, put off for {put_off} ms");
    assert!(receiver.taken().is_empty() && receiver.refused().is_empty());
    let log = binary.log();
    let told = format!(
        "an alert to https://{} could not be delivered, trying again: {NOT_TRUSTED}",
        receiver.address
    );
    assert_eq!(log.matches(&told).count(), 1, "it is told once: {log}");
    for hidden in [SECRET, "hidden-path", "hidden-token"] {
        assert!(!log.contains(hidden), "{hidden} is in the log");
    }
    // The operator has the certificate trusted.
    let _running = start(binary.end("TERM"), "trusted");
    eventually("what was kept arrives", || receiver.taken().len() == 2);
    assert_eq!(keys(&receiver), expected);
    receiver.taken().iter().for_each(verify);
}

#[test]
fn a_test_says_why_an_encrypted_webhook_is_not_told() {
    let folder = folder();
    make_certificate_by("trusted", folder.path(), "elsewhere", "DNS:elsewhere.example");
    let receivers = ["by-other", "elsewhere"].map(|name| Receiver::start_tls(folder.path(), name));
    let binary = start(folder, "trusted");
    let without_tls = format!("https://{}/", binary.public);
    for url in [receivers[0].url(), receivers[1].url(), without_tls] {
        let test = Request::new("POST", &format!("{RULES}/{}/test", watch_ends(&binary, &url)));
        let told = binary.admin(test).expect(200).json();
        let expected =
            json!({"object": "alert_test", "delivered": false, "status": null, "error": NOT_TRUSTED});
        assert_eq!(told, expected, "{url}");
    }
    assert!(receivers.iter().all(|receiver| receiver.taken().is_empty()));
}

#[test]
fn a_certificate_that_cannot_be_used_spoils_none_of_the_others() {
    let folder = folder();
    let receiver = Receiver::start_tls(folder.path(), "by-trusted");
    let trusted = std::fs::read_to_string(folder.path().join("trusted.pem")).unwrap();
    let useless = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    std::fs::write(folder.path().join("all.pem"), format!("{useless}{trusted}")).unwrap();
    let binary = start(folder, "all");
    watch_ends(&binary, &receiver.url());
    let key = ending(&binary);
    eventually("the alert arrives", || keys(&receiver) == [key.clone()]);
    assert!(!binary.log().contains("a fault in mcpd"), "{}", binary.log());
}

#[test]
fn without_any_certificate_to_trust_it_is_said_what_is_missing() {
    let folder = folder();
    std::fs::write(folder.path().join("none.pem"), "").unwrap();
    let binary = start(folder, "none");
    let rule = watch_ends(&binary, "https://127.0.0.1:9/");
    let told = binary.admin(Request::new("POST", &format!("{RULES}/{rule}/test"))).expect(200).json();
    assert_eq!(told["error"], "no trusted certificates are installed: install ca-certificates");
}
