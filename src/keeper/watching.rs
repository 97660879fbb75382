//! Writes down who was seen with each key, and how each was used that day.

use std::collections::HashMap;

use rusqlite::{Connection, Result};

use crate::domain::id::KeyId;
use crate::domain::time::Timestamp;
use crate::meter::Batch;
use crate::nice::with_pauses;
use crate::store::profiles::Profile;
use crate::store::reports::Report;
use crate::store::{profiles, reports, sightings};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Writes what a batch tells of its keys.
pub(super) fn write(connection: &Connection, batch: &Batch) -> Result<()> {
    sightings::add(connection, batch.sightings.iter())?;
    for ((key, day), requests) in with_pauses(days_of_keys(batch)) {
        profiles::note(connection, key, &Profile { day, requests, ..Profile::default() })?;
    }
    // What was refused makes nothing usual.
    for ((key, minute), admitted) in with_pauses(&batch.admitted) {
        profiles::note(connection, *key, &profile(connection, *key, *minute, *admitted)?)?;
    }
    for (key, activity) in with_pauses(&batch.activities) {
        let peaks = Profile {
            day: activity.last.at.day(),
            peak_rate: activity.peak_rate,
            peak_concurrent: activity.peak_concurrent,
            ..Profile::default()
        };
        profiles::note(connection, *key, &peaks)?;
    }
    for (key, finding, made) in batch.reports.iter() {
        let report = Report {
            setting: finding.setting().name().to_owned(),
            value: finding.value(),
            requests: made.requests,
            last_at: made.last,
        };
        reports::add(connection, key, &report)?;
    }
    Ok(())
}

/// Returns how many requests of each key were answered on each day, counted from the epoch.
fn days_of_keys(batch: &Batch) -> HashMap<(KeyId, i64), u64> {
    let mut days = HashMap::new();
    for (bucket, figures) in &batch.figures {
        if let Some(key) = bucket.key {
            *days.entry((key, begin(bucket.minute).day())).or_default() += figures.requests;
        }
    }
    days
}

/// Returns what requests that were let through in a minute tell of their day.
fn profile(connection: &Connection, key: KeyId, minute: i64, admitted: u64) -> Result<Profile> {
    let at = begin(minute);
    let hour = at.as_seconds().rem_euclid(DAY) / HOUR;
    Ok(Profile {
        day: at.day(),
        hours: 1 << hour,
        busiest_quarter: profiles::count_in_quarter(connection, key, at, admitted)?,
        ..Profile::default()
    })
}

fn begin(minute: i64) -> Timestamp {
    Timestamp::from_seconds(minute * 60)
}
