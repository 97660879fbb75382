//! What each kind of rule looks at.

use std::collections::HashMap;
use std::time::Duration;

use super::episodes::{Events, Name, OTHERS};
use super::habits::{baseline, weekly_peak};
use super::places::NewPlace;
use super::ring::Held;
use super::tally::{Spot, Tally};
use super::{Level, Watch, tell_end, words};
use crate::alerts::Rules;
use crate::clock::Now;
use crate::domain::alert::{Kind, Rule};
use crate::domain::id::KeyId;
use crate::domain::key::{Key, Status};
use crate::domain::place::Place;
use crate::domain::time::Timestamp;

/// Fewer failures tell of no fault.
const FEWEST_FAILURES: u64 = 10;
/// Fewer requests are no spike.
const FEWEST_REQUESTS: f64 = 50.0;
/// How much more than on the same day of the last weeks tells of more than the week's own ups and downs.
const WEEKLY_MARGIN: f64 = 1.5;
const DAY: Duration = Duration::from_secs(86_400);

/// How much a key was used in an hour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hour {
    /// Hours since the epoch.
    index: i64,
    requests: u64,
    first: Timestamp,
}

impl Watch {
    pub(super) fn look_at_errors(&mut self, rules: &Rules, key: KeyId, tally: &Tally<'_>, now: Now) {
        let failures = &tally.failures;
        for rule in rules.in_force(Kind::ErrorRate, Some(key)).filter(|_| tally.judged > 0) {
            let more = Held { all: tally.judged, ..Held::bad(failures.count, failures.first) };
            let held = self.of_keys.of(rule, key, now.steady).add(more, now.steady);
            if failures.count == 0 {
                continue;
            }
            let reaches =
                |fewest: u64, rate: f64| held.bad >= fewest && held.bad as f64 >= rate * held.all as f64;
            let level = if reaches(FEWEST_FAILURES, rule.threshold()) {
                Level::Over
            } else if reaches(FEWEST_FAILURES / 2, rule.threshold() / 2.0) {
                Level::Near
            } else {
                Level::Under
            };
            let say = |keyring: &_| words::error_rate(keyring, rule, key, held, failures.example);
            self.note((rule, of_key(rule, key)), events(failures, held), level, say, now);
        }
    }

    pub(super) fn look_at_volume(&mut self, rules: &Rules, key: KeyId, tally: &Tally<'_>, now: Now) {
        let requests = &tally.admitted;
        for rule in rules.in_force(Kind::RequestSpike, Some(key)).filter(|_| requests.count > 0) {
            let more = Held::bad(requests.count, requests.first);
            let held = self.of_keys.of(rule, key, now.steady).add(more, now.steady);
            let name = of_key(rule, key);
            // Nothing is read for a key that is hardly used.
            if (held.all as f64) < FEWEST_REQUESTS / 2.0 {
                self.episodes.count(&name, events(requests, held).0, None);
                continue;
            }
            let (window, today) = (rule.window(), day(now.wall));
            let days = self.habits.of(&self.store, key, today);
            let Some(days) = self.read(days) else { continue };
            let Some(usual) = baseline(&days, window) else { continue };
            let weekly = WEEKLY_MARGIN * weekly_peak(&days, window, today);
            let level = Level::of(held.all, FEWEST_REQUESTS.max(rule.threshold() * usual).max(weekly));
            let say = |keyring: &_| words::request_spike(keyring, rule, key, (held, usual), requests.example);
            self.note((rule, name), events(requests, held), level, say, now);
        }
    }

    pub(super) fn look_at_limits(&mut self, rules: &Rules, key: KeyId, tally: &Tally<'_>, now: Now) {
        let limited = &tally.limited;
        for rule in rules.in_force(Kind::RateLimited, Some(key)).filter(|_| limited.count > 0) {
            let held = self
                .of_keys
                .of(rule, key, now.steady)
                .add(Held::bad(limited.count, limited.first), now.steady);
            let level = Level::of(held.bad, rule.threshold());
            let say = |keyring: &_| words::rate_limited(keyring, rule, key, held, limited.example);
            self.note((rule, of_key(rule, key)), events(limited, held), level, say, now);
        }
    }

