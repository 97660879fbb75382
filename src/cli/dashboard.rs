//! `mcpd dashboard`

use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::fields::text;
use super::output::print;
use super::{client, say};

#[derive(Debug, Args)]
#[command(after_help = "\
The link is good once, for five minutes; the browser stays signed in until it is closed, or idle for twelve hours. \
The dashboard is on loopback only: from another machine, forward its port first.

Examples:
  mcpd dashboard
  ssh -t -L 8081:127.0.0.1:8081 SERVER mcpd dashboard      then open the link on your own machine
  xdg-open \"$(mcpd dashboard)\"")]
pub(super) struct Arguments {
    /// Print the answer of the admin API as it is
    #[arg(long)]
    json: bool,
}

/// Prints a link that signs in to the dashboard, once: alone on standard output, so that it can be handed on.
pub(super) fn run(arguments: &Arguments, config: Option<&Path>) -> Result<()> {
    client::ask(config, async |client| {
        let link = client.post("/admin/v1/sign-in-links", &json!({})).await?;
        if arguments.json {
            return print(&link.text);
        }
        let url = text(&link.value, "url");
        print(&format!("{url}\n"))?;
        say("Open it within five minutes; it signs you in once.");
        if std::env::var_os("SSH_CONNECTION").is_some()
            && let Some(address) = address(&url)
        {
            let port = address.rsplit_once(':').map_or("8081", |(_, port)| port);
            say(&format!("From your own machine, forward the port first: ssh -L {port}:{address} SERVER"));
        }
        Ok(())
    })
}

/// Returns the address that a link leads to.
fn address(url: &str) -> Option<&str> {
    url.split_once("://")?.1.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_the_address_to_forward() {
        assert_eq!(address("http://127.0.0.1:8081/sign-in?code=a"), Some("127.0.0.1:8081"));
        assert_eq!(address("-"), None);
    }
}
