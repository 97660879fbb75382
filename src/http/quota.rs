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
    let mut numbers = [itoa::Buffer::new(), itoa::Buffer::new(), itoa::Buffer::new()];
    let [limit, remaining, reset] = &mut numbers;
    let (limit, remaining) = (limit.format(quota.limit), remaining.format(quota.remaining));
    let reset = reset.format(quota.reset_seconds().max(1));
    [
        (POLICY, texts.header(&["\"rpm\";q=", limit, ";w=60"])),
        (LEFT, texts.header(&["\"rpm\";r=", remaining, ";t=", reset])),
        (LIMIT, texts.header(&[limit])),
        (REMAINING, texts.header(&[remaining])),
        (RESET, texts.header(&[reset])),
    ]
}
