//! Whether a request may pass: the order of the checks, and the state they are made against.
//!
//! Everything here is in memory and nothing blocks.

pub mod allowance;
mod guesses;
pub mod keyring;
mod permit;
mod refusal;
pub mod replay;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use allowance::Allowance;
use guesses::Guesses;
use keyring::{Entry, Keyring};
pub use permit::Permit;
pub use refusal::{Refusal, Refused};

use crate::clock::{Clock, Now};
use crate::domain::key::Status;
use crate::domain::scope::{Scope, Scopes};
use crate::domain::token::Token;

/// The gate in front of every `/v1` request.
#[derive(Debug)]
pub struct Gate {
    keyring: Arc<Keyring>,
    guesses: Guesses,
    clock: Clock,
    /// Allowances whose windows have changed since they were last kept.
    changed: Sender<Arc<Allowance>>,
}

/// What the gate looks at.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The bearer token as it was sent.
    pub bearer: Option<&'a [u8]>,
    /// The client's address; `None` if a trusted proxy sent one that cannot be read.
    pub client: Option<IpAddr>,
    /// Where the connection came from: the client, or a trusted proxy.
    pub peer: IpAddr,
}

/// What a route asks of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// A scope.
    Scope(Scope),
    /// Nothing but to be live.
    AnyKey,
}

impl Demand {
    const fn scopes(self) -> Scopes {
        match self {
            Self::Scope(scope) => Scopes::NONE.with(scope),
            Self::AnyKey => Scopes::NONE,
        }
    }
}

impl Gate {
    /// Returns a gate before these keys that lets `failed_auth_per_minute` wrong ones an address pass as
    /// plain errors, and hands on each allowance that changes.
    pub fn new(
        keyring: Arc<Keyring>,
        failed_auth_per_minute: u32,
        clock: Clock,
        changed: Sender<Arc<Allowance>>,
    ) -> Self {
        Self { keyring, guesses: Guesses::new(failed_auth_per_minute), clock, changed }
    }

    /// Decides whether a request may pass. The order of the steps is the contract.
    pub fn admit(&self, request: &Request<'_>, demand: Demand) -> Result<Permit, Refused> {
        let now = self.clock.now();
        let entry = self.identify(request, now)?;
        if let Demand::Scope(scope) = demand {
            check_scope(&entry, scope, now)?;
        }
        self.take(entry, demand, now)
    }

    /// Finds the live key of a request and checks the client's address; takes nothing.
    pub fn identify(&self, request: &Request<'_>, now: Now) -> Result<Arc<Entry>, Refused> {
        let bearer = request.bearer.ok_or(Refusal::MissingKey)?;
        let entry = Token::parse(bearer).ok().and_then(|token| self.keyring.find(&token));
        let Some(entry) = entry else {
            return Err(self.refuse_invalid(request, None, now));
        };
        match entry.key.status(now.wall) {
            Status::Active => {}
            Status::Expired => {
                return Err(Refused { refusal: Refusal::ExpiredKey, entry: Some(entry), quota: None });
            }
            Status::Disabled | Status::Revoked => {
                return Err(self.refuse_invalid(request, Some(entry), now));
            }
        }
        if !entry.key.settings.allowed_ips.permit(request.client) {
            return Err(refuse(entry, Refusal::AddressNotAllowed, now));
        }
        Ok(entry)
    }

    /// Takes a slot and a request from the limits: both, or neither.
    fn take(&self, entry: Arc<Entry>, demand: Demand, now: Now) -> Result<Permit, Refused> {
        let Some(slot) = entry.allowance.enter(entry.key.settings.max_concurrent) else {
            return Err(refuse(entry, Refusal::TooManyConcurrent, now));
        };
        match entry.allowance.take(entry.requests_per_minute, now.steady) {
            Ok(quota) => {
                if entry.allowance.mark_changed() {
                    // Nobody listens any more only while the server stops, after its last request.
                    let _ = self.changed.send(Arc::clone(&entry.allowance));
                }
                Ok(Permit::new(entry, quota, slot, demand.scopes()))
            }
            Err(quota) => {
                let refusal = Refusal::RateLimited(quota);
                Err(Refused { refusal, entry: Some(entry), quota: Some(quota) })
            }
        }
    }

    /// One and the same refusal, whatever is wrong with the key; another once the address has failed too often.
    fn refuse_invalid(&self, request: &Request<'_>, entry: Option<Arc<Entry>>, now: Now) -> Refused {
        let address = request.client.unwrap_or(request.peer);
        let refusal = match self.guesses.fail(address, now.steady) {
            Ok(()) => Refusal::InvalidKey,
            Err(quota) => Refusal::TooManyFailedAttempts { retry_after: quota.reset_seconds() },
        };
        Refused { refusal, entry, quota: None }
    }
}

fn check_scope(entry: &Arc<Entry>, scope: Scope, now: Now) -> Result<(), Refused> {
    if entry.key.settings.scopes.contains(scope) {
        return Ok(());
    }
    Err(refuse(Arc::clone(entry), Refusal::MissingScope(scope), now))
}

/// Refuses a live key; its limit is told, and nothing taken from it.
fn refuse(entry: Arc<Entry>, refusal: Refusal, now: Now) -> Refused {
    let quota = entry.allowance.peek(entry.requests_per_minute, now.steady);
    Refused { refusal, entry: Some(entry), quota: Some(quota) }
}
