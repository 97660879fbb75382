//! A past for a key: what was seen of it, as the keeper would have written it.

use mcpd::domain::key::LastUse;
use mcpd::domain::scope::Scopes;
use mcpd::domain::sighting::{Seen, Sighting};
use mcpd::domain::time::Timestamp;
use mcpd::store::{keys, sightings};
use rusqlite::Connection;
use serde_json::Value;

use super::id;
use crate::harness::TestServer;

/// Requests of one client.
pub struct Past {
    pub client: &'static str,
    pub user_agent: &'static str,
    pub endpoint: &'static str,
    pub superseded: bool,
    pub scopes: &'static [&'static str],
    pub admitted: u64,
    pub refused: u64,
    /// How many seconds ago.
    pub ago: i64,
}

pub const ONCE: Past = Past {
    client: "203.0.113.9",
    user_agent: "python-requests/2.31",
    endpoint: "/v1/chat/completions",
    superseded: false,
    scopes: &["chats:create"],
    admitted: 1,
    refused: 0,
    ago: 0,
};

pub fn database(server: &TestServer) -> Connection {
    let database = Connection::open(server.path("mcpd.db")).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    database
}

pub fn add(server: &TestServer, made: &Value, past: &Past) {
    let key = id(made).parse().unwrap();
    let at = Timestamp::from_seconds(server.unix_time() - past.ago);
    let client = past.client.parse().ok();
    let sighting = Sighting {
        key: Some(key),
        superseded: past.superseded,
        client,
        user_agent: past.user_agent.into(),
        endpoint: past.endpoint,
    };
    let seen = Seen {
        requests: past.admitted + past.refused,
        errors: past.refused,
        admitted: past.admitted,
        failures: 0,
        rate_limited: 0,
        failed_auth: 0,
        scopes: Scopes::parse(past.scopes.iter().copied()).unwrap(),
        first: at,
        last: at,
    };
    let database = database(server);
    sightings::add(&database, [(&sighting, &seen)]).unwrap();
    if past.admitted > 0 {
        keys::note_use(&database, key, LastUse { at, ip: client }).unwrap();
    }
}
