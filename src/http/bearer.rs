//! The one place that reads `Authorization: Bearer`, for both listeners.

use actix_web::HttpRequest;
use actix_web::http::header;

use super::ApiError;

/// Returns the bearer token as it was sent, the scheme in any letter case and one blank behind it (RFC 6750).
pub fn bearer(request: &HttpRequest) -> Result<Option<&[u8]>, ApiError> {
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    let value = values.next();
    if values.next().is_some() {
        return Err(ApiError::bad_request("`Authorization` was sent twice: send one"));
    }
    let Some((scheme, token)) = value.and_then(|value| value.as_bytes().split_at_checked(7)) else {
        return Ok(None);
    };
    Ok((scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token))
}
