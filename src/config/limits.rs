//! `[limits]`, `[plans.<name>]` and `[signing]`: what the gate asks of a request.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use super::bounds::{count, is_name, seconds};
use super::defaults;
use super::error::{Fault, Problem};
use super::file::{PlanFile, SigningFile};
use crate::domain::plan::Plans;

const DAY: i64 = 86_400;

/// Limits that are not a key's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The attempts without a valid key that one client address may make in a minute.
    pub failed_auth_per_minute: NonZeroU32,
}

/// What is asked of request signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signing {
    /// Whether every key must sign, whatever it says itself.
    pub required: bool,
    /// How far a signature's timestamp may be from the server's clock.
    pub max_skew: Duration,
}

impl Limits {
    pub(super) fn new(failed_auth_per_minute: i64) -> Result<Self, Fault> {
        let setting = "limits.failed_auth_per_minute";
        Ok(Self { failed_auth_per_minute: count(setting, failed_auth_per_minute, u32::MAX)? })
    }
}

impl TryFrom<SigningFile> for Signing {
    type Error = Fault;

    fn try_from(file: SigningFile) -> Result<Self, Fault> {
        let max_skew = seconds("signing.max_skew_seconds", file.max_skew_seconds, 1..=DAY)?;
        Ok(Self { required: file.required, max_skew })
    }
}

/// Returns the built-in plans as the file changes them, and those it adds.
pub(super) fn plans(written: BTreeMap<String, PlanFile>, default: String) -> Result<Plans, Fault> {
    let built_in = defaults::PLANS.map(|(name, limit)| (name.to_owned(), limit.and_then(NonZeroU32::new)));
    let mut plans = BTreeMap::from(built_in);
    for (name, plan) in written {
        let limit = limit(&name, &plan)?;
        let entry = plans.entry(name).or_default();
        // A built-in plan that is named without a limit stays as it is.
        *entry = limit.or(*entry);
    }
    Plans::new(plans, default).map_err(|error| Fault::new("limits.default_plan", error))
}

/// Tells whether a plan may be named so. Lower case, because variables' names do not tell cases apart.
pub(super) fn is_plan_name(name: &str) -> bool {
    is_name(name, |c| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-'))
}

fn limit(name: &str, plan: &PlanFile) -> Result<Option<NonZeroU32>, Fault> {
    if !is_plan_name(name) {
        return Err(Fault::new(format!("plans.{}", name.escape_debug()), Problem::BadPlanName));
    }
    let setting = format!("plans.{name}.requests_per_minute");
    plan.requests_per_minute.map(|limit| count(&setting, limit, u32::MAX)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, requests_per_minute: Option<i64>) -> Result<Plans, Fault> {
        plans([(name.to_owned(), PlanFile { requests_per_minute })].into(), "standard".to_owned())
    }

    #[test]
    fn a_written_plan_changes_a_built_in_one_or_stands_beside_them() {
        let cases = [
            // written               asked for      limit
            ("free", Some(5), "free", Some(5)),
            ("free", None, "free", Some(10)),
            ("free", Some(5), "professional", Some(300)),
            ("gold", Some(1000), "gold", Some(1000)),
            ("gold", None, "gold", None),
            ("enterprise", Some(900), "enterprise", Some(900)),
            ("gold", Some(1000), "enterprise", None),
        ];
        for (name, limit, asked, expected) in cases {
            let plans = with(name, limit).unwrap();
            assert_eq!(plans.limit(asked, None).ok().map(NonZeroU32::get), expected, "{name} {asked}");
        }
    }

    #[test]
    fn a_plan_is_refused_for_its_limit_or_its_name() {
        let cases = [
            ("free", Some(0), "plans.free.requests_per_minute"),
            ("free", Some(-1), "plans.free.requests_per_minute"),
            ("free", Some(1 << 32), "plans.free.requests_per_minute"),
            ("Gold", Some(5), "plans.Gold"),
            ("", Some(5), "plans."),
            ("a.b", Some(5), "plans.a.b"),
        ];
        for (name, limit, setting) in cases {
            assert_eq!(with(name, limit).unwrap_err().setting, setting, "{name} {limit:?}");
        }
    }

    #[test]
    fn the_default_plan_must_be_one_with_a_limit() {
        for name in ["gold", "enterprise", ""] {
            let fault = plans(BTreeMap::new(), name.to_owned()).unwrap_err();
            assert_eq!(fault.setting, "limits.default_plan", "{name}");
        }
    }
}
