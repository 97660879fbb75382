//! Something that is handed out piece by piece, for as long as somebody takes it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a reader may take nothing.
pub(super) const MOST_IDLE: Duration = Duration::from_secs(60);

/// What is handed out, and when it was taken up last, by steady time; nothing once that is over.
pub(super) struct Handout<T>(Mutex<Option<(Arc<T>, Duration)>>);

impl<T> Handout<T> {
    /// Returns the beginning of handing something out.
    pub(super) fn new(value: T, now: Duration) -> Self {
        Self(Mutex::new(Some((Arc::new(value), now))))
    }

    /// Returns what is handed out, for the next piece of it; nothing if that took too long to be asked for.
    pub(super) fn take_up(&self, now: Duration) -> Option<Arc<T>> {
        let mut held = self.held();
        let (value, last) = held.as_mut()?;
        *last = now;
        Some(Arc::clone(value))
    }

    /// Lets go of it if nobody has taken any of it for long; tells whether it did.
    pub(super) fn end_if_idle(&self, now: Duration) -> bool {
        self.held().take_if(|(_, last)| now.saturating_sub(*last) >= MOST_IDLE).is_some()
    }

    fn held(&self) -> MutexGuard<'_, Option<(Arc<T>, Duration)>> {
        // It is whole between any two steps.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_goes_on_and_what_is_not_ends_for_good() {
        let seconds = Duration::from_secs;
        let handout = Handout::new((), seconds(100));
        for now in [159, 218, 277] {
            assert!(!handout.end_if_idle(seconds(now)));
            assert!(handout.take_up(seconds(now)).is_some());
        }
        let reading = handout.take_up(seconds(277)).unwrap();
        assert!(!handout.end_if_idle(seconds(336)));
        assert!(handout.end_if_idle(seconds(337)));
        assert!(handout.take_up(seconds(337)).is_none() && !handout.end_if_idle(seconds(900)));
        assert_eq!(Arc::strong_count(&reading), 1, "it is let go of");
    }
}
