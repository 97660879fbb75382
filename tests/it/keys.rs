//! The admin API for keys: make, list, read, change, delete, revoke, rotate, and the log of it all.

mod advice;
mod audit;
mod cutover;
mod migration;
mod quiet;
mod repeated;
mod rotation;
mod seed;
mod sorted;

use mcpd::domain::time::Timestamp;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{Answer, Request, TestServer, escape};

const KEYS: &str = "/admin/v1/keys";
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

fn id(made: &Value) -> &str {
    made["id"].as_str().unwrap()
}

fn path(made: &Value) -> String {
    format!("{KEYS}/{}", id(made))
}

fn patch(server: &TestServer, made: &Value, body: &Value) -> Answer {
    server.admin(Request::new("PATCH", &path(made)).json(body))
}

fn read(server: &TestServer, made: &Value) -> Value {
    server.admin(Request::get(&path(made))).expect(200).json()
}

fn revoke(server: &TestServer, made: &Value) -> Answer {
    server.admin(Request::new("POST", &format!("{}/revoke", path(made))))
}

fn rotate(server: &TestServer, made: &Value, body: &Value) -> Answer {
    server.admin(Request::post(&format!("{}/rotate", path(made)), body))
}

/// The new key of a rotation, and its record.
fn rotated(server: &TestServer, made: &Value, body: &Value) -> (String, Value) {
    let new = rotate(server, made, body).expect(201).json();
    (new["key"].as_str().unwrap().to_owned(), new)
}

fn status(server: &TestServer, key: &str) -> u16 {
    server.call(key, Request::get("/v1/key")).status
}

fn list(server: &TestServer, query: &str) -> Value {
    server.admin(Request::get(&format!("{KEYS}?{query}"))).expect(200).json()
}

fn names(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect()
}

/// Now by the server's clock, and some seconds on.
fn after(server: &TestServer, seconds: u64) -> String {
    let started = server.admin(Request::get("/admin/v1/server")).json();
    let start = Timestamp::parse(started["started_at"].as_str().unwrap()).unwrap();
    let up = started["uptime_seconds"].as_u64().unwrap();
    start.after(std::time::Duration::from_secs(up + seconds)).to_string()
}

fn audit(server: &TestServer, query: &str) -> Vec<Value> {
    let list = server.admin(Request::get(&format!("/admin/v1/audit?{query}"))).expect(200).json();
    list["data"].as_array().unwrap().clone()
}

fn message(answer: &Answer) -> String {
    answer.json()["error"]["message"].as_str().unwrap().to_owned()
}

/// The record without the secret, as it is read later.
fn without_secret(made: &Value) -> Value {
    let mut record = made.clone();
    record.as_object_mut().unwrap().shift_remove("key");
    record
}

#[test]
fn a_key_is_made_with_what_was_asked_for() {
    let server = TestServer::start();
    let end = after(&server, DAY);
    let asked = json!({
        "name": " Laptop 💻 ", "scopes": ["models:read", "chats:create", "models:read"], "plan": "free",
        "requests_per_minute": 7, "max_concurrent": 3, "expires_at": end, "allowed_ips": ["127.0.0.0/8"],
        "allowed_models": ["llama3*", "m"], "metadata": {"team": "a", "note": "ü \"x\""},
        "require_signature": true, "report_only": ["scopes"]
    });
    let answer = server.admin(Request::post(KEYS, &asked)).expect(201);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let made = answer.json();
    let key = made["key"].as_str().unwrap();
    assert_eq!((key.len(), &key[..7]), (39, "mcp_sk_"));
    assert_eq!((id(&made).len(), &id(&made)[..4]), (28, "key_"));
    let expected = json!({
        "id": id(&made), "object": "key", "name": "Laptop 💻",
        "hint": format!("{}…{}", &key[..11], &key[35..]), "status": "active",
        "scopes": ["chats:create", "models:read"], "plan": "free", "requests_per_minute": 7,
        "max_concurrent": 3, "allowed_ips": ["127.0.0.0/8"], "allowed_models": ["llama3*", "m"],
        "metadata": {"note": "ü \"x\"", "team": "a"}, "require_signature": true, "report_only": ["scopes"],
        "revoke_when_quiet": null,
        "created_at": after(&server, 0), "expires_at": end, "revoked_at": null, "last_used_at": null,
        "last_used_ip": null, "rotated_from": null, "rotated_to": null, "rotated_at": null
    });
    assert_eq!(without_secret(&made), expected);
    assert_eq!(read(&server, &made), expected);
    assert_eq!(list(&server, "search=laptop")["data"][0], expected);
    let server = server.restart();
    assert_eq!(read(&server, &made), expected);
}

