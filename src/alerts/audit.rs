//! How rules and alerts stand in the audit log: all that may be known of them. A webhook's path may be secret.

use serde_json::{Value, json};

use crate::domain::alert::{Alert, Rule};
use crate::domain::time::format_duration;
use crate::domain::webhook::Webhook;

pub(super) fn describe_rule(rule: &Rule) -> Value {
    json!({
        "id": rule.id.to_string(),
        "kind": rule.kind.name(),
        "enabled": rule.enabled,
        "key": rule.key.map(|key| key.to_string()),
        "threshold": rule.threshold_number(),
        "window": format_duration(rule.window()),
        "webhook": rule.webhook.as_ref().map(describe_webhook),
    })
}

pub(super) fn describe_alert(alert: &Alert) -> Value {
    json!({
        "id": alert.id.to_string(),
        "rule": alert.rule.to_string(),
        "kind": alert.kind.name(),
        "key": alert.key.map(|key| key.to_string()),
        "status": alert.status.name(),
    })
}

fn describe_webhook(webhook: &Webhook) -> Value {
    json!({
        "origin": webhook.url.origin(),
        "format": webhook.format.name(),
        "signed": webhook.secret.is_some(),
    })
}
