//! One request and its answer, from the head of the one to the end of the other: what is given back and
//! counted then, whichever way it ends.

use std::cell::{Cell, Ref, RefCell};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::header::HeaderValue;
use actix_web::web::Bytes;

use super::ApiError;
use super::bare_errors::Tail;
use super::rounds::Watched;
use super::turns::Turn;
use crate::clock::{Clock, Now};
use crate::domain::key::LastUse;
use crate::domain::report_only::Findings;
use crate::domain::scope::Scopes;
use crate::domain::sighting::Seen;
use crate::domain::time::Timestamp;
use crate::domain::usage::{Bucket, CLIENT_CLOSED_REQUEST, Measured, Tokens};
use crate::domain::window::Quota;
use crate::gate::Permit;
use crate::gate::keyring::Entry;
use crate::meter::{Activity, Meter, Record, Who};

/// A request being answered.
///
/// Settled when its answer's last byte is handed over, before the client can have seen it; dropped before
/// that, the client has left or mcpd itself has failed, and that is counted.
pub struct Exchange {
    meter: Arc<Meter>,
    clock: Clock,
    started: Now,
    endpoint: Cell<&'static str>,
    client: Cell<Option<IpAddr>>,
    user_agent: Option<HeaderValue>,
    entry: RefCell<Option<Arc<Entry>>>,
    permit: RefCell<Option<Permit>>,
    /// What settings that are only tried out would have refused of a request without permit.
    findings: Cell<Findings>,
    quota: Cell<Option<Quota>>,
    model: RefCell<Option<Arc<str>>>,
    tokens: Cell<Option<(Tokens, Certainty)>>,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
    /// The status and code that the answer began or ended with.
    outcome: Cell<(u16, Option<&'static str>)>,
    /// Whether the piece of a stream that is handed over next is its last.
    ends: Cell<bool>,
    settled: Cell<bool>,
}

/// Whether tokens were told by the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// They were.
    Told,
    /// They are an estimate.
    Estimated,
}

impl Exchange {
    /// Returns the exchange of a request that has just come in.
    pub fn begin(
        meter: Arc<Meter>,
        clock: Clock,
        endpoint: &'static str,
        user_agent: Option<HeaderValue>,
    ) -> Rc<Self> {
        let started = clock.now();
        meter.open();
        Rc::new(Self {
            meter,
            clock,
            started,
            endpoint: Cell::new(endpoint),
            client: Cell::default(),
            user_agent,
            entry: RefCell::default(),
            permit: RefCell::default(),
            findings: Cell::default(),
            quota: Cell::default(),
            model: RefCell::default(),
            tokens: Cell::default(),
            bytes_in: Cell::default(),
            bytes_out: Cell::default(),
            outcome: Cell::new((CLIENT_CLOSED_REQUEST, None)),
            ends: Cell::new(false),
            settled: Cell::new(false),
        })
    }

    /// Notes the client's address.
    pub fn set_client(&self, client: Option<IpAddr>) {
        self.client.set(client);
    }

    /// Returns the client's address.
    pub fn client(&self) -> Option<IpAddr> {
        self.client.get()
    }

    /// Returns when the request came in.
    pub const fn began(&self) -> Now {
        self.started
    }

    /// Returns whose request it is, if that is known.
    pub fn entry(&self) -> Option<Arc<Entry>> {
        self.entry.borrow().clone()
    }

    /// Notes whose request it is, let through or not.
    pub fn set_entry(&self, entry: Arc<Entry>) {
        *self.entry.borrow_mut() = Some(entry);
    }

    /// Keeps the permit until the exchange ends.
    pub fn admit(&self, permit: Permit) {
        self.set_entry(Arc::clone(&permit.entry));
        self.set_quota(permit.quota);
        *self.permit.borrow_mut() = Some(permit);
    }

