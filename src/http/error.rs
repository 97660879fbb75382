//! The one place that knows statuses, types and codes.

use std::borrow::Cow;

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;

use crate::alerts::AlertsError;
use crate::contexts::ContextsError;
use crate::domain::signature::SignatureError;
use crate::domain::token;
use crate::files::FilesError;
use crate::gate::{Refusal, Refused};
use crate::keys::KeysError;
use crate::store::StoreError;
use crate::store::backup::CopyError;
use crate::upstream::{InvalidAsk, UpstreamError};

/// Why a request has no answer of its own.
#[derive(Debug)]
pub enum ApiError {
    /// The gate did not let it through.
    Refused(Box<Refused>),
    /// There is nothing at the path, or nothing with the id: what was looked for.
    NotFound(Cow<'static, str>),
    /// The path takes other methods: which.
    MethodNotAllowed(String),
    /// The body is not JSON.
    InvalidJson(String),
    /// A header, the path or the query string is wrong.
    BadRequest(String),
    /// A field of the body is wrong.
    Unprocessable(String),
    /// The body, or what it would make of what is stored, is too long.
    PayloadTooLarge(String),
    /// A file has no such part: how many bytes it has.
    RangeNotSatisfiable(u64),
    /// The head has too many headers.
    HeadersTooLarge,
    /// The body did not come in time.
    RequestTimeout,
    /// The body is of another kind than this, or packed.
    UnsupportedMediaType(&'static str),
    /// The request does not fit the state of things: a code and a message.
    Conflict(&'static str, String),
    /// The admin API was called without its token.
    MissingAdminToken,
    /// The admin API was called with another token.
    InvalidAdminToken,
    /// The admin API was called by a name that is not loopback.
    ForbiddenHost,
    /// The admin API was called from another site's page.
    ForbiddenOrigin,
    /// The upstream has no answer.
    Upstream(UpstreamError),
    /// The database cannot be used.
    StorageUnavailable,
    /// There is no room on the disk for what was asked for: a message.
    NoRoom(String),
    /// The server is stopping.
    Stopping,
    /// A bug; its cause is in the log.
    Internal,
}

/// The wire shape of every error.
#[derive(Serialize, schemars::JsonSchema)]
pub struct ErrorBody<'a> {
    error: ErrorObject<'a>,
}

/// What is wrong.
#[derive(Serialize, schemars::JsonSchema)]
pub struct ErrorObject<'a> {
    /// For programs.
    pub code: Cow<'a, str>,
    /// For people.
    pub message: Cow<'a, str>,
    /// What kind of error it is.
    r#type: &'static str,
}

const AUTHENTICATION: &str = "authentication_error";
const PERMISSION: &str = "permission_error";
const RATE_LIMIT: &str = "rate_limit_error";
const INVALID_REQUEST: &str = "invalid_request_error";
const API: &str = "api_error";

/// What a key in a query string is answered with.
const KEY_IN_QUERY: &str = "API keys are not taken from the query string, where others may see them: \
     use `Authorization: Bearer <key>`, and replace a key that was sent this way";

impl ApiError {
    /// Returns a 400 with a message.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::BadRequest(message.into())
    }

    /// Returns a 422 that names a field.
    pub fn field(field: &str, reason: impl std::fmt::Display) -> Self {
        Self::Unprocessable(format!("`{field}` {reason}"))
    }

    /// Returns a 413 for a body of more than this many bytes.
    pub fn too_large(most: u64) -> Self {
        Self::PayloadTooLarge(format!("The body is too large: at most {most} bytes are taken"))
    }

    /// Returns what a request is told whose key ended while it was being answered: what its next one will be.
    pub fn key_ended() -> Self {
        Refused::from(Refusal::InvalidKey).into()
    }

