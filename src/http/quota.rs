//! What is left of a limit, in the headers of an answer.

use std::fmt::{self, Write as _};

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::BytesMut;

use crate::domain::window::Quota;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Returns the headers that tell what is left of a limit, in the IETF draft's syntax
/// (draft-ietf-httpapi-ratelimit-headers-10) and the older one.
pub fn quota_headers(quota: Quota) -> [(HeaderName, HeaderValue); 5] {
    let (limit, remaining, reset) = (quota.limit, quota.remaining, quota.reset_seconds().max(1));
    // The text of all values: one allocation, which they share.
    let mut room = BytesMut::with_capacity(128);
    let mut text = |value: fmt::Arguments<'_>| {
        room.write_fmt(value).expect("memory takes text");
        HeaderValue::from_maybe_shared(room.split().freeze()).expect("ASCII")
    };
    [
        (POLICY, text(format_args!("\"rpm\";q={limit};w=60"))),
        (LEFT, text(format_args!("\"rpm\";r={remaining};t={reset}"))),
        (LIMIT, text(format_args!("{limit}"))),
        (REMAINING, text(format_args!("{remaining}"))),
        (RESET, text(format_args!("{reset}"))),
    ]
}
