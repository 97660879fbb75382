//! A request to an upstream that nobody knows the end of yet.

use std::cell::Cell;

use super::model_server::{ModelServer, Outcome};
use crate::clock::Clock;

/// Counts how a request ends, once. One that is dropped before that, nobody waits for any more.
pub(super) struct Pending<'a> {
    server: &'a ModelServer,
    clock: &'a Clock,
    /// Whether it was sent, and how it ended is not counted.
    open: Cell<bool>,
}

impl<'a> Pending<'a> {
    /// Returns a request that is still to be sent.
    pub(super) const fn new(server: &'a ModelServer, clock: &'a Clock) -> Self {
        Self { server, clock, open: Cell::new(false) }
    }

    /// Notes that it is being sent.
    pub(super) fn begin(&self) {
        self.open.set(true);
    }

    /// Counts how it ended.
    pub(super) fn note(&self, outcome: Outcome) {
        self.open.set(false);
        self.server.note(outcome, self.clock.steady());
    }

    /// Leaves the counting to whoever reads its answer.
    pub(super) fn hand_over(&self) {
        self.open.set(false);
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.open.get() {
            self.note(Outcome::Cancelled);
        }
    }
}
