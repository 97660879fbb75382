//! What goes on: one alert from a thing's first event until it has been quiet for a while.

use std::collections::HashMap;
use std::time::Duration;

use ring::rand::SystemRandom;
use serde_json::{Map, Value};

use crate::clock::Now;
use crate::domain::alert::{Alert, Kind, Rule, Status};
use crate::domain::id::{AlertId, KeyId, Orders, RuleId};
use crate::domain::time::Timestamp;
use crate::domain::token;

/// How many alerts of a rule about addresses go on at once before further ones are one.
const MOST_ADDRESSES: usize = 20;
/// How many alerts of any other rule do.
const MOST: usize = 1_000;
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
    /// How many of them each rule has.
    by_rule: HashMap<RuleId, usize>,
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
            unwritten: HashMap::new(),
            orders: Orders::default(),
            random: SystemRandom::new(),
        };
        for alert in alerts {
            let last = now.steady.saturating_sub(now.wall.since(alert.last_seen_at));
            let quiet = quiet(&alert);
            episodes.begin(Episode { alert, quiet, last });
        }
        episodes
    }

    /// Tells whether it goes on.
    pub(super) fn has(&self, name: &Name) -> bool {
        self.going_on.contains_key(name)
    }

    /// Tells whether anything of the rule goes on.
    pub(super) fn has_any(&self, rule: RuleId) -> bool {
        self.by_rule.contains_key(&rule)
    }

    /// Counts more events of what goes on; false if it does not. They keep it going if `keep` is set.
    pub(super) fn count(&mut self, name: &Name, events: Events, keep: Option<Duration>) -> bool {
        let Some(episode) = self.going_on.get_mut(name) else { return false };
        episode.alert.count += events.count;
        episode.alert.last_seen_at = episode.alert.last_seen_at.max(events.last);
        episode.last = keep.unwrap_or(episode.last);
        self.unwritten.insert(episode.alert.id, episode.alert.clone());
        true
    }

    /// Returns under what name something new of a rule goes on: its own, or one with others if there are many.
    pub(super) fn place(&self, rule: &Rule, name: Name) -> Name {
        let most = match rule.kind {
            Kind::FailedAuth | Kind::NewClientAddress => MOST_ADDRESSES,
            _ => MOST,
        };
        if self.by_rule.get(&rule.id).copied().unwrap_or(0) < most {
            return name;
        }
        Name { rule: rule.id, key: rule.key, subject: OTHERS.to_owned() }
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
        if let Some(held) = self.by_rule.get_mut(&name.rule) {
            *held -= 1;
        }
        if self.by_rule.get(&name.rule) == Some(&0) {
            self.by_rule.remove(&name.rule);
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
        let rule = name.rule;
        if self.going_on.insert(name, episode).is_none() {
            *self.by_rule.entry(rule).or_default() += 1;
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
