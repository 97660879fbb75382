//! Writes down who was seen with each key, and how each was used that day.

use std::collections::HashMap;

use rusqlite::{Connection, Result};

use crate::domain::id::KeyId;
use crate::domain::time::Timestamp;
use crate::meter::Batch;
use crate::store::profiles::Profile;
use crate::store::reports::Report;
use crate::store::{profiles, reports, sightings, usage};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Writes what a batch tells of its keys, whose usage is written already.
pub(super) fn write(connection: &Connection, batch: &Batch) -> Result<()> {
    sightings::add(connection, batch.sightings.iter())?;
    for (key, minutes) in minutes_of_keys(batch) {
        for (minute, requests) in minutes {
            profiles::note(connection, key, &profile(connection, key, minute, requests)?)?;
        }
    }
    for (key, activity) in &batch.activities {
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

/// Returns how many requests each key made in each minute, counted from the epoch.
fn minutes_of_keys(batch: &Batch) -> HashMap<KeyId, HashMap<i64, u64>> {
    let mut keys: HashMap<KeyId, HashMap<i64, u64>> = HashMap::new();
    for (bucket, figures) in &batch.figures {
        if let Some(key) = bucket.key {
            *keys.entry(key).or_default().entry(bucket.minute).or_default() += figures.requests;
        }
    }
    keys
}

fn profile(connection: &Connection, key: KeyId, minute: i64, requests: u64) -> Result<Profile> {
    let at = Timestamp::from_seconds(minute * 60);
    let hour = at.as_seconds().rem_euclid(DAY) / HOUR;
    Ok(Profile {
        day: at.day(),
        requests,
        hours: 1 << hour,
        busiest_quarter: usage::requests_in_quarter(connection, key, at)?,
        ..Profile::default()
    })
}
