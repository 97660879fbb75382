//! The alerts that were raised.

use rusqlite::{Connection, OptionalExtension as _, Row, named_params};

use super::column;
use crate::domain::alert::{Alert, Kind, Status};
use crate::domain::id::{AlertId, KeyId};
use crate::domain::time::Timestamp;

/// How many alerts are kept that are over.
const MOST_RESOLVED: usize = 100_000;

/// Which alerts to list.
#[derive(Debug)]
pub struct Filter {
    /// Only alerts raised before this one.
    pub after: Option<AlertId>,
    /// Only alerts that stand so.
    pub status: Option<Status>,
    /// Only alerts about this key.
    pub key: Option<KeyId>,
    /// Only alerts of this kind.
    pub kind: Option<Kind>,
    /// At most this many.
    pub limit: u32,
}

/// Keeps an alert, new or changed. One that was acknowledged stays so until it is resolved.
pub fn save(connection: &Connection, alert: &Alert) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO alerts
                 (id, rule_id, kind, key_id, subject, status, count, first_seen_at, last_seen_at, resolved_at,
                  summary, details)
             VALUES (:id, :rule, :kind, :key, :subject, :status, :count, :first, :last, :resolved, :summary,
                 :details)
             ON CONFLICT (id) DO UPDATE
             SET status = CASE WHEN excluded.status = 'resolved' THEN 'resolved' ELSE status END,
                 count = excluded.count, last_seen_at = excluded.last_seen_at,
                 resolved_at = excluded.resolved_at, summary = excluded.summary, details = excluded.details",
        )?
        .execute(named_params! {
            ":id": alert.id,
            ":rule": alert.rule,
            ":kind": alert.kind.name(),
            ":key": alert.key,
            ":subject": alert.subject,
            ":status": alert.status.name(),
            ":count": alert.count.cast_signed(),
            ":first": alert.first_seen_at.as_millis(),
            ":last": alert.last_seen_at.as_millis(),
            ":resolved": alert.resolved_at.map(Timestamp::as_millis),
            ":summary": alert.summary,
            ":details": column::to_json(&alert.details),
        })
        .map(drop)
}

/// Notes that somebody has seen an open alert.
pub fn acknowledge(connection: &Connection, id: AlertId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE alerts SET status = 'acknowledged' WHERE id = ?1 AND status = 'open'")?
        .execute([id])
        .map(drop)
}

/// Returns the alert with the id.
pub fn find(connection: &Connection, id: AlertId) -> rusqlite::Result<Option<Alert>> {
    connection.prepare_cached("SELECT * FROM alerts WHERE id = ?1")?.query_row([id], alert).optional()
}

/// Returns the alerts that are not over.
pub fn unresolved(connection: &Connection) -> rusqlite::Result<Vec<Alert>> {
    connection
        .prepare_cached("SELECT * FROM alerts WHERE status <> 'resolved' ORDER BY id")?
        .query_map([], alert)?
        .collect()
}

/// Counts the alerts that nobody has acknowledged and that are not over.
pub fn count_open(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT count(*) FROM alerts WHERE status <> 'resolved' AND status = 'open'")?
        .query_row([], |row| row.get::<_, i64>(0).map(i64::unsigned_abs))
}

/// Returns the newest alerts that the filter lets through, newest first.
pub fn list(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<Alert>> {
    connection
        .prepare_cached(listing(filter.status))?
        .query_map(
            named_params! {
                ":after": filter.after,
                ":status": filter.status.map(Status::name),
                ":key": filter.key,
                ":kind": filter.kind.map(Kind::name),
                ":limit": filter.limit,
            },
            alert,
        )?
        .collect()
}

/// Returns the statement that lists alerts that stand so. Those that are not over are few, and have an index.
const fn listing(status: Option<Status>) -> &'static str {
    match status {
        Some(Status::Open | Status::Acknowledged) => {
            "SELECT *
             FROM alerts INDEXED BY alerts_unresolved
             WHERE status <> 'resolved' AND status = :status
               AND (:after IS NULL OR id < :after)
               AND (:key IS NULL OR key_id = :key)
               AND (:kind IS NULL OR kind = :kind)
             ORDER BY id DESC
             LIMIT :limit"
        }
        Some(Status::Resolved) | None => {
            "SELECT *
             FROM alerts
             WHERE (:after IS NULL OR id < :after)
               AND (:status IS NULL OR status = :status)
               AND (:key IS NULL OR key_id = :key)
               AND (:kind IS NULL OR kind = :kind)
             ORDER BY id DESC
             LIMIT :limit"
        }
    }
}

