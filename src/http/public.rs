//! The way of a request on the public listener, straight through: name it, know the client, ask the gate,
//! check the signature, hand it to its handler, and answer.

use std::borrow::Cow;
use std::future::Future;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method, Version};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt as _;

use super::bare_errors::Tail;
use super::bearer::bearer;
use super::error::nothing_at;
use super::exchange::{Exchange, Settling};
use super::live::Live;
use super::quota::quota_headers;
use super::remember::Refusal;
use super::request_id::{self, RequestId, RequestIds};
use super::rounds::Rounds;
use super::routes::{Found, Route, find};
use super::signing::Checking;
use super::streamed::Streamed;
use super::texts::Texts;
use super::turns::Turns;
use super::{ApiError, body, client_ip, path, signing};
use crate::clock::Clock;
use crate::contexts::Contexts;
use crate::files::Files;
use crate::gate::{self, Demand, Gate, Identified, Refused};
use crate::keeper::Keeper;
use crate::meter::Meter;
use crate::store::Store;
use crate::upstream::Client;

/// As many headers may a request have. HTTP/1.1's framework holds to it by itself; HTTP/2's lets a few bytes stand for
/// very many, which are let go at once then.
const MOST_HEADERS: usize = 96;
const EXPIRES: HeaderName = HeaderName::from_static("x-mcp-key-expires");

/// What a worker of the public listener works with.
pub struct Rooms {
    /// Who may pass.
    pub gate: Arc<Gate>,
    /// Who used what.
    pub meter: Arc<Meter>,
    /// What must be kept.
    pub keeper: Keeper,
    /// The database.
    pub store: Arc<Store>,
    /// The time.
    pub clock: Clock,
    /// The way to the models.
    pub upstream: Client,
    /// What the configuration holds requests to.
    pub live: Arc<Live>,
    /// Set once the server stops.
    pub stopping: Arc<AtomicBool>,
    /// Names for requests.
    pub request_ids: Rc<RequestIds>,
    /// What answers that take their time are looked after by.
    pub rounds: Rc<Rounds>,
    /// Where headers are written.
    pub texts: Rc<Texts>,
    /// Stored conversations.
    pub contexts: Arc<Contexts>,
    /// Stored files.
    pub files: Arc<Files>,
    /// The routes.
    pub routes: &'static [PublicRoute],
}

impl Rooms {
    /// Returns the same rooms for what the configuration says now; connections to upstreams that are as before are kept.
    pub(super) fn renewed(&self, live: Arc<Live>) -> Self {
        Self {
            gate: Arc::clone(&self.gate),
            meter: Arc::clone(&self.meter),
            keeper: self.keeper.clone(),
            store: Arc::clone(&self.store),
            clock: self.clock.clone(),
            upstream: self.upstream.renewed(&live.upstreams, &live.connections),
            live,
            stopping: Arc::clone(&self.stopping),
            request_ids: Rc::clone(&self.request_ids),
            rounds: Rc::clone(&self.rounds),
            texts: Rc::clone(&self.texts),
            contexts: Arc::clone(&self.contexts),
            files: Arc::clone(&self.files),
            routes: self.routes,
        }
    }
}

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing at all.
    Open,
    /// A live key.
    Key(Demand),
}

impl Access {
    /// Returns what is asked of a key, if one is asked for.
    pub const fn demand(self) -> Option<Demand> {
        match self {
            Self::Open => None,
            Self::Key(demand) => Some(demand),
        }
    }
}

/// A route of the public listener.
pub type PublicRoute = Route<Access, Handler>;
/// What answers a route.
#[derive(Clone, Copy)]
pub enum Handler {
    /// It is given the body whole, and its signature is good.
    Whole(fn(Call) -> Answering),
    /// It reads the body as it comes, and its signature is good once that has ended.
    Streamed(fn(Call<Streamed>) -> Answering),
}
/// An answer in the making.
pub type Answering = Pin<Box<dyn Future<Output = Result<HttpResponse, ApiError>>>>;

/// A request on its way to its handler.
pub struct Call<B = Bytes> {
    /// What to work with.
    pub rooms: Rc<Rooms>,
    /// The request's head.
    pub request: HttpRequest,
    /// The request's name.
    pub id: RequestId,
    /// Its body.
    pub body: B,
    /// What stood for the pattern's parameter, decoded.
    pub parameter: String,
    /// The exchange, which holds the permit.
    pub exchange: Rc<Exchange>,
}

