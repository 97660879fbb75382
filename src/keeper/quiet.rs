//! Looking, from time to time, for rotated keys that are to be revoked because nobody uses them any more.

use std::time::Duration;

use super::Rooms;

/// How often it is looked for them.
const PAUSE: Duration = Duration::from_secs(5);

/// When to look, by steady time.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    next: Duration,
    /// Whether the last attempt failed.
    failing: bool,
}

impl Quiet {
    /// Revokes what is quiet, if it is time to.
    pub(super) fn step(&mut self, rooms: &Rooms) {
        let now = rooms.clock.steady();
        if now < self.next {
            return;
        }
        self.next = now + PAUSE;
        match rooms.keys.revoke_quiet() {
            Ok(()) => self.failing = false,
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!("cannot revoke keys that are quiet, trying again until it works: {error}");
                }
            }
        }
    }
}
