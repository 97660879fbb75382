//! From where a key may be used: the peer's address, or what a trusted proxy says.

use serde_json::{Value, json};

use crate::harness::{Request, TestServer};

const BEHIND_PROXIES: &str = r#"server.trusted_proxies = ["127.0.0.1", "10.0.0.0/8", "2001:db8:ffff::/48"]"#;

fn key_path(made: &Value) -> String {
    format!("/admin/v1/keys/{}", made["id"].as_str().unwrap())
}

fn patch(made: &Value, body: &Value) -> Request {
    Request::new("PATCH", &key_path(made)).json(body)
}

/// A request with these `X-Forwarded-For` lines.
fn forwarded(lines: &[&str]) -> Request {
    lines.iter().fold(Request::get("/v1/key"), |request, line| request.header("X-Forwarded-For", line))
}

#[test]
fn a_key_works_from_its_addresses_only() {
    let server = TestServer::start();
    let cases = [
        (json!(["127.0.0.1"]), 200),
        (json!(["127.0.0.0/8"]), 200),
        (json!(["0.0.0.0/0"]), 200),
        (json!(["::ffff:127.0.0.1"]), 200),
        (json!(["::ffff:127.0.0.0/104"]), 200),
        (json!(["203.0.113.0/24", "127.0.0.1/32"]), 200),
        (json!([]), 200),
        (json!(null), 200),
        // Loopback is an address like any other.
        (json!(["203.0.113.0/24"]), 403),
        (json!(["127.0.0.2"]), 403),
        (json!(["::1"]), 403),
        (json!(["::/0"]), 403),
    ];
    for (allowed, status) in cases {
        let (key, _) = server.key(json!({"allowed_ips": allowed}));
        let answer = server.call(&key, Request::get("/v1/key"));
        assert_eq!(answer.status, status, "{allowed}");
        if status == 403 {
            let answer = answer.expect_error(403, "ip_not_allowed");
            assert_eq!(answer.json()["error"]["type"], "permission_error");
            assert_eq!(answer.header("www-authenticate"), None);
            assert!(answer.header("ratelimit").is_some());
        }
    }
}

#[test]
fn a_client_that_is_no_trusted_proxy_cannot_choose_its_address() {
    let server = TestServer::start();
    let (key, _) = server.key(json!({"allowed_ips": ["203.0.113.9"]}));
    let (local, _) = server.key(json!({"allowed_ips": ["127.0.0.1"]}));
    for value in ["203.0.113.9", "203.0.113.9, 127.0.0.1", "127.0.0.1, 203.0.113.9", "unknown"] {
        server.call(&key, forwarded(&[value])).expect_error(403, "ip_not_allowed");
        server.call(&local, forwarded(&[value])).expect(200);
    }
}

#[test]
fn behind_trusted_proxies_the_right_most_other_address_counts() {
    let server = TestServer::setup().toml(BEHIND_PROXIES).start();
    let (v4, _) = server.key(json!({"allowed_ips": ["203.0.113.0/24"]}));
    let (v6, _) = server.key(json!({"allowed_ips": ["2001:db8::/64"]}));
    let (local, _) = server.key(json!({"allowed_ips": ["127.0.0.1"]}));
    let (proxy, _) = server.key(json!({"allowed_ips": ["10.0.0.0/8"]}));
    let cases: &[(&str, &[&str], u16)] = &[
        (&v4, &["203.0.113.9"], 200),
        (&v4, &["198.51.100.7, 203.0.113.9"], 200),
        (&v4, &["198.51.100.7,203.0.113.9,10.1.2.3"], 200),
        (&v4, &["198.51.100.7", "203.0.113.9", "10.1.2.3, 127.0.0.1"], 200),
        (&v4, &["203.0.113.9, 198.51.100.7"], 403),
        (&v4, &["203.0.113.9", "198.51.100.7"], 403),
        (&v4, &["203.0.113.9, 198.51.100.7, 10.1.2.3"], 403),
        (&v4, &["203.0.113.9:4711"], 200),
        (&v4, &["  203.0.113.9\t"], 200),
        (&v4, &["::ffff:203.0.113.9"], 200),
        (&v4, &["[::ffff:203.0.113.9]:80"], 200),
        (&v4, &["garbage, 203.0.113.9"], 200),
        (&v6, &["2001:db8::7"], 200),
        (&v6, &["[2001:db8::7]"], 200),
        (&v6, &["[2001:db8::7]:4711"], 200),
        (&v6, &["2001:db8::7, 2001:db8:ffff::1"], 200),
        (&v6, &["2001:db8:0:1::7"], 403),
        // Nobody but proxies: the first of them, or the peer itself.
        (&local, &[], 200),
        (&v4, &[], 403),
        (&proxy, &["10.9.9.9, 10.1.2.3"], 200),
    ];
    for (key, lines, status) in cases {
        let answer = server.call(key, forwarded(lines));
        assert_eq!(answer.status, *status, "{lines:?}: {}", answer.text());
    }
}

