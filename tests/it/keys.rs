//! The admin API for keys: make, list, read, change, delete, revoke, rotate, and the log of it all.

use mcpd::domain::audit::Row;
use mcpd::domain::time::Timestamp;
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
        "require_signature": true
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
        "metadata": {"note": "ü \"x\"", "team": "a"}, "require_signature": true,
        "created_at": after(&server, 0), "expires_at": end, "revoked_at": null, "last_used_at": null,
        "last_used_ip": null, "rotated_from": null, "rotated_to": null
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
        "expires_at": null
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
        ("order=asc", "order"),
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
fn a_rotated_key_goes_on_for_as_long_as_was_said() {
    for restarts in [false, true] {
        let server = TestServer::start();
        let (old, made) = server.key(json!({}));
        let (new, record) = rotated(&server, &made, &json!({"expire_old_in": "2s"}));
        assert_ne!(old, new);
        let server = if restarts { server.restart() } else { server };
        server.pass(1);
        assert_eq!((status(&server, &old), status(&server, &new)), (200, 200));
        server.pass(1);
        server.call(&old, Request::get("/v1/key")).expect_error(401, "expired_api_key");
        assert_eq!(status(&server, &new), 200);
        let server = if restarts { server.restart() } else { server };
        assert_eq!((status(&server, &old), status(&server, &new)), (401, 200));
        assert_eq!(read(&server, &record)["status"], "active");
    }
}

#[test]
fn a_rotation_links_both_keys_and_keeps_the_settings() {
    let server = TestServer::start();
    let settings = json!({
        "name": "app", "scopes": ["chats:create"], "plan": "free", "requests_per_minute": 5,
        "max_concurrent": 2, "allowed_ips": ["127.0.0.1"], "allowed_models": ["m"],
        "metadata": {"a": "1"}, "require_signature": false
    });
    let (_, made) = server.key(settings);
    server.pass(60);
    let (_, new) = rotated(&server, &made, &json!({}));
    let old = read(&server, &made);
    assert_eq!((&new["rotated_from"], &new["rotated_to"]), (&made["id"], &json!(null)));
    assert_eq!((&old["rotated_from"], &old["rotated_to"]), (&json!(null), &new["id"]));
    assert_eq!(old["expires_at"], after(&server, DAY));
    let own = ["id", "hint", "key", "created_at", "rotated_from", "rotated_to"];
    for (field, value) in new.as_object().unwrap().iter().filter(|(field, _)| !own.contains(&field.as_str()))
    {
        assert_eq!(made[field], *value, "{field}");
    }
    assert_eq!(new["created_at"], after(&server, 0));
    assert_eq!(read(&server, &new), without_secret(&new));
}

#[test]
fn a_rotation_at_once_ends_the_old_key_at_once() {
    let server = TestServer::start();
    let (old, made) = server.key(json!({}));
    let (new, _) = rotated(&server, &made, &json!({"expire_old_in": "0s"}));
    assert_eq!((status(&server, &old), status(&server, &new)), (401, 200));
}

#[test]
fn a_new_key_has_the_old_one_s_lifetime_unless_said_otherwise() {
    let server = TestServer::start();
    let cases = [
        (json!({}), Some(30 * DAY)),
        (json!({"expires_in": "7d"}), Some(7 * DAY)),
        (json!({"expires_at": "2099-01-01T00:00:00Z"}), None),
    ];
    for (body, lifetime) in cases {
        let (_, made) = server.key(json!({"expires_in": "30d"}));
        server.pass(10 * DAY);
        let (_, new) = rotated(&server, &made, &body);
        let end = lifetime.map_or("2099-01-01T00:00:00Z".to_owned(), |lifetime| after(&server, lifetime));
        assert_eq!(new["expires_at"], end, "{body}");
        assert_eq!(read(&server, &made)["expires_at"], after(&server, DAY), "{body}");
    }
}

