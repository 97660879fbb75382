//! What the operator writes about a key: checked field by field.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::domain::key::{Key, Name, Settings};
use crate::domain::metadata::Metadata;
use crate::domain::models::AllowedModels;
use crate::domain::network::Networks;
use crate::domain::plan::{PlanName, Plans};
use crate::domain::report_only::ReportOnly;
use crate::domain::scope::Scopes;
use crate::domain::time::{Timestamp, parse_duration};
use crate::http::{ApiError, json};

/// The settings of a key to make or change. What is left out stays as it is; `null` takes a limit, an
/// expiry, a list or the metadata away.
#[derive(Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "KeySettings")]
pub(crate) struct KeyBody {
    #[serde(deserialize_with = "not_null")]
    pub(crate) name: Option<String>,
    #[serde(deserialize_with = "not_null")]
    pub(crate) scopes: Option<Vec<String>>,
    #[serde(deserialize_with = "not_null")]
    pub(crate) plan: Option<String>,
    #[serde(deserialize_with = "json::given")]
    pub(crate) requests_per_minute: Option<Option<u32>>,
    #[serde(deserialize_with = "json::given")]
    pub(crate) max_concurrent: Option<Option<u32>>,
    /// RFC 3339.
    #[serde(deserialize_with = "json::given")]
    pub(crate) expires_at: Option<Option<String>>,
    /// A length of time from now: `90d`, `24h`.
    #[serde(deserialize_with = "not_null")]
    pub(crate) expires_in: Option<String>,
    #[serde(deserialize_with = "json::given")]
    pub(crate) allowed_ips: Option<Option<Vec<String>>>,
    #[serde(deserialize_with = "json::given")]
    pub(crate) allowed_models: Option<Option<Vec<String>>>,
    #[serde(deserialize_with = "json::given")]
    pub(crate) metadata: Option<Option<BTreeMap<String, String>>>,
    #[serde(deserialize_with = "not_null")]
    pub(crate) require_signature: Option<bool>,
    /// Settings that only report what they would refuse: `allowed_ips`, `scopes`.
    #[serde(deserialize_with = "json::given")]
    pub(crate) report_only: Option<Option<Vec<String>>>,
    /// For rotated keys alone: how long nobody is to use the key for it to be revoked by itself.
    #[serde(deserialize_with = "json::given")]
    pub(crate) revoke_when_quiet: Option<Option<String>>,
    /// Not taken when a key is made: it is enabled then.
    #[serde(deserialize_with = "not_null")]
    pub(crate) enabled: Option<bool>,
}

/// Takes no `null` for a field that cannot be taken away.
pub(super) fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl KeyBody {
    /// Returns the settings of a new key.
    pub(super) fn create(self, plans: &Plans, now: Timestamp) -> Result<Settings, ApiError> {
        let missing = |field, remedy| ApiError::field(field, format_args!("is missing: {remedy}"));
        let name = self.name.as_deref().ok_or_else(|| missing("name", "say what the key is for"))?;
        if self.scopes.is_none() {
            return Err(missing("scopes", "say what the key may do, or `[\"*\"]` for everything"));
        }
        if let Some(Some(_)) = self.revoke_when_quiet {
            return Err(only_rotated());
        }
        if self.enabled.is_some() {
            return Err(ApiError::field("enabled", "is not taken when a key is made: change it afterwards"));
        }
        let blank = Settings::new(parse_name(name)?, Scopes::EVERY, plans.default_name());
        self.apply(blank, plans, now)
    }

    /// Returns the settings of a key with what is written here changed.
    pub(super) fn change(self, key: &Key, plans: &Plans, now: Timestamp) -> Result<Settings, ApiError> {
        if let Some(Some(_)) = self.revoke_when_quiet
            && key.rotated_to().is_none()
        {
            return Err(only_rotated());
        }
        self.apply(key.settings.clone(), plans, now)
    }

    fn apply(self, mut settings: Settings, plans: &Plans, now: Timestamp) -> Result<Settings, ApiError> {
        if let Some(end) = parse_expiry(self.expires_at, self.expires_in.as_deref(), now)? {
            settings.expires_at = end;
        }
        if let Some(name) = self.name {
            settings.name = parse_name(&name)?;
        }
        if let Some(names) = self.scopes {
            settings.scopes = parse_scopes(&names)?;
        }
        // A key may be on a plan that has left the configuration: that keeps nobody from disabling it.
        let decides_limit = self.plan.is_some() || self.requests_per_minute.is_some();
        if let Some(limit) = self.requests_per_minute {
            settings.requests_per_minute = positive("requests_per_minute", limit)?;
        }
        if let Some(most) = self.max_concurrent {
            settings.max_concurrent = positive("max_concurrent", most)?;
        }
        if let Some(networks) = self.allowed_ips {
            let networks = Networks::parse(networks.iter().flatten().map(String::as_str))
                .map_err(|error| ApiError::field("allowed_ips", format_args!("has a bad entry: {error}")))?;
            settings.change_extras(|extras| extras.allowed_ips = networks);
        }
        if let Some(models) = self.allowed_models {
            let models = AllowedModels::parse(models.unwrap_or_default()).map_err(|error| {
                ApiError::field("allowed_models", format_args!("has a bad entry: {error}"))
            })?;
            settings.change_extras(|extras| extras.allowed_models = models);
        }
        if let Some(metadata) = self.metadata {
            let metadata = Metadata::parse(metadata.unwrap_or_default())
                .map_err(|error| ApiError::field("metadata", format_args!("cannot be kept: {error}")))?;
            settings.change_extras(|extras| extras.metadata = metadata);
        }
        if let Some(plan) = self.plan {
            settings.plan = PlanName::new(&plan);
        }
        if decides_limit {
            plans
                .limit(&settings.plan, settings.requests_per_minute)
                .map_err(|error| ApiError::Unprocessable(format!("`plan`: {error}")))?;
        }
        if let Some(length) = self.revoke_when_quiet {
            let quiet = length.as_deref().map(parse_quiet).transpose()?;
            settings.change_extras(|extras| extras.revoke_when_quiet = quiet);
        }
        settings.require_signature = self.require_signature.unwrap_or(settings.require_signature);
        if let Some(names) = self.report_only {
            settings.report_only = ReportOnly::parse(names.iter().flatten().map(String::as_str))
                .map_err(|error| ApiError::field("report_only", format_args!("has a bad entry: {error}")))?;
        }
        settings.enabled = self.enabled.unwrap_or(settings.enabled);
        Ok(settings)
    }
}

