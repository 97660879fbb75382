//! Whether the server lives, and whether it can answer.

use std::sync::atomic::Ordering;

use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::http::ApiError;
use crate::http::public::Call;
use crate::store::StoreError;

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
    let look =
        move || Ok(store.has_its_files() && store.read(|db| db.query_row("SELECT 1", [], |_| Ok(true)))?);
    match web::block(look).await {
        Ok(Ok(false)) => Err(ApiError::StorageUnavailable),
        Ok(Ok(true)) => Ok(super::json(&json!({"status": "ready"}))),
        Ok(Err(error)) => Err(StoreError::into(error)),
        Err(_) => Err(ApiError::Stopping),
    }
}
