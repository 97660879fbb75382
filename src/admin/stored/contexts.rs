//! Stored conversations, without what was said.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use serde::Serialize;
use serde_json::json;

use super::super::{Call, Desk};
use super::ListQuery;
use crate::contexts::ContextsError;
use crate::domain::context::Context;
use crate::domain::id::ContextId;
use crate::domain::key::Name;
use crate::http::ApiError;
use crate::http::list::Page;

/// A stored conversation, without its messages.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "StoredContext")]
pub(crate) struct ContextView {
    pub(crate) id: String,
    /// Always `context`.
    object: &'static str,
    pub(crate) name: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) revision: u64,
    /// How many messages it has.
    pub(crate) messages: u64,
    /// How long they are together, as JSON.
    pub(crate) bytes: u64,
    /// The id of the key that made it, which may be deleted since.
    pub(crate) created_by: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

pub(in super::super) async fn answer_page(call: Call) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(page(&call.desk, &call.query()?).await?))
}

pub(in super::super) async fn answer_delete(call: Call) -> Result<HttpResponse, ApiError> {
    let id = call.parameter.parse().map_err(|_| ContextsError::NotFound)?;
    delete(&call.desk, id).await?;
    Ok(HttpResponse::Ok().json(json!({"id": id.to_string(), "object": "context", "deleted": true})))
}

/// Returns contexts, the newest first.
pub(crate) async fn page(desk: &Desk, query: &ListQuery) -> Result<Page<ContextView>, ApiError> {
    let (limit, rows) = query.rows::<ContextId>()?;
    let found = desk.block(move |rooms| rooms.contexts.heads(&rows)).await?;
    Ok(Page::new(found.iter().map(ContextView::new).collect(), limit, |view: &ContextView| view.id.clone()))
}

/// Returns a context.
pub(crate) async fn get(desk: &Desk, id: ContextId) -> Result<ContextView, ApiError> {
    let context = desk.block(move |rooms| rooms.contexts.head(id)).await?;
    Ok(ContextView::new(&context))
}

/// Deletes a context with its messages.
pub(crate) async fn delete(desk: &Desk, id: ContextId) -> Result<(), ApiError> {
    let actor = desk.actor;
    desk.block(move |rooms| rooms.contexts.remove(id, actor)).await
}

impl ContextView {
    fn new(context: &Context) -> Self {
        Self {
            id: context.id.to_string(),
            object: "context",
            name: context.name.as_ref().map(Name::as_str).map(ToOwned::to_owned),
            metadata: context.metadata.entries().clone(),
            revision: context.revision,
            messages: context.length,
            bytes: context.bytes,
            created_by: context.created_by.to_string(),
            created_at: context.created_at.to_string(),
            updated_at: context.updated_at.to_string(),
        }
    }
}