/// Returns the end that `expires_at` or `expires_in` name; `Some(None)` is an end taken away.
pub(super) fn parse_expiry(
    at: Option<Option<String>>,
    duration: Option<&str>,
    now: Timestamp,
) -> Result<Option<Option<Timestamp>>, ApiError> {
    let end = match (at, duration) {
        (None, None) => return Ok(None),
        (Some(None), None) => return Ok(Some(None)),
        (Some(_), Some(_)) => {
            return Err(ApiError::field("expires_at", "and `expires_in` exclude each other: send one"));
        }
        (Some(Some(text)), None) => Timestamp::parse(&text)
            .map_err(|error| ApiError::field("expires_at", format_args!("is wrong: {error}")))?,
        (None, Some(text)) => now.after(parse_length("expires_in", text)?),
    };
    if end <= now {
        let field = if duration.is_some() { "expires_in" } else { "expires_at" };
        return Err(ApiError::field(field, "is not in the future"));
    }
    Ok(Some(Some(end)))
}

/// Returns the length of time that a field names.
pub(super) fn parse_length(field: &str, text: &str) -> Result<Duration, ApiError> {
    parse_duration(text).map_err(|error| ApiError::field(field, format_args!("is wrong: {error}")))
}

/// Returns how long a key is to be quiet to be revoked, in whole seconds.
pub(super) fn parse_quiet(text: &str) -> Result<Duration, ApiError> {
    let quiet = Duration::from_secs(parse_length("revoke_when_quiet", text)?.as_secs());
    if quiet.is_zero() {
        return Err(ApiError::field("revoke_when_quiet", "must be at least 1s, such as `24h`"));
    }
    Ok(quiet)
}

fn only_rotated() -> ApiError {
    ApiError::field("revoke_when_quiet", "is of no use here: only a rotated key can be revoked when quiet")
}

fn parse_name(text: &str) -> Result<Name, ApiError> {
    Name::parse(text).map_err(|reason| ApiError::field("name", reason))
}

fn parse_scopes(names: &[String]) -> Result<Scopes, ApiError> {
    let scopes = Scopes::parse(names.iter().map(String::as_str))
        .map_err(|error| ApiError::field("scopes", format_args!("has a bad entry: {error}")))?;
    if scopes.is_empty() {
        return Err(ApiError::field("scopes", "is empty: a key that may do nothing is of no use"));
    }
    Ok(scopes)
}

fn positive(field: &str, number: Option<u32>) -> Result<Option<NonZeroU32>, ApiError> {
    let zero = || ApiError::field(field, "must be at least 1, or null for none of its own");
    number.map(|number| NonZeroU32::new(number).ok_or_else(zero)).transpose()
}
