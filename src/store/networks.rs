//! Where each key was used from.

use rusqlite::Connection;

use super::column;
use crate::domain::id::KeyId;
use crate::domain::place::Place;
use crate::domain::time::Timestamp;

/// Where a key was used from, and when first and last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Where.
    pub place: Place,
    /// When first.
    pub first_at: Timestamp,
    /// When last, to the hour.
    pub last_at: Timestamp,
}

/// Returns where the key was used from.
pub fn of(connection: &Connection, key: KeyId) -> rusqlite::Result<Vec<Known>> {
    connection
        .prepare_cached("SELECT network, first_at, last_at FROM networks WHERE key_id = ?1")?
        .query_map([key], |row| {
            Ok(Known {
                place: column::text(row, "network")?,
                first_at: column::time(row, "first_at")?,
                last_at: column::time(row, "last_at")?,
            })
        })?
        .collect()
}

/// Notes that the key was used from there.
pub fn save(connection: &Connection, key: KeyId, known: &Known) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO networks (key_id, network, first_at, last_at)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET last_at = max(last_at, excluded.last_at)",
        )?
        .execute((key, known.place.to_string(), known.first_at.as_millis(), known.last_at.as_millis()))
        .map(drop)
}

/// Forgets at most so many that were last used before the given time; returns how many. The first of each key
/// tells since when it is used, and stays as long as the key.
pub fn delete_before(connection: &Connection, time: Timestamp, most: usize) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM networks WHERE (key_id, network) IN (
                 SELECT key_id, network
                 FROM networks AS old
                 WHERE last_at < ?1
                   AND (first_at > (SELECT min(first_at) FROM networks WHERE key_id = old.key_id)
                        OR NOT EXISTS (SELECT 1 FROM keys WHERE id = old.key_id))
                 LIMIT ?2)",
        )?
        .execute((time.as_millis(), super::rows(most)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate;

    #[test]
    fn what_a_key_was_used_from_long_ago_is_found_without_looking_at_all_of_it() {
        let mut database = Connection::open_in_memory().unwrap();
        migrate::run(&mut database).unwrap();
        let mut plan =
            database.prepare("EXPLAIN QUERY PLAN SELECT 1 FROM networks WHERE last_at < 5").unwrap();
        let steps: Vec<String> =
            plan.query_map([], |row| row.get("detail")).unwrap().map(Result::unwrap).collect();
        assert!(steps.iter().all(|step| step.contains("networks_by_end")), "{steps:?}");
        let key: KeyId = "key_000000000000000000000001".parse().unwrap();
        for (place, at) in [("10.0.0.1", 1), ("10.0.0.2", 2), ("10.0.0.3", 9)] {
            let at = Timestamp::from_seconds(at);
            save(&database, key, &Known { place: place.parse().unwrap(), first_at: at, last_at: at })
                .unwrap();
        }
        assert_eq!(delete_before(&database, Timestamp::from_seconds(5), 9).unwrap(), 2);
        assert_eq!(of(&database, key).unwrap().len(), 1);
    }
}
