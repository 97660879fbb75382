//! What the gate would answer and which step decides: a dry run, which takes nothing, or a refusal told again.

mod told;
mod words;

use std::net::IpAddr;
use std::sync::Arc;

pub use told::{Explanation, Outcome, Told};

use super::keyring::Entry;
use super::trail::Remembered;
use super::{Demand, Gate, Refusal, Step, checks, guessed};
use crate::clock::Now;
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use told::{Decided, Telling};
use words::Facts;

/// What is asked.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Whose request it would be.
    pub holder: Holder<'a>,
    /// The client's address, if it was said.
    pub client: Option<IpAddr>,
    /// What the request would find.
    pub target: Target<'a>,
    /// Its method and path, any key blanked out.
    pub request: &'a str,
    /// The model that it would name.
    pub model: Model<'a>,
    /// Whether all requests must be signed.
    pub must_sign: bool,
}

/// Whose request it would be.
#[derive(Debug)]
pub enum Holder<'a> {
    /// Whoever has this bearer token, if there is one.
    Bearer(Option<&'a [u8]>),
    /// This key's.
    Key(Arc<Entry>),
}

/// The model that a request would name.
#[derive(Clone, Copy, Debug)]
pub enum Model<'a> {
    /// This one.
    Named(&'a str),
    /// One that was not said.
    Unsaid,
    /// None: such requests name no model.
    Nothing,
}

