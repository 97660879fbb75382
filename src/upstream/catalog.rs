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
    entries: HashMap<Arc<str>, Arc<Found>>,
    /// The echo upstream, where it is the only one: it answers for every name.
    any: Option<Arc<ModelServer>>,
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
#[derive(Debug)]
pub struct Found {
    /// The model as clients name it.
    pub model: Arc<str>,
    /// Where it is; one at the least.
    pub offers: Vec<Offer>,
    /// Turns of the weighted choice: each model has its own, or models asked for in a pattern would each go to
    /// one upstream.
    pub turn: AtomicUsize,
}

/// Who offers which model.
#[derive(Default)]
struct Offers(HashMap<Arc<str>, Vec<Offer>>);

impl Catalog {
    /// Returns the catalog of these upstreams; `asked` has what each upstream that lists `*` told.
    pub fn new(servers: &[Arc<ModelServer>], asked: &[Vec<String>]) -> Self {
        let mut offers = Offers::default();
        for (server, asked) in servers.iter().zip(asked) {
            match (&server.models, server.kind) {
                (_, Kind::Echo) => offers.add(echo::MODEL, echo::MODEL, server),
                (Models::All, _) => {
                    for model in asked {
                        offers.add(model, model, server);
                    }
                }
                (Models::Listed(models), _) => {
                    for (model, name) in models {
                        offers.add(model, name, server);
                    }
                }
            }
        }
        let found = |(model, offers): (Arc<str>, _)| {
            (Arc::clone(&model), Arc::new(Found { model, offers, turn: AtomicUsize::default() }))
        };
        let is_echo = |server: &Arc<ModelServer>| server.kind == Kind::Echo;
        let any = servers.iter().all(is_echo).then(|| servers.first().cloned()).flatten();
        Self { entries: offers.0.into_iter().map(found).collect(), any }
    }

    /// Returns where the model is. `intern` keeps a name that is in no list.
    pub fn find(&self, model: &str, intern: impl FnOnce(&str) -> Arc<str>) -> Option<Arc<Found>> {
        if let Some(found) = self.entries.get(model) {
            return Some(Arc::clone(found));
        }
        let server = self.any.clone()?;
        let name = intern(model);
        let (model, offers) = (Arc::clone(&name), vec![Offer { server, name }]);
        Some(Arc::new(Found { model, offers, turn: AtomicUsize::default() }))
    }

    /// Returns the models' names, in order.
    pub fn models(&self) -> BTreeSet<&str> {
        self.entries.keys().map(AsRef::as_ref).collect()
    }

    /// Returns the models of one upstream, in order.
    pub fn models_of(&self, server: &Arc<ModelServer>) -> BTreeSet<&str> {
        let has = |found: &Found| found.offers.iter().any(|offer| Arc::ptr_eq(&offer.server, server));
        self.entries.iter().filter(|(_, found)| has(found)).map(|(model, _)| model.as_ref()).collect()
    }

    /// Returns whose model it is: the name of the first upstream that has it.
    pub fn owner(&self, model: &str) -> Option<&str> {
        Some(&self.entries.get(model)?.offers.first()?.server.name)
    }
}

impl Offers {
    fn add(&mut self, model: &str, name: &str, server: &Arc<ModelServer>) {
        let offer = Offer { server: Arc::clone(server), name: name.into() };
        self.0.entry(model.into()).or_default().push(offer);
    }
}
