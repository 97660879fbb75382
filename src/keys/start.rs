//! From the database into memory, at start; and the first key of all.

use std::sync::{Arc, Mutex};

use ring::rand::{SecureRandom as _, SystemRandom};

use super::recent::RecentTokens;
use super::{Issued, Keys, KeysError, Order};
use crate::clock::Clock;
use crate::domain::digest::Digester;
use crate::domain::key::{Name, Settings};
use crate::domain::plan::Plans;
use crate::domain::scope::Scopes;
use crate::domain::token::Token;
use crate::gate::keyring::Keyring;
use crate::latest::Latest;
use crate::store::{self, Store, StoreError};

const DIGEST_SECRET: &str = "token digests";

/// Why keys could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error("cannot load the keys: {0}")]
pub struct StartError(#[from] KeysError);

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl Keys {
    /// Loads all keys; makes the secret behind their digests if this is the first start.
    pub fn load(store: Arc<Store>, plans: Plans, clock: Clock) -> Result<Self, StartError> {
        let random = SystemRandom::new();
        let digester = digester(&store, &random)?;
        let keyring = store.read(|connection| {
            let keyring = Keyring::with_room(digester, store::keys::count_all(connection)?);
            store::keys::for_each(connection, |key, digest| {
                let limit = super::limit_on(&plans, &key);
                keyring.put(key, digest, limit);
            })?;
            Ok(Arc::new(keyring))
        })?;
        let (recent, turn) = (RecentTokens::default(), Mutex::default());
        let loaded = clock.steady();
        let plans = Latest::new(plans);
        let keys = Self { store, keyring, plans, clock, random, recent, loaded, turn };
        keys.tell_lost_plans();
        Ok(keys)
    }

    /// Returns the keyring that this is the only writer of.
    pub fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.keyring)
    }

    /// Makes the default key if no key was ever made, and tells whether it did. `hand_over` gets it before it
    /// is committed, to bring its token to the operator; if it returns false, there is no key.
    pub fn issue_default(
        &self,
        order: Order,
        hand_over: impl FnOnce(&Issued) -> bool,
    ) -> Result<bool, KeysError> {
        let _turn = self.turn();
        let filter = store::audit::Filter { limit: 1, ..Default::default() };
        let is_first = self.store.read(|connection| store::audit::list(connection, &filter))?.is_empty();
        if !is_first || self.keyring.has_any() {
            return Ok(false);
        }
        let token = Token::random(&self.random)?;
        let name = Name::parse("default").expect("a plain word");
        let settings = Settings::new(name, Scopes::EVERY, self.plans().default_name());
        let key = self.new_key(settings, &token, self.clock.now().wall)?;
        let digest = self.keyring.digest(&token);
        let issued = Issued { key, token: Some(token) };
        let made = self.store.write(|transaction| {
            store::keys::insert(transaction, &issued.key, &digest).map_err(StoreError::from)?;
            self.note(transaction, order.actor, "key.create", None, Some(&issued.key))?;
            if hand_over(&issued) { Ok(()) } else { Err(KeysError::NotHandedOver) }
        });
        match made {
            Err(KeysError::NotHandedOver) => return Ok(false),
            made => made?,
        }
        let limit = self.limit(&issued.key);
        self.keyring.put(issued.key, digest, limit);
        Ok(true)
    }

    /// Forgets what is past its time, in memory and, at most so many rows, in the database; returns how many.
    pub fn prune(&self, transaction: &rusqlite::Transaction<'_>, most: usize) -> Result<usize, StoreError> {
        let now = self.clock.now();
        self.recent.prune(now.steady);
        Ok(store::idempotency::delete_before(transaction, now.wall.before(store::idempotency::KEPT), most)?)
    }
}

fn digester(store: &Store, random: &SystemRandom) -> Result<Digester, KeysError> {
    store.write(|transaction| {
        let known = store::secrets::find(transaction, DIGEST_SECRET).map_err(StoreError::from)?;
        if let Some(secret) = known {
            return Ok(Digester::new(&secret));
        }
        let mut secret = [0; 32];
        random.fill(&mut secret)?;
        store::secrets::insert(transaction, DIGEST_SECRET, &secret).map_err(StoreError::from)?;
        Ok(Digester::new(&secret))
    })
}