#[test]
fn what_is_left_out_has_defaults() {
    let server = TestServer::setup()
        .toml("plans.free.requests_per_minute = 11\nlimits.default_plan = \"free\"")
        .start();
    let (key, made) = server.key(json!({}));
    let expected = json!({
        "status": "active", "scopes": ["*"], "plan": "free", "requests_per_minute": 11, "max_concurrent": null,
        "allowed_ips": [], "allowed_models": [], "metadata": {}, "require_signature": false,
        "report_only": [], "expires_at": null
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(made[field], *value, "{field}");
    }
    let own = server.call(&key, Request::get("/v1/key")).expect(200).json();
    assert_eq!((&own["id"], &own["hint"]), (&made["id"], &made["hint"]));
    assert_eq!((own["requests_per_minute"].as_u64(), own["remaining"].as_u64()), (Some(11), Some(10)));
}

#[test]
fn no_two_keys_are_alike() {
    let server = TestServer::start();
    let made: std::collections::BTreeSet<_> = (0..50)
        .map(|_| server.key(json!({})).1)
        .flat_map(|made| [made["id"].to_string(), made["key"].to_string()])
        .collect();
    assert_eq!(made.len(), 100);
}

#[test]
fn a_key_is_not_made_or_changed_with_bad_settings() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    let before = read(&server, &made);
    let (past, now) = ("2020-01-01T00:00:00Z", after(&server, 0));
    let many: serde_json::Map<_, _> = (0..33).map(|n| (n.to_string(), json!("x"))).collect();
    let pasted = "my mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38 key";
    let cases = [
        ("name", json!({"name": ""})),
        ("name", json!({"name": " \t"})),
        ("name", json!({"name": "a\nb"})),
        ("name", json!({"name": "x".repeat(201)})),
        ("name", json!({"name": pasted})),
        ("name", json!({"name": pasted.replace("Fg38", "Fg3")})),
        ("name", json!({"name": 3})),
        ("name", json!({"name": ["x"]})),
        ("scopes", json!({"scopes": []})),
        ("scopes", json!({"scopes": ["chats:destroy"]})),
        ("chats:destroy", json!({"scopes": ["chats:create", "chats:destroy"]})),
        ("scopes", json!({"scopes": ["Chats:Create"]})),
        ("scopes", json!({"scopes": [""]})),
        ("scopes", json!({"scopes": "chats:create"})),
        ("scopes[1]", json!({"scopes": ["*", 1]})),
        ("plan", json!({"plan": "gold"})),
        ("gold", json!({"plan": "gold"})),
        ("plan", json!({"plan": "Free"})),
        ("requests_per_minute", json!({"plan": "enterprise"})),
        ("plan", json!({"plan": 1})),
        ("requests_per_minute", json!({"requests_per_minute": 0})),
        ("requests_per_minute", json!({"requests_per_minute": -1})),
        ("requests_per_minute", json!({"requests_per_minute": 1.5})),
        ("requests_per_minute", json!({"requests_per_minute": "60"})),
        ("requests_per_minute", json!({"requests_per_minute": 4_294_967_296_u64})),
        ("max_concurrent", json!({"max_concurrent": 0})),
        ("max_concurrent", json!({"max_concurrent": -3})),
        ("max_concurrent", json!({"max_concurrent": true})),
        ("expires_in", json!({"expires_at": "2099-01-01T00:00:00Z", "expires_in": "1d"})),
        ("expires_at", json!({"expires_at": null, "expires_in": "1d"})),
        ("expires_at", json!({"expires_at": past})),
        ("expires_at", json!({"expires_at": now})),
        ("expires_at", json!({"expires_at": "tomorrow"})),
        ("expires_at", json!({"expires_at": "2099-01-01"})),
        ("expires_at", json!({"expires_at": 4_070_908_800_u64})),
        ("expires_in", json!({"expires_in": "0s"})),
        ("expires_in", json!({"expires_in": "-1h"})),
        ("expires_in", json!({"expires_in": "soon"})),
        ("expires_in", json!({"expires_in": "90"})),
        ("expires_in", json!({"expires_in": 90})),
        ("allowed_ips", json!({"allowed_ips": ["nowhere"]})),
        ("allowed_models", json!({"allowed_models": [""]})),
        ("allowed_models", json!({"allowed_models": "m"})),
        ("metadata", json!({"metadata": many})),
        ("metadata", json!({"metadata": {"a": "x".repeat(8_192)}})),
        ("metadata", json!({"metadata": {"a": pasted}})),
        ("metadata", json!({"metadata": {pasted: "a"}})),
        ("metadata.a", json!({"metadata": {"a": 1}})),
        ("metadata", json!({"metadata": []})),
        ("require_signature", json!({"require_signature": "yes"})),
        ("report_only", json!({"report_only": ["allowed_models"]})),
        ("report_only", json!({"report_only": [pasted]})),
        ("report_only", json!({"report_only": "scopes"})),
        ("colour", json!({"colour": "red"})),
        ("Name", json!({"Name": "x"})),
        ("key", json!({"key": pasted})),
        ("id", json!({"id": "key_1"})),
        ("status", json!({"status": "active"})),
        ("revoked_at", json!({"revoked_at": null})),
    ];
    for (part, bad) in cases {
        let mut body = json!({"name": "x", "scopes": ["*"]});
        body.as_object_mut().unwrap().extend(bad.as_object().unwrap().clone());
        for answer in [server.admin(Request::post(KEYS, &body)), patch(&server, &made, &bad)] {
            assert_eq!(answer.status, 422, "{bad}: {}", answer.text());
            let answer = answer.expect_error(422, "invalid_request");
            assert!(message(&answer).contains(part), "{bad}: {}", message(&answer));
            assert!(!message(&answer).contains("ABCDEFGHIJ"), "{}", message(&answer));
        }
    }
    for (part, body) in [
        ("name", json!({"scopes": ["*"]})),
        ("name", json!({"name": null, "scopes": ["*"]})),
        ("scopes", json!({"name": "x"})),
        ("scopes", json!({"name": "x", "scopes": null})),
        ("enabled", json!({"name": "x", "scopes": ["*"], "enabled": false})),
    ] {
        let answer = server.admin(Request::post(KEYS, &body)).expect_error(422, "invalid_request");
        assert!(message(&answer).contains(part), "{body}: {}", message(&answer));
    }
    assert_eq!(read(&server, &made), before);
    assert_eq!(names(&list(&server, "limit=10")).len(), 2);
    assert_eq!(audit(&server, "limit=10").len(), 2);
}

