//! How an alert is shown, to the operator and to webhooks.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::alert::Alert;

/// Something unusual. Times are RFC 3339, in UTC.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Alert")]
pub struct AlertView {
    /// `alert_` and 24 characters; they sort by when alerts were raised.
    pub id: String,
    /// Always `alert`.
    pub object: &'static str,
    /// The id of the rule that raised it.
    pub rule: String,
    /// What the rule looks at.
    pub kind: &'static str,
    /// The id of the key that it is about, if it is about one.
    pub key: Option<String>,
    /// `open`, `acknowledged` or `resolved`.
    pub status: &'static str,
    /// How many events there were.
    pub count: u64,
    /// When the first of them was.
    pub first_seen_at: String,
    /// When the last of them was.
    pub last_seen_at: String,
    /// What happened, in a sentence.
    pub summary: String,
    /// The particulars, which differ by kind.
    #[schemars(with = "BTreeMap<String, Value>")]
    pub details: Map<String, Value>,
}

impl From<&Alert> for AlertView {
    fn from(alert: &Alert) -> Self {
        Self {
            id: alert.id.to_string(),
            object: "alert",
            rule: alert.rule.to_string(),
            kind: alert.kind.name(),
            key: alert.key.map(|key| key.to_string()),
            status: alert.status.name(),
            count: alert.count,
            first_seen_at: alert.first_seen_at.to_string(),
            last_seen_at: alert.last_seen_at.to_string(),
            summary: alert.summary.clone(),
            details: alert.details.clone(),
        }
    }
}
