//! What is left of a limit, in the headers of an answer.

use std::fmt::Write as _;

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
    let mut text = Text::default();
    [
        (POLICY, text.value(format_args!("\"rpm\";q={limit};w=60"))),
        (LEFT, text.value(format_args!("\"rpm\";r={remaining};t={reset}"))),
        (LIMIT, text.value(format_args!("{limit}"))),
        (REMAINING, text.value(format_args!("{remaining}"))),
        (RESET, text.value(format_args!("{reset}"))),
    ]
}

/// The text of all values: one allocation, which they share.
struct Text(BytesMut);

impl Default for Text {
    fn default() -> Self {
        Self(BytesMut::with_capacity(128))
    }
}

impl Text {
    fn value(&mut self, text: std::fmt::Arguments<'_>) -> HeaderValue {
        self.0.write_fmt(text).expect("memory takes text");
        HeaderValue::from_maybe_shared(self.0.split().freeze()).expect("ASCII")
    }
}
