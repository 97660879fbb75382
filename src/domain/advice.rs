//! Least privilege: settings of a key that are tighter than the ones it has, and would still have let through
//! everything that it was used for.

mod history;

use std::net::IpAddr;
use std::num::NonZeroU32;

pub use history::{Address, History};

use super::key::Settings;
use super::models::AllowedModels;
use super::network::{Network, Networks};
use super::scope::{Scope, Scopes};

/// More networks or models than this in a setting are no restriction that somebody looks after.
const MOST: usize = 32;

/// What a key was given.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// Its settings.
    pub settings: &'a Settings,
    /// The limit in force.
    pub requests_per_minute: u32,
}

/// What to change about a key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Advice {
    /// Tighter settings.
    pub suggestions: Vec<Suggestion>,
    /// Why there is none of some kind.
    pub notes: Vec<String>,
}

/// A tighter setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// The setting, and what it is to be.
    pub change: Change,
    /// Why.
    pub reason: String,
}

/// A setting, and what it is to be.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant's name is that of its setting")]
pub enum Change {
    Scopes(Scopes),
    AllowedIps(Networks),
    AllowedModels(AllowedModels),
    RequestsPerMinute(NonZeroU32),
    MaxConcurrent(NonZeroU32),
}

/// A suggestion, nothing if the setting fits, or why it cannot be told.
type Finding = Result<Option<Suggestion>, String>;

/// Returns what to change about a key that was used in this way.
pub fn advise(given: Given<'_>, history: &History) -> Advice {
    if history.requests == 0 {
        let unused = "The key let no request through in this time: nothing tells what it needs. If nobody misses it, \
                      disable or revoke it.";
        return Advice { notes: vec![unused.to_owned()], ..Advice::default() };
    }
    let mut advice = Advice::default();
    let settings = given.settings;
    for finding in [
        scopes(settings, history),
        addresses(settings, history),
        models(settings, history),
        Ok(rate(given.requests_per_minute, history)),
        Ok(concurrency(settings, history)),
    ] {
        match finding {
            Ok(suggestion) => advice.suggestions.extend(suggestion),
            Err(note) => advice.notes.push(note),
        }
    }
    advice
}

fn scopes(settings: &Settings, history: &History) -> Finding {
    let (given, used) = (settings.scopes, history.scopes);
    if used.is_empty() {
        return Err("scopes: no request called for one, and a key must have one.".to_owned());
    }
    if let Some(lost) = Scope::ALL.into_iter().find(|scope| used.contains(*scope) && !given.contains(*scope))
    {
        return Err(format!("scopes: the key was used for {lost}, which it does not have."));
    }
    if used == given {
        return Ok(None);
    }
    let unused = Scope::ALL.into_iter().filter(|scope| given.contains(*scope) && !used.contains(*scope));
    let unused: Vec<_> = unused.map(Scope::name).collect();
    let reason = if unused.is_empty() {
        "`*` also stands for scopes that are still to come".to_owned()
    } else {
        format!("nothing called for {}", unused.join(", "))
    };
    Ok(Some(Suggestion { change: Change::Scopes(used), reason }))
}

fn addresses(settings: &Settings, history: &History) -> Finding {
    if history.has_unknown_addresses {
        return Err(
            "allowed_ips: some requests came from addresses that could not be read, or from more than \
                    are told apart."
                .to_owned(),
        );
    }
    let given = &settings.extras().allowed_ips;
    if let Some(lost) = history.addresses.keys().find(|ip| !given.permit(Some(**ip))) {
        return Err(format!("allowed_ips: the key was used from {lost}, which is outside."));
    }
    if given.as_slice().is_empty() {
        return confine(history);
    }
    let is_used = |network: &&Network| history.addresses.keys().any(|ip| network.contains(*ip));
    let (used, unused): (Vec<&Network>, Vec<&Network>) = given.as_slice().iter().partition(is_used);
    // An empty list would let everybody in.
    if unused.is_empty() || used.is_empty() {
        return Ok(None);
    }
    let reason = format!("nothing came from {}", join(unused));
    Ok(Some(Suggestion { change: Change::AllowedIps(parse_networks(used)), reason }))
}