/// Forgets at most so many that were over before the given time, or that are over and more than are kept; returns how
/// many.
pub fn delete_before(connection: &Connection, time: Timestamp, most: usize) -> rusqlite::Result<usize> {
    let deleted = connection
        .prepare_cached(
            "DELETE FROM alerts WHERE id IN (
                 SELECT id FROM alerts WHERE status = 'resolved' AND resolved_at < ?1 LIMIT ?2)",
        )?
        .execute((time.as_millis(), super::rows(most)))?;
    Ok(deleted + delete_beyond(connection, MOST_RESOLVED, most - deleted)?)
}

/// Forgets at most so many of those that are over beyond the latest so many; returns how many.
fn delete_beyond(connection: &Connection, kept: usize, most: usize) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM alerts WHERE id IN (
                 SELECT id FROM alerts
                 WHERE status = 'resolved'
                 ORDER BY resolved_at DESC
                 LIMIT ?2 OFFSET ?1)",
        )?
        .execute((super::rows(kept), super::rows(most)))
}

fn alert(row: &Row<'_>) -> rusqlite::Result<Alert> {
    Ok(Alert {
        id: column::text(row, "id")?,
        rule: column::text(row, "rule_id")?,
        kind: column::text(row, "kind")?,
        key: column::optional_text(row, "key_id")?,
        subject: row.get("subject")?,
        status: column::text(row, "status")?,
        count: column::count(row, "count")?,
        first_seen_at: column::time(row, "first_seen_at")?,
        last_seen_at: column::time(row, "last_seen_at")?,
        resolved_at: column::optional_time(row, "resolved_at")?,
        summary: row.get("summary")?,
        details: column::from_json(row, "details")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate;

    /// So many alerts, of which the last two are not over.
    fn database(alerts: i64) -> Connection {
        let mut database = Connection::open_in_memory().unwrap();
        migrate::run(&mut database).unwrap();
        for at in 1..=alerts {
            let status = match alerts - at {
                0 => Status::Open,
                1 => Status::Acknowledged,
                _ => Status::Resolved,
            };
            let time = Timestamp::from_seconds(at);
            let alert = Alert {
                id: format!("alert_{at:024}").parse().unwrap(),
                rule: "rule_000000000000000000000001".parse().unwrap(),
                kind: Kind::FailedAuth,
                key: None,
                subject: String::new(),
                status,
                count: 1,
                first_seen_at: time,
                last_seen_at: time,
                resolved_at: (status == Status::Resolved).then_some(time),
                summary: String::new(),
                details: serde_json::Map::new(),
            };
            save(&database, &alert).unwrap();
        }
        database
    }

    fn times(database: &Connection, status: Option<Status>) -> Vec<i64> {
        let filter = Filter { after: None, status, key: None, kind: None, limit: 9 };
        list(database, &filter).unwrap().iter().map(|alert| alert.first_seen_at.as_seconds()).collect()
    }

    #[test]
    fn alerts_are_listed_by_how_they_stand() {
        let database = database(5);
        assert_eq!(times(&database, None), [5, 4, 3, 2, 1]);
        assert_eq!(times(&database, Some(Status::Open)), [5]);
        assert_eq!(times(&database, Some(Status::Acknowledged)), [4]);
        assert_eq!(times(&database, Some(Status::Resolved)), [3, 2, 1]);
    }

    #[test]
    fn the_oldest_that_are_over_make_room() {
        let database = database(7);
        assert_eq!(delete_beyond(&database, 3, 1).unwrap(), 1);
        assert_eq!(delete_beyond(&database, 3, 9).unwrap(), 1);
        assert_eq!(delete_beyond(&database, 3, 9).unwrap(), 0);
        assert_eq!(times(&database, None), [7, 6, 5, 4, 3]);
        assert_eq!(delete_before(&database, Timestamp::from_seconds(5), 1).unwrap(), 1);
        assert_eq!(delete_before(&database, Timestamp::from_seconds(99), 9).unwrap(), 2);
        assert_eq!(times(&database, None), [7, 6]);
    }
}
