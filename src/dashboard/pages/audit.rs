//! Who changed what.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_DISPOSITION, HeaderValue};
use askama::Template;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::admin::audit::{self, AuditRow, ListQuery, VerificationView};
use crate::dashboard::changes::{self, Changed};
use crate::dashboard::frame::{Frame, Place};
use crate::dashboard::{Visit, alert_words, assets, names, page, text};
use crate::domain::audit::ACTIONS;
use crate::domain::id::RuleId;
use crate::domain::token;
use crate::http::ApiError;

/// How many rows a page has.
const ROWS: u32 = 50;
/// How much of a digest tells rows apart at a glance.
const SHORT: usize = 12;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    action: String,
    target: String,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "audit_verified.html")]
struct VerifiedPage {
    frame: Frame,
    found: VerificationView,
}

struct Row {
    noted: AuditRow,
    who: String,
    /// What it was done to, by its name if it has one.
    what: String,
    /// Where that is to be seen, if it is still there.
    path: Option<String>,
    changed: Vec<Changed>,
    /// The whole of it, as it was and is.
    before: Option<String>,
    after: Option<String>,
}

/// Lists changes, the newest first.
pub(super) async fn show(visit: Visit) -> Result<HttpResponse, ApiError> {
    let said = |name: &str| visit.form.said(name).map(ToOwned::to_owned);
    let (action, target, after) = (said("action"), said("target"), said("after"));
    let path = |after: Option<&str>| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("action", action.as_deref()), ("target", target.as_deref()), ("after", after)]
        {
            query.extend_pairs(value.map(|value| (name, value)));
        }
        format!("/audit?{}", query.finish())
    };
    let query = ListQuery {
        limit: Some(ROWS.to_string()),
        after: after.clone(),
        action: action.clone(),
        target: target.clone(),
    };
    let found = audit::page(&visit.desk, query).await?;
    let shown = AuditPage {
        frame: visit.frame(Place::Audit),
        first: after.is_some().then(|| path(None)),
        next: found.last_id.as_deref().filter(|_| found.has_more).map(|last| path(Some(last))),
        rows: found.data.into_iter().map(|row| visit.audit_row(row)).collect(),
        action: action.unwrap_or_default(),
        target: token::redact(&target.unwrap_or_default()).into_owned(),
    };
    page(StatusCode::OK, &shown)
}

/// Proves that the log is as it was written.
pub(super) async fn verify(visit: Visit) -> Result<HttpResponse, ApiError> {
    let found = audit::verify(&visit.desk).await?;
    page(StatusCode::OK, &VerifiedPage { frame: visit.frame(Place::Audit), found })
}

/// Hands out the whole log.
pub(super) async fn export(visit: Visit) -> Result<HttpResponse, ApiError> {
    let mut response = audit::export(&visit.desk).await?;
    let name = HeaderValue::from_static("attachment; filename=\"mcpd-audit.jsonl\"");
    response.headers_mut().insert(CONTENT_DISPOSITION, name);
    Ok(response)
}

impl Visit {
    fn audit_row(&self, row: AuditRow) -> Row {
        let (before, after) = (object(row.before.as_deref()), object(row.after.as_deref()));
        let known = |id: &str| names::known_key(&self.desk, id);
        let called = |fields: &Map<String, Value>| {
            let kind = fields.get("kind").and_then(Value::as_str).map(alert_words::label);
            fields.get("name").and_then(Value::as_str).or(kind).map(ToOwned::to_owned)
        };
        let what = called(&after).or_else(|| called(&before)).unwrap_or_else(|| row.target.clone());
        Row {
            who: changes::who(&row.actor),
            path: self.path_of(&row.target),
            what,
            changed: changes::between(&before, &after, known),
            before: whole(&before),
            after: whole(&after),
            noted: row,
        }
    }

    /// Returns where a thing is to be seen, if it is there.
    fn path_of(&self, target: &str) -> Option<String> {
        if names::known_key(&self.desk, target).is_some() {
            return Some(format!("/keys/{target}"));
        }
        let rule =
            target.parse::<RuleId>().ok().filter(|id| self.desk.rooms.alerts.rules().get(*id).is_some());
        rule.map(|id| format!("/alerts/rules/{id}/edit"))
    }
}

impl Row {
    fn short_digest(&self) -> &str {
        self.noted.digest.get(..SHORT).unwrap_or(&self.noted.digest)
    }
}

fn object(json: Option<&RawValue>) -> Map<String, Value> {
    json.and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default()
}

fn whole(fields: &Map<String, Value>) -> Option<String> {
    if fields.is_empty() {
        return None;
    }
    serde_json::to_string_pretty(fields).ok()
}
