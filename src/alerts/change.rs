//! Changes by the operator: committed with their row in the audit log, then in force, then answered.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rusqlite::Transaction;
use serde_json::Value;

use super::audit::{describe_alert, describe_rule};
use super::{Alerts, AlertsError, Rules};
use crate::domain::alert::{Alert, Kind, Rule, Status};
use crate::domain::audit::{Actor, Change, row_id};
use crate::domain::id::{AlertId, KeyId, RuleId};
use crate::domain::order::Order;
use crate::domain::time::Timestamp;
use crate::domain::webhook::Webhook;
use crate::store;
use crate::store::idempotency::{self, KEPT, Used};

/// The most rules.
const MOST_RULES: usize = 1_000;

/// A rule to be made.
#[derive(Clone, Debug)]
pub struct NewRule {
    /// What it looks at.
    pub kind: Kind,
    /// Whether it is in force.
    pub enabled: bool,
    /// The one key that it is for, in place of the rules for all keys.
    pub key: Option<KeyId>,
    /// Its one number, if it is not the kind's own.
    pub threshold: Option<f64>,
    /// How far it looks back, if it is not the kind's own.
    pub window: Option<Duration>,
    /// Whom to tell besides the journal.
    pub webhook: Option<Webhook>,
}

impl Alerts {
    /// Makes a rule. `new` is asked only if the same request did not make one before.
    pub fn create<E: From<AlertsError>>(
        &self,
        order: Order,
        new: impl FnOnce() -> Result<NewRule, E>,
    ) -> Result<Arc<Rule>, E> {
        let _turn = self.turn();
        let now = self.clock.now().wall;
        if let Some(done) = self.done_before::<RuleId>(order, now)? {
            let rule = self.rules().get(done).cloned();
            return Ok(rule.ok_or(AlertsError::DeletedSince)?);
        }
        Ok(self.make(new()?, order, now)?)
    }

    fn make(&self, new: NewRule, order: Order, now: Timestamp) -> Result<Arc<Rule>, AlertsError> {
        if self.rules().all().len() >= MOST_RULES {
            return Err(AlertsError::TooManyRules(MOST_RULES));
        }
        let NewRule { kind, enabled, key, threshold, window, webhook } = new;
        let id = RuleId::random(&self.random)?;
        let rule = Rule { id, kind, enabled, key, threshold, window, webhook, created_at: now };
        self.store.write(|transaction| {
            store::alert_rules::save(transaction, &rule)?;
            note_order(transaction, order, &id.to_string(), now)?;
            let change = (None, Some(describe_rule(&rule)));
            self.note(transaction, order.actor, "alert_rule.create", id.to_string(), change)
        })?;
        let rule = Arc::new(rule);
        self.swap(self.rules().all().iter().chain([&rule]).cloned());
        tracing::info!(rule.id = %id, "created an alert rule for {kind}");
        Ok(rule)
    }

    /// Changes a rule. `edit` gets it as it is now.
    pub fn change<E: From<AlertsError>>(
        &self,
        id: RuleId,
        actor: Actor,
        edit: impl FnOnce(&Rule) -> Result<Rule, E>,
    ) -> Result<Arc<Rule>, E> {
        let _turn = self.turn();
        let before = self.rules().get(id).cloned().ok_or(AlertsError::NoRule)?;
        let after = edit(&before)?;
        if after == *before {
            return Ok(before);
        }
        self.store.write(|transaction| {
            store::alert_rules::save(transaction, &after)?;
            let url = |rule: &Rule| rule.webhook.as_ref().map(|webhook| webhook.url.clone());
            if after.webhook.is_none() {
                store::outbox::delete_of(transaction, id)?;
            } else if url(&after) != url(&before) {
                // What another URL did not take says nothing of this one.
                store::outbox::begin_again(transaction, id, self.clock.now().wall)?;
            }
            let change = (Some(describe_rule(&before)), Some(describe_rule(&after)));
            self.note(transaction, actor, "alert_rule.update", id.to_string(), change)
        })?;
        let after = Arc::new(after);
        let replaced = |rule: &Arc<Rule>| Arc::clone(if rule.id == id { &after } else { rule });
        self.swap(self.rules().all().iter().map(replaced));
        self.news.notify_one();
        tracing::info!(rule.id = %id, "changed an alert rule for {}", after.kind);
        Ok(after)
    }

