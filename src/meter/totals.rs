//! Totals since the start, for the metrics. Their series are bounded by keys, routes and statuses; a
//! deleted key's go with it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Batch;
use crate::domain::histogram::Histogram;
use crate::domain::id::KeyId;
use crate::domain::usage::Tokens;
use crate::nice::with_pauses;

/// What was counted since the start.
#[derive(Debug, Default)]
pub struct Totals {
    /// Answers by key, endpoint and status.
    pub requests: BTreeMap<(Option<KeyId>, &'static str, u16), u64>,
    /// Durations by endpoint: how they are spread, and their sum.
    pub durations: BTreeMap<&'static str, (Histogram, Duration)>,
    /// Tokens by key.
    pub tokens: BTreeMap<Option<KeyId>, Tokens>,
    /// Refusals and failures by code.
    pub refusals: BTreeMap<&'static str, u64>,
}

impl Totals {
    /// Forgets what was counted under keys that are no more.
    pub fn keep_keys(&mut self, is_there: impl Fn(KeyId) -> bool) {
        let is_there = |key: &Option<KeyId>| key.is_none_or(&is_there);
        self.requests.retain(|(key, ..), _| is_there(key));
        self.tokens.retain(|key, _| is_there(key));
    }

    pub(super) fn add(&mut self, batch: &Batch) {
        for (bucket, figures) in with_pauses(&batch.figures) {
            *self.requests.entry((bucket.key, bucket.endpoint, bucket.status)).or_default() +=
                figures.requests;
            let (histogram, sum) = self.durations.entry(bucket.endpoint).or_default();
            histogram.merge(&figures.latencies);
            *sum += figures.latency_sum;
            self.tokens.entry(bucket.key).or_default().add(figures.tokens);
        }
        for (code, count) in &batch.refusals {
            *self.refusals.entry(code).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_under_no_key_is_kept() {
        let key = |text: &str| Some(text.parse::<KeyId>().unwrap());
        let keys = [None, key("key_000000000000000000000001"), key("key_000000000000000000000002")];
        let mut totals = Totals::default();
        for key in keys {
            totals.requests.insert((key, "/v1/key", 200), 1);
            totals.tokens.insert(key, Tokens::default());
        }
        totals.keep_keys(|key| Some(key) == keys[1]);
        assert!(totals.requests.keys().map(|(key, ..)| key).eq(&keys[..2]));
        assert!(totals.tokens.keys().eq(&keys[..2]));
    }
}
