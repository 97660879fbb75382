//! What goes on: one alert from a thing's first event until it has been quiet for a while.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::time::Duration;

use ring::rand::SystemRandom;
use serde_json::{Map, Value};

use crate::clock::Now;
use crate::domain::alert::{Alert, Kind, Rule, Status};
use crate::domain::id::{AlertId, KeyId, Orders, RuleId};
use crate::domain::time::Timestamp;
use crate::domain::token;

/// How many alerts about addresses go on at once before further ones are one: of a rule, and of a key that is used
/// from new ones.
const MOST_ADDRESSES: usize = 20;
/// How many alerts of a rule about keys do.
const MOST: usize = 1_000;
/// Of how many subjects it is known at once that they are counted with others.
const MOST_FOLDED: usize = 65_536;
/// What stands for all further subjects.
pub(super) const OTHERS: &str = "others";

/// What an alert is about: one at a time goes on of each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub rule: RuleId,
    pub key: Option<KeyId>,
    /// Empty where rule and key say it all.
    pub subject: String,
}

/// How many events there were, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Events {
    pub count: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

/// What is said of an alert.
#[derive(Debug)]
pub(super) struct Words {
    pub summary: String,
    pub details: Map<String, Value>,
}

#[derive(Debug)]
struct Episode {
    alert: Alert,
    /// How long nothing must happen for it to be over.
    quiet: Duration,
    /// Steady time of the last event that keeps it going.
    last: Duration,
}

/// All that goes on.
#[derive(Debug)]
pub(super) struct Episodes {
    going_on: HashMap<Name, Episode>,
    /// How many of them each rule has, and each key of a rule.
    by_rule: HashMap<RuleId, usize>,
    by_key: HashMap<(RuleId, Option<KeyId>), usize>,
    /// Under what name something is counted with others.
    folded: HashMap<Name, Name>,
    /// Alerts as they are now that are not written yet.
    pub unwritten: HashMap<AlertId, Alert>,
    orders: Orders,
    random: SystemRandom,
}

impl Episodes {
    /// Goes on with the alerts that a stop interrupted. `quiet` says how long each may be quiet.
    pub(super) fn resume(alerts: Vec<Alert>, quiet: impl Fn(&Alert) -> Duration, now: Now) -> Self {
        let mut episodes = Self {
            going_on: HashMap::new(),
            by_rule: HashMap::new(),
            by_key: HashMap::new(),
            folded: HashMap::new(),
            unwritten: HashMap::new(),
            orders: Orders::default(),
            random: SystemRandom::new(),
        };
        for alert in alerts {
            // A place is new once; what comes from there later counts, and keeps nothing going.
            let is_of_one_moment = alert.kind == Kind::NewClientAddress && alert.subject != OTHERS;
            let last = if is_of_one_moment { alert.first_seen_at } else { alert.last_seen_at };
            let last = now.steady.saturating_sub(now.wall.since(last));
            let quiet = quiet(&alert);
            episodes.begin(Episode { alert, quiet, last });
        }
        episodes
    }

    /// Tells whether it goes on.
    pub(super) fn has(&self, name: &Name) -> bool {
        self.going_on.contains_key(name)
    }

    /// Counts more events of what goes on, by itself or with others; false if it does not. They keep it going if
    /// `keep` is set.
    pub(super) fn count(&mut self, name: &Name, events: Events, keep: Option<Duration>) -> bool {
        let name =
            if self.going_on.contains_key(name) { name } else { self.folded.get(name).unwrap_or(name) };
        let Some(episode) = self.going_on.get_mut(name) else { return false };
        episode.alert.count += events.count;
        episode.alert.last_seen_at = episode.alert.last_seen_at.max(events.last);
        episode.last = keep.unwrap_or(episode.last);
        self.unwritten.insert(episode.alert.id, episode.alert.clone());
        true
    }

    /// Says how many events of what goes on there are now.
    pub(super) fn set_count(&mut self, name: &Name, count: u64) {
        if let Some(episode) = self.going_on.get_mut(name)
            && episode.alert.count != count
        {
            episode.alert.count = count;
            self.unwritten.insert(episode.alert.id, episode.alert.clone());
        }
    }

    /// Replaces particulars of what goes on.
    pub(super) fn amend(&mut self, name: &Name, details: Map<String, Value>) {
        let Some(episode) = self.going_on.get_mut(name) else { return };
        for (field, value) in details {
            let value = redacted(value);
            if episode.alert.details.get(&field) != Some(&value) {
                episode.alert.details.insert(field, value);
                self.unwritten.insert(episode.alert.id, episode.alert.clone());
            }
        }
    }

