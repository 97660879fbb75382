//! `mcpd alerts rules`

use anyhow::{Context as _, Result, bail};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::{Answer, Client};
use super::keys::length;
use super::output::show;
use super::{Misuse, alerts, named, say, secret, terminal};
use crate::domain::alert::Kind;
use crate::domain::webhook::Format;

const RULES: &str = "/admin/v1/alert-rules";

/// What is asked about rules; where nothing is, they are listed.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  mcpd alerts rules
  mcpd alerts rules add error_rate --key laptop --threshold 0.2 --window 15m
  mcpd alerts rules update rule_9f86d081884c7d659a2feaa0 --threshold 20
  mcpd alerts rules update rule_9f86d081884c7d659a2feaa0 --disable
  mcpd alerts rules delete rule_9f86d081884c7d659a2feaa0"
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    /// Print the answer of the admin API as it is
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a rule
    #[command(after_help = "\
Examples:
  mcpd alerts rules add error_rate --key laptop --threshold 0.2 --window 15m
  mcpd alerts rules add failed_auth --webhook https://ntfy.sh/my-topic --webhook-format ntfy
  mcpd alerts rules add rate_limited --key laptop --disabled      keep quiet about this one's")]
    Add(Add),
    /// Change a rule; what is not named stays as it is
    #[command(after_help = "\
Examples:
  mcpd alerts rules update rule_9f86d081884c7d659a2feaa0 --disable
  mcpd alerts rules update rule_9f86d081884c7d659a2feaa0 --threshold 20 --usual-window
  mcpd alerts rules update rule_9f86d081884c7d659a2feaa0 --webhook - < url.txt")]
    Update(Update),
    /// Delete a rule; its alerts stay
    #[command(after_help = "\
It asks first, on a terminal.

Examples:
  mcpd alerts rules delete rule_9f86d081884c7d659a2feaa0
  mcpd alerts rules delete rule_9f86d081884c7d659a2feaa0 --yes")]
    Delete(Delete),
}