    /// Returns the error's code, for logs and metrics.
    pub fn code(&self) -> &'static str {
        self.parts().2
    }

    /// Returns the error's status.
    pub fn status(&self) -> StatusCode {
        self.parts().0
    }

    /// Returns the error's JSON document.
    pub fn body(&self) -> String {
        serde_json::to_string(&ErrorBody { error: self.object() }).expect("texts serialise")
    }

    /// Returns what the document says. Whatever a message quotes of the request, it quotes no key.
    pub fn object(&self) -> ErrorObject<'_> {
        let (_, kind, code) = self.parts();
        let code = match self {
            Self::Upstream(UpstreamError::Rejected(rejection)) => {
                token::redact(rejection.code.as_deref().unwrap_or(code))
            }
            // A word of mcpd's own.
            _ => code.into(),
        };
        ErrorObject { code, message: self.message(), r#type: kind }
    }

    /// Returns the answer to a request that failed with this.
    pub fn respond(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status());
        self.add_headers(&mut response);
        response.insert_header(super::JSON).body(self.body())
    }

    #[rustfmt::skip]
    fn parts(&self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::Refused(refused)         => refusal_parts(&refused.refusal),
            Self::NotFound(_)              => (S::NOT_FOUND, INVALID_REQUEST, "not_found"),
            Self::MethodNotAllowed(_)      => (S::METHOD_NOT_ALLOWED, INVALID_REQUEST, "method_not_allowed"),
            Self::InvalidJson(_)           => (S::BAD_REQUEST, INVALID_REQUEST, "invalid_json"),
            Self::BadRequest(_)            => (S::BAD_REQUEST, INVALID_REQUEST, "invalid_request"),
            Self::Unprocessable(_)         => (S::UNPROCESSABLE_ENTITY, INVALID_REQUEST, "invalid_request"),
            Self::PayloadTooLarge(_)       => (S::PAYLOAD_TOO_LARGE, INVALID_REQUEST, "payload_too_large"),
            Self::RangeNotSatisfiable(_)   => (S::RANGE_NOT_SATISFIABLE, INVALID_REQUEST, "range_not_satisfiable"),
            Self::HeadersTooLarge          => (S::REQUEST_HEADER_FIELDS_TOO_LARGE, INVALID_REQUEST, "headers_too_large"),
            Self::RequestTimeout           => (S::REQUEST_TIMEOUT, INVALID_REQUEST, "request_timeout"),
            Self::UnsupportedMediaType(_)  => (S::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, "unsupported_media_type"),
            Self::Conflict(code, _)        => (S::CONFLICT, INVALID_REQUEST, code),
            Self::MissingAdminToken        => (S::UNAUTHORIZED, AUTHENTICATION, "missing_admin_token"),
            Self::InvalidAdminToken        => (S::UNAUTHORIZED, AUTHENTICATION, "invalid_admin_token"),
            Self::ForbiddenHost            => (S::FORBIDDEN, PERMISSION, "forbidden_host"),
            Self::ForbiddenOrigin          => (S::FORBIDDEN, PERMISSION, "forbidden_origin"),
            Self::Upstream(error)          => upstream_parts(error),
            Self::StorageUnavailable | Self::NoRoom(_) => (S::SERVICE_UNAVAILABLE, API, "storage_unavailable"),
            Self::Stopping                 => (S::SERVICE_UNAVAILABLE, API, "shutting_down"),
            Self::Internal                 => (S::INTERNAL_SERVER_ERROR, API, "internal_error"),
        }
    }

    /// Returns the error's message, keys blanked out.
    pub fn message(&self) -> Cow<'_, str> {
        let message = self.full_message();
        if let (Self::Refused(_), Cow::Borrowed(_)) = (self, &message) {
            // In mcpd's own words, and maybe one of many in a flood.
            return message;
        }
        let redacted = match token::redact(&message) {
            Cow::Owned(redacted) => Some(redacted),
            Cow::Borrowed(_) => None,
        };
        redacted.map_or(message, Cow::Owned)
    }

    fn full_message(&self) -> Cow<'_, str> {
        match self {
            Self::Refused(refused) => refusal_message(&refused.refusal),
            Self::NotFound(what) => Cow::Borrowed(what),
            Self::MethodNotAllowed(methods) => format!("This path takes {methods}").into(),
            Self::InvalidJson(message)
            | Self::BadRequest(message)
            | Self::Unprocessable(message)
            | Self::PayloadTooLarge(message)
            | Self::NoRoom(message)
            | Self::Conflict(_, message) => Cow::Borrowed(message),
            Self::RangeNotSatisfiable(bytes) => {
                format!("There is no such part: the file has {bytes} bytes").into()
            }
            Self::HeadersTooLarge => "The request's head is too large: send fewer or shorter headers".into(),
            Self::RequestTimeout => "The body stopped coming: send it again".into(),
            Self::UnsupportedMediaType(expected) => {
                format!("Send the body with `Content-Type: {expected}`").into()
            }
            Self::MissingAdminToken => {
                "No admin token was sent: use `Authorization: Bearer <token>` with what is in admin.token_file".into()
            }
            Self::InvalidAdminToken => "The admin token is wrong: it is in admin.token_file".into(),
            Self::ForbiddenHost => "The admin API answers to localhost, 127.0.0.1 and [::1] only".into(),
            Self::ForbiddenOrigin => "The admin API may not be called from another site's page".into(),
            Self::Upstream(error) => upstream_message(error),
            Self::StorageUnavailable => "The server cannot store anything just now: try again; its log says why".into(),
            Self::Stopping => "The server is stopping: try again in a moment".into(),
            Self::Internal => "The server failed; its log says why".into(),
        }
    }

    fn add_headers(&self, response: &mut HttpResponseBuilder) {
        match self {
            Self::Refused(refused) => add_refusal_headers(&refused.refusal, response),
            Self::MethodNotAllowed(methods) => {
                response.insert_header((header::ALLOW, methods.as_str()));
            }
            Self::RangeNotSatisfiable(bytes) => {
                response.insert_header((header::CONTENT_RANGE, format!("bytes */{bytes}")));
            }
            Self::MissingAdminToken => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"mcpd admin\""));
            }
            Self::InvalidAdminToken => {
                let value = "Bearer realm=\"mcpd admin\", error=\"invalid_token\"";
                response.insert_header((header::WWW_AUTHENTICATE, value));
            }
            Self::Upstream(UpstreamError::Rejected(rejection)) => {
                if let Some(seconds) = rejection.retry_after {
                    response.insert_header((header::RETRY_AFTER, seconds));
                }
            }
            Self::Upstream(UpstreamError::Unavailable)
            | Self::StorageUnavailable
            | Self::NoRoom(_)
            | Self::Stopping => {
                response.insert_header((header::RETRY_AFTER, 1));
            }
            _ => {}
        }
    }
}

