//! What is remembered of a refused request, for who asks why.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderValue, USER_AGENT};

use super::exchange::Exchange;
use super::request_id::RequestId;
use super::{ApiError, path};
use crate::domain::token;
use crate::gate::trail::Asker;
use crate::gate::{Demand, Gate, Refused};

/// The longest user agent that is kept, in characters.
const LONGEST_AGENT: usize = 200;

/// A request that was answered with an error.
pub(super) struct Refusal<'a> {
    pub request: &'a HttpRequest,
    pub id: &'a RequestId,
    pub exchange: &'a Exchange,
    /// What its route asks for, if it has one that asks for a key.
    pub demand: Option<Demand>,
}

impl Refusal<'_> {
    /// Remembers the refusal, if it was the gate that refused.
    pub(super) fn remember(&self, gate: &Gate, error: &ApiError) {
        let ApiError::Refused(refused) = error else { return };
        // A key that ends while its request is being answered is the exchange's.
        let entry = refused.entry.as_ref().map(Arc::clone).or_else(|| self.exchange.entry());
        gate.remember(Refused { entry, ..Refused::clone(refused) }, || self.asker());
    }

    fn asker(&self) -> Asker {
        let agent = self.request.headers().get(USER_AGENT).map_or(b"".as_slice(), HeaderValue::as_bytes);
        let agent = String::from_utf8_lossy(agent);
        let agent: String = agent.chars().filter(|letter| !letter.is_control()).take(LONGEST_AGENT).collect();
        Asker {
            id: self.id.as_str().to_owned(),
            at: self.exchange.began().wall,
            method: path::for_log(self.request.method().as_str()),
            path: path::for_log(self.request.uri().path()),
            client: self.exchange.client(),
            user_agent: token::redact(&agent).into_owned(),
            demand: self.demand,
        }
    }
}
