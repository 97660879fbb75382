//! Whether a thread still goes on: it beats, and others see for how long it has been silent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The pulse of one thread.
#[derive(Debug)]
pub struct Pulse {
    born: Instant,
    /// When it last beat, in milliseconds after it was born.
    last: AtomicU64,
}

impl Pulse {
    /// Returns a pulse that has just beaten.
    pub fn new() -> Self {
        Self { born: Instant::now(), last: AtomicU64::new(0) }
    }

    /// Returns a pulse that has been silent for so long.
    #[cfg(test)]
    pub(crate) fn silent_for(silence: Duration) -> Self {
        Self { born: Instant::now().checked_sub(silence).expect("the machine runs longer"), ..Self::new() }
    }

    /// Tells that its thread goes on.
    pub fn beat(&self) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// Returns for how long it has been silent.
    pub fn silence(&self) -> Duration {
        self.born.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}