#[test]
fn the_limits_of_settings_can_be_reached() {
    let server = TestServer::start();
    let metadata: serde_json::Map<_, _> =
        (0..32).map(|n| (format!("{n:02}"), json!("x".repeat(254)))).collect();
    for settings in [
        json!({"name": "ü".repeat(200)}),
        json!({"metadata": metadata}),
        json!({"requests_per_minute": u32::MAX, "max_concurrent": u32::MAX}),
        json!({"plan": "enterprise", "requests_per_minute": 1}),
        json!({"expires_in": "2w"}),
        json!({"expires_at": "9999-01-01T00:00:00+05:30"}),
        json!({"scopes": ["chats:create", "completions:create", "models:read", "contexts:read",
            "contexts:write", "files:read", "files:write"]}),
        json!({"scopes": ["*", "chats:create"]}),
    ] {
        let (key, _) = server.key(settings);
        assert_eq!(status(&server, &key), 200);
    }
}

#[test]
fn both_ways_to_say_an_end_mean_the_same() {
    let server = TestServer::start();
    let end = after(&server, 90 * DAY);
    assert_eq!(server.key(json!({"expires_in": "90d"})).1["expires_at"], end);
    assert_eq!(server.key(json!({"expires_at": end})).1["expires_at"], end);
    let offset = server.key(json!({"expires_at": "2099-01-01T00:00:00+05:30"})).1;
    assert_eq!(offset["expires_at"], "2098-12-31T18:30:00Z");
}

