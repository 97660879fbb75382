//! Handing over to a new key, and seeing it through.

use serde_json::Value;

use super::{odd_key, record, via};
use crate::dashboard::{Browser, value_of};
use crate::harness::{Request, TestServer};

#[test]
fn a_rotation_shows_the_new_key_once_and_how_far_it_is() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (old_token, id) = odd_key(&server);
    let path = format!("/keys/{id}/rotate");
    let once = value_of(&browser.page(&path), "once");
    let fields = [
        ("expire_old_in", "own"),
        ("expire_old_in_own", "36h"),
        ("expires", "90d"),
        ("revoke_when_quiet", "12h"),
        ("once", &once),
    ];
    let made = browser.post(&path, &fields).expect(303);
    let new_id = record(&server, &id)["rotated_to"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), Some(format!("/keys/{new_id}/issued").as_str()));
    let again = browser.post(&path, &fields).expect(303);
    assert_eq!(again.header("location"), made.header("location"), "a form sent twice makes one key");
    let shown = browser.page(&format!("/keys/{new_id}/issued"));
    let at = shown.find("mcp_sk_").unwrap();
    let new_token = &shown[at..at + 39];
    assert_eq!(via(&server, "key.rotate"), "dashboard");

    server.call(&old_token, Request::chat("old").header("User-Agent", "<laggard>")).expect(200);
    server.call(new_token, Request::chat("new")).expect(200);
    for of in [&id, &new_id] {
        let page = browser.page(&format!("/keys/{of}/cut-over"));
        assert!(page.contains("not yet") && page.contains("&#60;laggard&#62;"), "{page}");
        assert!(page.contains(&format!("/keys/{id}/revoke")) && page.contains("value=\"12h\""), "{page}");
        assert!(browser.page(&format!("/keys/{of}")).contains(&format!("/keys/{of}/cut-over")));
    }
    let wrong = browser.post(&format!("/keys/{id}/cut-over"), &[("revoke_when_quiet", "soon")]).expect(422);
    assert!(wrong.text().contains("id=\"quiet-error\"") && wrong.text().contains("value=\"soon\""));
    browser.post(&format!("/keys/{id}/cut-over"), &[("revoke_when_quiet", "")]).expect(303);
    assert_eq!(record(&server, &id)["revoke_when_quiet"], Value::Null);
    assert!(browser.page(&format!("/keys/{id}/edit")).contains("id=\"revoke_when_quiet\""));
    assert!(!browser.page(&format!("/keys/{new_id}/edit")).contains("id=\"revoke_when_quiet\""));

    server.pass(25 * 3_600);
    let page = Browser::sign_in(&server).page(&format!("/keys/{id}/cut-over"));
    assert!(page.contains("safe to revoke"), "{page}");
}

#[test]
fn a_wrong_rotation_says_what_is_wrong_and_makes_nothing() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (_, id) = odd_key(&server);
    let cases = [
        ("expire_old_in", "soon", "expire_old_in-error"),
        ("expires", "at", "expires-error"),
        ("revoke_when_quiet", "0s", "revoke_when_quiet-error"),
    ];
    for (field, value, place) in cases {
        let fields = [("once", "x"), (field, value)];
        let fields = if field == "expire_old_in" {
            fields.to_vec()
        } else {
            [&fields[..], &[("expire_old_in", "1h")]].concat()
        };
        let html = browser.post(&format!("/keys/{id}/rotate"), &fields).expect(422).text();
        assert!(html.contains(&format!("id=\"{place}\"")), "{field}: {html}");
    }
    assert_eq!(record(&server, &id)["rotated_to"], Value::Null);
    browser.post(&format!("/keys/{id}/disable"), &[]).expect(303);
    let page = browser.page(&format!("/keys/{id}/rotate"));
    assert!(page.contains("This key is disabled") && !page.contains("name=\"once\""), "{page}");
}
