//! What all pages have in common.

use serde_json::json;

use super::Browser;
use crate::harness::{Request, TestServer};

#[test]
fn files_of_pages_are_kept_and_change_their_name_with_what_is_in_them() {
    let server = TestServer::start();
    let html = Request::get("/sign-in").send(server.admin).expect(200).text();
    let paths: Vec<&str> = html.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert_eq!(paths.len(), 3, "{html}");
    for path in paths {
        let file = Request::get(path).send(server.admin).expect(200);
        assert_eq!(file.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
    }
    Request::get("/assets/style-00000000.css").send(server.admin).expect(404);
}

#[test]
fn times_are_told_in_the_reader_s_zone() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    assert!(browser.page("/server").contains("Times in UTC<"));
    let chosen = browser.post("/zone", &[("zone", "+05:30")]).expect(303);
    assert!(chosen.header("set-cookie").unwrap().starts_with("mcpd-zone="), "{chosen:?}");
    let cookie = format!("{}; mcpd-zone=+05:30", browser.cookie);
    let page = Request::get("/server").header("Cookie", &cookie).send(server.admin).expect(200).text();
    assert!(page.contains("Times in UTC+05:30<"), "{page}");
    assert!(page.contains(" UTC\" data-at>"), "{page}");
    browser.post("/zone", &[("zone", "+05:31")]).expect(422);
}

#[test]
fn the_overview_and_usage_show_what_was_asked_for() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    assert!(browser.page("/").contains("Begin here"));
    let (key, record) = server.key(json!({"name": "<b>مفتاح</b> 🦀"}));
    for _ in 0..3 {
        server.call(&key, Request::chat("hello")).expect(200);
    }
    server.call(&key, Request::get("/v1/nowhere")).expect(404);
    let overview = browser.page("/");
    assert!(!overview.contains("Begin here") && overview.contains("<dd>4</dd>"), "{overview}");
    let usage = browser.page("/usage");
    assert!(usage.contains("/v1/chat/completions") && usage.contains("1 failed, 25 %"), "{usage}");
    let of_key =
        browser.page(&format!("/usage?range=month&by=status&key={}", record["id"].as_str().unwrap()));
    assert!(of_key.contains("&#60;b&#62;مفتاح&#60;/b&#62; 🦀"), "{of_key}");
    let by_key = browser.page("/usage?by=key");
    assert!(
        by_key.contains(&format!("/keys/{}/usage?range=day", record["id"].as_str().unwrap())),
        "{by_key}"
    );
    browser.get("/usage?key=nobody").expect(400);
    let proof = browser.post("/usage/verify", &[]).expect(200).text();
    assert!(proof.contains("It does: whichever way"), "{proof}");
}

#[test]
fn a_backup_is_handed_to_who_is_signed_in_and_noted() {
    let server = TestServer::start();
    let browser = Browser::sign_in(&server);
    browser.get("/server/backup").expect(405);
    let copy = browser.post("/server/backup", &[]).expect(200);
    assert!(copy.body.starts_with(b"SQLite format 3\0"));
    let audit = server.admin(Request::get("/admin/v1/audit?action=backup.create")).expect(200).json();
    assert_eq!(audit["data"][0]["actor"], json!({"via": "dashboard"}));
}

#[test]
fn keys_are_searched_sorted_and_paged() {
    let server = TestServer::start();
    for number in 0..60 {
        let team = ["team-even", "team-odd"][number % 2];
        server.key(json!({"name": format!("client {number:02}"), "metadata": {"team": team}}));
    }
    let browser = Browser::sign_in(&server);
    let names = |html: &str| -> Vec<String> {
        html.split("<bdi>client ").skip(1).map(|part| part.split('<').next().unwrap().to_owned()).collect()
    };
    let newest = browser.page("/keys?search=client");
    assert!(newest.contains("60 keys"), "{newest}");
    assert_eq!(names(&newest).len(), 50);
    let by_name = browser.page("/keys?search=client&sort=name&order=asc");
    assert_eq!(names(&by_name)[..2], ["00", "01"]);
    assert!(by_name.contains("aria-sort=\"ascending\""), "{by_name}");
    let next =
        by_name.split("href=\"").find(|part| part.starts_with("/keys?") && part.contains("after=")).unwrap();
    let next = next.split('"').next().unwrap().replace("&#38;", "&");
    let second = names(&browser.page(&next));
    assert_eq!((second.len(), second[0].as_str(), second[9].as_str()), (10, "50", "59"));
    assert!(browser.page("/keys?search=team-odd").contains("30 keys"));
    assert!(browser.page("/keys?search=nobody").contains("No key matches"));
    let (key, _) = server.key(json!({"name": "client of mine"}));
    let led = browser.get(&format!("/keys?search={key}")).expect(303);
    let path = led.header("location").unwrap();
    assert!(!path.contains(&key));
    let found = browser.page(path);
    assert!(found.contains("client of mine") && found.contains("1 key<") && !found.contains(&key), "{found}");
    browser.get("/keys?status=asleep").expect(400);
    browser.get("/keys?sort=colour").expect(400);
}

#[test]
fn parts_of_usage_that_are_left_out_are_counted() {
    let server = TestServer::start();
    for _ in 0..101 {
        let (key, _) = server.key(json!({}));
        server.call(&key, Request::get("/v1/key")).expect(200);
    }
    let html = Browser::sign_in(&server).page("/usage?by=key");
    assert!(html.contains("And 1 more, less busy"), "{html}");
}
