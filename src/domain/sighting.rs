//! Who asks for what with a key: what a cut-over, the advisor and the alerts look at.

use std::net::IpAddr;

use super::id::KeyId;
use super::scope::Scopes;
use super::time::Timestamp;

/// Who asked for what, with which key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sighting {
    /// The key; none where the request had no key that mcpd knows.
    pub key: Option<KeyId>,
    /// Whether the key had a successor by then.
    pub superseded: bool,
    /// The client's address, an IPv4 one always as such; none where it could not be read.
    pub client: Option<IpAddr>,
    /// What the client calls itself, at most 200 characters, keys blanked out; empty where it does not, or where
    /// no key is known.
    pub user_agent: Box<str>,
    /// The route's pattern.
    pub endpoint: &'static str,
}

/// What was seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Answered requests.
    pub requests: u64,
    /// Those with a status of 400 and more.
    pub errors: u64,
    /// Those that the gate let through.
    pub admitted: u64,
    /// Errors that tell of a fault: neither 401, 429 nor 499.
    pub failures: u64,
    /// Those refused by the key's limits.
    pub rate_limited: u64,
    /// Those with a key that is malformed, unknown, disabled or revoked.
    pub failed_auth: u64,
    /// The scopes that admitted ones called for.
    pub scopes: Scopes,
    /// When the first of them came in.
    pub first: Timestamp,
    /// When the last of them came in.
    pub last: Timestamp,
}

impl Seen {
    /// Returns one request that came in at the given time and was answered well, without a key.
    pub const fn once(at: Timestamp) -> Self {
        Self {
            requests: 1,
            errors: 0,
            admitted: 0,
            failures: 0,
            rate_limited: 0,
            failed_auth: 0,
            scopes: Scopes::NONE,
            first: at,
            last: at,
        }
    }

    /// Adds what else was seen.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.admitted += other.admitted;
        self.failures += other.failures;
        self.rate_limited += other.rate_limited;
        self.failed_auth += other.failed_auth;
        self.scopes = self.scopes.union(other.scopes);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}
