//! The way to work that waits: for the database, for a disk.

use actix_web::web;
use tokio::sync::oneshot;

use super::ApiError;
use crate::nice::{Nice, step_back};

/// Runs blocking work where it holds nobody up.
pub async fn block<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, ApiError>
where
    T: Send + 'static,
    E: Into<ApiError> + Send + 'static,
{
    match web::block(work).await {
        Ok(result) => result.map_err(Into::into),
        Err(error) => {
            tracing::error!("work was cut off: {error}");
            Err(ApiError::Internal)
        }
    }
}

/// Does as [`block`] on a thread of its own that gives way to all others: for long work that nobody's answer but its
/// own waits for.
pub async fn gently<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, ApiError>
where
    T: Send + 'static,
    E: Into<ApiError> + Send + 'static,
{
    let (sender, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name("gently".to_owned()).spawn(move || {
        step_back(Nice::FarBehind);
        // Who has left needs no result.
        let _ = sender.send(work());
    });
    if let Err(error) = thread {
        tracing::error!("no thread for work: {error}");
        return Err(ApiError::Internal);
    }
    match result.await {
        Ok(result) => result.map_err(Into::into),
        // The panic itself is in the log already.
        Err(_) => Err(ApiError::Internal),
    }
}
