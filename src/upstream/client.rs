//! One worker's way to the upstreams.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::answer::Answered;
use super::attempt::{self, Attempt};
use super::catalog::{Catalog, Found};
use super::connect::Connections;
use super::error::UpstreamError;
use super::model_server::ModelServer;
use super::pending::Pending;
use super::prepared::Prepared;
use super::{Ask, Upstreams};
use crate::clock::Clock;
use crate::domain::token;

/// A model that nobody knows is looked for again this soon: somebody may just have pulled it.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// A list of models is not held up for longer by an upstream that does not answer.
const SOON: Duration = Duration::from_secs(2);
/// Names that the echo upstream is asked for are counted apart up to this many.
const MOST_NAMES: usize = 1_000;

/// Asks the upstreams; each worker has its own, with its own connections.
pub struct Client {
    upstreams: Arc<Upstreams>,
    clock: Clock,
    /// One for each upstream, in their order; none for one that is no server.
    requests: Rc<[Option<Rc<Prepared>>]>,
    catalog: RefCell<(u64, Arc<Catalog>)>,
    names: Rc<RefCell<HashSet<Arc<str>>>>,
}

impl Client {
    /// Returns a client for the worker that calls.
    pub fn new(upstreams: Arc<Upstreams>, connections: &Connections, clock: Clock) -> Self {
        let prepare = |server: &Arc<ModelServer>| Prepared::new(connections, server).map(Rc::new);
        let requests = upstreams.servers().iter().map(prepare).collect();
        Self::over(upstreams, requests, clock, Rc::default())
    }

    /// Returns a client for other upstreams. To those that are the same it keeps its connections; what is in flight
    /// goes on with the client that it began with.
    #[must_use]
    pub fn renewed(&self, upstreams: &Arc<Upstreams>, connections: &Connections) -> Self {
        let prepare = |server: &Arc<ModelServer>| {
            let same = self.upstreams.servers().iter().position(|known| Arc::ptr_eq(known, server));
            same.map_or_else(
                || Prepared::new(connections, server).map(Rc::new),
                |index| self.requests[index].clone(),
            )
        };
        let requests = upstreams.servers().iter().map(prepare).collect();
        Self::over(Arc::clone(upstreams), requests, self.clock.clone(), Rc::clone(&self.names))
    }

    fn over(
        upstreams: Arc<Upstreams>,
        requests: Rc<[Option<Rc<Prepared>>]>,
        clock: Clock,
        names: Rc<RefCell<HashSet<Arc<str>>>>,
    ) -> Self {
        let catalog = RefCell::new((upstreams.edition(), upstreams.catalog()));
        Self { upstreams, clock, requests, catalog, names }
    }

    /// Returns where a model is. Upstreams that list `*` are asked again before it counts as unknown.
    pub async fn find(&self, model: &str) -> Result<Arc<Found>, UpstreamError> {
        if let Some(found) = self.look_up(model) {
            return Ok(found);
        }
        Box::pin(self.refresh(ASK_AGAIN)).await;
        self.look_up(model).ok_or_else(|| {
            if self.upstreams.is_any_untold() {
                UpstreamError::Unavailable
            } else {
                UpstreamError::UnknownModel
            }
        })
    }

    /// Asks for a completion, one upstream after the other until one can be reached.
    pub async fn complete(
        &self,
        found: &Found,
        ask: &Ask,
        request_id: &str,
    ) -> Result<Answered, UpstreamError> {
        for offer in self.upstreams.in_turn(found).iter() {
            let index = self.index_of(&offer.server);
            let attempt = Attempt {
                requests: self.requests[index].as_deref(),
                offer,
                clock: &self.clock,
                pending: Pending::new(&offer.server, &self.clock),
                request_id,
            };
            match attempt::complete(&attempt, ask).await {
                // Nothing was sent on to the client yet, so the next one may try.
                Err(UpstreamError::Unavailable) => {}
                answered => return answered,
            }
        }
        Err(UpstreamError::Unavailable)
    }

    /// Returns the catalog, upstreams that list `*` having been asked at most `max_age` ago; one that does
    /// not answer soon is listed as it was.
    pub async fn catalog(&self, max_age: Duration) -> Arc<Catalog> {
        let _ = tokio::time::timeout(SOON, self.refresh(max_age)).await;
        self.upstreams.catalog()
    }

    /// Asks the upstreams that list `*` and were last asked longer ago than `max_age`. Asking goes on when
    /// nobody waits for it any more: what a slow upstream tells is good for the next.
    pub async fn refresh(&self, max_age: Duration) {
        let asking = Arc::clone(&self.upstreams.asking);
        let turn = match Arc::clone(&asking).try_lock_owned() {
            Ok(turn) => turn,
            // Somebody is asking right now. What was told before will do, unless, as after a start, nothing was.
            Err(_) if self.upstreams.is_any_untold() => asking.lock_owned().await,
            Err(_) => return,
        };
        let to_ask = self.upstreams.to_ask(max_age);
        if to_ask.is_empty() {
            return;
        }
        let (upstreams, requests) = (Arc::clone(&self.upstreams), Rc::clone(&self.requests));
        let asked = actix_web::rt::spawn(async move {
            ask_for_models(&upstreams, &requests, &to_ask).await;
            drop(turn);
        });
        // A panic is in the log already.
        let _ = asked.await;
    }

    fn look_up(&self, model: &str) -> Option<Arc<Found>> {
        let edition = self.upstreams.edition();
        if self.catalog.borrow().0 != edition {
            *self.catalog.borrow_mut() = (edition, self.upstreams.catalog());
        }
        self.catalog.borrow().1.find(model, |name| self.intern(name))
    }

    /// Returns a name to count under: a bounded number of them, and never one that holds a key.
    fn intern(&self, name: &str) -> Arc<str> {
        let mut names = self.names.borrow_mut();
        if let Some(known) = names.get(name) {
            return Arc::clone(known);
        }
        if names.len() >= MOST_NAMES || name.len() > 200 || token::is_within(name) {
            return "other".into();
        }
        let name: Arc<str> = name.into();
        names.insert(Arc::clone(&name));
        name
    }

    fn index_of(&self, server: &Arc<ModelServer>) -> usize {
        let servers = self.upstreams.servers();
        servers.iter().position(|known| Arc::ptr_eq(known, server)).expect("offers name configured upstreams")
    }
}

/// Asks these upstreams for their models, all at once.
async fn ask_for_models(upstreams: &Upstreams, requests: &[Option<Rc<Prepared>>], to_ask: &[usize]) {
    join_all(to_ask.iter().map(|&index| async move {
        let server = &upstreams.servers()[index];
        let Some(requests) = &requests[index] else { return };
        if let Some(models) = attempt::models(requests, server, &upstreams.clock).await {
            upstreams.told(index, models);
        }
    }))
    .await;
    upstreams.asked(to_ask);
}
