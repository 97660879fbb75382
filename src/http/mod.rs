//! Between sockets and handlers: errors, routes, bodies and request ids for both listeners, and the way of a
//! request on the public one.

pub mod bare_errors;
pub mod bearer;
pub mod block;
pub mod body;
pub mod client_ip;
pub mod error;
pub mod exchange;
pub mod json;
pub mod list;
pub mod live;
mod multiplexed;
pub mod openapi;
pub mod path;
pub mod public;
pub mod quota;
mod remember;
pub mod request_id;
pub mod rounds;
pub mod routes;
mod signing;
pub mod streamed;
pub mod texts;
pub mod turns;

use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};

pub use error::ApiError;

/// The header of an answer in JSON, made once.
pub const JSON: (HeaderName, HeaderValue) = (CONTENT_TYPE, HeaderValue::from_static("application/json"));

/// Writes a line about an answer to the log; who it was for and why stands in usage and metrics.
pub fn log<B>(request: &HttpRequest, id: &request_id::RequestId, response: &HttpResponse<B>) {
    tracing::debug!(
        request.id = id.as_str(),
        status = response.status().as_u16(),
        "{}",
        path::request_line(request.method(), request.uri().path()),
    );
}

/// Puts a request's id on its answer, and a line about both into the log.
pub fn sign(request: &HttpRequest, id: &request_id::RequestId, response: &mut HttpResponse) {
    response.headers_mut().insert(request_id::HEADER, id.header());
    log(request, id, response);
}
