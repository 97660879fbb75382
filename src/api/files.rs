//! Stored files, but for what is in them.

use std::sync::Arc;

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};

use super::{Gone, page};
use crate::domain::file::File;
use crate::domain::hex;
use crate::domain::id::FileId;
use crate::files::FilesError;
use crate::http::block::block;
use crate::http::list::{Limits, Page};
use crate::http::public::Call;
use crate::http::{ApiError, json};
use crate::store::page::Rows;

/// As OpenAI's list, all on one page where nothing is said.
const LIST: Limits = Limits { usual: 10_000, most: 10_000 };

/// A file in OpenAI's shape, and what mcpd knows besides. Times are in unix seconds.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "File")]
pub(super) struct View {
    id: String,
    /// Always `file`.
    object: &'static str,
    bytes: u64,
    created_at: i64,
    filename: String,
    purpose: String,
    /// Always `processed`: a file is there as soon as it was stored.
    status: &'static str,
    /// Of what is in it, in hexadecimal.
    sha256: String,
    /// The key that made it.
    created_by: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<String>,
    after: Option<String>,
    order: Option<String>,
    purpose: Option<String>,
}

/// Lists files.
pub(super) async fn list(call: Call) -> Result<HttpResponse, ApiError> {
    let ListQuery { limit, after, order, purpose } = json::query(call.request.query_string())?;
    let page = page::parse(LIST, limit.as_deref(), after.as_deref(), order.as_deref())?;
    let files = Arc::clone(&call.rooms.files);
    let one_more = Rows { limit: page.limit + 1, ..page };
    let listed = block(move || files.list(&one_more, purpose.as_deref())).await?;
    let views = listed.iter().map(View::new).collect();
    Ok(super::json(&Page::new(views, page.limit, |view: &View| view.id.clone())))
}

/// Describes a file.
pub(super) async fn show(call: Call) -> Result<HttpResponse, ApiError> {
    let (id, files) = (parse_id(&call.parameter)?, Arc::clone(&call.rooms.files));
    let file = block(move || files.get(id)).await?;
    Ok(super::json(&View::new(&file)))
}

/// Deletes a file.
pub(super) async fn delete(call: Call) -> Result<HttpResponse, ApiError> {
    let (id, files) = (parse_id(&call.parameter)?, Arc::clone(&call.rooms.files));
    block(move || files.delete(id)).await?;
    Ok(super::json(&Gone { id: id.to_string(), object: "file", deleted: true }))
}

/// Returns the id that a client named; there is nothing with what is no id.
pub(super) fn parse_id(text: &str) -> Result<FileId, ApiError> {
    text.parse().map_err(|_| FilesError::NotFound.into())
}

impl View {
    pub(super) fn new(file: &File) -> Self {
        Self {
            id: file.id.to_string(),
            object: "file",
            bytes: file.bytes,
            created_at: file.created_at.as_seconds(),
            filename: file.filename.as_str().to_owned(),
            purpose: file.purpose.as_str().to_owned(),
            status: "processed",
            sha256: hex::encode(&file.sha256),
            created_by: file.created_by.to_string(),
        }
    }
}
