//! The sliding window behind every request limit.

use std::collections::VecDeque;
use std::time::Duration;

/// How far back the window reaches.
pub const SPAN: Duration = Duration::from_secs(60);
/// Requests at most this far apart may share a slice, which leaves the window with its last request.
const SLICE: Duration = Duration::from_secs(1);

/// What was let through in the last 60 seconds, in at most 61 slices, however many requests that was.
///
/// A slice counts until its latest request is 60 seconds old. Nothing leaves too early, so in no
/// 60 seconds are more requests let through than the limit says; a request may leave up to one second
/// late, and only if another followed it within that second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The slice that requests join. Most look at it and at `oldest_last` alone, so both are not behind a pointer.
    newest: Option<Slice>,
    /// The last time of the oldest slice; zero where there is none.
    oldest_last: Duration,
    /// All others, oldest first.
    older: VecDeque<Slice>,
    used: u32,
}

/// Requests that leave the window together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Steady time of the first request.
    pub first: Duration,
    /// Steady time of the last request.
    pub last: Duration,
    /// How many there were.
    pub count: u32,
}

/// How much of a limit is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests per window.
    pub limit: u32,
    /// Requests that would be let through now.
    pub remaining: u32,
    /// Time until something comes back: until the next request may pass, where none may now.
    pub reset: Duration,
}

impl Window {
    /// Takes one request if the limit lets it through; tells what is left either way.
    ///
    /// A refused request leaves no trace: hammering does not move the moment of recovery.
    pub fn take(&mut self, limit: u32, now: Duration) -> Result<Quota, Quota> {
        // Two threads may arrive in another order than they read the clock.
        let now = self.newest.map_or(now, |slice| now.max(slice.last));
        self.forget_before(now);
        if self.used >= limit {
            return Err(self.quota(limit, now));
        }
        match &mut self.newest {
            Some(slice) if now < slice.first + SLICE => {
                slice.last = now;
                slice.count += 1;
            }
            newest => {
                let full = newest.replace(Slice { first: now, last: now, count: 1 });
                self.older.extend(full);
            }
        }
        if self.older.is_empty() {
            self.oldest_last = now;
        }
        self.used += 1;
        Ok(self.quota(limit, now))
    }

    /// Returns what is left of the limit, taking nothing.
    pub fn peek(&mut self, limit: u32, now: Duration) -> Quota {
        self.forget_before(now);
        self.quota(limit, now)
    }

    /// Returns what is still in the window, oldest first.
    pub fn slices(&self) -> impl Iterator<Item = Slice> {
        self.older.iter().copied().chain(self.newest)
    }

    /// Tells whether nothing counts any more.
    pub fn is_idle(&self, now: Duration) -> bool {
        self.newest.is_none_or(|slice| now.saturating_sub(slice.last) >= SPAN)
    }

    /// Returns a window with these slices, oldest first: what was kept before a restart.
    pub fn restore(slices: impl IntoIterator<Item = Slice>) -> Self {
        let mut older: VecDeque<Slice> = slices.into_iter().filter(|slice| slice.count > 0).collect();
        let used = older.iter().map(|slice| slice.count).sum();
        let oldest_last = older.front().map_or(Duration::ZERO, |slice| slice.last);
        let newest = older.pop_back();
        Self { newest, oldest_last, older, used }
    }

    fn forget_before(&mut self, now: Duration) {
        while self.used > 0 && now.saturating_sub(self.oldest_last) >= SPAN {
            let Some(oldest) = self.older.pop_front().or_else(|| self.newest.take()) else { break };
            self.used -= oldest.count;
            let next = self.older.front().copied().or(self.newest);
            self.oldest_last = next.map_or(Duration::ZERO, |slice| slice.last);
        }
    }

    /// The remainder, and when it grows: the limit may have been lowered below what is used, so that
    /// several slices must leave before one more request may pass.
    fn quota(&self, limit: u32, now: Duration) -> Quota {
        let remaining = limit.saturating_sub(self.used);
        let last = match self.used {
            0 => None,
            _ if remaining > 0 => Some(self.oldest_last),
            used => self.last_of(used - limit + 1),
        };
        let reset = last.map_or(Duration::ZERO, |last| (last + SPAN).saturating_sub(now));
        Quota { limit, remaining, reset }
    }

    /// Returns the time of the request with which so many have left.
    fn last_of(&self, must_leave: u32) -> Option<Duration> {
        let mut left = 0;
        let mut slices = self.slices();
        let reached = slices.find(|slice| {
            left += slice.count;
            left >= must_leave
        });
        reached.map(|slice| slice.last)
    }
}

