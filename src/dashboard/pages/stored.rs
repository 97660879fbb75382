//! What clients have stored: contexts and files, listed and deleted.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use crate::admin::server::{self, StoredView};
use crate::admin::stored::ListQuery;
use crate::admin::stored::contexts::{self, ContextView};
use crate::admin::stored::files::{self, FileView};
use crate::contexts::ContextsError;
use crate::dashboard::frame::{Frame, Place};
use crate::dashboard::{Visit, assets, names, page, text};
use crate::files::FilesError;
use crate::http::ApiError;

/// How many rows a page has.
const ROWS: u32 = 50;

#[derive(Template)]
#[template(path = "contexts.html")]
struct ContextsPage {
    frame: Frame,
    stored: StoredView,
    /// Each with the name of the key that made it.
    rows: Vec<(ContextView, String)>,
    first: bool,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "files.html")]
struct FilesPage {
    frame: Frame,
    stored: StoredView,
    /// Each with the name of the key that made it.
    rows: Vec<(FileView, String)>,
    first: bool,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "delete_stored.html")]
struct DeletePage {
    frame: Frame,
    /// `context` or `file`.
    kind: &'static str,
    id: String,
    /// What it is called; empty where it has no name.
    name: String,
    bytes: u64,
    /// Where the list is.
    list: &'static str,
}

/// Lists contexts.
pub(super) async fn contexts(visit: Visit) -> Result<HttpResponse, ApiError> {
    let desk = &visit.desk;
    let found = contexts::page(desk, &visit.rows()).await?;
    let next = found.last_id.filter(|_| found.has_more);
    let named = found.data.into_iter().map(|row| {
        let name = names::of_key(desk, &row.created_by);
        (row, name)
    });
    let shown = ContextsPage {
        stored: server::describe(desk).await.stored.ok_or(ApiError::StorageUnavailable)?,
        rows: named.collect(),
        first: visit.form.said("after").is_none(),
        next: next.map(|id| format!("/contexts?after={id}")),
        frame: visit.frame(Place::Contexts),
    };
    page(StatusCode::OK, &shown)
}

/// Lists files.
pub(super) async fn files(visit: Visit) -> Result<HttpResponse, ApiError> {
    let desk = &visit.desk;
    let found = files::page(desk, &visit.rows()).await?;
    let next = found.last_id.filter(|_| found.has_more);
    let named = found.data.into_iter().map(|row| {
        let name = names::of_key(desk, &row.created_by);
        (row, name)
    });
    let shown = FilesPage {
        stored: server::describe(desk).await.stored.ok_or(ApiError::StorageUnavailable)?,
        rows: named.collect(),
        first: visit.form.said("after").is_none(),
        next: next.map(|id| format!("/files?after={id}")),
        frame: visit.frame(Place::Files),
    };
    page(StatusCode::OK, &shown)
}

/// Asks whether a context is to be deleted.
pub(super) async fn ask_context(visit: Visit) -> Result<HttpResponse, ApiError> {
    let id = visit.parameter.parse().map_err(|_| ContextsError::NotFound)?;
    let context = contexts::get(&visit.desk, id).await?;
    let (frame, name) = (visit.frame(Place::Contexts), context.name.unwrap_or_default());
    let (kind, list) = ("context", "/contexts");
    page(StatusCode::OK, &DeletePage { frame, kind, id: context.id, name, bytes: context.bytes, list })
}

/// Asks whether a file is to be deleted.
pub(super) async fn ask_file(visit: Visit) -> Result<HttpResponse, ApiError> {
    let id = visit.parameter.parse().map_err(|_| FilesError::NotFound)?;
    let file = files::get(&visit.desk, id).await?;
    let frame = visit.frame(Place::Files);
    let (kind, list) = ("file", "/files");
    page(
        StatusCode::OK,
        &DeletePage { frame, kind, id: file.id, name: file.filename, bytes: file.bytes, list },
    )
}

/// Deletes a context.
pub(super) async fn delete_context(visit: Visit) -> Result<HttpResponse, ApiError> {
    let id = visit.parameter.parse().map_err(|_| ContextsError::NotFound)?;
    contexts::delete(&visit.desk, id).await?;
    Ok(visit.done("/contexts", format!("The context {id} is deleted.")))
}

/// Deletes a file.
pub(super) async fn delete_file(visit: Visit) -> Result<HttpResponse, ApiError> {
    let id = visit.parameter.parse().map_err(|_| FilesError::NotFound)?;
    files::delete(&visit.desk, id).await?;
    Ok(visit.done("/files", format!("The file {id} is deleted.")))
}

impl Visit {
    fn rows(&self) -> ListQuery {
        ListQuery { limit: Some(ROWS.to_string()), after: self.form.said("after").map(ToOwned::to_owned) }
    }
}
