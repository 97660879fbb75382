//! `mcpd serve`

use std::io::{IsTerminal as _, stdout};
use std::path::Path;

use actix_web::rt::System;
use anyhow::Result;

use super::signals::Signals;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::token::Token;
use crate::server::{HandOver, Passed, Server, Supervisor};

/// Answers requests until told to stop.
pub(super) fn in_foreground(config: Option<&Path>) -> Result<()> {
    let passed = Passed::take()?;
    System::new().block_on(async {
        // First of all: until then a signal ends the process.
        let signals = Signals::listen()?;
        let config = Config::load(config)?;
        super::log::start(&config.log);
        let hand_over = if stdout().is_terminal() { HandOver::Caller } else { HandOver::File };
        let server = Server::start(config, Clock::System, hand_over, passed)?;
        if let Some(token) = &server.default_key {
            show(token, &server);
        }
        run(server, signals).await
    })
}

/// Runs the server until it is told to stop.
pub(super) async fn run(mut server: Server, mut signals: Signals) -> Result<()> {
    server.supervisor = Supervisor::from_environment();
    server.set_level = super::log::set_level;
    Ok(server.run(async || signals.next().await).await?)
}

/// Shows the default key, this once, and how to try it.
fn show(token: &Token, server: &Server) {
    let listeners = server.listeners();
    let scheme = if listeners.tls { "https" } else { "http" };
    let address = listeners.public.first().map(ToString::to_string).unwrap_or_default();
    let token = token.expose();
    let model = server.some_model().unwrap_or_else(|| "NAME-A-MODEL".to_owned());
    super::answer(&format!(
        "\nYour default key, which may do everything. It is not shown again:\n\n    {token}\n\nTry it:\n\n    \
         curl {scheme}://{address}/v1/chat/completions \\\n      -H 'Authorization: Bearer {token}' \\\n      \
         -H 'Content-Type: application/json' \\\n      \
         -d '{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'\n"
    ));
}
