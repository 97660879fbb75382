//! The signals that a server is told things with.

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use crate::server::Signal;

/// SIGTERM, SIGINT and SIGHUP, none of which ends the process any more.
pub(super) struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hangup: Stream,
    /// It was told to stop, and nobody has obeyed yet.
    is_stopping: bool,
}

impl Signals {
    /// Begins to listen, within a runtime. What comes before somebody asks for it waits.
    pub(super) fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
            is_stopping: false,
        })
    }

    /// Waits until the process is told to stop; who asks for what comes next hears of it again. What else comes waits.
    pub(super) async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        self.is_stopping = true;
    }

    /// Returns what comes next.
    pub(super) async fn next(&mut self) -> Signal {
        if std::mem::take(&mut self.is_stopping) {
            return Signal::Stop;
        }
        tokio::select! {
            // Whoever wants an end does not want to wait for what was asked before.
            biased;
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}
