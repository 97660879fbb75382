//! How a key is shown.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::key::{Key, LastUse};
use crate::domain::plan::Plans;
use crate::domain::time::{Timestamp, format_duration};
use crate::keys::Issued;

/// A key as the admin API shows it. Times are RFC 3339, in UTC.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Key")]
pub(super) struct KeyView {
    pub(super) id: String,
    /// Always `key`.
    object: &'static str,
    name: String,
    hint: String,
    /// `active`, `disabled`, `expired` or `revoked`.
    status: &'static str,
    scopes: Vec<&'static str>,
    plan: String,
    /// The limit in force.
    requests_per_minute: u32,
    max_concurrent: Option<u32>,
    /// Empty: from anywhere.
    allowed_ips: Vec<String>,
    /// Empty: all models.
    allowed_models: Vec<String>,
    metadata: BTreeMap<String, String>,
    require_signature: bool,
    /// Which settings only report what they would refuse: `allowed_ips`, `scopes`.
    report_only: Vec<&'static str>,
    /// How long the key, once rotated, is to be quiet to be revoked by itself: `24h`.
    revoke_when_quiet: Option<String>,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    last_used_at: Option<String>,
    last_used_ip: Option<String>,
    rotated_from: Option<String>,
    rotated_to: Option<String>,
    /// When it was rotated to another key.
    rotated_at: Option<String>,
}

/// A key that was just made, with its secret.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "NewKey")]
pub(super) struct IssuedView {
    #[serde(flatten)]
    key_object: KeyView,
    /// The key itself, shown this once. Missing only from the answer to a request repeated after ten minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl KeyView {
    pub(super) fn new(key: &Key, last_use: Option<LastUse>, plans: &Plans, now: Timestamp) -> Self {
        let settings = &key.settings;
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
        Self {
            id: key.id.to_string(),
            object: "key",
            name: settings.name.as_str().to_owned(),
            hint: key.hint.to_string(),
            status: key.status(now).name(),
            scopes: settings.scopes.names(),
            plan: settings.plan.clone(),
            requests_per_minute: plans.limit_or_default(&settings.plan, settings.requests_per_minute).get(),
            max_concurrent: settings.max_concurrent.map(Into::into),
            allowed_ips: settings.allowed_ips.as_slice().iter().map(ToString::to_string).collect(),
            allowed_models: settings.allowed_models.as_slice().to_vec(),
            metadata: settings.metadata.entries().clone(),
            require_signature: settings.require_signature,
            report_only: settings.report_only.names(),
            revoke_when_quiet: settings.revoke_when_quiet.map(format_duration),
            created_at: key.created_at.to_string(),
            expires_at: text(settings.expires_at),
            revoked_at: text(key.revoked_at),
            last_used_at: text(last_use.map(|last| last.at)),
            last_used_ip: last_use.and_then(|last| last.ip).map(|ip| ip.to_string()),
            rotated_from: key.rotated_from.map(|id| id.to_string()),
            rotated_to: key.rotated_to.map(|id| id.to_string()),
            rotated_at: text(key.rotated_at),
        }
    }
}

impl IssuedView {
    pub(super) fn new(issued: &Issued, plans: &Plans, now: Timestamp) -> Self {
        Self {
            key_object: KeyView::new(&issued.key, None, plans, now),
            key: issued.token.as_ref().map(|token| token.expose().to_owned()),
        }
    }
}
