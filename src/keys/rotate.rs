//! Handing over from one key to the next without hurting anybody.

use std::time::Duration;

use super::{Issued, Keys, KeysError, Order, idempotency};
use crate::domain::id::KeyId;
use crate::domain::key::{Key, Settings, Status};
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::store::{self, StoreError};

/// How a key is to be rotated.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// How long the old key goes on; it ends sooner if it would have.
    pub expire_old_in: Duration,
    /// When the new key ends, if not after the same lifetime as the old one.
    pub expires_at: Option<Timestamp>,
    /// How long the old key is to be quiet to be revoked before it ends.
    pub revoke_when_quiet: Option<Duration>,
}

impl Keys {
    /// Makes a successor with the same settings, linked both ways; the two share one allowance. `rotation` is
    /// asked only if the same request did not make one before: what it says may hold no longer.
    pub fn rotate<E: From<KeysError>>(
        &self,
        id: KeyId,
        order: Order,
        rotation: impl FnOnce() -> Result<Rotation, E>,
    ) -> Result<Issued, E> {
        let _turn = self.turn();
        let now = self.clock.now().wall;
        if let Some(done) = self.done_before(order, now)? {
            return Ok(self.issued_before(done)?);
        }
        Ok(self.hand_over(id, rotation()?, order, now)?)
    }

    fn hand_over(
        &self,
        id: KeyId,
        rotation: Rotation,
        order: Order,
        now: Timestamp,
    ) -> Result<Issued, KeysError> {
        let entry = self.unrevoked(id)?;
        check_rotatable(&entry.key, now)?;
        let token = Token::random(&self.random)?;
        let settings = successor_settings(&entry.key, rotation, now);
        let mut new = self.new_key(settings, &token, now)?;
        new.change_succession(|succession| {
            succession.first = entry.key.line();
            succession.from = Some(id);
        });
        let old = predecessor(&entry.key, rotation, new.id, now);
        let digest = self.keyring.digest(&token);
        self.store.write(|transaction| {
            store::keys::insert(transaction, &new, &digest).map_err(StoreError::from)?;
            store::keys::update(transaction, &old).map_err(StoreError::from)?;
            idempotency::note(transaction, order.idempotency, new.id, now)?;
            self.note(transaction, order.actor, "key.rotate", Some(&entry.key), Some(&old))?;
            self.note(transaction, order.actor, "key.create", None, Some(&new))
        })?;
        self.put(old, &entry);
        self.keyring.put(new.clone(), digest, self.limit(&new));
        self.remember(&new, &token, order);
        tracing::info!(key.id = %id, key.new = %new.id, "rotated key `{}`", new.settings.name.as_str());
        Ok(Issued { key: new, token: Some(token) })
    }
}

fn check_rotatable(key: &Key, now: Timestamp) -> Result<(), KeysError> {
    if let Some(successor) = key.rotated_to() {
        return Err(KeysError::AlreadyRotated(successor));
    }
    match key.status(now) {
        Status::Active => Ok(()),
        Status::Expired => Err(KeysError::Expired),
        Status::Disabled => Err(KeysError::Disabled),
        Status::Revoked => Err(KeysError::Revoked(key.id)),
    }
}

fn successor_settings(old: &Key, rotation: Rotation, now: Timestamp) -> Settings {
    let same_lifetime = old.settings.expires_at.map(|end| now.after(end.since(old.created_at)));
    let expires_at = rotation.expires_at.or(same_lifetime);
    let mut settings = Settings { expires_at, ..old.settings.clone() };
    settings.change_extras(|extras| extras.revoke_when_quiet = None);
    settings
}

fn predecessor(old: &Key, rotation: Rotation, successor: KeyId, now: Timestamp) -> Key {
    let end = now.after(rotation.expire_old_in);
    let end = old.settings.expires_at.map_or(end, |sooner| sooner.min(end));
    let mut key = old.clone();
    key.settings.expires_at = Some(end);
    key.settings.change_extras(|extras| extras.revoke_when_quiet = rotation.revoke_when_quiet);
    key.change_succession(|succession| {
        succession.to = Some(successor);
        succession.at = Some(now);
    });
    key
}
