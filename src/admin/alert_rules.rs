//! Alert rules: make, list, read, change, delete, test.

use std::sync::Arc;

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use serde_json::{Number, json};

use super::alert_rule_body::AlertRuleBody;
use super::alerts::parse;
use super::keys::Nothing;
use super::{Call, Desk, LIST};
use crate::alerts::{AlertsError, TestOutcome};
use crate::domain::alert::Rule;
use crate::domain::id::RuleId;
use crate::domain::time::format_duration;
use crate::http::ApiError;
use crate::http::list::Page;
use crate::keys::Idempotency;

/// An alert rule as it is in force.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "AlertRule")]
pub(crate) struct AlertRuleView {
    pub(crate) id: String,
    /// Always `alert_rule`.
    pub(crate) object: &'static str,
    /// What it looks at.
    pub(crate) kind: &'static str,
    pub(crate) enabled: bool,
    /// The one key that it is for; all keys where there is none.
    pub(crate) key: Option<String>,
    /// The kind's one number.
    #[schemars(with = "f64")]
    pub(crate) threshold: Number,
    /// How far it looks back; none for `key_expiring`.
    pub(crate) window: Option<String>,
    pub(crate) webhook: Option<WebhookView>,
}

/// A webhook without its secret, which is not shown again.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Webhook")]
pub(crate) struct WebhookView {
    pub(crate) url: String,
    /// `json`, `ntfy`, `slack` or `discord`.
    pub(crate) format: &'static str,
    /// Whether deliveries are signed: it has a secret.
    pub(crate) signed: bool,
}

/// What became of a sample alert.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "AlertTest")]
pub(crate) struct AlertTestView {
    /// Always `alert_test`.
    pub(crate) object: &'static str,
    pub(crate) delivered: bool,
    /// What the webhook answered with, if it did.
    pub(crate) status: Option<u16>,
    /// Why it was not delivered.
    pub(crate) error: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    pub(crate) limit: Option<String>,
    pub(crate) after: Option<String>,
}

/// Makes a rule.
pub(crate) async fn make(
    desk: &Desk,
    once: Option<Idempotency>,
    body: AlertRuleBody,
) -> Result<AlertRuleView, ApiError> {
    let order = desk.order(once);
    let rule = desk
        .block(move |rooms| {
            let keyring = rooms.keys.keyring();
            rooms.alerts.create(order, || body.create(|key| keyring.has(key)))
        })
        .await?;
    Ok(AlertRuleView::from(&*rule))
}

/// Returns rules, the oldest first.
pub(crate) fn page(desk: &Desk, query: &ListQuery) -> Result<Page<AlertRuleView>, ApiError> {
    let limit = LIST.check(query.limit.as_deref())?;
    let after: Option<RuleId> = parse("after", query.after.as_deref())?;
    let rules = desk.rooms.alerts.rules();
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
    Ok(Page::new(views, limit, |view: &AlertRuleView| view.id.clone()))
}

/// Returns a rule.
pub(crate) fn get(desk: &Desk, id: RuleId) -> Result<AlertRuleView, ApiError> {
    let rule: Arc<Rule> = desk.rooms.alerts.rules().get(id).cloned().ok_or(AlertsError::NoRule)?;
    Ok(AlertRuleView::from(&*rule))
}

/// Changes a rule; returns it.
pub(crate) async fn change(desk: &Desk, id: RuleId, body: AlertRuleBody) -> Result<AlertRuleView, ApiError> {
    let actor = desk.actor;
    let rule = desk.block(move |rooms| rooms.alerts.change(id, actor, |rule| body.apply(rule))).await?;
    Ok(AlertRuleView::from(&*rule))
}

/// Deletes a rule; its alerts stay.
pub(crate) async fn delete(desk: &Desk, id: RuleId) -> Result<(), ApiError> {
    let actor = desk.actor;
    desk.block(move |rooms| rooms.alerts.delete(id, actor)).await
}

/// Sends a sample alert as the rule would; tells what became of it.
pub(crate) async fn test(desk: &Desk, id: RuleId) -> Result<AlertTestView, ApiError> {
    let TestOutcome { delivered, status, error } = desk.rooms.alerts.test(id).await?;
    Ok(AlertTestView { object: "alert_test", delivered, status, error })
}

pub(super) async fn answer_make(call: Call) -> Result<HttpResponse, ApiError> {
    let rule = make(&call.desk, call.idempotency()?, call.json()?).await?;
    Ok(HttpResponse::Created().json(rule))
}

#[expect(clippy::unused_async, reason = "handlers are asynchronous")]
pub(super) async fn answer_page(call: Call) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(page(&call.desk, &call.query()?)?))
}

#[expect(clippy::unused_async, reason = "handlers are asynchronous")]
pub(super) async fn answer_get(call: Call) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(get(&call.desk, call.rule_id()?)?))
}

pub(super) async fn answer_change(call: Call) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(change(&call.desk, call.rule_id()?, call.json()?).await?))
}

pub(super) async fn answer_delete(call: Call) -> Result<HttpResponse, ApiError> {
    let id = call.rule_id()?;
    delete(&call.desk, id).await?;
    Ok(HttpResponse::Ok().json(json!({"id": id.to_string(), "object": "alert_rule", "deleted": true})))
}

/// Sent again it does no harm: an `Idempotency-Key` changes nothing.
pub(super) async fn answer_test(call: Call) -> Result<HttpResponse, ApiError> {
    let id = call.rule_id()?;
    call.idempotency()?;
    call.json::<Nothing>()?;
    Ok(HttpResponse::Ok().json(test(&call.desk, id).await?))
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
