//! How long requests took: counts in buckets that grow with the value, for percentiles at most a quarter too high.

use std::time::Duration;

/// Latencies counted in quarter octaves of microseconds, only the buckets in use being kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram(Vec<(u8, u64)>);

impl Histogram {
    /// Counts one latency.
    pub fn record(&mut self, latency: Duration) {
        self.add(bucket(latency), 1);
    }

    /// Adds another histogram's counts.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            self.add(*bucket, *count);
        }
    }

    /// Returns the latency that the given share (0 to 1) of all stayed within, to the upper edge of its
    /// bucket; zero when nothing was counted.
    pub fn percentile(&self, share: f64) -> Duration {
        let total: u64 = self.0.iter().map(|(_, count)| count).sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
        let rank = ((total as f64 * share).ceil() as u64).max(1);
        let mut counted = 0;
        for (bucket, count) in &self.0 {
            counted += count;
            if counted >= rank {
                return upper_edge(*bucket);
            }
        }
        Duration::ZERO
    }

    /// Returns how many took no longer than the latency, as far as whole buckets tell.
    pub fn count_within(&self, latency: Duration) -> u64 {
        self.0.iter().filter(|(bucket, _)| upper_edge(*bucket) <= latency).map(|(_, count)| count).sum()
    }

    /// Returns the histogram as bytes: for each bucket in use its number, and its count in groups of seven bits, the
    /// low ones first, all but the last with the high bit set.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * 2);
        for (bucket, count) in &self.0 {
            bytes.push(*bucket);
            let mut rest = *count;
            while rest >= 0x80 {
                bytes.push(low_byte(rest) | 0x80);
                rest >>= 7;
            }
            bytes.push(low_byte(rest));
        }
        bytes
    }

    /// Returns the histogram that the bytes hold; a cut-off end is left out.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut histogram = Self::default();
        histogram.merge_bytes(bytes);
        histogram
    }

    /// Adds the counts of the histogram that the bytes hold.
    pub fn merge_bytes(&mut self, bytes: &[u8]) {
        read_counts(bytes, |bucket, count| self.add(bucket, count));
    }

    /// Returns the histogram with these counts of buckets.
    pub fn from_counts(counts: impl Iterator<Item = (u8, u64)>) -> Self {
        let mut histogram = Self::default();
        counts.for_each(|(bucket, count)| histogram.add(bucket, count));
        histogram
    }

    fn add(&mut self, bucket: u8, count: u64) {
        match self.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(count),
            Err(at) => self.0.insert(at, (bucket, count)),
        }
    }
}

/// Hands out each bucket and its count that the bytes hold.
pub fn read_counts(bytes: &[u8], mut each: impl FnMut(u8, u64)) {
    let mut bytes = bytes.iter();
    while let Some(bucket) = bytes.next() {
        let (mut count, mut shift) = (0, 0);
        for byte in bytes.by_ref() {
            count |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift += 7;
            if byte & 0x80 == 0 {
                each(*bucket, count);
                break;
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "its low byte")]
const fn low_byte(number: u64) -> u8 {
    number as u8
}

/// The octave of the microseconds, and which quarter of it. Below four microseconds each has its own.
fn bucket(latency: Duration) -> u8 {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1);
    let octave = micros.ilog2();
    let quarter = if octave < 2 { 0 } else { (micros >> (octave - 2)) & 3 };
    u8::try_from(u64::from(octave) * 4 + quarter).expect("64 octaves of four quarters")
}

fn upper_edge(bucket: u8) -> Duration {
    let (octave, quarter) = (u32::from(bucket / 4), u64::from(bucket % 4));
    let micros = if octave < 2 { 1 << octave } else { ((4 + quarter + 1) << (octave - 2)) - 1 };
    Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_percentile_is_never_too_low_and_at_most_a_quarter_too_high(
            mut micros in proptest::collection::vec(1..100_000_000_u64, 1..200),
            share in 0.01..1.0_f64,
        ) {
            let mut histogram = Histogram::default();
            for latency in &micros {
                histogram.record(Duration::from_micros(*latency));
            }
            micros.sort_unstable();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let rank = ((micros.len() as f64 * share).ceil() as usize).max(1);
            let exact = micros[rank - 1];
            let told = u64::try_from(histogram.percentile(share).as_micros()).unwrap();
            prop_assert!(told >= exact && told <= exact + exact / 4, "{told} for {exact}");
        }

        #[test]
        fn bytes_hold_all_of_it(micros in proptest::collection::vec(any::<u64>(), 0..50)) {
            let mut histogram = Histogram::default();
            for latency in micros {
                histogram.record(Duration::from_micros(latency));
            }
            prop_assert_eq!(Histogram::from_bytes(&histogram.to_bytes()), histogram);
        }
    }

    #[test]
    fn large_counts_and_cut_off_ends_are_read_for_what_they_are() {
        let whole = Histogram::from_counts([(0, 1), (7, 127), (8, 128), (250, u64::MAX)].into_iter());
        let bytes = whole.to_bytes();
        assert_eq!(Histogram::from_bytes(&bytes), whole);
        let cut = Histogram::from_counts([(0, 1), (7, 127), (8, 128)].into_iter());
        assert_eq!(Histogram::from_bytes(&bytes[..bytes.len() - 1]), cut);
    }

    #[test]
    fn an_empty_histogram_tells_zero() {
        assert_eq!(Histogram::default().percentile(0.99), Duration::ZERO);
    }
}
