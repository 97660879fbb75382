//! The windows of many subjects: so many at once, and no more.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use super::ring::Ring;
use crate::domain::alert::Rule;
use crate::domain::id::RuleId;

/// How many windows are counted in at once. Beyond it idle ones make room, then any.
const MOST: usize = 65_536;
/// How often all are looked at for idle ones at most.
const SWEPT_EVERY: Duration = Duration::from_secs(1);

/// Windows by rule and by whom they count.
#[derive(Debug)]
pub(super) struct Rings<T> {
    held: HashMap<(RuleId, T), Ring>,
    swept: Option<Duration>,
}

impl<T> Default for Rings<T> {
    fn default() -> Self {
        Self { held: HashMap::new(), swept: None }
    }
}

impl<T: Copy + Eq + Hash> Rings<T> {
    /// Returns the window of a rule for somebody.
    pub(super) fn of(&mut self, rule: &Rule, who: T, now: Duration) -> &mut Ring {
        let name = (rule.id, who);
        if self.held.len() >= MOST && !self.held.contains_key(&name) {
            self.make_room(now);
        }
        let ring = self.held.entry(name).or_insert_with(|| Ring::new(rule.window()));
        if !ring.fits(rule.window()) {
            *ring = Ring::new(rule.window());
        }
        ring
    }

    /// Forgets windows that hold nothing.
    pub(super) fn sweep(&mut self, now: Duration) {
        self.swept = Some(now);
        self.held.retain(|_, ring| !ring.is_idle(now));
    }

    fn make_room(&mut self, now: Duration) {
        if self.swept.is_none_or(|swept| now.saturating_sub(swept) >= SWEPT_EVERY) {
            self.sweep(now);
        }
        if self.held.len() >= MOST
            && let Some(any) = self.held.keys().next().copied()
        {
            self.held.remove(&any);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::alerts::watch::ring::Held;
    use crate::domain::alert::Kind;
    use crate::domain::time::Timestamp;

    #[test]
    fn windows_are_bounded_and_one_more_costs_little() {
        let at = Timestamp::from_seconds(0);
        let rule = Rule {
            id: "rule_000000000000000000000001".parse().unwrap(),
            kind: Kind::FailedAuth,
            enabled: true,
            key: None,
            threshold: None,
            window: None,
            webhook: None,
            created_at: at,
        };
        let (mut rings, second) = (Rings::default(), Duration::from_secs(1));
        let fill = |rings: &mut Rings<usize>, who, now| {
            rings.of(&rule, who, now).add(Held::bad(1, at), now);
        };
        (0..MOST).for_each(|who| fill(&mut rings, who, second));
        let start = Instant::now();
        (MOST..MOST + 20_000).for_each(|who| fill(&mut rings, who, 2 * second));
        // Looking through all for each of them would take minutes.
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        assert_eq!(rings.held.len(), MOST);
        fill(&mut rings, usize::MAX, Duration::from_secs(400));
        assert_eq!(rings.held.len(), 1, "what is idle goes first");
    }
}
