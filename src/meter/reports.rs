//! What settings that are only tried out would have refused between two drains.

use std::collections::HashMap;

use crate::domain::id::KeyId;
use crate::domain::report_only::{Finding, Findings};
use crate::domain::time::Timestamp;

/// How many are told apart; what comes beyond that is counted by key and setting.
const MOST: usize = 10_000;

/// How often each finding was made of each key, and when last.
#[derive(Debug, Default)]
pub struct Reports(HashMap<(KeyId, Finding), Made>);

/// How often a finding was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Requests.
    pub requests: u64,
    /// When the last of them came in.
    pub last: Timestamp,
}

impl Reports {
    /// Counts what was found of one request.
    pub(super) fn note(&mut self, key: KeyId, findings: Findings, at: Timestamp) {
        for finding in findings.iter() {
            self.add(key, finding, Made { requests: 1, last: at });
        }
    }

    /// Adds what was counted elsewhere, or later.
    pub(super) fn merge(&mut self, other: Self) {
        for ((key, finding), made) in other.0 {
            self.add(key, finding, made);
        }
    }

    /// Returns each key's findings.
    pub fn iter(&self) -> impl Iterator<Item = (KeyId, Finding, Made)> {
        self.0.iter().map(|((key, finding), made)| (*key, *finding, *made))
    }

    fn add(&mut self, key: KeyId, finding: Finding, made: Made) {
        let is_full = self.0.len() >= MOST && !self.0.contains_key(&(key, finding));
        let finding = if is_full { Finding::Others(finding.setting()) } else { finding };
        let known = self.0.entry((key, finding)).or_insert(Made { requests: 0, last: made.last });
        known.requests += made.requests;
        known.last = known.last.max(made.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_nothing_is_lost_for_it() {
        let key = "key_000000000000000000000001".parse().unwrap();
        let (mut one, mut other) = (Reports::default(), Reports::default());
        for number in 0..15_000_u32 {
            let found =
                |number: u32| Findings::default().with(Finding::Address(Some(number.to_be_bytes().into())));
            one.note(key, found(number), Timestamp::from_seconds(1));
            other.note(key, found(number + 7_500), Timestamp::from_seconds(2));
        }
        one.merge(other);
        assert!(one.0.len() <= MOST + 1, "{}", one.0.len());
        assert_eq!(one.iter().map(|(.., made)| made.requests).sum::<u64>(), 30_000);
        let (.., others) = one.iter().find(|(_, finding, _)| matches!(finding, Finding::Others(_))).unwrap();
        assert_eq!(others.last, Timestamp::from_seconds(2));
    }
}