impl Quota {
    /// Returns the reset in whole seconds, rounded up: waiting exactly that long is enough.
    pub fn reset_seconds(&self) -> u64 {
        self.reset.as_secs() + u64::from(self.reset.subsec_nanos() > 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_limit_holds_across_the_turn_of_a_minute() {
        let mut window = Window::default();
        for _ in 0..10 {
            assert!(window.take(10, ms(59_900)).is_ok());
        }
        assert!(window.take(10, ms(60_100)).is_err());
        assert!(window.take(10, ms(119_899)).is_err());
        assert!(window.take(10, ms(119_900)).is_ok());
    }

    #[test]
    fn waiting_exactly_as_told_is_enough() {
        let mut window = Window::default();
        window.take(1, ms(0)).unwrap();
        let quota = window.take(1, ms(1)).unwrap_err();
        assert_eq!((quota.remaining, quota.reset_seconds()), (0, 60));
        assert!(window.take(1, ms(1) + Duration::from_secs(quota.reset_seconds())).is_ok());
    }

    #[test]
    fn hammering_never_moves_the_moment_of_recovery() {
        let mut window = Window::default();
        window.take(1, ms(0)).unwrap();
        for now in 1..60_000 {
            let quota = window.take(1, ms(now)).unwrap_err();
            assert_eq!(quota.reset, ms(60_000 - now));
        }
        assert!(window.take(1, ms(60_000)).is_ok());
    }

    #[test]
    fn a_changed_limit_keeps_what_was_used() {
        let mut window = Window::default();
        for second in 0..8 {
            window.take(10, ms(second * 2_000)).unwrap();
        }
        // Lowered to 5 with 8 used: four must leave before one may pass, the last of them made at 6 s.
        let quota = window.take(5, ms(15_000)).unwrap_err();
        assert_eq!((quota.remaining, quota.reset), (0, ms(51_000)));
        assert!(window.take(5, ms(65_999)).is_err());
        assert!(window.take(5, ms(66_000)).is_ok());
        assert_eq!(window.peek(10, ms(66_000)).remaining, 5);
    }

    #[test]
    fn memory_is_bounded_whatever_the_limit() {
        let mut window = Window::default();
        for now in (0..200_000).step_by(7) {
            window.take(u32::MAX, ms(now)).unwrap();
        }
        assert!(window.slices().count() <= 61, "{} slices", window.slices().count());
    }

    #[test]
    fn a_clock_read_out_of_order_does_no_harm() {
        let mut window = Window::default();
        window.take(3, ms(1_000)).unwrap();
        window.take(3, ms(900)).unwrap();
        assert_eq!(window.newest.map(|slice| slice.last), Some(ms(1_000)));
    }

    /// The same, as plainly as can be: all slices in one list, looked through each time.
    #[derive(Default)]
    struct Plain(Vec<Slice>);

    impl Plain {
        fn used(&self) -> u32 {
            self.0.iter().map(|slice| slice.count).sum()
        }

        fn forget_before(&mut self, now: Duration) {
            while self.0.first().is_some_and(|slice| now.saturating_sub(slice.last) >= SPAN) {
                self.0.remove(0);
            }
        }

        fn take(&mut self, limit: u32, now: Duration) -> Result<Quota, Quota> {
            let now = self.0.last().map_or(now, |slice| now.max(slice.last));
            self.forget_before(now);
            if self.used() >= limit {
                return Err(self.peek(limit, now));
            }
            match self.0.last_mut() {
                Some(slice) if now < slice.first + SLICE => {
                    *slice = Slice { last: now, count: slice.count + 1, ..*slice };
                }
                _ => self.0.push(Slice { first: now, last: now, count: 1 }),
            }
            Ok(self.peek(limit, now))
        }

        fn peek(&mut self, limit: u32, now: Duration) -> Quota {
            self.forget_before(now);
            let remaining = limit.saturating_sub(self.used());
            let must_leave = if remaining == 0 { self.used() - limit + 1 } else { 1 };
            let reached = (1..=self.0.len())
                .find(|count| self.0[..*count].iter().map(|slice| slice.count).sum::<u32>() >= must_leave);
            let reset =
                reached.map_or(Duration::ZERO, |count| (self.0[count - 1].last + SPAN).saturating_sub(now));
            Quota { limit, remaining, reset }
        }
    }

    proptest! {
        #[test]
        fn it_tells_what_one_list_of_slices_tells(
            // Back by as much as threads may be late, on by more than the whole window.
            steps in proptest::collection::vec((-300..70_000_i64, any::<bool>(), 0..30_u32, any::<bool>()), 1..300),
        ) {
            let (mut window, mut plain, mut now) = (Window::default(), Plain::default(), 1_000_i64);
            for (step, is_short, limit, takes) in steps {
                now = (now + if is_short { step % 700 } else { step }).max(0);
                let at = ms(now.unsigned_abs());
                if takes {
                    prop_assert_eq!(window.take(limit, at), plain.take(limit, at));
                } else {
                    prop_assert_eq!(window.peek(limit, at), plain.peek(limit, at));
                }
                prop_assert!(window.slices().eq(plain.0.iter().copied()));
                prop_assert_eq!(&Window::restore(window.slices()), &window);
            }
        }

        /// The promise itself, checked against a plain log of every request let through.
        #[test]
        fn no_sixty_seconds_let_through_more_than_the_limit(
            limit in 1..20_u32,
            steps in proptest::collection::vec(0..4_000_u64, 1..400),
        ) {
            let mut window = Window::default();
            let (mut now, mut passed) = (0, Vec::new());
            for step in steps {
                now += step;
                let outcome = window.take(limit, ms(now));
                if outcome.is_ok() {
                    passed.push(now);
                }
                let counted = passed.iter().filter(|&&at| at + 60_000 > now).count();
                prop_assert!(counted <= limit as usize, "{counted} in the 60 s before {now}");
                // Strictness has an end too: what is refused would overrun within a second.
                if outcome.is_err() {
                    let nearly = passed.iter().filter(|&&at| at + 61_000 > now).count();
                    prop_assert!(nearly >= limit as usize, "refused at {now} with {nearly}");
                }
            }
            prop_assert_eq!(window.peek(limit, ms(now + 60_000)).remaining, limit);
        }

        #[test]
        fn what_a_window_keeps_restores_it(steps in proptest::collection::vec(0..4_000_u64, 1..100)) {
            let mut window = Window::default();
            let mut now = 0;
            for step in steps {
                now += step;
                let _ = window.take(30, ms(now));
            }
            prop_assert_eq!(Window::restore(window.slices()), window);
        }
    }
}
