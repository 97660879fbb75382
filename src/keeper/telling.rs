//! What the log is told of refusals: what settings that are only tried out would have refused, and who still uses
//! keys that do not work any more. A line a minute for each at most.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use super::Rooms;
use crate::domain::id::KeyId;
use crate::domain::report_only::{Finding, Setting};
use crate::domain::scope::Scopes;
use crate::domain::time::Timestamp;
use crate::gate::keyring::Keyring;
use crate::gate::trail::DeadUse;
use crate::meter::Reports;

/// How long the same is not told again.
const PAUSE: Duration = Duration::from_secs(60);
/// How many things are told apart; more are not told at all until there is room.
const MOST: usize = 1_000;

/// What was told lately, and what waits to be.
#[derive(Debug, Default)]
pub(super) struct Telling {
    reports: Paced<(KeyId, Finding), ()>,
    dead: Paced<KeyId, DeadUse>,
}

/// Things that happen again and again.
#[derive(Debug)]
struct Paced<K, V>(HashMap<K, Pace<V>>);

#[derive(Debug)]
struct Pace<V> {
    /// When it was told last.
    told: Option<Duration>,
    /// How often it happened since, and how the last time.
    waiting: Option<(u64, V)>,
}

impl Telling {
    /// Takes in what was found, and tells what is due.
    pub(super) fn tell(&mut self, rooms: &Rooms, reports: &Reports) {
        let (now, keyring) = (rooms.clock.now(), rooms.keys.keyring());
        for (key, finding, made) in reports.iter() {
            self.reports.add((key, finding), made.requests, ());
        }
        for dead in rooms.trail.take_dead() {
            self.dead.add(dead.entry.key.id, dead.requests, dead);
        }
        for ((id, finding), requests, ()) in self.reports.due(now.steady) {
            tell_finding(&keyring, id, finding, requests);
        }
        for (_, requests, dead) in self.dead.due(now.steady) {
            tell_dead(&keyring, requests, &dead, now.wall);
        }
    }
}

impl<K: Copy + Eq + Hash, V> Paced<K, V> {
    fn add(&mut self, key: K, times: u64, value: V) {
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            return;
        }
        let pace = self.0.entry(key).or_insert(Pace { told: None, waiting: None });
        let before = pace.waiting.take().map_or(0, |(times, _)| times);
        pace.waiting = Some((before + times, value));
    }

    /// Returns what may be told now, and forgets what has not happened since it was.
    fn due(&mut self, now: Duration) -> Vec<(K, u64, V)> {
        let mut due = Vec::new();
        self.0.retain(|key, pace| {
            let has_paused = pace.told.is_none_or(|told| now.saturating_sub(told) >= PAUSE);
            match pace.waiting.take_if(|_| has_paused) {
                Some((times, value)) => {
                    pace.told = Some(now);
                    due.push((*key, times, value));
                    true
                }
                None => !has_paused,
            }
        });
        due
    }
}

impl<K, V> Default for Paced<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

fn tell_finding(keyring: &Keyring, id: KeyId, finding: Finding, requests: u64) {
    // A key that was deleted meanwhile is nobody's business any more.
    let Some(entry) = keyring.get(id) else { return };
    let (key, times) = (entry.key.named(), times(requests));
    let why = why(finding, entry.key.settings.scopes);
    tracing::info!(key.id = %id, "key {key} would have been refused {times}: {why} (report_only)");
}

fn why(finding: Finding, scopes: Scopes) -> String {
    match finding {
        Finding::Address(Some(address)) => format!("{} is outside allowed_ips", address.to_canonical()),
        Finding::Address(None) => "an address that cannot be read is outside allowed_ips".to_owned(),
        Finding::Scope(scope) => format!("it lacks `{scope}`; it has {}", scopes.names().join(", ")),
        Finding::Others(Setting::AllowedIps) => "more addresses are outside allowed_ips".to_owned(),
        Finding::Others(Setting::Scopes) => "it lacks more scopes".to_owned(),
    }
}

/// A key with a successor is most likely still in some client's configuration; one without may only have come to
/// its end.
fn tell_dead(keyring: &Keyring, requests: u64, dead: &DeadUse, now: Timestamp) {
    let (key, id) = (&dead.entry.key, dead.entry.key.id);
    let asked = if requests == 1 { "1 request".to_owned() } else { format!("{requests} requests") };
    let ended = key.ended(now).unwrap_or_else(|| "did not work".to_owned());
    let text = format!("refused {asked} with key {}, which {ended}", key.named());
    let from = from(dead);
    match key.rotated_to() {
        Some(successor) => {
            let successor = match keyring.get(successor) {
                Some(entry) => entry.key.named(),
                None => format!("{successor}, deleted since"),
            };
            tracing::warn!(key.id = %id, "{text} and was rotated to {successor}; from {from}");
        }
        None => tracing::info!(key.id = %id, "{text}; from {from}"),
    }
}

fn from(dead: &DeadUse) -> String {
    let asker = &dead.asker;
    let address = asker.client.map_or_else(
        || "an address that cannot be read".to_owned(),
        |client| client.to_canonical().to_string(),
    );
    if asker.user_agent.is_empty() { address } else { format!("{address}, {}", asker.user_agent) }
}

fn times(requests: u64) -> String {
    if requests == 1 { "once".to_owned() } else { format!("{requests} times") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_same_is_told_once_a_minute_with_the_number_since() {
        let mut paced = Paced::default();
        paced.add('a', 2, "first");
        assert_eq!(paced.due(seconds(100)), [('a', 2, "first")]);
        for second in 101..160 {
            paced.add('a', 1, "later");
            assert_eq!(paced.due(seconds(second)), []);
        }
        paced.add('b', 1, "other");
        assert_eq!(paced.due(seconds(159)), [('b', 1, "other")]);
        // What waits is told though nothing more happens.
        assert_eq!(paced.due(seconds(160)), [('a', 59, "later")]);
        assert_eq!(paced.due(seconds(220)), []);
        assert!(paced.0.is_empty(), "what is over is forgotten");
    }

    #[test]
    fn memory_is_bounded_whatever_happens() {
        let mut paced = Paced::default();
        (0..5_000).for_each(|number| paced.add(number, 1, ()));
        assert_eq!(paced.due(seconds(1)).len(), MOST);
        (0..5_000).for_each(|number| paced.add(number, 1, ()));
        assert_eq!(paced.0.len(), MOST);
    }
}
