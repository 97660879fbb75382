//! What is unusual about how keys are used: the rules that say so, the watch that looks, and the courier that
//! tells webhooks.
//!
//! The keeper's thread owns the [`Watch`]: it shows it what was counted, and writes what the watch found in the
//! same transaction. The [`Courier`] delivers what is in the outbox. Between them stands [`Alerts`].

mod audit;
mod change;
mod courier;
mod error;
mod render;
mod rules;
mod view;
mod watch;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ring::rand::SystemRandom;
use rusqlite::Connection;
use tokio::sync::{Notify, mpsc};

pub use change::NewRule;
pub use courier::{Courier, TestOutcome};
pub use error::AlertsError;
pub use rules::Rules;
pub use view::AlertView;
pub use watch::Watch;

use crate::clock::Clock;
use crate::domain::alert::Alert;
use crate::store::alerts::Filter;
use crate::store::{self, Store, StoreError};
use courier::Trial;

/// The rules, and what came of them.
#[derive(Debug)]
pub struct Alerts {
    store: Arc<Store>,
    clock: Clock,
    random: SystemRandom,
    rules: RwLock<Arc<Rules>>,
    /// One change at a time, so that memory sees changes in the order they were committed.
    turn: Mutex<()>,
    open: AtomicU64,
    deliveries: [AtomicU64; Delivered::ALL.len()],
    /// Wakes the courier.
    news: Notify,
    trials: mpsc::UnboundedSender<Trial>,
    /// The other end, until the courier takes it.
    asked: Mutex<Option<mpsc::UnboundedReceiver<Trial>>>,
}

/// How an attempt at a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// The webhook took it.
    Delivered,
    /// It did not, and will be asked again.
    Failed,
    /// It did not for the last time.
    GivenUp,
}

impl Delivered {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Failed, Self::GivenUp];

    /// Returns the outcome's name in the metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
        }
    }
}

impl Alerts {
    /// Loads the rules.
    pub fn load(store: Arc<Store>, clock: Clock) -> Result<Self, StoreError> {
        let rules = store.read(store::alert_rules::all)?;
        let open = store.read(store::alerts::count_open)?;
        let (trials, asked) = mpsc::unbounded_channel();
        Ok(Self {
            store,
            clock,
            random: SystemRandom::new(),
            rules: RwLock::new(Arc::new(Rules::new(rules.into_iter().map(Arc::new)))),
            turn: Mutex::default(),
            open: AtomicU64::new(open),
            deliveries: Default::default(),
            news: Notify::new(),
            trials,
            asked: Mutex::new(Some(asked)),
        })
    }

    /// Returns the rules as they are now.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the newest alerts that the filter lets through, newest first.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Alert>, AlertsError> {
        Ok(self.store.read(|connection| store::alerts::list(connection, filter))?)
    }

    /// Returns how many alerts nobody has acknowledged and are not over.
    pub fn open_count(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Returns how many attempts at deliveries have ended how since the start.
    pub fn deliveries(&self) -> [(Delivered, u64); 3] {
        Delivered::ALL.map(|outcome| (outcome, self.deliveries[outcome as usize].load(Ordering::Relaxed)))
    }

    /// Counts the open alerts anew, before a change of them is committed.
    fn recount(&self, connection: &Connection) -> rusqlite::Result<()> {
        self.open.store(store::alerts::count_open(connection)?, Ordering::Relaxed);
        Ok(())
    }

    fn count_delivery(&self, outcome: Delivered) {
        self.deliveries[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
