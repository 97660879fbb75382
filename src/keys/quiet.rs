//! Revoking rotated keys by themselves, once nobody has used them for as long as was asked for.

use std::sync::Arc;
use std::time::Duration;

use super::{Keys, KeysError, Order};
use crate::domain::audit::Actor;
use crate::domain::key::{Key, LastUse, Status};
use crate::domain::time::{Timestamp, format_duration};
use crate::gate::keyring::Entry;
use crate::store;

/// How long clients have to come back after a start: while mcpd was down, everything was quiet.
const COME_BACK: Duration = Duration::from_secs(3_600);

impl Keys {
    /// Revokes rotated keys that nobody has used for as long as each of them says. What was let through since the
    /// start counts, whether or not it is written down. Left alone are keys that do not work anyway, and those without
    /// a later key that works: nobody is to be locked out.
    pub fn revoke_quiet(&self) -> Result<(), KeysError> {
        let _turn = self.turn();
        let candidates = self.store.read(store::keys::to_revoke)?;
        candidates.into_iter().try_for_each(|(key, last_use)| self.revoke_if_quiet(&key, last_use))
    }

    fn revoke_if_quiet(&self, key: &Key, last_use: Option<LastUse>) -> Result<(), KeysError> {
        let now = self.clock.now().wall;
        let Some(entry) = self.keyring.get(key.id) else { return Ok(()) };
        let Some(quiet) = key.settings.extras().revoke_when_quiet else { return Ok(()) };
        let is_quiet = || {
            let last_used_at = last_use.map(|last| last.at).max(entry.last_use(now));
            key.quiet_since(last_used_at).is_some_and(|since| now.since(since) >= quiet)
        };
        let up = self.clock.steady().saturating_sub(self.loaded);
        if !is_quiet() || key.status(now) != Status::Active || up < quiet.min(COME_BACK) {
            return Ok(());
        }
        let Some(successor) = self.live_successor(key, now) else { return Ok(()) };
        let order = Order { actor: Actor::System, idempotency: None };
        // Others may have had the writer for a while: who was let through meanwhile came in time.
        let Some(revoked) = self.end_if(&entry, order, now, is_quiet)? else { return Ok(()) };
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
        let next = |key: &Key| self.keyring.get(key.rotated_to()?);
        std::iter::successors(next(key), |entry| next(&entry.key))
            .find(|entry| entry.key.status(now) == Status::Active)
    }
}
