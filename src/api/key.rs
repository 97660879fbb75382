//! The caller's own key.

use actix_web::HttpResponse;
use serde::Serialize;

use crate::http::ApiError;
use crate::http::public::Call;

/// What a key may know of itself. Times are in unix seconds.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct OwnKey {
    id: String,
    /// Always `key`.
    object: &'static str,
    name: String,
    hint: String,
    scopes: Vec<&'static str>,
    plan: String,
    /// The limit in force.
    requests_per_minute: u32,
    /// Requests that would be let through now.
    remaining: u32,
    /// Seconds until more are.
    reset_seconds: u64,
    max_concurrent: Option<u32>,
    allowed_models: Vec<String>,
    require_signature: bool,
    created_at: i64,
    expires_at: Option<i64>,
    metadata: std::collections::BTreeMap<String, String>,
}

/// Describes the key that the request was made with.
pub(super) async fn show(call: Call) -> Result<HttpResponse, ApiError> {
    let permit = call.exchange.permit()?;
    let (key, settings) = (&permit.entry.key, &permit.entry.key.settings);
    Ok(super::json(&OwnKey {
        id: key.id.to_string(),
        object: "key",
        name: settings.name.as_str().to_owned(),
        hint: key.hint.to_string(),
        scopes: settings.scopes.names(),
        plan: settings.plan.to_string(),
        requests_per_minute: permit.quota.limit,
        remaining: permit.quota.remaining,
        reset_seconds: permit.quota.reset_seconds(),
        max_concurrent: settings.max_concurrent.map(Into::into),
        allowed_models: settings.extras().allowed_models.as_slice().to_vec(),
        require_signature: settings.require_signature,
        created_at: key.created_at.as_seconds(),
        expires_at: settings.expires_at.map(crate::domain::time::Timestamp::as_seconds),
        metadata: settings.extras().metadata.entries().clone(),
    }))
}
