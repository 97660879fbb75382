//! What the steps of an explanation are called.

/// Returns what a step looks at.
pub(super) fn step(name: &str) -> &str {
    match name {
        "bearer_token" => "Key sent",
        "format" => "Form of the key",
        "key" => "Key known",
        "status" => "Key in force",
        "client_address" => "Client address",
        "route" => "Route",
        "scope" => "Scope",
        "concurrency" => "Requests at a time",
        "rate_limit" => "Requests a minute",
        "signature" => "Signature",
        "model" => "Model",
        other => other,
    }
}

/// Returns how the outcome of a step is told: its badge and a word.
pub(super) fn outcome(name: &str) -> (&'static str, &'static str) {
    match name {
        "pass" => ("good", "passes"),
        "refuse" => ("bad", "refuses"),
        _ => ("off", "skipped"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Step;

    #[test]
    fn every_step_has_words() {
        for known in Step::ALL {
            assert_ne!(step(known.name()), known.name());
        }
    }
}
