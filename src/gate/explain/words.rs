//! What each step is told with: the rule, and the value that it was held against.

use std::fmt::Display;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::domain::key::{Key, Settings};
use crate::domain::report_only::Setting;
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::domain::token;
use crate::domain::window::Quota;
use crate::gate::keyring::{Entry, Keyring};
use crate::gate::{Demand, Refusal, Step};

/// How many entries of a list are named.
const MOST_NAMED: usize = 10;

/// What is known of a request, as far as its steps were taken.
pub(super) struct Facts<'a> {
    /// Where names of keys are looked up.
    pub keyring: &'a Keyring,
    /// Method and path.
    pub request: &'a str,
    /// When it came in.
    pub at: Timestamp,
    /// What keeps the bearer token from being one.
    pub flaw: Option<&'static str>,
    /// Whose it is.
    pub entry: Option<Arc<Entry>>,
    /// The client's address, if it is known; none in it is one that could not be read.
    pub client: Option<Option<IpAddr>>,
    /// What its route asks for.
    pub demand: Option<Demand>,
    /// What is left of the limit.
    pub quota: Option<Quota>,
    /// The model that it names, if that is known.
    pub model: Option<String>,
    /// Whether it was refused some time ago: then how things are now says nothing.
    pub is_told_again: bool,
}

/// Says why a step lets a request through.
pub(super) fn passed(step: Step, facts: &Facts<'_>) -> String {
    let Some(entry) = &facts.entry else { return passed_by_anybody(step).to_owned() };
    let settings = &entry.key.settings;
    match step {
        Step::BearerToken | Step::Format => passed_by_anybody(step).to_owned(),
        Step::Key => format!("it is {}", entry.key.named()),
        Step::Status => format!("it is active{}{}", until(settings), rotated(&entry.key, facts.keyring)),
        Step::ClientAddress => address_passed(settings, facts.client.flatten()),
        Step::Route => match facts.demand {
            Some(Demand::Scope(scope)) => format!("{} asks for `{scope}`", facts.request),
            _ => format!("{} asks for no scope", facts.request),
        },
        Step::Scope => scope_passed(settings, facts.demand),
        Step::Concurrency => concurrency_passed(entry, facts),
        Step::RateLimit => rate_passed(facts),
        Step::Signature if facts.is_told_again => "it needs no signature, or has a good one".to_owned(),
        Step::Signature => "it needs no signature".to_owned(),
        Step::Model => match &facts.model {
            Some(model) if !settings.extras().allowed_models.as_slice().is_empty() => {
                format!("`{}` is among {}", token::redact(model), allowed_models(settings))
            }
            _ => "the key may name any model".to_owned(),
        },
    }
}

/// Says why a step refuses a request.
pub(super) fn refused(step: Step, refusal: &Refusal, facts: &Facts<'_>) -> String {
    let Some(entry) = &facts.entry else { return refused_unknown(step, refusal, facts) };
    let settings = &entry.key.settings;
    match refusal {
        Refusal::KeyInQuery | Refusal::MissingKey => refused_unknown(step, refusal, facts),
        Refusal::InvalidKey | Refusal::ExpiredKey | Refusal::TooManyFailedAttempts { .. } => {
            let rotated = rotated(&entry.key, facts.keyring);
            format!("{}{rotated}{}", ended(&entry.key, facts.at), slowed(refusal, facts))
        }
        Refusal::AddressNotAllowed => outside(settings, facts.client.flatten()),
        Refusal::MissingScope(scope) if facts.demand == Some(Demand::Scope(*scope)) => {
            lacking(settings, *scope)
        }
        Refusal::MissingScope(scope) => {
            format!("what the request's body calls for: {}", lacking(settings, *scope))
        }
        Refusal::TooManyConcurrent => {
            let most = settings.max_concurrent.map_or(0, NonZeroU32::get);
            format!("{most} of at most {most} requests are in flight")
        }
        Refusal::RateLimited(quota) => {
            format!("{}; {} s to wait", used(quota), quota.reset_seconds())
        }
        Refusal::MissingSignature => "it has no signature, and must have one".to_owned(),
        Refusal::InvalidSignature(error) => error.to_string(),
        Refusal::ReplayedSignature => "its signature was used before".to_owned(),
        Refusal::SignaturesExhausted => "the key has used more signatures than are remembered".to_owned(),
        Refusal::ModelNotAllowed(model) => {
            format!("`{}` is not among {}", token::redact(model), allowed_models(settings))
        }
    }
}

/// Says where a key may be used from, to who did not say from where.
pub(super) fn unsaid_address(settings: &Settings) -> String {
    format!("`ip` was not given, which would be held against {}", allowed_ips(settings))
}

/// Says which models a key may name, to who did not say which.
pub(super) fn unsaid_model(settings: &Settings) -> String {
    format!("`model` was not given, which would be held against {}", allowed_models(settings))
}

/// Says why a request must be signed.
pub(super) fn must_sign(settings: &Settings) -> String {
    let whose = if settings.require_signature { "this key's requests" } else { "all requests" };
    format!("{whose} must be signed; a dry run has no body to check")
}