    /// Returns the permit. Only routes that need no key have none: asking there is a bug.
    pub fn permit(&self) -> Result<Ref<'_, Permit>, ApiError> {
        Ref::filter_map(self.permit.borrow(), Option::as_ref).map_err(|_| ApiError::Internal)
    }

    /// Notes what settings that are only tried out would have refused of a request that gets no permit.
    pub fn note(&self, findings: Findings) {
        self.findings.set(findings);
    }

    /// Notes what is left of a live key's limit.
    pub fn set_quota(&self, quota: Quota) {
        self.quota.set(Some(quota));
    }

    /// Returns what is left of a live key's limit.
    pub fn quota(&self) -> Option<Quota> {
        self.quota.get()
    }

    /// Returns when the key ends, if it does.
    pub fn expiry(&self) -> Option<Timestamp> {
        self.entry.borrow().as_ref()?.key.settings.expires_at
    }

    /// Notes the model that is asked.
    pub fn set_model(&self, model: Arc<str>) {
        *self.model.borrow_mut() = Some(model);
    }

    /// Notes the tokens used.
    pub fn set_tokens(&self, tokens: Tokens, certainty: Certainty) {
        self.tokens.set(Some((tokens, certainty)));
    }

    /// Notes the length of the request's body.
    pub fn set_bytes_in(&self, bytes: u64) {
        self.bytes_in.set(bytes);
    }

    /// Notes how the answer begins, or, where a stream fails half-way, how it ends.
    pub fn set_outcome(&self, status: u16, code: Option<&'static str>) {
        self.outcome.set((status, code));
    }

    /// Tells whether the key was revoked, disabled or deleted meanwhile.
    pub fn is_over(&self) -> bool {
        self.entry.borrow().as_ref().is_some_and(|entry| entry.is_over())
    }

    /// Ends and counts the exchange of an answer that fails after it began.
    pub fn fail(&self, error: &ApiError) {
        self.set_outcome(error.status().as_u16(), Some(error.code()));
        self.settle();
    }

    /// Returns the meter that the exchange is counted by.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Leaves the exchange uncounted: nobody's key is asked for.
    pub fn forget(&self) {
        self.settled.set(true);
    }

    /// Settles the exchange with the piece of the answer that is handed over next, which still counts.
    pub fn settle_with_next(&self) {
        self.ends.set(true);
    }

    /// Counts the exchange and gives its permit back; what comes after counts for nothing.
    pub fn settle(&self) {
        if self.settled.replace(true) {
            return;
        }
        let permit = self.permit.borrow_mut().take();
        let findings = permit.as_ref().map_or(self.findings.get(), Permit::findings);
        let (status, code) = self.outcome.get();
        let entry = self.entry.borrow();
        let key = entry.as_ref().map(|entry| entry.key.id);
        let at = self.started.wall;
        let last = LastUse { at, ip: self.client.get() };
        let activity = permit.as_ref().map(|permit| Activity {
            last,
            peak_rate: permit.quota.limit.saturating_sub(permit.quota.remaining),
            peak_concurrent: permit.in_flight(),
        });
        let latency = self.clock.steady().saturating_sub(self.started.steady);
        // To the microsecond, as it is kept: sums of some add up to sums of all.
        let latency = Duration::from_micros(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        let (tokens, certainty) = self.tokens.get().unwrap_or((Tokens::default(), Certainty::Told));
        self.meter.count(Record {
            bucket: Bucket {
                minute: at.as_seconds().div_euclid(60),
                key,
                endpoint: self.endpoint.get(),
                status,
                model: self.model.borrow_mut().take(),
            },
            measured: Measured {
                latency,
                bytes_in: self.bytes_in.get(),
                bytes_out: self.bytes_out.get(),
                tokens,
                is_estimated: certainty == Certainty::Estimated,
            },
            code,
            activity,
            findings,
            who: Who {
                key,
                superseded: entry.as_ref().is_some_and(|entry| entry.key.rotated_to().is_some()),
                client: self.client.get(),
                user_agent: self.user_agent.as_ref().map_or(b"", HeaderValue::as_bytes),
                endpoint: self.endpoint.get(),
            },
            seen: seen(status, code, permit.as_ref(), at),
        });
    }
}

/// What one answer is to those who watch its key.
fn seen(status: u16, code: Option<&'static str>, permit: Option<&Permit>, at: Timestamp) -> Seen {
    let refused_with = |codes: &[&str]| permit.is_none() && code.is_some_and(|code| codes.contains(&code));
    Seen {
        errors: u64::from(status >= 400),
        admitted: u64::from(permit.is_some()),
        failures: u64::from(status >= 400 && !matches!(status, 401 | 429 | CLIENT_CLOSED_REQUEST)),
        rate_limited: u64::from(refused_with(&["rate_limit_exceeded", "concurrency_limit_exceeded"])),
        failed_auth: u64::from(refused_with(&["invalid_api_key", "too_many_failed_attempts"])),
        scopes: permit.map_or(Scopes::NONE, Permit::scopes),
        ..Seen::once(at)
    }
}

/// Ends with its key, even while its client does not read, so that nobody polls its answer.
impl Watched for Exchange {
    fn look(&self) -> bool {
        let is_over = self.is_over();
        if is_over {
            self.fail(&ApiError::key_ended());
        }
        !is_over
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.settled.get() {
            // A fault in the middle of an answer is none of the client's doing.
            let fault = std::thread::panicking();
            let internal = (ApiError::Internal.status().as_u16(), Some(ApiError::Internal.code()));
            self.outcome.set(if fault { internal } else { (CLIENT_CLOSED_REQUEST, None) });
            self.settle();
        }
        self.meter.close();
    }
}

/// An answer's body that settles its exchange.
pub struct Settling {
    body: BoxBody,
    /// What is still to come of a body of known length.
    left: Option<u64>,
    exchange: Rc<Exchange>,
    /// Where pieces are noted, if the connection wants to know.
    tail: Option<Tail>,
    /// Ends with the answer.
    _turn: Option<Turn>,
    ended: bool,
}

impl Settling {
    /// Returns the body; one with nothing in it settles the exchange right away.
    pub fn new(body: BoxBody, exchange: Rc<Exchange>, tail: Option<Tail>, turn: Option<Turn>) -> Self {
        let left = match body.size() {
            BodySize::None | BodySize::Sized(0) => {
                exchange.settle();
                Some(0)
            }
            BodySize::Sized(length) => Some(length),
            BodySize::Stream => None,
        };
        Self { body, left, exchange, tail, _turn: turn, ended: false }
    }

    fn passed(&mut self, bytes: &Bytes) {
        if let Some(tail) = &self.tail {
            tail.passed(bytes);
        }
        let exchange = &self.exchange;
        exchange.bytes_out.set(exchange.bytes_out.get() + bytes.len() as u64);
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(bytes.len() as u64);
        }
        if self.left == Some(0) || exchange.ends.get() {
            exchange.settle();
        }
    }
}

impl MessageBody for Settling {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = ready!(Pin::new(&mut self.body).poll_next(cx));
        match &next {
            Some(Ok(bytes)) => self.passed(bytes),
            Some(Err(_)) => {}
            None => {
                self.exchange.settle();
                self.ended = true;
                if self.tail.as_ref().is_some_and(Tail::is_in_doubt) {
                    // Once more around: what was written is flushed before anything is written behind it.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(next)
    }
}
