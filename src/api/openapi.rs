//! The OpenAPI document of the public API.

use actix_web::HttpResponse;
use actix_web::http::Method;
use serde_json::{Value, json};

use super::{contexts, files, key, models};
use crate::gate::Demand;
use crate::http::ApiError;
use crate::http::list::Page;
use crate::http::openapi::{Builder, Operation};
use crate::http::public::{Access, Call};

/// Answers with the document.
pub(super) async fn show(_: Call) -> Result<HttpResponse, ApiError> {
    Ok(super::json(&document()))
}

/// Returns the document.
pub fn document() -> Value {
    let mut builder = Builder::default();
    for route in super::ROUTES {
        let needs = match route.access {
            Access::Open => None,
            Access::Key(Demand::AnyKey) => Some("Needs a live API key.".to_owned()),
            Access::Key(Demand::Scope(scope)) => Some(format!("Needs an API key with the scope `{scope}`.")),
        };
        let operation = Operation { needs, ..describe(&mut builder, &route.method, route.pattern) };
        builder.add(route.method.as_str(), route.pattern, route.summary, operation);
    }
    builder.finish("mcpd", "An API key, `mcp_sk_` and 32 characters.")
}

/// Bodies that are passed on are described as far as mcpd reads them.
fn describe(builder: &mut Builder, method: &Method, pattern: &str) -> Operation {
    let completion = |field: &str, schema: Value| {
        json!({
            "type": "object",
            "required": ["model", field],
            "properties": {"model": {"type": "string"}, field: schema, "stream": {"type": "boolean"}},
            "additionalProperties": true,
        })
    };
    if pattern.starts_with("/v1/contexts") {
        return describe_context(builder, method, pattern);
    }
    if pattern.starts_with("/v1/files") {
        return describe_file(builder, method, pattern);
    }
    let passed_on = json!({"type": "object", "additionalProperties": true});
    match pattern {
        "/v1/chat/completions" => {
            let messages = json!({"type": "array", "minItems": 1, "items": {"type": "object"}});
            let mut body = completion("messages", messages);
            body["properties"]["context"] = json!({
                "type": "string",
                "description": "The id of a context whose messages go before these. Needs `contexts:read` too.",
            });
            body["properties"]["context_append"] = json!({
                "type": "boolean",
                "description": "Append the messages and the answer to it. Needs `contexts:write` too.",
            });
            Operation { body: Some(body), answer: passed_on, ..Operation::default() }
        }
        "/v1/completions" => Operation {
            body: Some(completion("prompt", json!({}))),
            answer: passed_on,
            ..Operation::default()
        },
        "/v1/models" => Operation { answer: builder.schema::<models::ModelList>(), ..Operation::default() },
        "/v1/models/{id}" => Operation { answer: builder.schema::<models::Model>(), ..Operation::default() },
        "/v1/key" => Operation { answer: builder.schema::<key::OwnKey>(), ..Operation::default() },
        _ => Operation { answer: json!({"type": "object"}), ..Operation::default() },
    }
}

const PAGE: [(&str, &str); 3] = [
    ("limit", "At most so many rows."),
    ("after", "Only rows behind the one with this id."),
    ("order", "`desc`, the newest first, or `asc`."),
];

const IF_MATCH: [(&str, &str); 1] =
    [("If-Match", "The revision, in quotes, that the context must have; else it is a 409.")];

fn describe_context(builder: &mut Builder, method: &Method, pattern: &str) -> Operation {
    let one = builder.schema::<contexts::View>();
    match (method.as_str(), pattern) {
        ("GET", "/v1/contexts") => {
            let answer = builder.schema::<Page<contexts::View>>();
            Operation { query: &PAGE, answer, ..Operation::default() }
        }
        ("GET", _) => Operation { answer: one, ..Operation::default() },
        ("DELETE", _) => {
            let answer = builder.schema::<super::Gone>();
            Operation { headers: &IF_MATCH, answer, ..Operation::default() }
        }
        ("POST", "/v1/contexts") => {
            let body = Some(builder.schema::<contexts::Body>());
            Operation { body, answer: one, ..Operation::default() }
        }
        ("POST", _) => {
            let body = Some(builder.schema::<contexts::Messages>());
            Operation { headers: &IF_MATCH, body, answer: one, ..Operation::default() }
        }
        _ => {
            let body = Some(builder.schema::<contexts::Body>());
            Operation { headers: &IF_MATCH, body, answer: one, ..Operation::default() }
        }
    }
}

fn describe_file(builder: &mut Builder, method: &Method, pattern: &str) -> Operation {
    let binary = || json!({"type": "string", "contentMediaType": "application/octet-stream"});
    match (method.as_str(), pattern) {
        ("GET", "/v1/files") => Operation {
            query: &[PAGE[0], PAGE[1], PAGE[2], ("purpose", "Only files that were stored for this.")],
            answer: builder.schema::<Page<files::View>>(),
            ..Operation::default()
        },
        ("GET", "/v1/files/{id}/content") => Operation {
            headers: &[
                ("Range", "A part of the file, such as `bytes=0-1023`; answered with 206."),
                ("If-Range", "The `ETag` that the part must be of; else the whole file comes."),
                ("If-None-Match", "The `ETag` of what is known already; answered with 304."),
            ],
            answer: binary(),
            media_type: Some("application/octet-stream"),
            ..Operation::default()
        },
        ("POST", _) => Operation {
            body: Some(json!({
                "type": "object",
                "required": ["file", "purpose"],
                "properties": {"file": binary(), "purpose": {"type": "string"}},
                "additionalProperties": false,
            })),
            body_type: Some("multipart/form-data"),
            answer: builder.schema::<files::View>(),
            ..Operation::default()
        },
        ("DELETE", _) => Operation { answer: builder.schema::<super::Gone>(), ..Operation::default() },
        _ => Operation { answer: builder.schema::<files::View>(), ..Operation::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_in_the_document_and_every_reference_leads_somewhere() {
        let document = document();
        for route in super::super::ROUTES {
            let operation = &document["paths"][route.pattern][route.method.as_str().to_ascii_lowercase()];
            assert!(operation["summary"].is_string(), "{}", route.pattern);
            assert_eq!(
                operation.get("security").is_some(),
                route.access != Access::Open,
                "{}",
                route.pattern
            );
        }
        let text = document.to_string();
        for reference in text.split("\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