/// Answers a request.
pub async fn serve(rooms: Rc<Rooms>, request: HttpRequest, mut payload: Payload) -> HttpResponse<Settling> {
    let is_last = request.head().connection_type() == ConnectionType::Close;
    let turn = request.conn_data::<Turns>().map(|turns| turns.begin(is_last));
    let is_behind_last = turn.as_ref().is_some_and(|turn| turn.is_behind_last);
    let id = rooms.request_ids.of(request.headers());
    let found = find(rooms.routes, request.method(), request.uri().path());
    let (endpoint, access) = match &found {
        Found::Route(route, _) => (route.pattern, Some(route.access)),
        _ => ("unmatched", None),
    };
    let counted = access.map_or_else(|| is_api(request.uri().path()), |access| access != Access::Open);
    let user_agent = request.headers().get(header::USER_AGENT).cloned();
    let exchange = Exchange::begin(Arc::clone(&rooms.meter), rooms.clock.clone(), endpoint, user_agent);
    let (head, exchange_held) = (request.clone(), Rc::clone(&exchange));
    let rooms_held = Rc::clone(&rooms);
    let incoming = Incoming { rooms, request: head, id: id.clone(), exchange: exchange_held, is_behind_last };
    let mut response = match AssertUnwindSafe(incoming.answer(found, &mut payload)).catch_unwind().await {
        Ok(Ok(response)) => {
            exchange.set_outcome(response.status().as_u16(), None);
            response
        }
        Ok(Err(error)) => {
            let demand = access.and_then(Access::demand);
            let (request, id, exchange) = (&request, &id, &*exchange);
            Refusal { request, id, exchange, demand }.remember(&rooms_held.gate, &error);
            refuse(&error, exchange)
        }
        // The panic itself is in the log already.
        Err(_) => refuse(&ApiError::Internal, &exchange),
    };
    if response.status().is_client_error() {
        match request.version() {
            Version::HTTP_2 if has_too_many_headers(&request) => {}
            Version::HTTP_2 => Box::pin(body::discard(&mut payload)).await,
            _ => body::skim(&mut payload).await,
        }
    }
    let headers = response.headers_mut();
    headers.insert(request_id::HEADER, id.header());
    if let Some(quota) = exchange.quota() {
        for (name, value) in quota_headers(quota, &rooms_held.texts) {
            headers.insert(name, value);
        }
        if let Some(expiry) = exchange.expiry() {
            let expiry = HeaderValue::try_from(expiry.to_string()).expect("RFC 3339 is ASCII");
            headers.insert(EXPIRES, expiry);
        }
    }
    if is_behind_last {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    super::log(&request, &id, &response);
    let tail = request.conn_data::<Tail>().cloned();
    if !counted {
        exchange.forget();
    }
    if request.method() == Method::HEAD {
        // Its answer has no body whose end could be waited for.
        exchange.settle();
    }
    response.map_body(|_, body| Settling::new(body, exchange, tail, turn))
}

/// A request that nobody has looked at yet.
struct Incoming {
    rooms: Rc<Rooms>,
    request: HttpRequest,
    id: RequestId,
    exchange: Rc<Exchange>,
    is_behind_last: bool,
}

impl Incoming {
    /// The steps in the contract's order; each either goes on or ends the request.
    // An `async fn` has room for what it is given twice: once as it is given, and once as it is used.
    #[expect(clippy::manual_async_fn, reason = "each request's future is as large as what it waits for")]
    fn answer(
        self,
        found: Found<'static, '_, Access, Handler>,
        payload: &mut Payload,
    ) -> impl Future<Output = Result<HttpResponse, ApiError>> {
        async move {
            let request = self.request.clone();
            if self.is_behind_last {
                self.client();
                return Err(ApiError::bad_request("a request before this one closes the connection"));
            }
            if has_too_many_headers(&request) {
                self.client();
                return Err(ApiError::HeadersTooLarge);
            }
            if request.uri().query().is_some_and(path::carries_key) {
                self.client();
                return Err(Refused::from(gate::Refusal::KeyInQuery).into());
            }
            let (route, parameter) = match found {
                Found::Route(route, parameter) => (route, parameter.map(Cow::into_owned).unwrap_or_default()),
                Found::OtherMethods(methods) => {
                    return Err(self.unrouted(ApiError::MethodNotAllowed(methods)));
                }
                Found::Nothing => {
                    return Err(self.unrouted(nothing_at(request.method(), request.uri().path())));
                }
            };
            let Access::Key(demand) = route.access else {
                // Nobody's body is read without a key.
                return self.hand_over(route.handler, &mut Payload::None, None, parameter).await;
            };
            let bearer = bearer(&request)?;
            let permit = self.rooms.gate.admit(&self.gate_request(bearer), demand, self.exchange.began())?;
            self.exchange.admit(permit);
            let checking = signing::begin(&self.rooms, &self.exchange, request.headers(), bearer)?;
            self.hand_over(route.handler, payload, checking, parameter).await
        }
    }

    /// Runs the handler; the body is checked by `checking`, if it is signed.
    #[expect(clippy::manual_async_fn, reason = "each request's future is as large as what it waits for")]
    fn hand_over(
        self,
        handler: Handler,
        payload: &mut Payload,
        checking: Option<Box<Checking>>,
        parameter: String,
    ) -> impl Future<Output = Result<HttpResponse, ApiError>> {
        async move {
            match handler {
                Handler::Whole(handler) => {
                    let body = self.take_body(payload, checking).await?;
                    handler(self.call(body, parameter)).await
                }
                Handler::Streamed(handler) => {
                    let (exchange, rooms) = (Rc::clone(&self.exchange), Rc::clone(&self.rooms));
                    let payload = std::mem::replace(payload, Payload::None);
                    let body = Streamed::new(payload, checking, exchange, rooms, self.request.version());
                    handler(self.call(body, parameter)).await
                }
            }
        }
    }

    /// Says that there is no such route, under `/v1` to live keys only.
    fn unrouted(&self, error: ApiError) -> ApiError {
        if !is_api(self.request.uri().path()) {
            return error;
        }
        let bearer = match bearer(&self.request) {
            Ok(bearer) => bearer,
            Err(error) => return error,
        };
        let now = self.rooms.clock.now();
        match self.rooms.gate.identify(&self.gate_request(bearer), now) {
            Ok(Identified { entry, findings }) => {
                self.exchange.note(findings);
                self.exchange.set_quota(entry.allowance().peek(entry.requests_per_minute(), now.steady));
                self.exchange.set_entry(entry);
                error
            }
            Err(refused) => refused.into(),
        }
    }

    fn gate_request<'a>(&self, bearer: Option<&'a [u8]>) -> gate::Request<'a> {
        let (client, peer) = self.client();
        gate::Request { bearer, client, peer }
    }

    /// Returns the client's address, which is noted, and where the connection came from.
    fn client(&self) -> (Option<IpAddr>, IpAddr) {
        let peer = self.request.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip());
        let client = client_ip::resolve(peer, self.request.headers(), &self.rooms.live.trusted_proxies);
        self.exchange.set_client(client);
        (client, peer)
    }

    async fn take_body(
        &self,
        payload: &mut Payload,
        checking: Option<Box<Checking>>,
    ) -> Result<Bytes, ApiError> {
        let body = body::take(&self.request, payload, self.rooms.live.max_json_bytes).await?;
        self.exchange.set_bytes_in(body.len() as u64);
        if self.exchange.is_over() {
            // The key ended while the body was still coming.
            return Err(ApiError::key_ended());
        }
        if let Some(mut checking) = checking {
            checking.update(&body);
            Box::pin(signing::accept(&self.rooms, &self.exchange, checking)).await?;
        }
        Ok(body)
    }

    fn call<B>(self, body: B, parameter: String) -> Call<B> {
        let Self { rooms, request, id, exchange, .. } = self;
        Call { rooms, request, id, body, parameter, exchange }
    }
}

fn has_too_many_headers(request: &HttpRequest) -> bool {
    request.version() == Version::HTTP_2 && request.headers().len() > MOST_HEADERS
}

/// Turns an error into an answer here and now, so that logs and usage see it as one.
fn refuse(error: &ApiError, exchange: &Exchange) -> HttpResponse {
    exchange.set_outcome(error.status().as_u16(), Some(error.code()));
    if let ApiError::Refused(refused) = error {
        if let Some(entry) = &refused.entry {
            exchange.set_entry(Arc::clone(entry));
        }
        if let Some(quota) = refused.quota {
            exchange.set_quota(quota);
        }
    }
    error.respond()
}

/// Tells whether the path is of the API, however it is spelled: then nothing is told without a key.
pub fn is_api(path: &str) -> bool {
    let path = path::decode(path);
    path.trim_start_matches('/').split('/').next().is_some_and(|first| first.eq_ignore_ascii_case("v1"))
}