#[test]
fn a_rotated_key_never_outlives_its_own_end() {
    let server = TestServer::start();
    let (old, made) = server.key(json!({"expires_in": "1h"}));
    let (_, new) = rotated(&server, &made, &json!({"expire_old_in": "24h"}));
    assert_eq!(read(&server, &made)["expires_at"], made["expires_at"]);
    assert_eq!(new["expires_at"], made["expires_at"]);
    server.pass(HOUR);
    assert_eq!(status(&server, &old), 401);
    rotate(&server, &new, &json!({})).expect_error(409, "key_expired");
}

#[test]
fn rotations_make_a_chain() {
    let server = TestServer::start();
    let (a, first) = server.key(json!({}));
    let (b, second) = rotated(&server, &first, &json!({"expire_old_in": "1h"}));
    rotate(&server, &first, &json!({})).expect_error(409, "key_already_rotated");
    let (c, third) = rotated(&server, &second, &json!({"expire_old_in": "2h"}));
    let statuses = |server: &TestServer| [&a, &b, &c].map(|key| status(server, key));
    assert_eq!(statuses(&server), [200, 200, 200]);
    server.pass(HOUR);
    assert_eq!(statuses(&server), [401, 200, 200]);
    let server = server.restart();
    server.pass(HOUR);
    assert_eq!(statuses(&server), [401, 401, 200]);
    let middle = read(&server, &second);
    assert_eq!((&middle["rotated_from"], &middle["rotated_to"]), (&first["id"], &third["id"]));
    server.admin(Request::new("DELETE", &path(&second))).expect(200);
    assert_eq!(statuses(&server), [401, 401, 200]);
    let server = server.restart();
    assert_eq!(statuses(&server), [401, 401, 200]);
}

#[test]
fn what_does_not_work_cannot_be_rotated() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    patch(&server, &made, &json!({"enabled": false})).expect(200);
    rotate(&server, &made, &json!({})).expect_error(409, "key_disabled");
    patch(&server, &made, &json!({"enabled": true})).expect(200);
    for (part, body) in [
        ("expire_old_in", json!({"expire_old_in": "-1h"})),
        ("expire_old_in", json!({"expire_old_in": "soon"})),
        ("expire_old_in", json!({"expire_old_in": 24})),
        ("expires_in", json!({"expires_in": "0s"})),
        ("expires_at", json!({"expires_at": "2020-01-01T00:00:00Z"})),
        ("expires_in", json!({"expires_at": "2099-01-01T00:00:00Z", "expires_in": "1d"})),
        ("name", json!({"name": "x"})),
    ] {
        let answer = rotate(&server, &made, &body).expect_error(422, "invalid_request");
        assert!(message(&answer).contains(part), "{body}: {}", message(&answer));
    }
    assert_eq!(read(&server, &made)["rotated_to"], json!(null));
    rotate(&server, &made, &json!({})).expect(201);
}

