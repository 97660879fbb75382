//! The admin API: loopback and a Unix socket only.

mod advice;
mod alert_rule_body;
mod alert_rules;
mod alerts;
mod audit;
mod backup;
mod explain;
mod guard;
mod key_body;
mod key_view;
mod keys;
mod metrics;
mod migration;
mod openapi;
mod process;
mod server;
mod usage;
mod usage_verify;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::HeaderName;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt as _;
use serde::de::DeserializeOwned;

pub use guard::{AdminToken, Peer};
pub use openapi::document;

use crate::alerts::Alerts;
use crate::clock::{Clock, Now};
use crate::domain::audit::Actor;
use crate::gate::Gate;
use crate::http::block::block;
use crate::http::error::nothing_at;
use crate::http::list::Limits;
use crate::http::live::Live;
use crate::http::public::PublicRoute;
use crate::http::request_id::{self, RequestIds};
use crate::http::routes::{Found, Route, find};
use crate::http::{ApiError, body, json};
use crate::keeper::Keeper;
use crate::keys::{Idempotency, Keys, Order};
use crate::latest::Latest;
use crate::meter::Meter;
use crate::store::Store;

/// The longest body that an admin request needs.
const LONGEST_BODY: usize = 1024 * 1024;

/// How many rows a list has.
const LIST: Limits = Limits { usual: 100, most: 1_000 };

/// What the admin API works with.
pub struct Rooms {
    /// Makes and changes keys.
    pub keys: Arc<Keys>,
    /// What was used.
    pub meter: Arc<Meter>,
    /// Writes it out before it is asked for.
    pub keeper: Keeper,
    /// What is unusual, and whom to tell.
    pub alerts: Arc<Alerts>,
    /// The database.
    pub store: Arc<Store>,
    /// What the configuration holds requests to.
    pub live: Arc<Latest<Live>>,
    /// The time.
    pub clock: Clock,
    /// When the server started.
    pub started: Now,
    /// Who may call.
    pub token: AdminToken,
    /// Whether metrics need no token.
    pub open_metrics: bool,
    /// Where the server listens.
    pub listeners: Listeners,
    /// Who may pass.
    pub gate: Arc<Gate>,
    /// What the public listener answers.
    pub routes: &'static [PublicRoute],
}

/// Where the server listens.
#[derive(Clone, Debug)]
pub struct Listeners {
    /// `/v1`.
    pub public: Vec<SocketAddr>,
    /// `/admin/v1`, by TCP.
    pub admin: SocketAddr,
    /// `/admin/v1`, by Unix socket.
    pub socket: PathBuf,
    /// Whether the public listener is encrypted.
    pub tls: bool,
}

/// A route of the admin listeners.
type AdminRoute = Route<Access, Handler>;
type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Result<HttpResponse, ApiError>>>>;

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// The admin token, or the socket's permissions.
    Admin,
    /// The same, unless the configuration opens the metrics.
    Metrics,
}

/// An admin request on its way to its handler.
struct Call {
    rooms: Arc<Rooms>,
    actor: Actor,
    request: HttpRequest,
    body: Bytes,
    /// What stood for the pattern's parameter, decoded.
    parameter: String,
}

static ROUTES: &[AdminRoute] = &[
    route(Method::GET, "/admin/v1/server", "Describes the server", |call| Box::pin(server::show(call))),
    route(Method::POST, "/admin/v1/keys", "Makes a key", |call| Box::pin(keys::create(call))),
    route(Method::GET, "/admin/v1/keys", "Lists the keys", |call| Box::pin(keys::list(call))),
    route(Method::GET, "/admin/v1/keys/{id}", "Describes a key", |call| Box::pin(keys::show(call))),
    route(Method::PATCH, "/admin/v1/keys/{id}", "Changes a key", |call| Box::pin(keys::change(call))),
    route(Method::DELETE, "/admin/v1/keys/{id}", "Deletes a key", |call| Box::pin(keys::delete(call))),
    route(Method::POST, "/admin/v1/keys/{id}/revoke", "Revokes a key for good", |call| {
        Box::pin(keys::revoke(call))
    }),
    route(Method::POST, "/admin/v1/keys/{id}/rotate", "Hands over to a new key", |call| {
        Box::pin(keys::rotate(call))
    }),
    route(Method::GET, "/admin/v1/keys/{id}/migration", "Tells how far a rotation is", |call| {
        Box::pin(migration::show(call))
    }),
    route(Method::GET, "/admin/v1/keys/{id}/advice", "Tells how a key could be tightened", |call| {
        Box::pin(advice::show(call))
    }),
    route(Method::GET, "/admin/v1/usage", "Tells what was used", |call| Box::pin(usage::show(call))),
    route(Method::GET, "/admin/v1/usage/verify", "Proves that usage adds up", |call| {
        Box::pin(usage_verify::show(call))
    }),
    route(Method::GET, "/admin/v1/alerts", "Lists what is or was unusual", |call| {
        Box::pin(alerts::list(call))
    }),
    route(Method::POST, "/admin/v1/alerts/{id}/acknowledge", "Notes that an alert was seen", |call| {
        Box::pin(alerts::acknowledge(call))
    }),
    route(Method::POST, "/admin/v1/alert-rules", "Makes an alert rule", |call| {
        Box::pin(alert_rules::create(call))
    }),
    route(Method::GET, "/admin/v1/alert-rules", "Lists the alert rules", |call| {
        Box::pin(alert_rules::list(call))
    }),
    route(Method::GET, "/admin/v1/alert-rules/{id}", "Describes an alert rule", |call| {
        Box::pin(alert_rules::show(call))
    }),
    route(Method::PATCH, "/admin/v1/alert-rules/{id}", "Changes an alert rule", |call| {
        Box::pin(alert_rules::change(call))
    }),
    route(Method::DELETE, "/admin/v1/alert-rules/{id}", "Deletes an alert rule", |call| {
        Box::pin(alert_rules::delete(call))
    }),
    route(
        Method::POST,
        "/admin/v1/alert-rules/{id}/test",
        "Sends a sample alert as the rule would",
        |call| Box::pin(alert_rules::test(call)),
    ),
    route(Method::POST, "/admin/v1/explain", "Tells what the gate would answer, and why", |call| {
        Box::pin(explain::show(call))
    }),
    route(Method::GET, "/admin/v1/audit", "Tells who changed what", |call| Box::pin(audit::list(call))),
    route(Method::GET, "/admin/v1/audit/verify", "Proves that the audit log is as it was written", |call| {
        Box::pin(audit::verify(call))
    }),
    route(Method::GET, "/admin/v1/audit/export", "Hands out the whole audit log", |call| {
        Box::pin(audit::export(call))
    }),
    route(Method::POST, "/admin/v1/backup", "Hands out a copy of the database", |call| {
        Box::pin(backup::create(call))
    }),
    route(Method::GET, "/admin/v1/openapi.json", "This document", |call| Box::pin(openapi::show(call))),
    Route {
        method: Method::GET,
        pattern: "/metrics",
        slashes: false,
        access: Access::Metrics,
        summary: "Metrics for Prometheus",
        handler: |call| Box::pin(metrics::show(call)),
    },
];

