//! Deliveries outlive a killed process: each alert arrives at least once, in order and signed.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicUsize, Ordering};

use rusqlite::Connection;
use serde_json::{Value, json};

use super::webhooks::{SECRET, verify};
use crate::harness::upstream::write_json;
use crate::harness::{Binary, FakeUpstream, Request, Seen, eventually};

const ALERTS: usize = 8;
/// Of the deliveries that are taken: at this one the process is killed before it is answered, at that one once it is.
const KILLED_BEFORE: usize = 3;
const KILLED_BEHIND: usize = 6;

/// A webhook that kills who asks it.
struct Deadly {
    webhook: FakeUpstream,
    status: Arc<AtomicU16>,
    victim: Arc<AtomicU32>,
}

impl Deadly {
    fn start() -> Self {
        let (status, victim) = (Arc::new(AtomicU16::new(503)), Arc::new(AtomicU32::new(0)));
        let (told, pid, taken) = (Arc::clone(&status), Arc::clone(&victim), AtomicUsize::new(0));
        let webhook = FakeUpstream::start(move |_, connection| {
            let status = told.load(Ordering::SeqCst);
            let number = if status == 200 { taken.fetch_add(1, Ordering::SeqCst) + 1 } else { 0 };
            if number == KILLED_BEFORE {
                kill(&pid);
                return false;
            }
            write_json(connection, status, &json!({}));
            if number == KILLED_BEHIND {
                kill(&pid);
            }
            true
        });
        Self { webhook, status, victim }
    }

    fn delivered(&self) -> Vec<Seen> {
        self.webhook.seen()
    }
}

fn kill(pid: &AtomicU32) {
    let pid = pid.load(Ordering::SeqCst).to_string();
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
}

/// Makes keys that end soon, an alert each; returns the ids of the rule's alerts, in the order of raising.
fn raise(binary: &Binary, rule: &str) -> Vec<String> {
    let mut listed = Value::Null;
    for _ in 0..ALERTS {
        let body = json!({"name": "ends", "scopes": ["*"], "expires_in": "2d"});
        binary.admin(Request::post("/admin/v1/keys", &body)).expect(201);
        listed = binary.admin(Request::get("/admin/v1/alerts")).expect(200).json();
    }
    let of_rule = listed["data"].as_array().unwrap().iter().filter(|alert| alert["rule"] == rule);
    of_rule.rev().map(|alert| alert["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn kill_9_with_deliveries_to_be_made_loses_none_and_keeps_their_order() {
    let deadly = Deadly::start();
    let binary = Binary::start("");
    let url = format!("http://{}/", deadly.webhook.address);
    let body = json!({"kind": "key_expiring", "threshold": 7, "webhook": {"url": url, "secret": SECRET}});
    let rule = binary.admin(Request::post("/admin/v1/alert-rules", &body)).expect(201).json();
    let expected = raise(&binary, rule["id"].as_str().unwrap());
    assert_eq!(expected.len(), ALERTS);
    eventually("the webhook refuses the first", || !deadly.delivered().is_empty());

    let mut folder = binary.end("KILL");
    let refused = deadly.delivered().len();
    deadly.status.store(200, Ordering::SeqCst);
    // It dies of a delivery that was not answered, then of one that was, and then it may go on.
    for _ in 0..2 {
        let binary = Binary::start_in(folder);
        deadly.victim.store(binary.pid(), Ordering::SeqCst);
        let (status, left) = binary.wait();
        assert_eq!(status, None, "it was killed");
        folder = left;
    }
    let binary = Binary::start_in(folder);
    let ids = |seen: &[Seen]| -> Vec<String> {
        seen.iter().map(|seen| seen.header("x-mcp-delivery").unwrap().to_owned()).collect()
    };
    eventually("the last alert arrives", || ids(&deadly.delivered()).last() == expected.last());
    let all = deadly.delivered();
    all.iter().for_each(verify);
    assert!(all.iter().all(|seen| seen.json()["id"] == seen.header("x-mcp-delivery").unwrap()));
    assert!(ids(&all[..refused]).iter().all(|id| *id == expected[0]), "the others wait for the first");
    let mut arrived = ids(&all[refused..]);
    assert!(arrived.len() > ALERTS, "what was not answered came again: {arrived:?}");
    arrived.dedup();
    assert_eq!(arrived, expected);
    let database = Connection::open(binary.path("data/mcpd.db")).unwrap();
    let left = || database.query_row("SELECT count(*) FROM outbox", [], |row| row.get::<_, u32>(0)).unwrap();
    eventually("nothing is left to be delivered", || left() == 0);
}
