//! `mcpd serve`

use std::io::{IsTerminal as _, stdout};
use std::path::Path;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::token::Token;
use crate::server::{HandOver, Server};

/// Answers requests until told to stop.
pub(super) fn in_foreground(config: Option<&Path>) -> Result<()> {
    let config = Config::load(config)?;
    super::log::start(&config.log);
    let hand_over = if stdout().is_terminal() { HandOver::Caller } else { HandOver::File };
    let server = Server::start(config, Clock::System, hand_over)?;
    if let Some(token) = &server.default_key {
        show(token, &server);
    }
    run(server)
}

/// Runs the server until SIGTERM or SIGINT.
pub(super) fn run(server: Server) -> Result<()> {
    Ok(server.run(stopped)?)
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

async fn stopped() {
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
    else {
        tracing::error!("cannot listen for signals: stop the server by its process id");
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            _ = hangup.recv() => {
                tracing::warn!("SIGHUP changes nothing: the configuration is read at start, so restart to apply it");
            }
        }
    }
}
