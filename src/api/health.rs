//! Whether the server lives, and whether it can answer.

use std::sync::atomic::Ordering;

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::http::ApiError;
use crate::http::public::Call;

/// Answers as long as the process runs.
pub(super) async fn live(_: Call) -> Result<HttpResponse, ApiError> {
    Ok(super::json(&json!({"status": "ok"})))
}

/// Answers 200 while the database can be read, has its files, and the server is not stopping.
pub(super) async fn ready(call: Call) -> Result<HttpResponse, ApiError> {
    if call.rooms.stopping.load(Ordering::Relaxed) {
        return Err(ApiError::Stopping);
    }
    let store = std::sync::Arc::clone(&call.rooms.store);
    if !store.has_its_files() {
        return Err(ApiError::StorageUnavailable);
    }
    let readable = web::block(move || store.read(|db| db.query_row("SELECT 1", [], |_| Ok(())))).await;
    match readable {
        Ok(Ok(())) => Ok(super::json(&json!({"status": "ready"}))),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(ApiError::Stopping),
    }
}