#[rustfmt::skip]
fn refusal_parts(refusal: &Refusal) -> (StatusCode, &'static str, &'static str) {
    use {Refusal as R, StatusCode as S};
    match refusal {
        R::KeyInQuery                              => (S::BAD_REQUEST, INVALID_REQUEST, "invalid_request"),
        R::MissingKey                              => (S::UNAUTHORIZED, AUTHENTICATION, "missing_api_key"),
        R::InvalidKey                              => (S::UNAUTHORIZED, AUTHENTICATION, "invalid_api_key"),
        R::ExpiredKey                              => (S::UNAUTHORIZED, AUTHENTICATION, "expired_api_key"),
        R::MissingSignature                        => (S::UNAUTHORIZED, AUTHENTICATION, "missing_signature"),
        R::InvalidSignature(SignatureError::Stale) => (S::UNAUTHORIZED, AUTHENTICATION, "stale_timestamp"),
        R::InvalidSignature(_)                     => (S::UNAUTHORIZED, AUTHENTICATION, "invalid_signature"),
        R::ReplayedSignature                       => (S::UNAUTHORIZED, AUTHENTICATION, "replayed_signature"),
        R::AddressNotAllowed                       => (S::FORBIDDEN, PERMISSION, "ip_not_allowed"),
        R::MissingScope(_)                         => (S::FORBIDDEN, PERMISSION, "insufficient_scope"),
        R::ModelNotAllowed(_)                      => (S::FORBIDDEN, PERMISSION, "model_not_allowed"),
        R::RateLimited(_)                          => (S::TOO_MANY_REQUESTS, RATE_LIMIT, "rate_limit_exceeded"),
        R::TooManyConcurrent                       => (S::TOO_MANY_REQUESTS, RATE_LIMIT, "concurrency_limit_exceeded"),
        R::TooManyFailedAttempts { .. }            => (S::TOO_MANY_REQUESTS, RATE_LIMIT, "too_many_failed_attempts"),
        R::SignaturesExhausted                     => (S::SERVICE_UNAVAILABLE, API, "storage_unavailable"),
    }
}

