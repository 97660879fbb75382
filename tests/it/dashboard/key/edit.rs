//! Changing a key's settings.

use serde_json::json;

use super::{as_filled, notice, odd_key, record, send, via};
use crate::dashboard::Browser;
use crate::harness::{Request, TestServer};

#[test]
fn an_edit_sends_only_what_was_changed() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (_, id) = odd_key(&server);
    let path = format!("/keys/{id}/edit");
    let mut fields = as_filled(&browser.page(&path));
    let before = record(&server, &id);

    // Somebody else changes something meanwhile: it stays so.
    let other = json!({"max_concurrent": 9});
    let request = Request::new("PATCH", &format!("/admin/v1/keys/{id}")).json(&other);
    server.admin(request).expect(200);
    let name = fields.iter_mut().find(|(name, _)| name == "name").unwrap();
    "Day build".clone_into(&mut name.1);
    let saved = send(&browser, &path, &fields).expect(303);
    assert_eq!(saved.header("location"), Some(format!("/keys/{id}").as_str()));
    assert_eq!(notice(&browser, &format!("/keys/{id}")), "Saved: Name.");
    let mut expected = before;
    expected["name"] = json!("Day build");
    expected["max_concurrent"] = json!(9);
    assert_eq!(record(&server, &id), expected);
    assert_eq!(via(&server, "key.update"), "dashboard");
}

#[test]
fn an_edit_that_changes_nothing_says_so_and_notes_nothing() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (_, id) = odd_key(&server);
    let (before, path) = (record(&server, &id), format!("/keys/{id}/edit"));
    send(&browser, &path, &as_filled(&browser.page(&path))).expect(303);
    let said = notice(&browser, &format!("/keys/{id}"));
    assert!(said.starts_with("Nothing was changed"), "{said}");
    assert_eq!(record(&server, &id), before);
    let audit = server.admin(Request::get("/admin/v1/audit?action=key.update")).expect(200).json();
    assert_eq!(audit["data"], json!([]));
}

#[test]
fn a_wrong_edit_keeps_what_was_typed_and_changes_nothing() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (_, id) = odd_key(&server);
    let (before, path) = (record(&server, &id), format!("/keys/{id}/edit"));
    let mut fields = as_filled(&browser.page(&path));
    for (field, typed) in [("name", "Other"), ("allowed_ips", "10.0.0.0/99")] {
        typed.clone_into(&mut fields.iter_mut().find(|(name, _)| name == field).unwrap().1);
    }
    let html = send(&browser, &path, &fields).expect(422).text();
    assert!(html.contains("id=\"allowed_ips-error\"") && html.contains("value=\"Other\""), "{html}");
    assert_eq!(record(&server, &id), before);
    // What is sent next is still held to what the key was.
    let again = as_filled(&html);
    let was = |fields: &[(String, String)]| fields.iter().find(|(name, _)| name == "was").unwrap().1.clone();
    assert_eq!(was(&again), was(&fields));
    // A form that does not say what it was filled with is none of this server's.
    let without: Vec<_> = fields.into_iter().filter(|(name, _)| name != "was").collect();
    send(&browser, &path, &without).expect(400);
}
