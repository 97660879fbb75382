//! How a key is usually used: read from its days, once a day.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::id::KeyId;
use crate::store::profiles::{self, Profile};
use crate::store::{Store, StoreError};

/// How far back days are kept.
const KEPT: i64 = 35;
/// How many keys' days are in memory.
const MOST_KEYS: usize = 10_000;

/// How many days a baseline is made of, and how few are enough.
const BASELINE: usize = 7;
const ENOUGH: usize = 3;
/// How many weeks back a day of the week is looked for.
const WEEKS: i64 = 4;
/// What requests in profiles are counted by.
const QUARTER: Duration = Duration::from_secs(900);

/// On how many days a key must have been used for its hours to be habits, and an hour to be one of them.
const DAYS: usize = 7;
const TWICE: usize = 2;
/// How many hours of a day may be usual for the others to be unusual.
const MOST_HOURS: u32 = 16;

const HOURS: u32 = 24;
const ALL_HOURS: u32 = (1 << HOURS) - 1;

/// The days of keys.
#[derive(Debug, Default)]
pub(super) struct Habits {
    /// By key; read on the day.
    read: HashMap<KeyId, (i64, Arc<[Profile]>)>,
    /// Usual hours by key and how far back they go, as of a day.
    hours: HashMap<(KeyId, i64), (i64, Option<u32>)>,
}

impl Habits {
    /// Returns the days on which a key was let through before today, the latest first.
    pub(super) fn of(&mut self, store: &Store, key: KeyId, today: i64) -> Result<Arc<[Profile]>, StoreError> {
        if let Some((day, profiles)) = self.read.get(&key)
            && *day == today
        {
            return Ok(Arc::clone(profiles));
        }
        if self.read.len() >= MOST_KEYS {
            self.read.retain(|_, (day, _)| *day == today);
        }
        let mut found = store.read(|connection| profiles::of(connection, key, today - KEPT, today))?;
        // On the others it was only refused.
        found.retain(|day| day.hours != 0);
        let found: Arc<[Profile]> = found.into();
        if self.read.len() < MOST_KEYS {
            self.read.insert(key, (today, Arc::clone(&found)));
        }
        Ok(found)
    }

    /// Returns the hours at which a key was usually used in so many days before today; none if they tell of no
    /// habit.
    pub(super) fn hours(
        &mut self,
        store: &Store,
        key: KeyId,
        back: i64,
        today: i64,
    ) -> Result<Option<u32>, StoreError> {
        if let Some((day, usual)) = self.hours.get(&(key, back))
            && *day == today
        {
            return Ok(*usual);
        }
        let days = self.of(store, key, today)?;
        let days: Vec<Profile> = days.iter().filter(|day| day.day >= today - back).copied().collect();
        let usual = usual_hours(&days);
        if self.hours.len() >= MOST_KEYS {
            self.hours.retain(|_, (day, _)| *day == today);
        }
        if self.hours.len() < MOST_KEYS {
            self.hours.insert((key, back), (today, usual));
        }
        Ok(usual)
    }
}

/// Returns how many requests a key makes in such a window at its busiest: the median of its last days. None as
/// long as there are too few of them.
pub(super) fn baseline(days: &[Profile], window: Duration) -> Option<f64> {
    let mut busiest: Vec<u64> = days.iter().take(BASELINE).map(|day| day.busiest_quarter).collect();
    if busiest.len() < ENOUGH {
        return None;
    }
    busiest.sort_unstable();
    let middle = busiest.len() / 2;
    let median = if busiest.len() % 2 == 1 {
        busiest[middle] as f64
    } else {
        f64::midpoint(busiest[middle - 1] as f64, busiest[middle] as f64)
    };
    Some(median * quarters(window))
}

/// Returns how many requests a key made in such a window at its busiest on this day of the week, in the last four
/// weeks.
pub(super) fn weekly_peak(days: &[Profile], window: Duration, today: i64) -> f64 {
    let same = days.iter().filter(|day| (today - day.day) % 7 == 0 && today - day.day <= WEEKS * 7);
    same.map(|day| day.busiest_quarter).max().unwrap_or(0) as f64 * quarters(window)
}

