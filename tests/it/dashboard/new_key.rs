//! A new key: made by a form, shown once.

use serde_json::json;

use super::{Browser, value_of};
use crate::harness::{Answer, Request, TestServer};

/// What a form for a restricted key sends.
const FIELDS: [(&str, &str); 9] = [
    ("name", "Alice's \"laptop\" <b>"),
    ("scope", "chats:create"),
    ("scope", "models:read"),
    ("expires", "30d"),
    ("plan", "free"),
    ("allowed_ips", "127.0.0.0/8\r\n::1"),
    ("metadata_name", "team"),
    ("metadata_value", "a\r\nb"),
    ("once", "first-form"),
];

/// Follows the answer to a form that made a key; returns where the key is shown, and the page.
fn follow(browser: &Browser, made: &Answer) -> (String, String) {
    let path = made.header("location").unwrap().to_owned();
    let page = browser.page(&path);
    (path, page)
}

fn key_in(html: &str) -> Option<String> {
    let at = html.find("mcp_sk_").filter(|_| html.contains("Copy the key now"))?;
    Some(html[at..at + 39].to_owned())
}

#[test]
fn a_key_is_made_as_the_form_says_and_works() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (_, page) = follow(&browser, &browser.post("/keys/new", &FIELDS).expect(303));
    let key = key_in(&page).unwrap();
    let record = server.call(&key, Request::get("/v1/key")).expect(200).json();
    assert_eq!(record["name"], "Alice's \"laptop\" <b>");
    assert_eq!(record["scopes"], json!(["chats:create", "models:read"]));
    assert_eq!(record["metadata"], json!({"team": "a\nb"}));
    let shown = server.admin(Request::get(&format!("/admin/v1/keys/{}", record["id"].as_str().unwrap())));
    let shown = shown.expect(200).json();
    assert_eq!((&shown["plan"], &shown["allowed_ips"]), (&json!("free"), &json!(["127.0.0.0/8", "::1/128"])));
    let audit = server.admin(Request::get("/admin/v1/audit?action=key.create")).expect(200).json();
    assert_eq!(audit["data"][0]["actor"], json!({"via": "dashboard"}));
}

#[test]
fn a_new_key_is_shown_once_and_by_no_other_page() {
    let server = TestServer::start();
    let (browser, other) = (Browser::sign_in(&server), Browser::sign_in(&server));
    let made = browser.post("/keys/new", &FIELDS).expect(303);
    assert!(!made.text().contains("mcp_sk_"));
    let path = made.header("location").unwrap().to_owned();
    assert_eq!(key_in(&other.page(&path)), None);
    let (_, page) = follow(&browser, &made);
    let key = key_in(&page).unwrap();
    assert_eq!(page.matches(&key).count(), 2, "once to copy, once in the command");
    for later in [path.as_str(), "/keys", "/", "/keys/new"] {
        assert!(!browser.page(later).contains(&key), "{later}");
    }
    assert!(browser.page(&path).contains("This key was shown already."));
}

#[test]
fn a_form_sent_twice_makes_one_key() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let first = browser.post("/keys/new", &FIELDS).expect(303);
    let second = browser.post("/keys/new", &FIELDS).expect(303);
    assert_eq!(first.header("location"), second.header("location"));
    let keys = server.admin(Request::get("/admin/v1/keys?search=laptop")).expect(200).json();
    assert_eq!(keys["data"].as_array().unwrap().len(), 1);
    let page = browser.page("/keys/new");
    assert_ne!(value_of(&page, "once"), value_of(&browser.page("/keys/new"), "once"));
}

#[test]
fn a_wrong_form_says_what_is_wrong_keeps_what_was_typed_and_makes_nothing() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let cases = [
        ("name", " ", "name-error", "This "),
        ("allowed_ips", "10.0.0.0/99", "allowed_ips-error", "10.0.0.0/99"),
        ("max_concurrent", "many", "max_concurrent-error", "This is not what it must be"),
        ("max_concurrent", "0", "max_concurrent-error", "This must be at least 1"),
        ("plan", "gold", "plan-error", "There is no plan"),
        ("expires", "at", "expires-error", "This is wrong"),
    ];
    for (field, value, place, reason) in cases {
        let mut fields: Vec<_> = FIELDS.into_iter().filter(|(name, _)| *name != field).collect();
        fields.push((field, value));
        let html = browser.post("/keys/new", &fields).expect(422).text();
        assert!(html.contains(&format!("id=\"{place}\"")) && html.contains(reason), "{field}: {html}");
        assert!(
            html.contains("Nothing was saved.") && html.contains("127.0.0.0/8") || field == "allowed_ips"
        );
        assert!(html.contains("Alice&#39;s &#34;laptop&#34; &#60;b&#62;") || field == "name", "{html}");
    }
    let without_scopes: Vec<_> = FIELDS.into_iter().filter(|(name, _)| *name != "scope").collect();
    let html = browser.post("/keys/new", &without_scopes).expect(422).text();
    assert!(html.contains("id=\"scopes-error\""), "{html}");
    let keys = server.admin(Request::get("/admin/v1/keys?search=laptop")).expect(200).json();
    assert_eq!(keys["data"], json!([]));
}

#[test]
fn a_form_on_the_reader_s_clock_ends_a_key_when_that_clock_says() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let fields = [
        ("name", "clock"),
        ("scope", "*"),
        ("expires", "at"),
        ("expires_at", "2099-01-31T12:00"),
        ("once", "clock"),
        ("form_token", &browser.form_token()),
    ];
    let cookie = format!("{}; mcpd-zone=+05:30", browser.cookie);
    super::form("/keys/new", &fields).header("Cookie", &cookie).send(server.admin).expect(303);
    let keys = server.admin(Request::get("/admin/v1/keys?search=clock")).expect(200).json();
    assert_eq!(keys["data"][0]["expires_at"], "2099-01-31T06:30:00Z");
}
