//! Lists in every order, over a socket.

use serde_json::{Value, json};

use super::{DAY, list, names, revoke, status};
use crate::harness::TestServer;

/// Keys alike in each respect, and some without what others have.
fn server() -> TestServer {
    let server = TestServer::start();
    server.pass(1);
    let settings = [
        json!({"name": "beta", "expires_in": "9d"}),
        json!({"name": "ALPHA"}),
        json!({"name": "alpha", "expires_in": "3d"}),
        json!({"name": "gamma", "expires_in": "9d"}),
        json!({"name": "Delta"}),
    ];
    // All made in one moment, and the second and the fifth used in another.
    let keys: Vec<(String, Value)> = settings.into_iter().map(|settings| server.key(settings)).collect();
    for (seconds, used) in [(10, &[0][..]), (10, &[1, 4]), (10, &[3])] {
        server.pass(seconds);
        for key in used {
            assert_eq!(status(&server, &keys[*key].0), 200);
        }
    }
    revoke(&server, &keys[4].1).expect(200);
    server
}

/// Returns the names on all pages of a list.
fn paged(server: &TestServer, query: &str, limit: usize) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = list(server, &format!("{query}&limit={limit}{after}"));
        found.extend(names(&page).into_iter().map(ToOwned::to_owned));
        if page["has_more"] == false {
            return found;
        }
        after = format!("&after={}", page["last_id"].as_str().unwrap());
    }
}

#[test]
fn every_order_goes_on_where_a_page_ended() {
    let server = server();
    // What is alike is in the order of ids, which are random.
    let ids = |names: &[&str], is_rising: bool| {
        let all = list(&server, "");
        let rows = all["data"].as_array().unwrap().iter();
        let mut found: Vec<(String, String)> = rows
            .map(|key| (key["id"].as_str().unwrap().to_owned(), key["name"].as_str().unwrap().to_owned()))
            .filter(|(_, name)| names.contains(&name.as_str()))
            .collect();
        found.sort();
        if !is_rising {
            found.reverse();
        }
        found.into_iter().map(|(_, name)| name).collect::<Vec<_>>()
    };
    let alphas = ["alpha", "ALPHA"];
    let same_moment = ["beta", "ALPHA", "alpha", "gamma", "Delta"];
    let cases: [(&str, bool, &[&[&str]]); 9] = [
        ("sort=created&order=desc", false, &[&same_moment, &["default"]]),
        ("sort=created&order=asc", true, &[&["default"], &same_moment]),
        ("sort=name&order=desc", false, &[&["gamma"], &["Delta"], &["default"], &["beta"], &alphas]),
        ("sort=name&order=asc", true, &[&alphas, &["beta"], &["default"], &["Delta"], &["gamma"]]),
        (
            "sort=last_used&order=desc",
            false,
            &[&["gamma"], &["ALPHA", "Delta"], &["beta"], &["alpha", "default"]],
        ),
        (
            "sort=last_used&order=asc",
            true,
            &[&["beta"], &["ALPHA", "Delta"], &["gamma"], &["alpha", "default"]],
        ),
        ("sort=expires&order=desc", false, &[&["beta", "gamma"], &["alpha"], &["ALPHA", "Delta", "default"]]),
        ("sort=expires&order=asc", true, &[&["alpha"], &["beta", "gamma"], &["ALPHA", "Delta", "default"]]),
        ("status=active&sort=name&order=asc", true, &[&alphas, &["beta"], &["default"], &["gamma"]]),
    ];
    for (query, is_rising, groups) in cases {
        let expected: Vec<String> = groups.iter().flat_map(|group| ids(group, is_rising)).collect();
        for limit in [1, 2, 3, 100] {
            assert_eq!(paged(&server, query, limit), expected, "{query}, by {limit}");
        }
    }
    assert_eq!(list(&server, ""), list(&server, "sort=created&order=desc"));
    assert_eq!(list(&server, "order=asc"), list(&server, "sort=created&order=asc"));
    assert_eq!(list(&server, "sort=name"), list(&server, "sort=name&order=desc"));
}

#[test]
fn a_key_that_ends_between_two_pages_keeps_its_place() {
    let server = server();
    let first = list(&server, "sort=expires&order=asc&limit=1");
    server.pass(4 * DAY);
    let rest = list(&server, &format!("sort=expires&order=asc&after={}", first["last_id"].as_str().unwrap()));
    assert_eq!((names(&first), names(&rest).len()), (vec!["alpha"], 5));
}
