//! Deliveries of alerts to webhooks that are still to be made.

use rusqlite::{Connection, Row};

use super::{alert_rules, column};
use crate::domain::id::{AlertId, RuleId};
use crate::domain::time::Timestamp;
use crate::domain::webhook::{Webhook, WebhookUrl};

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
    /// When the alert was raised, or its webhook's URL changed last.
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

/// Forgets the oldest deliveries of a rule beyond so many; returns how many went, and how many are left.
pub fn trim(connection: &Connection, rule: RuleId, most: usize) -> rusqlite::Result<(usize, usize)> {
    let held: i64 = connection
        .prepare_cached("SELECT count(*) FROM outbox WHERE rule_id = ?1")?
        .query_row([rule], |row| row.get(0))?;
    let held = usize::try_from(held).unwrap_or(0);
    let beyond = held.saturating_sub(most);
    if beyond > 0 {
        connection
            .prepare_cached(
                "DELETE FROM outbox WHERE sequence IN (
                     SELECT sequence FROM outbox WHERE rule_id = ?1 ORDER BY sequence LIMIT ?2)",
            )?
            .execute((rule, super::rows(beyond)))?;
    }
    Ok((beyond, held - beyond))
}

/// Returns the oldest delivery to each URL: the others wait for it.
pub fn heads(connection: &Connection) -> rusqlite::Result<Vec<Delivery>> {
    connection
        .prepare_cached(
            "SELECT outbox.*, webhook_url, webhook_format, webhook_secret
             FROM outbox
             JOIN alert_rules ON alert_rules.id = outbox.rule_id
             WHERE sequence IN (
                 SELECT min((SELECT min(sequence) FROM outbox WHERE rule_id = alert_rules.id))
                 FROM alert_rules
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

/// Forgets a delivery that the URL did not take, unless it goes to another one by now.
pub fn give_up(connection: &Connection, sequence: i64, url: &WebhookUrl) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM outbox
             WHERE sequence = ?1 AND rule_id IN (SELECT id FROM alert_rules WHERE webhook_url = ?2)",
        )?
        .execute((sequence, url.as_str()))
        .map(drop)
}

/// Notes that a delivery to the URL was tried once more, and when it may be tried next; unless it goes to another
/// one by now.
pub fn postpone(
    connection: &Connection,
    sequence: i64,
    url: &WebhookUrl,
    next_at: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE outbox
             SET attempts = attempts + 1, next_at = ?3
             WHERE sequence = ?1 AND rule_id IN (SELECT id FROM alert_rules WHERE webhook_url = ?2)",
        )?
        .execute((sequence, url.as_str(), next_at.as_millis()))
        .map(drop)
}

/// Lets a rule's deliveries be tried now, as if for the first time.
pub fn begin_again(connection: &Connection, rule: RuleId, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE outbox SET attempts = 0, next_at = ?2, created_at = ?2 WHERE rule_id = ?1")?
        .execute((rule, now.as_millis()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrate;

    const RULES: [&str; 3] =
        ["rule_000000000000000000000001", "rule_000000000000000000000002", "rule_000000000000000000000003"];

    /// Two rules with one URL and one with another; each tells of so many alerts, in turn.
    fn outbox(alerts: i64) -> Connection {
        let mut database = Connection::open_in_memory().unwrap();
        migrate::run(&mut database).unwrap();
        for (rule, url) in RULES.into_iter().zip(["http://a/", "http://a/", "http://b/"]) {
            let sql = "INSERT INTO alert_rules (id, kind, enabled, webhook_url, webhook_format, created_at)
                       VALUES (?1, 'failed_auth', 1, ?2, 'json', 0)";
            database.execute(sql, (rule, url)).unwrap();
        }
        let alert = "alert_000000000000000000000001".parse().unwrap();
        for at in 0..alerts {
            for rule in RULES {
                insert(&database, rule.parse().unwrap(), alert, "{}", Timestamp::from_seconds(at)).unwrap();
            }
        }
        database
    }

    fn sequences(database: &Connection) -> Vec<i64> {
        heads(database).unwrap().iter().map(|head| head.sequence).collect()
    }

    #[test]
    fn the_oldest_delivery_to_each_url_comes_next() {
        let database = outbox(3);
        assert_eq!(sequences(&database), [1, 3]);
        delete(&database, 1).unwrap();
        assert_eq!(sequences(&database), [2, 3]);
        delete_of(&database, RULES[1].parse().unwrap()).unwrap();
        assert_eq!(sequences(&database), [3, 4]);
        assert_eq!(sequences(&outbox(0)), [] as [i64; 0]);
    }

    #[test]
    fn a_rule_s_deliveries_are_bounded_and_the_oldest_go() {
        let (database, rule) = (outbox(5), RULES[2].parse().unwrap());
        assert_eq!(trim(&database, rule, 5).unwrap(), (0, 5));
        assert_eq!(trim(&database, rule, 2).unwrap(), (3, 2));
        assert_eq!(sequences(&database), [1, 12]);
    }

    #[test]
    fn what_one_url_did_not_take_is_not_held_against_another() {
        let (database, rule) = (outbox(1), RULES[2].parse().unwrap());
        let url = |text| WebhookUrl::parse(text).unwrap();
        let (old, later) = (url("http://b/"), Timestamp::from_seconds(60));
        postpone(&database, 3, &old, later).unwrap();
        let head = |database: &Connection| heads(database).unwrap().pop().unwrap();
        assert_eq!((head(&database).attempts, head(&database).next_at), (1, later));
        database
            .execute("UPDATE alert_rules SET webhook_url = 'http://c/' WHERE id = ?1", [RULES[2]])
            .unwrap();
        begin_again(&database, rule, Timestamp::from_seconds(5)).unwrap();
        // What was under way to the old one changes nothing.
        postpone(&database, 3, &old, later).unwrap();
        give_up(&database, 3, &old).unwrap();
        assert_eq!((head(&database).attempts, head(&database).next_at), (0, Timestamp::from_seconds(5)));
        give_up(&database, 3, &url("http://c/")).unwrap();
        assert_eq!(sequences(&database), [1]);
    }

    #[test]
    fn finding_what_comes_next_reads_no_more_than_it_needs() {
        let database = outbox(1);
        let mut plan = database
            .prepare("EXPLAIN QUERY PLAN SELECT min(sequence) FROM outbox WHERE rule_id = ?1")
            .unwrap();
        let steps: Vec<String> =
            plan.query_map([RULES[0]], |row| row.get("detail")).unwrap().map(Result::unwrap).collect();
        assert!(steps.iter().any(|step| step.contains("outbox_by_rule")), "{steps:?}");
    }
}
