//! The dashboard: pages on the admin listener, over the very actions of the admin API.
//!
//! A page is a template in `templates/`, the struct beside its handler in `pages/` that fills it, and a line in
//! `pages::ROUTES`. What a page shows and changes goes through `admin`; there is no second way.

mod alert_words;
mod assets;
mod changes;
mod chart;
mod cookie;
mod error;
mod explain_words;
mod form;
mod frame;
mod guard;
mod key_form;
mod names;
mod pages;
mod particulars;
mod range;
mod rule_form;
mod text;
mod told;
mod trouble;
mod usage_charts;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt as _;

use crate::admin::sign_ins::Session;
use crate::admin::{self, Desk, Peer, Rooms};
use crate::domain::audit::Actor;
use crate::domain::id::KeyId;
use crate::domain::offset::Offset;
use crate::http::request_id::RequestIds;
use crate::http::routes::{Found, Route, find};
use crate::http::{ApiError, body};
use crate::keys::Idempotency;
use form::Form;
use frame::{Frame, Place};
use pages::ROUTES;

/// The longest form that is taken.
const LONGEST_FORM: usize = 4 * 1024 * 1024;

type PageRoute = Route<(), Handler>;
type Answer = Pin<Box<dyn Future<Output = Result<HttpResponse, ApiError>>>>;

/// What answers, and whom.
#[derive(Clone, Copy)]
enum Handler {
    /// Anybody on this machine.
    Open(fn(Visitor) -> Answer),
    /// Who is signed in.
    SignedIn(fn(Visit) -> Answer),
}

/// Somebody who asks for a page.
struct Visitor {
    rooms: Arc<Rooms>,
    request: HttpRequest,
    /// What was sent: the body of a POST, the query string of a GET.
    form: Form,
    /// What stood for the pattern's parameter, decoded.
    parameter: String,
}

/// Somebody who is signed in asks for a page.
struct Visit {
    desk: Desk,
    session: Session,
    request: HttpRequest,
    form: Form,
    parameter: String,
    /// Whether the page is only asked for to refresh itself.
    is_refresh: bool,
}

/// Answers a request on an admin listener: with a page, or as the admin API does.
pub async fn serve(
    rooms: Arc<Rooms>,
    ids: Rc<RequestIds>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    if !is_for_a_browser(&request) {
        return admin::serve(rooms, ids, request, payload).await;
    }
    let id = ids.of(request.headers());
    let answer = std::panic::AssertUnwindSafe(answer(rooms, request.clone(), payload));
    // The panic itself is in the log already.
    let answer = answer.catch_unwind().await.unwrap_or(Err(ApiError::Internal));
    let mut response = answer
        .unwrap_or_else(|error| if reads_pages(&request) { error::page(&error) } else { error.respond() });
    guard::protect(&mut response);
    crate::http::sign(&request, &id, &mut response);
    response
}

/// Tells whether a page is to answer, and not the admin API: to who reads pages or has been here before.
fn is_for_a_browser(request: &HttpRequest) -> bool {
    if request.conn_data::<Peer>().is_some() {
        return false;
    }
    let path = request.uri().path();
    match find(ROUTES, request.method(), path) {
        Found::Route(Route { handler: Handler::Open(_), .. }, _) => true,
        Found::Nothing => reads_pages(request) && !path.starts_with("/admin/") && path != "/metrics",
        _ => reads_pages(request) || !cookie::sessions(request).is_empty(),
    }
}

fn reads_pages(request: &HttpRequest) -> bool {
    let accepts = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accepts.is_some_and(|accept| accept.contains("text/html"))
}

