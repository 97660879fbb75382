//! `mcpd keys`

mod advice;
mod apply;
mod create;
mod describe;
mod end;
mod interview;
mod issued;
mod list;
mod migration;
mod plans;
mod rotate;
mod settings;
mod update;

use std::path::Path;

use anyhow::Result;
use clap::{Args, Subcommand};

pub(super) use self::settings::length;
use super::client::{self, Client};
use super::named;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcpd keys create -i                                  make a key, asked step by step
  mcpd keys create --name laptop --scope chats:create models:read
  mcpd keys list
  mcpd keys show laptop
  mcpd keys rotate laptop --expire-old-in 24h
  mcpd keys revoke laptop")]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key, and print it alone on standard output
    #[command(
        override_usage = "\
mcpd keys create --name <N> --scope <S>... [OPTIONS]
       mcpd keys create -i [OPTIONS]",
        after_help = "\
The key is shown this once. All else that is said goes to standard error.

Examples:
  mcpd keys create -i
  mcpd keys create --name laptop --scope chats:create models:read --expires-in 90d
  mcpd keys create --name office --scope all --allow-ip 192.0.2.0/24 --metadata owner=ann
  mcpd keys create --name bot --scope chats:create --plan enterprise --requests-per-minute 120
  KEY=$(mcpd keys create --name script --scope chats:create)"
    )]
    Create(Box<create::Create>),
    /// List the keys
    #[command(
        alias = "ls",
        after_help = "\
Examples:
  mcpd keys list
  mcpd keys list --status active --search ann
  mcpd keys list --json | jq -r '.data[].id'"
    )]
    List(list::List),
    /// Tell all about a key
    #[command(after_help = "\
Examples:
  mcpd keys show laptop
  mcpd keys show key_vLNR8k4M9K7HGTapx8IlzNws --json")]
    Show(Key),
    /// Change a key; what is not named stays as it is
    #[command(after_help = "\
A list that is given takes the place of the one before, as a whole.

Examples:
  mcpd keys update laptop --plan professional
  mcpd keys update laptop --allow-ip 192.0.2.0/24 --allow-ip 2001:db8::/32
  mcpd keys update laptop --any-ip --no-expiry --plan-limit
  mcpd keys update laptop --disable")]
    Update(Box<update::Update>),
    /// Hand over to a new key with the same settings, and print it alone on standard output
    #[command(after_help = "\
Examples:
  mcpd keys rotate laptop                              the old key goes on for 24 hours
  mcpd keys rotate laptop --expire-old-in 7d --revoke-when-quiet 24h
  KEY=$(mcpd keys rotate laptop --expire-old-in 1h)")]
    Rotate(rotate::Rotate),
    /// Refuse a key from now on, for good
    #[command(after_help = "\
It asks first, on a terminal. To refuse a key for a while only, `mcpd keys update KEY --disable`.

Examples:
  mcpd keys revoke laptop
  mcpd keys revoke key_vLNR8k4M9K7HGTapx8IlzNws --yes")]
    Revoke(end::End),
    /// Revoke a key and remove its record; its usage stays
    #[command(
        alias = "rm",
        after_help = "\
It asks first, on a terminal.

Examples:
  mcpd keys delete laptop
  mcpd keys delete key_vLNR8k4M9K7HGTapx8IlzNws --yes"
    )]
    Delete(end::End),
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
    #[arg(long, display_order = 900)]
    json: bool,
}

/// Does what is asked about a key.
pub(super) fn run(mut arguments: Arguments, config: Option<&Path>) -> Result<()> {
    if let Action::Create(key) = &arguments.action {
        key.check()?;
    }
    client::ask(config, async |client| match &mut arguments.action {
        Action::Create(key) => create::run(client, key).await,
        Action::List(keys) => list::run(client, keys).await,
        Action::Show(key) => describe::run(client, key).await,
        Action::Update(key) => update::run(client, key).await,
        Action::Rotate(key) => rotate::run(client, key).await,
        Action::Revoke(key) => end::revoke(client, key).await,
        Action::Delete(key) => end::delete(client, key).await,
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
