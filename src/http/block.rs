//! The way to work that waits: for the database, for a disk.

use actix_web::web;

use super::ApiError;

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