    /// Adds to a list among the particulars of what goes on, if it is not in it.
    pub(super) fn add_to_list(&mut self, name: &Name, field: &str, value: Value) {
        let Some(episode) = self.going_on.get_mut(name) else { return };
        if let Some(Value::Array(list)) = episode.alert.details.get_mut(field)
            && !list.contains(&value)
        {
            list.push(value);
            self.unwritten.insert(episode.alert.id, episode.alert.clone());
        }
    }

    /// Returns under what name something new of a rule goes on: its own, or one with others if there are many.
    pub(super) fn place(&self, rule: &Rule, name: &Name) -> Name {
        let of_rule = self.by_rule.get(&rule.id).copied().unwrap_or(0);
        let of_key = self.by_key.get(&(rule.id, name.key)).copied().unwrap_or(0);
        let others = |key| Name { rule: rule.id, key, subject: OTHERS.to_owned() };
        match rule.kind {
            Kind::NewClientAddress if of_key >= MOST_ADDRESSES => others(name.key),
            Kind::FailedAuth if of_rule >= MOST_ADDRESSES => others(rule.key),
            _ if of_rule >= MOST => others(rule.key),
            _ => name.clone(),
        }
    }

    /// Notes that something is counted with others from now on, until they are over.
    pub(super) fn fold(&mut self, name: Name, others: Name) {
        if self.folded.len() < MOST_FOLDED {
            self.folded.insert(name, others);
        }
    }

    /// Begins an episode with an alert; returns it, unless the system has no randomness for its id.
    pub(super) fn raise(
        &mut self,
        rule: &Rule,
        name: Name,
        events: Events,
        words: Words,
        now: Now,
    ) -> Option<Alert> {
        let id = AlertId::new(self.orders.next(now.wall), &self.random).ok()?;
        let alert = Alert {
            id,
            rule: rule.id,
            kind: rule.kind,
            key: name.key,
            subject: name.subject,
            status: Status::Open,
            count: events.count,
            first_seen_at: events.first,
            last_seen_at: events.last,
            resolved_at: None,
            summary: token::redact(&words.summary).into_owned(),
            details: words.details.into_iter().map(|(name, value)| (name, redacted(value))).collect(),
        };
        self.unwritten.insert(id, alert.clone());
        self.begin(Episode { alert: alert.clone(), quiet: rule.quiet(), last: now.steady });
        Some(alert)
    }

    /// Ends what has been quiet for long enough; returns the alerts that are over.
    pub(super) fn settle(&mut self, now: Now) -> Vec<Alert> {
        let is_over = |episode: &Episode| {
            episode.alert.kind != Kind::KeyExpiring && now.steady.saturating_sub(episode.last) > episode.quiet
        };
        let over = self.going_on.iter().filter(|(_, episode)| is_over(episode));
        let over: Vec<Name> = over.map(|(name, _)| name.clone()).collect();
        over.iter().filter_map(|name| self.end(name, now)).collect()
    }

    /// Ends an episode; returns its alert.
    pub(super) fn end(&mut self, name: &Name, now: Now) -> Option<Alert> {
        let mut alert = self.going_on.remove(name)?.alert;
        count_down(&mut self.by_rule, name.rule);
        count_down(&mut self.by_key, (name.rule, name.key));
        if name.subject == OTHERS {
            self.folded.retain(|_, others| others != name);
        }
        alert.status = Status::Resolved;
        alert.resolved_at = Some(now.wall);
        self.unwritten.insert(alert.id, alert.clone());
        Some(alert)
    }

    /// Returns the names of all that goes on of a kind.
    pub(super) fn of(&self, kind: Kind) -> Vec<Name> {
        let of = self.going_on.iter().filter(|(_, episode)| episode.alert.kind == kind);
        of.map(|(name, _)| name.clone()).collect()
    }

    fn begin(&mut self, episode: Episode) {
        let alert = &episode.alert;
        let name = Name { rule: alert.rule, key: alert.key, subject: alert.subject.clone() };
        let (rule, key) = (name.rule, name.key);
        if self.going_on.insert(name, episode).is_none() {
            *self.by_rule.entry(rule).or_default() += 1;
            *self.by_key.entry((rule, key)).or_default() += 1;
        }
    }
}

fn count_down<T: Eq + Hash>(held: &mut HashMap<T, usize>, name: T) {
    if let Entry::Occupied(mut entry) = held.entry(name) {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

/// Clients' own words may hold anything.
fn redacted(value: Value) -> Value {
    match value {
        Value::String(text) => token::redact(&text).into(),
        other => other,
    }
}
