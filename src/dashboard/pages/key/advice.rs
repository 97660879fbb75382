//! How a key could be tightened: each suggestion with its reason, and applied by a button.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use serde_json::{Map, Value};

use super::{Head, Tab};
use crate::admin::advice::{self, AdviceView};
use crate::admin::key_body::KeyBody;
use crate::admin::keys;
use crate::dashboard::frame::{Frame, Place};
use crate::dashboard::trouble::label_of;
use crate::dashboard::{Visit, assets, page, text};
use crate::http::{ApiError, json};

#[derive(Template)]
#[template(path = "key_advice.html")]
struct AdvicePage {
    frame: Frame,
    head: Head,
    advice: AdviceView,
    /// Whether what was to be applied is advised no longer.
    is_stale: bool,
}

/// Shows how a key could be tightened.
pub(in crate::dashboard::pages) async fn show(visit: Visit) -> Result<HttpResponse, ApiError> {
    let advice = advice::of(&visit.desk, visit.key_id()?).await?;
    visit.advice_page(StatusCode::OK, advice, false).await
}

/// Applies what was suggested, if it is still advised.
pub(in crate::dashboard::pages) async fn apply(visit: Visit) -> Result<HttpResponse, ApiError> {
    let id = visit.key_id()?;
    let wanted: Map<String, Value> = serde_json::from_str(visit.form.text("patch"))
        .map_err(|_| ApiError::bad_request("the form does not say what to apply"))?;
    // The key may have been used since in a way that what was suggested then would refuse.
    let advice = advice::of(&visit.desk, id).await?;
    if wanted.is_empty() || wanted.iter().any(|(setting, to)| advice.patch.get(setting) != Some(to)) {
        return visit.advice_page(StatusCode::CONFLICT, advice, true).await;
    }
    let names: Vec<_> = wanted.keys().map(|setting| label_of(setting)).collect();
    let done = format!("Applied: {}.", names.join(", "));
    keys::change(&visit.desk, id, json::value::<KeyBody>(wanted.into())?).await?;
    Ok(visit.done(&format!("/keys/{id}/advice"), done))
}

impl Visit {
    async fn advice_page(
        &self,
        status: StatusCode,
        advice: AdviceView,
        is_stale: bool,
    ) -> Result<HttpResponse, ApiError> {
        let head = Head::of(self, Tab::Advice).await?;
        page(status, &AdvicePage { frame: self.frame(Place::Keys), head, advice, is_stale })
    }
}

impl AdvicePage {
    /// Returns all suggestions, as the form sends them.
    fn all(&self) -> String {
        Value::from(self.advice.patch.clone()).to_string()
    }

    /// Returns one suggestion, as the form sends it.
    fn one_of(&self, setting: &str) -> String {
        let to = self.advice.patch.get(setting).cloned().unwrap_or_default();
        Value::from(Map::from_iter([(setting.to_owned(), to)])).to_string()
    }
}

/// Tells what a setting is set to, as people say it.
fn told(setting: &str, value: &Value) -> String {
    let nothing = match setting {
        "allowed_ips" => "from anywhere",
        "allowed_models" => "all models",
        "scopes" => "nothing",
        _ => "no limit",
    };
    match value {
        Value::Array(all) if all.is_empty() => nothing.to_owned(),
        Value::Array(all) => all
            .iter()
            .map(|one| one.as_str().map_or_else(|| one.to_string(), scope_told))
            .collect::<Vec<_>>()
            .join(", "),
        Value::Null => nothing.to_owned(),
        Value::Number(number) => text::count(number),
        other => other.to_string(),
    }
}

fn scope_told(one: &str) -> String {
    if one == "*" { "everything (*)".to_owned() } else { one.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_setting_is_set_to_is_told_in_words() {
        let cases = [
            ("allowed_ips", json!([]), "from anywhere"),
            ("allowed_models", json!(["a", "b"]), "a, b"),
            ("scopes", json!(["*"]), "everything (*)"),
            ("max_concurrent", json!(null), "no limit"),
            ("requests_per_minute", json!(1_200), "1\u{202f}200"),
        ];
        for (setting, value, expected) in cases {
            assert_eq!(told(setting, &value), expected, "{setting}");
        }
    }
}