    pub(super) fn look_at_succession(&mut self, rules: &Rules, key: KeyId, tally: &Tally<'_>, now: Now) {
        let late = &tally.superseded;
        for rule in rules.in_force(Kind::RotatedKeyInUse, Some(key)).filter(|_| late.count > 0) {
            let held =
                self.of_keys.of(rule, key, now.steady).add(Held::bad(late.count, late.first), now.steady);
            let level = Level::of(held.bad, rule.threshold());
            let say = |keyring: &_| words::rotated_key_in_use(keyring, key, now.wall, late.example);
            self.note((rule, of_key(rule, key)), events(late, held), level, say, now);
        }
    }

    pub(super) fn look_at_guesses(
        &mut self,
        rules: &Rules,
        (key, place): (Option<KeyId>, Option<Place>),
        spot: &Spot<'_>,
        now: Now,
    ) {
        for rule in rules.in_force(Kind::FailedAuth, key) {
            let ring = self.of_places.of(rule, place, now.steady);
            let held = ring.add(Held::bad(spot.count, spot.first), now.steady);
            let level = Level::of(held.bad, rule.threshold());
            let subject = place.map_or_else(|| "an unknown address".to_owned(), |place| place.to_string());
            let name = Name { rule: rule.id, key: rule.key, subject };
            let say =
                |keyring: &_| words::failed_auth(keyring, rule, (key, &name.subject), held, spot.example);
            self.note((rule, name.clone()), events(spot, held), level, say, now);
        }
    }

    pub(super) fn look_at_place(
        &mut self,
        rules: &Rules,
        (key, place): (KeyId, Place),
        spot: &Spot<'_>,
        now: Now,
    ) {
        let seen = self.places.see(&self.store, (key, place), spot, now);
        let Some(seen) = self.read(seen) else { return };
        let new = seen.unwrap_or(NewPlace { since: spot.first, known: 0 });
        for rule in rules.in_force(Kind::NewClientAddress, Some(key)) {
            let is_learning = spot.first.since(new.since) < rule.window();
            let roams = new.known as f64 > rule.threshold();
            let is_unusual = seen.is_some() && !is_learning && !roams;
            // What comes from there later is no news, and keeps nothing going.
            let level = if is_unusual { Level::Over } else { Level::Under };
            let name = Name { subject: place.to_string(), ..of_key(rule, key) };
            let all = Events { count: spot.count, first: spot.first, last: spot.last };
            let say = |keyring: &_| words::new_client_address(keyring, key, place, new, spot);
            self.note((rule, name), (all, all), level, say, now);
        }
    }

    pub(super) fn look_at_hour(&mut self, rules: &Rules, key: KeyId, tally: &Tally<'_>, now: Now) {
        let requests = &tally.admitted;
        if requests.count == 0 {
            return;
        }
        let index = requests.last.as_seconds().div_euclid(3_600);
        let fresh = Hour { index, requests: 0, first: requests.first };
        let hour = self.hours.entry(key).or_insert(fresh);
        if hour.index != index {
            *hour = fresh;
        }
        hour.requests += requests.count;
        let (total, first) = (hour.requests, hour.first);
        for rule in rules.in_force(Kind::UnusualHour, Some(key)) {
            let (name, is_enough) = (of_key(rule, key), total as f64 >= rule.threshold());
            if !is_enough && !self.episodes.has(&name) {
                continue;
            }
            let (back, today) = ((rule.window().as_secs() / DAY.as_secs()).cast_signed(), day(now.wall));
            let usual = self.habits.hours(&self.store, key, back, today);
            let Some(usual) = self.read(usual).flatten() else { continue };
            let of_day = index.rem_euclid(24);
            if usual >> of_day & 1 == 1 {
                continue;
            }
            let hour = format!("{of_day:02}:00 UTC");
            let more = Events { count: requests.count, first: requests.first, last: requests.last };
            let all = Events { count: total, first, ..more };
            let say =
                |keyring: &_| words::unusual_hour(keyring, key, (&hour, total), usual, requests.example);
            let level = if is_enough { Level::Over } else { Level::Near };
            self.note((rule, name.clone()), (more, all), level, say, now);
            self.episodes.add_to_list(&name, "hours", hour.into());
        }
    }

