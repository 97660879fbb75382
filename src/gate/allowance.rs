//! How much a key, or a line of rotated keys, may still do: the window and the slots in flight.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::id::KeyId;
use crate::domain::window::{Quota, Slice, Window};

/// The limits' state, shared by all keys of a line of rotations.
#[derive(Debug)]
pub struct Allowance {
    /// The first key of the line.
    pub id: KeyId,
    window: Mutex<Window>,
    in_flight: AtomicU32,
    /// Set while the window has changed since it was last kept.
    changed: AtomicBool,
}

/// One request in flight; dropping it makes room for another.
#[derive(Debug)]
pub struct Slot {
    allowance: Arc<Allowance>,
    /// How many were in flight as it was taken, this one included.
    pub in_flight: u32,
}

impl Allowance {
    /// Returns an allowance of which nothing was used yet.
    pub fn new(id: KeyId) -> Arc<Self> {
        Arc::new(Self {
            id,
            window: Mutex::default(),
            in_flight: AtomicU32::new(0),
            changed: AtomicBool::new(false),
        })
    }

    /// Puts back what was used before a restart.
    pub fn restore(&self, window: Window) {
        *self.window() = window;
    }

    /// Takes a slot, unless as many are taken as there may be.
    pub fn enter(self: &Arc<Self>, most: Option<NonZeroU32>) -> Option<Slot> {
        self.in_flight
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| fits(taken, most).then(|| taken + 1))
            .ok()
            .map(|taken| Slot { allowance: Arc::clone(self), in_flight: taken + 1 })
    }

    /// Tells whether a slot is free, taking none.
    pub fn has_room(&self, most: Option<NonZeroU32>) -> bool {
        fits(self.in_flight(), most)
    }

    /// Takes one request from the window; tells what is left either way.
    pub fn take(&self, limit: u32, now: Duration) -> Result<Quota, Quota> {
        self.window().take(limit, now)
    }

    /// Returns what is left, taking nothing.
    pub fn peek(&self, limit: u32, now: Duration) -> Quota {
        self.window().peek(limit, now)
    }

    /// Marks the window as changed; tells whether it was not marked before.
    pub fn mark_changed(&self) -> bool {
        !self.changed.swap(true, Ordering::AcqRel)
    }

    /// Returns what is in the window, to be kept; unmarks it first, so that no change is missed.
    pub fn checkpoint(&self) -> Vec<Slice> {
        self.changed.store(false, Ordering::Release);
        self.window().slices().collect()
    }

    /// Returns how many requests are in flight.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Acquire)
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        // A window is whole after each of its steps, whatever panicked around it.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whether one more fits beside those taken.
fn fits(taken: u32, most: Option<NonZeroU32>) -> bool {
    taken < most.map_or(u32::MAX, NonZeroU32::get)
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.allowance.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance() -> Arc<Allowance> {
        Allowance::new("key_000000000000000000000000".parse().unwrap())
    }

    #[test]
    fn a_slot_comes_back_when_it_is_dropped() {
        let allowance = allowance();
        let two = NonZeroU32::new(2);
        let first = allowance.enter(two);
        let second = allowance.enter(two);
        assert!(first.is_some() && second.is_some() && allowance.enter(two).is_none());
        drop(first);
        assert!(allowance.enter(two).is_some());
    }

    #[test]
    fn a_slot_comes_back_when_its_holder_panics() {
        let allowance = allowance();
        let slot = allowance.enter(None);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _slot = slot;
            panic!("as a handler might");
        }));
        assert!(result.is_err());
        assert_eq!(allowance.in_flight(), 0);
    }

    #[test]
    fn two_hundred_at_once_on_a_limit_of_ten_let_exactly_ten_through() {
        for _ in 0..100 {
            let allowance = allowance();
            let passed = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            (0..25).filter(|_| allowance.take(10, Duration::from_secs(1)).is_ok()).count()
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
            });
            assert_eq!(passed, 10);
        }
    }
}