async fn answer(
    rooms: Arc<Rooms>,
    request: HttpRequest,
    mut payload: Payload,
) -> Result<HttpResponse, ApiError> {
    guard::check(&request)?;
    let (route, parameter) = match find(ROUTES, request.method(), request.uri().path()) {
        Found::Route(route, parameter) => (route, parameter.map(std::borrow::Cow::into_owned)),
        Found::OtherMethods(methods) => return Err(ApiError::MethodNotAllowed(methods)),
        Found::Nothing => return Err(ApiError::NotFound("There is no such page".into())),
    };
    let form = if request.method() == Method::POST {
        let body = body::take(&request, &mut payload, LONGEST_FORM).await?;
        Form::of_body(request.headers(), &body)?
    } else {
        Form::of_query(request.query_string())?
    };
    let parameter = parameter.unwrap_or_default();
    let visitor = Visitor { rooms, request, form, parameter };
    match route.handler {
        Handler::Open(handler) => handler(visitor).await,
        Handler::SignedIn(handler) => match visitor.sign_in() {
            Ok(visit) => handler(visit).await,
            Err(visitor) => Ok(pages::sign_in::send_to(&visitor)),
        },
    }
}

impl Visitor {
    /// Returns the visit of a browser that is signed in and, where it sends a form, of a form that this server made.
    fn sign_in(self) -> Result<Visit, Self> {
        let is_refresh = self.request.headers().contains_key("x-refresh");
        let Some(session) = self.session(is_refresh) else { return Err(self) };
        if self.request.method() == Method::POST && !session.made(self.form.text("form_token")) {
            return Err(self);
        }
        let Self { rooms, request, form, parameter } = self;
        Ok(Visit {
            desk: Desk { rooms, actor: Actor::Dashboard },
            session,
            request,
            form,
            parameter,
            is_refresh,
        })
    }

    /// Returns the session that the browser has, if it has one.
    fn session(&self, is_refresh: bool) -> Option<Session> {
        let now = self.rooms.clock.now().steady;
        let cookies = cookie::sessions(&self.request);
        cookies.iter().find_map(|cookie| self.rooms.sign_ins.find(cookie, now, is_refresh))
    }
}

impl Visit {
    /// Returns what is around the page.
    fn frame(&self, place: Place) -> Frame {
        let rooms = &self.desk.rooms;
        let notice = if self.is_refresh { None } else { rooms.sign_ins.take_notice(&self.session) };
        Frame {
            place,
            form_token: self.session.form_token.clone(),
            notice,
            open_alerts: rooms.alerts.open_count(),
            zone: cookie::zone(&self.request),
            now: rooms.clock.now().wall,
        }
    }

    /// Returns the id of the key that the path names.
    fn key_id(&self) -> Result<KeyId, ApiError> {
        self.parameter.parse().map_err(|_| ApiError::NotFound("There is no key with this id".into()))
    }

    /// Returns how to tell this form sent twice from two of them.
    fn once(&self) -> Idempotency {
        let (path, fields) = (self.request.uri().path(), self.form.encode());
        Idempotency::new(self.form.text("once"), "POST", path, fields.as_bytes())
    }

    /// Returns where clients ask, such as `http://127.0.0.1:8080`.
    fn address(&self) -> String {
        let listeners = &self.desk.rooms.listeners;
        let scheme = if listeners.tls { "https" } else { "http" };
        let here = |address: &SocketAddr| match address.ip() {
            // Clients of this machine find it there; others know it by a name of their own.
            ip if ip.is_unspecified() => format!("127.0.0.1:{}", address.port()),
            _ => address.to_string(),
        };
        let address = listeners.public.first().map(here).unwrap_or_default();
        format!("{scheme}://{address}")
    }

    /// Returns the reader's zone; UTC where it is not known.
    fn zone(&self) -> Offset {
        cookie::zone(&self.request).unwrap_or_default()
    }

    /// Sends the browser on to another page, which says what was done.
    fn done(&self, path: &str, notice: impl Into<String>) -> HttpResponse {
        self.desk.rooms.sign_ins.keep_notice(&self.session, notice.into());
        see_other(path)
    }
}

/// Answers with a page.
fn page(status: actix_web::http::StatusCode, page: &impl askama::Template) -> Result<HttpResponse, ApiError> {
    let html = page.render().map_err(|error| {
        tracing::error!("a page cannot be written: {error}");
        ApiError::Internal
    })?;
    Ok(HttpResponse::build(status).content_type("text/html; charset=utf-8").body(html))
}

/// Sends the browser on to another page (RFC 9110, 15.4.4).
fn see_other(path: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, path)).finish()
}
