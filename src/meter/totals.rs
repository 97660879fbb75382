//! Totals since the start, for the metrics. Their series are bounded by keys, routes and statuses.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Batch;
use crate::domain::histogram::Histogram;
use crate::domain::id::KeyId;
use crate::domain::usage::Tokens;

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
    pub(super) fn add(&mut self, batch: &Batch) {
        for (bucket, figures) in &batch.figures {
            *self.requests.entry((bucket.key, bucket.endpoint, bucket.status)).or_default() +=
                figures.requests;
            let (histogram, sum) = self.durations.entry(bucket.endpoint).or_default();
            histogram.merge(&figures.latencies);
            *sum += figures.latency_sum;
            let tokens = self.tokens.entry(bucket.key).or_default();
            tokens.prompt += figures.tokens.prompt;
            tokens.completion += figures.tokens.completion;
        }
        for (code, count) in &batch.refusals {
            *self.refusals.entry(code).or_default() += count;
        }
    }
}
