//! How a key could be tightened, and what is tried out.

use serde_json::{Value, json};

use super::{id_of, notice, odd_key, record, via};
use crate::dashboard::Browser;
use crate::harness::{Request, TestServer};

#[test]
fn advice_is_applied_by_a_button_and_only_while_it_is_advised() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (token, id) = odd_key(&server);
    server.call(&token, Request::chat("hello")).expect(200);
    let path = format!("/keys/{id}/advice");
    let page = browser.page(&path);
    assert!(
        page.contains("everything (*)") && page.contains("<strong><bdi>chats:create</bdi></strong>"),
        "{page}"
    );
    let scopes = json!({"scopes": ["chats:create"]}).to_string();
    assert!(page.contains(&scopes.replace('"', "&#34;")), "{page}");

    // What was suggested would refuse what the key was used for since.
    server.call(&token, Request::get("/v1/models")).expect(200);
    let stale = browser.post(&path, &[("patch", &scopes)]).expect(409).text();
    assert!(stale.contains("Nothing was changed.") && stale.contains("chats:create, models:read"), "{stale}");
    assert_eq!(record(&server, &id)["scopes"], json!(["*"]));
    for patch in ["", "{}", "[]", "{\"enabled\":false}", "{\"name\":\"x\"}"] {
        let answer = browser.post(&path, &[("patch", patch)]);
        assert!(matches!(answer.status, 400 | 409), "{patch}: {}", answer.status);
    }

    let both = json!({"scopes": ["chats:create", "models:read"], "requests_per_minute": 3}).to_string();
    browser.post(&path, &[("patch", &both)]).expect(303);
    assert_eq!(notice(&browser, &path), "Applied: Scopes, Requests a minute.");
    let now = record(&server, &id);
    assert_eq!(
        (&now["scopes"], &now["requests_per_minute"]),
        (&json!(["chats:create", "models:read"]), &json!(3))
    );
    assert_eq!((&now["enabled"], via(&server, "key.update")), (&Value::Null, json!("dashboard")));
}

#[test]
fn what_settings_on_trial_would_have_refused_is_listed() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let settings = json!({"allowed_ips": ["10.0.0.0/8"], "report_only": ["allowed_ips"]});
    let (token, made) = server.key(settings);
    server.call(&token, Request::chat("hello")).expect(200);
    let page = browser.page(&format!("/keys/{}/advice", id_of(&made)));
    assert!(page.contains("<td data-label=\"Refused\">127.0.0.1</td>"), "{page}");
}
