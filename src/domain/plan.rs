//! Plans: named request limits.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// Requests that a key may make in any 60 seconds.
pub type RequestsPerMinute = NonZeroU32;

/// How many names of plans are shared by all keys that are on them.
const SHARED: usize = 64;

/// The name of the plan that a key is on. A million keys on a few plans share a few names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanName(Arc<String>);

/// The plans of the configuration, and the one that a key gets unless it names another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plans {
    limits: BTreeMap<String, Option<RequestsPerMinute>>,
    default: String,
}

/// A plan that cannot be used as it was asked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No such plan.
    #[error("there is no plan `{name}`; the plans are {known}")]
    Unknown {
        /// The name as it was given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The plan sets no limit of its own and neither does the key.
    #[error("`{0}` sets no limit of its own: give the key `requests_per_minute`")]
    NeedsOwnLimit(String),
}

impl PlanName {
    /// Returns the name.
    pub fn new(name: &str) -> Self {
        static KNOWN: Mutex<Vec<PlanName>> = Mutex::new(Vec::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.iter().find(|known| ***known == *name) {
            return known.clone();
        }
        let new = Self(Arc::new(name.to_owned()));
        if known.len() < SHARED {
            known.push(new.clone());
        }
        new
    }
}

impl Deref for PlanName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Plans {
    /// Returns the plans; fails if the default is not among them or sets no limit.
    pub fn new(
        limits: BTreeMap<String, Option<RequestsPerMinute>>,
        default: String,
    ) -> Result<Self, PlanError> {
        let plans = Self { limits, default };
        plans.limit(&plans.default, None)?;
        Ok(plans)
    }

    /// Returns the name of the plan that a key gets unless it names another.
    pub fn default_name(&self) -> &str {
        &self.default
    }

    /// Returns every plan with its limit; `None` where each key says its own.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<RequestsPerMinute>)> {
        self.limits.iter().map(|(name, limit)| (name.as_str(), *limit))
    }

    /// Returns the limit in force for a key on the plan: its own, where it has one.
    pub fn limit(&self, name: &str, own: Option<RequestsPerMinute>) -> Result<RequestsPerMinute, PlanError> {
        let plan = self.limits.get(name).ok_or_else(|| PlanError::Unknown {
            name: super::token::redact(name).into_owned(),
            known: self.limits.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })?;
        own.or(*plan).ok_or_else(|| PlanError::NeedsOwnLimit(name.to_owned()))
    }

    /// Returns the limit for a stored key, whose plan may have left the configuration since: then the
    /// default plan's.
    pub fn limit_or_default(&self, name: &str, own: Option<RequestsPerMinute>) -> RequestsPerMinute {
        self.limit(name, own)
            .or_else(|_| self.limit(&self.default, own))
            .expect("`new` has checked that the default plan sets a limit")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans() -> Plans {
        let limits = [("free", NonZeroU32::new(10)), ("standard", NonZeroU32::new(60)), ("enterprise", None)];
        let limits = limits.map(|(name, limit)| (name.to_owned(), limit)).into();
        Plans::new(limits, "standard".to_owned()).unwrap()
    }

    #[test]
    fn a_key_s_own_limit_overrides_any_plan_s() {
        let own = NonZeroU32::new(7);
        let cases = [
            ("free", None, Ok(10)),
            ("free", own, Ok(7)),
            ("enterprise", own, Ok(7)),
            ("enterprise", None, Err(PlanError::NeedsOwnLimit("enterprise".to_owned()))),
        ];
        for (plan, own, expected) in cases {
            assert_eq!(plans().limit(plan, own).map(NonZeroU32::get), expected, "{plan} {own:?}");
        }
    }

    #[test]
    fn a_plan_that_left_the_configuration_means_the_default_one() {
        assert_eq!(plans().limit_or_default("gone", None).get(), 60);
        assert!(plans().limit("gone", None).unwrap_err().to_string().contains("enterprise, free, standard"));
    }
}
