//! Reads what clients send into wire types: an unknown field is an error, and every error names its field.

use actix_web::http::header::HeaderMap;
use actix_web::web;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{ApiError, body};
use crate::domain::token;

/// Returns a body's JSON object.
pub fn object<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, ApiError> {
    body::check_json(headers)?;
    // A list would be read as the fields in their order.
    if serde_json::from_slice::<&RawValue>(body).is_ok_and(|value| !value.get().starts_with('{')) {
        return Err(ApiError::Unprocessable("the body must be a JSON object".to_owned()));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(wrong)?;
    json.end().map_err(|error| ApiError::InvalidJson(format!("the body is not valid JSON: {error}")))?;
    Ok(value)
}

/// Returns what a JSON value stands for; a wrong one is refused as in a body.
pub fn value<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(value).map_err(wrong)
}

fn wrong(error: serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let path = error.path().to_string();
    let error = error.into_inner();
    if !error.is_data() {
        return ApiError::InvalidJson(format!("the body is not valid JSON: {error}"));
    }
    let text = token::redact(&error.to_string()).replace("u32", "a whole number");
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text).to_owned();
    // An unknown field is named in the text, and has no path of its own.
    if path == "." || text.contains("unknown field") {
        ApiError::Unprocessable(text)
    } else {
        ApiError::field(&path, format_args!("is not what it must be: {text}"))
    }
}

/// Tells a field's `null` from a field that is not there.
pub fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Returns a query string's parameters.
pub fn query<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    web::Query::<T>::from_query(query).map(web::Query::into_inner).map_err(|error| {
        let text = error.to_string();
        let text = text.strip_prefix("Query deserialize error: ").unwrap_or(&text);
        ApiError::bad_request(format!("the query string: {}", token::redact(text)))
    })
}
