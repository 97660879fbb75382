//! Deliveries that are not in the outbox yet, and the bound of what is.

use std::cell::RefCell;
use std::collections::HashSet;

use rusqlite::Connection;

use crate::domain::id::{AlertId, RuleId};
use crate::domain::time::Timestamp;
use crate::store;

/// How many deliveries of one rule wait at most. Beyond it the oldest go.
const MOST_WAITING: usize = 10_000;

/// A delivery to be made.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub rule: RuleId,
    pub alert: AlertId,
    /// JSON text.
    pub payload: String,
    pub at: Timestamp,
}

/// What is still to be put into the outbox.
#[derive(Debug, Default)]
pub(super) struct Tray {
    pub waiting: Vec<Outgoing>,
    /// Rules of which it was said that too much of them waits.
    overfull: RefCell<HashSet<RuleId>>,
}

impl Tray {
    /// Puts everything into the outbox.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        for Outgoing { rule, alert, payload, at } in &self.waiting {
            store::outbox::insert(connection, *rule, *alert, payload, *at)?;
        }
        let rules: HashSet<RuleId> = self.waiting.iter().map(|outgoing| outgoing.rule).collect();
        rules.into_iter().try_for_each(|rule| self.bound(connection, rule))
    }

    fn bound(&self, connection: &Connection, rule: RuleId) -> rusqlite::Result<()> {
        let (gone, left) = store::outbox::trim(connection, rule, MOST_WAITING)?;
        let mut overfull = self.overfull.borrow_mut();
        if gone > 0 && overfull.insert(rule) {
            tracing::error!(
                rule.id = %rule,
                "{MOST_WAITING} alerts of one rule wait for its webhook, and no more are kept: with each new one the \
                 oldest is given up; look at the rule's webhook"
            );
        } else if left < MOST_WAITING / 2 {
            overfull.remove(&rule);
        }
        Ok(())
    }
}