#[test]
fn keys_are_listed_newest_first_and_page_by_page() {
    let server = TestServer::start();
    let made: Vec<Value> = (0..5)
        .map(|number| {
            server.pass(1);
            server.key(json!({"name": format!("key {number}")})).1
        })
        .collect();
    let all = list(&server, "");
    assert_eq!(names(&all), ["key 4", "key 3", "key 2", "key 1", "key 0", "default"]);
    assert_eq!((&all["object"], &all["has_more"]), (&json!("list"), &json!(false)));
    assert_eq!(all["first_id"], made[4]["id"]);
    assert_eq!(all["last_id"], all["data"][5]["id"]);
    assert!(!all.to_string().contains(&made[0]["key"].as_str().unwrap()[7..]));

    let mut seen = Vec::new();
    let mut query = "limit=2".to_owned();
    for more in [true, true, false] {
        let page = list(&server, &query);
        seen.extend(names(&page).into_iter().map(ToOwned::to_owned));
        assert_eq!(page["has_more"], more);
        assert_eq!(page["data"].as_array().unwrap().len(), 2);
        query = format!("limit=2&after={}", page["last_id"].as_str().unwrap());
    }
    assert_eq!(seen, names(&all));
    let beyond = list(&server, &query);
    let empty = json!({"object": "list", "data": [], "has_more": false, "first_id": null, "last_id": null});
    assert_eq!(beyond, empty);
}

#[test]
fn keys_are_found_by_status_and_by_text() {
    let server = TestServer::start();
    server.key(json!({"name": "Active", "metadata": {"team": "Blue", "note": "50%_off"}}));
    let (_, disabled) = server.key(json!({"name": "off"}));
    patch(&server, &disabled, &json!({"enabled": false})).expect(200);
    server.key(json!({"name": "old", "expires_in": "1h", "metadata": {"team": "red"}}));
    let (_, revoked) = server.key(json!({"name": "gone", "expires_in": "1h"}));
    revoke(&server, &revoked).expect(200);
    server.pass(HOUR);
    let hint = revoked["hint"].as_str().unwrap();
    let escaped = escape(hint);
    let cases: [(&str, &[&str]); 19] = [
        ("status=active", &["Active", "default"]),
        ("status=disabled", &["off"]),
        ("status=expired", &["old"]),
        ("status=revoked", &["gone"]),
        ("search=active", &["Active"]),
        ("search=ACT", &["Active"]),
        ("search=blue", &["Active"]),
        ("search=team", &["Active", "old"]),
        ("search=nothing", &[]),
        ("search=", &["Active", "default", "gone", "off", "old"]),
        ("search=%25_", &["Active"]),
        ("search=_", &["Active", "default", "gone", "off", "old"]),
        ("search=%25", &["Active"]),
        (&format!("search={escaped}"), &["gone"]),
        (&format!("search={}", &hint[7..11]), &["gone"]),
        (&format!("search={}", id(&revoked)), &["gone"]),
        ("status=active&search=team", &["Active"]),
        ("status=revoked&search=team", &[]),
        ("status=active&search=a&limit=9", &["Active", "default"]),
    ];
    for (query, expected) in cases {
        let found = list(&server, query);
        let mut found = names(&found);
        found.sort_unstable();
        assert_eq!(found, expected, "{query}");
    }
}

#[test]
fn a_list_refuses_what_it_does_not_know() {
    let server = TestServer::start();
    for (query, part) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", ""),
        ("limit=x", ""),
        ("limit=1&limit=2", "limit"),
        ("after=x", "after"),
        ("status=dead", "active, disabled, expired, revoked"),
        ("order=up", "desc, asc"),
        ("sort=age", "created, name, last_used, expires"),
        ("orderby=asc", "orderby"),
    ] {
        let answer = server.admin(Request::get(&format!("{KEYS}?{query}")));
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        assert!(message(&answer).contains(part), "{query}: {}", message(&answer));
    }
}