#[test]
fn an_address_that_cannot_be_read_is_refused_for_a_key_with_addresses() {
    let server = TestServer::setup().toml(BEHIND_PROXIES).start();
    let (everywhere, _) = server.key(json!({"allowed_ips": ["0.0.0.0/0", "::/0"]}));
    let (unrestricted, _) = server.key(json!({}));
    let unreadable: [&[&str]; 13] = [
        &["unknown"],
        &[""],
        &["203.0.113.9, "],
        &["203.0.113.9,,10.1.2.3"],
        &["203.0.113.9", ""],
        &["203.0.113.9, unknown, 10.1.2.3"],
        &["203.0.113.9 198.51.100.7"],
        &["203.0.113.999"],
        &["203.0.113.0/24"],
        &["203.0.113.9:99999"],
        &["[2001:db8::7"],
        &["fe80::1%eth0"],
        &["_hidden"],
    ];
    for lines in unreadable {
        server.call(&everywhere, forwarded(lines)).expect_error(403, "ip_not_allowed");
        server.call(&unrestricted, forwarded(lines)).expect(200);
    }
    let bytes = Request::get("/v1/key").header("X-Forwarded-For", b"203.0.113.9\xff");
    server.call(&everywhere, bytes).expect_error(403, "ip_not_allowed");
}

#[test]
fn no_other_header_tells_an_address() {
    for setup in [TestServer::setup(), TestServer::setup().toml(BEHIND_PROXIES)] {
        let server = setup.start();
        let (key, _) = server.key(json!({"allowed_ips": ["203.0.113.9"]}));
        for name in [
            "CF-Connecting-IP",
            "CF-Connecting-IPv6",
            "X-Real-IP",
            "True-Client-IP",
            "X-Client-IP",
            "X-Original-Forwarded-For",
            "Fastly-Client-IP",
            "X-Forwarded",
        ] {
            let request = Request::get("/v1/key").header(name, "203.0.113.9");
            server.call(&key, request).expect_error(403, "ip_not_allowed");
        }
        let request = Request::get("/v1/key").header("Forwarded", "for=203.0.113.9");
        server.call(&key, request).expect_error(403, "ip_not_allowed");
    }
}

#[test]
fn an_address_is_checked_before_a_scope_and_takes_nothing() {
    let server = TestServer::start();
    let settings =
        json!({"allowed_ips": ["203.0.113.9"], "scopes": ["files:read"], "requests_per_minute": 1});
    let (key, made) = server.key(settings);
    for path in ["/v1/models", "/v1/key", "/v1/nothing"] {
        server.call(&key, Request::get(path)).expect_error(403, "ip_not_allowed");
    }
    server.admin(patch(&made, &json!({"allowed_ips": ["127.0.0.1"]}))).expect(200);
    server.call(&key, Request::get("/v1/models")).expect_error(403, "insufficient_scope");
    server.call(&key, Request::get("/v1/key")).expect(200);
}

#[test]
fn guesses_are_counted_by_the_forwarded_address() {
    let server = TestServer::setup().toml(BEHIND_PROXIES).toml("limits.failed_auth_per_minute = 2").start();
    let from = |client: &str| server.call("wrong", forwarded(&[client])).code();
    let cases = [
        ("203.0.113.9", "invalid_api_key"),
        ("203.0.113.9", "invalid_api_key"),
        ("203.0.113.9", "too_many_failed_attempts"),
        ("203.0.113.9:80", "too_many_failed_attempts"),
        ("198.51.100.7, 203.0.113.9", "too_many_failed_attempts"),
        ("198.51.100.7", "invalid_api_key"),
        // A client of one IPv6 address has its whole network.
        ("2001:db8::1", "invalid_api_key"),
        ("2001:db8::2", "invalid_api_key"),
        ("2001:db8::3", "too_many_failed_attempts"),
        ("2001:db8:0:1::3", "invalid_api_key"),
        // What cannot be read counts for the proxy.
        ("unknown-1", "invalid_api_key"),
        ("unknown-2", "invalid_api_key"),
        ("unknown-3", "too_many_failed_attempts"),
    ];
    for (client, code) in cases {
        assert_eq!(from(client), code, "{client}");
    }
}

