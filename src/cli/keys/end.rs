//! `mcpd keys revoke` and `mcpd keys delete`

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::Key;
use crate::cli::client::{Answer, Client};
use crate::cli::fields::text;
use crate::cli::output::{clean, show};
use crate::cli::{relative, terminal};

/// A key that is to work no more.
#[derive(Debug, Args)]
pub(super) struct End {
    #[command(flatten)]
    key: Key,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Revokes a key for good.
pub(super) async fn revoke(client: &Client, arguments: &End) -> Result<()> {
    let (path, named) = arguments.agree(client, "Revoke", "Nothing brings it back.").await?;
    let answer = client.post_once(&format!("{path}/revoke"), &json!({})).await?;
    arguments.tell(&answer, &format!("Revoked {named}: it is refused from now on.\n"))
}

/// Deletes a key; what it used stays.
pub(super) async fn delete(client: &Client, arguments: &End) -> Result<()> {
    let question = "It is revoked and its record removed; its usage stays.";
    let (path, named) = arguments.agree(client, "Delete", question).await?;
    let answer = client.delete(&path).await?;
    arguments.tell(&answer, &format!("Deleted {named}: it is refused from now on.\n"))
}

impl End {
    /// Asks whether the key shall end; returns its path, and what it is called.
    async fn agree(&self, client: &Client, action: &str, remark: &str) -> Result<(String, String)> {
        terminal::check_can_ask(self.yes)?;
        let path = self.key.path(client, "").await?;
        let key = client.get(&path, &[]).await?.value;
        let named =
            clean(&format!("`{}` ({}, {})", text(&key, "name"), text(&key, "id"), text(&key, "hint")));
        terminal::confirm(&format!("{action} {named}, {}? {remark}", clean(&last_use(&key))), self.yes)?;
        Ok((path, named))
    }

    fn tell(&self, answer: &Answer, done: &str) -> Result<()> {
        show(answer, self.key.json, |_, _| done.to_owned())
    }
}

fn last_use(key: &Value) -> String {
    match relative::field(key, "last_used_at", "").as_str() {
        "" => "never used".to_owned(),
        ago => match key["last_used_ip"].as_str() {
            Some(ip) => format!("last used {ago} from {ip}"),
            None => format!("last used {ago}"),
        },
    }
}
