//! Signing in and out, and what else keeps a page to its reader.

use std::time::Instant;

use serde_json::json;

use super::{Browser, cookie_of, post};
use crate::harness::{Request, TestServer};

/// Makes a link; returns the path that it leads to.
fn link(server: &TestServer) -> String {
    let made = server.admin(Request::post("/admin/v1/sign-in-links", &json!({}))).expect(201).json();
    let url = made["url"].as_str().unwrap();
    url.strip_prefix(&format!("http://{}", server.admin)).unwrap().to_owned()
}

#[test]
fn who_is_not_signed_in_is_sent_there_and_then_to_the_page_they_asked_for() {
    let server = TestServer::start();
    let asked = Request::get("/keys?status=active").header("Accept", "text/html,*/*");
    let away = asked.send(server.admin).expect(303);
    assert_eq!(away.header("location"), Some("/sign-in?next=%2Fkeys%3Fstatus%3Dactive"));
    let page = Request::get("/sign-in?next=%2Fkeys%3Fstatus%3Dactive").send(server.admin).expect(200).text();
    assert!(page.contains("name=\"next\" value=\"/keys?status=active\""), "{page}");
    let fields = [("token", server.token.as_str()), ("next", "/keys?status=active")];
    let entered = post(&server, "/sign-in", &fields).expect(303);
    assert_eq!(entered.header("location"), Some("/keys?status=active"));
}

#[test]
fn nobody_is_sent_to_another_site_after_signing_in() {
    let server = TestServer::start();
    for next in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/nowhere",
        "/sign-in",
        "javascript:1",
        "/keys/\r\nX:y",
    ] {
        let entered = post(&server, "/sign-in", &[("token", &server.token), ("next", next)]).expect(303);
        assert_eq!(entered.header("location"), Some("/"), "{next}");
    }
}

#[test]
fn the_cookie_is_for_this_server_s_own_pages_only_and_no_script_s() {
    let server = TestServer::start();
    let entered = post(&server, "/sign-in", &[("token", &server.token)]).expect(303);
    let cookie = entered.header("set-cookie").unwrap();
    assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(&server.token) && !cookie.contains("Max-Age"), "{cookie}");
}

#[test]
fn a_wrong_token_takes_a_second_and_ten_of_them_stop_all_for_a_minute() {
    let server = TestServer::start();
    let before = Instant::now();
    let refused = post(&server, "/sign-in", &[("token", "guess")]).expect(401);
    assert!(before.elapsed().as_millis() >= 1_000);
    assert!(refused.text().contains("This is not the admin token.") && !refused.text().contains("guess"));

    std::thread::scope(|scope| {
        for _ in 0..9 {
            scope.spawn(|| post(&server, "/sign-in", &[("token", "guess")]).expect(401));
        }
    });
    let wait = post(&server, "/sign-in", &[("token", &server.token)]).expect(429);
    let seconds: u64 = wait.header("retry-after").unwrap().parse().unwrap();
    server.pass(seconds);
    post(&server, "/sign-in", &[("token", &server.token)]).expect(303);
}

#[test]
fn a_link_signs_in_once_and_not_after_five_minutes() {
    let server = TestServer::start();
    let (used, late) = (link(&server), link(&server));
    let entered = Request::get(&used).send(server.admin).expect(303);
    assert_eq!(entered.header("location"), Some("/"));
    Request::get("/keys").header("Cookie", cookie_of(&entered)).send(server.admin).expect(200);

    let again = Request::get(&used).send(server.admin).expect(401);
    assert!(again.text().contains("This link was used already"), "{}", again.text());
    server.pass(300);
    Request::get(&late).send(server.admin).expect(401);
}

#[test]
fn wrong_links_keep_nobody_out_and_who_is_in_needs_none() {
    let server = TestServer::start();
    let good = link(&server);
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| Request::get("/sign-in?code=x").send(server.admin).expect(401));
        }
    });
    let entered = Request::get(&good).send(server.admin).expect(303);
    let cookie = cookie_of(&entered);
    let again = Request::get(&good).header("Cookie", &cookie).send(server.admin).expect(303);
    assert_eq!(again.header("location"), Some("/"));
    let name = cookie.split('=').next().unwrap();
    let stray = format!("{name}=stray; {cookie}");
    Request::get("/keys").header("Cookie", stray).send(server.admin).expect(200);
}