#[test]
fn a_key_that_does_not_exist_is_not_found() {
    let server = TestServer::start();
    let unknown = "key_000000000000000000000000";
    for id in [unknown, "key_1", "x", "default", "%2e%2e", "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg38"] {
        let path = format!("{KEYS}/{id}");
        for request in [
            Request::get(&path),
            Request::new("PATCH", &path).json(&json!({"name": "x"})),
            Request::new("DELETE", &path),
            Request::new("POST", &format!("{path}/revoke")),
            Request::new("POST", &format!("{path}/rotate")),
        ] {
            let answer = server.admin(request).expect_error(404, "not_found");
            assert!(!answer.text().contains("ABCDEFGHIJ"), "{}", answer.text());
        }
    }
}

#[test]
fn each_setting_of_a_key_can_be_changed() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({"requests_per_minute": 7, "expires_in": "1h"}));
    let plan_limit = json!(100_000);
    let cases = [
        (json!({"name": " new "}), json!({"name": "new"})),
        (json!({"scopes": ["files:read"]}), json!({"scopes": ["files:read"]})),
        (json!({"requests_per_minute": 9}), json!({"requests_per_minute": 9})),
        (json!({"plan": "enterprise"}), json!({"plan": "enterprise", "requests_per_minute": 9})),
        (
            json!({"plan": "free", "requests_per_minute": null}),
            json!({"plan": "free", "requests_per_minute": 10}),
        ),
        (json!({"plan": "standard"}), json!({"plan": "standard", "requests_per_minute": plan_limit})),
        (json!({"max_concurrent": 2}), json!({"max_concurrent": 2})),
        (json!({"max_concurrent": null}), json!({"max_concurrent": null})),
        (json!({"expires_at": null}), json!({"expires_at": null})),
        (json!({"expires_in": "2h"}), json!({"expires_at": after(&server, 2 * HOUR)})),
        (json!({"expires_at": "2099-01-01T00:00:00Z"}), json!({"expires_at": "2099-01-01T00:00:00Z"})),
        (json!({"allowed_ips": ["10.0.0.0/8"]}), json!({"allowed_ips": ["10.0.0.0/8"]})),
        (json!({"allowed_ips": []}), json!({"allowed_ips": []})),
        (json!({"allowed_models": ["m*"]}), json!({"allowed_models": ["m*"]})),
        (json!({"allowed_models": null}), json!({"allowed_models": []})),
        (json!({"metadata": {"a": "1"}}), json!({"metadata": {"a": "1"}})),
        // Metadata is replaced whole.
        (json!({"metadata": {"b": "2"}}), json!({"metadata": {"b": "2"}})),
        (json!({"metadata": null}), json!({"metadata": {}})),
        (json!({"require_signature": true}), json!({"require_signature": true})),
        (
            json!({"report_only": ["scopes", "allowed_ips"]}),
            json!({"report_only": ["allowed_ips", "scopes"]}),
        ),
        (json!({"report_only": ["scopes"]}), json!({"report_only": ["scopes"]})),
        (json!({"report_only": null}), json!({"report_only": []})),
        (json!({"enabled": false}), json!({"status": "disabled"})),
        (json!({"enabled": true}), json!({"status": "active"})),
        (json!({}), json!({})),
    ];
    let mut expected = read(&server, &made);
    for (change, differs) in cases {
        expected.as_object_mut().unwrap().extend(differs.as_object().unwrap().clone());
        let answer = patch(&server, &made, &change);
        assert_eq!(answer.status, 200, "{change}: {}", answer.text());
        assert_eq!(answer.json(), expected, "{change}");
    }
    assert_eq!(read(&server, &made), expected);
    let server = server.restart();
    assert_eq!(read(&server, &made), expected);
}

#[test]
fn a_key_on_enterprise_keeps_a_limit_of_its_own() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({"plan": "enterprise", "requests_per_minute": 5}));
    let answer = patch(&server, &made, &json!({"requests_per_minute": null}));
    assert!(message(&answer.expect_error(422, "invalid_request")).contains("requests_per_minute"));
    assert_eq!(read(&server, &made)["requests_per_minute"], 5);
}

