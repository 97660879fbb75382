//! Rotated keys that are revoked once nobody uses them any more.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use mcpd::clock::Clock;
use mcpd::domain::audit::Actor;
use mcpd::domain::key::{Name, Settings};
use mcpd::domain::plan::Plans;
use mcpd::domain::scope::Scopes;
use mcpd::gate::{self, Demand, Gate};
use mcpd::keys::{Keys, KeysError, Order, Rotation};
use mcpd::store::Store;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{DAY, HOUR, after, audit, message, patch, path, read, rotate, rotated, status};
use crate::harness::upstream::{begin_stream, send_event, wait_for_close};
use crate::harness::{FakeUpstream, Folder, Request, TestServer, eventually};

/// The key's status once it was looked for keys that are quiet.
fn looked_at(server: &TestServer, made: &Value) -> Value {
    server.pass(5);
    // The look comes after the first of these, and before the second.
    read(server, made);
    read(server, made)["status"].clone()
}

fn is_revoked(server: &TestServer, made: &Value) -> bool {
    looked_at(server, made) == "revoked"
}

#[test]
fn a_rotated_key_is_revoked_once_it_was_quiet_for_long_enough() {
    let server = TestServer::start();
    let (old, made) = server.key(json!({"name": "laptop"}));
    let body = json!({"expire_old_in": "30d", "revoke_when_quiet": "24h"});
    let (new, record) = rotated(&server, &made, &body);
    let shown = read(&server, &made);
    assert_eq!(
        (&shown["revoke_when_quiet"], &shown["rotated_at"]),
        (&json!("24h"), &json!(after(&server, 0)))
    );
    assert_eq!((&record["revoke_when_quiet"], &record["rotated_at"]), (&json!(null), &json!(null)));

    server.pass(DAY - 60);
    assert_eq!(status(&server, &old), 200);
    // A request that is refused is none.
    server.pass(DAY - 60);
    server.call(&old, Request::get("/v1/nothing")).expect(404);
    assert!(!is_revoked(&server, &made));
    server.pass(60);
    assert!(is_revoked(&server, &made));
    assert_eq!((status(&server, &old), status(&server, &new)), (401, 200));
    let row = &audit(&server, "limit=1")[0];
    assert_eq!((&row["action"], &row["target"]), (&json!("key.revoke"), &made["id"]));
    assert_eq!(row["actor"], json!({"via": "system"}));
    assert_eq!(
        (&row["before"]["revoke_when_quiet"], &row["before"]["revoked_at"]),
        (&json!("24h"), &json!(null))
    );
}

