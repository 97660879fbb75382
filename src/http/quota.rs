//! What is left of a limit, in the headers of an answer.

use actix_web::http::header::{HeaderName, HeaderValue};

use crate::domain::window::Quota;

/// Returns the headers that tell what is left of a limit, in the IETF draft's syntax
/// (draft-ietf-httpapi-ratelimit-headers-10) and the older one.
pub fn quota_headers(quota: Quota) -> [(HeaderName, HeaderValue); 5] {
    let (limit, remaining, reset) = (quota.limit, quota.remaining, quota.reset_seconds().max(1));
    let text = |text: String| HeaderValue::try_from(text).expect("ASCII");
    let name = HeaderName::from_static;
    [
        (name("ratelimit-policy"), text(format!("\"rpm\";q={limit};w=60"))),
        (name("ratelimit"), text(format!("\"rpm\";r={remaining};t={reset}"))),
        (name("x-ratelimit-limit"), limit.into()),
        (name("x-ratelimit-remaining"), remaining.into()),
        (name("x-ratelimit-reset"), reset.into()),
    ]
}
