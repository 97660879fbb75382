//! Clears away what uploads and deleted files left, a slice at a time, so that no other write waits for long.

use std::time::{Duration, Instant};

use super::AGAIN;
use crate::files::Files;

/// When to clear away, and whether there is more of it.
#[derive(Debug)]
pub(super) struct Clearing {
    next: Instant,
    /// Whether the last slice was not all.
    pub under_way: bool,
}

impl Clearing {
    /// Returns a clearing that is due as soon as there is something to clear away.
    pub(super) fn new() -> Self {
        Self { next: Instant::now(), under_way: false }
    }

    /// Clears one slice away, if there is one.
    pub(super) fn step(&mut self, files: &Files) {
        if files.is_clear() || Instant::now() < self.next {
            self.under_way = false;
            return;
        }
        let cleared = files.clear_next();
        self.under_way = matches!(cleared, Ok(false));
        if let Err(error) = cleared {
            self.next = Instant::now() + PAUSE;
            tracing::warn!("what an upload left stays for {PAUSE:?} more: {error}");
        }
    }
}

/// A full disk is seldom made room on sooner.
const PAUSE: Duration = AGAIN.saturating_mul(10);