    /// Looks which keys end soon, and whether those that were said to still do.
    pub(super) fn look_at_ends(&mut self, rules: &Rules, now: Now) {
        let going_on = self.episodes.of(Kind::KeyExpiring);
        let (others, each): (Vec<Name>, Vec<Name>) =
            going_on.into_iter().partition(|name| name.subject == OTHERS);
        for name in each {
            let rule = rules.get(name.rule).filter(|rule| {
                rules.in_force(Kind::KeyExpiring, name.key).any(|in_force| in_force.id == rule.id)
            });
            let entry = name.key.and_then(|key| self.keyring.get(key));
            let ends =
                rule.zip(entry).is_some_and(|(rule, entry)| ends_soon(rule, &entry.key, now.wall).is_some());
            if !ends && let Some(alert) = self.episodes.end(&name, now) {
                tell_end(&alert);
            }
        }
        let beyond = self.look_at_new_ends(rules, now);
        for name in others.iter().filter(|name| !beyond.contains(name)) {
            if let Some(alert) = self.episodes.end(name, now) {
                tell_end(&alert);
            }
        }
    }

    /// Tells of keys that end soon and of which nothing was said; returns what counts those that are not told apart.
    fn look_at_new_ends(&mut self, rules: &Rules, now: Now) -> Vec<Name> {
        // How many, and the latest of them.
        let mut beyond: HashMap<Name, (u64, Name, &Rule)> = HashMap::new();
        let of_kind = rules.all().iter().filter(|rule| rule.kind == Kind::KeyExpiring && rule.enabled);
        let Some(furthest) = of_kind.map(|rule| ahead(rule)).max() else { return Vec::new() };
        for key in self.keyring.ending(now.wall, now.wall.after(furthest)) {
            let Some(entry) = self.keyring.get(key) else { continue };
            for rule in rules.in_force(Kind::KeyExpiring, Some(key)) {
                let Some(end) = ends_soon(rule, &entry.key, now.wall) else { continue };
                let name = of_key(rule, key);
                if self.episodes.has(&name) {
                    continue;
                }
                let place = self.episodes.place(rule, &name);
                let one = Events { count: 1, first: now.wall, last: now.wall };
                if place == name {
                    self.raise(rule, name, one, words::key_expiring(&entry.key, end, now.wall), now);
                    continue;
                }
                let count = beyond.get(&place).map_or(1, |(count, ..)| count + 1);
                beyond.insert(place, (count, name, rule));
            }
        }
        for (place, (count, latest, rule)) in &beyond {
            if self.episodes.has(place) {
                self.episodes.set_count(place, *count);
                continue;
            }
            let events = Events { count: *count, first: now.wall, last: now.wall };
            self.raise(rule, place.clone(), events, words::others(rule.kind, latest), now);
        }
        beyond.into_keys().collect()
    }
}

impl Hour {
    /// Tells whether it is this hour.
    pub(super) const fn is_now(&self, now: Timestamp) -> bool {
        self.index == now.as_seconds().div_euclid(3_600)
    }
}

impl Level {
    /// Returns how a count is to a threshold; half of it is near.
    fn of(count: u64, threshold: f64) -> Self {
        if count as f64 >= threshold {
            Self::Over
        } else if count as f64 * 2.0 >= threshold {
            Self::Near
        } else {
            Self::Under
        }
    }
}

/// Returns the name of what is about a key and nothing else.
const fn of_key(rule: &Rule, key: KeyId) -> Name {
    Name { rule: rule.id, key: Some(key), subject: String::new() }
}

/// Returns what is new of a window's events, and all of them.
fn events(new: &Spot<'_>, held: Held) -> (Events, Events) {
    let more = Events { count: new.count, first: new.first, last: new.last };
    (more, Events { count: held.bad, first: held.first.unwrap_or(new.first), ..more })
}

fn day(time: Timestamp) -> i64 {
    time.as_seconds().div_euclid(DAY.as_secs().cast_signed())
}

/// Returns when a key ends that does within the rule's days. One made for less than a day is meant to.
fn ends_soon(rule: &Rule, key: &Key, now: Timestamp) -> Option<Timestamp> {
    let end = key.settings.expires_at?;
    let is_left_to_end = key.status(now) == Status::Active && key.rotated_to().is_none();
    (is_left_to_end && end.since(now) <= ahead(rule) && end.since(key.created_at) >= DAY).then_some(end)
}

/// Returns how far ahead a rule looks.
fn ahead(rule: &Rule) -> Duration {
    Duration::try_from_secs_f64(rule.threshold() * DAY.as_secs_f64()).unwrap_or(DAY)
}
