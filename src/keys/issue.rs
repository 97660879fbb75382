//! Making a key.

use super::{Issued, Keys, KeysError, Order, idempotency};
use crate::domain::id::KeyId;
use crate::domain::key::{Key, Settings};
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::store::{self, StoreError};

impl Keys {
    /// Makes a key. `settings` is asked only if the same request did not make one before: what it says may
    /// hold no longer.
    pub fn issue<E: From<KeysError>>(
        &self,
        order: Order,
        settings: impl FnOnce() -> Result<Settings, E>,
    ) -> Result<Issued, E> {
        let _turn = self.turn();
        let now = self.clock.now().wall;
        if let Some(done) = self.done_before(order, now)? {
            return Ok(self.issued_before(done)?);
        }
        Ok(self.make(settings()?, order, now)?)
    }

    fn make(&self, settings: Settings, order: Order, now: Timestamp) -> Result<Issued, KeysError> {
        let token = Token::random(&self.random)?;
        let key = self.new_key(settings, &token, now)?;
        let digest = self.keyring.digest(&token);
        self.store.write(|transaction| {
            store::keys::insert(transaction, &key, &digest).map_err(StoreError::from)?;
            idempotency::note(transaction, order.idempotency, key.id, now)?;
            self.note(transaction, order.actor, "key.create", None, Some(&key))
        })?;
        self.keyring.put(key.clone(), digest, self.limit(&key));
        self.remember(&key, &token, order);
        tracing::info!(key.id = %key.id, "created key `{}`", key.settings.name.as_str());
        Ok(Issued { key, token: Some(token) })
    }

    /// Returns what the same request was answered with before, the token too while it is in memory.
    pub(super) fn issued_before(&self, id: KeyId) -> Result<Issued, KeysError> {
        let entry = self.keyring.get(id).ok_or(KeysError::DeletedSince)?;
        Ok(Issued { key: entry.key.clone(), token: self.recent.get(id, self.clock.steady()) })
    }

    /// Keeps the token in memory for a while, if the request says how to ask for it again.
    pub(super) fn remember(&self, key: &Key, token: &Token, order: Order) {
        if order.idempotency.is_some() {
            self.recent.put(key.id, token.clone(), self.clock.steady());
        }
    }

    pub(super) fn new_key(
        &self,
        settings: Settings,
        token: &Token,
        now: Timestamp,
    ) -> Result<Key, KeysError> {
        let id = KeyId::random(&self.random)?;
        Ok(Key::new(id, token.hint(), settings, now))
    }
}
