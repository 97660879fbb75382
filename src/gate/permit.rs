//! The proof that a request was let through, and what it gives back when it ends.

use std::sync::Arc;
use std::time::Duration;

use super::allowance::Slot;
use super::keyring::{Entry, Use};
use super::refusal::{Refusal, Refused};
use super::replay::{self, NotAccepted};
use crate::clock::Now;
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
    _slot: Slot,
    _use: Use,
}

impl Permit {
    /// Returns a permit for a request that passed the checks.
    pub(super) fn new(entry: Arc<Entry>, quota: Quota, slot: Slot) -> Self {
        let in_use = entry.enter();
        Self { entry, quota, _slot: slot, _use: in_use }
    }

    /// Fails if the key may not name the model.
    pub fn check_model(&self, model: &str) -> Result<(), Refused> {
        if self.entry.key.settings.allowed_models.permit(model) {
            return Ok(());
        }
        Err(self.refuse(Refusal::ModelNotAllowed(model.to_owned())))
    }

    /// Fails if the key lacks a scope that the request's body calls for.
    pub fn check_scope(&self, scope: Scope) -> Result<(), Refused> {
        if self.entry.key.settings.scopes.contains(scope) {
            return Ok(());
        }
        Err(self.refuse(Refusal::MissingScope(scope)))
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
        Refused { refusal, entry: Some(Arc::clone(&self.entry)), quota: Some(self.quota) }
    }
}
