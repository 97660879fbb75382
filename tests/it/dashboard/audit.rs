//! The audit log on the dashboard: told, proved, handed out.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::Browser;
use crate::harness::{Request, TestServer};

#[test]
fn a_change_is_told_field_by_field_with_who_made_it() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (_, key) = server.key(json!({"name": "before <b>"}));
    let id = key["id"].as_str().unwrap();
    let change = json!({"name": "after <b>", "max_concurrent": 3});
    server.admin(Request::new("PATCH", &format!("/admin/v1/keys/{id}")).json(&change)).expect(200);
    let page = browser.page(&format!("/audit?target={id}"));
    assert_eq!(page.matches("<tr").count(), 3, "{page}");
    assert!(
        page.contains("Key changed") && page.contains("Key created") && page.contains("admin token"),
        "{page}"
    );
    assert!(page.contains(&format!("href=\"/keys/{id}\"><bdi>after &#60;b&#62;</bdi>")), "{page}");
    let told = |before: &str, after: &str| {
        page.contains(&format!(
            "<del>{before}</del> <span class=\"soft\" aria-hidden=\"true\">→</span> <ins>{after}</ins>"
        ))
    };
    assert!(told("<bdi>before &#60;b&#62;</bdi>", "<bdi>after &#60;b&#62;</bdi>"), "{page}");
    assert!(told("<span class=\"soft\">none</span>", "<bdi>3</bdi>"), "{page}");
    assert_eq!(page.matches("<del>").count(), 2, "only what is different is told: {page}");
    assert!(!page.contains(" <b>"), "{page}");
}

#[test]
fn changes_are_found_by_action_and_told_page_by_page() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    for number in 0..51 {
        server.key(json!({"name": format!("key {number}")}));
    }
    let first = browser.page("/audit?action=key.create");
    assert_eq!(first.matches(">Key created<br>").count(), 50);
    assert!(first.contains("key 50") && !first.contains("key 0<"), "{first}");
    let next =
        first.split("href=\"").find(|part| part.starts_with("/audit?action=key.create&#38;after=")).unwrap();
    let rest = browser.page(&next.split('"').next().unwrap().replace("&#38;", "&"));
    // The default key was the first.
    assert_eq!(rest.matches(">Key created<br>").count(), 2, "{rest}");
    assert!(browser.page("/audit?action=key.revoke").contains("No such changes"));
    browser.get("/audit?action=key.steal").expect(400);
}

#[test]
fn a_key_that_is_deleted_is_told_by_its_name_and_leads_nowhere() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (_, key) = server.key(json!({"name": "short-lived"}));
    let id = key["id"].as_str().unwrap();
    server.admin(Request::new("POST", &format!("/admin/v1/keys/{id}/revoke"))).expect(200);
    server.admin(Request::new("DELETE", &format!("/admin/v1/keys/{id}"))).expect(200);
    let page = browser.page(&format!("/audit?target={id}"));
    assert!(page.contains("Key deleted") && page.contains("<bdi>short-lived</bdi>"), "{page}");
    assert!(!page.contains(&format!("/keys/{id}")), "{page}");
}

#[test]
fn the_log_is_proved_to_be_whole_or_the_first_bad_row_is_named() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    server.key(json!({}));
    let log = server.admin(Request::get("/admin/v1/audit")).expect(200).json();
    let newest = &log["data"][0];
    browser.post_bare("/audit/verify", &[]).expect(303);
    browser.get("/audit/verify").expect(405);
    let page = browser.post("/audit/verify", &[]).expect(200).text();
    assert!(page.contains("each row is as it was written"), "{page}");
    assert!(page.contains("<dd>2</dd>") && page.contains(newest["digest"].as_str().unwrap()), "{page}");

    let database = Connection::open(server.path("mcpd.db")).unwrap();
    let tamper = "DROP TRIGGER audit_is_never_changed; UPDATE audit SET target = 'x' WHERE sequence = 2";
    database.execute_batch(tamper).unwrap();
    let page = browser.post("/audit/verify", &[]).expect(200).text();
    assert!(page.contains("role=\"alert\"") && page.contains(newest["id"].as_str().unwrap()), "{page}");
    assert!(!page.contains("each row is as it was written"), "{page}");
}

#[test]
fn the_whole_log_is_handed_to_who_is_signed_in() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    server.key(json!({}));
    let file = browser.get("/audit/export").expect(200);
    assert_eq!(file.header("content-disposition"), Some("attachment; filename=\"mcpd-audit.jsonl\""));
    let rows: Vec<Value> = file.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2);
    Request::get("/audit/export").header("Accept", "text/html").send(server.admin).expect(303);
    Request::get("/audit/export").send(server.admin).expect_error(401, "missing_admin_token");
}
