//! What the operator writes about an alert rule: checked field by field.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::key_body::{not_null, parse_length};
use crate::alerts::NewRule;
use crate::domain::alert::{Kind, Rule};
use crate::domain::id::KeyId;
use crate::domain::webhook::{Format, Webhook, WebhookSecret, WebhookUrl};
use crate::http::{ApiError, json};

/// An alert rule to make or change. What is left out stays as it is; `null` for a threshold or window means the
/// kind's own, and takes a webhook away.
#[derive(Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "AlertRuleSettings")]
pub(crate) struct AlertRuleBody {
    /// What it looks at; it cannot be changed.
    #[serde(deserialize_with = "not_null")]
    pub(crate) kind: Option<String>,
    #[serde(deserialize_with = "not_null")]
    pub(crate) enabled: Option<bool>,
    /// The one key that it is for, in place of the rules for all keys; it cannot be changed.
    #[serde(deserialize_with = "json::given")]
    pub(crate) key: Option<Option<String>>,
    #[serde(deserialize_with = "json::given")]
    pub(crate) threshold: Option<Option<f64>>,
    /// A length of time: `5m`, `24h`.
    #[serde(deserialize_with = "json::given")]
    pub(crate) window: Option<Option<String>>,
    // Read by hand: what is wrong with it is said without repeating any of it, since it may be secret.
    #[serde(deserialize_with = "json::given")]
    #[schemars(with = "Option<WebhookBody>")]
    pub(crate) webhook: Option<Option<Value>>,
}

/// A receiver of alerts.
#[derive(schemars::JsonSchema)]
#[schemars(rename = "WebhookSettings", deny_unknown_fields)]
pub(crate) struct WebhookBody {
    /// `http` or `https`.
    pub(crate) url: String,
    /// `json`, `ntfy`, `slack` or `discord`; `json` where nothing is said.
    #[schemars(default)]
    pub(crate) format: Option<String>,
    /// What deliveries are signed with, 8 to 200 characters. It is not shown again.
    #[schemars(default)]
    pub(crate) secret: Option<String>,
}

impl AlertRuleBody {
    /// Returns the rule to be made.
    pub(super) fn create(self, is_key: impl FnOnce(KeyId) -> bool) -> Result<NewRule, ApiError> {
        let kind = self.kind.as_deref().ok_or_else(|| {
            let kinds = Kind::ALL.map(Kind::name).join(", ");
            ApiError::field("kind", format_args!("is missing: say what to look at, one of {kinds}"))
        })?;
        let kind: Kind = kind.parse().map_err(|error| ApiError::field("kind", error))?;
        let key = self.key.flatten().map(|text| parse_key(&text, is_key)).transpose()?;
        Ok(NewRule {
            kind,
            enabled: self.enabled.unwrap_or(true),
            key,
            threshold: self.threshold.flatten().map(|number| check_threshold(kind, number)).transpose()?,
            window: self.window.flatten().map(|text| parse_window(kind, &text)).transpose()?,
            webhook: self.webhook.flatten().map(|webhook| parse_webhook(webhook, None)).transpose()?,
        })
    }

    /// Returns the rule with what is written here changed.
    pub(super) fn apply(self, rule: &Rule) -> Result<Rule, ApiError> {
        let fixed = |field| {
            ApiError::field(field, "of a rule cannot be changed: make another rule, and delete this one")
        };
        if self.kind.is_some_and(|kind| kind != rule.kind.name()) {
            return Err(fixed("kind"));
        }
        if self.key.is_some_and(|key| key != rule.key.map(|key| key.to_string())) {
            return Err(fixed("key"));
        }
        let mut rule = rule.clone();
        rule.enabled = self.enabled.unwrap_or(rule.enabled);
        if let Some(threshold) = self.threshold {
            rule.threshold = threshold.map(|number| check_threshold(rule.kind, number)).transpose()?;
        }
        if let Some(window) = self.window {
            rule.window = window.map(|text| parse_window(rule.kind, &text)).transpose()?;
        }
        if let Some(webhook) = self.webhook {
            rule.webhook =
                webhook.map(|webhook| parse_webhook(webhook, rule.webhook.as_ref())).transpose()?;
        }
        Ok(rule)
    }
}

impl WebhookBody {
    /// Returns what is written; an error names the field, and nothing of what is in it.
    fn read(value: Value) -> Result<Self, ApiError> {
        let form = "must be an object of `url` and, as needed, `format` and `secret`";
        let Value::Object(mut fields) = value else { return Err(ApiError::field("webhook", form)) };
        let mut text = |name: &str| match fields.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::field(&format!("webhook.{name}"), "must be text, in quotes")),
        };
        let (url, format, secret) = (text("url")?, text("format")?, text("secret")?);
        let url = url.ok_or_else(|| ApiError::field("webhook", form))?;
        if fields.is_empty() {
            Ok(Self { url, format, secret })
        } else {
            Err(ApiError::field("webhook", form))
        }
    }

    /// Returns the webhook. Its secret stays as it was before if none is given and the URL is the same.
    fn parse(self, before: Option<&Webhook>) -> Result<Webhook, ApiError> {
        let url = WebhookUrl::parse(&self.url).map_err(|error| ApiError::field("webhook.url", error))?;
        let before = before.filter(|before| before.url == url);
        let format = match self.format.as_deref() {
            Some(text) => text.parse().map_err(|error| ApiError::field("webhook.format", error))?,
            None => before.map_or(Format::Json, |before| before.format),
        };
        let secret = match self.secret.as_deref() {
            Some(text) => {
                Some(WebhookSecret::parse(text).map_err(|error| ApiError::field("webhook.secret", error))?)
            }
            None => before.and_then(|before| before.secret.clone()),
        };
        Ok(Webhook { url, format, secret })
    }
}

fn parse_webhook(value: Value, before: Option<&Webhook>) -> Result<Webhook, ApiError> {
    WebhookBody::read(value)?.parse(before)
}

fn parse_key(text: &str, is_key: impl FnOnce(KeyId) -> bool) -> Result<KeyId, ApiError> {
    let key = text.parse().ok().filter(|key| is_key(*key));
    key.ok_or_else(|| ApiError::field("key", "names no key: send a key's id, or null for all keys"))
}

fn check_threshold(kind: Kind, number: f64) -> Result<f64, ApiError> {
    kind.check_threshold(number)
        .map_err(|form| ApiError::field("threshold", format_args!("{form} for {kind}")))?;
    Ok(number)
}

fn parse_window(kind: Kind, text: &str) -> Result<Duration, ApiError> {
    // What is shown is in whole seconds.
    let window = Duration::from_secs(parse_length("window", text)?.as_secs());
    kind.check_window(window).map_err(|form| ApiError::field("window", form))?;
    Ok(window)
}
