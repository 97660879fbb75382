//! One way through a tier's rows, in their order.

use std::collections::HashMap;
use std::mem::take;

use rusqlite::Connection;

use super::super::rows::{self, Found};
use super::super::since::Since;
use super::super::{EVERYBODY, Tier};
use super::figures::Figures;
use super::ledger::{Kind, Ledger, Place};

/// One way through a tier's rows.
pub(super) struct Pass<'a> {
    tier: Tier,
    /// From when on the tier is whole: of a step before that, some rows may be forgotten and some not yet.
    since: i64,
    start: i64,
    /// What all keys together did in the step, by series.
    whole: HashMap<i64, Figures>,
    /// What keys add up to in it.
    keys: HashMap<i64, Figures>,
    coarser: Option<Coarser<'a>>,
}

/// The next coarser tier, that the rows must add up to.
struct Coarser<'a> {
    connection: &'a Connection,
    tier: Tier,
    /// The first start whose rows are not compared yet; before it, at first, one of the tiers is not whole.
    next: i64,
    start: i64,
    sums: HashMap<(i64, i64), Figures>,
    kind: Kind,
}

impl<'a> Pass<'a> {
    pub(super) fn new(connection: &'a Connection, tier: Tier, since: Since) -> Self {
        let coarser = Tier::ALL.into_iter().find(|coarser| *coarser > tier);
        let coarser = coarser.map(|coarser| Coarser {
            connection,
            tier: coarser,
            next: since.of(tier).max(since.of(coarser)),
            start: i64::MIN,
            sums: HashMap::new(),
            kind: Kind::Steps(tier),
        });
        let since = since.of(tier);
        Self { tier, since, start: i64::MIN, whole: HashMap::new(), keys: HashMap::new(), coarser }
    }

    pub(super) fn look_at(&mut self, row: &Found<'_>, ledger: &mut Ledger) -> rusqlite::Result<()> {
        let place = Place { start: row.start()?, owner: row.owner()?, series: row.series()? };
        let figures = Figures::read(row)?;
        ledger.note(Kind::Histograms);
        ledger.differ(Kind::Histograms, place, figures.uncounted());
        if place.start < self.since {
            return Ok(());
        }
        if place.start != self.start {
            self.compare_keys(ledger);
            self.start = place.start;
        }
        ledger.note(Kind::Keys(self.tier));
        let side = if place.owner == EVERYBODY { &mut self.whole } else { &mut self.keys };
        side.entry(place.series).or_default().add(&figures);
        match &mut self.coarser {
            Some(coarser) => coarser.add(place, &figures, ledger),
            None => Ok(()),
        }
    }

    pub(super) fn finish(mut self, ledger: &mut Ledger) -> rusqlite::Result<()> {
        self.compare_keys(ledger);
        let Some(coarser) = &mut self.coarser else { return Ok(()) };
        coarser.compare(ledger)?;
        coarser.compare_up_to(i64::MAX, ledger)
    }

    fn compare_keys(&mut self, ledger: &mut Ledger) {
        let (mut whole, kind) = (take(&mut self.whole), Kind::Keys(self.tier));
        let place = |series| Place { start: self.start, owner: EVERYBODY, series };
        for (series, keys) in self.keys.drain() {
            let whole = whole.remove(&series).unwrap_or_default();
            ledger.differ(kind, place(series), keys.compare(&whole));
        }
        for (series, whole) in whole {
            ledger.differ(kind, place(series), Figures::default().compare(&whole));
        }
    }
}

impl Coarser<'_> {
    fn add(&mut self, place: Place, figures: &Figures, ledger: &mut Ledger) -> rusqlite::Result<()> {
        let start = self.tier.start_of(place.start);
        if start < self.next {
            return Ok(());
        }
        if start != self.start {
            self.compare(ledger)?;
            self.start = start;
        }
        ledger.note(self.kind);
        self.sums.entry((place.owner, place.series)).or_default().add(figures);
        Ok(())
    }

    /// Compares the sums with the rows of their step.
    fn compare(&mut self, ledger: &mut Ledger) -> rusqlite::Result<()> {
        if !self.sums.is_empty() {
            self.compare_up_to(self.start + 1, ledger)?;
            self.next = self.start + self.tier.seconds();
        }
        let left = take(&mut self.sums);
        for ((owner, series), sum) in left {
            let place = Place { start: self.start, owner, series };
            ledger.differ(self.kind, place, sum.compare(&Figures::default()));
        }
        Ok(())
    }

    /// Compares the rows that start before a point in time with the sums, which are all of one step: what is before
    /// that has no finer rows.
    fn compare_up_to(&mut self, end: i64, ledger: &mut Ledger) -> rusqlite::Result<()> {
        let Self { connection, tier, next, start, sums, kind } = self;
        rows::of_keys(connection, *tier, &(*next..end), EVERYBODY..i64::MAX, |row| {
            let place = Place { start: row.start()?, owner: row.owner()?, series: row.series()? };
            let found = Figures::read(&row)?;
            let mut sum = Figures::default();
            if place.start == *start {
                sum = sums.remove(&(place.owner, place.series)).unwrap_or_default();
            }
            ledger.differ(*kind, place, sum.compare(&found));
            Ok(())
        })
    }
}
