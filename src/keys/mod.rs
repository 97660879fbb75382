//! The only writer of keys: a change is committed, then swapped into the keyring, then answered.

mod audit;
mod error;
mod idempotency;
mod issue;
mod quiet;
mod recent;
mod rotate;
mod start;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::rand::SystemRandom;
use rusqlite::Transaction;

pub use error::KeysError;
pub use rotate::Rotation;
pub use start::StartError;

pub use crate::domain::order::{Idempotency, Order};

use crate::clock::Clock;
use crate::domain::audit::{Actor, row_id};
use crate::domain::id::KeyId;
use crate::domain::key::{Key, Settings};
use crate::domain::plan::Plans;
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use crate::gate::keyring::{Entry, Keyring};
use crate::latest::Latest;
use crate::store::{self, Store, StoreError};
use recent::RecentTokens;

/// Makes and changes keys.
#[derive(Debug)]
pub struct Keys {
    store: Arc<Store>,
    keyring: Arc<Keyring>,
    plans: Latest<Plans>,
    clock: Clock,
    random: SystemRandom,
    recent: RecentTokens,
    /// Steady time.
    loaded: Duration,
    /// One change at a time, so that the keyring sees changes in the order they were committed.
    turn: Mutex<()>,
}

/// A key that was made, and its token while it can still be shown.
#[derive(Debug)]
pub struct Issued {
    /// The record.
    pub key: Key,
    /// The secret. `None` only for a request repeated when it is no longer in memory.
    pub token: Option<Token>,
}

impl Keys {
    /// Changes what the operator decides about a key. `edit` gets the key as it is now; the settings that it
    /// returns are in force when this returns.
    pub fn change<E: From<KeysError>>(
        &self,
        id: KeyId,
        actor: Actor,
        edit: impl FnOnce(&Key) -> Result<Settings, E>,
    ) -> Result<Key, E> {
        let _turn = self.turn();
        let entry = self.unrevoked(id)?;
        let settings = edit(&entry.key)?;
        let key = Key { settings, ..entry.key.clone() };
        if key == entry.key {
            return Ok(key);
        }
        self.store.write(|transaction| {
            store::keys::update(transaction, &key).map_err(StoreError::from)?;
            self.note(transaction, actor, "key.update", Some(&entry.key), Some(&key))
        })?;
        self.put(key.clone(), &entry);
        tracing::info!(key.id = %id, "changed key `{}`", key.settings.name.as_str());
        Ok(key)
    }

    /// Revokes a key for good; doing it again changes nothing.
    pub fn revoke(&self, id: KeyId, order: Order) -> Result<Key, KeysError> {
        let _turn = self.turn();
        let now = self.clock.now().wall;
        let entry = self.keyring.get(id).ok_or(KeysError::NotFound)?;
        if self.done_before(order, now)?.is_some() || entry.key.revoked_at.is_some() {
            return Ok(entry.key.clone());
        }
        let Some(key) = self.end_if(&entry, order, now, || true)? else { return Ok(entry.key.clone()) };
        tracing::info!(key.id = %id, "revoked key `{}`", key.settings.name.as_str());
        Ok(key)
    }

    /// Revokes a key, if it is still wanted once the database is this change's alone.
    fn end_if(
        &self,
        entry: &Entry,
        order: Order,
        now: Timestamp,
        is_wanted: impl FnOnce() -> bool,
    ) -> Result<Option<Key>, KeysError> {
        let key = Key { revoked_at: Some(now), ..entry.key.clone() };
        let is_written = self.store.write(|transaction| {
            if !is_wanted() {
                return Ok(false);
            }
            store::keys::update(transaction, &key).map_err(StoreError::from)?;
            idempotency::note(transaction, order.idempotency, key.id, now)?;
            self.note(transaction, order.actor, "key.revoke", Some(&entry.key), Some(&key))?;
            Ok::<_, KeysError>(true)
        })?;
        if !is_written {
            return Ok(None);
        }
        self.put(key.clone(), entry);
        self.recent.forget(key.id);
        Ok(Some(key))
    }

    /// Deletes a key: it stops working and its record goes, what it used stays.
    pub fn delete(&self, id: KeyId, actor: Actor) -> Result<(), KeysError> {
        let _turn = self.turn();
        let entry = self.keyring.get(id).ok_or(KeysError::NotFound)?;
        self.store.write(|transaction| {
            store::keys::delete(transaction, id).map_err(StoreError::from)?;
            self.note(transaction, actor, "key.delete", Some(&entry.key), None)
        })?;
        self.keyring.remove(id);
        self.recent.forget(id);
        tracing::info!(key.id = %id, "deleted key `{}`", entry.key.settings.name.as_str());
        Ok(())
    }

    /// Returns the plans that keys may be on.
    pub fn plans(&self) -> Arc<Plans> {
        self.plans.get()
    }

    /// Puts other plans in place of these: each key follows its plan at once, and what it has used stays used.
    pub fn set_plans(&self, plans: Plans) {
        let _turn = self.turn();
        self.keyring.set_limits(|key| limit_on(&plans, key));
        self.plans.replace(plans);
        self.tell_lost_plans();
    }

    /// Tells the log of plans that keys are on and that set no limit for them.
    fn tell_lost_plans(&self) {
        let (plans, mut lost) = (self.plans(), BTreeMap::<String, usize>::new());
        self.keyring.for_each(|key| {
            let Settings { plan, requests_per_minute, .. } = &key.settings;
            if key.revoked_at.is_none() && plans.limit(plan, *requests_per_minute).is_err() {
                *lost.entry((**plan).to_owned()).or_default() += 1;
            }
        });
        for (plan, keys) in lost {
            tracing::warn!(
                "the plan `{plan}` is not in the configuration, or sets no limit: the {keys} keys on it that have none \
                 of their own get that of `{}`",
                plans.default_name()
            );
        }
    }

    fn unrevoked(&self, id: KeyId) -> Result<Arc<Entry>, KeysError> {
        let entry = self.keyring.get(id).ok_or(KeysError::NotFound)?;
        if entry.key.revoked_at.is_some() {
            return Err(KeysError::Revoked(id));
        }
        Ok(entry)
    }

    fn put(&self, key: Key, entry: &Entry) {
        let limit = self.limit(&key);
        self.keyring.put(key, *entry.digest(), limit);
    }

    fn limit(&self, key: &Key) -> u32 {
        limit_on(&self.plans(), key)
    }

    fn note(
        &self,
        transaction: &Transaction<'_>,
        actor: Actor,
        action: &'static str,
        before: Option<&Key>,
        after: Option<&Key>,
    ) -> Result<(), KeysError> {
        let change = audit::change(self.clock.now().wall, actor, action, before, after);
        let id = row_id(&self.random)?;
        store::audit::append(transaction, id, change).map_err(StoreError::from)?;
        Ok(())
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the limit in force for a key.
fn limit_on(plans: &Plans, key: &Key) -> u32 {
    plans.limit_or_default(&key.settings.plan, key.settings.requests_per_minute).get()
}
