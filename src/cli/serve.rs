//! `mcpd serve`

use std::io::{IsTerminal as _, stdout};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread;

use actix_web::rt::System;
use anyhow::Result;
use tokio::sync::oneshot;

use super::signals::Signals;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::token::Token;
use crate::server::{HandOver, Passed, Server, StartError, Starting, Supervisor};

/// Answers requests until told to stop.
pub(super) fn in_foreground(config: Option<&Path>) -> Result<()> {
    let passed = Passed::take()?;
    System::new().block_on(async {
        // First of all: until then a signal ends the process.
        let mut signals = Signals::listen()?;
        let config = Config::load(config)?;
        super::log::start(&config.log);
        let hand_over = if stdout().is_terminal() { HandOver::Caller } else { HandOver::File };
        let Some(server) = start(config, hand_over, passed, &mut signals).await? else { return Ok(()) };
        if let Some(token) = &server.default_key {
            show(token, &server);
        }
        run(server, signals).await
    })
}

/// Starts the server, on a thread of its own; returns none if a signal ends that before it answers.
pub(super) async fn start(
    config: Config,
    hand_over: HandOver,
    passed: Passed,
    signals: &mut Signals,
) -> Result<Option<Server>> {
    super::descriptors::raise_limit();
    let starting = Starting::watched_by(Supervisor::from_environment());
    let stop = starting.stop();
    let (sender, mut started) = oneshot::channel();
    let work = move || {
        let server = catch_unwind(AssertUnwindSafe(|| {
            Server::start(config, Clock::System, hand_over, passed, starting)
        }));
        // A second signal does not wait for it.
        let _ = sender.send(server);
    };
    thread::Builder::new().name("start".to_owned()).spawn(work)?;
    let server = tokio::select! {
        server = &mut started => server,
        () = signals.stop() => {
            tracing::info!("stopping before anything was answered");
            stop.store(true, Ordering::Release);
            tokio::select! {
                server = started => server,
                () = signals.stop() => return Ok(None),
            }
        }
    };
    match server.expect("the thread sends what it comes to").unwrap_or_else(|panic| resume_unwind(panic)) {
        Ok(server) => Ok(Some(server)),
        Err(StartError::Stopped) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Runs the server until it is told to stop.
pub(super) async fn run(mut server: Server, mut signals: Signals) -> Result<()> {
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