#[test]
fn who_signs_out_is_out_and_so_is_everybody_after_a_restart() {
    let server = TestServer::start();
    let (one, other) = (Browser::sign_in(&server), Browser::sign_in(&server));
    let out = one.post("/sign-out", &[]).expect(303);
    assert_eq!(out.header("location"), Some("/sign-in"));
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    one.get("/keys").expect(303);
    other.get("/keys").expect(200);
    let cookie = other.cookie.clone();
    let server = server.restart();
    Request::get("/keys").header("Cookie", cookie).send(server.admin).expect(303);
}

#[test]
fn who_is_idle_for_twelve_hours_is_signed_out_whatever_the_page_does_by_itself() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    server.pass(11 * 3_600);
    browser.send(Request::get("/keys").header("X-Refresh", "1")).expect(200);
    server.pass(3_600);
    browser.send(Request::get("/keys").header("X-Refresh", "1")).expect(303);
}

#[test]
fn a_form_of_another_page_changes_nothing() {
    let server = TestServer::start();
    let (browser, other) = (Browser::sign_in(&server), Browser::sign_in(&server));
    let fields = [("name", "forged"), ("scope", "*"), ("expires", "never"), ("once", "a")];
    browser.post_bare("/keys/new", &fields).expect(303);
    let (own, another) = (browser.form_token(), other.form_token());
    let of_another = [&fields[..], &[("form_token", &another)]].concat();
    browser.post_bare("/keys/new", &of_another).expect(303);
    let mine = [&fields[..], &[("form_token", &own)]].concat();
    for (name, value) in [
        ("Origin", "https://evil.example"),
        ("Origin", "http://localhost:3000"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Host", "evil.example"),
    ] {
        let sent = super::form("/keys/new", &mine).header(name, value);
        browser.send(sent).expect(403);
    }
    let keys = server.admin(Request::get("/admin/v1/keys?search=forged")).expect(200).json();
    assert_eq!(keys["data"], json!([]));
    browser.post_bare("/keys/new", &mine).expect(303);
}

#[test]
fn pages_may_run_nothing_and_are_kept_by_nobody() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    for path in ["/", "/keys", "/keys/new", "/usage", "/server", "/zone", "/nowhere"] {
        let answer = browser.send(Request::get(path).header("Accept", "text/html"));
        let policy = answer.header("content-security-policy").unwrap_or_else(|| panic!("{path}: no policy"));
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        let html = answer.text();
        for inline in [" style=\"", " onclick=\"", "<style", "<script>"] {
            assert!(!html.contains(inline), "{path} has {inline}");
        }
    }
}

#[test]
fn the_socket_and_the_public_listener_have_no_pages() {
    let server = TestServer::start();
    let html = Request::get("/keys").header("Accept", "text/html");
    html.send(server.public).expect_error(404, "not_found");
    html.send_unix(&server.path("admin.sock")).expect_error(404, "not_found");
    Request::get("/nowhere").bearer(&server.token).send(server.admin).expect_error(404, "not_found");
}

#[test]
fn a_cookie_opens_pages_and_not_the_admin_api() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    browser.get("/keys").expect(200);
    for path in ["/admin/v1/keys", "/admin/v1/server", "/metrics"] {
        for accept in ["text/html", "application/json"] {
            let asked = Request::get(path).header("Accept", accept);
            browser.send(asked).expect_error(401, "missing_admin_token");
        }
    }
    browser.send(Request::post("/admin/v1/keys", &json!({}))).expect_error(401, "missing_admin_token");
}

#[test]
fn programs_are_answered_as_by_the_admin_api() {
    let server = TestServer::start();
    for path in ["/", "/keys", "/nowhere"] {
        Request::get(path).send(server.admin).expect_error(401, "missing_admin_token");
        Request::get(path).bearer(&server.token).send(server.admin).expect_error(404, "not_found");
    }
    Request::get("/assets/nothing").send(server.admin).expect_error(404, "not_found");
}