#[test]
fn a_changed_limit_is_in_force_at_once_and_keeps_what_was_used() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({"requests_per_minute": 3}));
    let remaining = || {
        let answer = server.call(&key, Request::get("/v1/nothing")).expect(404);
        answer.header("x-ratelimit-remaining").unwrap().parse::<u32>().unwrap()
    };
    assert_eq!([status(&server, &key), status(&server, &key)], [200, 200]);
    for (limit, left) in [(3, 1), (2, 0), (1, 0), (10, 8), (3, 1)] {
        patch(&server, &made, &json!({"requests_per_minute": limit})).expect(200);
        assert_eq!(remaining(), left, "{limit}");
    }
    assert_eq!([status(&server, &key), status(&server, &key)], [200, 429]);
}

#[test]
fn an_expired_key_is_shown_as_such_and_may_be_given_more_time() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({"expires_in": "1h"}));
    server.pass(HOUR);
    assert_eq!((read(&server, &made)["status"].as_str(), status(&server, &key)), (Some("expired"), 401));
    patch(&server, &made, &json!({"name": "still expired"})).expect(200);
    assert_eq!(status(&server, &key), 401);
    patch(&server, &made, &json!({"expires_in": "1h"})).expect(200);
    assert_eq!((read(&server, &made)["status"].as_str(), status(&server, &key)), (Some("active"), 200));
}

#[test]
fn the_worst_of_several_states_is_told() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({"expires_in": "1h"}));
    let told = || read(&server, &made)["status"].as_str().unwrap().to_owned();
    assert_eq!(told(), "active");
    server.pass(HOUR);
    assert_eq!(told(), "expired");
    patch(&server, &made, &json!({"enabled": false})).expect(200);
    assert_eq!(told(), "disabled");
    revoke(&server, &made).expect(200);
    assert_eq!(told(), "revoked");
}

#[test]
fn a_deleted_key_is_gone_and_what_it_used_stays() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({}));
    server.call(&key, Request::chat("Hello")).expect(200);
    let answer = server.admin(Request::new("DELETE", &path(&made))).expect(200).json();
    assert_eq!(answer, json!({"id": id(&made), "object": "key", "deleted": true}));
    server.call(&key, Request::get("/v1/key")).expect_error(401, "invalid_api_key");
    for method in ["GET", "DELETE"] {
        server.admin(Request::new(method, &path(&made))).expect_error(404, "not_found");
    }
    assert_eq!(names(&list(&server, "")), ["default"]);
    let server = server.restart();
    server.call(&key, Request::get("/v1/key")).expect_error(401, "invalid_api_key");
    let usage = server.admin(Request::get(&format!("/admin/v1/usage?key={}&step=day", id(&made)))).json();
    assert_eq!(usage["totals"]["requests"], 1, "{usage}");
    assert!(usage["totals"]["prompt_tokens"].as_u64().unwrap() > 0);
}

#[test]
fn a_revoked_key_is_refused_at_once_and_for_good() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({"name": "leaked"}));
    assert_eq!(status(&server, &key), 200);
    let revoked = revoke(&server, &made).expect(200).json();
    assert_eq!(status(&server, &key), 401);
    assert_eq!((&revoked["status"], &revoked["revoked_at"]), (&json!("revoked"), &json!(after(&server, 0))));
    server.pass(60);
    assert_eq!(revoke(&server, &made).expect(200).json(), revoked);
    for change in [json!({"enabled": true}), json!({"name": "x"}), json!({"expires_in": "1d"}), json!({})] {
        patch(&server, &made, &change).expect_error(409, "key_revoked");
    }
    rotate(&server, &made, &json!({})).expect_error(409, "key_revoked");
    let server = server.restart();
    server.call(&key, Request::get("/v1/key")).expect_error(401, "invalid_api_key");
    assert_eq!(read(&server, &made), revoked);
    patch(&server, &made, &json!({"enabled": true})).expect_error(409, "key_revoked");
    rotate(&server, &made, &json!({})).expect_error(409, "key_revoked");
    revoke(&server, &made).expect(200);
    server.admin(Request::new("DELETE", &path(&made))).expect(200);
}

