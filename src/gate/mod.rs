//! Whether a request may pass: the order of the checks, and the state they are made against.
//!
//! Everything here is in memory and nothing blocks.

pub mod allowance;
mod checks;
pub mod explain;
mod guesses;
pub mod keyring;
mod permit;
mod refusal;
pub mod replay;
mod step;
pub mod trail;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use allowance::Allowance;
use guesses::Guesses;
use keyring::{Entry, Keyring};
pub use permit::Permit;
pub use refusal::{Refusal, Refused};
pub use step::Step;
use trail::{Asker, Trail};

use crate::clock::{Clock, Now};
use crate::domain::report_only::Findings;
use crate::domain::scope::{Scope, Scopes};
use crate::domain::window::Quota;

/// The gate in front of every `/v1` request.
#[derive(Debug)]
pub struct Gate {
    keyring: Arc<Keyring>,
    guesses: Guesses,
    clock: Clock,
    /// Allowances whose windows have changed since they were last kept.
    changed: Sender<Arc<Allowance>>,
    trail: Arc<Trail>,
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

/// A live key that may be used from where it is used.
#[derive(Debug)]
pub struct Identified {
    /// The key.
    pub entry: Arc<Entry>,
    /// What settings that are only tried out would have refused.
    pub findings: Findings,
}

impl Gate {
    /// Returns a gate before these keys that lets `failed_auth_per_minute` wrong ones an address pass as
    /// plain errors, hands on each allowance that changes, and leaves a trail of refusals.
    pub fn new(
        keyring: Arc<Keyring>,
        failed_auth_per_minute: u32,
        clock: Clock,
        changed: Sender<Arc<Allowance>>,
        trail: Arc<Trail>,
    ) -> Self {
        Self { keyring, guesses: Guesses::new(failed_auth_per_minute), clock, changed, trail }
    }

    /// Lets so many wrong keys an address pass as plain errors from now on.
    pub fn allow_failures(&self, failed_auth_per_minute: u32) {
        self.guesses.set_limit(failed_auth_per_minute);
    }

    /// Remembers a refusal, with the key as it is now where it ended while the request was being answered.
    pub fn remember(&self, mut refused: Refused, asker: impl FnOnce() -> Asker) {
        if let Some(entry) = &mut refused.entry
            && entry.is_over()
            && let Some(ended) = self.keyring.get(entry.key.id)
        {
            *entry = ended;
        }
        self.trail.note(refused, asker);
    }

    /// Returns the trail of refusals.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// Decides whether a request may pass. The order of the steps is the contract.
    pub fn admit(&self, request: &Request<'_>, demand: Demand, now: Now) -> Result<Permit, Refused> {
        let Identified { entry, findings } = self.identify(request, now)?;
        match checks::demand(&entry.key.settings, demand) {
            Ok(found) => self.take(entry, demand, findings.union(found), now),
            Err(refusal) => Err(refuse(entry, refusal, now)),
        }
    }

    /// Finds the live key of a request and checks the client's address; takes nothing.
    pub fn identify(&self, request: &Request<'_>, now: Now) -> Result<Identified, Refused> {
        let bearer = checks::bearer_token(request.bearer)?;
        let unknown = |step, refusal| self.refuse_unusable(request, step, refusal, None, now);
        let token = checks::format(bearer).map_err(|refusal| unknown(Step::Format, refusal))?;
        let entry = checks::key(&self.keyring, &token).map_err(|refusal| unknown(Step::Key, refusal))?;
        if let Err(refusal) = checks::status(&entry.key, now.wall) {
            return Err(self.refuse_unusable(request, Step::Status, refusal, Some(entry), now));
        }
        match checks::client_address(&entry.key.settings, request.client) {
            Ok(findings) => Ok(Identified { entry, findings }),
            Err(refusal) => Err(refuse(entry, refusal, now)),
        }
    }

    /// Takes a slot and a request from the limits: both, or neither.
    fn take(
        &self,
        entry: Arc<Entry>,
        demand: Demand,
        findings: Findings,
        now: Now,
    ) -> Result<Permit, Refused> {
        let Some(slot) = entry.allowance().enter(entry.key.settings.max_concurrent) else {
            return Err(refuse(entry, Refusal::TooManyConcurrent, now));
        };
        match entry.allowance().take(entry.requests_per_minute(), now.steady) {
            Ok(quota) => {
                if entry.allowance().mark_changed() {
                    // Nobody listens any more only while the server stops, after its last request.
                    let _ = self.changed.send(Arc::clone(entry.allowance()));
                }
                Ok(Permit::new(entry, quota, slot, demand.scopes(), findings, now.wall))
            }
            Err(quota) => Err(Refused::of(entry, Refusal::RateLimited(quota), Some(quota))),
        }
    }

    /// One and the same refusal, whatever makes the key invalid; another once the address has failed too often.
    fn refuse_unusable(
        &self,
        request: &Request<'_>,
        step: Step,
        refusal: Refusal,
        entry: Option<Arc<Entry>>,
        now: Now,
    ) -> Refused {
        let address = request.client.unwrap_or(request.peer);
        let refusal = match refusal {
            Refusal::InvalidKey => guessed(self.guesses.fail(address, now.steady)),
            expired => expired,
        };
        Refused { refusal, entry, quota: None, step }
    }
}

/// What an invalid key is refused with, by how often its address has failed.
fn guessed(counted: Result<(), Quota>) -> Refusal {
    match counted {
        Ok(()) => Refusal::InvalidKey,
        Err(quota) => Refusal::TooManyFailedAttempts { retry_after: quota.reset_seconds() },
    }
}

/// Refuses a live key; its limit is told, and nothing taken from it.
fn refuse(entry: Arc<Entry>, refusal: Refusal, now: Now) -> Refused {
    let quota = entry.allowance().peek(entry.requests_per_minute(), now.steady);
    Refused::of(entry, refusal, Some(quota))
}
