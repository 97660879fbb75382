//! Why a request is refused, on the dashboard. A key that is pasted is not shown again.

use serde_json::{Value, json};

use super::Browser;
use crate::harness::{Request, TestServer};

/// What a form sends.
type Fields<'a> = &'a [(&'a str, &'a str)];

fn id(record: &Value) -> &str {
    record["id"].as_str().unwrap()
}

#[test]
fn a_request_that_might_be_made_is_explained_step_by_step() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (_, key) = server.key(json!({"name": "<b>laptop</b>", "scopes": ["models:read"]}));
    let form = browser.page(&format!("/explain?key_id={}", id(&key)));
    assert!(form.contains(&format!("name=\"key\" value=\"{}\"", id(&key))), "{form}");
    for named in [id(&key), "<b>laptop</b>"] {
        let fields = [("key", named), ("method", "POST"), ("path", ""), ("model", "echo")];
        let page = browser.post("/explain", &fields).expect(200).text();
        assert!(page.contains("The request would be refused with 403"), "{page}");
        assert!(page.contains("<code>insufficient_scope</code>"), "{page}");
        let decides = page.split("class=\"decides\"").nth(1).unwrap();
        assert!(decides.contains("<strong>Scope</strong>"), "{page}");
        assert!(page.contains(&format!("name=\"key\" value=\"{}\"", id(&key))), "{page}");
        assert!(!page.contains("<b>"), "{page}");
        let fields = [("key", named), ("method", "GET"), ("path", "/v1/models")];
        let page = browser.post("/explain", &fields).expect(200).text();
        assert!(page.contains("The request would be let through") && !page.contains("decides"), "{page}");
    }
}

#[test]
fn a_key_that_is_pasted_is_explained_and_not_shown_again() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (key, record) = server.key(json!({"name": "laptop"}));
    let page = browser.post("/explain", &[("key", &key), ("path", "/v1/key"), ("method", "GET")]).expect(200);
    assert!(page.text().contains("would be let through") && page.text().contains(id(&record)), "{page:?}");
    assert!(!page.text().contains(&key), "{page:?}");
    assert!(page.text().contains("name=\"key\" value=\"\""), "{page:?}");
    // Wherever it is pasted by mistake, and where a link has it.
    for field in ["path", "ip", "model", "request_id"] {
        let page = browser.post("/explain", &[("key", "laptop"), (field, &key)]);
        assert!(!page.text().contains(&key), "{field}: {page:?}");
    }
    assert!(!browser.page(&format!("/explain?key_id={key}")).contains(&key));
}

#[test]
fn a_refusal_is_explained_by_the_id_of_its_request() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let (key, record) = server.key(json!({"name": "laptop", "allowed_ips": ["10.0.0.0/8"]}));
    let refused = server.call(&key, Request::get("/v1/key")).expect(403);
    let request = refused.header("x-request-id").unwrap();
    let by_link = browser.page(&format!("/explain?request_id={request}"));
    let by_form = browser.post("/explain", &[("request_id", request)]).expect(200).text();
    for page in [by_link, by_form] {
        assert!(page.contains("The request was refused with 403"), "{page}");
        assert!(page.contains(&format!("href=\"/keys/{}\"><bdi>laptop</bdi>", id(&record))), "{page}");
        assert!(page.contains("127.0.0.1") && page.contains("ip_not_allowed"), "{page}");
    }
}

#[test]
fn what_cannot_be_explained_is_told_beside_its_field() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    let cases: [(Fields, &str, &str); 5] = [
        (&[], "key_id", "This is missing"),
        (&[("key", "key_000000000000000000000000")], "key_id", "There is no key with this id"),
        (&[("key", "default"), ("path", "v1")], "path", "This is no path"),
        (&[("key", "default"), ("ip", "here")], "ip", "This is no address"),
        (&[("request_id", "req_none")], "request_id", "No refusal of a request with this id"),
    ];
    for (fields, field, says) in cases {
        let page = browser.post("/explain", fields).expect(422).text();
        assert!(page.contains(&format!("id=\"{field}-error\">{says}")), "{field}: {page}");
        assert!(
            page.contains(&format!("href=\"#{field}\"")) && page.contains("aria-invalid"),
            "{field}: {page}"
        );
    }
    let answer = browser.post_bare("/explain", &[("key", "default")]).expect(303);
    assert!(answer.header("location").unwrap().starts_with("/sign-in"), "{answer:?}");
}
