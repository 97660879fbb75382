//! Who changed what: listed, exported whole, and proved to be unchanged.

mod export;
mod verify;

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(crate) use export::export;
pub(super) use verify::answer as answer_verify;
pub(crate) use verify::{VerificationView, verify};

use super::{Call, Desk, LIST};
use crate::domain::audit::ACTIONS;
use crate::domain::hex;
use crate::http::ApiError;
use crate::http::list::Page;
use crate::store;
use crate::store::audit::Chained;

/// Which rows to list.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    pub(crate) limit: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) target: Option<String>,
}

/// A change. Each row holds the digest of the one before, so that none can be taken out unseen.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "AuditRow")]
pub(crate) struct AuditRow {
    pub(crate) id: String,
    pub(crate) at: String,
    pub(crate) actor: ActorView,
    /// Such as `key.create`.
    pub(crate) action: String,
    pub(crate) target: String,
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub(crate) before: Option<Box<RawValue>>,
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub(crate) after: Option<Box<RawValue>>,
    pub(crate) digest: String,
    pub(crate) previous_digest: String,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Actor")]
pub(crate) struct ActorView {
    /// `socket`, `token`, `dashboard` or `system`.
    pub(crate) via: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<i32>,
}

pub(super) async fn answer_page(call: Call) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(page(&call.desk, call.query()?).await?))
}

pub(super) async fn answer_export(call: Call) -> Result<HttpResponse, ApiError> {
    export(&call.desk).await
}

/// Returns changes, the newest first.
pub(crate) async fn page(desk: &Desk, query: ListQuery) -> Result<Page<AuditRow>, ApiError> {
    let limit = LIST.check(query.limit.as_deref())?;
    let ListQuery { after, action, target, .. } = query;
    if action.as_deref().is_some_and(|action| !ACTIONS.contains(&action)) {
        let known = ACTIONS.join(", ");
        return Err(ApiError::bad_request(format!("the query string: `action` must be one of {known}")));
    }
    let filter = store::audit::Filter { after, action, target, limit: limit + 1 };
    let rows = desk
        .block(move |rooms| {
            rooms.store.read(|db| match &filter.after {
                Some(after) if !store::audit::exists(db, after)? => Ok(None),
                _ => store::audit::list(db, &filter).map(Some),
            })
        })
        .await?;
    let rows = rows.ok_or_else(|| ApiError::bad_request("the query string: `after` names no row"))?;
    let views = rows.into_iter().map(AuditRow::new).collect();
    Ok(Page::new(views, limit, |row: &AuditRow| row.id.clone()))
}

impl AuditRow {
    fn new(chained: Chained) -> Self {
        let Chained { row, digest, .. } = chained;
        // A line's end stands between the parts of JSON only; an exported row is one line.
        let line =
            |text: String| if text.contains(['\n', '\r']) { text.replace(['\n', '\r'], " ") } else { text };
        let json = |text: Option<String>| text.and_then(|text| RawValue::from_string(line(text)).ok());
        Self {
            id: row.id,
            at: row.at.to_string(),
            actor: ActorView { via: row.via, uid: row.uid, pid: row.pid },
            action: row.action,
            target: row.target,
            before: json(row.before),
            after: json(row.after),
            digest: hex::encode(&digest),
            previous_digest: hex::encode(&row.previous_digest),
        }
    }
}
