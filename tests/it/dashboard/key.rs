//! One key: its pages, and what can be done with it.

mod advice;
mod edit;
mod rotation;

use serde_json::{Value, json};

use super::Browser;
use crate::harness::{Request, TestServer, escape};

/// A name and notes as only people think of them.
const NAME: &str = "Nightly <b>بناء</b> 🦀";
const NOTE: &str = "line one\nline \"two\" <i> & 🙂";
/// Where it is written into HTML.
const NAME_IN_HTML: &str = "<bdi>Nightly &#60;b&#62;بناء&#60;/b&#62; 🦀</bdi>";

fn id_of(record: &Value) -> String {
    record["id"].as_str().unwrap().to_owned()
}

/// Makes a key with the odd name; returns its token and its id.
fn odd_key(server: &TestServer) -> (String, String) {
    let settings = json!({
        "name": NAME, "scopes": ["*"], "metadata": {"a\nb": "x\ry", "note": NOTE}, "max_concurrent": 7,
    });
    let (token, record) = server.key(settings);
    (token, id_of(&record))
}

fn record(server: &TestServer, id: &str) -> Value {
    server.admin(Request::get(&format!("/admin/v1/keys/{id}"))).expect(200).json()
}

/// Returns who made the latest change of this kind.
fn via(server: &TestServer, action: &str) -> Value {
    let audit = server.admin(Request::get(&format!("/admin/v1/audit?action={action}"))).expect(200).json();
    audit["data"][0]["actor"]["via"].clone()
}

/// Returns what the page says was just done.
fn notice(browser: &Browser, path: &str) -> String {
    let page = browser.page(path);
    let at = page.find("class=\"notice good\"").unwrap_or_else(|| panic!("no notice in {page}"));
    page[at..].split(['>', '<']).nth(1).unwrap().to_owned()
}

/// What the form on a page holds, as a browser without a hand on it would send it.
fn as_filled(html: &str) -> Vec<(String, String)> {
    let html = &html[html.find("<main").unwrap()..];
    let mut fields = Vec::new();
    for tag in html.split('<') {
        let (head, text) = tag.split_once('>').unwrap_or((tag, ""));
        let attribute = |name: &str| {
            let value = head.split(&format!(" {name}=\"")).nth(1)?;
            Some(plain(value.split('"').next().unwrap()))
        };
        let (name, value) = (attribute("name"), attribute("value").unwrap_or_default());
        if head.starts_with("input") && (!head.contains("\"checkbox\"") || head.contains(" checked")) {
            // A field of one line takes the breaks out of what it is filled with.
            fields.push((name.unwrap(), value.replace(['\r', '\n'], "")));
        } else if head.starts_with("textarea") {
            let text = text.strip_prefix('\n').unwrap();
            let unix = plain(text).replace("\r\n", "\n").replace('\r', "\n");
            fields.push((name.unwrap(), unix.replace('\n', "\r\n")));
        } else if head.starts_with("select") {
            fields.push((name.unwrap(), String::new()));
        } else if head.starts_with("option") && head.contains(" selected") {
            fields.last_mut().unwrap().1 = value;
        }
    }
    fields
}

fn plain(html: &str) -> String {
    html.replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#38;", "&")
}

fn send(browser: &Browser, path: &str, fields: &[(String, String)]) -> crate::harness::Answer {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    browser.post_bare(path, &fields)
}

#[test]
fn a_key_s_pages_show_what_there_is_to_know_and_names_as_they_are() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (token, id) = odd_key(&server);
    for _ in 0..3 {
        server.call(&token, Request::chat("hello")).expect(200);
    }
    server.call(&token, Request::get("/v1/files/file_none")).expect(404);
    let page = browser.page(&format!("/keys/{id}"));
    for shown in
        [NAME_IN_HTML, "1 failed, 25 %", "7 requests", "from anywhere", "everything", "from 127.0.0.1"]
    {
        assert!(page.contains(shown), "no {shown} in {page}");
    }
    assert!(page.contains("<bdi>line one\nline &#34;two&#34; &#60;i&#62; &#38; 🙂</bdi>"), "{page}");
    assert!(page.contains(&format!("name=\"key\" value=\"{id}\"")));
    assert!(!page.contains("<b>بناء") && !page.contains("/cut-over"), "{page}");
    let usage = browser.page(&format!("/keys/{id}/usage?range=month"));
    for shown in [NAME_IN_HTML, "/v1/chat/completions", "127.0.0.1", ">404<", "<bdi>m</bdi>"] {
        assert!(usage.contains(shown), "no {shown} in {usage}");
    }
    for tab in ["edit", "rotate", "revoke", "delete", "advice"] {
        let page = browser.page(&format!("/keys/{id}/{tab}"));
        assert!(page.contains(NAME_IN_HTML) && !page.contains("<b>بناء"), "{tab}");
        assert!(!page.contains(" style=\"") && !page.contains(" onclick=\""), "{tab}");
    }
    for tab in ["", "/usage", "/advice", "/edit", "/rotate", "/revoke", "/delete", "/cut-over"] {
        browser.get(&format!("/keys/key_AAAAAAAAAAAAAAAAAAAAAAAA{tab}")).expect(404);
        browser.get(&format!("/keys/nobody{tab}")).expect(404);
    }
    browser.get(&format!("/keys/{id}/cut-over")).expect(409);
}

