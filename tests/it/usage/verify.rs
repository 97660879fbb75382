//! Whether usage adds up can be asked, and is told.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{Binary, Request, TestServer};

const VERIFY: &str = "/admin/v1/usage/verify";

fn verify(server: &TestServer) -> Value {
    server.admin(Request::get(VERIFY)).expect(200).json()
}

#[test]
fn usage_is_proved_to_add_up_and_a_row_that_was_tampered_with_is_named() {
    let server = TestServer::start();
    // All of it on one day, whatever the time is.
    server.pass(86_400 - server.unix_time().rem_euclid(86_400).unsigned_abs());
    let (key, made) = server.key(json!({}));
    for _ in 0..3 {
        server.call(&key, Request::get("/v1/key")).expect(200);
        server.call("nonsense", Request::get("/v1/key")).expect(401);
        server.pass(1_200);
    }
    assert_eq!(server.usage("").len(), 1);
    let good = verify(&server);
    assert_eq!((&good["object"], &good["ok"]), (&json!("usage_verification"), &json!(true)));
    assert_eq!(good["first_difference"], Value::Null);
    let checks = good["checked"].as_array().unwrap();
    assert_eq!(checks.len(), 6);
    // Two series of one owner each, and of everybody: in three minutes, three quarters and one day.
    let rows: Vec<_> = checks.iter().map(|check| check["rows"].as_u64().unwrap()).collect();
    assert!(rows[..2] == [12, 12] && rows[3..5] == [12, 12], "{good}");

    let other_program = Connection::open(server.path("mcpd.db")).unwrap();
    let changed = other_program.execute(
        "UPDATE usage SET prompt_tokens = 99
         WHERE step = 900 AND owner = (SELECT number FROM usage_owners WHERE key_id = ?1)",
        [made["id"].as_str().unwrap()],
    );
    assert_eq!(changed, Ok(3));
    let bad = verify(&server);
    assert_eq!(bad["ok"], false);
    let not_ok: Vec<_> =
        bad["checked"].as_array().unwrap().iter().filter(|check| check["ok"] == false).collect();
    assert_eq!(not_ok.len(), 3, "{bad}");
    let difference = &bad["first_difference"];
    assert_eq!((&difference["key"], &difference["figure"]), (&made["id"], &json!("prompt_tokens")));
    assert_eq!((&difference["expected"], &difference["found"]), (&json!(0), &json!(99)));
    assert_eq!((&difference["endpoint"], &difference["status"]), (&json!("/v1/key"), &json!(200)));
}

#[test]
fn proving_usage_takes_no_parameters_and_needs_the_token() {
    let server = TestServer::start();
    server.admin(Request::get(&format!("{VERIFY}?step=day"))).expect_error(400, "invalid_request");
    server.admin(Request::new("POST", VERIFY)).expect_error(405, "method_not_allowed");
    Request::get(VERIFY).send(server.admin).expect_error(401, "missing_admin_token");
}

#[test]
fn latencies_of_several_keys_add_up_to_the_microsecond() {
    let binary = Binary::start("plans.standard.requests_per_minute = 10000\n");
    let mut keys = vec![binary.default_key()];
    for name in ["a", "b", "c"] {
        let body = json!({"name": name, "scopes": ["*"]});
        let made = binary.admin(Request::post("/admin/v1/keys", &body)).expect(201).json();
        keys.push(made["key"].as_str().unwrap().to_owned());
    }
    for _ in 0..25 {
        for key in &keys {
            binary.call(key, Request::get("/v1/key")).expect(200);
        }
    }
    let told = binary.admin(Request::get(VERIFY)).expect(200).json();
    assert_eq!(told["ok"], true, "{told}");
    // Of each key and of all of them, or there was nothing to add up.
    let minutes = told["checked"][0]["rows"].as_u64().unwrap();
    assert!(minutes >= 5, "{told}");
}