#[test]
fn old_and_new_key_share_one_limit() {
    let server = TestServer::start();
    let (old, made) = server.key(json!({"requests_per_minute": 10}));
    for _ in 0..4 {
        assert_eq!(status(&server, &old), 200);
    }
    let (new, record) = rotated(&server, &made, &json!({}));
    for _ in 0..3 {
        assert_eq!((status(&server, &old), status(&server, &new)), (200, 200));
    }
    let server = server.restart();
    assert_eq!((status(&server, &old), status(&server, &new)), (429, 429));
    let (newest, _) = rotated(&server, &record, &json!({}));
    assert_eq!(status(&server, &newest), 429);
    server.admin(Request::new("DELETE", &path(&made))).expect(200);
    assert_eq!((status(&server, &old), status(&server, &new), status(&server, &newest)), (401, 429, 429));
    server.pass(60);
    assert_eq!((status(&server, &new), status(&server, &newest)), (200, 200));
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

/// A `POST` with an `Idempotency-Key`.
fn keyed(path: &str, idempotency: &str, body: &Value) -> Request {
    Request::post(path, body).header("Idempotency-Key", idempotency)
}

#[test]
fn the_same_creation_sent_twice_makes_one_key() {
    let server = TestServer::start();
    let body = json!({"name": "once", "scopes": ["*"], "expires_in": "30d"});
    let first = server.admin(keyed(KEYS, "a-1", &body)).expect(201).json();
    server.pass(599);
    assert_eq!(server.admin(keyed(KEYS, "a-1", &body)).expect(201).json(), first);
    assert_eq!(audit(&server, &format!("target={}", id(&first))).len(), 1);
    assert_eq!(names(&list(&server, "search=once")).len(), 1);
    // Ten minutes on the secret is gone; the key is the same.
    server.pass(1);
    assert_eq!(server.admin(keyed(KEYS, "a-1", &body)).expect(201).json(), without_secret(&first));
    server.pass(DAY - 601);
    assert_eq!(server.admin(keyed(KEYS, "a-1", &body)).expect(201).json()["id"], first["id"]);
    // A day on it is a new wish.
    server.pass(2);
    let second = server.admin(keyed(KEYS, "a-1", &body)).expect(201).json();
    assert_ne!(second["id"], first["id"]);
    assert!(second["key"].is_string());
    assert_eq!(server.admin(keyed(KEYS, "a-1", &body)).expect(201).json(), second);
}

#[test]
fn no_secret_outlives_a_restart() {
    let server = TestServer::start();
    let body = json!({"name": "once", "scopes": ["*"]});
    let first = server.admin(keyed(KEYS, "a-1", &body)).expect(201).json();
    let server = server.restart();
    assert_eq!(server.admin(keyed(KEYS, "a-1", &body)).expect(201).json(), without_secret(&first));
    assert_eq!(status(&server, first["key"].as_str().unwrap()), 200);
    server.admin(keyed(KEYS, "a-1", &json!({"name": "else", "scopes": ["*"]}))).expect(422);
}

#[test]
fn the_same_rotation_sent_twice_makes_one_key() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    let rotate_path = format!("{}/rotate", path(&made));
    let body = json!({"expire_old_in": "1h"});
    let first = server.admin(keyed(&rotate_path, "r", &body)).expect(201).json();
    server.pass(60);
    assert_eq!(server.admin(keyed(&rotate_path, "r", &body)).expect(201).json(), first);
    assert_eq!(audit(&server, "action=key.rotate").len(), 1);
    assert_eq!(audit(&server, &format!("target={}", id(&first))).len(), 1);
    let server = server.restart();
    assert_eq!(server.admin(keyed(&rotate_path, "r", &body)).expect(201).json(), without_secret(&first));
    server.admin(keyed(&rotate_path, "s", &body)).expect_error(409, "key_already_rotated");
    assert_eq!(names(&list(&server, "search=test")).len(), 2);
}

#[test]
fn an_idempotency_key_belongs_to_one_request() {
    let server = TestServer::start();
    let body = json!({"name": "once", "scopes": ["*"]});
    let first = server.admin(keyed(KEYS, "a", &body)).expect(201).json();
    let (_, other) = server.key(json!({}));
    for request in [
        keyed(KEYS, "a", &json!({"name": "twice", "scopes": ["*"]})),
        keyed(KEYS, "a", &json!({"scopes": ["*"], "name": "once"})),
        keyed(&format!("{}/rotate", path(&first)), "a", &body_of_rotation()),
        keyed(&format!("{}/revoke", path(&other)), "a", &json!({})),
    ] {
        let answer = server.admin(request).expect_error(422, "invalid_request");
        assert!(message(&answer).contains("Idempotency-Key"), "{}", message(&answer));
    }
    assert_eq!(read(&server, &other)["status"], "active");
    assert_eq!(read(&server, &first)["rotated_to"], json!(null));
    for bad in [String::new(), "x".repeat(256)] {
        server.admin(keyed(KEYS, &bad, &body)).expect_error(400, "invalid_request");
    }
    // A request that failed has used nothing up.
    server.admin(keyed(KEYS, "b", &json!({"name": "", "scopes": ["*"]}))).expect(422);
    server.admin(keyed(KEYS, "b", &body)).expect(201);
}