/// What a request would find.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// A route that asks for a key.
    Route(Demand),
    /// No route, which only live keys are told: why.
    Hidden(&'a str),
    /// No route, which everybody is told: why.
    Nothing(&'a str),
    /// A key in the query string, so that no other is looked at.
    KeyInQuery,
    /// A route that asks for no key.
    Open,
}

impl Gate {
    /// Tells what would become of a request, by the same checks in the same order as real ones, taking nothing.
    pub fn explain(&self, asked: &Asked<'_>) -> Explanation {
        let now = self.clock.now();
        let client = asked.client.map(Some);
        let mut telling = Telling::new(Facts { client, ..self.facts(asked.request, now.wall) });
        // However it ends, what was told says it.
        let _ = self.attempt(asked, &mut telling, now);
        telling.finish()
    }

    /// Tells a refusal again, step by step.
    pub fn explain_refusal(&self, remembered: &Remembered) -> Explanation {
        let (asker, refused) = (&remembered.asker, &remembered.refused);
        let request = format!("{} {}", asker.method, asker.path);
        let mut telling = Telling::new(Facts {
            entry: refused.entry.clone(),
            client: Some(asker.client),
            is_told_again: true,
            demand: asker.demand,
            quota: refused.quota,
            ..self.facts(&request, asker.at)
        });
        for step in Step::ALL.into_iter().take_while(|step| *step < refused.step) {
            telling.pass(step);
        }
        telling.refuse(refused.step, refused.refusal.clone());
        telling.finish()
    }

    fn attempt(&self, asked: &Asked<'_>, telling: &mut Telling<'_>, now: Now) -> Result<(), Decided> {
        match asked.target {
            Target::Route(demand) => {
                let entry = self.attempt_to_identify(asked, telling, now)?;
                telling.facts.demand = Some(demand);
                telling.pass(Step::Route);
                telling.check(Step::Scope, checks::demand(&entry.key.settings, demand))?;
                attempt_to_take(&entry, telling, now)?;
                attempt_to_read(asked, &entry, telling)
            }
            Target::Hidden(why) => {
                self.attempt_to_identify(asked, telling, now)?;
                Err(telling.end(Step::Route, why))
            }
            Target::Nothing(why) => {
                telling.skip_until(Step::Route, "no key is asked for outside /v1");
                Err(telling.end(Step::Route, why))
            }
            Target::KeyInQuery => Err(telling.refuse(Step::BearerToken, Refusal::KeyInQuery)),
            Target::Open => {
                telling.pass_all(&format!("{} asks for no key", asked.request));
                Ok(())
            }
        }
    }

    /// Goes the way of [`Gate::identify`].
    fn attempt_to_identify(
        &self,
        asked: &Asked<'_>,
        telling: &mut Telling<'_>,
        now: Now,
    ) -> Result<Arc<Entry>, Decided> {
        let entry = match &asked.holder {
            Holder::Bearer(sent) => self.attempt_to_find(*sent, asked, telling, now)?,
            Holder::Key(entry) => {
                telling.skip_until(Step::Key, "asked by id");
                Arc::clone(entry)
            }
        };
        telling.facts.entry = Some(Arc::clone(&entry));
        telling.pass(Step::Key);
        let status = checks::status(&entry.key, now.wall);
        telling.check(Step::Status, status.map_err(|refusal| self.unusable(refusal, asked.client, now)))?;
        let settings = &entry.key.settings;
        if asked.client.is_none() && !settings.extras().allowed_ips.as_slice().is_empty() {
            telling.skip(Step::ClientAddress, &words::unsaid_address(settings));
        } else {
            telling.check(Step::ClientAddress, checks::client_address(settings, asked.client))?;
        }
        Ok(entry)
    }

    fn attempt_to_find(
        &self,
        sent: Option<&[u8]>,
        asked: &Asked<'_>,
        telling: &mut Telling<'_>,
        now: Now,
    ) -> Result<Arc<Entry>, Decided> {
        let unusable = |refusal| self.unusable(refusal, asked.client, now);
        let bearer = telling.check(Step::BearerToken, checks::bearer_token(sent))?;
        telling.facts.flaw = Token::flaw(bearer);
        let token = telling.check(Step::Format, checks::format(bearer).map_err(unusable))?;
        checks::key(&self.keyring, &token).map_err(|refusal| telling.refuse(Step::Key, unusable(refusal)))
    }

    /// What a key that does not work is refused with, by how often the address has failed already.
    fn unusable(&self, refusal: Refusal, client: Option<IpAddr>, now: Now) -> Refusal {
        match (refusal, client) {
            (Refusal::InvalidKey, Some(client)) => guessed(self.guesses.peek(client, now.steady)),
            (refusal, _) => refusal,
        }
    }

    fn facts<'a>(&'a self, request: &'a str, at: Timestamp) -> Facts<'a> {
        Facts {
            keyring: &self.keyring,
            request,
            at,
            flaw: None,
            entry: None,
            client: None,
            demand: None,
            quota: None,
            model: None,
            is_told_again: false,
        }
    }
}

/// Looks whether the limits have room, as far as taking from them would.
fn attempt_to_take(entry: &Entry, telling: &mut Telling<'_>, now: Now) -> Result<(), Decided> {
    let has_room = entry.allowance().has_room(entry.key.settings.max_concurrent);
    telling.check(Step::Concurrency, has_room.then_some(()).ok_or(Refusal::TooManyConcurrent))?;
    let quota = entry.allowance().peek(entry.requests_per_minute(), now.steady);
    telling.facts.quota = Some(quota);
    let has_room = quota.remaining > 0;
    telling.check(Step::RateLimit, has_room.then_some(()).ok_or(Refusal::RateLimited(quota)))
}

/// Tells of what is looked at once a request was let through.
fn attempt_to_read(asked: &Asked<'_>, entry: &Entry, telling: &mut Telling<'_>) -> Result<(), Decided> {
    let settings = &entry.key.settings;
    if asked.must_sign || settings.require_signature {
        telling.skip(Step::Signature, &words::must_sign(settings));
    } else {
        telling.pass(Step::Signature);
    }
    match asked.model {
        Model::Named(model) => {
            telling.facts.model = Some(model.to_owned());
            telling.check(Step::Model, checks::model(settings, model))?;
        }
        Model::Unsaid if settings.extras().allowed_models.as_slice().is_empty() => telling.pass(Step::Model),
        Model::Unsaid => telling.skip(Step::Model, &words::unsaid_model(settings)),
        Model::Nothing => telling.skip(Step::Model, &format!("{} names no model", asked.request)),
    }
    Ok(())
}
