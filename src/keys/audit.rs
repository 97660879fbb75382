//! How a key stands in the audit log: all that may be known of it.

use serde_json::{Value, json};

use crate::domain::audit::{Actor, Change};
use crate::domain::key::Key;
use crate::domain::time::{Timestamp, format_duration};

/// Returns a change from one record to another, about to be noted.
pub(super) fn change(
    at: Timestamp,
    actor: Actor,
    action: &'static str,
    before: Option<&Key>,
    after: Option<&Key>,
) -> Change {
    let target = after.or(before).map(|key| key.id.to_string()).unwrap_or_default();
    Change { at, actor, action, target, before: before.map(describe), after: after.map(describe) }
}

fn describe(key: &Key) -> Value {
    let settings = &key.settings;
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let networks = settings.extras().allowed_ips.as_slice().iter().map(ToString::to_string);
    json!({
        "id": key.id.to_string(),
        "name": settings.name.as_str(),
        "hint": key.hint.to_string(),
        "enabled": settings.enabled,
        "scopes": settings.scopes.names(),
        "plan": &*settings.plan,
        "requests_per_minute": settings.requests_per_minute,
        "max_concurrent": settings.max_concurrent,
        "allowed_ips": networks.collect::<Vec<_>>(),
        "allowed_models": settings.extras().allowed_models.as_slice(),
        "metadata": settings.extras().metadata.entries(),
        "require_signature": settings.require_signature,
        "report_only": settings.report_only.names(),
        "revoke_when_quiet": settings.extras().revoke_when_quiet.map(format_duration),
        "created_at": key.created_at.to_string(),
        "expires_at": time(settings.expires_at),
        "revoked_at": time(key.revoked_at),
        "rotated_from": key.rotated_from().map(|id| id.to_string()),
        "rotated_to": key.rotated_to().map(|id| id.to_string()),
        "rotated_at": time(key.rotated_at()),
    })
}
