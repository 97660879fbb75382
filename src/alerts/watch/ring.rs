//! What was counted in the last stretch of steady time: in slots, so that it takes constant memory.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::time::Timestamp;

/// How many slots a window has. It is right to one of them.
const SLOTS: u64 = 30;

/// Events in a window.
#[derive(Debug)]
pub(super) struct Ring {
    window: Duration,
    slots: VecDeque<(u64, Held)>,
}

/// What is counted, and what a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// All that happened.
    pub all: u64,
    /// What of it counts against somebody,
    pub bad: u64,
    /// and when the first of that was.
    pub first: Option<Timestamp>,
}

impl Ring {
    pub(super) const fn new(window: Duration) -> Self {
        Self { window, slots: VecDeque::new() }
    }

    /// Tells whether it counts in such a window.
    pub(super) fn fits(&self, window: Duration) -> bool {
        self.window == window
    }

    /// Counts what happened, and returns what the window holds with it.
    pub(super) fn add(&mut self, more: Held, now: Duration) -> Held {
        let slot = self.slot(now);
        self.slots.retain(|(at, _)| at + SLOTS > slot);
        match self.slots.back_mut() {
            Some((at, held)) if *at >= slot => *held = held.and(more),
            _ => self.slots.push_back((slot, more)),
        }
        self.slots.iter().fold(Held::default(), |sum, (_, held)| sum.and(*held))
    }

    /// Tells whether the window holds nothing.
    pub(super) fn is_idle(&self, now: Duration) -> bool {
        let slot = self.slot(now);
        self.slots.back().is_none_or(|(at, _)| at + SLOTS <= slot)
    }

    fn slot(&self, now: Duration) -> u64 {
        let slot = (self.window.as_millis() / u128::from(SLOTS)).max(1);
        u64::try_from(now.as_millis() / slot).unwrap_or(u64::MAX)
    }
}

impl Held {
    /// Returns so many events that all count, the first of them then.
    pub(super) fn bad(count: u64, first: Timestamp) -> Self {
        Self { all: count, bad: count, first: (count > 0).then_some(first) }
    }

    fn and(self, other: Self) -> Self {
        let firsts = self.first.into_iter().chain(other.first);
        Self { all: self.all + other.all, bad: self.bad + other.bad, first: firsts.min() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_forgets_what_is_older_than_it() {
        let mut ring = Ring::new(Duration::from_secs(300));
        let time = |at: u64| Timestamp::from_seconds(at.cast_signed());
        let cases = [
            (0, 1, 0),
            (100, 2, 0),
            (289, 3, 0),
            (300, 3, 100),
            (405, 3, 289),
            (580, 3, 300),
            (9_000, 1, 9_000),
        ];
        for (at, expected, first) in cases {
            let held = ring.add(Held::bad(1, time(at)), Duration::from_secs(at));
            assert_eq!((held.bad, held.first), (expected, Some(time(first))), "{at}");
        }
        assert!(!ring.is_idle(Duration::from_secs(9_200)));
        assert!(ring.is_idle(Duration::from_secs(9_300)));
        assert!(ring.slots.len() <= 30);
    }
}
