//! Figures as they are compared.

use super::super::rows::Found;
use crate::domain::histogram::read_counts;

/// The figures of a row, or of several: sums but for the largest latency. The last two stand for the histogram: how many
/// requests it counts, and a sum that no other counts are likely to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Figures([u64; 10]);

const NAMES: [&str; 10] = [
    "requests",
    "latency_sum",
    "latency_max",
    "bytes_in",
    "bytes_out",
    "prompt_tokens",
    "completion_tokens",
    "estimated",
    "latencies",
    "latencies (check sum)",
];
const REQUESTS: usize = 0;
const LARGEST: usize = 2;
const COUNTED: usize = 8;

/// A factor for each bucket of a histogram.
static FACTORS: [u64; 256] = factors();

/// One figure that differs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unequal {
    pub figure: &'static str,
    pub expected: u64,
    pub found: u64,
}

impl Figures {
    pub(super) fn read(row: &Found<'_>) -> rusqlite::Result<Self> {
        let mut figures = [0; 10];
        figures[..COUNTED].copy_from_slice(&row.numbers()?);
        let (mut counted, mut sum) = (0_u64, 0_u64);
        read_counts(row.histogram()?, |bucket, count| {
            counted = counted.wrapping_add(count);
            sum = sum.wrapping_add(count.wrapping_mul(FACTORS[usize::from(bucket)]));
        });
        (figures[COUNTED], figures[COUNTED + 1]) = (counted, sum);
        Ok(Self(figures))
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (place, (sum, figure)) in self.0.iter_mut().zip(other.0).enumerate() {
            *sum = if place == LARGEST { (*sum).max(figure) } else { sum.wrapping_add(figure) };
        }
    }

    /// Returns the first figure in which the others, that should be the same, differ.
    pub(super) fn compare(&self, found: &Self) -> Option<Unequal> {
        let place = self.0.iter().zip(found.0).position(|(expected, found)| *expected != found)?;
        Some(Unequal { figure: NAMES[place], expected: self.0[place], found: found.0[place] })
    }

    /// Returns the difference between the requests and those that the histogram counts, if there is one.
    pub(super) fn uncounted(&self) -> Option<Unequal> {
        let (expected, found) = (self.0[REQUESTS], self.0[COUNTED]);
        (expected != found).then_some(Unequal { figure: NAMES[COUNTED], expected, found })
    }
}

/// Numbers without a pattern (the generator is splitmix64).
const fn factors() -> [u64; 256] {
    let mut factors = [0; 256];
    let (mut place, mut state) = (0, 0_u64);
    while place < factors.len() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        factors[place] = mixed ^ (mixed >> 31);
        place += 1;
    }
    factors
}
