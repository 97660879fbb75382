//! An alert as each kind of webhook takes it.

use serde::Deserialize;
use serde_json::json;

use crate::domain::webhook::Format;

/// The longest message that Discord takes, in characters.
const LONGEST_DISCORD: usize = 2_000;

/// What is sent to a webhook.
#[derive(Debug)]
pub(super) struct Message {
    /// Headers besides the usual ones.
    pub headers: Vec<(&'static str, String)>,
    /// What it is.
    pub media_type: &'static str,
    /// The body.
    pub body: String,
}

/// What is needed of an alert's JSON.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    kind: String,
    summary: String,
}

/// Returns the message for an alert, which is JSON text.
pub(super) fn render(format: Format, alert: &str) -> Message {
    let told = || serde_json::from_str::<Told>(alert).unwrap_or_default();
    match format {
        Format::Json => plain("application/json", alert.to_owned()),
        Format::Ntfy => ntfy(&told()),
        Format::Slack => slack(&told()),
        Format::Discord => discord(&told()),
    }
}

const fn plain(media_type: &'static str, body: String) -> Message {
    Message { headers: Vec::new(), media_type, body }
}

fn ntfy(told: &Told) -> Message {
    let priority = match told.kind.as_str() {
        "failed_auth" | "new_client_address" | "rotated_key_in_use" => "high",
        _ => "default",
    };
    let headers = vec![
        ("Title", format!("mcpd: {}", told.kind)),
        ("Priority", priority.to_owned()),
        ("Tags", format!("warning,{}", told.kind)),
    ];
    Message { headers, ..plain("text/plain; charset=utf-8", told.summary.clone()) }
}

fn slack(told: &Told) -> Message {
    let text = told.summary.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    plain("application/json", json!({"text": text}).to_string())
}

fn discord(told: &Told) -> Message {
    let content: String = told.summary.chars().take(LONGEST_DISCORD).collect();
    let body = json!({"content": content, "username": "mcpd", "allowed_mentions": {"parse": []}});
    plain("application/json", body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_webhook_gets_what_it_takes() {
        let alert = r#"{"id":"alert_1","kind":"failed_auth","summary":"20 <b> & @everyone"}"#;
        let cases = [
            (Format::Json, alert.to_owned()),
            (Format::Ntfy, "20 <b> & @everyone".to_owned()),
            (Format::Slack, r#"{"text":"20 &lt;b&gt; &amp; @everyone"}"#.to_owned()),
            (
                Format::Discord,
                r#"{"content":"20 <b> & @everyone","username":"mcpd","allowed_mentions":{"parse":[]}}"#
                    .to_owned(),
            ),
        ];
        for (format, body) in cases {
            assert_eq!(render(format, alert).body, body);
        }
        let ntfy = render(Format::Ntfy, alert).headers;
        assert_eq!(ntfy[0], ("Title", "mcpd: failed_auth".to_owned()));
        assert_eq!(ntfy[1], ("Priority", "high".to_owned()));
        assert_eq!(ntfy[2], ("Tags", "warning,failed_auth".to_owned()));
        let long = json!({"summary": "ü".repeat(3_000)}).to_string();
        let content: serde_json::Value = serde_json::from_str(&render(Format::Discord, &long).body).unwrap();
        assert_eq!(content["content"].as_str().unwrap().chars().count(), 2_000);
    }
}