/// Returns how many quarters of an hour a window stands for. What comes in bursts comes in a part of one: nothing
/// shorter is known of.
fn quarters(window: Duration) -> f64 {
    (window.as_secs_f64() / QUARTER.as_secs_f64()).max(1.0)
}

/// Returns the hours at which a key is usually used, bit 0 being the first; none if its days tell of no habit.
/// An hour is usual if it was used on two days, and so are its neighbours.
pub(super) fn usual_hours(days: &[Profile]) -> Option<u32> {
    if days.len() < DAYS {
        return None;
    }
    let used = |hour: u32| days.iter().filter(|day| day.hours >> hour & 1 == 1).count() >= TWICE;
    let usual = (0..HOURS).filter(|hour| used(*hour)).fold(0, |hours, hour| hours | 1 << hour);
    let later = (usual << 1 | usual >> (HOURS - 1)) & ALL_HOURS;
    let earlier = (usual >> 1 | usual << (HOURS - 1)) & ALL_HOURS;
    let usual = usual | later | earlier;
    let within = days.iter().filter(|day| day.hours & !usual == 0).count();
    let is_habit = usual.count_ones() <= MOST_HOURS && within * 10 >= days.len() * 9;
    is_habit.then_some(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64, hours: std::ops::Range<u32>, busiest_quarter: u64) -> Profile {
        Profile {
            day,
            hours: hours.fold(0, |bits, hour| bits | 1 << hour),
            busiest_quarter,
            ..Profile::default()
        }
    }

    #[test]
    fn a_baseline_is_the_median_of_the_last_days_of_use() {
        let days = |busiest: &[u64]| busiest.iter().map(|most| day(0, 9..10, *most)).collect::<Vec<_>>();
        let cases: &[(&[u64], u64, Option<f64>)] = &[
            (&[], 900, None),
            (&[10, 20], 900, None),
            (&[10, 500, 20], 900, Some(20.0)),
            (&[10, 500, 20, 30], 900, Some(25.0)),
            (&[10, 10, 10, 10, 10, 10, 10, 900, 900, 900], 900, Some(10.0)),
            (&[10, 500, 20], 300, Some(20.0)),
            (&[10, 500, 20], 3_600, Some(80.0)),
        ];
        for (busiest, window, expected) in cases {
            assert_eq!(baseline(&days(busiest), Duration::from_secs(*window)), *expected, "{busiest:?}");
        }
    }

    #[test]
    fn a_weekly_peak_is_that_of_the_same_day_in_the_last_four_weeks() {
        let today = 20_759;
        let days = [(1, 900), (7, 30), (14, 40), (21, 20), (35, 700)];
        let days = days.map(|(back, busiest)| day(today - back, 9..10, busiest));
        let peak = |days, window| Some(weekly_peak(days, Duration::from_secs(window), today));
        for (window, expected) in [(60, 40.0), (900, 40.0), (1_800, 80.0)] {
            assert_eq!(peak(&days, window), Some(expected), "{window}");
        }
        assert_eq!(peak(&days[..1], 900), Some(0.0));
    }

    #[test]
    fn hours_are_usual_where_days_tell_of_a_habit() {
        let hours = |range: std::ops::Range<u32>| day(0, range, 0).hours;
        let office: Vec<Profile> = (0..10).map(|at| day(at, 9..17, 0)).collect();
        assert_eq!(usual_hours(&office), Some(hours(8..18)));
        assert_eq!(usual_hours(&office[..6]), None, "too few days");
        // Over midnight, the neighbours lie on both sides.
        let night: Vec<Profile> = (0..10).map(|at| day(at, 0..2, 0)).collect();
        assert_eq!(usual_hours(&night), Some(hours(0..3) | 1 << 23));
        let always: Vec<Profile> = (0..10).map(|at| day(at, 0..24, 0)).collect();
        assert_eq!(usual_hours(&always), None, "no hour is left");
        // One odd day in ten is no change of habit, two are none at all.
        let mut odd = office.clone();
        odd[0].hours |= 1 << 3;
        assert_eq!(usual_hours(&odd), Some(hours(8..18)));
        odd[1].hours |= 1 << 21;
        assert_eq!(usual_hours(&odd), None);
    }
}
