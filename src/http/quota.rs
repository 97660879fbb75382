//! What is left of a limit, in the headers of an answer.

use actix_web::http::header::{HeaderName, HeaderValue};

use super::texts::Texts;
use crate::domain::window::Quota;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Returns the headers that tell what is left of a limit, in the IETF draft's syntax
/// (draft-ietf-httpapi-ratelimit-headers-10) and the older one.
pub fn quota_headers(quota: Quota, texts: &Texts) -> [(HeaderName, HeaderValue); 5] {
    let (limit, remaining, reset) = (quota.limit, quota.remaining, quota.reset_seconds().max(1));
    [
        (POLICY, texts.header(format_args!("\"rpm\";q={limit};w=60"))),
        (LEFT, texts.header(format_args!("\"rpm\";r={remaining};t={reset}"))),
        (LIMIT, texts.header(format_args!("{limit}"))),
        (REMAINING, texts.header(format_args!("{remaining}"))),
        (RESET, texts.header(format_args!("{reset}"))),
    ]
}