#[test]
fn the_address_last_used_from_is_the_client_s() {
    let server = TestServer::setup().toml(BEHIND_PROXIES).start();
    let (key, made) = server.key(json!({}));
    let cases: [(&[&str], Value); 4] = [
        (&[], json!("127.0.0.1")),
        (&["::ffff:203.0.113.9"], json!("203.0.113.9")),
        (&["2001:DB8::7"], json!("2001:db8::7")),
        (&["garbage"], json!(null)),
    ];
    for (lines, address) in cases {
        server.call(&key, forwarded(lines)).expect(200);
        let shown = server.admin(Request::get(&key_path(&made))).json();
        assert_eq!(shown["last_used_ip"], address, "{lines:?}");
        assert!(shown["last_used_at"].is_string());
        server.pass(1);
    }
}

#[test]
fn networks_are_kept_in_one_spelling() {
    let server = TestServer::start();
    let given =
        json!(["10.1.2.3/8", "203.0.113.7", "::ffff:192.0.2.1", "2001:DB8::7/32", "10.0.0.0/8", "0.0.0.0/0"]);
    let kept = json!(["10.0.0.0/8", "203.0.113.7/32", "192.0.2.1/32", "2001:db8::/32", "0.0.0.0/0"]);
    let (_, made) = server.key(json!({"allowed_ips": given}));
    assert_eq!(made["allowed_ips"], kept);
    let (_, other) = server.key(json!({}));
    let changed = server.admin(patch(&other, &json!({"allowed_ips": given}))).expect(200).json();
    assert_eq!(changed["allowed_ips"], kept);
    let server = server.restart();
    assert_eq!(server.admin(Request::get(&key_path(&made))).json()["allowed_ips"], kept);
}

#[test]
fn what_is_no_network_is_refused_and_changes_nothing() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({"allowed_ips": ["203.0.113.9"]}));
    let bad = [
        "10.0.0.0/33",
        "2001:db8::/129",
        "10.0.0",
        "10.0.0.256",
        "10.0.0.1:80",
        "[::1]",
        "fe80::1%eth0",
        "10.0.0.0/-1",
        "10.0.0.0/",
        "10.0.0.0/8/8",
        "localhost",
        "*",
        "",
        " ",
        "any",
    ];
    for entry in bad {
        for list in [json!([entry]), json!(["127.0.0.1", entry])] {
            let body = json!({"name": "x", "scopes": ["*"], "allowed_ips": list});
            let refused = [
                server.admin(Request::post("/admin/v1/keys", &body)),
                server.admin(patch(&made, &json!({"allowed_ips": list}))),
            ];
            for answer in refused {
                let answer = answer.expect_error(422, "invalid_request").json();
                let message = answer["error"]["message"].as_str().unwrap();
                assert!(message.contains("allowed_ips") && message.contains(entry), "{message}");
            }
        }
    }
    for wrong in
        [json!("10.0.0.0/8"), json!([8]), json!([null]), json!({"0": "10.0.0.0/8"}), json!([["::1"]])]
    {
        let answer = server.admin(patch(&made, &json!({"allowed_ips": wrong})));
        let answer = answer.expect_error(422, "invalid_request").json();
        assert!(answer["error"]["message"].as_str().unwrap().contains("allowed_ips"), "{answer}");
    }
    assert_eq!(server.admin(Request::get("/admin/v1/keys")).json()["data"].as_array().unwrap().len(), 2);
    server.call(&key, Request::get("/v1/key")).expect_error(403, "ip_not_allowed");
}

#[test]
fn a_list_is_emptied_only_by_saying_so() {
    let server = TestServer::start();
    let restricted = json!({"allowed_ips": ["203.0.113.9"]});
    for (change, status) in [
        (json!({"name": "other"}), 403),
        (json!({}), 403),
        (json!({"enabled": true}), 403),
        (json!({"allowed_ips": []}), 200),
        (json!({"allowed_ips": null}), 200),
    ] {
        let (key, made) = server.key(restricted.clone());
        server.admin(patch(&made, &change)).expect(200);
        server.call(&key, Request::get("/v1/key")).expect(status);
    }
}
