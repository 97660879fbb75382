//! The OpenAPI document of the admin API.

use actix_web::HttpResponse;
use actix_web::http::Method;
use serde_json::{Value, json};

use super::advice::AdviceView;
use super::alert_rule_body::AlertRuleBody;
use super::alert_rules::{AlertRuleView, AlertTestView};
use super::audit::{AuditRow, VerificationView};
use super::explain::{ExplainBody, ExplanationView};
use super::key_body::KeyBody;
use super::key_view::{IssuedView, KeyView};
use super::keys::RotateBody;
use super::migration::MigrationView;
use super::server::ServerView;
use super::sign_in_links::SignInLinkView;
use super::stored::contexts::ContextView;
use super::stored::files::FileView;
use super::usage::UsageView;
use super::usage_verify::VerificationView as UsageVerificationView;
use super::{Access, AdminRoute, Call, ROUTES};
use crate::alerts::AlertView;
use crate::http::ApiError;
use crate::http::list::Page;
use crate::http::openapi::{Builder, Operation};

const PAGE: (&str, &str) = ("limit", "Rows on the page, 1 to 1000; 100 where nothing is said.");
const AFTER: (&str, &str) = ("after", "The last id of the page before.");

/// Answers with the document.
#[expect(clippy::unused_async, reason = "handlers are asynchronous")]
pub(super) async fn show(_: Call) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(document()))
}

/// Returns the document.
pub fn document() -> Value {
    let mut builder = Builder::default();
    for route in ROUTES {
        let needs = match route.access {
            Access::Admin => "Needs the admin token, or the admin socket.",
            Access::Metrics => "Needs the admin token unless `admin.open_metrics` is set.",
        };
        let operation = describe(&mut builder, route.method.as_str(), route.pattern);
        let changes_nothing =
            matches!(route.pattern, "/admin/v1/backup" | "/admin/v1/explain" | "/admin/v1/sign-in-links");
        let headers = if route.method == Method::POST && !changes_nothing { IDEMPOTENCY } else { &[] };
        let operation =
            Operation { needs: Some(needs.to_owned()), query: query_of(route), headers, ..operation };
        builder.add(route.method.as_str(), route.pattern, route.summary, operation);
    }
    builder.finish("mcpd admin", "The admin token, from `admin.token_file`.")
}

/// Returns the names and descriptions of the query parameters that a route takes; it is asked for no others.
pub(super) fn query_of(route: &AdminRoute) -> &'static [(&'static str, &'static str)] {
    match (route.method.as_str(), route.pattern) {
        ("GET", "/admin/v1/keys") => KEY_QUERY,
        ("GET", "/admin/v1/usage") => USAGE_QUERY,
        ("GET", "/admin/v1/alerts") => ALERT_QUERY,
        ("GET", "/admin/v1/alert-rules" | "/admin/v1/contexts" | "/admin/v1/files") => &[PAGE, AFTER],
        ("GET", "/admin/v1/audit") => AUDIT_QUERY,
        _ => &[],
    }
}

