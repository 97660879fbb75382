//! Watches over the database's files, also while nothing is written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Rooms;
use crate::store::{GoOn, StoreError};

/// How often it is looked: no more than this can be lost of what was written to files that were taken away, should the
/// process be killed then.
const PAUSE: Duration = Duration::from_millis(500);

/// When to look.
#[derive(Debug, Default)]
pub(super) struct FilesWatch {
    next: Option<Instant>,
}

impl FilesWatch {
    /// Has the files put back if they were taken away; does nothing unless it is time to look. The store tells the log.
    pub(super) fn look(&mut self, rooms: &Rooms) -> Option<Result<(), StoreError>> {
        if self.next.is_some_and(|next| Instant::now() < next) {
            return None;
        }
        let pulse = Arc::clone(&rooms.pulse);
        let go_on = GoOn::new(move || {
            pulse.beat();
            true
        });
        let looked = rooms.store.look_after_files(&go_on);
        self.next = Some(Instant::now() + PAUSE);
        Some(looked)
    }
}
