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
    // What is no JSON further on has no fields to find fault with.
    let whole: &RawValue = serde_json::from_slice(body).map_err(|error| invalid(&error))?;
    // A list would be read as the fields in their order.
    if !whole.get().starts_with('{') {
        return Err(ApiError::Unprocessable("the body must be a JSON object".to_owned()));
    }
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(whole.get())).map_err(wrong)
}

/// Returns what a JSON value stands for; a wrong one is refused as in a body.
pub fn value<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(value).map_err(wrong)
}

fn invalid(error: &serde_json::Error) -> ApiError {
    ApiError::InvalidJson(format!("the body is not valid JSON: {error}"))
}

fn wrong(error: serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let path = error.path().to_string();
    let error = error.into_inner();
    if !error.is_data() {
        return invalid(&error);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Settings {
        number: Option<u32>,
    }

    fn refusal(body: &[u8]) -> String {
        match object::<Settings>(&HeaderMap::new(), body).unwrap_err() {
            ApiError::InvalidJson(text) | ApiError::Unprocessable(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_body_that_cannot_be_read_is_told_why_in_the_client_s_words() {
        let cases: &[(&[u8], &str)] = &[
            (b"", "the body is not valid JSON: EOF"),
            (b"{\"number\":1}}", "the body is not valid JSON: trailing characters"),
            // It is no JSON, whatever it begins with.
            (b"null,1", "the body is not valid JSON: trailing characters"),
            (b"[1],", "the body is not valid JSON: trailing characters"),
            (b"{\"other\":1", "the body is not valid JSON: EOF"),
            (b"{\"number\":\"\xff\"}", "the body is not valid JSON: invalid unicode"),
            (b" null ", "the body must be a JSON object"),
            (b"[1]", "the body must be a JSON object"),
            (b"{\"other\":1}", "unknown field `other`, expected `number`"),
            (
                b"{\"number\":-1}",
                "`number` is not what it must be: invalid value: integer `-1`, expected a whole number",
            ),
        ];
        for (body, expected) in cases {
            let told = refusal(body);
            assert!(told.starts_with(expected), "{}: {told}", body.escape_ascii());
        }
        assert!(object::<Settings>(&HeaderMap::new(), b" {\"number\": 1} ").is_ok());
    }
}