fn describe(builder: &mut Builder, method: &str, pattern: &str) -> Operation {
    let usual = Operation::default();
    match (method, pattern) {
        ("GET", "/admin/v1/server") => Operation { answer: builder.schema::<ServerView>(), ..usual },
        ("POST", "/admin/v1/keys") => {
            let body = Some(builder.schema::<KeyBody>());
            Operation { body, status: Some(201), answer: builder.schema::<IssuedView>(), ..usual }
        }
        ("GET", "/admin/v1/keys") => Operation { answer: builder.schema::<Page<KeyView>>(), ..usual },
        ("PATCH", "/admin/v1/keys/{id}") => {
            let body = Some(builder.schema::<KeyBody>());
            Operation { body, answer: builder.schema::<KeyView>(), ..usual }
        }
        ("POST", "/admin/v1/keys/{id}/rotate") => {
            let body = Some(builder.schema::<RotateBody>());
            Operation { body, status: Some(201), answer: builder.schema::<IssuedView>(), ..usual }
        }
        ("GET", "/admin/v1/keys/{id}/advice") => {
            Operation { answer: builder.schema::<AdviceView>(), ..usual }
        }
        ("GET", "/admin/v1/keys/{id}/migration") => {
            Operation { answer: builder.schema::<MigrationView>(), ..usual }
        }
        ("GET" | "POST", "/admin/v1/keys/{id}" | "/admin/v1/keys/{id}/revoke") => {
            Operation { answer: builder.schema::<KeyView>(), ..usual }
        }
        ("POST", "/admin/v1/explain") => {
            let body = Some(builder.schema::<ExplainBody>());
            Operation { body, answer: builder.schema::<ExplanationView<'static>>(), ..usual }
        }
        ("GET", "/admin/v1/usage") => Operation { answer: builder.schema::<UsageView>(), ..usual },
        ("GET", "/admin/v1/usage/verify") => {
            Operation { answer: builder.schema::<UsageVerificationView>(), ..usual }
        }
        ("GET", "/admin/v1/alerts") => Operation { answer: builder.schema::<Page<AlertView>>(), ..usual },
        ("POST", "/admin/v1/alerts/{id}/acknowledge") => {
            Operation { answer: builder.schema::<AlertView>(), ..usual }
        }
        ("POST" | "PATCH", "/admin/v1/alert-rules" | "/admin/v1/alert-rules/{id}") => {
            let body = Some(builder.schema::<AlertRuleBody>());
            let status = (method == "POST").then_some(201);
            Operation { body, status, answer: builder.schema::<AlertRuleView>(), ..usual }
        }
        ("GET", "/admin/v1/alert-rules") => {
            Operation { answer: builder.schema::<Page<AlertRuleView>>(), ..usual }
        }
        ("GET", "/admin/v1/alert-rules/{id}") => {
            Operation { answer: builder.schema::<AlertRuleView>(), ..usual }
        }
        ("POST", "/admin/v1/alert-rules/{id}/test") => {
            Operation { answer: builder.schema::<AlertTestView>(), ..usual }
        }
        ("GET", "/admin/v1/audit") => Operation { answer: builder.schema::<Page<AuditRow>>(), ..usual },
        ("GET", "/admin/v1/audit/verify") => {
            Operation { answer: builder.schema::<VerificationView>(), ..usual }
        }
        ("GET", "/admin/v1/audit/export") => {
            let answer = builder.schema::<AuditRow>();
            Operation { answer, media_type: Some("application/x-ndjson"), ..usual }
        }
        ("GET", "/admin/v1/contexts") => Operation { answer: builder.schema::<Page<ContextView>>(), ..usual },
        ("GET", "/admin/v1/files") => Operation { answer: builder.schema::<Page<FileView>>(), ..usual },
        ("POST", "/admin/v1/backup") => {
            let answer = json!({"type": "string", "format": "binary"});
            Operation { answer, media_type: Some("application/vnd.sqlite3"), ..usual }
        }
        ("POST", "/admin/v1/sign-in-links") => {
            Operation { status: Some(201), answer: builder.schema::<SignInLinkView>(), ..usual }
        }
        ("GET", "/metrics") => {
            Operation { answer: json!({"type": "string"}), media_type: Some("text/plain"), ..usual }
        }
        _ => Operation { answer: json!({"type": "object"}), ..usual },
    }
}

const IDEMPOTENCY: &[(&str, &str)] =
    &[("Idempotency-Key", "Makes the request safe to repeat for a day: it is done once.")];
const KEY_QUERY: &[(&str, &str)] = &[
    PAGE,
    AFTER,
    ("status", "`active`, `disabled`, `expired` or `revoked`."),
    ("search", "Text in the name, the hint, the id or the metadata, in any letter case."),
    ("sort", "`created`, `name`, `last_used` or `expires`; `created` where nothing is said."),
    (
        "order",
        "`desc` or `asc`; `desc` where nothing is said. Keys never used, or without an end, are last in both.",
    ),
];
const USAGE_QUERY: &[(&str, &str)] = &[
    ("key", "Only this key's."),
    ("from", "RFC 3339; a day before `to` where nothing is said."),
    ("to", "RFC 3339; now where nothing is said."),
    ("step", "`minute`, `hour` or `day`; `hour` where nothing is said."),
    (
        "tz",
        "Where hours and days begin: `Z`, `UTC` or an offset of whole quarter hours such as `+05:30`; UTC where nothing is said.",
    ),
    ("group_by", "Any of `key`, `endpoint`, `status` and `model`, with commas between them."),
];
const ALERT_QUERY: &[(&str, &str)] = &[
    PAGE,
    AFTER,
    ("status", "`open`, `acknowledged` or `resolved`."),
    ("key", "Only those about this key."),
    ("kind", "Only those of this kind."),
];
const AUDIT_QUERY: &[(&str, &str)] =
    &[PAGE, AFTER, ("action", "Only changes of this kind."), ("target", "Only changes to this id.")];
