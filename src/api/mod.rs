//! The `/v1` handlers: request in, answer out. Keys, scopes and limits are settled before they run.

mod chat;
mod contexts;
mod disposition;
mod download;
mod expand;
mod files;
mod health;
mod key;
mod models;
mod openapi;
mod page;
mod relay;
mod transcript;
mod upload;

use actix_web::HttpResponse;
use actix_web::http::Method;
use serde::Serialize;

pub use openapi::document;

use crate::domain::scope::Scope;
use crate::gate::Demand;
use crate::http::public::{Access, Handler, PublicRoute};
use crate::http::routes::Route;

/// A handler that is given the body whole.
macro_rules! whole {
    ($handler:path) => {
        Handler::Whole(|call| Box::pin($handler(call)))
    };
}

/// Every route of the public listener, and what it asks of its caller.
#[rustfmt::skip]
pub static ROUTES: &[PublicRoute] = &[
    post("/v1/chat/completions", Scope::ChatsCreate, "Answers a chat", whole!(chat::chat)),
    post("/v1/completions", Scope::CompletionsCreate, "Goes on from a text", whole!(chat::completion)),

    get("/v1/models", needs(Scope::ModelsRead), "Lists the models", whole!(models::list)),
    Route {
        method: Method::GET,
        pattern: "/v1/models/{id}",
        slashes: true,
        access: needs(Scope::ModelsRead),
        summary: "Describes a model",
        handler: whole!(models::show),
    },

    post("/v1/contexts", Scope::ContextsWrite, "Stores a conversation", whole!(contexts::create)),
    get("/v1/contexts", needs(Scope::ContextsRead), "Lists the contexts", whole!(contexts::list)),
    get("/v1/contexts/{id}", needs(Scope::ContextsRead), "Returns a context", whole!(contexts::show)),
    patch("/v1/contexts/{id}", Scope::ContextsWrite, "Changes a context", whole!(contexts::change)),
    delete("/v1/contexts/{id}", Scope::ContextsWrite, "Deletes a context", whole!(contexts::delete)),
    post("/v1/contexts/{id}/messages", Scope::ContextsWrite, "Appends messages to a context", whole!(contexts::append)),

    post("/v1/files", Scope::FilesWrite, "Stores a file", Handler::Streamed(|call| Box::pin(upload::create(call)))),
    get("/v1/files", needs(Scope::FilesRead), "Lists the files", whole!(files::list)),
    get("/v1/files/{id}", needs(Scope::FilesRead), "Describes a file", whole!(files::show)),
    get("/v1/files/{id}/content", needs(Scope::FilesRead), "Returns what is in a file", whole!(download::content)),
    delete("/v1/files/{id}", Scope::FilesWrite, "Deletes a file", whole!(files::delete)),

    get("/v1/key", Access::Key(Demand::AnyKey), "Describes the caller's own key", whole!(key::show)),
    get("/healthz", Access::Open, "Tells that the process is alive", whole!(health::live)),
    get("/readyz", Access::Open, "Tells whether requests can be answered", whole!(health::ready)),
    // What watches a server often asks for the head alone.
    head("/healthz", "Tells that the process is alive", whole!(health::live)),
    head("/readyz", "Tells whether requests can be answered", whole!(health::ready)),
    get("/openapi.json", Access::Open, "This document", whole!(openapi::show)),
];

const fn needs(scope: Scope) -> Access {
    Access::Key(Demand::Scope(scope))
}

const fn route(
    method: Method,
    pattern: &'static str,
    access: Access,
    summary: &'static str,
    handler: Handler,
) -> PublicRoute {
    Route { method, pattern, slashes: false, access, summary, handler }
}

const fn get(pattern: &'static str, access: Access, summary: &'static str, handler: Handler) -> PublicRoute {
    route(Method::GET, pattern, access, summary, handler)
}

const fn head(pattern: &'static str, summary: &'static str, handler: Handler) -> PublicRoute {
    route(Method::HEAD, pattern, Access::Open, summary, handler)
}

const fn post(pattern: &'static str, scope: Scope, summary: &'static str, handler: Handler) -> PublicRoute {
    route(Method::POST, pattern, needs(scope), summary, handler)
}

const fn patch(pattern: &'static str, scope: Scope, summary: &'static str, handler: Handler) -> PublicRoute {
    route(Method::PATCH, pattern, needs(scope), summary, handler)
}

const fn delete(pattern: &'static str, scope: Scope, summary: &'static str, handler: Handler) -> PublicRoute {
    route(Method::DELETE, pattern, needs(scope), summary, handler)
}

/// What became of something that was deleted.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Deleted")]
struct Gone {
    id: String,
    /// What it was.
    object: &'static str,
    /// Always true.
    deleted: bool,
}

fn json(value: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().json(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_but_the_open_ones_asks_for_a_key() {
        let open: Vec<&str> =
            ROUTES.iter().filter(|route| route.access == Access::Open).map(|route| route.pattern).collect();
        assert_eq!(open, ["/healthz", "/readyz", "/healthz", "/readyz", "/openapi.json"]);
    }

    #[test]
    fn everything_under_v1_asks_for_a_key() {
        for route in ROUTES.iter().filter(|route| route.pattern.starts_with("/v1")) {
            assert_ne!(route.access, Access::Open, "{}", route.pattern);
        }
    }
}
