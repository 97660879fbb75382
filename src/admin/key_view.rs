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
pub(crate) struct KeyView {
    pub(crate) id: String,
    /// Always `key`.
    pub(crate) object: &'static str,
    pub(crate) name: String,
    pub(crate) hint: String,
    /// `active`, `disabled`, `expired` or `revoked`.
    pub(crate) status: &'static str,
    pub(crate) scopes: Vec<&'static str>,
    pub(crate) plan: String,
    /// The limit in force.
    pub(crate) requests_per_minute: u32,
    pub(crate) max_concurrent: Option<u32>,
    /// Empty: from anywhere.
    pub(crate) allowed_ips: Vec<String>,
    /// Empty: all models.
    pub(crate) allowed_models: Vec<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) require_signature: bool,
    /// Which settings only report what they would refuse: `allowed_ips`, `scopes`.
    pub(crate) report_only: Vec<&'static str>,
    /// How long the key, once rotated, is to be quiet to be revoked by itself: `24h`.
    pub(crate) revoke_when_quiet: Option<String>,
    pub(crate) created_at: String,
    pub(crate) expires_at: Option<String>,
    pub(crate) revoked_at: Option<String>,
    pub(crate) last_used_at: Option<String>,
    pub(crate) last_used_ip: Option<String>,
    pub(crate) rotated_from: Option<String>,
    pub(crate) rotated_to: Option<String>,
    /// When it was rotated to another key.
    pub(crate) rotated_at: Option<String>,
}

/// A key that was just made, with its secret.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "NewKey")]
pub(crate) struct IssuedView {
    #[serde(flatten)]
    pub(crate) key_object: KeyView,
    /// The key itself, shown this once. Missing only from the answer to a request repeated after ten minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
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
            plan: settings.plan.to_string(),
            requests_per_minute: plans.limit_or_default(&settings.plan, settings.requests_per_minute).get(),
            max_concurrent: settings.max_concurrent.map(Into::into),
            allowed_ips: settings.extras().allowed_ips.as_slice().iter().map(ToString::to_string).collect(),
            allowed_models: settings.extras().allowed_models.as_slice().to_vec(),
            metadata: settings.extras().metadata.entries().clone(),
            require_signature: settings.require_signature,
            report_only: settings.report_only.names(),
            revoke_when_quiet: settings.extras().revoke_when_quiet.map(format_duration),
            created_at: key.created_at.to_string(),
            expires_at: text(settings.expires_at),
            revoked_at: text(key.revoked_at),
            last_used_at: text(last_use.map(|last| last.at)),
            last_used_ip: last_use.and_then(|last| last.ip).map(|ip| ip.to_string()),
            rotated_from: key.rotated_from().map(|id| id.to_string()),
            rotated_to: key.rotated_to().map(|id| id.to_string()),
            rotated_at: text(key.rotated_at()),
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
