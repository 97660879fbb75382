//! `mcpd keys update`

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use super::settings::{Cleared, Settings, length, scopes};
use super::{Key, describe, plans};
use crate::cli::client::Client;
use crate::cli::output::show;
use crate::cli::{Misuse, named};

/// What to change about a key.
#[derive(Debug, Args)]
pub(super) struct Update {
    #[command(flatten)]
    key: Key,
    /// Its new name
    #[arg(long, value_name = "N")]
    name: Option<String>,
    /// What it may do from now on, in place of what it might: one or more of these
    #[arg(long, value_name = "S", num_args = 1.., value_delimiter = ',', value_parser = scopes())]
    scope: Vec<String>,
    #[command(flatten)]
    settings: Settings,
    /// Let it through again
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Refuse it until it is enabled again
    #[arg(long)]
    disable: bool,
    #[command(flatten)]
    cleared: Cleared,
    /// Of a rotated key: revoke it once nobody has used it for so long
    #[arg(long, value_name = "D", value_parser = length, conflicts_with = "no_revoke_when_quiet")]
    revoke_when_quiet: Option<String>,
    /// Do not revoke it by itself
    #[arg(long)]
    no_revoke_when_quiet: bool,
}

/// Changes a key, and shows it as it is now.
pub(super) async fn run(client: &Client, arguments: &Update) -> Result<()> {
    let body = arguments.body();
    if body.is_empty() {
        bail!(Misuse("say what to change: `mcpd keys update --help` lists what can be".to_owned()));
    }
    let answer = client.patch(&arguments.key.path(client, "").await?, &Value::Object(body)).await?;
    let answer = plans::marked(client, answer, arguments.key.json).await?;
    show(&answer, arguments.key.json, describe::render)?;
    if arguments.name.is_some() {
        named::warn_of_others(client, &answer.value).await;
    }
    Ok(())
}

impl Update {
    fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
        if let Some(name) = &self.name {
            put("name", json!(name));
        }
        if !self.scope.is_empty() {
            put("scopes", json!(self.scope));
        }
        if self.enable || self.disable {
            put("enabled", json!(self.enable));
        }
        if self.revoke_when_quiet.is_some() || self.no_revoke_when_quiet {
            put("revoke_when_quiet", json!(self.revoke_when_quiet));
        }
        self.settings.write(&mut body);
        self.cleared.write(&mut body);
        body
    }
}