const fn route(method: Method, pattern: &'static str, summary: &'static str, handler: Handler) -> AdminRoute {
    Route { method, pattern, slashes: false, access: Access::Admin, summary, handler }
}

/// Answers a request on an admin listener.
pub async fn serve(
    rooms: Arc<Rooms>,
    ids: Rc<RequestIds>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let id = ids.of(request.headers());
    let answer = std::panic::AssertUnwindSafe(answer(rooms, request.clone(), payload));
    let mut response = match answer.catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => error.respond(),
        // The panic itself is in the log already.
        Err(_) => ApiError::Internal.respond(),
    };
    response.headers_mut().insert(HeaderName::from_static(request_id::HEADER), id.header());
    crate::http::log(&request, &id, &response);
    response
}

async fn answer(
    rooms: Arc<Rooms>,
    request: HttpRequest,
    mut payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let found = find(ROUTES, request.method(), request.uri().path());
    let open =
        matches!(&found, Found::Route(route, _) if route.access == Access::Metrics && rooms.open_metrics);
    let actor = guard::check(&request, &rooms.token, open)?;
    let (route, parameter) = match found {
        Found::Route(route, parameter) => (route, parameter.map(std::borrow::Cow::into_owned)),
        Found::OtherMethods(methods) => return Err(ApiError::MethodNotAllowed(methods)),
        Found::Nothing => return Err(nothing_at(request.method(), request.uri().path())),
    };
    check_query(request.query_string(), openapi::query_of(route))?;
    let body = body::take(&request, &mut payload, LONGEST_BODY).await?;
    let parameter = parameter.unwrap_or_default();
    (route.handler)(Call { rooms, actor, request: request.clone(), body, parameter }).await
}

/// Fails if the query string has a parameter that the route does not take: most likely a misspelt one.
fn check_query(query: &str, known: &[(&str, &str)]) -> Result<(), ApiError> {
    let sent: Vec<(String, String)> = json::query(query)?;
    let Some((unknown, _)) = sent.iter().find(|(name, _)| !known.iter().any(|(known, _)| known == name))
    else {
        return Ok(());
    };
    let names: Vec<_> = known.iter().map(|(name, _)| format!("`{name}`")).collect();
    let remedy = if names.is_empty() { "no parameters".to_owned() } else { names.join(", ") };
    Err(ApiError::bad_request(format!(
        "the query string: unknown parameter `{unknown}`; this route takes {remedy}"
    )))
}

impl Call {
    /// Returns the body's JSON object; an empty body counts as an empty object.
    fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        json::object(self.request.headers(), body)
    }

    /// Returns the query string's parameters; one that is there twice is an error.
    fn query<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        json::query(self.request.query_string())
    }

    /// Returns who wants a change, and how to tell the same wish sent twice.
    fn order(&self) -> Result<Order, ApiError> {
        let mut keys = self.request.headers().get_all("idempotency-key");
        let Some(key) = keys.next() else {
            return Ok(Order { actor: self.actor, idempotency: None });
        };
        if keys.next().is_some() {
            return Err(ApiError::bad_request("`Idempotency-Key` was sent twice: send one"));
        }
        let key = key.to_str().ok().filter(|key| (1..=255).contains(&key.len())).ok_or_else(|| {
            ApiError::bad_request("`Idempotency-Key` must be 1 to 255 visible ASCII characters")
        })?;
        let path = self.request.uri().path();
        let idempotency = Idempotency::new(key, self.request.method().as_str(), path, &self.body);
        Ok(Order { actor: self.actor, idempotency: Some(idempotency) })
    }

    /// Runs blocking work where it holds nobody up.
    async fn block<T, E>(
        &self,
        work: impl FnOnce(&Rooms) -> Result<T, E> + Send + 'static,
    ) -> Result<T, ApiError>
    where
        T: Send + 'static,
        E: Into<ApiError> + Send + 'static,
    {
        let rooms = Arc::clone(&self.rooms);
        block(move || work(&rooms)).await
    }

    /// Writes out what was counted, so that what is asked for next includes it. A full disk keeps it from being
    /// written, but not from being counted, nor the rest from being told.
    async fn flush(&self) {
        let _ = self.rooms.keeper.flush().await;
    }
}
