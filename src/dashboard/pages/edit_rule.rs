//! An alert rule: asked for, made, changed.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use serde_json::{Map, Value};

use super::new_key::new_once;
use crate::admin::alert_rule_body::AlertRuleBody;
use crate::admin::alert_rules;
use crate::dashboard::frame::{Frame, Place};
use crate::dashboard::names::{self, Offered};
use crate::dashboard::rule_form::{self, RuleForm};
use crate::dashboard::{Visit, alert_words, assets, key_form, page};
use crate::domain::alert::{Kind, UnknownKind};
use crate::domain::token;
use crate::domain::webhook::Format;
use crate::http::{ApiError, json};

#[derive(Template)]
#[template(path = "rule_kinds.html")]
struct KindsPage {
    frame: Frame,
    /// The key that it is to be for, if that is settled already.
    key: Option<String>,
}

#[derive(Template)]
#[template(path = "edit_rule.html")]
struct RulePage {
    frame: Frame,
    form: RuleForm,
    /// The rule as it is; none where one is made.
    rule: Option<Known>,
    /// Tells this form sent twice from two of them.
    once: String,
    /// What the form said before anything was typed: only what differs is sent.
    was: String,
    keys: Vec<Offered>,
}

/// What is settled of a rule that there is.
struct Known {
    id: String,
    /// The id and name of the key that it is for.
    key: Option<(String, String)>,
    has_webhook: bool,
    is_signed: bool,
}

/// Asks what a new rule is to look at, then for the rest.
#[expect(clippy::unused_async, reason = "handlers are asynchronous")]
pub(super) async fn ask(visit: Visit) -> Result<HttpResponse, ApiError> {
    // A key may be pasted into a link by mistake.
    let key = visit.form.said("key").map(token::redact);
    if visit.form.said("kind").is_none() {
        let shown = KindsPage { frame: visit.frame(Place::Alerts), key: key.map(Cow::into_owned) };
        return page(StatusCode::OK, &shown);
    }
    let form = RuleForm::blank(visit.kind()?, &key.unwrap_or_default());
    visit.rule_form(StatusCode::OK, form, None, new_once()?, String::new())
}

/// Makes a rule.
pub(super) async fn make(visit: Visit) -> Result<HttpResponse, ApiError> {
    let kind = visit.kind()?;
    let mut body = rule_form::body(kind, &visit.form);
    body.extend(rule_form::what(kind, &visit.form, &visit.desk));
    let made = match json::value::<AlertRuleBody>(body.into()) {
        Ok(body) => alert_rules::make(&visit.desk, Some(visit.once()), body).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(_) => Ok(visit.done("/alerts/rules", "The rule was made. Test it to see where its alerts go.")),
        Err(error) => {
            let form = RuleForm::filled(kind, &visit.form).with(error)?;
            visit.rule_form(StatusCode::UNPROCESSABLE_ENTITY, form, None, new_once()?, String::new())
        }
    }
}

/// Shows a rule, to be changed.
#[expect(clippy::unused_async, reason = "handlers are asynchronous")]
pub(super) async fn edit(visit: Visit) -> Result<HttpResponse, ApiError> {
    let (known, form) = visit.known_rule()?;
    let was = Value::from(form.body()).to_string();
    visit.rule_form(StatusCode::OK, form, Some(known), String::new(), was)
}

/// Changes a rule.
pub(super) async fn change(visit: Visit) -> Result<HttpResponse, ApiError> {
    let id = visit.rule_id()?;
    let (known, before) = visit.known_rule()?;
    let kind = before.kind;
    let was: Map<String, Value> = serde_json::from_str(visit.form.text("was"))
        .map_err(|_| ApiError::bad_request("the form does not say what it was filled with"))?;
    let changes = key_form::changes(rule_form::body(kind, &visit.form), &was);
    if changes.is_empty() {
        return Ok(visit.done("/alerts/rules", "Nothing was changed."));
    }
    let outcome = match json::value::<AlertRuleBody>(changes.into()) {
        Ok(body) => alert_rules::change(&visit.desk, id, body).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(_) => Ok(visit.done("/alerts/rules", "The rule was changed.")),
        Err(error) => {
            let form = RuleForm { key: before.key, ..RuleForm::filled(kind, &visit.form).with(error)? };
            visit.rule_form(
                StatusCode::UNPROCESSABLE_ENTITY,
                form,
                Some(known),
                String::new(),
                visit.form.text("was").to_owned(),
            )
        }
    }
}

impl Visit {
    fn kind(&self) -> Result<Kind, ApiError> {
        let unknown = |error: UnknownKind| ApiError::bad_request(format!("The kind of a rule {error}"));
        self.form.text("kind").parse().map_err(unknown)
    }

    fn known_rule(&self) -> Result<(Known, RuleForm), ApiError> {
        let rule = alert_rules::get(&self.desk, self.rule_id()?)?;
        let kind = rule.kind.parse().map_err(|_| ApiError::Internal)?;
        let form = RuleForm::of_rule(kind, &rule);
        let key = rule.key.map(|id| {
            let name = names::of_key(&self.desk, &id);
            (id, name)
        });
        let is_signed = rule.webhook.as_ref().is_some_and(|webhook| webhook.signed);
        Ok((Known { id: rule.id, key, has_webhook: rule.webhook.is_some(), is_signed }, form))
    }

    fn rule_form(
        &self,
        status: StatusCode,
        form: RuleForm,
        rule: Option<Known>,
        once: String,
        was: String,
    ) -> Result<HttpResponse, ApiError> {
        let keys = if rule.is_none() { names::offered(&self.desk) } else { Vec::new() };
        page(status, &RulePage { frame: self.frame(Place::Alerts), form, rule, once, was, keys })
    }
}

impl KindsPage {
    /// Returns the way to the form of a kind.
    fn path(&self, kind: Kind) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("kind", kind.name()).extend_pairs(self.key.as_ref().map(|key| ("key", key)));
        format!("/alerts/rules/new?{}", query.finish())
    }
}

impl RulePage {
    fn has_webhook(&self) -> bool {
        self.rule.as_ref().is_some_and(|rule| rule.has_webhook)
    }

    fn is_signed(&self) -> bool {
        self.rule.as_ref().is_some_and(|rule| rule.is_signed)
    }
}