#[derive(Debug, Args)]
struct Add {
    /// What it looks at
    #[arg(value_parser = kinds())]
    kind: String,
    /// Only for this key, an id or a name, in place of the rules for all keys
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Do not let it raise alerts yet
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an argument of its own")]
struct Update {
    /// The rule's id
    rule: String,
    /// Let it raise alerts
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Do not let it raise alerts
    #[arg(long)]
    disable: bool,
    #[command(flatten)]
    settings: Settings,
    /// Take the threshold that is usual for its kind
    #[arg(long, conflicts_with = "threshold")]
    usual_threshold: bool,
    /// Take the window that is usual for its kind
    #[arg(long, conflicts_with = "window")]
    usual_window: bool,
    /// Tell the log only
    #[arg(long, conflicts_with = "webhook")]
    no_webhook: bool,
}

#[derive(Debug, Args)]
struct Delete {
    /// The rule's id
    rule: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Print the answer of the admin API as it is
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Settings {
    /// When it is too much: a rate from 0 to 1, a factor, a count or days, as its kind has it
    #[arg(long, value_name = "N")]
    threshold: Option<f64>,
    /// How far it looks back: 5m, 24h
    #[arg(long, value_name = "D", value_parser = length)]
    window: Option<String>,
    /// Where its alerts are sent; - to read the URL from standard input, or to be asked for it
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// What the receiver understands; json where nothing is said
    #[arg(long, value_name = "FORMAT", requires = "webhook", value_parser = formats())]
    webhook_format: Option<String>,
    /// Sign what is sent with the secret on standard input; on a terminal it is asked for
    #[arg(long, requires = "webhook")]
    webhook_secret_stdin: bool,
    /// Print the answer of the admin API as it is
    #[arg(long, display_order = 900)]
    json: bool,
}

/// Lists rules, or changes them.
pub(super) async fn run(client: &Client, arguments: &Arguments) -> Result<()> {
    match &arguments.action {
        None => show(&client.get(RULES, &[("limit", "1000")]).await?, arguments.json, alerts::render_rules),
        Some(Action::Add(add)) => self::add(client, add).await,
        Some(Action::Update(update)) => change(client, update).await,
        Some(Action::Delete(delete)) => self::delete(client, delete).await,
    }
}

async fn add(client: &Client, arguments: &Add) -> Result<()> {
    let mut body = Map::new();
    body.insert("kind".to_owned(), json!(arguments.kind));
    body.insert("enabled".to_owned(), json!(!arguments.disabled));
    if let Some(key) = &arguments.key {
        body.insert("key".to_owned(), json!(named::key_id(client, key).await?));
    }
    arguments.settings.write(&mut body).await?;
    tell(&client.post_once(RULES, &body.into()).await?, arguments.settings.json)
}

async fn change(client: &Client, arguments: &Update) -> Result<()> {
    let mut body = Map::new();
    if arguments.enable || arguments.disable {
        body.insert("enabled".to_owned(), json!(arguments.enable));
    }
    arguments.settings.write(&mut body).await?;
    let cleared = [
        ("threshold", arguments.usual_threshold),
        ("window", arguments.usual_window),
        ("webhook", arguments.no_webhook),
    ];
    let is_asked = |(name, asked): (&str, bool)| asked.then(|| (name.to_owned(), Value::Null));
    body.extend(cleared.into_iter().filter_map(is_asked));
    if body.is_empty() {
        bail!(Misuse("say what to change: `mcpd alerts rules update --help` lists what can be".to_owned()));
    }
    let answer = client.patch(&named::path(RULES, &arguments.rule, "")?, &body.into()).await?;
    tell(&answer, arguments.settings.json)
}

async fn delete(client: &Client, arguments: &Delete) -> Result<()> {
    terminal::check_can_ask(arguments.yes)?;
    let path = named::path(RULES, &arguments.rule, "")?;
    let rule = client.get(&path, &[]).await?.value;
    let kind = super::output::clean(&super::fields::text(&rule, "kind"));
    terminal::confirm(
        &format!("Delete the rule {} ({kind})? Its alerts stay.", arguments.rule),
        arguments.yes,
    )?;
    let answer = client.delete(&path).await?;
    show(&answer, arguments.json, |_, _| format!("Deleted the rule {} ({kind}).\n", arguments.rule))
}

/// Shows a rule as it is now.
fn tell(answer: &Answer, as_json: bool) -> Result<()> {
    show(answer, as_json, |rule, screen| alerts::render_rules(&json!({"data": [rule]}), screen))?;
    if !as_json && !answer.value["webhook"].is_null() {
        let id = super::output::clean(&super::fields::text(&answer.value, "id"));
        say(&format!("See whether its alerts arrive: mcpd alerts test {id}"));
    }
    Ok(())
}

impl Settings {
    async fn write(&self, body: &mut Map<String, Value>) -> Result<()> {
        if let Some(threshold) = self.threshold {
            body.insert("threshold".to_owned(), json!(threshold));
        }
        if let Some(window) = &self.window {
            body.insert("window".to_owned(), json!(window));
        }
        if let Some(url) = &self.webhook {
            body.insert("webhook".to_owned(), self.webhook(url).await?);
        }
        Ok(())
    }

    async fn webhook(&self, url: &str) -> Result<Value> {
        let mut webhook = Map::new();
        let is_read = url == "-";
        if is_read && self.webhook_secret_stdin {
            let remark = "standard input cannot be both the URL and the secret: give the URL as an argument";
            bail!(Misuse(remark.to_owned()));
        }
        let url =
            if is_read { secret::read("URL: ").await.context("the webhook's URL")? } else { url.to_owned() };
        webhook.insert("url".to_owned(), json!(url));
        if let Some(format) = &self.webhook_format {
            webhook.insert("format".to_owned(), json!(format));
        }
        if self.webhook_secret_stdin {
            let secret = secret::read("Secret: ").await.context("the webhook's secret")?;
            webhook.insert("secret".to_owned(), json!(secret));
        }
        Ok(webhook.into())
    }
}

fn kinds() -> PossibleValuesParser {
    Kind::ALL.map(Kind::name).into()
}

fn formats() -> PossibleValuesParser {
    Format::ALL.map(Format::name).into()
}
