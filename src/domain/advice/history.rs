//! What a key was used for.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::domain::scope::Scopes;
use crate::domain::time::Timestamp;

/// Routes whose requests name a model.
const NAME_MODELS: [&str; 3] = ["/v1/chat/completions", "/v1/completions", "/v1/models/{id}"];

/// What counts models beyond those told apart.
const OTHER_MODEL: &str = "other";

/// What a key was used for in a time: requests that were let through.
#[derive(Clone, Debug)]
pub struct History {
    /// How many.
    pub requests: u64,
    /// The scopes that they called for.
    pub scopes: Scopes,
    /// Where they came from.
    pub addresses: BTreeMap<IpAddr, Address>,
    /// Whether some came from elsewhere, nobody knows where.
    pub has_unknown_addresses: bool,
    /// The models that they named, and how many did.
    pub models: BTreeMap<String, u64>,
    /// Whether some named another model, nobody knows which.
    pub has_unknown_models: bool,
    /// The most in any 60 seconds.
    pub peak_requests_per_minute: u32,
    /// The most in flight.
    pub peak_concurrent: u32,
}

/// What came from an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// How many requests.
    pub requests: u64,
    /// When the latest came in.
    pub last_seen_at: Timestamp,
}

impl Default for History {
    fn default() -> Self {
        Self {
            requests: 0,
            scopes: Scopes::NONE,
            addresses: BTreeMap::new(),
            has_unknown_addresses: false,
            models: BTreeMap::new(),
            has_unknown_models: false,
            peak_requests_per_minute: 0,
            peak_concurrent: 0,
        }
    }
}

impl History {
    /// Notes requests that were let through: how many, what they called for, from where, and when the latest came in.
    pub fn note_requests(&mut self, count: u64, scopes: Scopes, client: Option<IpAddr>, last_at: Timestamp) {
        if count == 0 {
            return;
        }
        self.requests += count;
        self.scopes = self.scopes.union(scopes);
        let Some(client) = client else {
            self.has_unknown_addresses = true;
            return;
        };
        let address = self
            .addresses
            .entry(client.to_canonical())
            .or_insert(Address { requests: 0, last_seen_at: last_at });
        address.requests += count;
        address.last_seen_at = address.last_seen_at.max(last_at);
    }

    /// Notes requests by model, with an empty one where it was not noted.
    pub fn note_models(&mut self, endpoint: &str, status: u16, model: &str, requests: u64) {
        let is_refused = matches!(status, 401 | 403);
        if !NAME_MODELS.contains(&endpoint) || is_refused {
            return;
        }
        match model {
            // Nobody was answered by a model: what was asked for is found wrong, or left, before it matters.
            "" if (400..500).contains(&status) => {}
            "" | OTHER_MODEL => self.has_unknown_models = true,
            model => *self.models.entry(model.to_owned()).or_default() += requests,
        }
    }

    /// Notes how many requests there were at most in 60 seconds, and in flight.
    pub fn note_peaks(&mut self, requests_per_minute: u32, concurrent: u32) {
        self.peak_requests_per_minute = self.peak_requests_per_minute.max(requests_per_minute);
        self.peak_concurrent = self.peak_concurrent.max(concurrent);
    }
}
