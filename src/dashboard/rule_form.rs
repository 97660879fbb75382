//! The form of an alert rule: how it is filled in, and what it says to the admin API.

use serde_json::{Map, Value, json};

use super::alert_words::{self, Words};
use super::form::Form;
use super::names;
use super::trouble::Trouble;
use crate::admin::Desk;
use crate::admin::alert_rules::AlertRuleView;
use crate::domain::alert::Kind;
use crate::domain::time::format_duration;
use crate::domain::webhook::Format;
use crate::http::ApiError;

/// The form as it is shown: what each field holds.
pub(super) struct RuleForm {
    pub(super) kind: Kind,
    /// What was typed for the key that it is for.
    pub(super) key: String,
    pub(super) enabled: bool,
    /// In percent where it is a share.
    pub(super) threshold: String,
    pub(super) window: String,
    pub(super) url: String,
    pub(super) format: String,
    /// What is wrong with it.
    pub(super) trouble: Option<Trouble>,
}

impl RuleForm {
    /// Returns the form of a rule that is to be made.
    pub(super) fn blank(kind: Kind, key: &str) -> Self {
        let usual = Form::from_pairs([("key", key), ("enabled", "1"), ("format", Format::Json.name())]);
        Self::filled(kind, &usual)
    }

    /// Returns the form as a rule is now.
    pub(super) fn of_rule(kind: Kind, rule: &AlertRuleView) -> Self {
        let threshold = match kind {
            Kind::ErrorRate => alert_words::percent(rule.threshold.as_f64().unwrap_or_default()),
            _ => rule.threshold.to_string(),
        };
        let webhook = rule.webhook.as_ref();
        Self {
            kind,
            key: rule.key.clone().unwrap_or_default(),
            enabled: rule.enabled,
            threshold,
            window: rule.window.clone().unwrap_or_default(),
            url: webhook.map(|webhook| webhook.url.clone()).unwrap_or_default(),
            format: webhook.map_or(Format::Json.name(), |webhook| webhook.format).to_owned(),
            trouble: None,
        }
    }

    /// Returns the form as it was sent, but for the secret.
    pub(super) fn filled(kind: Kind, form: &Form) -> Self {
        let text = |name: &str| form.text(name).to_owned();
        Self {
            kind,
            key: text("key"),
            enabled: form.is_ticked("enabled"),
            threshold: text("threshold"),
            window: text("window"),
            url: text("webhook_url"),
            format: text("webhook_format"),
            trouble: None,
        }
    }

    /// Returns the form with what is wrong with it; fails if it is not the form.
    pub(super) fn with(mut self, error: ApiError) -> Result<Self, ApiError> {
        let message = error.message().into_owned();
        let mut trouble = Trouble::of(error)?;
        // A webhook has three fields, and the one that is wrong is to be found.
        for part in ["url", "format", "secret"] {
            if message.starts_with(&format!("`webhook.{part}`")) {
                trouble.field = format!("webhook_{part}");
            }
        }
        if trouble.is_with("threshold") && self.kind == Kind::ErrorRate {
            "This must be a percentage above 0, at most 100.".clone_into(&mut trouble.reason);
        }
        self.trouble = Some(trouble);
        Ok(self)
    }

    /// Tells what is wrong with a field.
    pub(super) fn wrong(&self, field: &str) -> Option<&str> {
        Trouble::reason_of(self.trouble.as_ref(), field)
    }

    pub(super) fn words(&self) -> Words {
        alert_words::of(self.kind)
    }

    /// Returns the threshold where nothing is said, as it would be typed.
    pub(super) fn usual_threshold(&self) -> String {
        match self.kind {
            Kind::ErrorRate => alert_words::percent(self.kind.usual_threshold()),
            kind => kind.usual_threshold().to_string(),
        }
    }

    /// Returns the window where nothing is said.
    pub(super) fn usual_window(&self) -> Option<String> {
        self.kind.usual_window().map(format_duration)
    }

