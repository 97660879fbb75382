//! What keeps other pages away from the dashboard, and the dashboard's pages to themselves.

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};

use crate::admin;
use crate::http::ApiError;

/// Nothing is loaded but from here, nothing runs that stands in a page, and no page is put into another.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Fails if the request comes by another name or from another page. Another port of this machine is another page here,
/// though browsers take it for the same site.
pub(super) fn check(request: &HttpRequest) -> Result<(), ApiError> {
    admin::check_page(request)?;
    let site = request.headers().get(HeaderName::from_static("sec-fetch-site"));
    let is_own = site.is_none_or(|site| site == "same-origin" || site == "none");
    if request.method() == Method::POST && !is_own {
        return Err(ApiError::ForbiddenOrigin);
    }
    Ok(())
}

/// Adds what a browser is to keep to. Pages are not kept: they may hold a key.
pub(super) fn protect(response: &mut HttpResponse) {
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}
