//! The OpenAPI document of the public API.

use actix_web::HttpResponse;
use serde_json::{Value, json};

use super::{key, models};
use crate::gate::Demand;
use crate::http::ApiError;
use crate::http::openapi::{Builder, Operation};
use crate::http::public::{Access, Call};

/// Answers with the document.
#[expect(clippy::unused_async, reason = "handlers are asynchronous")]
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
        let operation = Operation { needs, ..describe(&mut builder, route.pattern) };
        builder.add(route.method.as_str(), route.pattern, route.summary, operation);
    }
    builder.finish("mcpd", "An API key, `mcp_sk_` and 32 characters.")
}

/// Bodies that are passed on are described as far as mcpd reads them.
fn describe(builder: &mut Builder, pattern: &str) -> Operation {
    let completion = |field: &str, schema: Value| {
        json!({
            "type": "object",
            "required": ["model", field],
            "properties": {"model": {"type": "string"}, field: schema, "stream": {"type": "boolean"}},
            "additionalProperties": true,
        })
    };
    let passed_on = json!({"type": "object", "additionalProperties": true});
    match pattern {
        "/v1/chat/completions" => {
            let messages = json!({"type": "array", "minItems": 1, "items": {"type": "object"}});
            Operation {
                body: Some(completion("messages", messages)),
                answer: passed_on,
                ..Operation::default()
            }
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
