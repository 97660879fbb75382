//! What settings that are only tried out would have refused, by UTC day.

use rusqlite::{Connection, named_params};

use super::column;
use crate::domain::id::KeyId;
use crate::domain::time::Timestamp;

/// How many values of a key are told apart in a day; more stand together under an empty one.
const MOST: i64 = 200;

/// How often something would have been refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The setting, `allowed_ips` or `scopes`.
    pub setting: String,
    /// The address or the scope; empty for those beyond the ones that are told apart.
    pub value: String,
    /// Requests that were let through all the same.
    pub requests: u64,
    /// When the last of them came in.
    pub last_at: Timestamp,
}

/// Adds to what was reported of a key on the day of the last request.
pub fn add(connection: &Connection, key: KeyId, report: &Report) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO reports (key_id, day, setting, value, requests, last_at)
             SELECT :key, :day, :setting,
                    CASE WHEN (SELECT count(*) FROM reports WHERE key_id = :key AND day = :day) < :most
                           OR EXISTS (SELECT 1 FROM reports
                                      WHERE key_id = :key AND day = :day AND setting = :setting AND value = :value)
                         THEN :value ELSE '' END,
                    :requests, :last_at
             ON CONFLICT DO UPDATE SET
                 requests = requests + excluded.requests,
                 last_at = max(last_at, excluded.last_at)",
        )?
        .execute(named_params! {
            ":key": key,
            ":day": day(report.last_at),
            ":setting": report.setting,
            ":value": report.value,
            ":requests": i64::try_from(report.requests).unwrap_or(i64::MAX),
            ":last_at": report.last_at.as_millis(),
            ":most": MOST,
        })
        .map(drop)
}

/// Returns what was reported of a key since the start of a UTC day, the most frequent first.
pub fn of(connection: &Connection, key: KeyId, since: Timestamp) -> rusqlite::Result<Vec<Report>> {
    connection
        .prepare_cached(
            "SELECT setting, value, sum(requests) AS requests, max(last_at) AS last_at
             FROM reports
             WHERE key_id = ?1 AND day >= ?2
             GROUP BY setting, value
             ORDER BY setting, requests DESC, value",
        )?
        .query_map((key, day(since)), |row| {
            Ok(Report {
                setting: row.get("setting")?,
                value: row.get("value")?,
                requests: column::count(row, "requests")?,
                last_at: column::time(row, "last_at")?,
            })
        })?
        .collect()
}

/// Forgets at most so many rows of days before the given time's; returns how many.
pub fn delete_before(connection: &Connection, time: Timestamp, most: usize) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM reports WHERE (key_id, day, setting, value) IN (
                 SELECT key_id, day, setting, value FROM reports WHERE day < ?1 LIMIT ?2)",
        )?
        .execute((day(time), super::rows(most)))
}

/// The days since the epoch.
const fn day(time: Timestamp) -> i64 {
    time.as_seconds().div_euclid(86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn reports() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        let schema = include_str!("../../sql/0004_watching.sql");
        let (_, table) = schema.split_once("CREATE TABLE reports").unwrap();
        let (table, _) = table.split_once(';').unwrap();
        connection.execute_batch(&format!("CREATE TABLE reports{table}")).unwrap();
        connection
    }

    fn report(value: &str, requests: u64, seconds: i64) -> Report {
        let setting = "allowed_ips".to_owned();
        Report { setting, value: value.to_owned(), requests, last_at: Timestamp::from_seconds(seconds) }
    }

    #[test]
    fn what_was_reported_is_summed_up_over_days_and_forgotten_by_day() {
        let (connection, key) = (reports(), "key_000000000000000000000001".parse().unwrap());
        for (value, requests, seconds) in [("a", 2, 10), ("a", 3, 5), ("a", 1, DAY), ("b", 9, DAY + 1)] {
            add(&connection, key, &report(value, requests, seconds)).unwrap();
        }
        let since = |seconds| of(&connection, key, Timestamp::from_seconds(seconds)).unwrap();
        assert_eq!(since(0), [report("b", 9, DAY + 1), report("a", 6, DAY)]);
        assert_eq!(since(DAY + 7), [report("b", 9, DAY + 1), report("a", 1, DAY)]);
        assert_eq!(delete_before(&connection, Timestamp::from_seconds(DAY + 9), 10).unwrap(), 1);
        assert_eq!(since(0).len(), 2);
    }

    #[test]
    fn a_day_s_rows_of_a_key_are_bounded_and_nothing_is_lost_for_it() {
        let (connection, key) = (reports(), "key_000000000000000000000001".parse().unwrap());
        for number in 0..300 {
            add(&connection, key, &report(&format!("v{number}"), 1, 1)).unwrap();
        }
        add(&connection, key, &report("v7", 1, 2)).unwrap();
        let all = of(&connection, key, Timestamp::from_seconds(0)).unwrap();
        assert_eq!(all.len(), 201);
        assert_eq!(all[0], report("", 100, 1));
        assert_eq!(all[1], report("v7", 2, 2));
    }
}