fn refusal_message(refusal: &Refusal) -> Cow<'_, str> {
    match refusal {
        Refusal::KeyInQuery => KEY_IN_QUERY.into(),
        Refusal::MissingKey => "No API key was sent: use `Authorization: Bearer <key>`".into(),
        Refusal::InvalidKey => "The API key provided is invalid or has been revoked".into(),
        Refusal::ExpiredKey => "The API key provided has expired".into(),
        Refusal::MissingSignature => {
            "This request must be signed: send X-MCP-Timestamp and X-MCP-Signature".into()
        }
        Refusal::InvalidSignature(error) => error.to_string().into(),
        Refusal::ReplayedSignature => {
            "This signature was used before: sign each request anew, with an X-MCP-Nonce if two may be equal"
                .into()
        }
        Refusal::AddressNotAllowed => "The API key may not be used from this address".into(),
        Refusal::MissingScope(scope) => format!("The API key lacks the scope `{scope}`").into(),
        Refusal::ModelNotAllowed(model) => format!("The API key may not use the model `{model}`").into(),
        Refusal::RateLimited(quota) => {
            let (limit, wait) = (quota.limit, quota.reset_seconds());
            format!("More than {limit} requests in a minute: try again in {wait} s").into()
        }
        Refusal::TooManyConcurrent => {
            "Too many requests of this API key are in flight: wait until one is done".into()
        }
        Refusal::TooManyFailedAttempts { retry_after } => {
            format!("Too many invalid API keys from this address: try again in {retry_after} s").into()
        }
        Refusal::SignaturesExhausted => "Too many signed requests to remember: try again later".into(),
    }
}

/// RFC 6750, section 3: no error is told where no key was sent.
fn add_refusal_headers(refusal: &Refusal, response: &mut HttpResponseBuilder) {
    let challenge = match refusal {
        Refusal::MissingKey => Some(HeaderValue::from_static("Bearer realm=\"mcpd\"")),
        Refusal::MissingScope(scope) => {
            let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
            Some(HeaderValue::try_from(challenge).expect("a scope's name is ASCII"))
        }
        _ if refusal_parts(refusal).0 == StatusCode::UNAUTHORIZED => {
            Some(HeaderValue::from_static("Bearer realm=\"mcpd\", error=\"invalid_token\""))
        }
        _ => None,
    };
    if let Some(challenge) = challenge {
        response.insert_header((header::WWW_AUTHENTICATE, challenge));
    }
    let retry_after = match refusal {
        Refusal::RateLimited(quota) => Some(quota.reset_seconds().max(1)),
        Refusal::TooManyConcurrent | Refusal::SignaturesExhausted => Some(1),
        Refusal::TooManyFailedAttempts { retry_after } => Some((*retry_after).max(1)),
        _ => None,
    };
    if let Some(seconds) = retry_after {
        response.insert_header((header::RETRY_AFTER, seconds));
    }
}

#[rustfmt::skip]
fn upstream_parts(error: &UpstreamError) -> (StatusCode, &'static str, &'static str) {
    use {StatusCode as S, UpstreamError as U};
    match error {
        U::UnknownModel                     => (S::NOT_FOUND, INVALID_REQUEST, "model_not_found"),
        U::Invalid(_)                       => (S::UNPROCESSABLE_ENTITY, INVALID_REQUEST, "invalid_request"),
        U::Rejected(rejection)              => match rejection.status {
            404                             => (S::NOT_FOUND, INVALID_REQUEST, "not_found"),
            413                             => (S::PAYLOAD_TOO_LARGE, INVALID_REQUEST, "payload_too_large"),
            422                             => (S::UNPROCESSABLE_ENTITY, INVALID_REQUEST, "invalid_request"),
            429                             => (S::TOO_MANY_REQUESTS, RATE_LIMIT, "rate_limit_exceeded"),
            _                               => (S::BAD_REQUEST, INVALID_REQUEST, "invalid_request"),
        },
        U::Unavailable                      => (S::SERVICE_UNAVAILABLE, API, "upstream_unavailable"),
        U::Timeout                          => (S::GATEWAY_TIMEOUT, API, "upstream_timeout"),
        U::Failed | U::FailedSaying(_)      => (S::BAD_GATEWAY, API, "upstream_error"),
    }
}

fn upstream_message(error: &UpstreamError) -> Cow<'_, str> {
    match error {
        UpstreamError::UnknownModel => "No upstream has this model: see GET /v1/models".into(),
        UpstreamError::Invalid(message) | UpstreamError::FailedSaying(message) => Cow::Borrowed(message),
        UpstreamError::Rejected(rejection) => match &rejection.message {
            Some(message) => Cow::Borrowed(message),
            None => format!("The model server answered with status {}", rejection.status).into(),
        },
        UpstreamError::Unavailable => "No model server can be reached: try again".into(),
        UpstreamError::Timeout => "The model server took too long".into(),
        UpstreamError::Failed => "The model server failed".into(),
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        Self::Refused(Box::new(refused))
    }
}

