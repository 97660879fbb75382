//! `mcpd keys create`

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use super::settings::{Settings, scopes};
use super::{interview, issued};
use crate::cli::client::Client;
use crate::cli::{Misuse, named};
use crate::domain::scope::Scope;

/// A key to be made.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// Ask for what is not said here
    #[arg(short, long)]
    pub(super) interactive: bool,
    /// What the key is for
    #[arg(long, value_name = "N")]
    pub(super) name: Option<String>,
    /// What it may do: one or more of these
    #[arg(long, value_name = "S", num_args = 1.., value_delimiter = ',',
        value_parser = scopes())]
    pub(super) scope: Vec<String>,
    #[command(flatten)]
    pub(super) settings: Settings,
    /// Print the answer of the admin API as it is, with the key in `key`
    #[arg(long)]
    json: bool,
}

/// Makes a key, and prints it alone on standard output.
pub(super) async fn run(client: &Client, arguments: &mut Create) -> Result<()> {
    if arguments.interactive {
        interview::fill(client, arguments).await?;
    }
    let answer = client.post_once("/admin/v1/keys", &arguments.body()).await?;
    if arguments.json {
        issued::print_answer(&answer)?;
        named::warn_of_others(client, &answer.value).await;
        return Ok(());
    }
    issued::print_secret(&answer.value)?;
    crate::cli::say(&format!("Made {}.", issued::describe(&answer.value)));
    named::warn_of_others(client, &answer.value).await;
    issued::tell_next(client, &answer.value).await;
    Ok(())
}

impl Create {
    /// Fails if something is missing that nobody will be asked for.
    pub(super) fn check(&self) -> Result<()> {
        if self.interactive {
            return Ok(());
        }
        let scopes = Scope::ALL.map(Scope::name).join(", ");
        let missing = match (&self.name, self.scope.as_slice()) {
            (None, _) => "say what the key is for, with --name".to_owned(),
            (_, []) => format!("say what the key may do, with --scope: some of {scopes}, or `all`"),
            _ => return Ok(()),
        };
        bail!(Misuse(format!("{missing}; or `mcpd keys create -i` to be asked for each thing")))
    }

    fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("name".to_owned(), json!(self.name));
        body.insert("scopes".to_owned(), json!(self.scope));
        self.settings.write(&mut body);
        body.into()
    }
}
