//! `mcpd explain`

use std::path::Path;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use super::Misuse;
use super::client::{self, Client};
use super::fields::{self, text, time};
use super::output::{Screen, Style, clean, show};
use super::table::{Cell, Column, Kind, Table};
use super::{fields::rows, named, secret};

#[derive(Debug, Args)]
#[command(after_help = "\
Either a request is named that was refused, or a key: then it is told what would happen to a request
with it, and nothing is counted by that.

Examples:
  mcpd explain 01K2V9T3QW                                  why this request was refused (its X-Request-Id)
  mcpd explain --key-id laptop --path /v1/files --method GET
  mcpd explain --key-id laptop --ip 203.0.113.9 --model llama3.2
  mcpd explain --key-stdin < key.txt                       the key itself, never as an argument")]
pub(super) struct Arguments {
    /// The X-Request-Id of a request that was refused
    #[arg(conflicts_with_all = ["key_id", "key_stdin", "method", "path", "ip", "model"])]
    request_id: Option<String>,
    /// Explain for this key: an id or a name
    #[arg(long, value_name = "KEY", conflicts_with = "key_stdin")]
    key_id: Option<String>,
    /// Explain for the key on standard input; on a terminal it is asked for
    #[arg(long)]
    key_stdin: bool,
    /// The method, such as GET; POST where nothing is said
    #[arg(long)]
    method: Option<String>,
    /// The path; /v1/chat/completions where nothing is said
    #[arg(long)]
    path: Option<String>,
    /// The client's address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// The model that is asked for
    #[arg(long)]
    model: Option<String>,
    /// Print the answer of the admin API as it is
    #[arg(long)]
    json: bool,
}

/// Explains what happened or would happen.
pub(super) fn run(arguments: &Arguments, config: Option<&Path>) -> Result<()> {
    arguments.check()?;
    let given = [&arguments.request_id, &arguments.key_id, &arguments.path, &arguments.model];
    given.into_iter().flatten().try_for_each(|text| named::refuse_secret(text))?;
    client::ask(config, async |client| {
        let body = arguments.body(client).await?;
        let answer = client.post("/admin/v1/explain", &body).await?;
        show(&answer, arguments.json, render)
    })
}

impl Arguments {
    fn check(&self) -> Result<()> {
        if self.request_id.is_none() && self.key_id.is_none() && !self.key_stdin {
            bail!(Misuse(
                "say which request was refused, as in `mcpd explain req_egPGtaoDEQ0200000001`, or whose would be, as in \
                 `mcpd explain --key-id laptop --method GET --path /v1/files`"
                    .to_owned()
            ));
        }
        Ok(())
    }

    async fn body(&self, client: &Client) -> Result<Value> {
        let mut body = Map::new();
        if let Some(id) = &self.key_id {
            body.insert("key_id".to_owned(), named::key_id(client, id).await?.into());
        }
        if self.key_stdin {
            body.insert("key".to_owned(), secret::read("Key: ").await?.into());
        }
        // Methods are upper-case; in lower case they are others, which nobody means.
        let method = self.method.as_ref().map(|method| method.to_ascii_uppercase());
        let rest = [
            ("request_id", &self.request_id),
            ("method", &method),
            ("path", &self.path),
            ("ip", &self.ip),
            ("model", &self.model),
        ];
        let given =
            rest.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?))));
        body.extend(given);
        Ok(body.into())
    }
}

fn render(explained: &Value, screen: Screen) -> String {
    let mut table = Table::new(&[
        Column("STEP", Kind::Word),
        Column("OUTCOME", Kind::Word),
        Column("DETAIL", Kind::Sentence),
    ]);
    for step in rows(explained, "steps") {
        let outcome = text(step, "outcome");
        let style = match outcome.as_str() {
            "pass" => Style::Good,
            "refuse" => Style::Bad,
            _ => Style::Plain,
        };
        table.row([text(step, "step").into(), Cell::new(&outcome, style), text(step, "detail").into()]);
    }
    let allowed = explained["allowed"] == true;
    let verdict = screen.paint(&clean(&verdict(explained)), fields::style(allowed));
    format!("{}{}\n{verdict}\n", request(explained), table.render(screen))
}

/// The request that was refused, if it is one that was made.
fn request(explained: &Value) -> String {
    if explained["request_id"].is_null() {
        return String::new();
    }
    let field = |name: &str| text(explained, name);
    let request = format!("{} {} from {}", field("method"), field("path"), field("ip"));
    let line = format!(
        "Request {} at {}: {request}, key {}",
        field("request_id"),
        time(explained, "at"),
        field("key")
    );
    format!("{}\n\n", clean(&line))
}

fn verdict(explained: &Value) -> String {
    if explained["allowed"] == true {
        let skips = rows(explained, "steps").iter().filter(|step| step["outcome"] == "skip");
        let open: Vec<String> = skips
            .filter_map(|step| step["step"].as_str())
            .filter(|step| !matches!(*step, "bearer_token" | "format"))
            .map(|step| format!("`{}`", clean(step)))
            .collect();
        if !open.is_empty() {
            return format!("Allowed, as far as could be tried: not looked at were {}.", open.join(", "));
        }
        return "Allowed: the request would be let through.".to_owned();
    }
    let error = &explained["error"];
    let (status, code) = (text(explained, "status"), text(error, "code"));
    let decided_by = explained["decided_by"].as_str().map(|step| format!(" by `{step}`")).unwrap_or_default();
    format!("Refused{decided_by}, {status} {code}: {}", text(error, "message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Value {
        json!({
            "allowed": false, "status": 403, "decided_by": "client_address",
            "error": {"code": "ip_not_allowed", "message": "The API key may not be used from this address",
                "type": "permission_error"},
            "steps": [
                {"step": "status", "outcome": "pass", "detail": "active"},
                {"step": "client_address", "outcome": "refuse",
                    "detail": "203.0.113.9 is outside allowed_ips (10.0.0.0/8)"},
                {"step": "scope", "outcome": "skip", "detail": "client_address decided already"},
            ]
        })
    }

    #[test]
    fn a_refusal_is_explained_step_by_step() {
        let expected = "\
STEP            OUTCOME  DETAIL
status          pass     active
client_address  refuse   203.0.113.9 is outside allowed_ips (10.0.0.0/8)
scope           skip     client_address decided already

Refused by `client_address`, 403 ip_not_allowed: The API key may not be used from this address
";
        assert_eq!(render(&refused(), Screen::PLAIN), expected);
    }

    #[test]
    fn a_request_that_was_made_is_named_first() {
        let mut explained = refused();
        for (name, value) in [
            ("request_id", "abc"),
            ("at", "2026-11-23T20:41:49.194Z"),
            ("method", "GET"),
            ("path", "/v1/models"),
            ("ip", "203.0.113.9"),
            ("key", "key_1"),
        ] {
            explained[name] = json!(value);
        }
        let first = "Request abc at 2026-11-23T20:41:49Z: GET /v1/models from 203.0.113.9, key key_1\n\nSTEP";
        assert!(render(&explained, Screen::PLAIN).starts_with(first));
    }

    #[test]
    fn what_is_allowed_says_so() {
        let allowed = json!({"allowed": true, "status": 200, "error": null, "decided_by": null,
            "steps": [{"step": "key", "outcome": "pass", "detail": "found"}]});
        let shown = render(&allowed, Screen::PLAIN);
        assert!(shown.ends_with("\nAllowed: the request would be let through.\n"), "{shown}");
    }
}
