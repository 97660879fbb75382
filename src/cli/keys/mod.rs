//! `mcpd keys`

mod advice;
mod migration;

use std::path::Path;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::client::{self, Client};
use super::named;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Tell who still uses a key that was rotated, and whether it is safe to revoke
    #[command(after_help = "\
Examples:
  mcpd keys migration laptop
  mcpd keys migration key_vLNR8k4M9K7HGTapx8IlzNws --json")]
    Migration(Key),
    /// Tell what a key needs at least, as its use in the last 30 days shows
    #[command(after_help = "\
Examples:
  mcpd keys advice laptop
  mcpd keys advice key_vLNR8k4M9K7HGTapx8IlzNws --json")]
    Advice(Key),
}

#[derive(Debug, Args)]
struct Key {
    /// The key: its id, or its name if no other key has it
    #[arg(value_name = "KEY")]
    key: String,
    /// Print the answer of the admin API as it is
    #[arg(long)]
    json: bool,
}

/// Does what is asked about a key.
pub(super) fn run(arguments: &Arguments, config: Option<&Path>) -> Result<()> {
    client::ask(config, async |client| match &arguments.action {
        Action::Migration(key) => migration::tell(client, key).await,
        Action::Advice(key) => advice::tell(client, key).await,
    })
}

impl Key {
    /// Returns the path of something about the key.
    async fn path(&self, client: &Client, what: &str) -> Result<String> {
        named::path("/admin/v1/keys", &named::key_id(client, &self.key).await?, what)
    }
}
