//! Revoking rotated keys by themselves, once nobody has used them for as long as was asked for.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Keys, KeysError, Order};
use crate::domain::audit::Actor;
use crate::domain::id::KeyId;
use crate::domain::key::{Key, LastUse, Status};
use crate::domain::time::{Timestamp, format_duration};
use crate::gate::keyring::Entry;
use crate::store;

/// How long clients have to come back after a start: while mcpd was down, everything was quiet.
const COME_BACK: Duration = Duration::from_secs(3_600);

impl Keys {
    /// Revokes rotated keys that nobody has used for as long as each of them says. What was counted must be
    /// written by now. Left alone are keys that do not work anyway, and those without a later key that works: nobody
    /// is to be locked out.
    pub fn revoke_quiet(&self) -> Result<(), KeysError> {
        let _turn = self.turn();
        let candidates = self.store.read(store::keys::to_revoke)?;
        self.busy().retain(|id, _| candidates.iter().any(|(key, _)| key.id == *id));
        candidates.into_iter().try_for_each(|(key, last_use)| self.revoke_if_quiet(&key, last_use))
    }

    fn revoke_if_quiet(&self, key: &Key, last_use: Option<LastUse>) -> Result<(), KeysError> {
        let now = self.clock.now().wall;
        let Some(entry) = self.keyring.get(key.id) else { return Ok(()) };
        if entry.is_in_use() {
            self.busy().insert(key.id, now);
        }
        let last_used_at = last_use.map(|last| last.at).max(self.busy().get(&key.id).copied());
        let (Some(since), Some(quiet)) = (key.quiet_since(last_used_at), key.settings.revoke_when_quiet)
        else {
            return Ok(());
        };
        let up = self.clock.steady().saturating_sub(self.loaded);
        if key.status(now) != Status::Active || now.since(since) < quiet || up < quiet.min(COME_BACK) {
            return Ok(());
        }
        let Some(successor) = self.live_successor(key, now) else { return Ok(()) };
        let revoked = self.end(&entry, Order { actor: Actor::System, idempotency: None }, now)?;
        tracing::info!(
            key.id = %revoked.id,
            key.new = %successor.key.id,
            "revoked key `{}` ({}): quiet for {} after its rotation to `{}`",
            revoked.settings.name.as_str(),
            revoked.id,
            format_duration(quiet),
            successor.key.settings.name.as_str()
        );
        Ok(())
    }

    /// Returns the next key of the line that works.
    pub fn live_successor(&self, key: &Key, now: Timestamp) -> Option<Arc<Entry>> {
        let next = |key: &Key| self.keyring.get(key.rotated_to?);
        std::iter::successors(next(key), |entry| next(&entry.key))
            .find(|entry| entry.key.status(now) == Status::Active)
    }

    fn busy(&self) -> MutexGuard<'_, HashMap<KeyId, Timestamp>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
