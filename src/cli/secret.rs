//! Secrets that are typed in, or come on standard input.

use std::io::{IsTerminal as _, Read as _, stdin};

use anyhow::{Context as _, Result, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::SignalKind;
use tokio::sync::oneshot;

use super::interrupt;

/// The longest that is read, in bytes; no key is as long.
const LONGEST: u64 = 4_096;

/// A terminal that does not show what is typed, as long as this lives.
struct Silent(Termios);

impl Silent {
    fn new() -> Result<Self> {
        let before = tcgetattr(stdin()).context("cannot read how the terminal is set")?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Flush, &silent)
            .context("cannot keep the terminal from showing the key")?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // Nothing more can be done about it.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
        super::say("");
    }
}

/// Reads a secret: from a terminal after a prompt, without showing it, else all of standard input.
pub(super) async fn read(prompt: &str) -> Result<String> {
    let mut text = String::new();
    if stdin().is_terminal() {
        text = interrupt::unless(&signals(), type_in(prompt)).await?;
    } else {
        stdin().lock().take(LONGEST).read_to_string(&mut text).context("standard input is no text")?;
    }
    let secret = text.trim();
    if secret.is_empty() {
        bail!("there is no key on standard input");
    }
    Ok(secret.to_owned())
}

/// Whatever ends the command from outside, as far as it can be told.
fn signals() -> [SignalKind; 4] {
    [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()]
}

async fn type_in(prompt: &str) -> Result<String> {
    let _silent = Silent::new()?;
    super::ask(prompt);
    let (sender, typed) = oneshot::channel();
    // A thread that nobody waits for: where the command is interrupted, it goes on reading until the process ends.
    std::thread::Builder::new().name("prompt".to_owned()).spawn(move || {
        let mut text = String::new();
        let read = stdin().read_line(&mut text).map(|_| text);
        // Nobody listens where the command was interrupted.
        let _ = sender.send(read);
    })?;
    typed.await?.context("what was typed is no text")
}
