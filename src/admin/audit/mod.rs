//! Who changed what: listed, exported whole, and proved to be unchanged.

mod export;
mod verify;

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(super) use export::export;
pub(super) use verify::{VerificationView, verify};

use super::Call;
use super::LIST;
use crate::domain::audit::ACTIONS;
use crate::domain::hex;
use crate::http::ApiError;
use crate::http::list::Page;
use crate::store;
use crate::store::audit::Chained;

/// Which rows to list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<String>,
    after: Option<String>,
    action: Option<String>,
    target: Option<String>,
}

/// A change. Each row holds the digest of the one before, so that none can be taken out unseen.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "AuditRow")]
pub(super) struct AuditRow {
    id: String,
    at: String,
    actor: ActorView,
    /// Such as `key.create`.
    action: String,
    target: String,
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    before: Option<Box<RawValue>>,
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    after: Option<Box<RawValue>>,
    digest: String,
    previous_digest: String,
}

#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Actor")]
struct ActorView {
    /// `socket`, `token`, `dashboard` or `system`.
    via: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
}

/// Lists changes, the newest first.
pub(super) async fn list(call: Call) -> Result<HttpResponse, ApiError> {
    let query: ListQuery = call.query()?;
    let limit = LIST.check(query.limit.as_deref())?;
    let ListQuery { after, action, target, .. } = query;
    if action.as_deref().is_some_and(|action| !ACTIONS.contains(&action)) {
        let known = ACTIONS.join(", ");
        return Err(ApiError::bad_request(format!("the query string: `action` must be one of {known}")));
    }
    let filter = store::audit::Filter { after, action, target, limit: limit + 1 };
    let rows = call
        .block(move |rooms| {
            rooms.store.read(|db| match &filter.after {
                Some(after) if !store::audit::exists(db, after)? => Ok(None),
                _ => store::audit::list(db, &filter).map(Some),
            })
        })
        .await?;
    let rows = rows.ok_or_else(|| ApiError::bad_request("the query string: `after` names no row"))?;
    let views = rows.into_iter().map(AuditRow::new).collect();
    Ok(HttpResponse::Ok().json(Page::new(views, limit, |row: &AuditRow| row.id.clone())))
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
