//! Request bodies.

use std::borrow::Cow;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::Version;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING};
use actix_web::web::Bytes;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::ApiError;
use crate::upstream::{Collect, collect};

/// How long a client may pause in the middle of a body.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a client that still sends after its refusal is read from.
pub const LINGER: Duration = Duration::from_secs(2);

/// Reads the request's body, of at most `most` bytes. One that comes in one piece is not copied.
pub async fn take(request: &HttpRequest, payload: &mut Payload, most: usize) -> Result<Bytes, ApiError> {
    if matches!(payload, Payload::None) || is_without_body(request) {
        return Ok(Bytes::new());
    }
    check_length(request, most as u64)?;
    collect(payload, most, LONGEST_PAUSE).await.map_err(|error| match error {
        Collect::TimedOut => ApiError::RequestTimeout,
        Collect::TooLong => ApiError::too_large(most as u64),
        Collect::Broken(error) => broken(&error),
    })
}

/// Reads what is left of a refused body, for [`LINGER`] at most: some clients read no answer before they have
/// sent it all.
///
/// HTTP/2 only: an HTTP/1.1 connection lingers after its answer, and what comes then is thrown away.
pub async fn discard(payload: &mut Payload) {
    let all = async { while let Some(Ok(_)) = payload.next().await {} };
    // A client that is slower than that is refused with the connection's own means.
    let _ = timeout(LINGER, all).await;
}

/// Takes off what has come of a refused body, which with short ones is all of it: the connection is kept then, and
/// being refused costs a client no new one, nor the server.
pub async fn skim(payload: &mut Payload) {
    let mut has_waited = false;
    poll_fn(|cx| {
        loop {
            match payload.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(None | Some(Err(_))) => return Poll::Ready(()),
                Poll::Pending if has_waited => return Poll::Ready(()),
                Poll::Pending => {
                    // The framework reads the body that came with the head only after it was asked once.
                    has_waited = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    })
    .await;
}

/// Tells whether an HTTP/1 head says that no body follows (RFC 9112, 6.3). Where it offers WebSocket the
/// framework takes all that ever comes for one.
fn is_without_body(request: &HttpRequest) -> bool {
    let headers = request.headers();
    request.version() < Version::HTTP_2
        && !headers.contains_key(CONTENT_LENGTH)
        && !headers.contains_key(TRANSFER_ENCODING)
}

/// Fails early if the head says already that the body is too long.
pub fn check_length(request: &HttpRequest, most: u64) -> Result<(), ApiError> {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > most) {
        return Err(ApiError::too_large(most));
    }
    Ok(())
}

/// The type of a form with files in it.
pub const FORM: &str = "multipart/form-data";

/// Fails if the body is said to be something else than JSON, or packed; one that says nothing is taken for it.
pub fn check_json(headers: &HeaderMap) -> Result<(), ApiError> {
    if is_packed(headers) {
        return Err(ApiError::UnsupportedMediaType("application/json` and without `Content-Encoding"));
    }
    match kind(headers) {
        None => Ok(()),
        Some(kind) if kind == "application/json" => Ok(()),
        Some(kind) if kind.starts_with("application/") && kind.ends_with("+json") => Ok(()),
        Some(_) => Err(ApiError::UnsupportedMediaType("application/json")),
    }
}

/// Fails unless the body is said to be a form that may have files in it, and not packed.
pub fn check_form(headers: &HeaderMap) -> Result<(), ApiError> {
    if is_packed(headers) {
        return Err(ApiError::UnsupportedMediaType("multipart/form-data` and without `Content-Encoding"));
    }
    if kind(headers).is_some_and(|kind| kind == FORM) {
        Ok(())
    } else {
        Err(ApiError::UnsupportedMediaType(FORM))
    }
}

fn is_packed(headers: &HeaderMap) -> bool {
    let encoding = headers.get(CONTENT_ENCODING);
    encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// What the body is said to be, in small letters and without parameters.
fn kind(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let text = headers.get(CONTENT_TYPE)?.to_str().unwrap_or_default();
    let kind = text.split(';').next().unwrap_or_default().trim();
    let is_small = !kind.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(if is_small { kind.into() } else { kind.to_ascii_lowercase().into() })
}

/// Returns what a client is told of a body that broke off.
pub fn broken(error: &PayloadError) -> ApiError {
    match error {
        PayloadError::Incomplete(_) => ApiError::bad_request("the body ended before it was complete"),
        _ => ApiError::bad_request("the body could not be read: check its length and its encoding"),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn json_is_taken_under_its_names_or_none() {
        let cases = [
            (None, true),
            (Some("application/json"), true),
            (Some("Application/JSON; charset=utf-8"), true),
            (Some("application/problem+json"), true),
            (Some("application/x-www-form-urlencoded"), false),
            (Some("text/plain;charset=UTF-8"), false),
            (Some("text/json"), false),
            (Some(""), false),
        ];
        for (kind, taken) in cases {
            let mut headers = HeaderMap::new();
            if let Some(kind) = kind {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            }
            assert_eq!(check_json(&headers).is_ok(), taken, "{kind:?}");
        }
    }
}
