//! The alert rules: listed, turned on and off, tried out, deleted.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use crate::admin::alert_rule_body::AlertRuleBody;
use crate::admin::alert_rules::{self, AlertRuleView, AlertTestView, ListQuery};
use crate::alerts::AlertsError;
use crate::dashboard::frame::{Frame, Place};
use crate::dashboard::{Visit, alert_words, assets, names, page};
use crate::domain::alert::Kind;
use crate::domain::id::RuleId;
use crate::domain::webhook::WebhookUrl;
use crate::http::ApiError;

/// How many rules a page has.
const ROWS: u32 = 100;

#[derive(Template)]
#[template(path = "rules.html")]
struct RulesPage {
    frame: Frame,
    rows: Vec<Row>,
    first: Option<&'static str>,
    next: Option<String>,
    /// Why a sample was not delivered.
    failure: Option<String>,
}

#[derive(Template)]
#[template(path = "delete_rule.html")]
struct DeletePage {
    frame: Frame,
    row: Row,
}

/// A rule as it stands in a list.
struct Row {
    rule: AlertRuleView,
    /// The name of the key that it is for.
    key_name: Option<String>,
}

/// Lists the rules.
#[expect(clippy::unused_async, reason = "handlers are asynchronous")]
pub(super) async fn show(visit: Visit) -> Result<HttpResponse, ApiError> {
    visit.rules(visit.form.said("after"), None)
}

/// Puts a rule in force.
pub(super) async fn enable(visit: Visit) -> Result<HttpResponse, ApiError> {
    visit.turn(true, "is in force again").await
}

/// Takes a rule out of force.
pub(super) async fn disable(visit: Visit) -> Result<HttpResponse, ApiError> {
    visit.turn(false, "is not in force any more").await
}

/// Sends a sample alert as the rule would.
pub(super) async fn test(visit: Visit) -> Result<HttpResponse, ApiError> {
    let id = visit.rule_id()?;
    let row = visit.row(alert_rules::get(&visit.desk, id)?);
    let AlertTestView { delivered, status, error, .. } = alert_rules::test(&visit.desk, id).await?;
    if !delivered {
        let why = error.unwrap_or_default();
        let failure =
            format!("The sample for \u{201c}{}\u{201d} did not reach {}: {why}", row.label(), row.origin());
        return visit.rules(None, Some(failure));
    }
    let told = match (&row.rule.webhook, status) {
        (None, _) => "The sample is in mcpd's log: this rule has no webhook.".to_owned(),
        (Some(_), Some(status)) => format!("The sample was delivered: {} answered {status}.", row.origin()),
        (Some(_), None) => format!("The sample was delivered to {}.", row.origin()),
    };
    Ok(visit.done("/alerts/rules", told))
}

/// Asks whether a rule is to be deleted.
#[expect(clippy::unused_async, reason = "handlers are asynchronous")]
pub(super) async fn ask_to_delete(visit: Visit) -> Result<HttpResponse, ApiError> {
    let row = visit.row(alert_rules::get(&visit.desk, visit.rule_id()?)?);
    page(StatusCode::OK, &DeletePage { frame: visit.frame(Place::Alerts), row })
}

/// Deletes a rule.
pub(super) async fn delete(visit: Visit) -> Result<HttpResponse, ApiError> {
    alert_rules::delete(&visit.desk, visit.rule_id()?).await?;
    Ok(visit.done("/alerts/rules", "The rule was deleted. Alerts that it raised stay."))
}

impl Visit {
    /// Returns the id of the rule that the path names.
    pub(super) fn rule_id(&self) -> Result<RuleId, ApiError> {
        Ok(self.parameter.parse().map_err(|_| AlertsError::NoRule)?)
    }

    async fn turn(&self, enabled: bool, told: &str) -> Result<HttpResponse, ApiError> {
        let body = AlertRuleBody { enabled: Some(enabled), ..AlertRuleBody::default() };
        let rule = alert_rules::change(&self.desk, self.rule_id()?, body).await?;
        let (label, row) = (alert_words::label(rule.kind).to_owned(), self.row(rule));
        let whose = row.key_name.map(|name| format!(" for {name}")).unwrap_or_default();
        Ok(self.done("/alerts/rules", format!("\u{201c}{label}\u{201d}{whose} {told}.")))
    }

    fn row(&self, rule: AlertRuleView) -> Row {
        let key_name = rule.key.as_deref().map(|id| names::of_key(&self.desk, id));
        Row { rule, key_name }
    }

    fn rules(&self, after: Option<&str>, failure: Option<String>) -> Result<HttpResponse, ApiError> {
        let query = ListQuery { limit: Some(ROWS.to_string()), after: after.map(ToOwned::to_owned) };
        let found = alert_rules::page(&self.desk, &query)?;
        let last = found.last_id.as_deref().filter(|_| found.has_more);
        let shown = RulesPage {
            frame: self.frame(Place::Alerts),
            next: last.map(|last| format!("/alerts/rules?after={last}")),
            first: after.map(|_| "/alerts/rules"),
            rows: found.data.into_iter().map(|rule| self.row(rule)).collect(),
            failure,
        };
        page(StatusCode::OK, &shown)
    }
}

impl Row {
    fn label(&self) -> &str {
        alert_words::label(self.rule.kind)
    }

    fn meaning(&self) -> &'static str {
        self.rule.kind.parse::<Kind>().map_or("", |kind| alert_words::of(kind).meaning)
    }

    /// Returns scheme and host of the webhook: the rest of a URL may be secret.
    fn origin(&self) -> String {
        let url = self.rule.webhook.as_ref().and_then(|webhook| WebhookUrl::parse(&webhook.url).ok());
        url.map(|url| url.origin().to_owned()).unwrap_or_default()
    }
}
