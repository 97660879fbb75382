//! Alert rules: make, list, read, change, delete, test.

use std::sync::Arc;

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use serde_json::{Number, json};

use super::alert_rule_body::AlertRuleBody;
use super::alerts::parse;
use super::keys::Nothing;
use super::{Call, LIST};
use crate::alerts::{AlertsError, TestOutcome};
use crate::domain::alert::Rule;
use crate::domain::id::RuleId;
use crate::domain::time::format_duration;
use crate::http::ApiError;
use crate::http::list::Page;

/// An alert rule as it is in force.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "AlertRule")]
pub(super) struct AlertRuleView {
    id: String,
    /// Always `alert_rule`.
    object: &'static str,
    /// What it looks at.
    kind: &'static str,
    enabled: bool,
    /// The one key that it is for; all keys where there is none.
    key: Option<String>,
    /// The kind's one number.
    #[schemars(with = "f64")]
    threshold: Number,
    /// How far it looks back; none for `key_expiring`.
    window: Option<String>,
    webhook: Option<WebhookView>,
}

/// A webhook without its secret, which is not shown again.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Webhook")]
struct WebhookView {
    url: String,
    /// `json`, `ntfy`, `slack` or `discord`.
    format: &'static str,
    /// Whether deliveries are signed: it has a secret.
    signed: bool,
}

/// What became of a sample alert.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "AlertTest")]
pub(super) struct AlertTestView {
    /// Always `alert_test`.
    object: &'static str,
    delivered: bool,
    /// What the webhook answered with, if it did.
    status: Option<u16>,
    /// Why it was not delivered.
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<String>,
    after: Option<String>,
}

/// Makes a rule.
pub(super) async fn create(call: Call) -> Result<HttpResponse, ApiError> {
    let order = call.order()?;
    let body: AlertRuleBody = call.json()?;
    let rule = call
        .block(move |rooms| {
            let keyring = rooms.keys.keyring();
            rooms.alerts.create(order, || body.create(|key| keyring.has(key)))
        })
        .await?;
    Ok(HttpResponse::Created().json(AlertRuleView::from(&*rule)))
}

/// Lists the rules, the oldest first.
#[expect(clippy::unused_async, reason = "handlers are asynchronous")]
pub(super) async fn list(call: Call) -> Result<HttpResponse, ApiError> {
    let query: ListQuery = call.query()?;
    let limit = LIST.check(query.limit.as_deref())?;
    let after: Option<RuleId> = parse("after", query.after.as_deref())?;
    let rules = call.rooms.alerts.rules();
    let rest = match after {
        None => rules.all(),
        Some(after) => {
            let at = rules.all().iter().position(|rule| rule.id == after);
            let at = at.ok_or_else(|| {
                ApiError::bad_request(
                    "the query string: `after` names no alert rule; list from the start again",
                )
            })?;
            &rules.all()[at + 1..]
        }
    };
    let views = rest.iter().take(limit as usize + 1).map(|rule| AlertRuleView::from(&**rule)).collect();
    Ok(HttpResponse::Ok().json(Page::new(views, limit, |view: &AlertRuleView| view.id.clone())))
}

/// Describes a rule.
#[expect(clippy::unused_async, reason = "handlers are asynchronous")]
pub(super) async fn show(call: Call) -> Result<HttpResponse, ApiError> {
    let id = call.rule_id()?;
    let rule: Arc<Rule> = call.rooms.alerts.rules().get(id).cloned().ok_or(AlertsError::NoRule)?;
    Ok(HttpResponse::Ok().json(AlertRuleView::from(&*rule)))
}

/// Changes a rule.
pub(super) async fn change(call: Call) -> Result<HttpResponse, ApiError> {
    let id = call.rule_id()?;
    let body: AlertRuleBody = call.json()?;
    let actor = call.actor;
    let rule = call.block(move |rooms| rooms.alerts.change(id, actor, |rule| body.apply(rule))).await?;
    Ok(HttpResponse::Ok().json(AlertRuleView::from(&*rule)))
}

/// Deletes a rule; its alerts stay.
pub(super) async fn delete(call: Call) -> Result<HttpResponse, ApiError> {
    let id = call.rule_id()?;
    let actor = call.actor;
    call.block(move |rooms| rooms.alerts.delete(id, actor)).await?;
    Ok(HttpResponse::Ok().json(json!({"id": id.to_string(), "object": "alert_rule", "deleted": true})))
}

/// Sends a sample alert as the rule would. Sent again it does no harm: an `Idempotency-Key` changes nothing.
pub(super) async fn test(call: Call) -> Result<HttpResponse, ApiError> {
    let id = call.rule_id()?;
    call.order()?;
    call.json::<Nothing>()?;
    let TestOutcome { delivered, status, error } = call.rooms.alerts.test(id).await?;
    Ok(HttpResponse::Ok().json(AlertTestView { object: "alert_test", delivered, status, error }))
}

impl From<&Rule> for AlertRuleView {
    fn from(rule: &Rule) -> Self {
        let has_window = rule.kind.usual_window().is_some();
        Self {
            id: rule.id.to_string(),
            object: "alert_rule",
            kind: rule.kind.name(),
            enabled: rule.enabled,
            key: rule.key.map(|key| key.to_string()),
            threshold: rule.threshold_number(),
            window: has_window.then(|| format_duration(rule.window())),
            webhook: rule.webhook.as_ref().map(|webhook| WebhookView {
                url: webhook.url.as_str().to_owned(),
                format: webhook.format.name(),
                signed: webhook.secret.is_some(),
            }),
        }
    }
}

impl Call {
    fn rule_id(&self) -> Result<RuleId, ApiError> {
        Ok(self.parameter.parse().map_err(|_| AlertsError::NoRule)?)
    }
}
