//! How each key was used, by UTC day.

use rusqlite::Connection;

use super::column;
use crate::domain::id::KeyId;
use crate::domain::time::Timestamp;

/// A quarter of an hour, in seconds.
const QUARTER: i64 = 900;

/// How a key was used on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Days since the epoch, in UTC.
    pub day: i64,
    /// Answered requests.
    pub requests: u64,
    /// Bit 0 is the first hour with a request in it that was let through, bit 23 the last.
    pub hours: u32,
    /// The most requests let through in a quarter of an hour.
    pub busiest_quarter: u64,
    /// The most requests let through in 60 seconds.
    pub peak_rate: u32,
    /// The most requests in flight.
    pub peak_concurrent: u32,
}

/// Adds to how a key was used on a day: requests add up, hours come together, and of peaks the highest stays.
pub fn note(connection: &Connection, key: KeyId, profile: &Profile) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO profiles (key_id, day, requests, hours, busiest_quarter, peak_rate, peak_concurrent)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT DO UPDATE SET
                 requests = requests + excluded.requests,
                 hours = hours | excluded.hours,
                 busiest_quarter = max(busiest_quarter, excluded.busiest_quarter),
                 peak_rate = max(peak_rate, excluded.peak_rate),
                 peak_concurrent = max(peak_concurrent, excluded.peak_concurrent)",
        )?
        .execute((
            key,
            profile.day,
            column::from_count(profile.requests),
            profile.hours,
            column::from_count(profile.busiest_quarter),
            profile.peak_rate,
            profile.peak_concurrent,
        ))
        .map(drop)
}

/// Counts requests of a key that were let through at a time; returns how many were in that quarter of an hour.
pub fn count_in_quarter(
    connection: &Connection,
    key: KeyId,
    at: Timestamp,
    admitted: u64,
) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(
            "INSERT INTO quarters (quarter, key_id, admitted)
             VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET admitted = admitted + excluded.admitted
             RETURNING admitted",
        )?
        .query_row((quarter(at), key, column::from_count(admitted)), |row| column::count(row, "admitted"))
}

/// Returns the key's days from `from` on and before `before` on which it was used, the latest first.
pub fn of(connection: &Connection, key: KeyId, from: i64, before: i64) -> rusqlite::Result<Vec<Profile>> {
    connection
        .prepare_cached(
            "SELECT day, requests, hours, busiest_quarter, peak_rate, peak_concurrent
             FROM profiles
             WHERE key_id = ?1 AND day >= ?2 AND day < ?3 AND requests > 0
             ORDER BY day DESC",
        )?
        .query_map((key, from, before), |row| {
            Ok(Profile {
                day: row.get("day")?,
                requests: column::count(row, "requests")?,
                hours: row.get("hours")?,
                busiest_quarter: column::count(row, "busiest_quarter")?,
                peak_rate: row.get("peak_rate")?,
                peak_concurrent: row.get("peak_concurrent")?,
            })
        })?
        .collect()
}

/// Forgets at most so many rows of the days before the given time's; returns how many.
pub fn delete_before(connection: &Connection, time: Timestamp, most: usize) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM profiles
             WHERE (key_id, day) IN (SELECT key_id, day FROM profiles WHERE day < ?1 LIMIT ?2)",
        )?
        .execute((time.day(), super::rows(most)))
}

/// Forgets at most so many counts of quarters of an hour before the given time's; returns how many.
pub fn delete_quarters_before(
    connection: &Connection,
    time: Timestamp,
    most: usize,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM quarters
             WHERE (quarter, key_id) IN (SELECT quarter, key_id FROM quarters WHERE quarter < ?1 LIMIT ?2)",
        )?
        .execute((quarter(time), super::rows(most)))
}

fn quarter(time: Timestamp) -> i64 {
    time.as_seconds().div_euclid(QUARTER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate;

    #[test]
    fn a_day_keeps_its_sums_and_its_peaks() {
        let mut database = Connection::open_in_memory().unwrap();
        migrate::run(&mut database).unwrap();
        let key: KeyId = "key_000000000000000000000001".parse().unwrap();
        let profile = |day, requests, hours, [busiest_quarter, rate, concurrent]: [u32; 3]| Profile {
            day,
            requests,
            hours,
            busiest_quarter: busiest_quarter.into(),
            peak_rate: rate,
            peak_concurrent: concurrent,
        };
        for noted in [
            profile(7, 5, 1 << 3, [5, 4, 1]),
            profile(7, 2, 1 << 23, [2, 2, 2]),
            profile(7, 1, 1 << 23, [3, 1, 1]),
            profile(8, 1, 1, [1, 1, 1]),
        ] {
            note(&database, key, &noted).unwrap();
        }
        let day = profile(7, 8, 1 << 3 | 1 << 23, [5, 4, 2]);
        assert_eq!(of(&database, key, 0, 8).unwrap(), [day]);
        assert_eq!(of(&database, key, 7, 9).unwrap(), [profile(8, 1, 1, [1, 1, 1]), day]);
        assert_eq!(delete_before(&database, Timestamp::from_seconds(8 * 86_400 + 1), 9).unwrap(), 1);
        assert_eq!(of(&database, key, 0, 9).unwrap(), [profile(8, 1, 1, [1, 1, 1])]);
    }

    #[test]
    fn what_comes_late_counts_in_its_own_quarter() {
        let mut database = Connection::open_in_memory().unwrap();
        migrate::run(&mut database).unwrap();
        let key = |number: u32| format!("key_{number:024}").parse::<KeyId>().unwrap();
        let count = |number, at, admitted| {
            count_in_quarter(&database, key(number), Timestamp::from_seconds(at), admitted).unwrap()
        };
        let counted = [(1, 899, 5), (1, 900, 2), (1, 0, 1), (2, 0, 4), (1, 1_799, 3)]
            .map(|(number, at, admitted)| count(number, at, admitted));
        assert_eq!(counted, [5, 2, 6, 4, 5]);
        let forget = |at| delete_quarters_before(&database, Timestamp::from_seconds(at), 9).unwrap();
        assert_eq!((forget(899), forget(900), forget(1_800)), (0, 2, 1));
    }
}