    /// Deletes a rule, and what of it was still to be delivered. Its alerts stay.
    pub fn delete(&self, id: RuleId, actor: Actor) -> Result<(), AlertsError> {
        let _turn = self.turn();
        let rule = self.rules().get(id).cloned().ok_or(AlertsError::NoRule)?;
        self.store.write(|transaction| {
            store::alert_rules::delete(transaction, id)?;
            let change = (Some(describe_rule(&rule)), None);
            self.note(transaction, actor, "alert_rule.delete", id.to_string(), change)
        })?;
        self.swap(self.rules().all().iter().filter(|rule| rule.id != id).cloned());
        self.news.notify_one();
        tracing::info!(rule.id = %id, "deleted an alert rule for {}", rule.kind);
        Ok(())
    }

    /// Notes that somebody looks after an alert; doing it again changes nothing.
    pub fn acknowledge(&self, id: AlertId, order: Order) -> Result<Alert, AlertsError> {
        let _turn = self.turn();
        let now = self.clock.now().wall;
        let is_done = self.done_before::<AlertId>(order, now)?.is_some();
        self.store.write(|transaction| {
            // Read here, where the keeper cannot change it meanwhile.
            let before = store::alerts::find(transaction, id)?.ok_or(AlertsError::NoAlert)?;
            match before.status {
                _ if is_done => return Ok(before),
                Status::Acknowledged => return Ok(before),
                Status::Resolved => return Err(AlertsError::Resolved),
                Status::Open => {}
            }
            store::alerts::acknowledge(transaction, id)?;
            let after = Alert { status: Status::Acknowledged, ..before.clone() };
            note_order(transaction, order, &id.to_string(), now)?;
            let change = (Some(describe_alert(&before)), Some(describe_alert(&after)));
            self.note(transaction, order.actor, "alert.acknowledge", id.to_string(), change)?;
            self.recount(transaction)?;
            tracing::info!(alert.id = %id, "acknowledged an alert");
            Ok(after)
        })
    }

    fn note(
        &self,
        transaction: &Transaction<'_>,
        actor: Actor,
        action: &'static str,
        target: String,
        (before, after): (Option<Value>, Option<Value>),
    ) -> Result<(), AlertsError> {
        let change = Change { at: self.clock.now().wall, actor, action, target, before, after };
        store::audit::append(transaction, row_id(&self.random)?, change)?;
        Ok(())
    }

    fn swap(&self, rules: impl Iterator<Item = Arc<Rule>>) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Rules::new(rules));
    }

    /// Returns what the same request made or changed before; fails if it was another request.
    fn done_before<T: std::str::FromStr>(
        &self,
        order: Order,
        now: Timestamp,
    ) -> Result<Option<T>, AlertsError> {
        let Some(wanted) = order.idempotency else { return Ok(None) };
        let since = now.before(KEPT);
        match self.store.read(|connection| idempotency::find(connection, &wanted.digest, since))? {
            Some(used) if used.fingerprint != wanted.fingerprint => Err(AlertsError::IdempotencyMismatch),
            Some(used) => used.made.parse().map(Some).map_err(|_| AlertsError::IdempotencyMismatch),
            None => Ok(None),
        }
    }
}

fn note_order(
    transaction: &Transaction<'_>,
    order: Order,
    made: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let Some(idempotency) = order.idempotency else { return Ok(()) };
    let used = Used { fingerprint: idempotency.fingerprint, made: made.to_owned() };
    idempotency::insert(transaction, &idempotency.digest, &used, now)
}
