//! Plans that keys are on and that left the configuration: what is in force in their place.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::client::{Answer, Client};
use crate::cli::output::clean;

/// Where the name of the plan stands whose limit is in force instead.
const INSTEAD: &str = "plan_in_force";

/// Returns an answer that has keys, or is one, with each plan that is gone marked as such; as it came for programs.
pub(super) async fn marked(client: &Client, mut answer: Answer, as_json: bool) -> Result<Answer> {
    let keys = answer
        .value
        .get("data")
        .and_then(Value::as_array)
        .map_or(std::slice::from_ref(&answer.value), Vec::as_slice);
    if !as_json && keys.iter().any(|key| key["plan"].is_string()) {
        mark(&mut answer.value, &client.get("/admin/v1/server", &[]).await?.value);
    }
    Ok(answer)
}

fn mark(answer: &mut Value, server: &Value) {
    let Some(plans) = server["plans"].as_object() else { return };
    let mark_one = |key: &mut Value| {
        let lost = key["plan"].as_str().filter(|plan| !plans.contains_key(*plan));
        if let Some(marked) = lost.map(|plan| format!("{plan} (gone)")) {
            key["plan"] = json!(marked);
            key[INSTEAD] = server["default_plan"].clone();
        }
    };
    match answer.get_mut("data").and_then(Value::as_array_mut) {
        Some(keys) => keys.iter_mut().for_each(mark_one),
        None => mark_one(answer),
    }
}

/// Returns a line that says what holds for keys on plans that are gone; nothing where there are none.
pub(super) fn note(keys: &[Value]) -> String {
    let instead: BTreeSet<&str> = keys.iter().filter_map(|key| key[INSTEAD].as_str()).collect();
    let say = |plan: &str| {
        clean(&format!(
            "(gone): the plan is not in the configuration. A key on it that has no limit of its own gets that of \
             `{plan}`."
        ))
    };
    instead.into_iter().map(|plan| say(plan) + "\n").collect()
}
