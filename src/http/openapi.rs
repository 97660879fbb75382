//! OpenAPI 3.1 documents, made from route tables and wire types.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::error::ErrorBody;

/// Builds a document.
pub struct Builder {
    generator: SchemaGenerator,
    paths: Map<String, Value>,
}

/// What a route takes and gives.
#[derive(Default)]
pub struct Operation {
    /// The schema of its body, if it takes one.
    pub body: Option<Value>,
    /// The media type of its body; JSON where nothing is said.
    pub body_type: Option<&'static str>,
    /// Names and descriptions of its query parameters.
    pub query: &'static [(&'static str, &'static str)],
    /// Names and descriptions of the headers that it takes besides the usual ones.
    pub headers: &'static [(&'static str, &'static str)],
    /// The status of its good answer; 200 where nothing is said.
    pub status: Option<u16>,
    /// The schema of its good answer, and the media type.
    pub answer: Value,
    /// The media type of its good answer; JSON where nothing is said.
    pub media_type: Option<&'static str>,
    /// The scope it needs, in words; `None` for a route that needs no credentials.
    pub needs: Option<String>,
}

impl Default for Builder {
    fn default() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        Self { generator: settings.into_generator(), paths: Map::new() }
    }
}

impl Builder {
    /// Returns the schema of a wire type, kept among the document's components.
    pub fn schema<T: JsonSchema>(&mut self) -> Value {
        self.generator.subschema_for::<T>().to_value()
    }

    /// Adds a route.
    pub fn add(&mut self, method: &str, pattern: &str, summary: &str, operation: Operation) {
        let error = self.schema::<ErrorBody<'static>>();
        let mut parameters: Vec<Value> = Vec::new();
        if pattern.contains("{id}") {
            parameters
                .push(json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}));
        }
        let query = operation.query.iter().map(|parameter| ("query", parameter));
        let headers = operation.headers.iter().map(|header| ("header", header));
        for (place, (name, description)) in query.chain(headers) {
            let schema = json!({"type": "string"});
            parameters.push(json!({"name": name, "in": place, "description": description, "schema": schema}));
        }
        let content = |media_type: &str, schema: Value| json!({media_type: {"schema": schema}});
        let status = operation.status.unwrap_or(200).to_string();
        let media_type = operation.media_type.unwrap_or("application/json");
        let mut entry = json!({
            "summary": summary,
            "parameters": parameters,
            "responses": {
                status: {"description": "Done", "content": content(media_type, operation.answer)},
                "default": {"description": "An error", "content": content("application/json", error)},
            },
        });
        if let Some(body) = operation.body {
            let body_type = operation.body_type.unwrap_or("application/json");
            entry["requestBody"] = json!({"required": true, "content": content(body_type, body)});
        }
        if let Some(needs) = operation.needs {
            entry["description"] = needs.into();
            entry["security"] = json!([{"bearer": []}]);
        }
        let methods = self.paths.entry(pattern).or_insert_with(|| json!({}));
        methods[method.to_ascii_lowercase()] = entry;
    }

    /// Returns the document.
    pub fn finish(mut self, title: &str, bearer: &str) -> Value {
        json!({
            "openapi": "3.1.0",
            "info": {"title": title, "version": env!("CARGO_PKG_VERSION")},
            "paths": self.paths,
            "components": {
                "schemas": self.generator.take_definitions(true),
                "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": bearer}},
            },
        })
    }
}
