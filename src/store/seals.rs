//! Signatures that were accepted, each once.

use rusqlite::Connection;

use super::column;
use crate::domain::id::KeyId;
use crate::domain::signature::Seal;
use crate::domain::time::Timestamp;

/// Keeps a signature until it is too old to be accepted again.
pub fn insert(
    connection: &Connection,
    key: KeyId,
    seal: &Seal,
    expires_at: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO seals (key_id, seal, expires_at) VALUES (?1, ?2, ?3)")?
        .execute((key.to_string(), seal, expires_at.as_millis()))
        .map(drop)
}

/// A signature as it was kept.
#[derive(Debug)]
pub struct SavedSeal {
    /// The key that it was made with.
    pub key: KeyId,
    /// The signature.
    pub seal: Seal,
    /// When it is too old to be accepted again.
    pub expires_at: Timestamp,
}

/// Returns every signature that was not too old at the given time, the oldest first.
pub fn live(connection: &Connection, time: Timestamp) -> rusqlite::Result<Vec<SavedSeal>> {
    connection
        .prepare_cached(
            "SELECT key_id, seal, expires_at FROM seals WHERE expires_at >= ?1 ORDER BY expires_at",
        )?
        .query_map([time.as_millis()], |row| {
            Ok(SavedSeal {
                key: column::text(row, "key_id")?,
                seal: row.get("seal")?,
                expires_at: column::time(row, "expires_at")?,
            })
        })?
        .collect()
}

/// Forgets at most so many of those that were too old at the given time; returns how many.
pub fn delete_expired(connection: &Connection, time: Timestamp, most: usize) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM seals WHERE (key_id, seal) IN (
                 SELECT key_id, seal FROM seals WHERE expires_at < ?1 LIMIT ?2)",
        )?
        .execute((time.as_millis(), super::rows(most)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate;

    #[test]
    fn what_is_live_is_returned_oldest_first_and_nothing_else() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate::run(&mut connection).unwrap();
        let keys =
            ["key_000000000000000000000001", "key_000000000000000000000000"].map(|id| id.parse().unwrap());
        for (number, seconds) in [(1, 30), (2, 10), (3, 20), (4, 9), (5, 40)] {
            let key = keys[usize::from(number) % 2];
            insert(&connection, key, &[number; 32], Timestamp::from_seconds(seconds)).unwrap();
        }
        let now = Timestamp::from_seconds(10);
        let live_now = || -> Vec<_> {
            live(&connection, now).unwrap().iter().map(|saved| (saved.seal[0], saved.expires_at)).collect()
        };
        let expected = [(2, 10), (3, 20), (1, 30), (5, 40)];
        let expected = expected.map(|(number, seconds)| (number, Timestamp::from_seconds(seconds)));
        assert_eq!(live_now(), expected);
        assert_eq!(delete_expired(&connection, now, 10).unwrap(), 1);
        assert_eq!(live_now(), expected);
        let left: u32 = connection.query_row("SELECT count(*) FROM seals", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 4);
    }
}
