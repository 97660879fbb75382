//! The signatures that a key has used, so that each is accepted once.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use crate::domain::signature::Seal;

/// More than this many within their time are refused rather than forgotten.
const MOST: usize = 100_000;

/// How much longer a signature is remembered, as far as there is room: a wall clock that is stepped back by no
/// more than this makes none of them good again.
pub const STEP_BACK: Duration = Duration::from_secs(3_600);

/// How long a signature must be remembered where one may be `max_skew` old or ahead: one made ahead can be
/// sent again until it is old, to the end of its last second.
pub fn memory(max_skew: Duration) -> Duration {
    max_skew * 2 + Duration::from_secs(1)
}

/// The signatures accepted of one key, each until it would be too old anyway, and then for as long as a step of
/// the wall clock might make it good again.
#[derive(Debug, Default)]
pub struct Seals {
    known: HashSet<Seal>,
    by_age: VecDeque<(Duration, Seal)>,
}

/// Why a signature is not accepted, though it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAccepted {
    /// It was accepted before.
    Replayed,
    /// There is no room to remember it.
    Full,
}

impl Seals {
    /// Remembers a signature until the steady time given, and longer as far as there is room.
    pub fn accept(&mut self, seal: Seal, now: Duration, until: Duration) -> Result<(), NotAccepted> {
        while self.forget_oldest(now.saturating_sub(STEP_BACK)) {}
        if self.known.contains(&seal) {
            return Err(NotAccepted::Replayed);
        }
        if self.known.len() >= MOST && !self.forget_oldest(now) {
            return Err(NotAccepted::Full);
        }
        self.restore(seal, until);
        Ok(())
    }

    /// Puts back a signature that was accepted before a restart, the oldest first: also where there are more
    /// than fit, since a clock that was stepped back keeps them alive for longer.
    pub fn restore(&mut self, seal: Seal, until: Duration) {
        self.known.insert(seal);
        self.by_age.push_back((until, seal));
    }

    /// Forgets the oldest signature if its time is over; tells whether it was.
    fn forget_oldest(&mut self, now: Duration) -> bool {
        let oldest = self.by_age.pop_front_if(|(until, _)| *until <= now);
        oldest.is_some_and(|(_, seal)| self.known.remove(&seal))
    }

    /// Forgets a signature that could not be kept for good after all.
    pub fn forget(&mut self, seal: &Seal) {
        if self.known.remove(seal) {
            self.by_age.retain(|(_, known)| known != seal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_signature_is_accepted_once_within_its_time() {
        let mut seals = Seals::default();
        assert_eq!(seals.accept([1; 32], seconds(0), seconds(600)), Ok(()));
        assert_eq!(seals.accept([1; 32], seconds(599), seconds(1199)), Err(NotAccepted::Replayed));
        assert_eq!(seals.accept([2; 32], seconds(599), seconds(1199)), Ok(()));
    }

    #[test]
    fn a_signature_is_remembered_longer_where_there_is_room() {
        let mut seals = Seals::default();
        for number in [1, 2] {
            assert_eq!(seals.accept([number; 32], seconds(0), seconds(600)), Ok(()));
        }
        assert_eq!(seals.accept([1; 32], seconds(4199), seconds(4799)), Err(NotAccepted::Replayed));
        assert_eq!(seals.accept([1; 32], seconds(4200), seconds(4800)), Ok(()));
        assert_eq!((seals.known.len(), seals.by_age.len()), (1, 1));
    }

    #[test]
    fn a_full_memory_refuses_instead_of_forgetting() {
        let mut seals = Seals::default();
        for number in 0..MOST as u64 {
            let mut seal = [0; 32];
            seal[..8].copy_from_slice(&number.to_le_bytes());
            assert_eq!(seals.accept(seal, seconds(0), seconds(600)), Ok(()));
        }
        assert_eq!(seals.accept([9; 32], seconds(1), seconds(601)), Err(NotAccepted::Full));
        assert_eq!(seals.accept([0; 32], seconds(1), seconds(601)), Err(NotAccepted::Replayed));
        assert_eq!(seals.accept([9; 32], seconds(600), seconds(1200)), Ok(()));
    }

    #[test]
    fn what_could_not_be_kept_may_be_sent_again() {
        let mut seals = Seals::default();
        seals.accept([1; 32], seconds(0), seconds(600)).unwrap();
        seals.forget(&[1; 32]);
        assert_eq!(seals.accept([1; 32], seconds(1), seconds(601)), Ok(()));
    }
}