#[test]
fn a_key_is_left_alone_while_nobody_else_could_take_over_or_a_client_still_waits() {
    let upstream = FakeUpstream::start(|_, connection| {
        begin_stream(connection);
        send_event(connection, r#"{"choices":[{"delta":{"content":"x"}}]}"#);
        wait_for_close(connection);
        false
    });
    let server = TestServer::setup().upstream("u", upstream.address, &["m"]).start();
    let body = json!({"expire_old_in": "30d", "revoke_when_quiet": "1h"});
    let (old, made) = server.key(json!({}));
    let chat = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
    let mut stream = Request::post("/v1/chat/completions", &chat).bearer(&old).open(server.public);
    assert!(stream.event().is_some());
    let (_, second) = rotated(&server, &made, &body);
    // A request in flight is a use, however long ago it came in, and so it is when it has ended.
    server.pass(2 * HOUR);
    assert!(!is_revoked(&server, &made));
    drop(stream);
    let used = || server.usage("key").iter().any(|row| row["key"] == made["id"]);
    eventually("the stream ends", used);
    assert!(!is_revoked(&server, &made));
    patch(&server, &second, &json!({"enabled": false})).expect(200);
    server.pass(HOUR);
    assert!(!is_revoked(&server, &made));
    patch(&server, &second, &json!({"enabled": true})).expect(200);
    let (_, third) = rotated(&server, &second, &json!({"expire_old_in": "0s"}));
    // The one after the next works.
    assert!(is_revoked(&server, &made));
    assert_eq!(read(&server, &third)["status"], "active");

    let (_, made) = server.key(json!({}));
    let (_, successor) = rotated(&server, &made, &body);
    server.admin(Request::new("DELETE", &path(&successor))).expect(200);
    let (_, disabled) = server.key(json!({}));
    rotated(&server, &disabled, &body);
    patch(&server, &disabled, &json!({"enabled": false})).expect(200);
    server.pass(DAY);
    assert!(!is_revoked(&server, &made));
    assert_eq!(looked_at(&server, &disabled), "disabled");
}

#[test]
fn a_use_counts_from_the_moment_it_is_let_through_though_it_is_not_written_down_yet() {
    let (folder, (clock, hand)) = (Folder::new(), Clock::manual());
    let store = Arc::new(Store::open(&folder.path().join("mcpd.db")).unwrap());
    let plans = BTreeMap::from([("standard".to_owned(), NonZeroU32::new(60))]);
    let plans = Plans::new(plans, "standard".to_owned()).unwrap();
    let keys = Keys::load(store, plans, clock.clone()).unwrap();
    let gate = Gate::new(keys.keyring(), 10, clock.clone(), channel().0, Arc::default());

    let pass = |seconds| hand.advance(Duration::from_secs(seconds));
    let order = Order { actor: Actor::System, idempotency: None };
    let settings = Settings::new(Name::parse("laptop").unwrap(), Scopes::EVERY, "standard");
    let old = keys.issue::<KeysError>(order, || Ok(settings)).unwrap();
    let [day, month] = [DAY, 30 * DAY].map(Duration::from_secs);
    let rotation = Rotation { expire_old_in: month, expires_at: None, revoke_when_quiet: Some(day) };
    keys.rotate::<KeysError>(old.key.id, order, || Ok(rotation)).unwrap();
    let is_revoked = || keys.keyring().get(old.key.id).unwrap().key.revoked_at.is_some();
    let look = || keys.revoke_quiet().map(|()| is_revoked()).unwrap();

    // A request that came, and went again, after what was counted was written.
    pass(DAY);
    let token = old.token.unwrap();
    let localhost = [127, 0, 0, 1].into();
    let request =
        gate::Request { bearer: Some(token.expose().as_bytes()), client: Some(localhost), peer: localhost };
    drop(gate.admit(&request, Demand::AnyKey, clock.now()).unwrap());
    assert!(!look());
    pass(DAY - 1);
    assert!(!look());
    // One that lasts is a use until it ends.
    let permit = gate.admit(&request, Demand::AnyKey, clock.now()).unwrap();
    pass(2 * DAY);
    assert!(!look());
    drop(permit);
    pass(DAY - 1);
    assert!(!look());
    pass(1);

    // One that comes while the revocation waits for others to have written.
    let others = Connection::open(folder.path().join("mcpd.db")).unwrap();
    others.execute_batch("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        let looking = scope.spawn(look);
        // By then it waits; if not, it sees the use all the same.
        thread::sleep(Duration::from_millis(300));
        drop(gate.admit(&request, Demand::AnyKey, clock.now()).unwrap());
        others.execute_batch("COMMIT").unwrap();
        assert!(!looking.join().unwrap());
    });
    pass(DAY);
    assert!(look());
}

#[test]
fn clients_have_an_hour_to_come_back_after_a_start() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    rotated(&server, &made, &json!({"expire_old_in": "30d", "revoke_when_quiet": "24h"}));
    server.pass(DAY - 60);
    let server = server.restart();
    server.pass(120);
    assert!(!is_revoked(&server, &made));
    server.pass(HOUR - 120);
    assert!(is_revoked(&server, &made));
}

#[test]
fn only_a_rotated_key_can_be_revoked_when_quiet() {
    let server = TestServer::start();
    let (_, made) = server.key(json!({}));
    let refused = |answer: crate::harness::Answer| {
        let message = message(&answer.expect_error(422, "invalid_request"));
        assert!(message.contains("`revoke_when_quiet`"), "{message}");
        message
    };
    assert!(
        refused(patch(&server, &made, &json!({"revoke_when_quiet": "1h"}))).contains("only a rotated key")
    );
    let body = json!({"name": "x", "scopes": ["*"], "revoke_when_quiet": "1h"});
    assert!(refused(server.admin(Request::post(super::KEYS, &body))).contains("only a rotated key"));
    for wrong in [json!("0s"), json!("900ms"), json!("soon"), json!("-1h"), json!(24)] {
        refused(rotate(&server, &made, &json!({"revoke_when_quiet": wrong})));
    }
    patch(&server, &made, &json!({"revoke_when_quiet": null})).expect(200);

    let (_, new) = rotated(&server, &made, &json!({"expire_old_in": "30d"}));
    for wrong in [json!("0s"), json!("soon"), json!(false)] {
        refused(patch(&server, &made, &json!({"revoke_when_quiet": wrong})));
    }
    let shown = |body: Value| patch(&server, &made, &body).expect(200).json()["revoke_when_quiet"].clone();
    assert_eq!(shown(json!({"revoke_when_quiet": "90m"})), "1h30m");
    assert_eq!(shown(json!({"name": "still"})), "1h30m");
    let server = server.restart();
    assert_eq!(read(&server, &made)["revoke_when_quiet"], "1h30m");
    patch(&server, &made, &json!({"revoke_when_quiet": null})).expect(200);
    server.pass(DAY);
    assert!(!is_revoked(&server, &made));
    refused(patch(&server, &new, &json!({"revoke_when_quiet": "1h"})));
}
