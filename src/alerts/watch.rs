//! Looks at what was counted, as it is counted: what is unusual becomes an alert.
//!
//! The keeper's thread owns it. What it finds is kept until it is written, so that a full disk loses nothing.

mod episodes;
mod habits;
mod look;
mod outgoing;
mod places;
mod ring;
mod rings;
#[cfg(test)]
mod simulation;
mod tally;
mod words;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::{AlertView, Alerts};
use crate::clock::Now;
use crate::domain::alert::{Alert, Rule};
use crate::domain::id::KeyId;
use crate::domain::place::Place;
use crate::domain::sighting::{Seen, Sighting};
use crate::gate::keyring::Keyring;
use crate::nice::with_pauses;
use crate::store::{self, Store, StoreError};
use episodes::{Episodes, Events, Name, Words};
use habits::Habits;
use look::Hour;
use outgoing::{Outgoing, Tray};
use places::Places;
use rings::Rings;
use tally::Tallies;

/// How often it is looked which keys end soon where nothing changed, and for what may be forgotten.
const ROUND: Duration = Duration::from_secs(60);
/// How long an alert may be quiet whose rule is gone.
const ORPHANED: Duration = Duration::from_secs(300);

/// Looks for what is unusual.
#[derive(Debug)]
pub struct Watch {
    alerts: Arc<Alerts>,
    store: Arc<Store>,
    keyring: Arc<Keyring>,
    episodes: Episodes,
    /// Windows of keys, and of places: guessing from many of those costs no key its window.
    of_keys: Rings<KeyId>,
    of_places: Rings<Option<Place>>,
    /// How much each key was used in the hour that is.
    hours: HashMap<KeyId, Hour>,
    places: Places,
    habits: Habits,
    /// Deliveries that are not written yet.
    outbox: Tray,
    /// The keyring's edition when it was last looked which keys end soon, and the steady time.
    scanned: Option<(u64, Duration)>,
    swept: Duration,
    /// Whether the database could not be read the last time.
    failing: bool,
}

/// Whether what a window holds is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// By far not.
    Under,
    /// Not, but too much to call it over.
    Near,
    /// It is.
    Over,
}

impl Watch {
    /// Goes on with the alerts that were not over when the server stopped.
    pub fn new(
        alerts: Arc<Alerts>,
        store: Arc<Store>,
        keyring: Arc<Keyring>,
        now: Now,
    ) -> Result<Self, StoreError> {
        let (unresolved, rules) = (store.read(store::alerts::unresolved)?, alerts.rules());
        let quiet = |alert: &Alert| rules.get(alert.rule).map_or(ORPHANED, |rule| rule.quiet());
        let episodes = Episodes::resume(unresolved, quiet, now);
        Ok(Self {
            alerts,
            store,
            keyring,
            episodes,
            of_keys: Rings::default(),
            of_places: Rings::default(),
            hours: HashMap::new(),
            places: Places::default(),
            habits: Habits::default(),
            outbox: Tray::default(),
            scanned: None,
            swept: now.steady,
            failing: false,
        })
    }