#[test]
fn a_key_is_disabled_and_enabled_again() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (token, id) = odd_key(&server);
    browser.post(&format!("/keys/{id}/disable"), &[]).expect(303);
    server.call(&token, Request::chat("hello")).expect(401);
    assert_eq!(via(&server, "key.update"), "dashboard");
    let page = browser.page(&format!("/keys/{id}"));
    assert!(page.contains(&format!("action=\"/keys/{id}/enable\"")) && page.contains(">disabled<"), "{page}");
    browser.post(&format!("/keys/{id}/enable"), &[]).expect(303);
    server.call(&token, Request::chat("hello")).expect(200);
}

#[test]
fn a_key_is_revoked_once_its_name_or_its_id_is_typed() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (token, id) = odd_key(&server);
    let path = format!("/keys/{id}/revoke");
    for typed in ["", "nightly", "Nightly", "key_"] {
        let html = browser.post(&path, &[("confirm", typed)]).expect(422).text();
        assert!(html.contains("id=\"confirm-error\"") && html.contains("Nothing was done."), "{html}");
    }
    browser.get(&path).expect(200);
    server.call(&token, Request::chat("hello")).expect(200);
    let done = browser.post(&path, &[("confirm", &format!(" {NAME} "))]).expect(303);
    assert_eq!(done.header("location"), Some(format!("/keys/{id}").as_str()));
    server.call(&token, Request::chat("hello")).expect(401);
    assert_eq!(via(&server, "key.revoke"), "dashboard");
    let page = browser.page(&format!("/keys/{id}"));
    assert!(!page.contains("/edit\"") && !page.contains("/rotate\"") && page.contains(">revoked<"), "{page}");
    assert!(browser.page(&path).contains("This key is revoked already"));
    browser.get(&format!("/keys/{id}/edit")).expect(409);
    browser.post(&format!("/keys/{id}/enable"), &[]).expect(409);
}

#[test]
fn a_key_is_deleted_once_its_name_or_its_id_is_typed_and_its_usage_stays() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (token, id) = odd_key(&server);
    server.call(&token, Request::chat("hello")).expect(200);
    let path = format!("/keys/{id}/delete");
    browser.post(&path, &[("confirm", "delete")]).expect(422);
    record(&server, &id);
    let done = browser.post(&path, &[("confirm", &id)]).expect(303);
    assert_eq!(done.header("location"), Some("/keys"));
    assert_eq!(notice(&browser, "/keys"), "The key is deleted. What it used is kept.");
    server.call(&token, Request::chat("hello")).expect(401);
    browser.get(&format!("/keys/{id}")).expect(404);
    assert!(browser.page(&format!("/usage?key={id}")).contains("/v1/chat/completions"));
    assert_eq!(via(&server, "key.delete"), "dashboard");
}

#[test]
fn a_key_s_page_leads_to_why_it_is_refused_and_to_its_alerts() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (_, record) = server.key(json!({"name": "fenced", "allowed_ips": ["10.0.0.0/8"]}));
    let id = id_of(&record);
    let html = browser.page(&format!("/keys/{id}"));
    let at = html.find("action=\"/explain\"").unwrap();
    let mut fields = as_filled(&format!("<main>{}", html[at..].split("</form>").next().unwrap()));
    let told = send(&browser, "/explain", &fields).expect(200).text();
    assert!(told.contains("it is `<bdi>fenced</bdi>`") && told.contains("would be let through"), "{told}");
    "203.0.113.9".clone_into(&mut fields.iter_mut().find(|(name, _)| name == "ip").unwrap().1);
    let told = send(&browser, "/explain", &fields).expect(200).text();
    assert!(told.contains("it is `<bdi>fenced</bdi>`") && !told.contains("would be let through"), "{told}");
    browser.page(&format!("/explain?key_id={id}"));
    browser.page(&format!("/alerts?key={id}"));
}

#[test]
fn a_form_of_another_page_changes_no_key() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (token, id) = odd_key(&server);
    let before = record(&server, &id);
    let fields = [
        ("confirm", id.as_str()),
        ("name", "forged"),
        ("was", "{}"),
        ("expire_old_in", "0s"),
        ("revoke_when_quiet", "1s"),
        ("patch", "{\"max_concurrent\":2}"),
    ];
    for action in ["edit", "rotate", "disable", "enable", "revoke", "delete", "advice", "cut-over"] {
        let path = format!("/keys/{id}/{action}");
        for forged in [None, Some(("form_token", "forged"))] {
            let fields: Vec<_> = fields.iter().copied().chain(forged).collect();
            let answer = browser.post_bare(&path, &fields).expect(303);
            assert!(answer.header("location").unwrap().starts_with("/sign-in"), "{action}");
        }
        super::post(&server, &path, &fields).expect_error(401, "missing_admin_token");
        // Nor does asking for a page change anything.
        browser.get(&format!("{path}?confirm={}&form_token={}", escape(&id), browser.form_token()));
    }
    assert_eq!(record(&server, &id), before);
    server.call(&token, Request::chat("hello")).expect(200);
}
