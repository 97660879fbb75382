//! The proof that a request was let through, and what it gives back when it ends.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::allowance::Slot;
use super::checks;
use super::keyring::{Entry, Use};
use super::refusal::{Refusal, Refused};
use super::replay::{self, NotAccepted};
use crate::clock::Now;
use crate::domain::report_only::Findings;
use crate::domain::scope::{Scope, Scopes};
use crate::domain::signature::Seal;
use crate::domain::time::Timestamp;
use crate::domain::window::Quota;

/// A request that was let through. Dropping it gives its slot back.
#[derive(Debug)]
pub struct Permit {
    /// Whose request it is.
    pub entry: Arc<Entry>,
    /// What is left of the limit after this request.
    pub quota: Quota,
    /// The scopes that the request has called for so far.
    scopes: Cell<Scopes>,
    /// What settings that are only tried out would have refused so far.
    findings: Cell<Findings>,
    slot: Slot,
    _use: Use,
}

impl Permit {
    /// Returns a permit for a request that passed the checks.
    pub(super) fn new(
        entry: Arc<Entry>,
        quota: Quota,
        slot: Slot,
        scopes: Scopes,
        findings: Findings,
        now: Timestamp,
    ) -> Self {
        let in_use = entry.enter(now);
        let (scopes, findings) = (Cell::new(scopes), Cell::new(findings));
        Self { entry, quota, scopes, findings, slot, _use: in_use }
    }

    /// Returns the scopes that the request has called for so far.
    pub fn scopes(&self) -> Scopes {
        self.scopes.get()
    }

    /// Returns what settings that are only tried out would have refused so far.
    pub fn findings(&self) -> Findings {
        self.findings.get()
    }

    /// Returns how many requests were in flight as this one was let through, itself included.
    pub const fn in_flight(&self) -> u32 {
        self.slot.in_flight
    }

    /// Fails if the key may not name the model.
    pub fn check_model(&self, model: &str) -> Result<(), Refused> {
        checks::model(&self.entry.key.settings, model).map_err(|refusal| self.refuse(refusal))
    }

    /// Fails if the key lacks a scope that the request's body may call for; whether it does shows later.
    pub fn would_have(&self, scope: Scope) -> Result<(), Refused> {
        checks::scope(&self.entry.key.settings, scope).map(drop).map_err(|refusal| self.refuse(refusal))
    }

    /// Fails if the key lacks a scope that the request's body calls for.
    pub fn check_scope(&self, scope: Scope) -> Result<(), Refused> {
        let found = checks::scope(&self.entry.key.settings, scope).map_err(|refusal| self.refuse(refusal))?;
        self.findings.set(self.findings.get().union(found));
        self.scopes.set(self.scopes.get().with(scope));
        Ok(())
    }

    /// Accepts a verified signature, which may be up to `max_skew` old or ahead, for the first and only time.
    pub fn accept_seal(&self, seal: Seal, now: Now, max_skew: Duration) -> Result<(), Refused> {
        let until = now.steady + replay::memory(max_skew);
        self.entry.seals().accept(seal, now.steady, until).map_err(|reason| {
            self.refuse(match reason {
                NotAccepted::Replayed => Refusal::ReplayedSignature,
                NotAccepted::Full => Refusal::SignaturesExhausted,
            })
        })
    }

    /// Returns a refusal of this request, made after it was let through.
    pub fn refuse(&self, refusal: Refusal) -> Refused {
        Refused::of(Arc::clone(&self.entry), refusal, Some(self.quota))
    }
}
