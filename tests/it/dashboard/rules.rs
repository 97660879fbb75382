//! Alert rules on the dashboard: made, changed, tried out, deleted.

use serde_json::{Value, json};

use super::Browser;
use crate::harness::{Answer, Receiver, Request, TestServer};

const SECRET: &str = "hush-hush-hush";

fn rules(server: &TestServer) -> Vec<Value> {
    let page = server.admin(Request::get("/admin/v1/alert-rules")).expect(200).json();
    page["data"].as_array().unwrap().clone()
}

/// The rule that a test made, which looks at ten minutes.
fn made(server: &TestServer) -> Value {
    rules(server).into_iter().find(|rule| rule["window"] == "10m").unwrap()
}

/// A rule that is there from the start.
fn last(server: &TestServer) -> Value {
    rules(server).pop().unwrap()
}

fn path(rule: &Value, what: &str) -> String {
    format!("/alerts/rules/{}/{what}", rule["id"].as_str().unwrap())
}

/// What the form of a rule sends that has a webhook.
fn fields(url: &str) -> Vec<(&str, &str)> {
    vec![
        ("kind", "error_rate"),
        ("threshold", "33.3"),
        ("window", "10m"),
        ("enabled", "1"),
        ("webhook_url", url),
        ("webhook_format", "ntfy"),
        ("webhook_secret", SECRET),
        ("once", "first-form"),
    ]
}

#[test]
fn a_rule_is_made_as_the_form_says_and_once() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (_, key) = server.key(json!({"name": "laptop <b>"}));
    let kinds = browser.page("/alerts/rules/new?key=laptop");
    assert!(kinds.contains("/alerts/rules/new?kind=error_rate&#38;key=laptop"), "{kinds}");
    let blank = browser.page("/alerts/rules/new?kind=error_rate");
    assert!(blank.contains("in percent") && blank.contains("placeholder=\"50\""), "{blank}");
    let before = rules(&server).len();
    let mut form = fields("https://ntfy.sh/hidden-path");
    form.push(("key", "laptop <b>"));
    for _ in 0..2 {
        browser.post("/alerts/rules/new", &form).expect(303);
    }
    assert_eq!(rules(&server).len(), before + 1);
    let rule = made(&server);
    let expected = json!({
        "id": rule["id"], "object": "alert_rule", "kind": "error_rate", "enabled": true, "key": key["id"],
        "threshold": 0.333, "window": "10m",
        "webhook": {"url": "https://ntfy.sh/hidden-path", "format": "ntfy", "signed": true},
    });
    assert_eq!(rule, expected);
    let list = browser.page("/alerts/rules");
    assert!(
        list.contains("<bdi>laptop &#60;b&#62;</bdi>") && list.contains("33.3 % of requests in 10m"),
        "{list}"
    );
    assert!(list.contains("https://ntfy.sh") && !list.contains("hidden-path"), "{list}");
}

#[test]
fn what_is_wrong_with_a_rule_is_told_beside_its_field_and_nothing_is_lost_but_the_secret() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let before = rules(&server).len();
    let cases = [
        ("threshold", "101", "This must be a percentage above 0, at most 100."),
        ("threshold", "many", "This must be a percentage above 0, at most 100."),
        ("window", "1s", "This must be 10s to 90d."),
        ("webhook_url", "ftp://host", "This must begin with http:// or https://."),
        ("webhook_url", "", "This must begin with http:// or https://."),
        ("webhook_secret", "short", "This must have 8 to 200 characters."),
        ("webhook_format", "fax", "This must be one of json, ntfy, slack, discord."),
        ("key", "nobody", "This names no key"),
    ];
    for (field, value, says) in cases {
        let mut form = fields("https://ntfy.sh/topic");
        form.retain(|(name, _)| *name != field);
        form.push((field, value));
        let page = browser.post("/alerts/rules/new", &form).expect(422).text();
        assert!(page.contains(&format!("id=\"{field}-error\">{says}")), "{field}: {page}");
        assert!(
            page.contains(&format!("href=\"#{field}\"")) && page.contains("aria-invalid"),
            "{field}: {page}"
        );
        assert!(page.contains("value=\"10m\"") || field == "window", "{page}");
        assert!(!page.contains(SECRET), "{page}");
    }
    browser.post("/alerts/rules/new", &[("kind", "gone")]).expect(400);
    assert_eq!(rules(&server).len(), before);
}

/// Sends the form of a rule that there is, as it is filled in with now, with these fields.
fn save(browser: &Browser, rule: &Value, form: &[(&str, &str)]) -> Answer {
    let was = super::value_of(&browser.page(&path(rule, "edit")), "was").replace("&#34;", "\"");
    browser.post(&path(rule, "edit"), &[form, &[("was", &was)]].concat())
}

