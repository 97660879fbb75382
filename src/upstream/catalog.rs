//! Which upstreams have which models.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::config::{Kind, Models};

use super::echo;
use super::model_server::ModelServer;

/// Every model that can be asked for, and where.
#[derive(Debug, Default)]
pub struct Catalog {
    entries: HashMap<Arc<str>, Entry>,
    /// The echo upstream, where it is the only one: it answers for every name.
    any: Option<Arc<ModelServer>>,
}

/// Where a model is.
#[derive(Debug, Default)]
struct Entry {
    offers: Vec<Offer>,
    turn: Arc<AtomicUsize>,
}

/// An upstream that has a model, and what it calls it.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The upstream.
    pub server: Arc<ModelServer>,
    /// The model's name there.
    pub name: Arc<str>,
}

/// A model, and the upstreams that have it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The model as clients name it.
    pub model: Arc<str>,
    /// Where it is; one at the least.
    pub offers: Vec<Offer>,
    /// Turns of the weighted choice: each model has its own, or models asked for in a pattern would each go to
    /// one upstream.
    pub turn: Arc<AtomicUsize>,
}

impl Catalog {
    /// Returns the catalog of these upstreams; `asked` has what each upstream that lists `*` told.
    pub fn new(servers: &[Arc<ModelServer>], asked: &[Vec<String>]) -> Self {
        let mut catalog = Self::default();
        for (server, asked) in servers.iter().zip(asked) {
            match (&server.models, server.kind) {
                (_, Kind::Echo) => catalog.offer(echo::MODEL, echo::MODEL, server),
                (Models::All, _) => {
                    for model in asked {
                        catalog.offer(model, model, server);
                    }
                }
                (Models::Listed(models), _) => {
                    for (model, name) in models {
                        catalog.offer(model, name, server);
                    }
                }
            }
        }
        if servers.iter().all(|server| server.kind == Kind::Echo) {
            catalog.any = servers.first().cloned();
        }
        catalog
    }

    /// Returns where the model is. `intern` keeps a name that is in no list.
    pub fn find(&self, model: &str, intern: impl FnOnce(&str) -> Arc<str>) -> Option<Found> {
        if let Some((model, Entry { offers, turn })) = self.entries.get_key_value(model) {
            return Some(Found { model: Arc::clone(model), offers: offers.clone(), turn: Arc::clone(turn) });
        }
        let server = self.any.clone()?;
        let name = intern(model);
        Some(Found { model: Arc::clone(&name), offers: vec![Offer { server, name }], turn: Arc::default() })
    }

    /// Returns the models' names, in order.
    pub fn models(&self) -> BTreeSet<&str> {
        self.entries.keys().map(AsRef::as_ref).collect()
    }

    /// Returns the models of one upstream, in order.
    pub fn models_of(&self, server: &Arc<ModelServer>) -> BTreeSet<&str> {
        let has = |entry: &Entry| entry.offers.iter().any(|offer| Arc::ptr_eq(&offer.server, server));
        self.entries.iter().filter(|(_, entry)| has(entry)).map(|(model, _)| model.as_ref()).collect()
    }

    /// Returns whose model it is: the name of the first upstream that has it.
    pub fn owner(&self, model: &str) -> Option<&str> {
        Some(&self.entries.get(model)?.offers.first()?.server.name)
    }

    fn offer(&mut self, model: &str, name: &str, server: &Arc<ModelServer>) {
        let offer = Offer { server: Arc::clone(server), name: name.into() };
        self.entries.entry(model.into()).or_default().offers.push(offer);
    }
}
