//! Ten thousand keys, and a year of usage: no page takes long.
//!
//! Usually with little usage; with `MCPD_TEST_LARGE=1`, and better in a release build, with eleven million rows of it.
//! What each page took is printed (`--nocapture`).

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::Browser;
use crate::harness::TestServer;
use crate::usage::large::{LARGE, SMALL, fill, key};

const KEYS: i64 = 10_000;

/// Makes keys, some of each status, with names and notes to search.
fn make_keys(path: &Path, now: i64) {
    let mut connection = Connection::open(path).unwrap();
    let transaction = connection.transaction().unwrap();
    for number in 0..KEYS {
        let id = key(number);
        let digest = format!("{number:032}").into_bytes();
        let created_at = (now - number * 60) * 1_000;
        let expires_at = (number % 3 == 0).then(|| (now + (number - 500) * 3_600) * 1_000);
        let revoked_at = (number % 10 == 9).then_some(created_at + 1_000);
        let last_used_at = (number % 2 == 0).then(|| (now - number) * 1_000);
        transaction
            .execute(
                "INSERT INTO keys (id, digest, hint, name, enabled, scopes, plan, expires_at, allowed_ips, allowed_models,
                     metadata, require_signature, created_at, revoked_at, allowance, last_used_at)
                 VALUES (?1, ?2, 'mcp_sk_AbCd…wXyZ', ?3, ?4, 'chats:create models:read', 'standard', ?5,
                     '[\"10.0.0.0/8\"]', '[]', ?6, 0, ?7, ?8, ?1, ?9)",
                params![
                    id,
                    digest,
                    format!("Client {number} of <team> {}", number % 40),
                    number % 7 != 0,
                    expires_at,
                    format!("{{\"team\": \"team-{}\"}}", number % 40),
                    created_at,
                    revoked_at,
                    last_used_at,
                ],
            )
            .unwrap();
    }
    transaction.commit().unwrap();
}

#[test]
fn no_page_takes_long_with_ten_thousand_keys_and_a_year_of_usage() {
    let large = std::env::var_os("MCPD_TEST_LARGE").is_some();
    let mut server = TestServer::start();
    let now = server.unix_time() / 60 * 60;
    server.stop();
    fill(&server.path("mcpd.db"), if large { LARGE } else { SMALL }, now);
    make_keys(&server.path("mcpd.db"), now);
    let server = server.restart();
    let browser = Browser::sign_in(&server);

    let budget = Duration::from_millis(if cfg!(debug_assertions) { 1_000 } else { 100 });
    let one = key(7);
    let pages = [
        "/".to_owned(),
        "/keys".to_owned(),
        "/keys?status=expired".to_owned(),
        "/keys?search=team-39".to_owned(),
        "/keys?sort=name&order=asc".to_owned(),
        "/keys?sort=last_used".to_owned(),
        "/contexts".to_owned(),
        "/files".to_owned(),
        "/keys?search=nobody+is+called+that".to_owned(),
        "/keys/new".to_owned(),
        "/usage".to_owned(),
        "/usage?range=hour".to_owned(),
        "/usage?range=week&by=model".to_owned(),
        "/usage?range=month&by=status".to_owned(),
        "/usage?range=year&by=endpoint".to_owned(),
        format!("/usage?range=year&by=endpoint&key={one}"),
        format!("/keys/{one}"),
        format!("/keys/{one}/usage"),
        format!("/keys/{one}/usage?range=week"),
        format!("/keys/{one}/usage?range=year"),
        format!("/keys/{one}/advice"),
        format!("/keys/{one}/edit"),
        format!("/keys/{one}/delete"),
        format!("/keys/{one}/rotate"),
        "/alerts".to_owned(),
        "/alerts/rules".to_owned(),
        "/alerts/rules/new?kind=error_rate".to_owned(),
        "/audit".to_owned(),
        format!("/explain?key_id={one}"),
        "/server".to_owned(),
        "/zone".to_owned(),
    ];
    let mut slow = Vec::new();
    for path in pages {
        // The first time the system may have to read the disk.
        browser.page(&path);
        let start = Instant::now();
        let bytes = browser.page(&path).len();
        let took = start.elapsed();
        println!("{took:?} {bytes} bytes {path}");
        if took > budget {
            slow.push((path, took));
        }
    }
    assert!(slow.is_empty(), "{slow:?}");
}