#[test]
fn a_change_says_only_what_is_different_and_an_empty_secret_keeps_the_one_there_is() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let receiver = Receiver::start();
    let url = receiver.url();
    browser.post("/alerts/rules/new", &fields(&url)).expect(303);
    let rule = made(&server);
    let edit = browser.page(&path(&rule, "edit"));
    assert!(edit.contains("value=\"33.3\"") && edit.contains(&url) && !edit.contains(SECRET), "{edit}");
    assert!(edit.contains("Deliveries are signed") && !edit.contains("id=\"key\""), "{edit}");

    let mut form = fields(&url);
    form.retain(|(name, _)| *name != "webhook_secret");
    save(&browser, &rule, &form).expect(303);
    assert!(browser.page("/alerts/rules").contains("Nothing was changed"));
    form.retain(|(name, _)| *name != "threshold");
    save(&browser, &rule, &form).expect(303);
    let changed = made(&server);
    assert_eq!((&changed["threshold"], &changed["webhook"]["signed"]), (&json!(0.5), &json!(true)));

    form.retain(|(name, _)| *name != "webhook_url");
    save(&browser, &rule, &form).expect(303);
    assert_eq!(made(&server)["webhook"], Value::Null);
    form.push(("threshold", "0"));
    let wrong = save(&browser, &rule, &form).expect(422).text();
    assert!(wrong.contains("id=\"threshold-error\""), "{wrong}");
    browser.get("/alerts/rules/rule_000000000000000000000000/edit").expect(404);
}

#[test]
fn a_rule_is_turned_off_and_on() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let rule = last(&server);
    browser.post_bare(&path(&rule, "disable"), &[("form_token", "made-up")]).expect(303);
    assert_eq!(last(&server)["enabled"], true);
    browser.post(&path(&rule, "disable"), &[]).expect(303);
    assert_eq!(last(&server)["enabled"], false);
    let list = browser.page("/alerts/rules");
    assert!(list.contains("is not in force any more.") && list.contains(">Turn on<"), "{list}");
    browser.post(&path(&rule, "enable"), &[]).expect(303);
    assert_eq!(last(&server)["enabled"], true);
}

#[test]
fn a_sample_says_whether_it_arrived() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let receiver = Receiver::start();
    let rule = last(&server);
    browser.post(&path(&rule, "test"), &[]).expect(303);
    assert!(browser.page("/alerts/rules").contains("this rule has no webhook"));

    browser.post("/alerts/rules/new", &fields(&receiver.url())).expect(303);
    let rule = made(&server);
    browser.post_bare(&path(&rule, "test"), &[]).expect(303);
    assert!(receiver.taken().is_empty());
    browser.post(&path(&rule, "test"), &[]).expect(303);
    let list = browser.page("/alerts/rules");
    assert!(list.contains("The sample was delivered: http://127.0.0.1:"), "{list}");
    assert_eq!(receiver.taken().len(), 1);
    receiver.answer_with(500);
    let list = browser.post(&path(&rule, "test"), &[]).expect(200).text();
    assert!(
        list.contains("role=\"alert\"") && list.contains("did not reach") && list.contains("500"),
        "{list}"
    );
    assert!(!list.contains("hidden-path"), "{list}");
}

#[test]
fn a_rule_is_deleted_once_somebody_says_so() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (rule, before) = (last(&server), rules(&server).len());
    let page = browser.page(&path(&rule, "delete"));
    assert!(page.contains("Delete this rule?"), "{page}");
    browser.post_bare(&path(&rule, "delete"), &[]).expect(303);
    assert_eq!(rules(&server).len(), before);
    browser.post(&path(&rule, "delete"), &[]).expect(303);
    assert_eq!(rules(&server).len(), before - 1);
    for rule in rules(&server) {
        browser.post(&path(&rule, "delete"), &[]).expect(303);
    }
    assert!(browser.page("/alerts/rules").contains("Nothing is watched"));
}

#[test]
fn what_somebody_else_changed_of_a_rule_meanwhile_stays_so() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let rules = server.admin(Request::get("/admin/v1/alert-rules")).expect(200).json();
    let rule = rules["data"].as_array().unwrap().iter().find(|rule| rule["kind"] == "error_rate").unwrap();
    let id = rule["id"].as_str().unwrap();
    let html = browser.page(&format!("/alerts/rules/{id}/edit"));
    let was = super::value_of(&html, "was").replace("&#34;", "\"");
    let path = format!("/admin/v1/alert-rules/{id}");
    server.admin(Request::new("PATCH", &path).json(&json!({"threshold": 0.2}))).expect(200);
    let fields = [
        ("was", was.as_str()),
        ("enabled", "1"),
        ("threshold", "50"),
        ("window", "10m"),
        ("webhook_format", "json"),
    ];
    browser.post(&format!("/alerts/rules/{id}/edit"), &fields).expect(303);
    let now = server.admin(Request::get(&path)).expect(200).json();
    assert_eq!((&now["threshold"], &now["window"]), (&json!(0.2), &json!("10m")));
}