/// Returns the addresses that the key was used from, in place of none at all.
fn confine(history: &History) -> Finding {
    let network = |ip: &IpAddr| if ip.is_ipv6() { format!("{ip}/64") } else { ip.to_string() };
    let all = parse_networks(history.addresses.keys().map(network));
    if all.as_slice().len() > MOST {
        return Err(format!(
            "allowed_ips: the key was used from {} networks; up to {MOST} are suggested.",
            all.as_slice().len()
        ));
    }
    let reason = match all.as_slice() {
        [only] => format!("all requests came from {only}"),
        several => format!("all requests came from {} networks", several.len()),
    };
    Ok(Some(Suggestion { change: Change::AllowedIps(all), reason }))
}

fn models(settings: &Settings, history: &History) -> Finding {
    if history.has_unknown_models {
        return Err("allowed_models: of some requests it is not known which model they named.".to_owned());
    }
    let (given, used) = (&settings.extras().allowed_models, &history.models);
    if let Some(lost) = used.keys().find(|model| !given.permit(model)) {
        return Err(format!("allowed_models: the key was used for {lost}, which is not among them."));
    }
    let is_given =
        used.len() == given.as_slice().len() && given.as_slice().iter().all(|name| used.contains_key(name));
    if used.is_empty() || is_given {
        return Ok(None);
    }
    if used.len() > MOST {
        return Err(format!(
            "allowed_models: the key was used for {} models; up to {MOST} are suggested.",
            used.len()
        ));
    }
    let names: Vec<String> = used.keys().cloned().collect();
    let reason = match names.as_slice() {
        [only] => format!("all requests named {only}; `GET /v1/models` will list it alone"),
        several => {
            format!("all requests named one of {} models; `GET /v1/models` will list these", several.len())
        }
    };
    let models = AllowedModels::parse(names).map_err(|error| format!("allowed_models: {error}."))?;
    Ok(Some(Suggestion { change: Change::AllowedModels(models), reason }))
}

/// A limit that is at least twice what was needed holds nobody up, nor anybody off.
fn rate(limit: u32, history: &History) -> Option<Suggestion> {
    let peak = NonZeroU32::new(history.peak_requests_per_minute)?;
    let tighter = with_room(peak);
    if peak.get() > limit / 2 || tighter.get() >= limit {
        return None;
    }
    let reason = format!("no 60 seconds had more than {peak} requests");
    Some(Suggestion { change: Change::RequestsPerMinute(tighter), reason })
}

fn concurrency(settings: &Settings, history: &History) -> Option<Suggestion> {
    let peak = NonZeroU32::new(history.peak_concurrent)?;
    if settings.max_concurrent.is_some() {
        return None;
    }
    let reason = format!("no more than {peak} were in flight at once");
    Some(Suggestion { change: Change::MaxConcurrent(with_room(peak)), reason })
}

/// Returns a quarter more, rounded up to a number that people would choose.
fn with_room(peak: NonZeroU32) -> NonZeroU32 {
    let more = peak.get().saturating_add(peak.get().div_ceil(4));
    let step = match more {
        0..10 => 1,
        10..100 => 5,
        _ => 10_u32.pow(more.ilog10() - 1),
    };
    peak.saturating_add(more.checked_next_multiple_of(step).unwrap_or(more) - peak.get())
}

impl Change {
    /// Returns the setting's name.
    pub const fn setting(&self) -> &'static str {
        match self {
            Self::Scopes(_) => "scopes",
            Self::AllowedIps(_) => "allowed_ips",
            Self::AllowedModels(_) => "allowed_models",
            Self::RequestsPerMinute(_) => "requests_per_minute",
            Self::MaxConcurrent(_) => "max_concurrent",
        }
    }
}

fn parse_networks(names: impl IntoIterator<Item: ToString>) -> Networks {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    Networks::parse(names.iter().map(String::as_str))
        .expect("addresses, and networks that were parsed before")
}

fn join(names: impl IntoIterator<Item: ToString>) -> String {
    names.into_iter().map(|name| name.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