#[test]
fn revoking_takes_no_settings() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({}));
    let request = Request::post(&format!("{}/revoke", path(&made)), &json!({"in": "1h"}));
    let answer = server.admin(request).expect_error(422, "invalid_request");
    assert!(message(&answer).contains("`in`"), "{}", message(&answer));
    assert_eq!(status(&server, &key), 200);
}

#[test]
fn a_restart_gives_nobody_a_fresh_allowance() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({"requests_per_minute": 3}));
    assert_eq!([status(&server, &key), status(&server, &key)], [200, 200]);
    let server = server.restart();
    assert_eq!([status(&server, &key), status(&server, &key)], [200, 429]);
    patch(&server, &made, &json!({"name": "changed"})).expect(200);
    assert_eq!(status(&server, &key), 429);
    server.pass(60);
    assert_eq!(status(&server, &key), 200);
}

#[test]
fn a_key_on_a_plan_that_is_gone_can_still_be_disabled() {
    let server = TestServer::setup().toml("plans.gold.requests_per_minute = 500").start();
    let (key, made) = server.key(json!({"plan": "gold"}));
    let server = server.restart_with("");
    server.call(&key, Request::get("/v1/key")).expect(200);
    let id = made["id"].as_str().unwrap();
    let change =
        |body: Value| server.admin(Request::new("PATCH", &format!("/admin/v1/keys/{id}")).json(&body));
    change(json!({"plan": "gold"})).expect_error(422, "invalid_request");
    assert_eq!(change(json!({"enabled": false})).expect(200).json()["status"], "disabled");
    server.call(&key, Request::get("/v1/key")).expect_error(401, "invalid_api_key");
}

#[test]
fn a_key_that_was_let_in_by_an_older_mcpd_is_blanked_out_and_keeps_nothing_from_starting() {
    let mut server = TestServer::start();
    let (key, made) = server.key(json!({}));
    server.stop();
    let cut = "mcp_sk_ABCDEFGHIJKLMNOPQRSTUVWXYZ39Fg3";
    let database = Connection::open(server.path("mcpd.db")).unwrap();
    database
        .execute(
            "UPDATE keys SET name = ?2, metadata = json_object(?2, ?2), allowed_models = json_array('m', ?2)
             WHERE id = ?1",
            [made["id"].as_str().unwrap(), cut],
        )
        .unwrap();
    drop(database);
    let server = server.restart();
    let shown = read(&server, &made);
    assert_eq!(shown["name"], "mcp_sk_…");
    assert_eq!(shown["metadata"], json!({"mcp_sk_…": "mcp_sk_…"}));
    assert_eq!(shown["allowed_models"], json!(["m", "mcp_sk_…"]));
    server.call(&key, Request::chat("Hello")).expect(200);
}

#[test]
fn a_change_that_was_made_is_answered_with_it_whatever_comes_after() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    let database = Connection::open(server.path("mcpd.db")).unwrap();
    // What was noted of its last use cannot be read.
    database.execute("UPDATE keys SET last_used_at = 1, last_used_ip = 'nowhere'", []).unwrap();
    let changed = server.admin(Request::new("PATCH", &path(&made)).json(&json!({"name": "other"})));
    let changed = changed.expect(200).json();
    assert_eq!((&changed["name"], &changed["last_used_at"]), (&json!("other"), &Value::Null));
    let revoked = revoke(&server, &made).expect(200).json();
    assert_eq!((&revoked["name"], &revoked["status"]), (&json!("other"), &json!("revoked")));

    // The row may be gone before it could be read again.
    for _ in 0..20 {
        let (_, made) = server.key(json!({}));
        let change = Request::new("PATCH", &path(&made)).json(&json!({"name": "other"}));
        let answer = std::thread::scope(|scope| {
            let answer = scope.spawn(|| server.admin(change));
            server.admin(Request::new("DELETE", &path(&made))).expect(200);
            answer.join().unwrap()
        });
        let id = made["id"].as_str().unwrap();
        let noted = Request::get(&format!("/admin/v1/audit?action=key.update&target={id}"));
        let noted = server.admin(noted).expect(200).json()["data"].as_array().unwrap().len();
        assert_eq!(answer.status, if noted == 1 { 200 } else { 404 }, "{noted}");
    }
}
