//! Deliveries of alerts to webhooks that are still to be made.

use rusqlite::{Connection, Row};

use super::{alert_rules, column};
use crate::domain::id::{AlertId, RuleId};
use crate::domain::time::Timestamp;
use crate::domain::webhook::Webhook;

/// A delivery to be made.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its place among all of them.
    pub sequence: i64,
    /// The rule whose webhook it is for.
    pub rule: RuleId,
    /// The alert that it tells of.
    pub alert: AlertId,
    /// The alert as it was raised: JSON text.
    pub payload: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it may be tried next.
    pub next_at: Timestamp,
    /// When the alert was raised.
    pub created_at: Timestamp,
    /// Where it goes, as the rule says now.
    pub webhook: Webhook,
}

/// Notes a delivery to be made, unless its rule is gone or has no webhook any more.
pub fn insert(
    connection: &Connection,
    rule: RuleId,
    alert: AlertId,
    payload: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO outbox (rule_id, alert_id, payload, next_at, created_at)
             SELECT id, ?2, ?3, ?4, ?4
             FROM alert_rules
             WHERE id = ?1 AND webhook_url IS NOT NULL",
        )?
        .execute((rule, alert, payload, now.as_millis()))
        .map(drop)
}

/// Returns the oldest delivery to each URL: the others wait for it.
pub fn heads(connection: &Connection) -> rusqlite::Result<Vec<Delivery>> {
    connection
        .prepare_cached(
            "SELECT outbox.*, webhook_url, webhook_format, webhook_secret
             FROM outbox
             JOIN alert_rules ON alert_rules.id = outbox.rule_id
             WHERE sequence IN (
                 SELECT min(sequence)
                 FROM outbox
                 JOIN alert_rules ON alert_rules.id = outbox.rule_id
                 WHERE webhook_url IS NOT NULL
                 GROUP BY webhook_url)
             ORDER BY sequence",
        )?
        .query_map([], delivery)?
        .filter_map(Result::transpose)
        .collect()
}

/// Forgets a delivery: it was made, or given up.
pub fn delete(connection: &Connection, sequence: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM outbox WHERE sequence = ?1")?.execute([sequence]).map(drop)
}

/// Forgets what a rule was still to deliver.
pub fn delete_of(connection: &Connection, rule: RuleId) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM outbox WHERE rule_id = ?1")?.execute([rule]).map(drop)
}

/// Notes that a delivery was tried once more, and when it may be tried next.
pub fn postpone(connection: &Connection, sequence: i64, next_at: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE outbox SET attempts = attempts + 1, next_at = ?2 WHERE sequence = ?1")?
        .execute((sequence, next_at.as_millis()))
        .map(drop)
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Option<Delivery>> {
    let Some(webhook) = alert_rules::webhook(row)? else { return Ok(None) };
    Ok(Some(Delivery {
        sequence: row.get("sequence")?,
        rule: column::text(row, "rule_id")?,
        alert: column::text(row, "alert_id")?,
        payload: row.get("payload")?,
        attempts: row.get("attempts")?,
        next_at: column::time(row, "next_at")?,
        created_at: column::time(row, "created_at")?,
        webhook,
    }))
}
