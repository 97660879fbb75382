//! What one worker counts between two drains. Answers that are alike are counted in one place, next to each other in
//! memory: a busy key's are found in the processor's caches, or fetched at once.

use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use super::batch::HashMap;
use super::{Activity, Batch, Record, Who};
use crate::domain::sighting::Seen;
use crate::domain::usage::{Bucket, Figures};
use crate::nice::with_pauses;

/// As many are told apart; then they are added up.
const MOST: usize = 4_096;

/// What makes answers alike is hashed under a key of this process.
static HASHER: LazyLock<foldhash::quality::RandomState> = LazyLock::new(Default::default);

/// Answers counted and not yet handed over.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Where each is, by the hash of what makes them alike.
    places: HashMap<u64, usize>,
    alike: Vec<Alike>,
    /// The user agent of the latest of them: many keys' clients call themselves the same, and share it.
    user_agent: Arc<[u8]>,
    /// What was added up already, or is rare.
    batch: Batch,
}

/// Answers that differ only in what is counted.
#[derive(Debug)]
pub(super) struct Alike {
    pub bucket: Bucket,
    pub code: Option<&'static str>,
    superseded: bool,
    client: Option<IpAddr>,
    user_agent: Arc<[u8]>,
    pub figures: Figures,
    /// Those that were let through, and how.
    pub admitted: u64,
    pub activity: Option<Activity>,
    pub seen: Seen,
}

impl Tally {
    /// Tells whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.alike.is_empty() && self.batch.is_empty()
    }

    /// Counts an answer.
    pub fn add(&mut self, record: Record<'_>) {
        if !record.findings.is_empty() {
            return self.batch.add(record);
        }
        let hash = hash(&record);
        if let Some(&place) = self.places.get(&hash) {
            let alike = &mut self.alike[place];
            return if alike.is_of(&record) { alike.add(&record) } else { self.batch.add(record) };
        }
        if self.alike.len() == MOST {
            self.add_up();
        }
        self.places.insert(hash, self.alike.len());
        if *self.user_agent != *record.who.user_agent {
            self.user_agent = record.who.user_agent.into();
        }
        self.alike.push(Alike::of(record, Arc::clone(&self.user_agent)));
    }

    /// Takes what was counted. Its room stays, for what is counted next.
    pub fn take(&mut self) -> Batch {
        self.add_up();
        std::mem::take(&mut self.batch)
    }

    fn add_up(&mut self) {
        self.places.clear();
        for alike in with_pauses(self.alike.drain(..)) {
            self.batch.add_alike(alike);
        }
    }
}

fn hash(record: &Record<'_>) -> u64 {
    let Record { bucket, who, .. } = record;
    HASHER.hash_one((bucket, who.client, who.user_agent))
}

impl Alike {
    /// Returns the first of them, which came from this user agent.
    pub fn of(record: Record<'_>, user_agent: Arc<[u8]>) -> Self {
        let mut figures = Figures::default();
        figures.count(&record.measured);
        let who = record.who;
        Self {
            bucket: record.bucket,
            code: record.code,
            superseded: who.superseded,
            client: who.client,
            user_agent,
            figures,
            admitted: u64::from(record.activity.is_some()),
            activity: record.activity,
            seen: record.seen,
        }
    }

    fn is_of(&self, record: &Record<'_>) -> bool {
        self.bucket == record.bucket
            && self.code == record.code
            && self.superseded == record.who.superseded
            && self.client == record.who.client
            && *self.user_agent == *record.who.user_agent
    }

    fn add(&mut self, record: &Record<'_>) {
        self.figures.count(&record.measured);
        self.seen.merge(&record.seen);
        if let Some(activity) = record.activity {
            self.admitted += 1;
            self.activity = Some(self.activity.map_or(activity, |known| known.with(activity)));
        }
    }

    /// Returns who asked.
    pub fn who(&self) -> Who<'_> {
        let Bucket { key, endpoint, .. } = self.bucket;
        let Self { superseded, client, ref user_agent, .. } = *self;
        Who { key, superseded, client, user_agent, endpoint }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::key::LastUse;
    use crate::domain::report_only::{Finding, Findings};
    use crate::domain::scope::Scope;
    use crate::domain::time::Timestamp;
    use crate::domain::usage::{Measured, Tokens};

    fn record((number, millis, latency): (u32, i64, u64)) -> Record<'static> {
        let at = Timestamp::from_millis(1_795_000_000_000 + millis);
        let bit = |bit: u32| number >> bit & 1 == 1;
        let key = bit(0).then(|| format!("key_{:024}", number >> 4 & 1).parse().unwrap());
        let client = bit(1).then(|| [10, 0, 0, (number >> 5 & 1) as u8].into());
        let endpoint = if bit(6) { "/v1/key" } else { "/v1/models" };
        let last = LastUse { at, ip: None };
        let user_agent: &[u8] = if bit(7) { b"curl" } else { b"" };
        Record {
            bucket: Bucket {
                minute: at.as_seconds().div_euclid(60),
                key,
                endpoint,
                status: if bit(2) { 200 } else { 429 },
                model: bit(8).then(|| "m".into()),
            },
            measured: Measured {
                latency: std::time::Duration::from_micros(latency),
                bytes_in: 1,
                bytes_out: latency,
                tokens: Tokens { prompt: 1, completion: 2 },
                is_estimated: bit(3),
            },
            code: (!bit(2)).then_some("rate_limit_exceeded"),
            activity: (bit(0) && bit(2)).then_some(Activity {
                last,
                peak_rate: number >> 3,
                peak_concurrent: number & 7,
            }),
            findings: if bit(9) {
                Findings::default().with(Finding::Scope(Scope::ModelsRead))
            } else {
                Findings::default()
            },
            who: Who { key, superseded: bit(10), client, user_agent, endpoint },
            seen: Seen::once(at),
        }
    }

    /// What a batch comes to, in an order of its own.
    fn told(batch: &Batch) -> [Vec<String>; 6] {
        fn sorted<T: std::fmt::Debug>(all: impl Iterator<Item = T>) -> Vec<String> {
            let mut told: Vec<String> = all.map(|one| format!("{one:?}")).collect();
            told.sort();
            told
        }
        [
            sorted(batch.figures.iter()),
            sorted(batch.activities.iter()),
            sorted(batch.admitted.iter()),
            sorted(batch.sightings.iter()),
            sorted(batch.reports.iter()),
            sorted(batch.refusals.iter()),
        ]
    }

    proptest! {
        #[test]
        fn answers_counted_side_by_side_come_to_what_they_come_to_one_by_one(
            // Within some minutes, around midnight.
            answers in proptest::collection::vec((0..2048_u32, 40_000_000..40_200_000_i64, 1..1_000_u64), 0..300),
        ) {
            let (mut tally, mut batch) = (Tally::default(), Batch::default());
            for (at, answer) in answers.iter().enumerate() {
                tally.add(record(*answer));
                batch.add(record(*answer));
                if at == 200 {
                    tally.add_up();
                }
            }
            prop_assert_eq!(told(&tally.take()), told(&batch));
            prop_assert!(tally.is_empty());
        }
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_lost_for_it() {
        let mut tally = Tally::default();
        for number in 0..20_000_u32 {
            let mut one = record((0, 0, 1));
            one.who.client = Some(number.to_be_bytes().into());
            tally.add(one);
            assert!(tally.alike.len() <= MOST);
        }
        let batch = tally.take();
        assert_eq!(batch.figures.values().map(|figures| figures.requests).sum::<u64>(), 20_000);
        assert_eq!(batch.sightings.iter().count(), 20_000);
    }
}
