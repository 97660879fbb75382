//! What both listeners share: errors, routes, client addresses, bodies, and the way of a request.

pub mod bare_errors;
pub mod body;
pub mod client_ip;
pub mod error;
pub mod exchange;
pub mod openapi;
pub mod path;
pub mod public;
pub mod request_id;
pub mod routes;

pub use error::ApiError;
