//! The rules that alerts are raised by.

use std::time::Duration;

use rusqlite::{Connection, Row, named_params};

use super::column;
use crate::domain::alert::Rule;
use crate::domain::id::RuleId;
use crate::domain::webhook::{Webhook, WebhookSecret, WebhookUrl};

/// Returns all rules.
pub fn all(connection: &Connection) -> rusqlite::Result<Vec<Rule>> {
    connection.prepare_cached("SELECT * FROM alert_rules")?.query_map([], rule)?.collect()
}

/// Keeps a rule, new or changed.
pub fn save(connection: &Connection, rule: &Rule) -> rusqlite::Result<()> {
    let webhook = rule.webhook.as_ref();
    let secret = webhook.and_then(|webhook| webhook.secret.as_ref());
    connection
        .prepare_cached(
            "INSERT INTO alert_rules
                 (id, kind, enabled, key_id, threshold, window, webhook_url, webhook_format, webhook_secret,
                  created_at)
             VALUES (:id, :kind, :enabled, :key, :threshold, :window, :url, :format, :secret, :created_at)
             ON CONFLICT (id) DO UPDATE
             SET enabled = excluded.enabled, threshold = excluded.threshold, window = excluded.window,
                 webhook_url = excluded.webhook_url, webhook_format = excluded.webhook_format,
                 webhook_secret = excluded.webhook_secret",
        )?
        .execute(named_params! {
            ":id": rule.id,
            ":kind": rule.kind.name(),
            ":enabled": rule.enabled,
            ":key": rule.key,
            ":threshold": rule.threshold,
            ":window": rule.window.map(|window| window.as_secs().cast_signed()),
            ":url": webhook.map(|webhook| webhook.url.as_str()),
            ":format": webhook.map(|webhook| webhook.format.name()),
            ":secret": secret.map(WebhookSecret::expose),
            ":created_at": rule.created_at.as_millis(),
        })
        .map(drop)
}

/// Forgets a rule, and what of it was still to be delivered.
pub fn delete(connection: &Connection, id: RuleId) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM alert_rules WHERE id = ?1")?.execute([id]).map(drop)
}

fn rule(row: &Row<'_>) -> rusqlite::Result<Rule> {
    let window: Option<i64> = row.get("window")?;
    Ok(Rule {
        id: column::text(row, "id")?,
        kind: column::text(row, "kind")?,
        enabled: row.get("enabled")?,
        key: column::optional_text(row, "key_id")?,
        threshold: row.get("threshold")?,
        window: window.map(|seconds| Duration::from_secs(seconds.unsigned_abs())),
        webhook: webhook(row)?,
        created_at: column::time(row, "created_at")?,
    })
}

/// Returns the webhook in a row of rules.
pub(super) fn webhook(row: &Row<'_>) -> rusqlite::Result<Option<Webhook>> {
    let Some(url) = row.get::<_, Option<String>>("webhook_url")? else { return Ok(None) };
    let secret: Option<String> = row.get("webhook_secret")?;
    let secret = secret.map(|secret| WebhookSecret::parse(&secret)).transpose();
    Ok(Some(Webhook {
        url: WebhookUrl::parse(&url).map_err(|error| column::invalid(row, "webhook_url", error))?,
        format: column::text(row, "webhook_format")?,
        secret: secret.map_err(|error| column::invalid(row, "webhook_secret", error))?,
    }))
}