fn body_of_rotation() -> Value {
    json!({"expire_old_in": "1h"})
}

#[test]
fn the_same_revocation_sent_twice_is_noted_once() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    let revoke_path = format!("{}/revoke", path(&made));
    let first = server.admin(keyed(&revoke_path, "v", &json!({}))).expect(200).json();
    server.pass(60);
    assert_eq!(server.admin(keyed(&revoke_path, "v", &json!({}))).expect(200).json(), first);
    assert_eq!(audit(&server, "action=key.revoke").len(), 1);
}

#[test]
fn parallel_copies_of_one_creation_make_one_key() {
    let server = TestServer::start();
    let request = keyed(KEYS, "p", &json!({"name": "once", "scopes": ["*"]})).bearer(&server.token);
    let made: std::collections::BTreeSet<String> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| request.send(server.admin).expect(201).json())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()["key"].to_string()).collect()
    });
    assert_eq!(made.len(), 1);
    assert_eq!(names(&list(&server, "search=once")).len(), 1);
}

/// Tells whether a shown row has the digest that it must have.
fn digest_holds(row: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let json = |value: &Value| (!value.is_null()).then(|| value.to_string());
    let digest = |name: &str| -> [u8; 32] {
        std::array::from_fn(|at| u8::from_str_radix(&text(&row[name])[2 * at..2 * at + 2], 16).unwrap())
    };
    let kept = Row {
        id: text(&row["id"]),
        at: Timestamp::parse(&text(&row["at"])).unwrap(),
        via: text(&row["actor"]["via"]),
        uid: row["actor"]["uid"].as_u64().map(|uid| uid.try_into().unwrap()),
        pid: row["actor"]["pid"].as_i64().map(|pid| pid.try_into().unwrap()),
        action: text(&row["action"]),
        target: text(&row["target"]),
        before: json(&row["before"]),
        after: json(&row["after"]),
        previous_digest: digest("previous_digest"),
    };
    kept.digest() == digest("digest")
}

