//! What a page says that cannot be shown.

use actix_web::HttpResponse;
use askama::Template;

use super::assets;
use crate::http::ApiError;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    status: u16,
    reason: &'static str,
    message: &'a str,
}

/// Returns the page that says what is wrong.
pub(super) fn page(error: &ApiError) -> HttpResponse {
    let status = error.status();
    let message = error.message();
    let reason = status.canonical_reason().unwrap_or("Error");
    let page = ErrorPage { status: status.as_u16(), reason, message: &message };
    super::page(status, &page).unwrap_or_else(|error| error.respond())
}