fn passed_by_anybody(step: Step) -> &'static str {
    match step {
        Step::BearerToken => "a bearer token was sent",
        Step::Format => "it begins as a key does, and has a key's length and checksum",
        _ => "",
    }
}

fn refused_unknown(step: Step, refusal: &Refusal, facts: &Facts<'_>) -> String {
    let why = match step {
        Step::BearerToken if *refusal == Refusal::KeyInQuery => {
            "its query string carries a key, or a parameter that is there for one"
        }
        Step::BearerToken => "no bearer token was sent",
        Step::Format => facts
            .flaw
            .unwrap_or("it is no key: those are `mcp_sk_` and 32 letters and digits with a checksum"),
        Step::Key => "no key is like it: it was deleted, or made by another server",
        _ => "the key ended while the request was being answered",
    };
    format!("{why}{}", slowed(refusal, facts))
}

fn slowed(refusal: &Refusal, facts: &Facts<'_>) -> String {
    let Refusal::TooManyFailedAttempts { retry_after } = refusal else { return String::new() };
    let address = facts.client.flatten().map_or_else(|| "its address".to_owned(), shown);
    format!("; too many such attempts from {address} in the last 60 s: {retry_after} s to wait")
}

/// Says why a key does not work, or that it was deleted meanwhile.
fn ended(key: &Key, at: Timestamp) -> String {
    key.ended(at)
        .map_or_else(|| "it ended while the request was being answered".to_owned(), |why| format!("it {why}"))
}

fn until(settings: &Settings) -> String {
    settings.expires_at.map_or_else(String::new, |end| format!(" until {end}"))
}

/// Says which key took over, if one did.
fn rotated(key: &Key, keyring: &Keyring) -> String {
    let Some(successor) = key.rotated_to() else { return String::new() };
    match keyring.get(successor) {
        Some(entry) => format!("; it was rotated to {}", entry.key.named()),
        None => format!("; it was rotated to {successor}, which was deleted since"),
    }
}

fn address_passed(settings: &Settings, client: Option<IpAddr>) -> String {
    if settings.extras().allowed_ips.as_slice().is_empty() {
        return "the key may be used from any address".to_owned();
    }
    if !settings.extras().allowed_ips.permit(client) {
        return only_reported(Setting::AllowedIps, &outside(settings, client));
    }
    let address = client.map_or_else(String::new, shown);
    format!("{address} is within {}", allowed_ips(settings))
}

fn outside(settings: &Settings, client: Option<IpAddr>) -> String {
    match client {
        Some(client) => format!("{} is outside {}", shown(client), allowed_ips(settings)),
        None => {
            format!("the address that the proxy sent cannot be read, and there are {}", allowed_ips(settings))
        }
    }
}

fn scope_passed(settings: &Settings, demand: Option<Demand>) -> String {
    let Some(Demand::Scope(scope)) = demand else { return "any live key will do".to_owned() };
    if !settings.scopes.contains(scope) {
        return only_reported(Setting::Scopes, &lacking(settings, scope));
    }
    format!("the key has {}", settings.scopes.names().join(", "))
}

fn lacking(settings: &Settings, scope: Scope) -> String {
    format!("the key lacks `{scope}`; it has {}", settings.scopes.names().join(", "))
}

fn only_reported(setting: Setting, why: &str) -> String {
    format!("would be refused, but `{}` is report-only: {why}", setting.name())
}

fn concurrency_passed(entry: &Entry, facts: &Facts<'_>) -> String {
    match entry.key.settings.max_concurrent {
        Some(most) if facts.is_told_again => format!("fewer than {most} requests were in flight"),
        Some(most) => format!("{} of at most {most} requests are in flight", entry.allowance().in_flight()),
        None => "any number of requests may be in flight".to_owned(),
    }
}

fn rate_passed(facts: &Facts<'_>) -> String {
    match &facts.quota {
        Some(quota) if facts.is_told_again => format!("{}, this one included", used(quota)),
        Some(quota) => used(quota),
        None => "there was room".to_owned(),
    }
}

fn used(quota: &Quota) -> String {
    let used = quota.limit.saturating_sub(quota.remaining);
    format!("{used} of {} requests in the last 60 s are used", quota.limit)
}

fn allowed_ips(settings: &Settings) -> String {
    format!("allowed_ips ({})", listed(settings.extras().allowed_ips.as_slice()))
}

fn allowed_models(settings: &Settings) -> String {
    format!("allowed_models ({})", listed(settings.extras().allowed_models.as_slice()))
}

/// Names the first entries of a list.
fn listed(entries: &[impl Display]) -> String {
    let mut named: Vec<String> = entries.iter().take(MOST_NAMED).map(ToString::to_string).collect();
    if entries.len() > MOST_NAMED {
        named.push(format!("and {} more", entries.len() - MOST_NAMED));
    }
    named.join(", ")
}

fn shown(address: IpAddr) -> String {
    address.to_canonical().to_string()
}