impl From<UpstreamError> for ApiError {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

impl From<InvalidAsk> for ApiError {
    fn from(invalid: InvalidAsk) -> Self {
        match invalid {
            InvalidAsk::Json(_) => Self::InvalidJson(invalid.to_string()),
            InvalidAsk::Field(message) => Self::Unprocessable(message),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!("{error}");
        Self::StorageUnavailable
    }
}

impl From<CopyError> for ApiError {
    fn from(error: CopyError) -> Self {
        let message = error.to_string();
        match error {
            CopyError::Running => Self::Conflict("backup_running", message),
            CopyError::NoRoom { .. } => {
                tracing::error!("{message}");
                Self::NoRoom(message)
            }
            CopyError::Store(error) => error.into(),
            CopyError::File(_) => {
                tracing::error!("{message}");
                Self::StorageUnavailable
            }
            CopyError::Damaged(_) => {
                tracing::error!("{message}");
                Self::Internal
            }
        }
    }
}

impl From<ContextsError> for ApiError {
    fn from(error: ContextsError) -> Self {
        let message = error.to_string();
        match error {
            ContextsError::NotFound => Self::NotFound(message.into()),
            ContextsError::RevisionConflict(_) => Self::Conflict("revision_conflict", message),
            ContextsError::TooLong(_) | ContextsError::TooMany => Self::PayloadTooLarge(message),
            ContextsError::Store(error) => error.into(),
            ContextsError::Randomness => {
                tracing::error!("{message}");
                Self::Internal
            }
        }
    }
}

impl From<FilesError> for ApiError {
    fn from(error: FilesError) -> Self {
        let message = error.to_string();
        match error {
            FilesError::NotFound => Self::NotFound(message.into()),
            FilesError::TooLarge(_) | FilesError::TooMuch(_) => Self::PayloadTooLarge(message),
            FilesError::Store(error) => error.into(),
            // It is in the log once, not with each attempt.
            FilesError::DiskFull => Self::StorageUnavailable,
            FilesError::Randomness => {
                tracing::error!("{message}");
                Self::Internal
            }
        }
    }
}

impl From<AlertsError> for ApiError {
    fn from(error: AlertsError) -> Self {
        let message = error.to_string();
        match error {
            AlertsError::NoAlert | AlertsError::NoRule => Self::NotFound(message.into()),
            AlertsError::Resolved => Self::Conflict("alert_resolved", message),
            AlertsError::DeletedSince => Self::Conflict("alert_rule_deleted", message),
            AlertsError::TooManyRules(_) => Self::Conflict("too_many_alert_rules", message),
            AlertsError::IdempotencyMismatch => Self::Unprocessable(message),
            AlertsError::Store(error) => error.into(),
            AlertsError::Randomness => {
                tracing::error!("{message}");
                Self::Internal
            }
        }
    }
}

impl From<KeysError> for ApiError {
    fn from(error: KeysError) -> Self {
        let message = error.to_string();
        match error {
            KeysError::NotFound => Self::NotFound("There is no key with this id".into()),
            KeysError::DeletedSince => Self::Conflict("key_deleted", message),
            KeysError::Revoked(_) => Self::Conflict("key_revoked", message),
            KeysError::AlreadyRotated(_) => Self::Conflict("key_already_rotated", message),
            KeysError::Expired => Self::Conflict("key_expired", message),
            KeysError::Disabled => Self::Conflict("key_disabled", message),
            KeysError::IdempotencyMismatch => Self::Unprocessable(message),
            KeysError::Store(error) => error.into(),
            KeysError::Randomness | KeysError::NotHandedOver => {
                tracing::error!("{message}");
                Self::Internal
            }
        }
    }
}

/// Returns the error for a path with nothing at it.
pub fn nothing_at(method: &Method, path: &str) -> ApiError {
    let asked = super::path::request_line(method, path);
    ApiError::NotFound(format!("There is nothing at {asked}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_503_says_when_to_try_again() {
        let exhausted = Refused::from(Refusal::SignaturesExhausted);
        let errors = [
            ApiError::StorageUnavailable,
            ApiError::NoRoom(String::new()),
            ApiError::Stopping,
            UpstreamError::Unavailable.into(),
            exhausted.into(),
        ];
        for error in errors {
            let response = error.respond();
            assert_eq!(response.status(), 503, "{error:?}");
            assert!(response.headers().contains_key(header::RETRY_AFTER), "{error:?}");
        }
    }
}
