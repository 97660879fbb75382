//! The admin API: loopback and a Unix socket only.

pub(crate) mod advice;
pub(crate) mod alert_rule_body;
pub(crate) mod alert_rules;
pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod backup;
mod desk;
pub(crate) mod explain;
mod guard;
pub(crate) mod key_body;
pub(crate) mod key_view;
pub(crate) mod keys;
mod metrics;
pub(crate) mod migration;
mod openapi;
mod process;
pub(crate) mod server;
mod sign_in_links;
pub mod sign_ins;
pub(crate) mod stored;
pub(crate) mod usage;
pub(crate) mod usage_verify;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt as _;
use serde::de::DeserializeOwned;
use sign_ins::SignIns;

pub use desk::Desk;
pub(crate) use guard::check_page;
pub use guard::{AdminToken, Peer};
pub use openapi::document;

use crate::alerts::Alerts;
use crate::clock::{Clock, Now};
use crate::contexts::Contexts;
use crate::files::Files;
use crate::gate::Gate;
use crate::http::error::nothing_at;
use crate::http::list::Limits;
use crate::http::live::Live;
use crate::http::public::PublicRoute;
use crate::http::request_id::RequestIds;
use crate::http::routes::{Found, Route, find};
use crate::http::{ApiError, body, json};
use crate::keeper::Keeper;
use crate::keys::{Idempotency, Keys};
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
    /// Stored conversations.
    pub contexts: Arc<Contexts>,
    /// Stored files.
    pub files: Arc<Files>,
    /// Who may call.
    pub token: AdminToken,
    /// The file that the token is in.
    pub token_file: PathBuf,
    /// Who is signed in to the dashboard.
    pub sign_ins: SignIns,
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
    desk: Desk,
    request: HttpRequest,
    body: Bytes,
    /// What stood for the pattern's parameter, decoded.
    parameter: String,
}

static ROUTES: &[AdminRoute] = &[
    route(Method::GET, "/admin/v1/server", "Describes the server", |call| Box::pin(server::answer(call))),
    route(Method::POST, "/admin/v1/keys", "Makes a key", |call| Box::pin(keys::answer_make(call))),
    route(Method::GET, "/admin/v1/keys", "Lists the keys", |call| Box::pin(keys::answer_page(call))),
    route(Method::GET, "/admin/v1/keys/{id}", "Describes a key", |call| Box::pin(keys::answer_get(call))),
    route(Method::PATCH, "/admin/v1/keys/{id}", "Changes a key", |call| Box::pin(keys::answer_change(call))),
    route(Method::DELETE, "/admin/v1/keys/{id}", "Deletes a key", |call| Box::pin(keys::answer_delete(call))),
    route(Method::POST, "/admin/v1/keys/{id}/revoke", "Revokes a key for good", |call| {
        Box::pin(keys::answer_revoke(call))
    }),
    route(Method::POST, "/admin/v1/keys/{id}/rotate", "Hands over to a new key", |call| {
        Box::pin(keys::answer_rotate(call))
    }),
    route(Method::GET, "/admin/v1/keys/{id}/migration", "Tells how far a rotation is", |call| {
        Box::pin(migration::answer(call))
    }),
    route(Method::GET, "/admin/v1/keys/{id}/advice", "Tells how a key could be tightened", |call| {
        Box::pin(advice::answer(call))
    }),
    route(Method::GET, "/admin/v1/usage", "Tells what was used", |call| Box::pin(usage::answer(call))),
    route(Method::GET, "/admin/v1/usage/verify", "Proves that usage adds up", |call| {
        Box::pin(usage_verify::answer(call))
    }),
    route(Method::GET, "/admin/v1/alerts", "Lists what is or was unusual", |call| {
        Box::pin(alerts::answer_page(call))
    }),
    route(Method::POST, "/admin/v1/alerts/{id}/acknowledge", "Notes that an alert was seen", |call| {
        Box::pin(alerts::answer_acknowledge(call))
    }),
    route(Method::POST, "/admin/v1/alert-rules", "Makes an alert rule", |call| {
        Box::pin(alert_rules::answer_make(call))
    }),
    route(Method::GET, "/admin/v1/alert-rules", "Lists the alert rules", |call| {
        Box::pin(alert_rules::answer_page(call))
    }),
    route(Method::GET, "/admin/v1/alert-rules/{id}", "Describes an alert rule", |call| {
        Box::pin(alert_rules::answer_get(call))
    }),
    route(Method::PATCH, "/admin/v1/alert-rules/{id}", "Changes an alert rule", |call| {
        Box::pin(alert_rules::answer_change(call))
    }),
    route(Method::DELETE, "/admin/v1/alert-rules/{id}", "Deletes an alert rule", |call| {
        Box::pin(alert_rules::answer_delete(call))
    }),
    route(
        Method::POST,
        "/admin/v1/alert-rules/{id}/test",
        "Sends a sample alert as the rule would",
        |call| Box::pin(alert_rules::answer_test(call)),
    ),
    route(Method::POST, "/admin/v1/explain", "Tells what the gate would answer, and why", |call| {
        Box::pin(explain::answer(call))
    }),
    route(Method::GET, "/admin/v1/audit", "Tells who changed what", |call| {
        Box::pin(audit::answer_page(call))
    }),
    route(Method::GET, "/admin/v1/audit/verify", "Proves that the audit log is as it was written", |call| {
        Box::pin(audit::answer_verify(call))
    }),
    route(Method::GET, "/admin/v1/audit/export", "Hands out the whole audit log", |call| {
        Box::pin(audit::answer_export(call))
    }),
    route(Method::GET, "/admin/v1/contexts", "Lists stored conversations", |call| {
        Box::pin(stored::contexts::answer_page(call))
    }),
    route(Method::DELETE, "/admin/v1/contexts/{id}", "Deletes a stored conversation", |call| {
        Box::pin(stored::contexts::answer_delete(call))
    }),
    route(Method::GET, "/admin/v1/files", "Lists stored files", |call| {
        Box::pin(stored::files::answer_page(call))
    }),
    route(Method::DELETE, "/admin/v1/files/{id}", "Deletes a stored file", |call| {
        Box::pin(stored::files::answer_delete(call))
    }),
    route(Method::POST, "/admin/v1/backup", "Hands out a copy of the database", |call| {
        Box::pin(backup::answer(call))
    }),
    route(Method::POST, "/admin/v1/sign-in-links", "Makes a link that signs in to the dashboard", |call| {
        Box::pin(sign_in_links::answer(call))
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
    crate::http::sign(&request, &id, &mut response);
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
    (route.handler)(Call { desk: Desk { rooms, actor }, request: request.clone(), body, parameter }).await
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

    /// Returns how to tell the same wish sent twice, if the caller wants that told.
    fn idempotency(&self) -> Result<Option<Idempotency>, ApiError> {
        let mut keys = self.request.headers().get_all("idempotency-key");
        let Some(key) = keys.next() else {
            return Ok(None);
        };
        if keys.next().is_some() {
            return Err(ApiError::bad_request("`Idempotency-Key` was sent twice: send one"));
        }
        let key = key.to_str().ok().filter(|key| (1..=255).contains(&key.len())).ok_or_else(|| {
            ApiError::bad_request("`Idempotency-Key` must be 1 to 255 visible ASCII characters")
        })?;
        let path = self.request.uri().path();
        Ok(Some(Idempotency::new(key, self.request.method().as_str(), path, &self.body)))
    }
}
