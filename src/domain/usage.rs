//! What was used, by whom: one record an answer, counted in buckets.

use std::sync::Arc;
use std::time::Duration;

use super::histogram::Histogram;
use super::id::KeyId;

/// The status noted for a client that left before its answer was complete (nginx's convention).
pub const CLIENT_CLOSED_REQUEST: u16 = 499;

/// What requests are counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// The minute, counted from the epoch.
    pub minute: i64,
    /// The key; none where the request had no key that mcpd knows.
    pub key: Option<KeyId>,
    /// The route's pattern, such as `/v1/models/{id}`.
    pub endpoint: &'static str,
    /// The status that the client was answered with.
    pub status: u16,
    /// The model that was asked for, if it is one that the server knows.
    pub model: Option<Arc<str>>,
}

/// The figures of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Answered requests.
    pub requests: u64,
    /// Sum of their latencies, from the request's head to the answer's end.
    pub latency_sum: Duration,
    /// The longest of them.
    pub latency_max: Duration,
    /// How they are spread.
    pub latencies: Histogram,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of answer bodies.
    pub bytes_out: u64,
    /// What was read and written in tokens.
    pub tokens: Tokens,
    /// Requests whose tokens are an estimate.
    pub estimated: u64,
}

/// What is counted of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// From the request's head to the answer's end, to the microsecond.
    pub latency: Duration,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// What was read and written in tokens.
    pub tokens: Tokens,
    /// Whether the tokens are an estimate.
    pub is_estimated: bool,
}

/// A count of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Tokens read.
    pub prompt: u64,
    /// Tokens written.
    pub completion: u64,
}

impl Tokens {
    /// More tokens than this in one answer are a mistake of whoever told of them.
    const MOST: u64 = u32::MAX as u64;

    /// Returns the counts as an upstream told them, within reason: a sum of them must fit everywhere.
    pub fn told(prompt: u64, completion: u64) -> Self {
        Self { prompt: prompt.min(Self::MOST), completion: completion.min(Self::MOST) }
    }

    /// Adds other tokens to these.
    pub const fn add(&mut self, other: Self) {
        self.prompt += other.prompt;
        self.completion += other.completion;
    }
}

impl Figures {
    /// Adds one answer to these.
    pub fn count(&mut self, measured: &Measured) {
        self.requests += 1;
        self.latency_sum += measured.latency;
        self.latency_max = self.latency_max.max(measured.latency);
        self.latencies.record(measured.latency);
        self.bytes_in += measured.bytes_in;
        self.bytes_out += measured.bytes_out;
        self.tokens.add(measured.tokens);
        self.estimated += u64::from(measured.is_estimated);
    }

    /// Adds other figures to these.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.latency_sum += other.latency_sum;
        self.latency_max = self.latency_max.max(other.latency_max);
        self.latencies.merge(&other.latencies);
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.tokens.add(other.tokens);
        self.estimated += other.estimated;
    }
}
