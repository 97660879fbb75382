//! `mcpd keys rotate`

use anyhow::Result;
use clap::Args;
use serde_json::{Map, Value};

use super::settings::{length, time};
use super::{Key, issued};
use crate::cli::client::Client;
use crate::cli::fields::{text, time as told_time};
use crate::cli::output::clean;

/// How to hand over to a new key.
#[derive(Debug, Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    key: Key,
    /// How long the old key goes on: 24h where nothing is said, 0s to end it now
    #[arg(long, value_name = "D", value_parser = length)]
    expire_old_in: Option<String>,
    /// Revoke the old key earlier, once nobody has used it for so long
    #[arg(long, value_name = "D", value_parser = length)]
    revoke_when_quiet: Option<String>,
    /// How long the new key lives; as long as the old one was to where nothing is said
    #[arg(long, value_name = "D", value_parser = length, conflicts_with = "expires_at")]
    expires_in: Option<String>,
    /// When the new key ends: 2027-01-31T12:00:00Z
    #[arg(long, value_name = "T", value_parser = time)]
    expires_at: Option<String>,
}

/// Hands over to a new key, and prints it alone on standard output.
pub(super) async fn run(client: &Client, arguments: &Rotate) -> Result<()> {
    let path = arguments.key.path(client, "").await?;
    let answer = client.post_once(&format!("{path}/rotate"), &arguments.body()).await?;
    if arguments.key.json {
        return issued::print_answer(&answer);
    }
    let new = &answer.value;
    issued::print_secret(new)?;
    let old = clean(&text(new, "rotated_from"));
    crate::cli::say(&format!("Rotated {old} to {}.", issued::describe(new)));
    if let Ok(before) = client.get(&path, &[]).await {
        let end = clean(&told_time(&before.value, "expires_at"));
        crate::cli::say(&format!("The old key goes on until {end}; both share one limit."));
    }
    issued::tell_next(client, new).await;
    crate::cli::say(&format!(
        "Once its clients have the new key, see who still uses the old one:\n\n    mcpd keys migration {old}"
    ));
    Ok(())
}

impl Rotate {
    fn body(&self) -> Value {
        let fields = [
            ("expire_old_in", &self.expire_old_in),
            ("revoke_when_quiet", &self.revoke_when_quiet),
            ("expires_in", &self.expires_in),
            ("expires_at", &self.expires_at),
        ];
        let given = |(name, value): (&str, &Option<String>)| {
            value.as_ref().map(|value| (name.to_owned(), Value::from(value.as_str())))
        };
        fields.into_iter().filter_map(given).collect::<Map<_, _>>().into()
    }
}
