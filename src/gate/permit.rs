//! The proof that a request was let through, and what it gives back when it ends.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::allowance::Slot;
use super::checks;
use super::keyring::Entry;
use super::refusal::{Refusal, Refused};
use super::replay::{self, NotAccepted};
use crate::clock::Now;
use crate::domain::report_only::Findings;
use crate::domain::scope::Scope;
use crate::domain::signature::Seal;
use crate::domain::window::Quota;

/// A request that was let through. Dropping it gives its slot back.
#[derive(Debug)]
pub struct Permit {
    /// Whose request it is.
    pub entry: Arc<Entry>,
    /// What is left of the limit after this request.
    pub quota: Quota,
    /// What settings that are only tried out would have refused so far.
    findings: Cell<Findings>,
    _slot: Slot,
}

impl Permit {
    /// Returns a permit for a request that passed the checks.
    pub(super) fn new(entry: Arc<Entry>, quota: Quota, slot: Slot, findings: Findings) -> Self {
        Self { entry, quota, findings: Cell::new(findings), _slot: slot }
    }

    /// Returns what settings that are only tried out would have refused so far.
    pub fn findings(&self) -> Findings {
        self.findings.get()
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
