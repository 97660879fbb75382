//! The `/v1` handlers: request in, answer out. Keys, scopes and limits are settled before they run.

mod chat;
mod health;
mod key;
mod models;
mod openapi;
mod relay;

use actix_web::HttpResponse;
use actix_web::http::Method;
use serde::Serialize;

pub use openapi::document;

use crate::domain::scope::Scope;
use crate::gate::Demand;
use crate::http::public::{Access, Handler, PublicRoute};
use crate::http::routes::Route;

/// Every route of the public listener, and what it asks of its caller.
pub static ROUTES: &[PublicRoute] = &[
    post("/v1/chat/completions", Scope::ChatsCreate, "Answers a chat", |call| Box::pin(chat::chat(call))),
    post("/v1/completions", Scope::CompletionsCreate, "Goes on from a text", |call| {
        Box::pin(chat::completion(call))
    }),
    get("/v1/models", needs(Scope::ModelsRead), "Lists the models", |call| Box::pin(models::list(call))),
    Route {
        method: Method::GET,
        pattern: "/v1/models/{id}",
        slashes: true,
        access: needs(Scope::ModelsRead),
        summary: "Describes a model",
        handler: |call| Box::pin(models::show(call)),
    },
    get("/v1/key", Access::Key(Demand::AnyKey), "Describes the caller's own key", |call| {
        Box::pin(key::show(call))
    }),
    get("/healthz", Access::Open, "Tells that the process is alive", |call| Box::pin(health::live(call))),
    get("/readyz", Access::Open, "Tells whether requests can be answered", |call| {
        Box::pin(health::ready(call))
    }),
    head("/healthz", "Tells that the process is alive", |call| Box::pin(health::live(call))),
    head("/readyz", "Tells whether requests can be answered", |call| Box::pin(health::ready(call))),
    get("/openapi.json", Access::Open, "This document", |call| Box::pin(openapi::show(call))),
];

const fn needs(scope: Scope) -> Access {
    Access::Key(Demand::Scope(scope))
}

const fn get(pattern: &'static str, access: Access, summary: &'static str, handler: Handler) -> PublicRoute {
    Route { method: Method::GET, pattern, slashes: false, access, summary, handler }
}

/// What watches a server often asks for the head alone.
const fn head(pattern: &'static str, summary: &'static str, handler: Handler) -> PublicRoute {
    Route { method: Method::HEAD, pattern, slashes: false, access: Access::Open, summary, handler }
}

const fn post(pattern: &'static str, scope: Scope, summary: &'static str, handler: Handler) -> PublicRoute {
    Route { method: Method::POST, pattern, slashes: false, access: needs(scope), summary, handler }
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
