//! What each step says, in order.

use super::words::{self, Facts};
use crate::gate::{Refusal, Step};

/// What would become of a request, or became of it.
#[derive(Debug)]
pub struct Explanation {
    /// Each step, in order.
    pub steps: Vec<Told>,
    /// What the gate refuses with; none where it lets through, or where there is nothing behind it.
    pub refusal: Option<Refusal>,
}

/// What a step says.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// The step.
    pub step: Step,
    /// What comes of it.
    pub outcome: Outcome,
    /// Why, for the operator.
    pub detail: String,
}

/// What comes of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant's name is its meaning")]
pub enum Outcome {
    Pass,
    Refuse,
    Skip,
}

/// A step has refused: none after it is tried.
pub(super) struct Decided;

/// An explanation in the making.
pub(super) struct Telling<'a> {
    /// What is known so far.
    pub facts: Facts<'a>,
    told: Explanation,
}

impl Explanation {
    /// Returns the step that refuses.
    pub fn decided_by(&self) -> Option<Step> {
        self.steps.iter().find(|told| told.outcome == Outcome::Refuse).map(|told| told.step)
    }
}

impl Outcome {
    /// Returns the outcome's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Refuse => "refuse",
            Self::Skip => "skip",
        }
    }
}

impl<'a> Telling<'a> {
    pub(super) fn new(facts: Facts<'a>) -> Self {
        Self { facts, told: Explanation { steps: Vec::new(), refusal: None } }
    }

    /// Tells what a check has said.
    pub(super) fn check<T>(&mut self, step: Step, checked: Result<T, Refusal>) -> Result<T, Decided> {
        match checked {
            Ok(value) => {
                self.pass(step);
                Ok(value)
            }
            Err(refusal) => Err(self.refuse(step, refusal)),
        }
    }

    pub(super) fn pass(&mut self, step: Step) {
        let detail = words::passed(step, &self.facts);
        self.tell(step, Outcome::Pass, detail);
    }

    pub(super) fn refuse(&mut self, step: Step, refusal: Refusal) -> Decided {
        let detail = words::refused(step, &refusal, &self.facts);
        self.tell(step, Outcome::Refuse, detail);
        self.told.refusal = Some(refusal);
        Decided
    }

    /// Tells that there is nothing behind the gate.
    pub(super) fn end(&mut self, step: Step, why: &str) -> Decided {
        self.tell(step, Outcome::Refuse, why.to_owned());
        Decided
    }

    pub(super) fn skip(&mut self, step: Step, why: &str) {
        self.tell(step, Outcome::Skip, why.to_owned());
    }

    /// Skips all that is left before the step.
    pub(super) fn skip_until(&mut self, step: Step, why: &str) {
        self.rest().filter(|left| *left < step).for_each(|left| self.skip(left, why));
    }

    /// Lets through all that is left.
    pub(super) fn pass_all(&mut self, why: &str) {
        self.rest().for_each(|left| self.tell(left, Outcome::Pass, why.to_owned()));
    }

    /// Returns the explanation; what a refusal has left over is skipped.
    pub(super) fn finish(mut self) -> Explanation {
        if let Some(step) = self.told.decided_by() {
            let why = format!("`{}` has decided already", step.name());
            self.rest().for_each(|left| self.skip(left, &why));
        }
        self.told
    }

    fn rest(&self) -> impl Iterator<Item = Step> + use<> {
        Step::ALL.into_iter().skip(self.told.steps.len())
    }

    fn tell(&mut self, step: Step, outcome: Outcome, detail: String) {
        self.told.steps.push(Told { step, outcome, detail });
    }
}
