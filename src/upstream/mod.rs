//! The model servers behind: which has which model, how to ask, what to do when one cannot be reached.
//!
//! Nothing here ever sees an API key of mcpd's own.

mod answer;
pub mod anthropic;
mod ask;
mod attempt;
mod body;
mod catalog;
mod client;
mod collect;
mod connect;
mod echo;
mod error;
pub mod http1;
mod model_server;
mod openai;
mod pending;
mod prepared;
pub mod sse;
mod stream;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use answer::{Answer, Answered, Whole};
pub use ask::{Ask, InvalidAsk, Shape};
pub use catalog::{Catalog, Found, Offer};
pub use client::Client;
pub use collect::{Collect, collect};
pub use connect::{Connections, TlsError};
pub use error::{Rejection, UpstreamError};
pub use model_server::{Health, InvalidUpstream, ModelServer, Outcome};
pub use stream::EventStream;

use crate::clock::Clock;
use crate::config::Upstream;

/// The upstreams, and what is known of their models; shared by all workers.
#[derive(Debug)]
pub struct Upstreams {
    servers: Vec<Arc<ModelServer>>,
    clock: Clock,
    /// What each upstream that lists `*` told last, and the catalog that follows from it.
    known: Mutex<Known>,
    /// Moves on with each new catalog, so that workers need not lock to see that theirs is the latest.
    edition: AtomicU64,
    /// Held by whoever asks for models.
    asking: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Known {
    told: Vec<Vec<String>>,
    /// When it was told, in steady time; `None` while nothing was.
    told_at: Vec<Option<Duration>>,
    /// When the last asking ended.
    asked_at: Vec<Option<Duration>>,
    catalog: Arc<Catalog>,
}

impl Upstreams {
    /// Returns the upstreams as they are configured.
    pub fn new(configs: &[Upstream], clock: Clock) -> Result<Self, InvalidUpstream> {
        Self {
            servers: Vec::new(),
            clock,
            known: Mutex::default(),
            edition: AtomicU64::new(0),
            asking: Arc::default(),
        }
        .changed(configs)
    }

    /// Returns the upstreams as they are configured now. Those that are as before go on with what is known of them;
    /// those of the same name, with their counts.
    pub fn changed(&self, configs: &[Upstream]) -> Result<Self, InvalidUpstream> {
        let known = self.known();
        let (mut servers, mut now) = (Vec::new(), Known::default());
        for config in configs {
            let same = self.servers.iter().position(|server| server.is_configured_as(config));
            servers.push(match same {
                Some(index) => Arc::clone(&self.servers[index]),
                None => self.new_server(config)?,
            });
            now.told.push(same.map(|index| known.told[index].clone()).unwrap_or_default());
            now.told_at.push(same.and_then(|index| known.told_at[index]));
            now.asked_at.push(same.and_then(|index| known.asked_at[index]));
        }
        now.catalog = Arc::new(Catalog::new(&servers, &now.told));
        let (known, edition) = (Mutex::new(now), AtomicU64::new(1));
        Ok(Self { servers, clock: self.clock.clone(), known, edition, asking: Arc::default() })
    }

    fn new_server(&self, config: &Upstream) -> Result<Arc<ModelServer>, InvalidUpstream> {
        let mut server = ModelServer::new(config)?;
        if let Some(before) = self.servers.iter().find(|before| before.name == server.name) {
            server.count_on(before);
        }
        Ok(Arc::new(server))
    }

    /// Returns the upstreams in the order of the configuration.
    pub fn servers(&self) -> &[Arc<ModelServer>] {
        &self.servers
    }

    /// Returns the catalog as it is now.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.known().catalog)
    }

    /// Returns the number of the latest catalog.
    fn edition(&self) -> u64 {
        self.edition.load(Ordering::Acquire)
    }

    /// Returns the upstreams to ask for their models: those that list `*` and were last asked longer ago
    /// than `max_age`.
    fn to_ask(&self, max_age: Duration) -> Vec<usize> {
        let now = self.clock.steady();
        let known = self.known();
        let due = |asked: Option<Duration>| asked.is_none_or(|at| now.saturating_sub(at) >= max_age);
        let is_due = |index: &usize| self.servers[*index].tells_models() && due(known.asked_at[*index]);
        (0..self.servers.len()).filter(is_due).collect()
    }

    /// Notes that these upstreams were asked for their models until now, whether or not they told. Whoever
    /// waited for that need not ask again, however long it took.
    fn asked(&self, indices: &[usize]) {
        let now = self.clock.steady();
        let mut known = self.known();
        for index in indices {
            known.asked_at[*index] = Some(now);
        }
    }

    /// Takes what an upstream told of its models.
    fn told(&self, index: usize, models: Vec<String>) {
        let mut known = self.known();
        known.told_at[index] = Some(self.clock.steady());
        if known.told[index] != models {
            known.told[index] = models;
            known.catalog = Arc::new(Catalog::new(&self.servers, &known.told));
            self.edition.fetch_add(1, Ordering::Release);
        }
    }

    /// Tells whether an upstream that lists `*` has never told what it has, so that nobody knows.
    fn is_any_untold(&self) -> bool {
        let known = self.known();
        let untold = |index: usize| known.told_at[index].is_none();
        self.servers.iter().enumerate().any(|(index, server)| server.tells_models() && untold(index))
    }

    /// Returns a model's offers in the order to try them: one by weight, then the others; last, those that
    /// could not be reached a moment ago.
    fn in_turn<'a>(&self, found: &'a Found) -> Cow<'a, [Offer]> {
        let offers = found.offers.as_slice();
        if offers.len() == 1 {
            return offers.into();
        }
        let total: usize = offers.iter().map(|offer| offer.server.weight as usize).sum();
        let mut turn = found.turn.fetch_add(1, Ordering::Relaxed) % total;
        let first = offers.iter().position(|offer| {
            let weight = offer.server.weight as usize;
            let hit = turn < weight;
            turn = turn.saturating_sub(weight);
            hit
        });
        let mut order = offers.to_vec();
        order.rotate_left(first.unwrap_or(0));
        let now = self.clock.steady();
        order.sort_by_key(|offer| offer.server.is_avoided(now));
        order.into()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