#[test]
fn every_change_is_noted_in_a_chain_that_holds() {
    let server = TestServer::start();
    let (key, made) = server.key(json!({"name": "ü \"quoted\" \\ 💻", "metadata": {"b": "\u{1}", "a": "/"}}));
    patch(&server, &made, &json!({"name": "new", "requests_per_minute": 5})).expect(200);
    let (new_key, new) = rotated(&server, &made, &json!({}));
    let socket = server.path("admin.sock");
    Request::new("POST", &format!("{}/revoke", path(&made))).send_unix(&socket).expect(200);
    Request::new("DELETE", &path(&made)).send_unix(&socket).expect(200);
    server.call(&key, Request::get("/v1/key")).expect(401);
    patch(&server, &new, &json!({"name": ""})).expect(422);
    let server = server.restart();
    server.admin(Request::new("DELETE", &path(&new))).expect(200);

    let rows = audit(&server, "");
    let (old_id, new_id) = (id(&made), id(&new));
    let told: Vec<_> = rows
        .iter()
        .rev()
        .skip(1)
        .map(|row| {
            (
                row["action"].as_str().unwrap(),
                row["target"].as_str().unwrap(),
                row["actor"]["via"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("key.create", old_id, "token"),
        ("key.update", old_id, "token"),
        ("key.rotate", old_id, "token"),
        ("key.create", new_id, "token"),
        ("key.revoke", old_id, "socket"),
        ("key.delete", old_id, "socket"),
        ("key.delete", new_id, "token"),
    ];
    assert_eq!(told, expected);
    let mut previous = "0".repeat(64);
    for row in rows.iter().rev() {
        assert_eq!(row["previous_digest"], previous, "{row}");
        assert!(digest_holds(row), "{row}");
        previous = row["digest"].as_str().unwrap().to_owned();
    }
    let text = json!(rows).to_string();
    for secret in [key, new_key, server.token.clone(), server.default_key()] {
        assert!(!text.contains(secret.trim_start_matches("mcp_sk_")));
    }
}

#[test]
fn an_audit_row_tells_who_when_and_what() {
    let server = TestServer::start();
    let first = &audit(&server, "")[0];
    assert_eq!(first["actor"], json!({"via": "system"}));
    assert_eq!((&first["action"], &first["after"]["name"]), (&json!("key.create"), &json!("default")));

    let (_, made) = server.key(json!({"name": "one"}));
    let row = &audit(&server, "limit=1")[0];
    assert_eq!(row["actor"], json!({"via": "token"}));
    assert_eq!((&row["before"], &row["after"]["name"]), (&json!(null), &json!("one")));
    assert_eq!(row["at"], after(&server, 0));

    server.pass(5);
    let change = Request::new("PATCH", &path(&made)).json(&json!({"name": "two", "allowed_ips": ["::1"]}));
    change.send_unix(&server.path("admin.sock")).expect(200);
    let row = &audit(&server, "limit=1")[0];
    let uid = rustix::process::getuid().as_raw();
    assert_eq!(row["actor"], json!({"via": "socket", "uid": uid, "pid": std::process::id()}));
    assert_eq!((&row["before"]["name"], &row["after"]["name"]), (&json!("one"), &json!("two")));
    assert_eq!(
        (&row["before"]["allowed_ips"], &row["after"]["allowed_ips"]),
        (&json!([]), &json!(["::1/128"]))
    );
    assert_eq!(row["at"], after(&server, 0));
    assert!(row["id"].as_str().unwrap().starts_with("audit_"));

    server.admin(Request::new("DELETE", &path(&made))).expect(200);
    let row = &audit(&server, "limit=1")[0];
    assert_eq!((&row["before"]["name"], &row["after"]), (&json!("two"), &json!(null)));
}

#[test]
fn the_audit_log_is_listed_page_by_page_and_by_what_was_done() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    for name in ["a", "b", "c"] {
        patch(&server, &made, &json!({"name": name})).expect(200);
    }
    let page = server.admin(Request::get("/admin/v1/audit?limit=2")).expect(200).json();
    assert_eq!((&page["object"], &page["has_more"]), (&json!("list"), &json!(true)));
    assert_eq!(page["last_id"], page["data"][1]["id"]);
    let rest = audit(&server, &format!("after={}", page["last_id"].as_str().unwrap()));
    assert_eq!(rest.len(), 3);
    assert_eq!(rest[0]["after"]["name"], "a");
    assert_eq!(audit(&server, "action=key.update").len(), 3);
    assert_eq!(audit(&server, &format!("target={}&action=key.create", id(&made))).len(), 1);
    assert_eq!(audit(&server, "target=key_000000000000000000000000").len(), 0);
    for query in ["limit=0", "page=2", "actor=token"] {
        server.admin(Request::get(&format!("/admin/v1/audit?{query}"))).expect_error(400, "invalid_request");
    }
    // A page after nothing would look like the end of the list, or like its beginning.
    let row = page["last_id"].as_str().unwrap();
    for after in ["", "nothing", id(&made), &row[..row.len() - 1], &format!("{row}0")] {
        let answer = server.admin(Request::get(&format!("/admin/v1/audit?after={after}")));
        let answer = answer.expect_error(400, "invalid_request");
        assert!(message(&answer).contains("`after` names no row"), "{after}: {}", message(&answer));
    }
    for method in ["POST", "PATCH", "DELETE"] {
        server.admin(Request::new(method, "/admin/v1/audit")).expect_error(405, "method_not_allowed");
    }
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