    /// Returns what the form says, as if it had been sent as it is.
    pub(super) fn body(&self) -> Map<String, Value> {
        let mut pairs = vec![
            ("threshold", self.threshold.as_str()),
            ("window", &self.window),
            ("webhook_url", &self.url),
            ("webhook_format", &self.format),
        ];
        pairs.extend(self.enabled.then_some(("enabled", "1")));
        body(self.kind, &Form::from_pairs(pairs))
    }
}

/// Returns the body of the request to the admin API that the form stands for, but for what cannot be changed.
pub(super) fn body(kind: Kind, form: &Form) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("enabled".to_owned(), form.is_ticked("enabled").into());
    body.insert("threshold".to_owned(), threshold(kind, form.text("threshold")));
    if kind.usual_window().is_some() {
        body.insert("window".to_owned(), form.said("window").into());
    }
    body.insert("webhook".to_owned(), webhook(form));
    body
}

/// Returns what the rule is about, and the key that it is for, for one that is to be made.
pub(super) fn what(kind: Kind, form: &Form, desk: &Desk) -> Map<String, Value> {
    let key = form.said("key").map(|text| match names::key_id(desk, text) {
        Some(id) => id.to_string(),
        None => text.to_owned(),
    });
    Map::from_iter([("kind".to_owned(), kind.name().into()), ("key".to_owned(), key.into())])
}

/// Returns a number; what is none as it is, to be refused; nothing as `null`.
fn threshold(kind: Kind, text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    let number = if kind == Kind::ErrorRate { alert_words::share(text) } else { text.parse().ok() };
    number.filter(|number| f64::is_finite(*number)).map_or_else(|| text.into(), Value::from)
}

/// Returns the webhook; none where nothing is said of one.
fn webhook(form: &Form) -> Value {
    let (url, secret) = (form.text("webhook_url"), form.said("webhook_secret"));
    if url.is_empty() && secret.is_none() {
        return Value::Null;
    }
    let mut webhook = json!({"url": url, "format": form.text("webhook_format")});
    if let Some(secret) = secret {
        webhook["secret"] = secret.into();
    }
    webhook
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: Kind, query: &str) -> Value {
        Value::Object(body(kind, &Form::of_query(query).unwrap()))
    }

    #[test]
    fn a_form_says_what_the_admin_api_is_told() {
        let said = parse(
            Kind::ErrorRate,
            "enabled=1&threshold=33.3&window=10m&webhook_url=http%3A%2F%2Fhost%2F&webhook_format=json&webhook_secret=hush-hush",
        );
        let expected = json!({
            "enabled": true, "threshold": 0.333, "window": "10m",
            "webhook": {"url": "http://host/", "format": "json", "secret": "hush-hush"},
        });
        assert_eq!(said, expected);
        let said = parse(Kind::KeyExpiring, "threshold=&webhook_url=&webhook_format=ntfy&webhook_secret=");
        assert_eq!(said, json!({"enabled": false, "threshold": null, "webhook": null}));
    }

    #[test]
    fn what_is_not_right_is_said_as_it_is_and_not_left_out() {
        assert_eq!(parse(Kind::FailedAuth, "threshold=many")["threshold"], json!("many"));
        assert_eq!(parse(Kind::FailedAuth, "threshold=inf")["threshold"], json!("inf"));
        let webhook = &parse(Kind::FailedAuth, "webhook_format=json&webhook_secret=hush-hush")["webhook"];
        assert_eq!(*webhook, json!({"url": "", "format": "json", "secret": "hush-hush"}));
    }

    #[test]
    fn a_field_of_a_webhook_is_named_and_a_share_is_in_percent() {
        let form = || RuleForm::blank(Kind::ErrorRate, "");
        let error = ApiError::field("webhook.secret", "must have 8 to 200 characters");
        assert_eq!(
            form().with(error).unwrap().wrong("webhook_secret"),
            Some("This must have 8 to 200 characters.")
        );
        let error = ApiError::field("threshold", "must be a rate above 0, at most 1 for error_rate");
        let form = form().with(error).unwrap();
        assert_eq!(form.wrong("threshold"), Some("This must be a percentage above 0, at most 100."));
    }
}
