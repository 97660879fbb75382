//! `mcpd contexts` and `mcpd files`: what clients have stored.

use std::path::Path;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::{self, Client};
use super::fields::{bytes, count, of, rows, text};
use super::output::{Screen, show};
use super::table::{Cell, Column, Kind, Table};
use super::{named, relative, terminal};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    /// The newest so many, 1 to 1000
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Print the answer of the admin API as it is
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Delete one, for good
    #[command(after_help = "\
Examples:
  mcpd contexts delete ctx_0UaLfs3kFvLNR8k4M9K7HGTa
  mcpd files delete file_0UaLfs3kFvLNR8k4M9K7HGTa --yes")]
    Delete {
        /// Its id
        id: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
        /// Print the answer of the admin API as it is
        #[arg(long)]
        json: bool,
    },
}

/// A kind of things that are stored.
struct Stored {
    noun: &'static str,
    path: &'static str,
    columns: &'static [Column],
    row: fn(&Value) -> Vec<Cell>,
}

const CONTEXTS: Stored = Stored {
    noun: "context",
    path: "/admin/v1/contexts",
    columns: &[
        Column("ID", Kind::Word),
        Column("NAME", Kind::Name),
        Column("MESSAGES", Kind::Number),
        Column("SIZE", Kind::Number),
        Column("CHANGED", Kind::Word),
        Column("MADE BY", Kind::Word),
    ],
    row: |context| {
        vec![
            text(context, "id").into(),
            text(context, "name").into(),
            count(context, "messages").to_string().into(),
            bytes(context, "bytes").into(),
            relative::field(context, "updated_at", "-").into(),
            text(context, "created_by").into(),
        ]
    },
};

const FILES: Stored = Stored {
    noun: "file",
    path: "/admin/v1/files",
    columns: &[
        Column("ID", Kind::Word),
        Column("FILENAME", Kind::Name),
        Column("SIZE", Kind::Number),
        Column("PURPOSE", Kind::Name),
        Column("MADE", Kind::Word),
        Column("MADE BY", Kind::Word),
    ],
    row: |file| {
        vec![
            text(file, "id").into(),
            text(file, "filename").into(),
            bytes(file, "bytes").into(),
            text(file, "purpose").into(),
            relative::field(file, "created_at", "-").into(),
            text(file, "created_by").into(),
        ]
    },
};

/// Lists contexts, or deletes one.
pub(super) fn contexts(arguments: &Arguments, config: Option<&Path>) -> Result<()> {
    client::ask(config, async |client| CONTEXTS.run(client, arguments).await)
}

/// Lists files, or deletes one.
pub(super) fn files(arguments: &Arguments, config: Option<&Path>) -> Result<()> {
    client::ask(config, async |client| FILES.run(client, arguments).await)
}

impl Stored {
    async fn run(&self, client: &Client, arguments: &Arguments) -> Result<()> {
        let Some(Action::Delete { id, yes, json }) = &arguments.action else {
            let limit = arguments.limit.to_string();
            let answer = client.get(self.path, &[("limit", &limit)]).await?;
            return show(&answer, arguments.json, |found, screen| self.render(found, screen));
        };
        let path = named::path(self.path, id, "")?;
        terminal::confirm(&format!("Delete the {} {id}? Nothing brings it back.", self.noun), *yes)?;
        show(&client.delete(&path).await?, *json, |_, _| format!("Deleted the {} {id}.\n", self.noun))
    }

    fn render(&self, found: &Value, screen: Screen) -> String {
        let data = rows(found, "data");
        if data.is_empty() {
            return format!("No {}s.\n", self.noun);
        }
        let mut table = Table::new(self.columns);
        for row in data {
            table.row((self.row)(row));
        }
        let more = if found["has_more"] == true { "There are older ones: see --limit.\n" } else { "" };
        format!("{}{}.\n{more}", table.render(screen), of(data.len() as u64, self.noun))
    }
}