    /// Looks at what was counted since the last time.
    pub fn observe<'a>(&mut self, fresh: impl Iterator<Item = (&'a Sighting, &'a Seen)>, now: Now) {
        // What has been quiet for long enough is over, whatever comes now.
        self.settle(now);
        let (tallies, rules) = (Tallies::of(fresh), self.alerts.rules());
        for ((key, place), spot) in &tallies.guesses {
            self.look_at_guesses(&rules, (*key, *place), spot, now);
        }
        for ((key, place), spot) in with_pauses(&tallies.admitted) {
            self.look_at_place(&rules, (*key, *place), spot, now);
        }
        for (key, tally) in with_pauses(&tallies.keys) {
            self.look_at_errors(&rules, *key, tally, now);
            self.look_at_volume(&rules, *key, tally, now);
            self.look_at_limits(&rules, *key, tally, now);
            self.look_at_hour(&rules, *key, tally, now);
            self.look_at_succession(&rules, *key, tally, now);
        }
    }

    /// Ends what is over, and looks for what happens by itself.
    pub fn tick(&mut self, now: Now) {
        self.settle(now);
        let edition = self.keyring.edition();
        let is_due = |(seen, at): (u64, Duration)| seen != edition || now.steady.saturating_sub(at) >= ROUND;
        if self.scanned.is_none_or(is_due) {
            self.scanned = Some((edition, now.steady));
            self.look_at_ends(&self.alerts.rules(), now);
        }
        if now.steady.saturating_sub(self.swept) >= ROUND {
            self.swept = now.steady;
            self.of_keys.sweep(now.steady);
            self.of_places.sweep(now.steady);
            self.hours.retain(|_, hour| hour.is_now(now.wall));
        }
    }

    /// Tells whether there is nothing to write.
    pub fn is_written(&self) -> bool {
        self.episodes.unwritten.is_empty() && self.outbox.waiting.is_empty() && self.places.is_written()
    }

    /// Writes what was found since it was last written.
    pub fn write(&self, connection: &Connection) -> Result<(), StoreError> {
        self.episodes.unwritten.values().try_for_each(|alert| store::alerts::save(connection, alert))?;
        self.outbox.write(connection)?;
        self.places.write(connection)?;
        if !self.episodes.unwritten.is_empty() {
            self.alerts.recount(connection)?;
        }
        Ok(())
    }

    /// Forgets what was to be written: it is, for good, or it cannot be.
    pub fn written(&mut self) {
        self.episodes.unwritten.clear();
        self.places.written();
        if !std::mem::take(&mut self.outbox.waiting).is_empty() {
            self.alerts.news.notify_one();
        }
    }

    fn settle(&mut self, now: Now) {
        for alert in self.episodes.settle(now) {
            tell_end(&alert);
        }
    }

    /// Counts events of an episode; begins one if it is too much.
    fn note(
        &mut self,
        (rule, name): (&Rule, Name),
        (events, all): (Events, Events),
        level: Level,
        words: impl FnOnce(&Keyring) -> Words,
        now: Now,
    ) {
        let keep = (level != Level::Under).then_some(now.steady);
        if self.episodes.count(&name, events, keep) || level != Level::Over {
            return;
        }
        let place = self.episodes.place(rule, &name);
        if place == name {
            let words = words(&self.keyring);
            return self.raise(rule, place, all, words, now);
        }
        let words = words::others(rule.kind, &name);
        self.episodes.fold(name, place.clone());
        if self.episodes.count(&place, all, keep) {
            self.episodes.amend(&place, words.details);
        } else {
            self.raise(rule, place, all, words, now);
        }
    }

    fn raise(&mut self, rule: &Rule, name: Name, events: Events, words: Words, now: Now) {
        let Some(alert) = self.episodes.raise(rule, name, events, words, now) else {
            tracing::error!("an alert is lost: the system has no randomness to give");
            return;
        };
        tell(&alert);
        if rule.webhook.is_some() {
            let payload =
                serde_json::to_string(&AlertView::from(&alert)).expect("texts and numbers serialise");
            self.outbox.waiting.push(Outgoing { rule: rule.id, alert: alert.id, payload, at: now.wall });
        }
    }

    /// Returns what was read; says once that it cannot be.
    fn read<T>(&mut self, result: Result<T, StoreError>) -> Option<T> {
        match result {
            Ok(read) => {
                self.failing = false;
                Some(read)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!("alerts that need to know the past are not raised: {error}");
                }
                None
            }
        }
    }
}

fn tell(alert: &Alert) {
    let ip = alert.details.get("ip").and_then(|ip| ip.as_str());
    tracing::warn!(
        alert.id = %alert.id,
        alert.kind = %alert.kind,
        key.id = alert.key.map(tracing::field::display),
        client.ip = ip,
        "alert: {}",
        alert.summary
    );
}

fn tell_end(alert: &Alert) {
    tracing::info!(
        alert.id = %alert.id,
        alert.kind = %alert.kind,
        key.id = alert.key.map(tracing::field::display),
        alert.count = alert.count,
        "alert is over: {}",
        alert.summary
    );
}
