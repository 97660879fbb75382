//! Stored files, without what is in them.

use actix_web::HttpResponse;
use serde::Serialize;
use serde_json::json;

use super::super::{Call, Desk};
use super::ListQuery;
use crate::domain::file::File;
use crate::domain::hex;
use crate::domain::id::FileId;
use crate::files::FilesError;
use crate::http::ApiError;
use crate::http::list::Page;

/// A stored file, without what is in it.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "StoredFile")]
pub(crate) struct FileView {
    pub(crate) id: String,
    /// Always `file`.
    object: &'static str,
    pub(crate) filename: String,
    pub(crate) purpose: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// The id of the key that made it, which may be deleted since.
    pub(crate) created_by: String,
    pub(crate) created_at: String,
}

pub(in super::super) async fn answer_page(call: Call) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(page(&call.desk, &call.query()?).await?))
}

pub(in super::super) async fn answer_delete(call: Call) -> Result<HttpResponse, ApiError> {
    let id = call.parameter.parse().map_err(|_| FilesError::NotFound)?;
    delete(&call.desk, id).await?;
    Ok(HttpResponse::Ok().json(json!({"id": id.to_string(), "object": "file", "deleted": true})))
}

/// Returns files, the newest first.
pub(crate) async fn page(desk: &Desk, query: &ListQuery) -> Result<Page<FileView>, ApiError> {
    let (limit, rows) = query.rows::<FileId>()?;
    let found = desk.block(move |rooms| rooms.files.list(&rows, None)).await?;
    Ok(Page::new(found.iter().map(FileView::new).collect(), limit, |view: &FileView| view.id.clone()))
}

/// Returns a file.
pub(crate) async fn get(desk: &Desk, id: FileId) -> Result<FileView, ApiError> {
    let file = desk.block(move |rooms| rooms.files.get(id)).await?;
    Ok(FileView::new(&file))
}

/// Deletes a file, and gives its space back.
pub(crate) async fn delete(desk: &Desk, id: FileId) -> Result<(), ApiError> {
    let actor = desk.actor;
    desk.block(move |rooms| rooms.files.remove(id, actor)).await
}

impl FileView {
    fn new(file: &File) -> Self {
        Self {
            id: file.id.to_string(),
            object: "file",
            filename: file.filename.as_str().to_owned(),
            purpose: file.purpose.as_str().to_owned(),
            bytes: file.bytes,
            sha256: hex::encode(&file.sha256),
            created_by: file.created_by.to_string(),
            created_at: file.created_at.to_string(),
        }
    }
}
